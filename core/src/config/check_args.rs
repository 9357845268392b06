//! Checks what a rule compares arguments with: it must be one thing, compile, and be able to hold.

use std::ops::Range as Span;

use regex::RegexBuilder;
use toml::Spanned;

use super::check::Checker;
use super::checked::ArgPredicate;
use super::problem::nearest;
use super::raw::{RawArg, RawPath, RawRange, RawShell, RawSql, RawUrl, Text};
use crate::policy::facts::{path, shell, sql};
use crate::policy::pattern::{CommandPattern, NamePattern};
use crate::policy::predicate::{ArgTest, PathTest, Range, ShellTest, SqlTest, UrlTest};
use crate::policy::{Glob, Path};

/// Bytes of a compiled regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// One condition of a rule.
pub(super) struct OneArg<'c, 'p, 't, 'r> {
    pub checker: &'c mut Checker<'p, 't>,
    pub key: String,
    pub raw: &'r RawArg,
    /// Whether the rule permits where it holds.
    pub permits: bool,
}

impl OneArg<'_, '_, '_, '_> {
    fn add(&mut self, span: Span<usize>, field: &str, message: impl Into<String>, hint: impl Into<String>) {
        let key = if field.is_empty() { self.key.clone() } else { format!("{}.{field}", self.key) };
        self.checker.problems.add(span, key, message, hint);
    }

    pub fn check(mut self, span: Span<usize>) -> Option<ArgPredicate> {
        let raw = self.raw;
        let at = Path::parse(raw.at.get_ref()).ok();
        if at.is_none() {
            let hint = "write it like \"/sql\", \"/filters/*/value\" or \"/**\" (RFC 6901, `**` only at the end)";
            self.add(raw.at.span(), "at", "is not a path", hint);
        }
        let given = [
            raw.literal.is_some(),
            raw.glob.is_some(),
            raw.regex.is_some(),
            raw.one_of.is_some(),
            raw.range.is_some(),
            raw.sql.is_some(),
            raw.shell.is_some(),
            raw.url.is_some(),
            raw.path.is_some(),
        ];
        let count = given.iter().filter(|given| **given).count();
        if count != 1 {
            let hint = "give exactly one of `literal`, `glob`, `regex`, `in`, `range`, `sql`, `shell`, `url`, `path`";
            let message =
                if count == 0 { "does not say what to compare with" } else { "says more than one thing to compare with" };
            self.add(span, "", message, hint);
            return None;
        }
        let test = match raw {
            RawArg { literal: Some(value), .. } => self.leaves(std::slice::from_ref(value), span),
            RawArg { one_of: Some(values), .. } => self.leaves(values.get_ref(), values.span()),
            RawArg { glob: Some(glob), .. } => Some(ArgTest::Glob(Glob::new(glob.get_ref()))),
            RawArg { regex: Some(regex), .. } => self.regex(regex),
            RawArg { range: Some(range), .. } => self.range(range),
            RawArg { sql: Some(sql), .. } => self.sql(sql),
            RawArg { shell: Some(shell), .. } => self.shell(shell),
            RawArg { url: Some(url), .. } => self.url(url),
            RawArg { path: Some(path), .. } => self.path(path),
            _ => None,
        };
        Some(ArgPredicate { at: at?, test: test? })
    }

    fn leaves(&mut self, values: &[toml::Value], span: Span<usize>) -> Option<ArgTest> {
        let texts: Option<Vec<String>> = values
            .iter()
            .map(|value| match value {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Integer(number) => Some(number.to_string()),
                toml::Value::Boolean(flag) => Some(flag.to_string()),
                _ => None,
            })
            .collect();
        match texts {
            Some(texts) if !texts.is_empty() => Some(ArgTest::OneOf(texts)),
            Some(_) => {
                self.add(span, "", "is empty, so the rule can never match", "name a value");
                None
            }
            None => {
                self.add(span, "", "compares with a value that is not a leaf", "use strings, whole numbers, true or false");
                None
            }
        }
    }

