#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::mint::SigningKey;
use crate::*;

mod differential;
mod keys;
mod recognition;
mod tokens;
mod wycheproof;

const NOW: u64 = 1_790_000_000;
const AUD: &str = "https://gate.test/mcp/crm";
const ISS: &str = "https://idp.test";

fn policy() -> IssuerPolicy {
    let audiences = vec![AUD.to_owned(), "https://gate.test/mcp/erp".to_owned()];
    let policy = IssuerPolicy::new("corp", ISS, audiences).unwrap();
    policy.with_roles(Pointer::parse("/roles").unwrap()).with_groups(Pointer::parse("/groups").unwrap())
}

fn verifier(keys: &[&SigningKey], generation: u64) -> Verifier {
    let (set, dropped) = KeySet::parse(&SigningKey::jwks(keys)).unwrap();
    assert!(dropped.is_empty());
    Verifier::new(vec![IssuerState { policy: policy(), keys: Some(Arc::new(set)) }], generation)
}

fn claims() -> Value {
    json!({"iss": ISS, "aud": AUD, "sub": "agent-a", "iat": NOW - 10, "exp": NOW + 300, "jti": "j1",
        "client_id": "agent-a", "roles": ["reader"], "groups": ["ops"]})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm, "k1").unwrap()
}

fn refusal_of(claims: &Value) -> Refusal {
    let key = key(Algorithm::EdDsa);
    verifier(&[&key], 1).verify(key.sign(claims).unwrap().as_bytes(), AUD, NOW).unwrap_err()
}

fn refusal_of_header(header: Value) -> Refusal {
    let key = key(Algorithm::EdDsa);
    verifier(&[&key], 1).verify(key.sign_with(&header, &claims()).unwrap().as_bytes(), AUD, NOW).unwrap_err()
}

#[test]
fn a_good_token_is_a_principal_with_each_algorithm() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let principal = verifier(&[&key], 1).verify(key.sign(&claims()).unwrap().as_bytes(), AUD, NOW).unwrap();
        assert_eq!((principal.id(), principal.subject(), principal.client_id()), ("corp:agent-a", "agent-a", Some("agent-a")));
        assert_eq!((principal.roles(), principal.groups()), (&["reader".to_owned()][..], &["corp:ops".to_owned()][..]));
    }
}

#[test]
fn r01_exactly_one_bearer_token() {
    assert_eq!(bearer([&b"Bearer abc"[..]].into_iter()), Ok(&b"abc"[..]));
    assert_eq!(bearer([&b"bEARER abc"[..]].into_iter()), Ok(&b"abc"[..]));
    assert_eq!(bearer([].into_iter()), Err(Refusal::NoCredentials));
    assert_eq!(bearer([&b"Bearer a"[..], b"Bearer a"].into_iter()), Err(Refusal::SeveralCredentials));
    for (value, refusal) in [
        ("Basic abc", Refusal::WrongScheme),
        ("Bearer", Refusal::MalformedCredentials),
        ("Bearer a b", Refusal::MalformedCredentials),
        ("Bearer ", Refusal::MalformedCredentials),
        ("Bearera", Refusal::MalformedCredentials),
    ] {
        assert_eq!(bearer([value.as_bytes()].into_iter()), Err(refusal), "{value}");
    }
}

#[test]
fn r08_to_r13_headers_that_ask_for_more() {
    for (member, refusal) in [
        ("crit", Refusal::CriticalExtension),
        ("b64", Refusal::UnencodedPayload),
        ("cty", Refusal::NestedToken),
        ("zip", Refusal::NestedToken),
    ] {
        assert_eq!(refusal_of_header(json!({"alg": "EdDSA", "kid": "k1", member: []})), refusal);
    }
    for kid in [json!(5), json!(""), json!("a\u{1}"), json!("x".repeat(300))] {
        assert_eq!(refusal_of_header(json!({"alg": "EdDSA", "kid": kid})), Refusal::MalformedKeyId);
    }
    for typ in ["dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE"] {
        assert_eq!(refusal_of_header(json!({"alg": "EdDSA", "kid": "k1", "typ": typ})), Refusal::WrongType);
    }
}

