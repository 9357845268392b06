//! What a reader takes a character for that only disguises one of ASCII.
//!
//! Invariant: a character of ASCII stays itself, so that text without others is never folded.

/// What a reader takes a character for between its neighbours: a letter of another script looks like the one of ASCII that it replaces in
/// a word of ASCII, and a dot between digits separates them. Within its own script a letter stays what it is.
pub(crate) fn fold_between(c: char, before: Option<u8>, after: Option<u8>) -> Option<char> {
    let joins = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_digit = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_digit());
    match c {
        '\u{b7}' | '\u{2022}' | '\u{2027}' | '\u{2219}' | '\u{22c5}' | '\u{30fb}' if is_digit(before) && is_digit(after) => {
            Some('.')
        }
        '\u{261}'..='\u{a731}' if joins(before) || joins(after) => Some(look_alike(c).unwrap_or(c)).and_then(fold),
        _ => fold(c),
    }
}

/// The letter of ASCII that one of Greek or Cyrillic cannot be told from.
pub(crate) fn look_alike(c: char) -> Option<char> {
    const OTHERS: &str = "ɡΑΒΕΖΗΙΚΜΝΟΡΤΥΧοАВСЕНІЈКМОРЅТХҮԚԜавсеһіјӏорѕухԁԛԝ";
    const ASCII: &[u8] = b"gABEZHIKMNOPTYXoABCEHIJKMOPSTXYQWaBcehijlopsyxdqw";
    let place = OTHERS.chars().position(|other| other == c)?;
    ASCII.get(place).map(|b| char::from(*b))
}

/// The first digit, zero, of each script's ten.
const ZEROS: [u32; 30] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20, 0x1040,
    0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1b50, 0x1bb0, 0x1c40, 0xa620, 0xa8d0, 0xa9d0, 0xaa50, 0xabf0,
];

/// What a reader takes a character for; `None` for one that cannot be seen.
pub(crate) fn fold(c: char) -> Option<char> {
    let ascii = |first: u32, place: u32| char::from_u32(first + place).or(Some(c));
    let code = c as u32;
    match c {
        '\0'..='\u{7f}' => Some(c),
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' => None,
        '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{20e3}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => None,
        '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{202a}'..='\u{202c}' | '\u{ffa0}' => None,
        '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0100}'..='\u{e01ef}' => None,
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(code - 0xfee0),
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' => {
            Some(' ')
        }
        '\u{2d7}' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Some('-'),
        '\u{2024}' | '\u{3002}' | '\u{fe52}' | '\u{ff61}' => Some('.'),
        '\u{fe6b}' => Some('@'),
        // Letters and digits of mathematics and in circles.
        '\u{1d400}'..='\u{1d6a3}' => {
            let place = (code - 0x1d400) % 52;
            if place < 26 { ascii(u32::from('A'), place) } else { ascii(u32::from('a'), place - 26) }
        }
        '\u{1d7ce}'..='\u{1d7ff}' => ascii(u32::from('0'), (code - 0x1d7ce) % 10),
        '\u{2460}'..='\u{2468}' => ascii(u32::from('1'), code - 0x2460),
        '\u{2474}'..='\u{247c}' => ascii(u32::from('1'), code - 0x2474),
        '\u{2776}'..='\u{277e}' => ascii(u32::from('1'), code - 0x2776),
        '\u{2780}'..='\u{2788}' => ascii(u32::from('1'), code - 0x2780),
        '\u{278a}'..='\u{2792}' => ascii(u32::from('1'), code - 0x278a),
        '\u{1fbf0}'..='\u{1fbf9}' => ascii(u32::from('0'), code - 0x1fbf0),
        '\u{24ea}' | '\u{24ff}' => Some('0'),
        '\u{24b6}'..='\u{24cf}' => ascii(u32::from('A'), code - 0x24b6),
        '\u{24d0}'..='\u{24e9}' => ascii(u32::from('a'), code - 0x24d0),
        '\u{660}'..='\u{abf9}' => {
            let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code));
            zero.map_or(Some(c), |zero| ascii(u32::from('0'), code - zero))
        }
        _ => Some(c),
    }
}
