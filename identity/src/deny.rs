//! The deny-list: tokens that were taken back before their end.
//!
//! Invariant: a list is immutable, so it changes together with the keys of its generation or not at all; a look at it takes a few hash
//! lookups, and none where it is empty.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use crate::principal::Principal;

/// What an entry takes back. Issuers are meant by their position in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// One token, by its `jti`.
    Token {
        /// Who issued it.
        issuer: usize,
        /// Its `jti`.
        jti: String,
    },
    /// All tokens of a subject, and those in which it acts for another.
    Subject {
        /// Who issued them.
        issuer: usize,
        /// The `sub`.
        subject: String,
    },
    /// All tokens that were given to a client.
    Client {
        /// Who issued them.
        issuer: usize,
        /// The `client_id`, or `azp`.
        client: String,
    },
    /// All tokens that a key signed.
    Key {
        /// Whose key it is.
        issuer: usize,
        /// Its SHA-256 thumbprint (RFC 7638).
        thumbprint: [u8; 32],
    },
    /// The tokens issued before a time, all of an issuer's or those of one subject.
    IssuedBefore {
        /// Who issued them.
        issuer: usize,
        /// The `sub`; every one where there is none.
        subject: Option<String>,
        /// The Unix second; tokens of this second still count.
        time_s: u64,
    },
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What it takes back.
    pub denied: Denied,
    /// The Unix second from which the entry is over; `u64::MAX` for never.
    pub until_s: u64,
}

/// Until when each of these is denied.
type Until<K> = HashMap<K, u64, ahash::RandomState>;
type Names = Until<Box<str>>;

fn is_denied<K: Hash + Eq + Borrow<Q>, Q: Hash + Eq + ?Sized>(denied: &Until<K>, one: &Q, now: u64) -> bool {
    denied.get(one).is_some_and(|&until| now < until)
}

/// Tokens issued before a time, until another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cut {
    before_s: u64,
    until_s: u64,
}

impl Cut {
    /// Two cuts of the same tokens are one: what only the later end covers has expired by itself.
    fn join(&mut self, other: Cut) {
        self.before_s = self.before_s.max(other.before_s);
        self.until_s = self.until_s.max(other.until_s);
    }

    fn covers(&self, principal: &Principal, now: u64) -> bool {
        principal.issued_at < self.before_s && now < self.until_s
    }
}

/// What is denied of one issuer's.
#[derive(Debug, Default)]
struct OfIssuer {
    tokens: Names,
    subjects: Names,
    clients: Names,
    keys: Until<[u8; 32]>,
    cut: Cut,
    cuts: HashMap<Box<str>, Cut, ahash::RandomState>,
}

/// Everything that is denied in one generation. Immutable; share it between threads.
#[derive(Debug, Default)]
pub struct DenyList {
    issuers: Vec<OfIssuer>,
}

impl DenyList {
    /// The list of these entries. What is over at `now` (Unix seconds) is left out.
    pub fn new(denials: impl IntoIterator<Item = Denial>, now: u64) -> DenyList {
        let mut list = DenyList::default();
        denials.into_iter().filter(|denial| now < denial.until_s).for_each(|denial| list.add(denial));
        list
    }

    fn add(&mut self, Denial { denied, until_s }: Denial) {
        let longer = |names: &mut Names, name: String| {
            let until = names.entry(name.into()).or_default();
            *until = (*until).max(until_s);
        };
        match denied {
            Denied::Token { issuer, jti } => longer(&mut self.of(issuer).tokens, jti),
            Denied::Subject { issuer, subject } => longer(&mut self.of(issuer).subjects, subject),
            Denied::Client { issuer, client } => longer(&mut self.of(issuer).clients, client),
            Denied::Key { issuer, thumbprint } => {
                let until = self.of(issuer).keys.entry(thumbprint).or_default();
                *until = (*until).max(until_s);
            }
            Denied::IssuedBefore { issuer, subject, time_s } => {
                let (of, cut) = (self.of(issuer), Cut { before_s: time_s, until_s });
                match subject {
                    Some(subject) => of.cuts.entry(subject.into()).or_default().join(cut),
                    None => of.cut.join(cut),
                }
            }
        }
    }

    fn of(&mut self, issuer: usize) -> &mut OfIssuer {
        if self.issuers.len() <= issuer {
            self.issuers.resize_with(issuer + 1, OfIssuer::default);
        }
        &mut self.issuers[issuer]
    }