#[test]
fn r15_to_r21_claims() {
    assert_eq!(refusal_of(&with("iss", json!("https://idp.test/"))), Refusal::UnknownIssuer);
    assert_eq!(refusal_of(&with("iss", json!([ISS]))), Refusal::MalformedClaim("iss"));
    assert_eq!(refusal_of(&with("iss", Value::Null)), Refusal::MissingClaim("iss"));
    for (aud, refusal) in [
        (json!("https://other.test"), Refusal::WrongAudience),
        (json!([]), Refusal::MalformedClaim("aud")),
        (json!([AUD, 1]), Refusal::MalformedClaim("aud")),
        (json!(""), Refusal::MalformedClaim("aud")),
        (json!({"a": AUD}), Refusal::MalformedClaim("aud")),
        (Value::Null, Refusal::MissingClaim("aud")),
    ] {
        assert_eq!(refusal_of(&with("aud", aud.clone())), refusal, "{aud}");
    }
    for (name, value, refusal) in [
        ("exp", json!(NOW - 31), Refusal::Expired),
        ("exp", json!("soon"), Refusal::MalformedClaim("exp")),
        ("exp", json!(u64::MAX), Refusal::MalformedClaim("exp")),
        ("exp", json!(-1), Refusal::MalformedClaim("exp")),
        ("exp", Value::Null, Refusal::MissingClaim("exp")),
        ("nbf", json!(NOW + 60), Refusal::NotYetValid),
        ("nbf", json!("x"), Refusal::MalformedClaim("nbf")),
        ("iat", json!(NOW + 60), Refusal::IssuedInFuture),
        ("iat", Value::Null, Refusal::MissingClaim("iat")),
        ("iat", json!(NOW - 4000), Refusal::LifetimeTooLong),
        ("exp", json!(NOW + 86_400), Refusal::LifetimeTooLong),
        ("sub", json!(""), Refusal::MalformedClaim("sub")),
        ("sub", Value::Null, Refusal::MissingClaim("sub")),
        ("nonce", json!("n"), Refusal::WrongType),
        ("cnf", json!({"jkt": "x"}), Refusal::MalformedClaim("cnf")),
        ("roles", json!([1]), Refusal::MalformedClaim("roles")),
    ] {
        assert_eq!(refusal_of(&with(name, value.clone())), refusal, "{name} = {value}");
    }
}

#[test]
fn r25_to_r28_keys_that_are_not_admitted() {
    let jwk = |algorithm| key(algorithm).jwk();
    let set = |jwk: Value| KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes());
    let changed = |mut jwk: Value, name: &str, value: Value| {
        jwk[name] = value;
        jwk
    };
    for (jwk, error) in [
        (changed(jwk(Algorithm::EdDsa), "d", json!("AA")), JwkError::Private),
        (changed(jwk(Algorithm::EdDsa), "use", json!("enc")), JwkError::Use),
        (changed(jwk(Algorithm::EdDsa), "key_ops", json!(["sign"])), JwkError::Use),
        (changed(jwk(Algorithm::EdDsa), "crv", json!("X25519")), JwkError::Algorithm),
        (changed(jwk(Algorithm::Es256), "alg", json!("ES384")), JwkError::Algorithm),
        (changed(jwk(Algorithm::Es256), "x", json!("AA")), JwkError::Material),
        (changed(jwk(Algorithm::Rs256), "e", json!("AQ")), JwkError::Material),
        (changed(jwk(Algorithm::Rs256), "n", json!("AQAB")), JwkError::Material),
        (changed(jwk(Algorithm::Rs256), "kid", json!(5)), JwkError::KeyId),
        (json!({"kty": "oct", "k": "AAAA"}), JwkError::Private),
        (json!({"kty": "DSA"}), JwkError::Type),
    ] {
        assert_eq!(set(jwk.clone()).unwrap_err(), JwksError::NoKeys(vec![DroppedKey { index: 0, error }]), "{jwk}");
    }
    let good = key(Algorithm::EdDsa).jwk();
    let mixed = json!({"keys": [{"kty": "oct", "k": "AA"}, good, {"kid": 5, "kty": 7}]});
    assert_eq!(KeySet::parse(mixed.to_string().as_bytes()).unwrap().0.len(), 1, "one odd key takes no other with it");
}

#[test]
fn r41_unknown_keys_are_named() {
    let (held, other) = (key(Algorithm::EdDsa), SigningKey::generate(Algorithm::EdDsa, "k9").unwrap());
    let token = other.sign(&claims()).unwrap();
    let unknown = Refusal::UnknownKey { issuer: 0, kid: "k9".to_owned() };
    assert_eq!(verifier(&[&held], 1).verify(token.as_bytes(), AUD, NOW), Err(unknown));
}

