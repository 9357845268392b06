//! Verifies security event tokens (RFC 8417) of the Shared Signals Framework 1.0, and reads from them what is taken back.
//!
//! Invariant: an event is no access token, nor the other way round; a subject counts only where it names exactly what tokens of
//! the transmitter name.

use serde_json::{Map, Value};

use crate::claims::{audiences, text};
use crate::refusal::Refusal;
use crate::token;
use crate::trace::Unwatched;
use crate::verify::{Proven, Verifier};

/// Seconds after which an event is too old to be taken; for that long whoever takes it must know it again.
pub const EVENT_AGE_MAX_S: u64 = 86_400;
/// Events of one token.
const EVENTS_MAX: usize = 16;
/// Bytes of the id of a token, or of a subject.
const NAME_BYTES_MAX: usize = 1024;
/// What the URIs of events begin with.
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

/// A token of events that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvents {
    /// Its `jti`: the same is the same event again.
    pub jti: String,
    /// What it says, in no order.
    pub signals: Vec<Signal>,
}

/// What one event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Something is taken back; and the last part of the event's URI.
    Revokes(Signalled, &'static str),
    /// The transmitter tries out the stream (SSF 1.0 section 8.1.4).
    Verification,
    /// Nothing that could be done exactly: the event's URI, cut, and why.
    Unmapped(String, &'static str),
}

/// What is taken back, of the issuer that sent the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signalled {
    /// The token with this `jti`.
    Token(String),
    /// Everything of this `sub`.
    Subject(String),
    /// What was issued to this `sub` before this Unix second.
    IssuedBefore(String, u64),
}

impl Verifier {
    /// Verifies a token of events of the issuer at this position for the stream whose audience is `audience`, at the time `now` (Unix
    /// seconds).
    ///
    /// # Errors
    /// The first check that fails.
    pub fn security_events(&self, set: &[u8], issuer: usize, audience: &str, now: u64) -> Result<SecurityEvents, Refusal> {
        let Proven { issuer: sender, token, .. } = self.issued(token::read_event(set)?, &mut Unwatched)?;
        let policy = self.policy(sender).filter(|_| sender == issuer).ok_or(Refusal::UnknownIssuer)?;
        let claims = &token.claims;
        if !audiences(claims)?.iter().any(|one| one == audience) {
            return Err(Refusal::WrongAudience);
        }
        // SSF 1.0 section 4.1.2: so that no event passes for anything else.
        if claims.contains_key("sub") {
            return Err(Refusal::MalformedClaim("sub"));
        }
        let leeway = u64::from(policy.leeway_s());
        let issued_at = number(claims, "iat").ok_or(Refusal::MissingClaim("iat"))?;
        if issued_at > now.saturating_add(leeway) {
            return Err(Refusal::IssuedInFuture);
        }
        let is_over = |expires: u64| now >= expires.saturating_add(leeway);
        let has_expired = claims.contains_key("exp") && number(claims, "exp").is_none_or(is_over);
        if has_expired || is_over(issued_at.saturating_add(EVENT_AGE_MAX_S)) {
            return Err(Refusal::Expired);
        }
        let jti = text(claims, "jti").filter(|jti| is_name(jti)).ok_or(Refusal::MissingClaim("jti"))?;
        let events = claims.get("events").and_then(Value::as_object).ok_or(Refusal::MissingClaim("events"))?;
        if events.is_empty() || events.len() > EVENTS_MAX {
            return Err(Refusal::MalformedClaim("events"));
        }
        let stream =
            Stream { identifier: policy.issuer(), sub_id: claims.get("sub_id"), issued_at, latest: now.saturating_add(leeway) };
        let signals = events.iter().map(|(uri, event)| {
            let event = event.as_object().ok_or(Refusal::MalformedClaim("events"))?;
            Ok(stream.signal(uri, event))
        });
        Ok(SecurityEvents { jti, signals: signals.collect::<Result<_, Refusal>>()? })
    }
}

/// What the events of one token have in common.
struct Stream<'s> {
    identifier: &'s str,
    sub_id: Option<&'s Value>,
    issued_at: u64,
    latest: u64,
}

/// Whom an event is about, where that can be said exactly.
enum Named {
    Subject(String),
    Token(String),
}

