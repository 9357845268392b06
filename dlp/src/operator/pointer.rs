//! Patterns of JSON pointers (RFC 6901), by which a rule is about some places of a document only.
//!
//! Invariant: the work on one document is bounded by its size; where the bound is passed a pattern matches, so that what cannot
//! be placed any more is masked rather than shown.

use std::borrow::Cow;
use std::fmt;

use crate::json::{Kind, NONE, Tape, Value};

/// Tokens of one pattern.
pub const POINTER_TOKENS_MAX: usize = 32;
/// Bytes of one token of a pattern.
pub const POINTER_TOKEN_BYTES_MAX: usize = 256;
/// Steps through a document that are taken for every node it has: each finding's way to the root, and along the arrays on it.
const STEPS_PER_NODE: usize = 64;
/// Steps that are taken in any document.
const STEPS_LEAST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This name, or this index.
    Exactly(String),
    /// `*`: any one token.
    One,
    /// `**`: any number of tokens, also none.
    Any,
    /// Any element of an array, but no member.
    Element,
}

/// Says of places whether a rule is about them: `/params/arguments/**`, `/result/structuredContent/rows/*/email`.
///
/// `*` stands for one token, `**` for any number of them; the whole pointer of the leaf must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerPattern {
    tokens: Vec<Token>,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointerFault {
    /// It is empty.
    Empty,
    /// It does not begin with `/`.
    NoSlash,
    /// It has more tokens than [`POINTER_TOKENS_MAX`].
    TooManyTokens(usize),
    /// A token is longer than [`POINTER_TOKEN_BYTES_MAX`].
    TokenTooLong(usize),
    /// In this token a `~` stands before neither 0 nor 1.
    Tilde(String),
    /// In this token a `*` stands beside other characters.
    PartOfToken(String),
}

impl PointerFault {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            PointerFault::Empty | PointerFault::NoSlash => "write it as \"/params/arguments/**\"".to_owned(),
            PointerFault::TooManyTokens(_) => "let `**` stand for some of them".to_owned(),
            PointerFault::TokenTooLong(_) => "let `*` stand for it".to_owned(),
            PointerFault::Tilde(_) => "write ~0 for `~` and ~1 for `/` (RFC 6901)".to_owned(),
            PointerFault::PartOfToken(_) => "let `*` stand for the whole token, or `**` for any number of tokens".to_owned(),
        }
    }
}

impl fmt::Display for PointerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointerFault::Empty => f.write_str("is empty"),
            PointerFault::NoSlash => f.write_str("does not begin with \"/\""),
            PointerFault::TooManyTokens(count) => write!(f, "has {count} tokens, more than {POINTER_TOKENS_MAX}"),
            PointerFault::TokenTooLong(bytes) => {
                write!(f, "has a token of {bytes} bytes, more than {POINTER_TOKEN_BYTES_MAX}")
            }
            PointerFault::Tilde(token) => write!(f, "has a `~` in {token:?} that escapes nothing"),
            PointerFault::PartOfToken(token) => write!(f, "has a `*` that is only a part of the token {token:?}"),
        }
    }
}

impl std::error::Error for PointerFault {}

