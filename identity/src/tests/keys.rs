//! Which keys are admitted, and for which algorithm each of them counts.

use super::*;

/// The key of RFC 7638 section 3.1.
fn published() -> Value {
    json!({"kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhW\
        x4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q\
        vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls\
        1jF44-csFCur-kEgU8awapJzKnqDKgw"})
}

fn set(keys: &[Value]) -> Result<(KeySet, Vec<DroppedKey>), JwksError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// A verifier of one issuer with these keys, whose tokens may be signed with these algorithms.
fn verifier_of(keys: &[Value], algorithms: Algorithms) -> Verifier {
    let policy = policy().with_algorithms(algorithms);
    Verifier::new(vec![IssuerState { policy, keys: Some(Arc::new(set(keys).unwrap().0)) }], 1)
}

fn changed(mut jwk: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
        value => jwk[name] = value,
    }
    jwk
}

#[test]
fn a_principal_names_the_key_by_its_thumbprint() {
    use base64::Engine as _;
    let thumbprint = jwk::admit(&published()).unwrap().thumbprint;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(thumbprint);
    assert_eq!(text, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "RFC 7638 section 3.1");
    // RFC 8037 appendix A.3.
    let edwards = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(jwk::admit(&edwards).unwrap().thumbprint);
    assert_eq!(text, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let principal = verifier(&[&key], 1).verify(key.sign(&claims()).unwrap().as_bytes(), AUD, NOW).unwrap();
        assert_eq!(principal.key_thumbprint(), Some(&jwk::admit(&key.jwk()).unwrap().thumbprint));
    }
}

#[test]
fn r06_a_key_serves_one_algorithm_and_a_token_cannot_choose_another() {
    for (own, others) in [
        (Algorithm::Rs256, ["RS384", "RS512", "PS256", "PS384", "PS512", "ES256"]),
        (Algorithm::Ps512, ["RS256", "RS384", "RS512", "PS256", "PS384", "EdDSA"]),
        (Algorithm::Es384, ["RS256", "ES256", "ES512", "PS256", "PS384", "EdDSA"]),
    ] {
        let key = key(own);
        let verifier = verifier(&[&key], 1);
        for other in others {
            let token = key.sign_with(&json!({"alg": other, "kid": "k1"}), &claims()).unwrap();
            assert_eq!(
                verifier.verify(token.as_bytes(), AUD, NOW),
                Err(Refusal::WrongAlgorithm),
                "{other} with a key for {own:?}"
            );
        }
    }
}

#[test]
fn r06_an_rsa_key_that_names_no_algorithm_is_for_the_only_one_of_its_issuer() {
    for (algorithm, allowed, is_taken) in [
        (Algorithm::Rs256, Algorithms::ANY, true),
        (Algorithm::Ps256, Algorithms::ANY, false),
        (Algorithm::Ps256, Algorithms::of(&[Algorithm::Ps256, Algorithm::Es256]).unwrap(), true),
        (Algorithm::Rs256, Algorithms::of(&[Algorithm::Ps256, Algorithm::Es256]).unwrap(), false),
        (Algorithm::Ps256, Algorithms::of(&[Algorithm::Ps256, Algorithm::Rs384]).unwrap(), false),
    ] {
        let key = key(algorithm);
        let verifier = verifier_of(&[changed(key.jwk(), "alg", Value::Null)], allowed);
        let verdict = verifier.verify(key.sign(&claims()).unwrap().as_bytes(), AUD, NOW);
        assert_eq!(verdict.is_ok(), is_taken, "{algorithm:?} of {allowed:?}: {verdict:?}");
    }
}

#[test]
fn r06_an_issuer_may_name_the_algorithms_it_signs_with() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        for only in Algorithm::ALL {
            let verifier = verifier_of(&[key.jwk()], Algorithms::of(&[only]).unwrap());
            let verdict = verifier.verify(key.sign(&claims()).unwrap().as_bytes(), AUD, NOW).map(drop);
            assert_eq!(verdict, if only == algorithm { Ok(()) } else { Err(Refusal::WrongAlgorithm) }, "{algorithm:?} {only:?}");
        }
    }
    assert_eq!(Algorithms::of(&[]), None);
}

#[test]
fn r27_ed25519_under_both_of_its_names_and_no_other_curve() {
    let key = key(Algorithm::EdDsa);
    for name in ["EdDSA", "Ed25519"] {
        let verifier = verifier_of(&[changed(key.jwk(), "alg", json!(name))], Algorithms::ANY);
        for header in ["EdDSA", "Ed25519"] {
            let token = key.sign_with(&json!({"alg": header, "kid": "k1"}), &claims()).unwrap();
            assert!(verifier.verify(token.as_bytes(), AUD, NOW).is_ok(), "{name} {header}");
        }
    }
    for crv in ["Ed448", "X25519", "X448", "ed25519", "P-256"] {
        assert!(matches!(jwk::admit(&changed(key.jwk(), "crv", json!(crv))), Err(JwkError::Algorithm)), "{crv}");
    }
}

