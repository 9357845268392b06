//! Whose word counts: a role or a group, of any issuer or of one.
//!
//! Invariant: a group of one issuer is never that of another, whatever their tokens say; which of the two is meant is settled when the
//! configuration is read, where the issuers are known.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A role or a group as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Group {
    /// Of this name, whoever vouches for it.
    Anywhere(String),
    /// Of this name, where this issuer vouches for it.
    Of {
        /// The issuer's name in the configuration.
        issuer: String,
        /// The name as the issuer's tokens have it.
        name: String,
    },
}

impl Group {
    /// Reads what a rule says. What stands before the first `:` is an issuer if `is_issuer` says so; else it belongs to the name.
    pub fn read(text: &str, is_issuer: impl Fn(&str) -> bool) -> Group {
        match text.split_once(':') {
            Some((issuer, name)) if is_issuer(issuer) => Group::Of { issuer: issuer.to_owned(), name: name.to_owned() },
            _ => Group::Anywhere(text.to_owned()),
        }
    }

    /// Whether somebody of an issuer who has these names belongs to it. Roles stand there as they are, groups as `issuer:group`.
    pub fn has(&self, issuer: &str, names: &[String]) -> bool {
        let wanted = match self {
            Group::Of { issuer: of, .. } if of != issuer => return false,
            Group::Anywhere(name) | Group::Of { name, .. } => name,
        };
        let is_wanted = |name: &String| {
            let group = name.strip_prefix(issuer).and_then(|rest| rest.strip_prefix(':'));
            name == wanted || group == Some(wanted)
        };
        names.iter().any(is_wanted)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Anywhere(name) => f.write_str(name),
            Group::Of { issuer, name } => write!(f, "{issuer}:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn r123_a_group_of_one_issuer_is_not_that_of_another() {
        let dba = Group::read("corp:dba", |issuer| ["corp", "lab"].contains(&issuer));
        assert_eq!(dba.to_string(), "corp:dba");
        // A role, and a group, of its own issuer.
        assert!(dba.has("corp", &names(&["dba"])) && dba.has("corp", &names(&["other", "corp:dba"])));
        // Another issuer's role of that very text, and a group there that was given it.
        assert!(!dba.has("lab", &names(&["corp:dba"])));
        assert!(!dba.has("lab", &names(&["lab:corp:dba"])));
        assert!(!dba.has("lab", &names(&["dba", "lab:dba"])));
    }

    #[test]
    fn r123_a_colon_that_follows_no_issuer_belongs_to_the_name() {
        let owners = Group::read("db:owner", |issuer| issuer == "corp");
        assert_eq!(owners, Group::Anywhere("db:owner".into()));
        assert!(owners.has("corp", &names(&["db:owner"])) && owners.has("lab", &names(&["lab:db:owner"])));
        assert!(!owners.has("db", &names(&["owner"])) && !owners.has("lab", &names(&["corp:db:owner"])));
    }

    #[test]
    fn a_group_is_kept_as_it_was_before_issuers_were_told_apart() {
        let (anywhere, of) = (Group::Anywhere("dba".into()), Group::Of { issuer: "corp".into(), name: "dba".into() });
        assert_eq!(serde_json::to_string(&anywhere).unwrap(), "\"dba\"");
        for group in [anywhere, of] {
            assert_eq!(serde_json::from_str::<Group>(&serde_json::to_string(&group).unwrap()).unwrap(), group);
        }
    }
}