impl PointerPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PointerFault`].
    pub fn parse(text: &str) -> Result<PointerPattern, PointerFault> {
        let rest = match text.strip_prefix('/') {
            Some(rest) => rest,
            None if text.is_empty() => return Err(PointerFault::Empty),
            None => return Err(PointerFault::NoSlash),
        };
        let count = rest.split('/').count();
        if count > POINTER_TOKENS_MAX {
            return Err(PointerFault::TooManyTokens(count));
        }
        let token = |token: &str| match token {
            "*" => Ok(Token::One),
            "**" => Ok(Token::Any),
            _ if token.len() > POINTER_TOKEN_BYTES_MAX => Err(PointerFault::TokenTooLong(token.len())),
            _ if token.contains('*') => Err(PointerFault::PartOfToken(token.to_owned())),
            _ if token.replace("~0", "").replace("~1", "").contains('~') => Err(PointerFault::Tilde(token.to_owned())),
            _ => Ok(Token::Exactly(unescaped(token).into_owned())),
        };
        Ok(PointerPattern { tokens: rest.split('/').map(token).collect::<Result<_, _>>()? })
    }

    /// The first token, where it is a name.
    pub fn first_name(&self) -> Option<&str> {
        match self.tokens.first() {
            Some(Token::Exactly(name)) => Some(name),
            _ => None,
        }
    }

    /// The same places in each element of an array, as in a batch of messages.
    pub fn in_elements(&self) -> PointerPattern {
        PointerPattern { tokens: std::iter::once(Token::Element).chain(self.tokens.iter().cloned()).collect() }
    }

    /// Whether it matches a pointer that is given as text. Of a pointer that was cut off, whatever could have followed matches.
    pub fn matches_text(&self, pointer: &str, is_cut: bool) -> bool {
        let mut reached = self.start();
        for step in pointer.split('/').skip(1) {
            let name = unescaped(step);
            let is_index = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
            let before = reached;
            reached = self.step(reached, &mut |token| match token {
                Token::Exactly(exactly) => *exactly == name,
                Token::Element => is_index,
                Token::One | Token::Any => true,
            });
            if is_cut && reached == 0 {
                // The last token may be the beginning of another one.
                let is_last = pointer.ends_with(step);
                return is_last && before != 0;
            }
        }
        (is_cut && reached != 0) || self.is_at_end(reached)
    }

    /// A set of places within the pattern, one bit each: bit n says that the first n tokens are matched.
    fn start(&self) -> u64 {
        self.skip_any(1)
    }

    /// `**` may also stand for nothing.
    fn skip_any(&self, mut reached: u64) -> u64 {
        for (at, token) in self.tokens.iter().enumerate() {
            if *token == Token::Any && reached & (1 << at) != 0 {
                reached |= 1 << (at + 1);
            }
        }
        reached
    }

    /// One token further down in the document; `is` says whether a token of the pattern can stand for it.
    fn step(&self, reached: u64, is: &mut dyn FnMut(&Token) -> bool) -> u64 {
        let mut next = 0;
        for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| reached & (1 << at) != 0) {
            match token {
                Token::Any => next |= 1 << at,
                token if is(token) => next |= 1 << (at + 1),
                _ => {}
            }
        }
        self.skip_any(next)
    }

    fn is_at_end(&self, reached: u64) -> bool {
        reached & (1 << self.tokens.len()) != 0
    }
}

fn unescaped(token: &str) -> Cow<'_, str> {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
}

/// Where a scan's leaves stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ground {
    /// In text without places: no pattern matches.
    #[default]
    Text,
    /// In the document that is scanned.
    Document,
    /// All in one place of another document, at which the rules of these bits hold.
    Within(u64),
}

/// Finds out whether patterns match where a leaf stands. What it learns of one leaf it keeps for the next, which is mostly the
/// same or its neighbour.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) ground: Ground,
    steps: usize,
    /// The leaf that was asked about last, and the nodes on the way from the root to it, without the root.
    leaf: Option<u32>,
    way: Vec<u32>,
    /// Arrays whose elements were counted last: the array, an element, its index.
    counted: [Option<(u32, u32, usize)>; 4],
}

impl Places {
    /// Begins another document.
    pub(crate) fn begin(&mut self, ground: Ground) {
        *self = Places { ground, way: std::mem::take(&mut self.way), ..Places::default() };
    }

    /// Whether the rule of this number holds at a leaf, of which it says with patterns where it does.
    pub(crate) fn hold(&mut self, rule: usize, patterns: &[PointerPattern], doc: &[u8], tape: &Tape, leaf: u32) -> bool {
        match self.ground {
            Ground::Text => false,
            Ground::Document => self.match_at(patterns, doc, tape, leaf),
            Ground::Within(rules) => rules & (1 << rule) != 0,
        }
    }

    /// Whether any of the patterns matches at a leaf of this document.
    fn match_at(&mut self, patterns: &[PointerPattern], doc: &[u8], tape: &Tape, leaf: u32) -> bool {
        let bound = STEPS_LEAST + tape.len() as usize * STEPS_PER_NODE;
        if self.steps > bound {
            return true;
        }
        if self.leaf != Some(leaf) {
            self.find_way(tape, leaf);
        }
        patterns.iter().any(|pattern| self.matches(pattern, doc, tape, bound))
    }

    /// Walks from a leaf to the root; a name stands where its value does.
    fn find_way(&mut self, tape: &Tape, leaf: u32) {
        self.way.clear();
        let mut index = if tape.node(leaf).kind == Kind::Key { leaf + 1 } else { leaf };
        while tape.node(index).parent != NONE {
            self.way.push(index);
            index = tape.node(index).parent;
        }
        self.way.reverse();
        self.steps += self.way.len();
        self.leaf = Some(leaf);
    }

    fn matches(&mut self, pattern: &PointerPattern, doc: &[u8], tape: &Tape, bound: usize) -> bool {
        let mut reached = pattern.start();
        for at in 0..self.way.len() {
            let index = self.way[at];
            let parent = tape.node(index).parent;
            let is_element = tape.node(parent).kind == Kind::Array;
            self.steps += 1;
            reached = pattern.step(reached, &mut |token| match token {
                Token::One | Token::Any => true,
                Token::Element => is_element,
                Token::Exactly(name) if is_element => {
                    let wanted = name.parse().ok().filter(|_| name == "0" || !name.starts_with(['0', '+']));
                    wanted.is_some_and(|wanted: usize| self.index_of(tape, parent, index, bound).is_none_or(|is| is == wanted))
                }
                Token::Exactly(name) => is_named(Value::new(doc, tape, index - 1), name),
            });
            if reached == 0 {
                return false;
            }
        }
        pattern.is_at_end(reached)
    }

    /// The index of an array's element, counted from the one that was counted last where that stands before it. `None`: to
    /// count on would pass the bound.
    fn index_of(&mut self, tape: &Tape, array: u32, element: u32, bound: usize) -> Option<usize> {
        let place = self.counted.iter().position(|known| known.is_some_and(|(known, ..)| known == array));
        let known = place.and_then(|place| self.counted[place]).filter(|&(_, from, _)| from <= element);
        let (mut at, mut index) =
            known.map_or_else(|| (array + 1, tape.elements_before(array)), |(_, from, index)| (from, index));
        while at < element {
            self.steps += 1;
            if self.steps > bound {
                return None;
            }
            at = tape.node(at).next;
            index += 1;
        }
        let place = place.unwrap_or_else(|| {
            self.counted.rotate_right(1);
            0
        });
        self.counted[place] = Some((array, element, index));
        Some(index)
    }
}

/// Whether a name of the document is this one, however it is escaped; without reading more of it than the name's length allows.
fn is_named(key: Value<'_>, name: &str) -> bool {
    let raw = key.raw();
    // The longest escape, `\u0041`, writes one byte in six.
    raw == name.as_bytes() && !raw.contains(&b'\\') || raw.len() <= name.len() * 6 && raw.contains(&b'\\') && key.text() == name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::Bounds;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { depth_max: 512, nodes_max: 4_000_000, refuse_duplicates: false };

    /// The pointers of the leaves at which a pattern matches.
    fn places(pattern: &str, doc: &str) -> Vec<String> {
        let pattern = PointerPattern::parse(pattern).unwrap();
        let mut tape = Tape::new();
        tape.parse(doc.as_bytes(), &BOUNDS).unwrap();
        let mut leaves = Vec::new();
        crate::all_leaves(&tape, &mut leaves);
        let mut places = Places::default();
        places.begin(Ground::Document);
        let pointer = |leaf: &u32| tape.at(doc.as_bytes(), *leaf).pointer();
        let patterns = [pattern];
        // Backwards too: the scan goes over a document more than once.
        let mut backwards: Vec<u32> = leaves.iter().rev().copied().collect();
        backwards.retain(|&leaf| places.match_at(&patterns, doc.as_bytes(), &tape, leaf));
        leaves.retain(|&leaf| places.match_at(&patterns, doc.as_bytes(), &tape, leaf));
        assert_eq!(leaves, backwards.into_iter().rev().collect::<Vec<_>>());
        for index in 0..tape.len() {
            let pointer = pointer(&index);
            let is_container = matches!(tape.node(index).kind, Kind::Object | Kind::Array);
            let matches = places.match_at(&patterns, doc.as_bytes(), &tape, index);
            assert!(is_container || patterns[0].matches_text(&pointer, false) == matches, "{pointer}");
        }
        leaves.iter().filter(|&&leaf| tape.node(leaf).kind != Kind::Key).map(pointer).collect()
    }

    #[test]
    fn stars_stand_for_tokens() {
        let doc = r#"{"a":{"b":[{"c":"x","d":"y"},{"c":"z"},["w"]],"":"e","s/t~":"f"},"b":"g"}"#;
        let all = ["/a/b/0/c", "/a/b/0/d", "/a/b/1/c", "/a/b/2/0", "/a/", "/a/s~1t~0", "/b"];
        assert_eq!(places("/**", doc), all);
        assert_eq!(places("/a/**", doc), all[..6]);
        assert_eq!(places("/a/b/*/c", doc), ["/a/b/0/c", "/a/b/1/c"]);
        assert_eq!(places("/**/c", doc), ["/a/b/0/c", "/a/b/1/c"]);
        assert_eq!(places("/**/b", doc), ["/b"]);
        assert_eq!(places("/**/b/**/*", doc), all[..4]);
        assert_eq!(places("/a/b/1/*", doc), ["/a/b/1/c"]);
        assert_eq!(places("/a/b/01/*", doc), Vec::<String>::new());
        assert_eq!(places("/a/", doc), ["/a/"]);
        assert_eq!(places("/a/s~1t~0", doc), ["/a/s~1t~0"]);
        assert_eq!(places("/a", doc), Vec::<String>::new());
        assert_eq!(places("/\u{e9}", "{\"\\u00e9\":\"x\"}"), ["/\u{e9}"]);
    }

    /// What the definition says, by trying everything.
    fn defined(pattern: &[&str], pointer: &[&str]) -> bool {
        match (pattern.split_first(), pointer.split_first()) {
            (None, _) => pointer.is_empty(),
            (Some((&"**", rest)), _) => (0..=pointer.len()).any(|skipped| defined(rest, &pointer[skipped..])),
            (Some(_), None) => false,
            (Some((token, rest)), Some((name, below))) => (*token == "*" || token == name) && defined(rest, below),
        }
    }

    fn document(depth: u32) -> impl Strategy<Value = serde_json::Value> {
        let leaf = (0u8..9).prop_map(serde_json::Value::from);
        leaf.prop_recursive(depth, 40, 5, |inner| {
            let object = prop::collection::btree_map("[ab01/~*]{0,2}", inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(serde_json::Value::from),
                object.prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn patterns_match_what_the_definition_says(doc in document(5), pattern in "(/(a|b|0|1|2|ab|~0|~1|\\*|\\*\\*)){1,6}") {
            let text = doc.to_string();
            let mut tape = Tape::new();
            tape.parse(text.as_bytes(), &BOUNDS).unwrap();
            let tokens: Vec<&str> = pattern.split('/').skip(1).collect();
            let expected = |pointer: &str| defined(&tokens, &pointer.split('/').skip(1).collect::<Vec<_>>());
            let mut all = Vec::new();
            crate::all_leaves(&tape, &mut all);
            all.retain(|&leaf| tape.node(leaf).kind != Kind::Key);
            let pointers = all.iter().map(|&leaf| tape.at(text.as_bytes(), leaf).pointer());
            let expected: Vec<String> = pointers.filter(|pointer| expected(pointer)).collect();
            prop_assert_eq!(places(&pattern, &text), expected);
        }
    }

    #[test]
    fn a_pattern_goes_into_the_elements_of_a_batch() {
        let pattern = PointerPattern::parse("/result/*").unwrap().in_elements();
        assert!(pattern.matches_text("/0/result/x", false) && !pattern.matches_text("/result/x", false));
        assert!(!pattern.matches_text("/result/result/x", false));
    }

    #[test]
    fn of_a_cut_pointer_the_rest_is_taken_to_match() {
        let pattern = PointerPattern::parse("/result/rows/*/email").unwrap();
        assert!(pattern.matches_text("/result/rows/1", true) && !pattern.matches_text("/result/rows/1", false));
        assert!(pattern.matches_text("/result/rows/1/ema", true) && !pattern.matches_text("/result/lines/1/ema", true));
    }

    #[test]
    fn faults_are_told_apart() {
        let fault = |text: &str| PointerPattern::parse(text).unwrap_err();
        assert_eq!(fault(""), PointerFault::Empty);
        assert_eq!(fault("a/b"), PointerFault::NoSlash);
        assert_eq!(fault(&"/a".repeat(33)), PointerFault::TooManyTokens(33));
        assert_eq!(fault(&format!("/{}", "a".repeat(257))), PointerFault::TokenTooLong(257));
        assert_eq!(fault("/a~2"), PointerFault::Tilde("a~2".to_owned()));
        assert_eq!(fault("/x/mail*"), PointerFault::PartOfToken("mail*".to_owned()));
        assert!(PointerPattern::parse(&"/**".repeat(32)).unwrap().matches_text("/a/b", false));
    }

    /// In an array of arrays each leaf's index would be counted from the start again and again.
    #[test]
    fn beyond_the_bound_a_pattern_matches() {
        let depth = 400;
        let doc = format!("{}{}\"x\"{}", "[".repeat(depth), "\"a\",".repeat(2000), "]".repeat(depth));
        let pattern = [PointerPattern::parse("/**/none").unwrap()];
        let mut tape = Tape::new();
        tape.parse(doc.as_bytes(), &BOUNDS).unwrap();
        let mut places = Places::default();
        places.begin(Ground::Document);
        let first = depth as u32;
        assert!(!places.match_at(&pattern, doc.as_bytes(), &tape, first));
        let matched = (first..first + 2000).filter(|&leaf| places.match_at(&pattern, doc.as_bytes(), &tape, leaf)).count();
        assert!((1..2000).contains(&matched), "{matched} of 2000");
        assert!(places.steps <= STEPS_LEAST + (tape.len() as usize) * STEPS_PER_NODE + 2 * depth);
        places.begin(Ground::Document);
        assert!(!places.match_at(&pattern, doc.as_bytes(), &tape, first), "another document begins anew");
    }
}