#[test]
fn r45_an_issuer_without_keys_is_unavailable() {
    let key = key(Algorithm::EdDsa);
    let verifier = Verifier::new(vec![IssuerState { policy: policy(), keys: None }], 1);
    let refusal = verifier.verify(key.sign(&claims()).unwrap().as_bytes(), AUD, NOW).unwrap_err();
    assert!(refusal.is_unavailable());
}

#[test]
fn r60_to_r63_the_cache_recognises_and_forgets() {
    let key = key(Algorithm::EdDsa);
    let token = key.sign(&claims()).unwrap();
    let (first, second) = (verifier(&[&key], 1), Verifier::new(vec![IssuerState { policy: policy(), keys: None }], 2));
    let mut cache = TokenCache::new(2);
    let once = cache.verify(&first, token.as_bytes(), AUD, NOW).unwrap();
    let again = cache.verify(&first, token.as_bytes(), AUD, NOW).unwrap();
    assert!(std::rc::Rc::ptr_eq(&once, &again));
    assert_eq!(cache.verify(&first, token.as_bytes(), "https://gate.test/mcp/erp", NOW), Err(Refusal::WrongAudience));
    assert!(cache.verify(&second, token.as_bytes(), AUD, NOW).is_err(), "another generation verifies anew");
    assert_eq!(cache.verify(&first, token.as_bytes(), AUD, NOW + 400), Err(Refusal::Expired));
    for n in 0..50 {
        let token = key.sign(&with("jti", json!(n.to_string()))).unwrap();
        assert!(cache.verify(&first, token.as_bytes(), AUD, NOW).is_ok());
    }
}

#[test]
fn discovery_names_its_own_issuer_and_keys() {
    let document = |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys}).to_string().into_bytes();
    assert_eq!(discovery::url("https://idp.test/a/"), "https://idp.test/a/.well-known/openid-configuration");
    assert_eq!(discovery::keys_url(&document(ISS, "https://idp.test/jwks"), ISS), Ok("https://idp.test/jwks".to_owned()));
    for (issuer, keys, error) in [
        ("https://idp.test/", "https://idp.test/jwks", discovery::DiscoveryError::WrongIssuer),
        (ISS, "https://evil.test/jwks", discovery::DiscoveryError::ForeignKeys),
        (ISS, "http://idp.test/jwks", discovery::DiscoveryError::ForeignKeys),
        (ISS, "https://idp.test@evil.test/jwks", discovery::DiscoveryError::ForeignKeys),
    ] {
        assert_eq!(discovery::keys_url(&document(issuer, keys), ISS), Err(error), "{keys}");
    }
}

#[test]
fn people_log_in_at_the_issuers_own_origin_only() {
    let of = |endpoint: Value| {
        let document = json!({"issuer": ISS, "authorization_endpoint": endpoint}).to_string();
        discovery::authorization_endpoint(document.as_bytes(), ISS)
    };
    assert_eq!(of(json!("https://idp.test/auth")), Ok("https://idp.test/auth".to_owned()));
    for endpoint in
        [json!("https://evil.test/auth"), json!("http://idp.test/auth"), json!("https://idp.test@evil.test/"), json!(7)]
    {
        assert_eq!(of(endpoint), Err(discovery::DiscoveryError::NoAuthorizationEndpoint));
    }
}

