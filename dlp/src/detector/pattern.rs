//! A detector's pattern and what else must be true of a value: the confirmer of detectors that are written as data.
//!
//! Invariant: a match is looked for at one place only, in a window that the pattern bounds; nothing here searches.

use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::OnceLock;

use regex_automata::hybrid::dfa as hybrid;
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson;
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, literal};

use crate::detector::{Confirmed, Place, Sight, before};
use crate::fronts::text::Text;
use crate::names::assignment;
use crate::validate::Validator;

/// Bytes of a compiled pattern; a larger one is refused.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Bytes of states that an automaton keeps for one thread.
const CACHE_BYTES_MAX: usize = 64 << 10;
/// Bytes behind a place that a pattern may match.
const WINDOW_BYTES_MAX: usize = 8192;
/// Literals that one pattern may begin with.
const LITERALS_MAX: usize = 64;
/// Bytes a literal must have to be looked for.
pub(crate) const LITERAL_BYTES_MIN: usize = 3;
/// A literal this long may stand within a word; a shorter one begins it.
const LITERAL_BYTES_DISTINCT: usize = 5;
/// Bytes before a value in which a context word counts.
const CONTEXT_BYTES: usize = 128;

/// A pattern and its conditions.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    case_any: bool,
    regex: OnceLock<Option<Regex>>,
    /// The same, up to the end of what it is matched with.
    whole: OnceLock<Option<Regex>>,
    /// The same, to see whether a text that is not whole may go on.
    automaton: OnceLock<Option<Automaton>>,
    /// Whether the literal it begins with is too short to stand within a word.
    pub(crate) begins_word: bool,
    /// Whether the value is assigned to a name, so that it does not begin with a literal.
    pub(crate) is_assigned: bool,
    /// How many bytes of the value may stand before the literal; empty where the literal begins it.
    pub(crate) leads: Vec<usize>,
    pub(crate) entropy_min: f32,
    pub(crate) confidence: f32,
    pub(crate) validator: Option<Validator>,
    /// Words of which one must stand before the value or in its name.
    pub(crate) context: Vec<String>,
    /// Whether a value that only holds the place of a secret is refused.
    pub(crate) refuses_fillers: bool,
}

/// Makes an automaton's memory.
type MakeCache = Box<dyn Fn() -> hybrid::Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// A lazy automaton and the memory of those who run it, because making that anew costs more than most runs.
#[derive(Debug)]
struct Automaton {
    dfa: hybrid::DFA,
    caches: Pool<hybrid::Cache, MakeCache>,
}

impl Automaton {
    fn of(dfa: hybrid::DFA) -> Self {
        let own = dfa.clone();
        Automaton { dfa, caches: Pool::new(Box::new(move || own.create_cache())) }
    }
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PatternError {
    Syntax(String),
    Unbounded,
    TooLarge,
    Literal,
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PatternError::Syntax(error) => write!(f, "is not a regular expression: {error}"),
            PatternError::Unbounded => {
                write!(f, "may match more than {WINDOW_BYTES_MAX} bytes; bound its repeats, like {{20,200}}")
            }
            PatternError::TooLarge => f.write_str("compiles to more than a MiB; bound its repeats closer"),
            PatternError::Literal => write!(
                f,
                "does not begin with a text of {LITERAL_BYTES_MIN} characters or more; add `near`, `names` or `shapes`, which say where to look"
            ),
        }
    }
}

impl Pattern {
    pub(crate) fn new(text: &str, case_any: bool) -> Result<Self, PatternError> {
        let longest = parse(text, case_any)?.properties().maximum_len();
        if longest.is_none_or(|longest| longest > WINDOW_BYTES_MAX) {
            return Err(PatternError::Unbounded);
        }
        Ok(Pattern {
            text: text.to_owned(),
            case_any,
            regex: OnceLock::new(),
            whole: OnceLock::new(),
            automaton: OnceLock::new(),
            begins_word: false,
            is_assigned: false,
            leads: Vec::new(),
            entropy_min: 0.0,
            confidence: 0.9,
            validator: None,
            context: Vec::new(),
            refuses_fillers: false,
        })
    }

