#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::mint::SigningKey;

const NOW: u64 = 1_790_000_000;
const URL: &str = "https://gate.test/mcp/crm";

fn claims() -> Value {
    let ath = URL_SAFE_NO_PAD.encode(digest(&SHA256, b"token"));
    json!({"htm": "POST", "htu": URL, "iat": NOW, "jti": "j-1", "ath": ath})
}

fn header(key: &SigningKey) -> Value {
    let mut jwk = key.jwk();
    ["kid", "use", "alg"].iter().for_each(|name| drop(jwk.as_object_mut().unwrap().remove(*name)));
    json!({"typ": "dpop+jwt", "alg": key.alg(), "jwk": jwk})
}

fn verify(proof: impl AsRef<[u8]>) -> Result<Proof, Refusal> {
    Proof::verify(proof.as_ref(), &Proven { method: b"POST", url: URL, token: b"token", now: NOW })
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, "k").unwrap()
}

#[test]
fn r76_a_proof_with_each_algorithm_proves_its_key() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let key = SigningKey::generate(algorithm, "k").unwrap();
        let proof = verify(key.sign_with(&header(&key), &claims()).unwrap()).unwrap();
        assert!(proof.key().is(&thumbprint(&key.jwk()).unwrap()));
        assert_eq!((proof.expires_at(), proof.nonce()), (NOW + 67, None));
    }
}

#[test]
fn r76_a_proof_for_something_else_is_refused() {
    let key = key();
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        verify(key.sign_with(&header(&key), &claims).unwrap()).map(|proof| proof.jti)
    };
    for (name, value, refusal) in [
        ("htm", json!("GET"), Refusal::WrongProof("htm")),
        ("htm", json!("post"), Refusal::WrongProof("htm")),
        ("htu", json!("https://gate.test/mcp/erp"), Refusal::WrongProof("htu")),
        ("htu", json!("http://gate.test/mcp/crm"), Refusal::WrongProof("htu")),
        ("htu", json!("https://gate.test:8443/mcp/crm"), Refusal::WrongProof("htu")),
        ("htu", json!("https://gate.test/MCP/crm"), Refusal::WrongProof("htu")),
        ("iat", json!(NOW - 61), Refusal::WrongProof("iat")),
        ("iat", json!(NOW + 61), Refusal::WrongProof("iat")),
        ("iat", json!("1"), Refusal::MalformedProof),
        ("ath", json!("AAAA"), Refusal::WrongProof("ath")),
        ("ath", Value::Null, Refusal::MalformedProof),
        ("jti", json!(""), Refusal::MalformedProof),
        ("jti", json!("j".repeat(257)), Refusal::MalformedProof),
        ("nonce", json!(7), Refusal::MalformedProof),
    ] {
        assert_eq!(with(name, value.clone()), Err(refusal), "{name} {value}");
    }
    for (name, value) in [
        ("htu", json!("HTTPS://GATE.test:443/mcp/crm?a=b#c")),
        ("iat", json!(NOW - 60)),
        ("iat", json!(NOW + 60)),
        ("nonce", json!("n")),
    ] {
        assert!(with(name, value.clone()).is_ok(), "{name} {value}");
    }
}

#[test]
fn r76_a_proof_of_another_make_is_refused() {
    let (key, other) = (key(), SigningKey::generate(Algorithm::Es256, "k").unwrap());
    let with = |name: &str, value: Value| {
        let mut header = header(&key);
        if value.is_null() {
            drop(header.as_object_mut().unwrap().remove(name))
        } else {
            header[name] = value
        }
        verify(key.sign_with(&header, &claims()).unwrap()).map(|proof| proof.jti)
    };
    assert!(with("x", json!(1)).is_ok());
    let mut private = header(&key)["jwk"].clone();
    private["d"] = json!("AAAA");
    for (name, value) in [
        ("typ", Value::Null),
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("jwk", Value::Null),
        ("jwk", private),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        assert_eq!(with(name, value.clone()), Err(Refusal::MalformedProof), "{name} {value}");
    }
    assert_eq!(with("jwk", header(&other)["jwk"].clone()), Err(Refusal::WrongProof("signature")));
    let proof = key.sign_with(&header(&key), &claims()).unwrap();
    for wrong in ["", "a.b", "a.b.c", &format!("{proof}.x"), &"x".repeat(PROOF_BYTES_MAX + 1)] {
        assert_eq!(verify(wrong).map(|proof| proof.jti), Err(Refusal::MalformedProof), "{wrong:.20}");
    }
}

/// The proof, token and thumbprint that RFC 9449 shows in sections 4.1, 6.1 and 7.1.
#[test]
fn r76_the_examples_of_rfc_9449_hold() {
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let request = Proven {
        method: b"GET",
        url: "https://resource.example.org/protectedresource",
        token: b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
        now: 1_562_262_618,
    };
    let proven = Proof::verify(proof.as_bytes(), &request).unwrap();
    let jkt = URL_SAFE_NO_PAD.decode("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap();
    assert!(proven.key().is(&jkt.try_into().unwrap()));
    assert_eq!(proven.jti, "e1j3V_bKic8-LAEB");
}

#[test]
fn r76_there_is_one_proof() {
    assert_eq!(sent_proof([].into_iter()), Err(Refusal::NoProof));
    assert_eq!(sent_proof([&b"a"[..]].into_iter()), Ok(&b"a"[..]));
    assert_eq!(sent_proof([&b"a"[..], b"a"].into_iter()), Err(Refusal::SeveralProofs));
}

proptest! {
    #[test]
    fn r76_a_changed_proof_is_refused(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let key = SigningKey::generate(Algorithm::EdDsa, "k").unwrap();
        let mut proof = key.sign_with(&header(&key), &claims()).unwrap().into_bytes();
        let at = at.index(proof.len());
        prop_assume!(proof[at] != to);
        proof[at] = to;
        prop_assert!(verify(&proof).is_err());
    }

    #[test]
    fn r76_no_bytes_break_the_reader(proof in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&proof).is_err());
    }
}
