//! The list of revocations, and of the security events that were taken, as they stand in their file.
//!
//! Invariant: a full list takes nothing more and loses nothing; only what has expired by itself is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluicegate_identity::{DenyList, IssuerPolicy};

use super::entry::{Revocation, Target, until_s};
use crate::canonical::sha256::Sha256;
use crate::keeper::Document;

/// The version of the file.
const VERSION: u32 = 1;

/// Everything that is revoked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    version: u32,
    /// The revocations by their ids.
    pub entries: BTreeMap<String, Revocation>,
    /// Security events that were taken, by hashes of issuer and `jti`, and until when they must be known again, in Unix seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u64>,
}

impl Default for Book {
    fn default() -> Self {
        Book { version: VERSION, entries: BTreeMap::new(), events: BTreeMap::new() }
    }
}

impl Document for Book {
    fn read(text: &str) -> Result<Self, String> {
        let book: Book = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if book.version != VERSION {
            return Err(format!("is of version {}, and this program reads {VERSION}", book.version));
        }
        match book.entries.iter().find(|(id, entry)| **id != entry.target.id()) {
            Some((id, entry)) => Err(format!("{id}: its target has the id {}", entry.target.id())),
            None => Ok(book),
        }
    }
}

/// The list holds as many as `limits.revocations_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why and by whom something is revoked.
#[derive(Clone, Copy, Debug)]
pub struct Because<'a> {
    /// Why.
    pub reason: &'a str,
    /// By whom.
    pub by: &'a str,
}

impl Book {
    /// Adds what is to be revoked, which was checked, and returns its id. What was revoked before is kept for longer. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`Full`]; nothing is changed then.
    pub fn add(
        &mut self,
        target: &Target,
        because: Because<'_>,
        policy: &IssuerPolicy,
        entries_max: usize,
        now_s: u64,
    ) -> Result<String, Full> {
        let id = target.id();
        self.forget_expired(now_s);
        if self.entries.len() >= entries_max && !self.entries.contains_key(&id) {
            return Err(Full);
        }
        let until = until_s(target, policy, now_s);
        let (reason, by) = (because.reason.to_owned(), because.by.to_owned());
        self.entries.insert(id.clone(), Revocation { target: target.clone(), reason, by, at: now_s, until });
        Ok(id)
    }

    /// Takes note of a security event. False: it was taken before. `until_s`: the Unix second from which it is too old to come again.
    ///
    /// # Errors
    /// [`Full`]; nothing is changed then.
    pub fn note(&mut self, issuer: &str, jti: &str, until_s: u64, events_max: usize, now_s: u64) -> Result<bool, Full> {
        let whole = serde_json::json!([issuer, jti]).to_string();
        let id = Sha256::of(whole.as_bytes()).to_string();
        if self.events.contains_key(&id) {
            return Ok(false);
        }
        self.events.retain(|_, until| now_s < *until);
        if self.events.len() >= events_max {
            return Err(Full);
        }
        self.events.insert(id, until_s);
        Ok(true)
    }

    /// Takes a revocation back; what it was, if there was one.
    pub fn lift(&mut self, id: &str) -> Option<Revocation> {
        self.entries.remove(id)
    }

    /// Leaves out what is over.
    fn forget_expired(&mut self, now_s: u64) {
        self.entries.retain(|_, entry| now_s < entry.until);
    }