    /// Compiles it now, so that its size is known; otherwise the first candidate does.
    pub(crate) fn compile(&self) -> Result<(), PatternError> {
        if self.regex(false).is_some() && self.regex(true).is_some() { Ok(()) } else { Err(PatternError::TooLarge) }
    }

    /// The texts of which every match begins with one.
    pub(crate) fn literals(&mut self) -> Result<Vec<String>, PatternError> {
        let mut extractor = literal::Extractor::new();
        extractor.kind(literal::ExtractKind::Prefix).limit_class(24).limit_repeat(4).limit_total(LITERALS_MAX);
        let mut found = extractor.extract(&parse(&self.text, false)?);
        found.keep_first_bytes(24);
        found.minimize_by_preference();
        let literals = found.literals().ok_or(PatternError::Literal)?;
        let texts: Option<Vec<String>> =
            literals.iter().map(|literal| std::str::from_utf8(literal.as_bytes()).ok().map(str::to_owned)).collect();
        let texts = texts.filter(|texts| !texts.is_empty() && texts.iter().all(|text| text.len() >= LITERAL_BYTES_MIN));
        let texts = texts.ok_or(PatternError::Literal)?;
        self.begins_word = texts.iter().any(|text| text.len() < LITERAL_BYTES_DISTINCT);
        Ok(texts)
    }

    fn regex(&self, is_whole: bool) -> Option<&Regex> {
        let (regex, text) = match is_whole {
            true => (&self.whole, format!("(?:{})\\z", self.text)),
            false => (&self.regex, self.text.clone()),
        };
        let build = || {
            let config = Regex::config().utf8_empty(false).nfa_size_limit(Some(COMPILED_BYTES_MAX));
            let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(self.case_any);
            Regex::builder().configure(config).syntax(syntax).build(&text).ok()
        };
        regex.get_or_init(build).as_ref()
    }

    /// Where a match that begins at `start` ends, and the value in it.
    fn match_at(&self, text: Text<'_>, start: usize) -> Option<(Range<usize>, usize)> {
        if text.is_open() && self.may_go_on(text.known(), start) {
            text.depends_on_more();
        }
        self.match_in(text.known(), start, false)
    }

    /// Whether what stands from `start` to the end of a text may be the beginning of a match that is longer, or of one at all.
    fn may_go_on(&self, text: &[u8], start: usize) -> bool {
        let Some(rest) = text.get(start..).filter(|rest| rest.len() < WINDOW_BYTES_MAX) else { return false };
        let build = || {
            let config = hybrid::DFA::config().skip_cache_capacity_check(true).cache_capacity(CACHE_BYTES_MAX);
            let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(self.case_any);
            let thompson = thompson::Config::new().utf8(false).nfa_size_limit(Some(COMPILED_BYTES_MAX));
            hybrid::DFA::builder().configure(config).syntax(syntax).thompson(thompson).build(&self.text).ok().map(Automaton::of)
        };
        // Without an automaton everything may go on.
        let Some(automaton) = self.automaton.get_or_init(build).as_ref() else { return true };
        let (automaton, mut cache) = (&automaton.dfa, automaton.caches.get());
        let Ok(mut state) = automaton.start_state_forward(&mut cache, &Input::new(rest).anchored(Anchored::Yes)) else {
            return true;
        };
        for &byte in rest {
            match automaton.next_state(&mut cache, state, byte) {
                Ok(next) if next.is_dead() => return false,
                Ok(next) => state = next,
                Err(_) => return true,
            }
        }
        true
    }