    fn regex(&mut self, text: &Text) -> Option<ArgTest> {
        match RegexBuilder::new(text.get_ref()).size_limit(REGEX_BYTES_MAX).build() {
            Ok(regex) => Some(ArgTest::Regex(regex)),
            Err(error) => {
                let why = error.to_string();
                let message = format!("is not a regular expression: {}", why.lines().last().unwrap_or_default().trim());
                self.add(text.span(), "regex", message, "see the syntax of the Rust crate `regex`");
                None
            }
        }
    }

    fn range(&mut self, raw: &Spanned<RawRange>) -> Option<ArgTest> {
        let RawRange { min, max, or_unreadable } = raw.get_ref();
        let (least, most) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
        if min.is_none() && max.is_none() {
            self.add(raw.span(), "range", "bounds nothing", "give `min` or `max`");
            return None;
        }
        // Not a number is not in order with any.
        if !matches!(least.partial_cmp(&most), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)) {
            self.add(raw.span(), "range", "has no number in it, so the rule can never match", "let `min` be at most `max`");
            return None;
        }
        let or_unreadable = self.or_unreadable(or_unreadable.as_ref(), "range");
        Some(ArgTest::Range(Range { min: least, max: most, or_unreadable }))
    }

    fn sql(&mut self, raw: &Spanned<RawSql>) -> Option<ArgTest> {
        let RawSql { dialect, class, verbs, tables, functions, or_unreadable } = raw.get_ref();
        let dialect = self.named(dialect, "sql.dialect", &sql::Dialect::NAMED);
        let class = self.all_named(class.as_ref(), "sql.class", &sql::Class::NAMED);
        if class.is_none() && verbs.is_none() && tables.is_none() && functions.is_none() {
            self.add(raw.span(), "sql", "names nothing that SQL does", "give `class`, `verbs`, `tables` or `functions`");
        }
        if let Some(only) =
            raw.get_ref().class.as_ref().filter(|_| self.permits && class.as_deref() == Some(&[sql::Class::Unparsable]))
        {
            self.add(
                only.span(),
                "sql.class",
                "permits what cannot be read, so the rule can never match",
                "name classes that can be read",
            );
        }
        let verbs =
            self.texts(verbs.as_ref(), "sql.verbs").map(|verbs| verbs.iter().map(|verb| verb.to_ascii_uppercase()).collect());
        let tables = self.patterns(tables.as_ref(), "sql.tables", NamePattern::new);
        let functions = self.patterns(functions.as_ref(), "sql.functions", NamePattern::new);
        let or_unreadable = self.or_unreadable(or_unreadable.as_ref(), "sql");
        Some(ArgTest::Sql(SqlTest { dialect: dialect?, class, verbs, tables, functions, or_unreadable }))
    }

    fn shell(&mut self, raw: &Spanned<RawShell>) -> Option<ArgTest> {
        let RawShell { class, commands, or_unreadable } = raw.get_ref();
        let class = self.all_named(class.as_ref(), "shell.class", &shell::Class::NAMED);
        if class.is_none() && commands.is_none() {
            self.add(raw.span(), "shell", "names nothing that a shell runs", "give `class` or `commands`");
        }
        self.runnable(commands.as_ref(), or_unreadable.as_ref().is_none_or(|raw| *raw.get_ref()));
        let commands = self.patterns(commands.as_ref(), "shell.commands", CommandPattern::new);
        let or_unreadable = self.or_unreadable(or_unreadable.as_ref(), "shell");
        Some(ArgTest::Shell(ShellTest { class, commands, or_unreadable }))
    }

    fn url(&mut self, raw: &Spanned<RawUrl>) -> Option<ArgTest> {
        let RawUrl { scheme, host, port, or_unreadable } = raw.get_ref();
        if scheme.is_none() && host.is_none() && port.is_none() {
            self.add(raw.span(), "url", "names nothing of a URL", "give `scheme`, `host` or `port`");
        }
        let scheme = self
            .texts(scheme.as_ref(), "url.scheme")
            .map(|schemes| schemes.iter().map(|scheme| scheme.to_ascii_lowercase()).collect());
        let host = self.patterns(host.as_ref(), "url.host", Glob::new);
        let port = port.as_ref().map(|port| port.get_ref().clone());
        let or_unreadable = self.or_unreadable(or_unreadable.as_ref(), "url");
        Some(ArgTest::Url(UrlTest { scheme, host, port, or_unreadable }))
    }

    fn path(&mut self, raw: &Spanned<RawPath>) -> Option<ArgTest> {
        let RawPath { under, or_unreadable } = raw.get_ref();
        let mut dirs = Vec::new();
        if under.get_ref().is_empty() {
            self.add(under.span(), "path.under", "is empty, so the rule can never match", "name a directory");
        }
        for dir in under.get_ref() {
            match path::read(dir.get_ref()) {
                Some(clean) => dirs.push(clean),
                None => self.add(
                    dir.span(),
                    "path.under",
                    "is not an absolute directory",
                    "write it like \"/srv/data\", without `..`",
                ),
            }
        }
        let or_unreadable = self.or_unreadable(or_unreadable.as_ref(), "path");
        Some(ArgTest::Path(PathTest { under: dirs, or_unreadable }))
    }

    /// What cannot be read blocks unless the rule says otherwise, and never permits.
    fn or_unreadable(&mut self, raw: Option<&Spanned<bool>>, field: &str) -> bool {
        if let Some(raw) = raw.filter(|_| self.permits) {
            let hint = "remove the key: what cannot be read never permits";
            self.add(raw.span(), &format!("{field}.or_unreadable"), "says nothing in a rule that permits", hint);
        }
        raw.is_none_or(|raw| *raw.get_ref())
    }

    fn named<T: Copy>(&mut self, text: &Text, field: &str, known: &[(&'static str, T)]) -> Option<T> {
        let found = known.iter().find(|(name, _)| name == text.get_ref()).map(|(_, value)| *value);
        if found.is_none() {
            let hint = match nearest(text.get_ref(), known.iter().map(|(name, _)| *name)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => {
                    format!("use one of {}", known.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", "))
                }
            };
            self.add(text.span(), field, "is not known", hint);
        }
        found
    }

    fn all_named<T: Copy>(
        &mut self,
        raw: Option<&Spanned<Vec<Text>>>,
        field: &str,
        known: &[(&'static str, T)],
    ) -> Option<Vec<T>> {
        let raw = self.not_empty(raw, field)?;
        Some(raw.iter().filter_map(|text| self.named(text, field, known)).collect())
    }

    fn texts(&mut self, raw: Option<&Spanned<Vec<Text>>>, field: &str) -> Option<Vec<String>> {
        Some(self.not_empty(raw, field)?.iter().map(|text| text.get_ref().clone()).collect())
    }

    fn patterns<T>(&mut self, raw: Option<&Spanned<Vec<Text>>>, field: &str, new: fn(&str) -> T) -> Option<Vec<T>> {
        Some(self.not_empty(raw, field)?.iter().map(|text| new(text.get_ref())).collect())
    }

    /// Commands that make any line dynamic are never known, so a pattern of one takes nothing. Where what is dynamic is stopped anyhow it may
    /// stand, as a word to whoever reads the rule.
    fn runnable(&mut self, commands: Option<&Spanned<Vec<Text>>>, stops_dynamic: bool) {
        if !self.permits && stops_dynamic {
            return;
        }
        for text in commands.into_iter().flat_map(Spanned::get_ref) {
            let name = text.get_ref().split(' ').next().unwrap_or_default();
            if Glob::new(name).is_literal() && shell::is_always_dynamic(name) {
                let message = format!("can never match: a line with the command {name:?} is always dynamic");
                let hint = "it runs what its words or files name; take it out, or give it a tool of its own";
                self.add(text.span(), "shell.commands", message, hint);
            }
        }
    }

    fn not_empty<'v>(&mut self, raw: Option<&'v Spanned<Vec<Text>>>, field: &str) -> Option<&'v [Text]> {
        let raw = raw?;
        if raw.get_ref().is_empty() {
            self.add(raw.span(), field, "is empty, so the rule can never match", "name something, or remove the key");
        }
        Some(raw.get_ref())
    }
}