#[test]
fn r28_members_of_a_key_that_do_not_agree() {
    let (es256, es384, es512) = (key(Algorithm::Es256).jwk(), key(Algorithm::Es384).jwk(), key(Algorithm::Es512).jwk());
    let (rsa, edwards) = (published(), key(Algorithm::EdDsa).jwk());
    for (key, error) in [
        (changed(es256.clone(), "crv", json!("P-384")), JwkError::Material),
        (changed(es256.clone(), "crv", json!("secp256k1")), JwkError::Algorithm),
        (changed(es256.clone(), "crv", Value::Null), JwkError::Algorithm),
        (changed(es256.clone(), "alg", json!("RS256")), JwkError::Algorithm),
        (changed(es256.clone(), "alg", json!("HS256")), JwkError::Algorithm),
        (changed(es256.clone(), "alg", json!(7)), JwkError::Algorithm),
        (changed(es384.clone(), "alg", json!("ES256")), JwkError::Algorithm),
        (changed(es384.clone(), "y", es384["x"].clone()), JwkError::Material),
        (changed(es512.clone(), "x", json!("AA")), JwkError::Material),
        (changed(es512.clone(), "y", Value::Null), JwkError::Material),
        (changed(rsa.clone(), "alg", json!("ES256")), JwkError::Algorithm),
        (changed(rsa.clone(), "alg", json!("RSA-OAEP")), JwkError::Algorithm),
        (changed(rsa.clone(), "kty", json!("EC")), JwkError::Algorithm),
        (changed(rsa.clone(), "kty", json!("rsa")), JwkError::Type),
        (changed(rsa.clone(), "n", json!("0vx7agoebGcQ==")), JwkError::Material),
        (changed(rsa.clone(), "use", json!("enc")), JwkError::Use),
        (changed(rsa.clone(), "use", json!(["sig"])), JwkError::Use),
        (changed(rsa.clone(), "key_ops", json!([])), JwkError::Use),
        (changed(rsa.clone(), "key_ops", json!("verify")), JwkError::Use),
        (changed(rsa.clone(), "kid", json!("")), JwkError::KeyId),
        (changed(rsa.clone(), "kid", json!("k".repeat(257))), JwkError::KeyId),
        (changed(edwards.clone(), "x", json!("AA")), JwkError::Material),
        (changed(edwards.clone(), "alg", json!("ES256")), JwkError::Algorithm),
        (json!({"kty": "oct"}), JwkError::Private),
    ] {
        assert_eq!(jwk::admit(&key).map(drop), Err(error), "{key}");
    }
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert_eq!(jwk::admit(&changed(rsa.clone(), private, json!("AQAB"))).map(drop), Err(JwkError::Private), "{private}");
        assert!(JwkError::Private.is_alarming());
    }
    // What says nothing about the key itself takes nothing from it.
    for (name, value) in
        [("use", json!("jwt-svid")), ("key_ops", json!(["verify", "sign"])), ("x5c", json!(["AA=="])), ("x5t", json!(5))]
    {
        assert!(jwk::admit(&changed(rsa.clone(), name, value)).is_ok(), "{name}");
    }
}

#[test]
fn r28_two_keys_of_one_name() {
    let (one, other, elliptic) = (key(Algorithm::EdDsa), key(Algorithm::EdDsa), key(Algorithm::Es256));
    // Of the same algorithm: neither is used, and the set says so.
    let (keys, dropped) = set(&[one.jwk(), elliptic.jwk(), other.jwk()]).unwrap();
    let ambiguous = |index| DroppedKey { index, error: JwkError::Ambiguous };
    assert_eq!((keys.len(), dropped), (1, vec![ambiguous(0), ambiguous(2)]));
    assert_eq!(set(&[one.jwk(), other.jwk()]).unwrap_err(), JwksError::NoKeys(vec![ambiguous(0), ambiguous(1)]));
    // Of two algorithms, or the same key twice: each is used for its own.
    let verifier = verifier_of(&[one.jwk(), elliptic.jwk(), one.jwk()], Algorithms::ANY);
    for key in [&one, &elliptic] {
        assert!(verifier.verify(key.sign(&claims()).unwrap().as_bytes(), AUD, NOW).is_ok());
    }
    assert_eq!(verifier.verify(other.sign(&claims()).unwrap().as_bytes(), AUD, NOW), Err(Refusal::BadSignature));
}
