//! What a leaf of a call's arguments is compared with.
//!
//! Invariant: to permit, everything that a text does must lie within what a test names, and it must be readable; to block, anything within
//! it suffices, and so does being unreadable, unless the rule says otherwise.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use regex::Regex;

use super::Glob;
use super::facts::{path, shell, sql, url};
use super::pattern::{CommandPattern, NamePattern};

/// What follows where a test holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// The call is permitted.
    Permits,
    /// The call is blocked, or held for people.
    Stops,
}

/// A test.
pub enum ArgTest {
    /// One of these texts.
    OneOf(Vec<String>),
    /// A text of this shape.
    Glob(Glob),
    /// A text in which this is found.
    Regex(Regex),
    /// A number within these bounds, which belong to it.
    Range(Range),
    /// SQL that does this.
    Sql(SqlTest),
    /// Shell that runs this.
    Shell(ShellTest),
    /// A URL that points there.
    Url(UrlTest),
    /// A path that leads there.
    Path(PathTest),
}

/// Bounds of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least; minus infinity where none is given.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// Whether what is no number makes a blocking rule hold.
    pub or_unreadable: bool,
}

/// What SQL may do, or may not; what is not given does not matter.
pub struct SqlTest {
    /// The dialect.
    pub dialect: sql::Dialect,
    /// Classes.
    pub class: Option<Vec<sql::Class>>,
    /// Verbs, in capitals.
    pub verbs: Option<Vec<String>>,
    /// Relations.
    pub tables: Option<Vec<NamePattern>>,
    /// Functions.
    pub functions: Option<Vec<NamePattern>>,
    /// Whether what cannot be parsed makes a blocking rule hold.
    pub or_unreadable: bool,
}

/// What shell may run, or may not.
pub struct ShellTest {
    /// Classes.
    pub class: Option<Vec<shell::Class>>,
    /// Commands with their words, joined by single spaces.
    pub commands: Option<Vec<CommandPattern>>,
    /// Whether a dynamic text makes a blocking rule hold.
    pub or_unreadable: bool,
}

/// Where a URL may point, or may not.
pub struct UrlTest {
    /// Schemes.
    pub scheme: Option<Vec<String>>,
    /// Hosts. An address of IP is matched only by itself, not by a pattern.
    pub host: Option<Vec<Glob>>,
    /// Ports.
    pub port: Option<Vec<u16>>,
    /// Whether an opaque URL makes a blocking rule hold.
    pub or_unreadable: bool,
}

/// Where a path may lead, or may not.
pub struct PathTest {
    /// Directories, cleaned.
    pub under: Vec<String>,
    /// Whether a path that is not followed makes a blocking rule hold.
    pub or_unreadable: bool,
}

impl ArgTest {
    /// Whether a leaf's text satisfies the test.
    pub fn holds(&self, text: &str, polarity: Polarity) -> bool {
        match self {
            ArgTest::OneOf(texts) => texts.iter().any(|one| one == text),
            ArgTest::Glob(glob) => glob.matches(text),
            ArgTest::Regex(regex) => regex.is_match(text),
            ArgTest::Range(range) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => (range.min..=range.max).contains(&number),
                _ => polarity == Polarity::Stops && range.or_unreadable,
            },
            ArgTest::Sql(test) => test.holds(&sql_facts(test.dialect, text), polarity),
            ArgTest::Shell(test) => test.holds(&shell::read(text), polarity),
            ArgTest::Url(test) => test.holds(url::read(text).as_ref(), polarity),
            ArgTest::Path(test) => match path::read(text) {
                Some(path) => test.under.iter().any(|dir| path::is_under(&path, dir)),
                None => polarity == Polarity::Stops && test.or_unreadable,
            },
        }
    }
}

/// Whether what was found lies within what is named: all of it to permit, any of it to block.
fn within<T>(found: impl IntoIterator<Item = T>, polarity: Polarity, is_named: impl FnMut(T) -> bool) -> bool {
    let mut found = found.into_iter();
    match polarity {
        Polarity::Permits => found.all(is_named),
        Polarity::Stops => found.any(is_named),
    }
}