    fn match_in(&self, text: &[u8], start: usize, is_whole: bool) -> Option<(Range<usize>, usize)> {
        let regex = self.regex(is_whole)?;
        // Behind nothing but spaces there is nothing.
        if start >= text.len() {
            return None;
        }
        let window = start..text.len().min(start + WINDOW_BYTES_MAX);
        let input = Input::new(text).range(window).anchored(Anchored::Yes);
        // Most candidates are none, which is known without memory for groups.
        let end = regex.search_half(&input)?.offset();
        if regex.captures_len() == 1 {
            return Some((start..end, end));
        }
        let mut captures = regex.create_captures();
        regex.search_captures(&input, &mut captures);
        let whole = captures.get_match()?;
        let group = (1..captures.group_len()).find_map(|group| captures.get_group(group))?;
        Some((group.range(), whole.end()))
    }

    /// Says what stands at a place.
    pub(crate) fn confirm(&self, place: &Place<'_>) -> Confirmed {
        let text = place.text;
        match place.seen {
            Sight::Name => {
                let whole = text.whole();
                let start = whole.len() - whole.trim_ascii_start().len();
                let (value, _) = self.match_in(whole.trim_ascii_end(), start, true)?;
                self.judge(place, value)
            }
            Sight::Literal { length, .. } if self.is_assigned => {
                if !is_word_of_name(text, place.at.checked_sub(length)?, place.at) {
                    return None;
                }
                let is_proof = self.validator.is_some() || !self.refuses_fillers;
                let starts = place.starts.get().filter(|(known, _)| *known == is_proof).map(|(_, starts)| starts);
                let starts = starts.unwrap_or_else(|| assignment::values_after(text, place.at, is_proof));
                place.starts.set(Some((is_proof, starts)));
                starts.into_iter().flatten().find_map(|start| {
                    let (value, end) = self.match_at(text, start)?;
                    ends_alone(text, end).then(|| self.judge(place, value)).flatten()
                })
            }
            Sight::Literal { length, .. } if !self.leads.is_empty() => {
                let anchor = place.at.checked_sub(length)?;
                self.leads.iter().find_map(|lead| {
                    let start = anchor.checked_sub(*lead)?;
                    let (value, end) = self.match_at(text, start)?;
                    let is_alone = ends_alone(text, end) && begins_alone(text, start);
                    is_alone.then(|| self.judge(place, value)).flatten()
                })
            }
            Sight::Literal { length, .. } => {
                let start = place.at.checked_sub(length)?;
                if self.begins_word && before(text, start).is_some_and(u8::is_ascii_alphanumeric) {
                    return None;
                }
                let (value, end) = self.match_at(text, start)?;
                ends_alone(text, end).then(|| self.judge(place, value)).flatten()
            }
            _ => {
                let (value, end) = self.match_at(text, place.at)?;
                stands_alone(text, place.at, end).then(|| self.judge(place, value)).flatten()
            }
        }
    }

    /// What must be true of a value besides its form.
    fn judge(&self, place: &Place<'_>, value: Range<usize>) -> Confirmed {
        let bytes = place.text.get(value.clone())?;
        if self.refuses_fillers && (is_filler(bytes) || is_placeholder(bytes))
            || self.is_assigned && self.refuses_fillers && is_identifier(bytes)
            || self.entropy_min > 0.0 && entropy(bytes) < self.entropy_min
        {
            return None;
        }
        if let Some(validator) = self.validator {
            let mut plain: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
            if !validator.keeps_case {
                plain.make_ascii_uppercase();
            }
            if !(validator.is_valid)(&plain) {
                return None;
            }
        }
        let is_in_context = self.context.is_empty() || place.seen == Sight::Name || self.has_context(place, value.start);
        is_in_context.then_some((value, self.confidence))
    }

    fn has_context(&self, place: &Place<'_>, start: usize) -> bool {
        let head = place.text[start.saturating_sub(CONTEXT_BYTES)..start].to_ascii_lowercase();
        let name = place.name.to_ascii_lowercase();
        self.context.iter().any(|word| memchr::memmem::find(&head, word.as_bytes()).is_some() || name.contains(word))
    }
}