/// An ID token that answers a login, and what makes it answer none (OpenID Connect Core 1.0 section 3.1.3.7).
#[test]
fn r14_an_id_token_answers_its_own_login_only() {
    let key = key(Algorithm::Es256);
    let other = SigningKey::generate(Algorithm::Es256, "k2").unwrap();
    let (keys, _) = KeySet::parse(&SigningKey::jwks(&[&key])).unwrap();
    let (lab_keys, _) = KeySet::parse(&SigningKey::jwks(&[&other])).unwrap();
    let lab = IssuerPolicy::new("lab", "https://lab.test", vec![AUD.to_owned()]).unwrap();
    let states = vec![
        IssuerState { policy: policy(), keys: Some(Arc::new(keys)) },
        IssuerState { policy: lab, keys: Some(Arc::new(lab_keys)) },
    ];
    let verifier = Verifier::new(states, 1);
    let header = json!({"alg": "ES256", "kid": "k1"});
    let good = json!({"iss": ISS, "aud": "gate-ui", "sub": "ann", "iat": NOW - 10, "exp": NOW + 300, "nonce": "n1", "at_hash": "x",
        "roles": ["dba"], "groups": ["ops"]});
    let judge = |claims: &Value| {
        let login = Login { issuer: 0, client_id: "gate-ui", nonce: "n1" };
        verifier.verify_login(key.sign_with(&header, claims).unwrap().as_bytes(), login, NOW)
    };
    let person = judge(&good).unwrap();
    assert_eq!((person.id(), person.client_id(), person.roles()), ("corp:ann", Some("gate-ui"), &["dba".to_owned()][..]));
    assert_eq!((person.groups(), person.expires_at()), (&["corp:ops".to_owned()][..], NOW + 330));
    for (name, value, refusal) in [
        ("nonce", json!("n2"), Refusal::WrongNonce),
        ("nonce", json!(["n1"]), Refusal::WrongNonce),
        ("nonce", Value::Null, Refusal::MissingClaim("nonce")),
        ("aud", json!(AUD), Refusal::WrongAudience),
        ("aud", json!(["gate-ui", "other"]), Refusal::WrongAudience),
        ("azp", json!("other"), Refusal::WrongAudience),
        ("exp", json!(NOW - 30), Refusal::Expired),
        ("iss", json!("https://lab.test"), Refusal::UnknownKey { issuer: 1, kid: "k1".into() }),
        ("iss", json!("https://evil.test"), Refusal::UnknownIssuer),
        ("sub", json!(""), Refusal::MalformedClaim("sub")),
        ("exp", Value::Null, Refusal::MissingClaim("exp")),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(judge(&claims).unwrap_err(), refusal, "{name}: {value}");
    }
    let several = json!({"aud": ["gate-ui", "other"], "azp": "gate-ui"});
    let mut claims = good.clone();
    several.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
    assert!(judge(&claims).is_ok());
    // Another issuer of the same gate, whose token is good in itself, did not answer this login.
    let foreign =
        json!({"iss": "https://lab.test", "aud": "gate-ui", "sub": "ann", "iat": NOW - 10, "exp": NOW + 300, "nonce": "n1"});
    let foreign = other.sign_with(&json!({"alg": "ES256", "kid": "k2"}), &foreign).unwrap();
    let login = |issuer| Login { issuer, client_id: "gate-ui", nonce: "n1" };
    assert_eq!(verifier.verify_login(foreign.as_bytes(), login(0), NOW).unwrap_err(), Refusal::UnknownIssuer);
    assert!(verifier.verify_login(foreign.as_bytes(), login(1), NOW).is_ok());
    // An ID token opens no endpoint, and an access token answers no login.
    let id_token = key.sign_with(&header, &with("nonce", json!("n1"))).unwrap();
    assert_eq!(verifier.verify(id_token.as_bytes(), AUD, NOW).unwrap_err(), Refusal::WrongType);
    assert_eq!(judge(&with("aud", json!("gate-ui"))).unwrap_err(), Refusal::MissingClaim("nonce"));
}

#[test]
fn tokens_are_asked_for_at_the_issuers_own_origin_only() {
    let document = |issuer: &str, endpoint: &str| json!({"issuer": issuer, "token_endpoint": endpoint}).to_string().into_bytes();
    let own = "https://idp.test/token";
    assert_eq!(discovery::token_endpoint(&document(ISS, own), ISS), Ok(own.to_owned()));
    for (issuer, endpoint, error) in [
        ("https://elsewhere.test", own, discovery::DiscoveryError::WrongIssuer),
        (ISS, "https://elsewhere.test/token", discovery::DiscoveryError::NoTokenEndpoint),
        (ISS, "http://idp.test/token", discovery::DiscoveryError::NoTokenEndpoint),
        (ISS, "https://user@idp.test/token", discovery::DiscoveryError::NoTokenEndpoint),
    ] {
        assert_eq!(discovery::token_endpoint(&document(issuer, endpoint), ISS), Err(error), "{issuer} {endpoint}");
    }
    assert_eq!(
        discovery::token_endpoint(&json!({"issuer": ISS}).to_string().into_bytes(), ISS),
        Err(discovery::DiscoveryError::NoTokenEndpoint)
    );
}