/// Whether names lie within what patterns take.
fn named(found: &BTreeSet<String>, patterns: Option<&Vec<NamePattern>>, polarity: Polarity) -> bool {
    patterns.is_none_or(|patterns| within(found, polarity, |name| patterns.iter().any(|pattern| pattern.takes(name, polarity))))
}

impl SqlTest {
    fn holds(&self, facts: &sql::Facts, polarity: Polarity) -> bool {
        let names_unparsable = self.class.as_ref().is_some_and(|class| class.contains(&sql::Class::Unparsable));
        if facts.is_unparsable() {
            return polarity == Polarity::Stops && (self.or_unreadable || names_unparsable);
        }
        let Self { class, verbs, tables, functions, .. } = self;
        class.as_ref().is_none_or(|named| within(&facts.classes, polarity, |class| named.contains(class)))
            && verbs.as_ref().is_none_or(|named| within(&facts.verbs, polarity, |verb| named.contains(verb)))
            && named(&facts.tables, tables.as_ref(), polarity)
            && named(&facts.functions, functions.as_ref(), polarity)
    }
}

impl ShellTest {
    fn holds(&self, facts: &shell::Facts, polarity: Polarity) -> bool {
        let names_class = self.class.as_ref().is_none_or(|class| class.contains(&facts.class));
        match (&self.commands, facts.class) {
            (None, shell::Class::Dynamic) if polarity == Polarity::Stops => names_class || self.or_unreadable,
            (Some(_), shell::Class::Dynamic) => polarity == Polarity::Stops && self.or_unreadable,
            (None, _) => names_class,
            (Some(commands), _) => {
                let is_named = |command: &String| commands.iter().any(|pattern| pattern.takes(command, polarity));
                names_class && within(&facts.commands, polarity, is_named)
            }
        }
    }
}

impl UrlTest {
    fn holds(&self, facts: Option<&url::Facts>, polarity: Polarity) -> bool {
        let Some(facts) = facts else { return polarity == Polarity::Stops && self.or_unreadable };
        let is_host =
            |glob: &Glob| glob.matches(&facts.host) && (!facts.is_address || glob.is_literal() || polarity == Polarity::Stops);
        self.scheme.as_ref().is_none_or(|named| named.contains(&facts.scheme))
            && self.host.as_ref().is_none_or(|named| named.iter().any(is_host))
            && self.port.as_ref().is_none_or(|named| facts.port.is_some_and(|port| named.contains(&port)))
            // To permit without naming hosts is not to permit addresses.
            && (self.host.is_some() || !facts.is_address || polarity == Polarity::Stops)
    }
}

/// Statements whose facts a thread remembers.
const REMEMBERED_MAX: usize = 1024;

/// What a thread remembers of statements: under a keyed hash, so no statement is kept.
struct Remembered {
    hashers: [ahash::RandomState; 2],
    facts: HashMap<(u64, u64), Rc<sql::Facts>>,
}

thread_local! {
    static REMEMBERED: RefCell<Remembered> = RefCell::new(Remembered {
        hashers: [ahash::RandomState::new(), ahash::RandomState::new()],
        facts: HashMap::new(),
    });
}

/// The facts of a statement. Agents say the same again and again, and several rules look at one text, so each is parsed once.
fn sql_facts(dialect: sql::Dialect, text: &str) -> Rc<sql::Facts> {
    REMEMBERED.with_borrow_mut(|remembered| {
        let [one, two] = &remembered.hashers;
        let key = (one.hash_one((dialect, text)), two.hash_one((dialect, text)));
        if let Some(facts) = remembered.facts.get(&key) {
            return Rc::clone(facts);
        }
        if remembered.facts.len() >= REMEMBERED_MAX {
            remembered.facts.clear();
        }
        let facts = Rc::new(sql::read(dialect, text));
        remembered.facts.insert(key, Rc::clone(&facts));
        facts
    })
}
