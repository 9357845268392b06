//! An issuer's keys (RFC 7517 section 5).
//!
//! Invariant: each key is judged by itself, so one odd key does not take the others with it; a set without a usable key is an
//! error, and never replaces a good one.

use std::fmt;

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::json;
use crate::jwk::{self, JwkError, VerifyingKey};
use crate::refusal::Refusal;

/// Keys of one set; a longer one is not taken.
const KEYS_MAX: usize = 100;

/// The keys of one issuer.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
}

/// A key that was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why.
    pub error: JwkError,
}

/// Why a document is no key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksError {
    /// It is not a JSON object with an array `keys`.
    Malformed,
    /// It has more than 100 keys.
    TooMany,
    /// None of its keys can be used.
    NoKeys(Vec<DroppedKey>),
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JwksError::Malformed => f.write_str("the document is not a JWK set"),
            JwksError::TooMany => f.write_str("the set has more than 100 keys"),
            JwksError::NoKeys(dropped) if dropped.is_empty() => f.write_str("the set is empty"),
            JwksError::NoKeys(dropped) => {
                write!(f, "none of the {} keys can be used; the first: {}", dropped.len(), dropped[0].error)
            }
        }
    }
}

impl std::error::Error for JwksError {}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| (&key.kid, key.algorithm))).finish()
    }
}

impl PartialEq for KeySet {
    fn eq(&self, other: &KeySet) -> bool {
        let names = |key: &VerifyingKey| (key.kid.clone(), key.algorithm, key.thumbprint);
        self.keys.iter().map(names).eq(other.keys.iter().map(names))
    }
}

impl KeySet {
    /// Reads a key set and says which keys were left out.
    ///
    /// # Errors
    /// [`JwksError`].
    pub fn parse(document: &[u8]) -> Result<(KeySet, Vec<DroppedKey>), JwksError> {
        let object = json::object(document).map_err(|_| JwksError::Malformed)?;
        let Some(Value::Array(values)) = object.get("keys") else { return Err(JwksError::Malformed) };
        if values.len() > KEYS_MAX {
            return Err(JwksError::TooMany);
        }
        let (mut keys, mut dropped): (Vec<(usize, VerifyingKey)>, Vec<DroppedKey>) = (Vec::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            match jwk::admit(value) {
                Ok(key) => keys.push((index, key)),
                Err(error) => dropped.push(DroppedKey { index, error }),
            }
        }
        // Two different keys of one name and algorithm: neither can be told from the other, so neither is used.
        let is_doubtful = |key: &VerifyingKey| {
            let is_namesake = |other: &VerifyingKey| other.kid == key.kid && other.algorithm == key.algorithm;
            key.kid.is_some() && keys.iter().any(|(_, other)| is_namesake(other) && other.thumbprint != key.thumbprint)
        };
        let (doubtful, keys): (Vec<_>, Vec<_>) = keys.iter().cloned().partition(|(_, key)| is_doubtful(key));
        dropped.extend(doubtful.iter().map(|&(index, _)| DroppedKey { index, error: JwkError::Ambiguous }));
        let keys: Vec<VerifyingKey> = keys.into_iter().map(|(_, key)| key).collect();
        if keys.is_empty() { Err(JwksError::NoKeys(dropped)) } else { Ok((KeySet { keys }, dropped)) }
    }

    /// The set with this algorithm for RSA keys that name none; `None` where nothing changes.
    pub(crate) fn assigned(&self, rsa: Algorithm) -> Option<KeySet> {
        let keys: Vec<Option<VerifyingKey>> = self.keys.iter().map(|key| key.assigned(rsa)).collect();
        if keys.iter().all(Option::is_none) {
            return None;
        }
        let keys = keys.into_iter().zip(&self.keys).map(|(assigned, key)| assigned.unwrap_or_else(|| key.clone()));
        Some(KeySet { keys: keys.collect() })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none; a parsed set always has one.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys of this set are in another too, under the same name.
    pub fn kept_in(&self, newer: &KeySet) -> usize {
        let same = |one: &VerifyingKey, other: &VerifyingKey| one.kid == other.kid && one.thumbprint == other.thumbprint;
        self.keys.iter().filter(|key| newer.keys.iter().any(|other| same(key, other))).count()
    }

    /// The key for a token's header; `issuer` is the position that a refusal names.
    pub(crate) fn find(&self, algorithm: Algorithm, kid: Option<&str>, issuer: usize) -> Result<&VerifyingKey, Refusal> {
        let Some(kid) = kid else {
            let mut fit = self.keys.iter().filter(|key| key.algorithm == algorithm);
            return match (fit.next(), fit.next()) {
                (Some(key), None) => Ok(key),
                _ => Err(Refusal::KeyNotNamed),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            return Err(Refusal::UnknownKey { issuer, kid: kid.to_owned() });
        }
        named.find(|key| key.algorithm == algorithm).ok_or(Refusal::WrongAlgorithm)
    }
}
