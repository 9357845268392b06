//! What a rule reads from the commands in a call's arguments, in words, for people who decide about the call.
//!
//! Invariant: it is read by the same readers that the rule decides by; what they cannot read is said to be unreadable, never left out.

use std::collections::BTreeSet;
use std::fmt::Display;

use sluicegate_dlp::json::Value;

use super::Policy;
use super::facts::{path, shell, sql, url};
use super::predicate::ArgTest;

/// Commands of one call that are told of; the rest is said to be left off.
pub const COMMANDS_MAX: usize = 32;

/// What was read from one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The language, as `SQL (postgres)`.
    pub language: String,
    /// The command.
    pub command: String,
    /// What it does: a name, and what there is of it.
    pub facts: Vec<(&'static str, String)>,
}

impl Policy {
    /// What a rule reads from a call's arguments, and whether commands were left off. Nothing where the rule reads no commands, or is no
    /// longer there.
    pub fn told(&self, rule: &str, arguments: Value<'_>) -> (Vec<Told>, bool) {
        let Some(rule) = self.by_rank().iter().find(|one| one.id == rule) else { return (Vec::new(), false) };
        let (mut told, mut is_cut) = (Vec::new(), false);
        for predicate in &rule.args {
            // Every leaf is looked at, so the walk must find none.
            predicate.at.any(arguments, &mut |text| {
                if told.len() >= COMMANDS_MAX {
                    is_cut = true;
                } else if let Some(one) = read(&predicate.test, text).filter(|one| !told.contains(one)) {
                    told.push(one);
                }
                is_cut
            });
        }
        (told, is_cut)
    }
}

fn read(test: &ArgTest, text: &str) -> Option<Told> {
    let (language, facts) = match test {
        ArgTest::Sql(test) => {
            (format!("SQL ({})", name(&sql::Dialect::NAMED, &test.dialect)), of_sql(&sql::read(test.dialect, text)))
        }
        ArgTest::Shell(_) => ("shell".to_owned(), of_shell(&shell::read(text))),
        ArgTest::Url(_) => ("URL".to_owned(), of_url(url::read(text))),
        ArgTest::Path(_) => {
            let leads = path::read(text).unwrap_or_else(|| "unreadable: systems differ about it, or it leads upwards".to_owned());
            ("path".to_owned(), vec![("leads to", leads)])
        }
        ArgTest::OneOf(_) | ArgTest::Glob(_) | ArgTest::Regex(_) | ArgTest::Range(_) => return None,
    };
    Some(Told { language, command: text.to_owned(), facts })
}

/// The name that rules use for something.
fn name<T: PartialEq>(named: &[(&'static str, T)], what: &T) -> &'static str {
    named.iter().find(|(_, one)| one == what).map_or("", |(name, _)| name)
}

fn of_sql(facts: &sql::Facts) -> Vec<(&'static str, String)> {
    if facts.is_unparsable() {
        return vec![("class", "unparsable: nobody can say what it does".to_owned())];
    }
    let classes: BTreeSet<&str> = facts.classes.iter().map(|class| name(&sql::Class::NAMED, class)).collect();
    let all = [
        ("class", joined(classes)),
        ("verbs", joined(&facts.verbs)),
        ("tables", joined(&facts.tables)),
        ("functions", joined(&facts.functions)),
    ];
    all.into_iter().filter(|(_, told)| !told.is_empty()).collect()
}

fn of_shell(facts: &shell::Facts) -> Vec<(&'static str, String)> {
    match facts.class {
        shell::Class::Dynamic => vec![("class", "dynamic: what it runs is only known when it runs".to_owned())],
        shell::Class::Static => {
            let commands = facts.commands.iter().map(|command| ("runs", command.clone()));
            std::iter::once(("class", "static".to_owned())).chain(commands).collect()
        }
    }
}

fn of_url(facts: Option<url::Facts>) -> Vec<(&'static str, String)> {
    match facts {
        None => vec![("host", "unreadable: clients differ about it".to_owned())],
        Some(url::Facts { scheme, host, port, .. }) => {
            let port = port.map(|port| ("port", port.to_string()));
            [("scheme", scheme), ("host", host)].into_iter().chain(port).collect()
        }
    }
}

fn joined<T: Display>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}