    /// The deny-list of these entries; the position of an issuer is that in `issuers`.
    pub fn deny_list(&self, issuers: &[&IssuerPolicy], now_s: u64) -> DenyList {
        DenyList::new(self.entries.values().filter_map(|entry| entry.denial(issuers)), now_s)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: u64 = 1_790_000_000;
    const BECAUSE: Because<'static> = Because { reason: "lost laptop", by: "corp:ann" };

    fn policy() -> IssuerPolicy {
        IssuerPolicy::new("corp", "https://idp.test", vec!["https://gate.test/mcp/crm".into()]).unwrap()
    }

    fn token(jti: &str) -> Target {
        Target { issuer: "corp".into(), jti: Some(jti.into()), ..Target::default() }
    }

    #[test]
    fn r78_a_full_list_says_so_loses_nothing_and_has_room_when_entries_are_over() {
        let (mut book, policy) = (Book::default(), policy());
        for jti in ["a", "b"] {
            book.add(&token(jti), BECAUSE, &policy, 2, NOW).unwrap();
        }
        let before = book.clone();
        assert_eq!(book.add(&token("c"), BECAUSE, &policy, 2, NOW + 3659), Err(Full));
        assert_eq!(book, before);
        assert!(book.add(&token("a"), BECAUSE, &policy, 2, NOW + 100).is_ok(), "it is there already, and is kept for longer");
        assert!(book.add(&token("c"), BECAUSE, &policy, 2, NOW + 3660).is_ok(), "the longest life and twice the leeway later");
        assert_eq!(book.entries.len(), 2);
        assert!(book.lift(&token("a").id()).is_some() && book.lift(&token("a").id()).is_none());
    }

    #[test]
    fn r78_a_key_stays_revoked_until_that_is_lifted() {
        let (mut book, policy) = (Book::default(), policy());
        let key = Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned());
        let target = Target { issuer: "corp".into(), key, ..Target::default() };
        let id = book.add(&target, BECAUSE, &policy, 9, NOW).unwrap();
        book.add(&token("a"), BECAUSE, &policy, 9, NOW).unwrap();
        let text = serde_json::to_string(&book).unwrap();
        let mut read = Book::read(&text).unwrap();
        assert_eq!((&read, text.matches("\"until\"").count()), (&book, 1), "{text}");
        read.add(&token("b"), BECAUSE, &policy, 9, NOW + 1_000_000_000).unwrap();
        assert_eq!(read.entries.len(), 2, "the token's entry is over");
        assert!(!read.deny_list(&[&policy], NOW + 2_000_000_000).is_empty());
        assert!(read.lift(&id).is_some() && read.deny_list(&[&policy], NOW + 2_000_000_000).is_empty());
    }

    #[test]
    fn r78_an_event_is_taken_once_and_known_again_until_it_is_too_old() {
        let mut book = Book::default();
        let note = |book: &mut Book, issuer: &str, jti: &str, now_s: u64| book.note(issuer, jti, now_s + 100, 2, now_s);
        assert_eq!(note(&mut book, "corp", "1", NOW), Ok(true));
        assert_eq!(note(&mut book, "corp", "1", NOW + 99), Ok(false));
        assert_eq!(note(&mut book, "other", "1", NOW + 1), Ok(true), "another issuer's event is another");
        assert_eq!(note(&mut book, "corp", "2", NOW + 99), Err(Full));
        assert_eq!(note(&mut book, "corp", "2", NOW + 100), Ok(true), "the first is too old to come again");
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(Book::read(&text).unwrap(), book);
    }

    #[test]
    fn what_is_written_is_read_and_what_was_tampered_with_is_not() {
        let mut book = Book::default();
        book.add(&token("a"), BECAUSE, &policy(), 9, NOW).unwrap();
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(Book::read(&text).unwrap(), book);
        for (from, to) in [("\"version\":1", "\"version\":2"), ("\"jti\":\"a\"", "\"jti\":\"b\""), ("\"at\"", "\"when\"")] {
            assert!(text.contains(from) && Book::read(&text.replace(from, to)).is_err(), "{from}");
        }
    }

    #[test]
    fn r78_an_issuer_that_is_not_configured_any_more_denies_nobody_elses() {
        let mut book = Book::default();
        book.add(&token("a"), BECAUSE, &policy(), 9, NOW).unwrap();
        let other = IssuerPolicy::new("other", "https://other.test", vec!["https://gate.test/mcp/crm".into()]).unwrap();
        assert!(book.deny_list(&[&other], NOW).is_empty());
        assert!(!book.deny_list(&[&other, &policy()], NOW).is_empty());
        assert!(book.deny_list(&[&policy()], NOW + 3660).is_empty());
    }
}