impl Stream<'_> {
    fn signal(&self, uri: &str, event: &Map<String, Value>) -> Signal {
        let unmapped = |why| Signal::Unmapped(uri.chars().take(256).collect(), why);
        if uri.strip_prefix(SSF) == Some("verification") {
            return Signal::Verification;
        }
        let caep = uri.strip_prefix(CAEP);
        let (name, is_account) = match (caep, uri.strip_prefix(RISC)) {
            (Some("session-revoked"), _) => ("session-revoked", false),
            (Some("credential-change"), _) => match text(event, "change_type").as_deref() {
                Some("revoke" | "update" | "delete") => ("credential-change", false),
                _ => return unmapped("it takes nothing back"),
            },
            (_, Some("account-disabled")) => ("account-disabled", true),
            (_, Some("account-purged")) => ("account-purged", true),
            _ => return unmapped("it is of no known type"),
        };
        // Streams from before RFC 9493 name the subject in the event.
        match (self.named(self.sub_id.or_else(|| event.get("subject"))), is_account) {
            (Some(Named::Subject(subject)), true) => Signal::Revokes(Signalled::Subject(subject), name),
            (Some(Named::Subject(subject)), false) => {
                let happened = number(event, "event_timestamp").unwrap_or(self.issued_at);
                // A token of that very second may well be one from before.
                let before = happened.saturating_add(1).min(self.latest);
                Signal::Revokes(Signalled::IssuedBefore(subject, before), name)
            }
            (Some(Named::Token(jti)), false) => Signal::Revokes(Signalled::Token(jti), name),
            _ => unmapped("its subject names nothing that tokens name"),
        }
    }

    /// Subject identifiers of RFC 9493 and SSF 1.0 section 3.
    fn named(&self, subject: Option<&Value>) -> Option<Named> {
        let members = subject?.as_object()?;
        let own = |name: &str| text(members, name).filter(|name| is_name(name));
        let is_own = || text(members, "iss").as_deref() == Some(self.identifier);
        match text(members, "format")?.as_str() {
            "iss_sub" if is_own() => own("sub").map(Named::Subject),
            "jwt_id" if is_own() => own("jti").map(Named::Token),
            // With a session, a device or a tenant beside the user it is about less than all of the user's tokens.
            "complex" if members.len() == 2 => match members.get("user") {
                Some(user) if user.get("format").and_then(Value::as_str) == Some("iss_sub") => self.named(Some(user)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// A NumericDate (RFC 7519 section 2), in whole seconds.
fn number(members: &Map<String, Value>, name: &str) -> Option<u64> {
    let seconds = members.get(name)?.as_f64()?;
    // Beyond 2^53 numbers lose seconds as doubles.
    (seconds > 0.0 && seconds <= 9_007_199_254_740_992.0).then_some(seconds as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::mint::SigningKey;
    use crate::{Algorithm, IssuerPolicy, IssuerState, KeySet, Profile, TokenType};

    const NOW: u64 = 1_615_305_000;
    const AUD: &str = "https://sp.example.com/caep";
    const ISS: &str = "https://idp.example.com/123456789/";

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::EdDsa, "k1").unwrap()
    }

    fn verifier(key: &SigningKey) -> Verifier {
        let state = |name: &str, issuer: &str| {
            let policy = IssuerPolicy::new(name, issuer, vec!["https://gate.test/mcp/crm".to_owned()]).unwrap();
            IssuerState { policy, keys: Some(KeySet::parse(&SigningKey::jwks(&[key])).unwrap().0.into()) }
        };
        Verifier::new(vec![state("other", "https://other.test"), state("idp", ISS)], 1)
    }

    fn header(typ: &str) -> Value {
        json!({"alg": "EdDSA", "kid": "k1", "typ": typ})
    }

    /// The example of CAEP 1.0 section 3.1, with a subject that names a user and nothing else.
    fn session_revoked() -> Value {
        json!({
            "iss": ISS, "jti": "24c63fb56e5a2d77a6b512616ca9fa24", "iat": 1_615_305_000, "aud": AUD, "txn": 8675309,
            "sub_id": {"format": "iss_sub", "iss": ISS, "sub": "jane.smith"},
            "events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {
                "initiating_entity": "policy", "reason_admin": {"en": "Landspeed Policy Violation: C076E82F"},
                "reason_user": {"en": "Access attempt from multiple regions."}, "event_timestamp": 1_615_304_991
            }}
        })
    }

    fn judged(claims: &Value) -> Result<Vec<Signal>, Refusal> {
        let key = key();
        let set = key.sign_with(&header("secevent+jwt"), claims).unwrap();
        verifier(&key).security_events(set.as_bytes(), 1, AUD, NOW).map(|events| events.signals)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = session_revoked();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        claims
    }

    fn event(uri: &str, event: Value) -> Value {
        let mut claims = session_revoked();
        claims["events"] = json!({ uri: event });
        claims
    }

    #[test]
    fn r78_what_the_specifications_show_is_understood() {
        let before = |second| Signalled::IssuedBefore("jane.smith".into(), second);
        let caep = |name: &str| format!("{CAEP}{name}");
        assert_eq!(judged(&session_revoked()).unwrap(), [Signal::Revokes(before(1_615_304_992), "session-revoked")]);
        let change =
            |kind: &str| event(&caep("credential-change"), json!({"credential_type": "fido2-roaming", "change_type": kind}));
        for kind in ["revoke", "update", "delete"] {
            assert_eq!(judged(&change(kind)).unwrap(), [Signal::Revokes(before(NOW + 1), "credential-change")], "{kind}");
        }
        assert!(matches!(judged(&change("create")).unwrap()[..], [Signal::Unmapped(..)]));
        let disabled = event(&format!("{RISC}account-disabled"), json!({"reason": "hijacking"}));
        let whole = Signalled::Subject("jane.smith".into());
        assert_eq!(judged(&disabled).unwrap(), [Signal::Revokes(whole, "account-disabled")]);
        let verification = event(&format!("{SSF}verification"), json!({"state": "VGhpcyBpcyBh"}));
        assert_eq!(judged(&verification).unwrap(), [Signal::Verification]);
        assert!(matches!(judged(&event(&caep("assurance-level-change"), json!({}))).unwrap()[..], [Signal::Unmapped(..)]));
        let future = event(&caep("session-revoked"), json!({"event_timestamp": NOW + 9000}));
        assert_eq!(judged(&future).unwrap(), [Signal::Revokes(before(NOW + 30), "session-revoked")]);
    }

    #[test]
    fn r78_only_subjects_that_tokens_name_exactly_are_mapped() {
        let user = json!({"format": "iss_sub", "iss": ISS, "sub": "jane.smith"});
        let session = json!({"format": "opaque", "id": "dMTlD|1600802906337.16|16008.16"});
        for (subject, is_mapped) in [
            (json!({"format": "jwt_id", "iss": ISS, "jti": "B70BA622-9515-4353-A866-823539EECBC8"}), true),
            (json!({"format": "complex", "user": user}), true),
            (json!({"format": "complex", "user": user, "session": session}), false),
            (json!({"format": "complex", "session": session}), false),
            (json!({"format": "iss_sub", "iss": "https://other.test", "sub": "jane.smith"}), false),
            (json!({"format": "iss_sub", "iss": ISS, "sub": ""}), false),
            (json!({"format": "email", "email": "foo@example.com"}), false),
            (session, false),
            (json!("jane.smith"), false),
        ] {
            let signals = judged(&with("sub_id", subject.clone())).unwrap();
            assert_eq!(matches!(signals[..], [Signal::Revokes(..)]), is_mapped, "{subject}: {signals:?}");
        }
    }

    #[test]
    fn r78_events_that_are_forged_foreign_or_no_events_are_refused() {
        for (claims, reason) in [
            (with("iss", json!("https://other.test")), "unknown-issuer"),
            (with("iss", json!("https://nobody.test")), "unknown-issuer"),
            (with("aud", json!("https://elsewhere.test")), "wrong-audience"),
            (with("aud", Value::Null), "missing-claim"),
            (with("jti", Value::Null), "missing-claim"),
            (with("jti", json!("")), "missing-claim"),
            (with("iat", Value::Null), "missing-claim"),
            (with("iat", json!(NOW + 31)), "issued-in-future"),
            (with("iat", json!(NOW - EVENT_AGE_MAX_S - 30)), "expired"),
            (with("exp", json!(NOW - 30)), "expired"),
            (with("sub", json!("jane.smith")), "malformed-claim"),
            (with("events", json!({})), "malformed-claim"),
            (with("events", json!([])), "missing-claim"),
            (with("events", json!({"x": 1})), "malformed-claim"),
        ] {
            assert_eq!(judged(&claims).unwrap_err().reason(), reason, "{claims}");
        }
        let (key, stranger) = (key(), key());
        let verifier = verifier(&key);
        let events = |set: String| verifier.security_events(set.as_bytes(), 1, AUD, NOW).map_err(|refusal| refusal.reason());
        assert_eq!(events(stranger.sign_with(&header("secevent+jwt"), &session_revoked()).unwrap()), Err("bad-signature"));
        for typ in ["at+jwt", "JWT", "logout+jwt"] {
            assert_eq!(events(key.sign_with(&header(typ), &session_revoked()).unwrap()), Err("wrong-type"), "{typ}");
        }
        // And no event is an access token, whatever it claims.
        let claims = json!({"iss": ISS, "aud": "https://gate.test/mcp/crm", "sub": "a", "iat": NOW, "exp": NOW + 60});
        let token = key.sign_with(&header("secevent+jwt"), &claims).unwrap();
        assert_eq!(verifier.verify(token.as_bytes(), "https://gate.test/mcp/crm", NOW), Err(Refusal::WrongType));
        let login = crate::Login { issuer: 1, client_id: "https://gate.test/mcp/crm", nonce: "n" };
        assert_eq!(verifier.verify_login(token.as_bytes(), login, NOW), Err(Refusal::WrongType));
        assert_eq!(TokenType::named("secevent+jwt"), None, "no setting can take it");
        assert!(
            Profile::all_names().filter_map(Profile::named).all(|profile| !profile.types.contains(&TokenType::SecurityEvent))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn r78_any_changed_byte_of_an_event_is_refused(at in 0usize..600, byte in any::<u8>()) {
            let key = key();
            let mut set = key.sign_with(&header("secevent+jwt"), &session_revoked()).unwrap().into_bytes();
            let at = at % set.len();
            prop_assume!(set[at] != byte);
            set[at] = byte;
            prop_assert!(verifier(&key).security_events(&set, 1, AUD, NOW).is_err());
        }
    }
}
