//! Judges what an authorization server says of an opaque token (RFC 7662).
//!
//! Invariant: only `"active": true` makes a principal, and what stands beside it is held to the same rules as the claims of a token that
//! was verified; no answer is believed beyond the end of its token.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::bound::Unproven;
use crate::cache::TokenCache;
use crate::claims::text;
use crate::json::{self, JsonFault};
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::token;
use crate::trace::Unwatched;
use crate::verify::{Verifier, Vouched, principal};

/// An answer of an introspection endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Introspected<'a> {
    /// Position of the issuer that was asked.
    pub issuer: usize,
    /// The document.
    pub document: &'a [u8],
    /// The Unix second until which it may be believed.
    pub until_s: u64,
}

impl Verifier {
    /// The issuer that is asked about opaque tokens for a resource; there is one at most.
    pub(crate) fn introspecting(&self, audience: &str) -> Option<usize> {
        self.introspects()
            .position(|introspects| introspects.is_some_and(|audiences| audiences.iter().any(|one| one == audience)))
    }

    /// Judges an answer about a token for the resource `audience` at the time `now` (Unix seconds). Whether it was revoked is not looked at.
    fn introspected(&self, answer: Introspected<'_>, audience: &str, now: u64) -> Result<Principal, Refusal> {
        let policy = self.policy(answer.issuer).ok_or(Refusal::UnknownIssuer)?;
        let mut claims = json::object(answer.document).map_err(|fault| match fault {
            JsonFault::Malformed => Refusal::MalformedJson,
            JsonFault::DuplicateMember => Refusal::DuplicateMember,
        })?;
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err(Refusal::Inactive),
            _ => return Err(Refusal::MalformedClaim("active")),
        }
        // The endpoint is the issuer's own, so it need not say whose the token is (RFC 7662 section 2.2).
        match claims.get("iss") {
            None => {}
            Some(Value::String(iss)) if iss == policy.issuer() => {}
            Some(Value::String(_)) => return Err(Refusal::UnknownIssuer),
            Some(_) => return Err(Refusal::MalformedClaim("iss")),
        }
        check_type(&claims)?;
        // A client that acts for itself often has no other name (RFC 9068 section 2.2 says to repeat it).
        if let (None, Some(client)) = (claims.get("sub"), text(&claims, "client_id")) {
            claims.insert("sub".to_owned(), Value::String(client));
        }
        let vouched = Vouched { issuer: answer.issuer, claims: &claims, signed: None };
        principal(policy, &vouched, audience, now, &mut Unwatched)
    }
}

/// A token of another type is used in another way than this one was (RFC 6749 section 7.1).
fn check_type(claims: &Map<String, Value>) -> Result<(), Refusal> {
    match claims.get("token_type") {
        None => Ok(()),
        Some(Value::String(kind)) if is_access(kind, claims) => Ok(()),
        Some(_) => Err(Refusal::WrongType),
    }
}

/// A token that DPoP binds is one for access too, if the answer says by which key (RFC 9449 section 6.2).
fn is_access(kind: &str, claims: &Map<String, Value>) -> bool {
    let is = |known: &str| kind.eq_ignore_ascii_case(known);
    is("bearer") || is("access_token") || is("dpop") && claims.contains_key("cnf")
}

impl TokenCache {
    /// Takes an answer about a token for the resource `audience` at the time `now` (Unix seconds), and recognises the token while the answer
    /// may be believed. What proves that its sender may use it is looked at behind this, as with any other.
    ///
    /// # Errors
    /// [`Refusal::Inactive`], and whatever [`Verifier::verify`] refuses in claims.
    pub fn introspected(
        &mut self,
        verifier: &Verifier,
        token: &[u8],
        answer: Introspected<'_>,
        audience: &str,
        now: u64,
    ) -> Result<Unproven<Rc<Principal>>, Refusal> {
        let principal = verifier.introspected(answer, audience, now)?;
        let principal = self.take(token, principal, verifier.generation(), answer.until_s);
        verifier.standing(&principal, now)?;
        let requirement = verifier.requirement(principal.issuer_index);
        Ok(Unproven::new(principal, requirement))
    }
}

