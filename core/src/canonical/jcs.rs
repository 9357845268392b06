//! Writes JSON in one form only (RFC 8785, JCS), so that equal documents have equal hashes.
//!
//! Invariant: documents that say different things are written differently. A number that a double cannot hold, and a string that is no
//! Unicode text, stand as they came: nothing that the canonical form would blur is taken for something else.

use sluicegate_dlp::json::{Kind, Value};

/// Appends a value in canonical form. It recurses as deep as the document, which was parsed within bounds.
pub fn write(out: &mut Vec<u8>, value: Value<'_>) {
    match value.kind() {
        Kind::Object => write_members(out, value.members()),
        Kind::Array => {
            out.push(b'[');
            for (index, element) in value.elements().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(out, element);
            }
            out.push(b']');
        }
        Kind::String | Kind::Key => write_string(out, value),
        Kind::Number => write_number(out, value.raw()),
        _ => out.extend_from_slice(value.raw()),
    }
}

/// Appends an object of these members, sorted by the UTF-16 code units of their names (RFC 8785 section 3.2.3).
pub fn write_members<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = (Value<'a>, Value<'a>)>) {
    let mut sorted: Vec<(Vec<u16>, Value<'a>, Value<'a>)> =
        members.map(|(name, value)| (name.text().encode_utf16().collect(), name, value)).collect();
    sorted.sort_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.raw().cmp(other.1.raw())));
    out.push(b'{');
    for (index, (_, name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}

/// Half of a surrogate pair is no text. It is kept as its escape, which the canonical form of a text never has.
fn write_string(out: &mut Vec<u8>, value: Value<'_>) {
    if value.has_lone_surrogate() {
        out.push(b'"');
        out.extend_from_slice(value.raw());
        out.push(b'"');
    } else {
        write_text(out, &value.text());
    }
}

/// Appends a text as a string (RFC 8785 section 3.2.2.2).
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The canonical form where it says the same number as what was written, else what was written.
fn write_number(out: &mut Vec<u8>, raw: &[u8]) {
    let written = String::from_utf8_lossy(raw);
    let canonical = written.parse().ok().and_then(ecmascript);
    match canonical.filter(|canonical| Decimal::of(canonical) == Decimal::of(&written)) {
        Some(canonical) => out.extend_from_slice(canonical.as_bytes()),
        None => out.extend_from_slice(raw),
    }
}

/// A decimal number without the zeros that do not count: `0.digits * 10^exponent`.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a JSON number. `None` where its exponent is beyond all reason.
    fn of(text: &str) -> Option<Decimal> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading = i64::try_from(all.len() - digits.len()).ok()?;
        let exponent = exponent.parse::<i64>().ok()?.checked_add(i64::try_from(whole.len()).ok()?)?.checked_sub(leading)?;
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            // Minus zero is zero, as RFC 8785 has it.
            return Some(Decimal { is_negative: false, digits: String::new(), exponent: 0 });
        }
        Some(Decimal { is_negative, digits: digits.to_owned(), exponent })
    }
}

/// A double as ECMAScript writes it (ECMA-262 section 6.1.6.1.20), which is what RFC 8785 section 3.2.2.3 asks for. `None` for what JSON
/// has not: infinities and NaN.
pub fn ecmascript(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    if number == 0.0 {
        return Some("0".to_owned());
    }
    let scientific = shortest(number.abs());
    let (mantissa, exponent) = scientific.split_once('e')?;
    let digits = mantissa.replace('.', "");
    let (count, point) = (i32::try_from(digits.len()).ok()?, exponent.parse::<i32>().ok()? + 1);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let unsigned = match point {
        1..=21 if point >= count => format!("{digits}{}", zeros(point - count)),
        1..=21 => {
            let (whole, fraction) = digits.split_at(usize::try_from(point).ok()?);
            format!("{whole}.{fraction}")
        }
        -5..=0 => format!("0.{}{digits}", zeros(-point)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let sign = if point > 0 { '+' } else { '-' };
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}e{sign}{}", (point - 1).abs())
        }
    };
    Some(if number < 0.0 { format!("-{unsigned}") } else { unsigned })
}