/// RFC 8410 section 10.3 shows this key; anything else than a key is refused.
#[test]
fn a_private_key_is_taken_from_pkcs8() {
    let der = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
    );
    let key = SigningKey::from_pkcs8(&der.unwrap(), "k").unwrap();
    assert_eq!(key.alg(), "EdDSA");
    // The public key that section 10.1 shows beside it.
    assert_eq!(key.jwk()["x"], "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
    assert!(SigningKey::from_pkcs8(b"no key", "k").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_changed_byte_is_refused(at in 0usize..400, byte in any::<u8>()) {
        thread_local! {
            static GOOD: (Verifier, Vec<u8>) = {
                let key = key(Algorithm::EdDsa);
                (verifier(&[&key], 1), key.sign(&claims()).unwrap().into_bytes())
            };
        }
        GOOD.with(|(verifier, good)| {
            let mut bad = good.clone();
            let at = at % bad.len();
            if bad[at] != byte {
                bad[at] = byte;
                prop_assert!(verifier.verify(&bad, AUD, NOW).is_err());
            }
            Ok(())
        })?;
    }
}

#[test]
fn r75_r77_a_bound_token_counts_for_who_holds_its_key_only() {
    let key = key(Algorithm::EdDsa);
    let thumbprint = |byte: u8| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, [byte; 32]);
    let bound = |cnf: Value| key.sign(&with("cnf", cnf)).unwrap();
    let prover = SigningKey::generate(Algorithm::Es256, "p").unwrap();
    let jkt = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, dpop::thumbprint(&prover.jwk()).unwrap());
    let (mtls, dpop) = (bound(json!({"x5t#S256": thumbprint(1)})), bound(json!({"jkt": jkt})));
    let free = key.sign(&claims()).unwrap();
    let (set, _) = KeySet::parse(&SigningKey::jwks(&[&key])).unwrap();
    let set = Arc::new(set);
    let cert = |byte| Sender { certificate: Some([byte; 32]), ..Sender::default() };
    let as_dpop = Sender { scheme: Scheme::Dpop, ..Sender::default() };
    let by = |prover: &SigningKey| Sender { key: Some(proven(prover)), ..as_dpop };
    for (way, [takes_free, takes_mtls, takes_dpop]) in [
        (BoundBy::None, [true, true, true]),
        (BoundBy::Mtls, [false, true, false]),
        (BoundBy::Dpop, [false, false, true]),
        (BoundBy::Any, [false, true, true]),
    ] {
        let policy = policy().with_requirement(Requirement { way, nonce: false });
        let verifier = Verifier::new(vec![IssuerState { policy, keys: Some(Arc::clone(&set)) }], 1);
        let mut cache = TokenCache::new(8);
        let mut sent = |token: &str, sender: &Sender| {
            // The second time the token is recognised, and judged alike.
            let first = cache.recognise(&verifier, token.as_bytes(), AUD, NOW).unwrap().prove(sender).map(drop);
            let second = cache.recognise(&verifier, token.as_bytes(), AUD, NOW).unwrap().prove(sender).map(drop);
            assert_eq!(first, second);
            first
        };
        assert_eq!(sent(&free, &cert(1)).is_ok(), takes_free, "{way:?}");
        assert_eq!(sent(&free, &as_dpop), Err(Refusal::Unbound), "a token that is not bound came as if it were");
        assert_eq!(sent(&mtls, &cert(1)).is_ok(), takes_mtls, "{way:?}");
        assert_eq!(sent(&mtls, &cert(9)), Err(Refusal::CertificateNotHeld));
        assert_eq!(sent(&mtls, &Sender::default()), Err(Refusal::CertificateNotHeld));
        assert_eq!(sent(&dpop, &Sender::default()), Err(Refusal::NoProof), "a downgrade to Bearer");
        assert_eq!(sent(&dpop, &as_dpop), Err(Refusal::NoProof));
        assert_eq!(verifier.verify(free.as_bytes(), AUD, NOW).is_ok(), takes_free);
        assert!(verifier.verify(mtls.as_bytes(), AUD, NOW).is_err() && verifier.verify(dpop.as_bytes(), AUD, NOW).is_err());
        assert_eq!(sent(&dpop, &by(&prover)).is_ok(), takes_dpop, "{way:?}");
        assert_eq!(sent(&dpop, &by(&key)), Err(Refusal::WrongProof("key")));
    }
}

/// The key of a proof that it made.
fn proven(prover: &SigningKey) -> dpop::ProvenKey {
    use base64::Engine as _;
    let ath =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"t"));
    let header = json!({"typ": "dpop+jwt", "alg": prover.alg(), "jwk": prover.jwk()});
    let proof = prover.sign_with(&header, &json!({"htm": "GET", "htu": AUD, "iat": NOW, "jti": "j", "ath": ath})).unwrap();
    dpop::Proof::verify(proof.as_bytes(), &dpop::Proven { method: b"GET", url: AUD, token: b"t", now: NOW }).unwrap().key()
}