fn parse(text: &str, case_any: bool) -> Result<Hir, PatternError> {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).case_insensitive(case_any).build();
    parser
        .parse(text)
        .map_err(|error| PatternError::Syntax(error.to_string().lines().last().unwrap_or_default().trim().to_owned()))
}

/// Letters of a word that is distinct enough to go on in another: `geocode` in `geocodeio`.
const WORD_BYTES_DISTINCT: usize = 6;

/// Whether a text within a name is a word of it: it begins where a word begins, and unless it is distinct ends where one ends or is
/// followed by what says that a secret comes.
fn is_word_of_name(text: Text<'_>, start: usize, end: usize) -> bool {
    let begins = match (before(text, start), text.get(start)) {
        (Some(b), Some(first)) if b.is_ascii_lowercase() => first.is_ascii_uppercase(),
        // `-Dname=` defines a name.
        (Some(b'D'), _) if start >= 2 && text[start - 2] == b'-' => true,
        (Some(b), Some(_)) if b.is_ascii_uppercase() => text.get(start + 1).is_some_and(u8::is_ascii_lowercase),
        _ => true,
    };
    // In capitals a word goes on in capitals: `PHONE` in `PHONET` is none.
    let is_capital = |at: usize| text.get(at).is_some_and(u8::is_ascii_uppercase);
    let goes_on =
        text.get(end).is_some_and(u8::is_ascii_lowercase) || is_capital(end - 1) && is_capital(start + 1) && is_capital(end);
    begins && (!goes_on || end - start >= WORD_BYTES_DISTINCT || assignment::begins_secret(text.window(end, 8)))
}

/// Whether what begins at `start` is not the end of something longer: digits do not follow on digits, nor letters on letters.
fn begins_alone(text: Text<'_>, start: usize) -> bool {
    let (Some(before), Some(first)) = (before(text, start), text.get(start)) else { return true };
    !(before.is_ascii_digit() && first.is_ascii_digit() || before.is_ascii_alphabetic() && first.is_ascii_alphabetic())
}

/// Whether what ends at `end` is not the beginning of something longer.
fn ends_alone(text: Text<'_>, end: usize) -> bool {
    let joins = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    // What follows matters only behind what it could join.
    !joins(before(text, end)) || !joins(text.get(end))
}

/// Whether a number is not part of a longer one, of a word, an identifier or a fraction.
pub(crate) fn stands_alone(text: Text<'_>, start: usize, end: usize) -> bool {
    let joins = |near: Option<&u8>, far: Option<&u8>| match near {
        Some(b) if b.is_ascii_alphanumeric() || *b == b'_' => true,
        Some(b'-' | b'.' | b'/') => far.is_some_and(u8::is_ascii_alphanumeric),
        _ => false,
    };
    let far = |at: usize| at.checked_sub(2).and_then(|at| text.get(at));
    !joins(before(text, start), far(start)) && !joins(text.get(end), text.get(end + 1))
}

/// Shannon entropy in bits a byte.
pub(crate) fn entropy(bytes: &[u8]) -> f32 {
    let mut counts = [0u32; 256];
    bytes.iter().for_each(|&b| counts[usize::from(b)] += 1);
    let length = bytes.len().max(1) as f32;
    let share = |count: &u32| *count as f32 / length;
    counts.iter().filter(|&&count| count > 0).map(share).map(|share| -share * share.log2()).sum()
}

/// Whether a text only holds the place of a secret: mostly one of the characters that people fill in.
pub(crate) fn is_filler(bytes: &[u8]) -> bool {
    // The beginning tells; hostile text makes candidates of any length.
    let bytes = &bytes[..bytes.len().min(64)];
    let is_one = bytes.len() > 4 && bytes.iter().all(|b| *b == bytes[0]);
    let most = b"xX*.0-#_".iter().map(|filler| bytes.iter().filter(|&b| b == filler).count()).max().unwrap_or(0);
    is_one || most * 2 > bytes.len()
}