    /// Whether nothing is denied.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Whether the principal's token was taken back, at the time `now` (Unix seconds). `identifier` is that of the principal's issuer: an
    /// actor that names no issuer, or this one, is one of its subjects.
    pub(crate) fn covers(&self, principal: &Principal, identifier: &str, now: u64) -> bool {
        let Some(of) = self.issuers.get(principal.issuer_index) else { return false };
        let is_own = |issuer: &Option<String>| issuer.as_deref().is_none_or(|issuer| issuer == identifier);
        let mut acting = principal.actors.iter().filter(|actor| is_own(&actor.issuer));
        principal.jti.as_deref().is_some_and(|jti| is_denied(&of.tokens, jti, now))
            || is_denied(&of.subjects, principal.subject.as_str(), now)
            || principal.client_id.as_deref().is_some_and(|client| is_denied(&of.clients, client, now))
            || principal.key_thumbprint.is_some_and(|key| is_denied(&of.keys, &key, now))
            || of.cut.covers(principal, now)
            || of.cuts.get(principal.subject.as_str()).is_some_and(|cut| cut.covers(principal, now))
            || acting.any(|actor| {
                is_denied(&of.subjects, actor.subject.as_str(), now)
                    || actor.client_id.as_deref().is_some_and(|client| is_denied(&of.clients, client, now))
                    || of.cuts.get(actor.subject.as_str()).is_some_and(|cut| cut.covers(principal, now))
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::rc::Rc;
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::mint::SigningKey;
    use crate::{Algorithm, IssuerPolicy, IssuerState, KeySet, Login, Refusal, TokenCache, Verifier};

    const NOW: u64 = 1_790_000_000;
    const AUD: &str = "https://gate.test/mcp/crm";

    /// Two issuers, each with the same key, and what is denied.
    fn verifier(key: &SigningKey, generation: u64, denials: Vec<Denial>) -> Verifier {
        let state = |name: &str| {
            let policy = IssuerPolicy::new(name, &format!("https://{name}.test"), vec![AUD.to_owned()]).unwrap();
            IssuerState { policy, keys: Some(Arc::new(KeySet::parse(&SigningKey::jwks(&[key])).unwrap().0)) }
        };
        let list = DenyList::new(denials, NOW);
        Verifier::new(vec![state("one"), state("two")], generation).with_denials(Arc::new(list))
    }

    fn claims(issuer: usize) -> Value {
        let iss = ["https://one.test", "https://two.test"][issuer];
        json!({"iss": iss, "aud": AUD, "sub": "a", "client_id": "c", "jti": "j", "iat": NOW - 10, "exp": NOW + 300})
    }

    /// Somebody whose token is good.
    fn good() -> Principal {
        static GOOD: std::sync::OnceLock<Principal> = std::sync::OnceLock::new();
        let make = || {
            let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
            verifier(&key, 1, Vec::new()).verify(key.sign(&claims(0)).unwrap().as_bytes(), AUD, NOW).unwrap()
        };
        GOOD.get_or_init(make).clone()
    }

    fn whole(denied: Denied) -> Vec<Denial> {
        vec![Denial { denied, until_s: NOW + 100 }]
    }

    #[test]
    fn r78_each_kind_of_entry_takes_back_its_own_tokens_and_no_others() {
        let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
        let by_subject = |issuer, subject: Option<&str>, time_s| {
            let subject = subject.map(str::to_owned);
            Denied::IssuedBefore { issuer, subject, time_s }
        };
        let cases = [
            (Denied::Token { issuer: 0, jti: "j".into() }, true),
            (Denied::Token { issuer: 0, jti: "J".into() }, false),
            (Denied::Token { issuer: 1, jti: "j".into() }, false),
            (Denied::Subject { issuer: 0, subject: "a".into() }, true),
            (Denied::Subject { issuer: 0, subject: "c".into() }, false),
            (Denied::Subject { issuer: 1, subject: "a".into() }, false),
            (Denied::Client { issuer: 0, client: "c".into() }, true),
            (Denied::Client { issuer: 0, client: "a".into() }, false),
            (by_subject(0, None, NOW - 9), true),
            (by_subject(0, None, NOW - 10), false),
            (by_subject(0, Some("a"), NOW - 9), true),
            (by_subject(0, Some("b"), NOW - 9), false),
            (by_subject(1, Some("a"), NOW - 9), false),
        ];
        let token = key.sign(&claims(0)).unwrap();
        for (denied, is_denied) in cases {
            let verifier = verifier(&key, 1, whole(denied.clone()));
            let verdict = verifier.verify(token.as_bytes(), AUD, NOW).map_err(|refusal| refusal.reason());
            assert_eq!(verdict.is_err(), is_denied, "{denied:?}");
            assert!(!is_denied || verdict == Err("revoked"));
            assert!(verifier.verify(token.as_bytes(), AUD, NOW + 100).is_ok(), "the entry is over: {denied:?}");
        }
    }

    #[test]
    fn r78_a_denied_key_takes_back_all_that_it_signed_of_its_issuer_for_good() {
        let (lost, other) =
            (SigningKey::generate(Algorithm::EdDsa, "k1").unwrap(), SigningKey::generate(Algorithm::EdDsa, "k2").unwrap());
        let keys: Arc<KeySet> = KeySet::parse(&SigningKey::jwks(&[&lost, &other])).unwrap().0.into();
        let thumbprint = crate::jwk::admit(&lost.jwk()).unwrap().thumbprint;
        let state = |name: &str| {
            let policy = IssuerPolicy::new(name, &format!("https://{name}.test"), vec![AUD.to_owned()]).unwrap();
            IssuerState { policy, keys: Some(Arc::clone(&keys)) }
        };
        let denial = Denial { denied: Denied::Key { issuer: 0, thumbprint }, until_s: u64::MAX };
        let list = Arc::new(DenyList::new([denial], NOW));
        let verifier = Verifier::new(vec![state("one"), state("two")], 1).with_denials(list);
        let verdict = |key: &SigningKey, issuer, now: u64| {
            let mut claims = claims(issuer);
            (claims["iat"], claims["exp"]) = (json!(now - 10), json!(now + 300));
            verifier.verify(key.sign(&claims).unwrap().as_bytes(), AUD, now).map(drop).map_err(|refusal| refusal.reason())
        };
        // Long after every token of today, too.
        for now in [NOW, NOW + 1_000_000_000] {
            assert_eq!(verdict(&lost, 0, now), Err("revoked"));
            assert_eq!(verdict(&other, 0, now), Ok(()), "another key of the same issuer");
            assert_eq!(verdict(&lost, 1, now), Ok(()), "another issuer");
        }
        let (trace, refused) = verifier.explain(lost.sign(&claims(0)).unwrap().as_bytes(), AUD, NOW);
        assert_eq!((trace.checks().last().unwrap().0, refused.unwrap_err().reason()), (crate::Check::Standing, "revoked"));
    }

    #[test]
    fn r78_who_acts_for_another_is_taken_back_too() {
        let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
        let with_act = |act: Value| {
            let mut claims = claims(0);
            claims["act"] = act;
            key.sign(&claims).unwrap()
        };
        let of_agent = verifier(&key, 1, whole(Denied::Subject { issuer: 0, subject: "agent".into() }));
        for (act, is_denied) in [
            (json!({"sub": "agent"}), true),
            (json!({"sub": "agent", "iss": "https://one.test"}), true),
            (json!({"sub": "agent", "iss": "https://two.test"}), false),
            (json!({"sub": "other", "act": {"sub": "agent"}}), true),
            (json!({"sub": "other"}), false),
        ] {
            assert_eq!(of_agent.verify(with_act(act.clone()).as_bytes(), AUD, NOW).is_err(), is_denied, "{act}");
        }
    }

    #[test]
    fn r63_r64_a_recognised_token_is_refused_as_soon_as_it_is_denied() {
        let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
        let token = key.sign(&claims(0)).unwrap();
        let mut cache = TokenCache::new(4);
        let before = verifier(&key, 1, Vec::new());
        let known = cache.verify(&before, token.as_bytes(), AUD, NOW).unwrap();
        let after = verifier(&key, 2, whole(Denied::Subject { issuer: 0, subject: "a".into() }));
        for _ in 0..2 {
            let refusal = cache.verify(&after, token.as_bytes(), AUD, NOW).unwrap_err();
            assert!(matches!(&refusal, Refusal::Revoked(who) if who.id() == "one:a"), "{refusal}");
        }
        assert!(after.is_denied(&known, NOW) && !before.is_denied(&known, NOW));
        assert!(cache.verify(&after, token.as_bytes(), AUD, NOW + 100).is_ok(), "and counts again when the entry is over");
        let same_generation = verifier(&key, 2, Vec::new());
        let again = cache.verify(&same_generation, token.as_bytes(), AUD, NOW).unwrap();
        assert!(Rc::ptr_eq(&again, &cache.verify(&same_generation, token.as_bytes(), AUD, NOW).unwrap()));
    }

    #[test]
    fn r78_a_login_of_a_denied_subject_is_refused() {
        let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
        let mut claims = claims(0);
        (claims["aud"], claims["nonce"]) = (json!("gate-ui"), json!("n"));
        let token = key.sign_with(&json!({"alg": "EdDSA", "kid": "k1"}), &claims).unwrap();
        let login = Login { issuer: 0, client_id: "gate-ui", nonce: "n" };
        assert!(verifier(&key, 1, Vec::new()).verify_login(token.as_bytes(), login, NOW).is_ok());
        let denying = verifier(&key, 1, whole(Denied::Subject { issuer: 0, subject: "a".into() }));
        assert_eq!(denying.verify_login(token.as_bytes(), login, NOW).unwrap_err().reason(), "revoked");
    }

    /// What the list must say of a token, by looking at every entry.
    fn is_denied_slowly(denials: &[Denial], principal: &Principal, now: u64) -> bool {
        denials.iter().filter(|denial| now < denial.until_s).any(|denial| match &denial.denied {
            Denied::Token { issuer, jti } => *issuer == principal.issuer_index && Some(jti.as_str()) == principal.jti(),
            Denied::Subject { issuer, subject } => *issuer == principal.issuer_index && subject == principal.subject(),
            Denied::Client { issuer, client } => {
                *issuer == principal.issuer_index && Some(client.as_str()) == principal.client_id()
            }
            Denied::Key { issuer, thumbprint } => {
                *issuer == principal.issuer_index && Some(thumbprint) == principal.key_thumbprint()
            }
            Denied::IssuedBefore { issuer, subject, time_s } => {
                *issuer == principal.issuer_index
                    && principal.issued_at < *time_s
                    && subject.as_ref().is_none_or(|subject| subject == principal.subject())
            }
        })
    }

    fn any_denial() -> impl Strategy<Value = Denial> {
        let (name, issuer) = (|| "[abc]", || 0usize..3);
        // As the gateway makes them: the later the cut, the later its end.
        let before = (issuer(), proptest::option::of(name()), 0u64..20).prop_map(|(issuer, subject, at)| Denial {
            denied: Denied::IssuedBefore { issuer, subject, time_s: NOW + at },
            until_s: NOW + at + 10,
        });
        let until = || (0u64..20).prop_map(|at| NOW + at);
        prop_oneof![
            (issuer(), name(), until())
                .prop_map(|(issuer, jti, until_s)| Denial { denied: Denied::Token { issuer, jti }, until_s }),
            (issuer(), name(), until())
                .prop_map(|(issuer, subject, until_s)| Denial { denied: Denied::Subject { issuer, subject }, until_s }),
            (issuer(), name(), until())
                .prop_map(|(issuer, client, until_s)| Denial { denied: Denied::Client { issuer, client }, until_s }),
            (issuer(), 0u8..3, until())
                .prop_map(|(issuer, key, until_s)| Denial { denied: Denied::Key { issuer, thumbprint: [key; 32] }, until_s }),
            before,
        ]
    }

    proptest! {
        #[test]
        fn r78_the_list_says_what_its_entries_say(
            denials in proptest::collection::vec(any_denial(), 0..8),
            issuer in 0usize..3, jti in "[abc]", subject in "[abc]", client in "[abc]", key in proptest::option::of(0u8..3), issued in 0u64..20, later in 0u64..30,
        ) {
            let mut principal = good();
            (principal.issuer_index, principal.subject, principal.client_id) = (issuer, subject, Some(client));
            (principal.jti, principal.issued_at) = (Some(jti), NOW + issued);
            principal.key_thumbprint = key.map(|key| [key; 32]);
            let (list, now) = (DenyList::new(denials.clone(), NOW), NOW + later);
            let slowly = is_denied_slowly(&denials, &principal, now);
            // Cuts that were joined may go on for tokens that have expired, and never end early.
            let covered = list.covers(&principal, "", now);
            prop_assert!(covered || !slowly);
            let is_cut = denials.iter().any(|denial| matches!(denial.denied, Denied::IssuedBefore { .. }));
            prop_assert!(covered == slowly || is_cut);
        }
    }
}