/// Whether a token is none that can be read: no three parts, or a first part that is no object.
pub(crate) fn is_opaque(token: &[u8]) -> bool {
    token.split(|&b| b == b'.').count() != 3 || !token::has_header(token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::bound::Sender;
    use crate::mint::SigningKey;
    use crate::{Algorithm, Denial, Denied, DenyList, IssuerPolicy, IssuerState, KeySet};

    const NOW: u64 = 1_790_000_000;
    const AUD: &str = "https://gate.test/mcp/crm";
    const OTHER: &str = "https://gate.test/mcp/erp";

    fn verifier(generation: u64) -> Verifier {
        let state = |name: &str, audience: &str| {
            let policy = IssuerPolicy::new(name, &format!("https://{name}.test"), vec![audience.to_owned()]).unwrap();
            IssuerState { policy, keys: None }
        };
        let (plain, mut asked) = (state("jwt", AUD), state("opaque", AUD));
        asked.policy = asked.policy.with_introspection();
        Verifier::new(vec![plain, asked, state("other", OTHER)], generation)
    }

    fn answer(document: &[u8]) -> Introspected<'_> {
        Introspected { issuer: 1, document, until_s: NOW + 60 }
    }

    fn active() -> Value {
        json!({"active": true, "iss": "https://opaque.test", "aud": AUD, "sub": "a", "client_id": "c", "iat": NOW - 10, "exp": NOW + 300,
            "scope": "mcp:read mcp:write", "token_type": "Bearer"})
    }

    fn judged(document: &Value) -> Result<Principal, Refusal> {
        verifier(1).introspected(answer(document.to_string().as_bytes()), AUD, NOW)
    }

    #[test]
    fn r78_opaque_tokens_are_asked_about_where_somebody_can_answer() {
        let verifier = verifier(1);
        for token in ["mF_9.B5f-4.1JqM", "2YotnFZFEjr1zCsicMWpAA", "a.b", "a.b.c.d", "e30x.e30.AA"] {
            assert_eq!(verifier.verify(token.as_bytes(), AUD, NOW), Err(Refusal::Opaque { issuer: 1 }), "{token}");
            let unasked = verifier.verify(token.as_bytes(), OTHER, NOW).unwrap_err();
            assert!(matches!(unasked, Refusal::MalformedToken | Refusal::MalformedJson), "{token}: {unasked}");
        }
        // What can be read is verified here, whatever it says.
        let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
        let token = key.sign(&json!({"iss": "https://opaque.test"})).unwrap();
        assert_eq!(verifier.verify(token.as_bytes(), AUD, NOW), Err(Refusal::KeysNotYetKnown { issuer: 1 }));
        assert_eq!(verifier.verify(&[b'a'; 20_000], AUD, NOW), Err(Refusal::TooLarge));
        assert!(KeySet::parse(&SigningKey::jwks(&[&key])).is_ok());
    }

    #[test]
    fn r78_an_answer_is_held_to_the_rules_of_claims() {
        let principal = judged(&active()).unwrap();
        assert_eq!((principal.id(), principal.client_id(), principal.scopes().len()), ("opaque:a", Some("c"), 2));
        let with = |name: &str, value: Value| {
            let mut document = active();
            match value {
                Value::Null => drop(document.as_object_mut().unwrap().remove(name)),
                value => document[name] = value,
            }
            judged(&document).map_err(|refusal| refusal.reason())
        };
        for (name, value, reason) in [
            ("active", json!(false), "inactive-token"),
            ("active", json!("true"), "malformed-claim"),
            ("active", json!(1), "malformed-claim"),
            ("active", Value::Null, "malformed-claim"),
            ("iss", json!("https://jwt.test"), "unknown-issuer"),
            ("iss", json!(["https://opaque.test"]), "malformed-claim"),
            ("aud", Value::Null, "missing-claim"),
            ("aud", json!(OTHER), "wrong-audience"),
            ("exp", Value::Null, "missing-claim"),
            ("exp", json!(NOW - 31), "expired"),
            ("exp", json!(NOW + 9000), "lifetime-too-long"),
            ("sub", json!(""), "malformed-claim"),
            ("sub", json!(7), "malformed-claim"),
            ("scope", json!(7), "malformed-claim"),
            ("token_type", json!("DPoP"), "wrong-type"),
            ("cnf", json!({"jkt": "x"}), "malformed-claim"),
        ] {
            assert_eq!(with(name, value.clone()).map(drop), Err(reason), "{name}: {value}");
        }
        let bound = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
        let document = json!({"token_type": "DPoP", "cnf": bound});
        let mut whole = active();
        whole.as_object_mut().unwrap().extend(document.as_object().unwrap().clone());
        assert!(judged(&whole).unwrap().binding().is_some_and(|binding| binding.key.is_some()));
        assert!(with("iss", Value::Null).is_ok());
        assert_eq!(with("sub", Value::Null).unwrap().id(), "opaque:c", "a client that acts for itself");
        let twice = active().to_string().replacen('{', "{\"active\":false,", 1);
        assert_eq!(verifier(1).introspected(answer(twice.as_bytes()), AUD, NOW), Err(Refusal::DuplicateMember));
    }

    #[test]
    fn r78_an_answer_is_believed_for_its_time_and_generation_and_no_revoked_one_is() {
        let (token, document) = (b"2YotnFZFEjr1zCsicMWpAA", active().to_string());
        let (mut cache, first) = (TokenCache::new(4), verifier(1));
        let known = cache.introspected(&first, token, answer(document.as_bytes()), AUD, NOW).unwrap();
        let known = known.prove(&Sender::default()).unwrap();
        assert!(Rc::ptr_eq(&known, &cache.verify(&first, token, AUD, NOW + 59).unwrap()));
        for (verifier, now) in [(&first, NOW + 60), (&verifier(2), NOW + 1)] {
            assert_eq!(cache.verify(verifier, token, AUD, now), Err(Refusal::Opaque { issuer: 1 }));
        }
        let denial = Denial { denied: Denied::Subject { issuer: 1, subject: "a".into() }, until_s: NOW + 100 };
        let denying = verifier(3).with_denials(DenyList::new([denial], NOW).into());
        let refused = cache.introspected(&denying, token, answer(document.as_bytes()), AUD, NOW).unwrap_err();
        assert_eq!(refused.reason(), "revoked");
        let brief = Introspected { until_s: NOW + 3600, ..answer(document.as_bytes()) };
        cache.introspected(&first, token, brief, AUD, NOW).unwrap();
        assert!(cache.verify(&first, token, AUD, NOW + 331).is_err(), "no answer outlives its token");
    }

    proptest! {
        #[test]
        fn no_document_is_an_accident(document in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = verifier(1).introspected(answer(&document), AUD, NOW);
        }
    }
}