/// Whether a value is what manuals write in the place of one: a user whose password says that it is one.
fn is_placeholder(bytes: &[u8]) -> bool {
    let passwords: [&[u8]; 9] =
        [b"pass", b"password", b"passwd", b"pwd", b"secret", b"opensesame", b"open sesame", b"yourpassword", b"bar"];
    let password = bytes.iter().rposition(|b| *b == b':').map_or(&[][..], |colon| &bytes[colon + 1..]);
    bytes.len() <= 64 && passwords.iter().any(|word| password.eq_ignore_ascii_case(word))
}

/// Whether a long value looks like a name in a program rather than like something random: words with hardly a digit.
pub(crate) fn is_identifier(bytes: &[u8]) -> bool {
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let is_name = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
    // A pair like `cafebabe:deadbeef` is one of digits of base 16, though all of them are letters.
    let is_hex = bytes.split(|b| *b == b':').all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_hexdigit));
    let upper = bytes.iter().filter(|b| b.is_ascii_uppercase()).count();
    let is_constant = bytes.contains(&b'_') && !bytes.iter().any(u8::is_ascii_lowercase);
    // Words begin with a capital at most, where random letters are one half of each.
    let is_of_words = digits * 16 < bytes.len() && upper * 4 < bytes.len();
    bytes.len() >= 12 && is_name && !is_hex && (is_of_words || is_constant && digits * 5 < bytes.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn literals_come_out_of_alternations() {
        let mut literals = Pattern::new("(?:sk|rk)_(?:live|test)_[0-9a-z]{16,99}", false).unwrap().literals().unwrap();
        literals.sort();
        assert_eq!(literals, ["rk_live_", "rk_test_", "sk_live_", "sk_test_"]);
        assert_eq!(Pattern::new("[0-9a-f]{32}", false).unwrap().literals(), Err(PatternError::Literal));
        assert_eq!(Pattern::new("ab+", false).err(), Some(PatternError::Unbounded));
        assert!(matches!(Pattern::new("a(b", false).err(), Some(PatternError::Syntax(_))));
    }

    /// Of a text that ends anywhere: where a match is said not to go on, the whole text has the same match; and both are those of another
    /// engine.
    #[test]
    fn what_may_not_go_on_is_what_the_whole_has() {
        let catalogue = crate::Catalogue::built_in().unwrap();
        let mut settled = 0;
        for detector in catalogue.detectors() {
            let crate::detector::Confirm::Pattern(pattern) = &detector.confirm else { continue };
            let other = regex::bytes::RegexBuilder::new(&format!("^(?:{})", pattern.text));
            let other = other.clone().case_insensitive(pattern.case_any).unicode(false).build().unwrap();
            for example in detector.find.iter().take(2) {
                let (text, start) = (format!("{} and so on", example.text), example.value.start);
                let whole = pattern.match_in(text.as_bytes(), start, false);
                let expected = other.find(&text.as_bytes()[start..]).map(|found| start + found.end());
                assert_eq!(whole.clone().map(|(_, end)| end), expected, "{}: {text}", detector.id);
                for cut in start..text.len() {
                    let known = &text.as_bytes()[..cut];
                    if !pattern.may_go_on(known, start) {
                        assert_eq!(pattern.match_in(known, start, false), whole, "{}: {text} cut at {cut}", detector.id);
                        settled += 1;
                    }
                }
            }
        }
        assert!(settled > 1000, "{settled}");
    }

    #[test]
    fn fillers_and_entropy() {
        assert!(is_filler(b"xxxxxxxxxxxx") && is_filler(b"hf_xxxxxxxxxxxxxx") && !is_filler(b"00ab93xx"));
        assert!(entropy(b"aaaa") < 0.01 && (entropy(b"abcd") - 2.0).abs() < 0.01);
    }
}