/// The fewest digits that read back as the same double, as `d.ddde-7`. Where two numbers of so few digits are equally near, ECMAScript
/// takes the even one, as rounding to a given length does, and Rust's shortest form does not.
fn shortest(number: f64) -> String {
    let shortest = format!("{number:e}");
    let digits = shortest.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    let rounded = format!("{number:.*e}", digits.saturating_sub(1));
    if rounded.parse() == Ok(number) { rounded } else { shortest }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use sluicegate_dlp::json::{Bounds, Tape};

    fn text(doc: &str) -> String {
        let (mut tape, mut out) = (Tape::new(), Vec::new());
        tape.parse(doc.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: true }).unwrap();
        write(&mut out, tape.root(doc.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    /// RFC 8785 appendix B.
    #[test]
    fn r120_numbers_are_written_as_the_rfc_lists_them() {
        for (bits, expected) in [
            (0x0000000000000000, "0"),
            (0x8000000000000000, "0"),
            (0x0000000000000001, "5e-324"),
            (0x8000000000000001, "-5e-324"),
            (0x7fefffffffffffff, "1.7976931348623157e+308"),
            (0xffefffffffffffff, "-1.7976931348623157e+308"),
            (0x4340000000000000, "9007199254740992"),
            (0xc340000000000000, "-9007199254740992"),
            (0x4430000000000000, "295147905179352830000"),
            (0x44b52d02c7e14af5, "9.999999999999997e+22"),
            (0x44b52d02c7e14af6, "1e+23"),
            (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
            (0x444b1ae4d6e2ef4e, "999999999999999700000"),
            (0x444b1ae4d6e2ef4f, "999999999999999900000"),
            (0x444b1ae4d6e2ef50, "1e+21"),
            (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
            (0x3eb0c6f7a0b5ed8d, "0.000001"),
            (0x41b3de4355555553, "333333333.3333332"),
            (0x41b3de4355555554, "333333333.33333325"),
            (0x41b3de4355555555, "333333333.3333333"),
            (0x41b3de4355555556, "333333333.3333334"),
            (0x41b3de4355555557, "333333333.33333343"),
            (0xbecbf647612f3696, "-0.0000033333333333333333"),
            (0x43143ff3c1cb0959, "1424953923781206.2"),
        ] {
            assert_eq!(ecmascript(f64::from_bits(bits)).as_deref(), Some(expected), "{bits:#x}");
        }
        assert_eq!(ecmascript(f64::NAN), None);
        assert_eq!(ecmascript(f64::INFINITY), None);
    }

    /// RFC 8785 section 3.2.2, with the one difference that is meant: its first number has more digits than a double and stays as it is.
    #[test]
    fn r120_the_sample_of_the_rfc() {
        let sample = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let expected = concat!(
            r#"{"literals":[null,true,false],"numbers":[333333333.33333329,1e+30,4.5,0.002,1e-27],"#,
            r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        assert_eq!(text(sample), expected);
    }

    /// RFC 8785 section 3.2.3.
    #[test]
    fn r120_names_are_sorted_by_utf_16() {
        let sample = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let written = text(sample);
        let places: Vec<usize> = order.iter().map(|word| written.find(&format!("\"{word}")).unwrap()).collect();
        assert!(places.is_sorted(), "{written}");
    }

    #[test]
    fn r120_what_a_double_cannot_hold_stays_as_it_was_written() {
        for doc in
            ["9007199254740993", "0.1000000000000000055511151231257827", "1e400", "123456789012345678901234567890", "1e-999"]
        {
            assert_eq!(text(doc), doc);
        }
        assert_eq!(text("9007199254740992.0"), "9007199254740992");
        assert_eq!(text("-0"), "0");
        assert_eq!(text("1e99999999999999999999"), "1e99999999999999999999");
        assert_ne!(text(r#""\ud800""#), text(r#""\ud801""#));
        assert_ne!(text(r#""\ud800""#), text(r#""\ufffd""#));
    }

    proptest! {
        #[test]
        fn r120_a_canonical_document_is_its_own_canonical_form(numbers in proptest::collection::vec(any::<f64>(), 0..6), name in ".{0,8}") {
            let numbers: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
            let once = text(&serde_json::json!({ name: numbers, "z": { "b": "\u{7f}\u{2028}", "a": [] } }).to_string());
            prop_assert_eq!(text(&once), once);
        }

        #[test]
        fn r120_numbers_of_different_value_are_written_differently(one in "-?[1-9][0-9]{0,20}(\\.[0-9]{1,20})?", other in "-?[1-9][0-9]{0,20}(\\.[0-9]{1,20})?") {
            let is_same = Decimal::of(&one) == Decimal::of(&other);
            prop_assert_eq!(text(&one) == text(&other), is_same || one == other);
        }
    }
}
