//! The shape of a number: how many digits each group has, and what stands between them.
//!
//! Invariant: two numbers of one shape have equal codes, and a code is the number's alone.

/// Groups of one shape.
pub(crate) const GROUPS_MAX: usize = 6;
/// Digits of one group; a longer one has no shape.
const DIGITS_MAX: usize = 31;
/// What may stand between groups, by its code less one.
const SEPARATORS: &[u8; 4] = b" -./";

/// The code of a shape with one group more behind a separator; `None` where there is no such shape.
pub(crate) fn push(code: u64, separator: Option<u8>, digits: usize) -> Option<u64> {
    let separator = match separator {
        None => 0,
        Some(byte) => SEPARATORS.iter().position(|&known| known == byte)? as u64 + 1,
    };
    (digits <= DIGITS_MAX).then_some(code << 8 | separator << 5 | digits as u64)
}

/// Reads a shape that is written with a `d` for each digit, like `ddd-dd-dddd`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let mut code = 0;
    let (mut digits, mut groups, mut separator) = (0, 0, None);
    for byte in text.bytes().chain([0]) {
        if byte == b'd' {
            digits += 1;
            continue;
        }
        if digits == 0 || groups == GROUPS_MAX {
            return None;
        }
        code = push(code, separator, digits)?;
        (digits, groups, separator) = (0, groups + 1, Some(byte));
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read() {
        assert_eq!(parse("ddd-dd"), push(3, Some(b'-'), 2));
        assert_ne!(parse("ddd-dd"), parse("ddd.dd"));
        assert_ne!(parse("ddddd"), parse("ddd-dd"));
        assert_eq!((parse(""), parse("d--d"), parse("-d"), parse("dx")), (None, None, None, None));
        assert_eq!(parse("d-d-d-d-d-d-d"), None);
    }
}
