//! What is no token, whoever signed it: the rules about header, encoding and claims, each under three kinds of algorithm.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// An issuer with one key `k1`, and a verifier that knows it.
struct Stage {
    key: SigningKey,
    verifier: Verifier,
}

/// One of each kind: making RSA keys takes long.
static STAGES: LazyLock<Vec<Stage>> = LazyLock::new(|| {
    let stage = |algorithm| {
        let key = key(algorithm);
        Stage { verifier: verifier(&[&key], 1), key }
    };
    [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].map(stage).into()
});

impl Stage {
    fn judge(&self, token: &str) -> Result<Principal, Refusal> {
        self.verifier.verify(token.as_bytes(), AUD, NOW)
    }

    fn header(&self) -> Value {
        json!({"alg": self.key.alg(), "kid": "k1"})
    }

    /// The verdict on a good token with this member in its header.
    fn with_header(&self, name: &str, value: Value) -> Result<Principal, Refusal> {
        let mut header = self.header();
        header[name] = value;
        self.judge(&self.key.sign_with(&header, &claims()).unwrap())
    }

    /// The verdict on a signed token with this claim; null takes it away.
    fn with_claim(&self, name: &str, value: Value) -> Result<Principal, Refusal> {
        self.judge(&self.key.sign(&with(name, value)).unwrap())
    }

    /// The verdict on a token of these bytes, signed.
    fn of_bytes(&self, header: &[u8], claims: &[u8]) -> Result<Principal, Refusal> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        self.judge(&self.key.sign_parts(&encode(header), &encode(claims)).unwrap())
    }
}

fn each(check: impl Fn(&Stage)) {
    STAGES.iter().for_each(check);
}

/// Within `{}`, a value in arrays so that the whole is this deep.
fn nested(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth - 1), "]".repeat(depth - 1))
}

#[test]
fn r02_a_token_is_bounded_before_anything_of_it_is_decoded() {
    each(|stage| {
        // Not even base64url, so that only the length can be the reason.
        assert_eq!(stage.judge(&"!".repeat(16 * 1024 + 1)), Err(Refusal::TooLarge));
        assert_eq!(stage.judge(&"!".repeat(16 * 1024)), Err(Refusal::MalformedToken));
        assert_eq!(stage.judge(&format!("{}.e30.AAAA", "!".repeat(4 * 1024 + 1))), Err(Refusal::TooLarge));
        assert_eq!(stage.with_header("x5c", json!(["A".repeat(4 * 1024)])), Err(Refusal::TooLarge));
        assert!(stage.with_header("x5c", json!(["A".repeat(2 * 1024)])).is_ok());
        assert!(stage.with_claim("wids", json!("x".repeat(8 * 1024))).is_ok(), "hundreds of groups fit");
        assert_eq!(stage.with_claim("wids", json!("x".repeat(12 * 1024))), Err(Refusal::TooLarge));
        for (depth, verdict) in [(8, Ok(())), (9, Err(Refusal::MalformedJson)), (2000, Err(Refusal::MalformedJson))] {
            let claims = claims().to_string().replacen('{', &format!("{{\"deep\":{},", nested(depth)), 1);
            assert_eq!(
                stage.of_bytes(stage.header().to_string().as_bytes(), claims.as_bytes()).map(drop),
                verdict,
                "{depth} deep"
            );
        }
    });
}

#[test]
fn r03_a_token_has_three_parts_and_holds_no_other() {
    each(|stage| {
        let good = stage.key.sign(&claims()).unwrap();
        let parts: Vec<&str> = good.split('.').collect();
        let [header, body, signature] = parts[..] else { panic!("{good}") };
        for token in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            header.to_owned(),
            format!("{header}.{body}"),
            format!("{header}.{body}."),
            format!("{header}..{signature}"),
            format!(".{body}.{signature}"),
            format!("{good}."),
            format!("{good}.{signature}"),
            // Five parts: encrypted (RFC 7516).
            format!("{good}.{signature}.{signature}"),
            // The JSON serializations (RFC 7515 section 7.2).
            format!(r#"{{"protected":"{header}","payload":"{body}","signature":"{signature}"}}"#),
        ] {
            assert_eq!(stage.judge(&token), Err(Refusal::MalformedToken), "{token}");
        }
        for value in [json!("JWT"), json!("DEF"), Value::Null] {
            assert_eq!(stage.with_header("cty", value.clone()), Err(Refusal::NestedToken));
            assert_eq!(stage.with_header("zip", value), Err(Refusal::NestedToken));
        }
    });
}

#[test]
fn r04_base64url_has_one_spelling() {
    each(|stage| {
        let good = stage.key.sign(&claims()).unwrap();
        let at = good.rfind('.').unwrap();
        let mut refused =
            vec![format!("{good}="), format!("{good}=="), format!("{good} "), format!(" {good}"), format!("{good}\n")];
        refused.extend(
            ["=", " ", "\n", "\r\n", "\0", "%3D", "+", "/", "é"].map(|text| format!("{}{text}{}", &good[..at], &good[at..])),
        );
        // Bits behind the last byte: the signatures have 256 and 64 bytes, neither a multiple of three.
        let last = good.chars().last().unwrap();
        let neighbours = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).filter(|&c| c != last);
        let stem = &good[..good.len() - 1];
        refused.extend(neighbours.map(|c| format!("{stem}{c}")));
        for token in refused {
            assert!(stage.judge(&token).is_err(), "{token:?}");
        }
        assert!(stage.judge(&good).is_ok());
    });
}

#[test]
fn r05_algorithms_without_a_signature_or_without_a_name() {
    each(|stage| {
        let names = [
            "none", "None", "NONE", "nOnE", "", "rs256", "Rs256", "eddsa", "EDDSA", "ES256K", "RS1", "RSA-OAEP", "Ed448",
            "RS256 ",
        ];
        let values =
            names.map(|name| json!(name)).into_iter().chain([Value::Null, json!(5), json!(["RS256"]), json!({"a": "RS256"})]);
        for alg in values {
            assert_eq!(stage.with_header("alg", alg.clone()), Err(Refusal::UnsupportedAlgorithm), "{alg}");
        }
        assert_eq!(stage.of_bytes(br#"{"kid":"k1"}"#, claims().to_string().as_bytes()), Err(Refusal::UnsupportedAlgorithm));
        // RFC 7519 section 6: without a signature there is no third part.
        let unsecured =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims().to_string()));
        assert_eq!(stage.judge(&unsecured), Err(Refusal::MalformedToken));
    });
}

#[test]
fn r07_the_public_key_is_no_secret_for_hmac() {
    each(|stage| {
        let jwk = stage.key.jwk().to_string();
        for (alg, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
            for secret in [stage.key.public_key(), jwk.as_bytes(), b""] {
                let header = json!({"alg": alg, "kid": "k1"}).to_string();
                let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims().to_string()));
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
                assert_eq!(stage.judge(&token), Err(Refusal::UnsupportedAlgorithm));
                // And under the name of the key's own algorithm it is no signature.
                let signed = format!(
                    "{}.{}",
                    URL_SAFE_NO_PAD.encode(stage.header().to_string()),
                    URL_SAFE_NO_PAD.encode(claims().to_string())
                );
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
                assert_eq!(stage.judge(&token), Err(Refusal::BadSignature));
            }
        }
    });
}

#[test]
fn r08_r09_extensions_that_are_not_understood() {
    each(|stage| {
        for value in [json!([]), json!(["exp"]), json!(["b64"]), json!("exp"), json!({}), Value::Null, json!(false)] {
            assert_eq!(stage.with_header("crit", value.clone()), Err(Refusal::CriticalExtension), "{value}");
        }
        for value in [json!(true), json!(false), Value::Null] {
            assert_eq!(stage.with_header("b64", value.clone()), Err(Refusal::UnencodedPayload), "{value}");
        }
    });
}

#[test]
fn r10_keys_that_a_token_brings_are_not_looked_at() {
    each(|stage| {
        let theirs = key(Algorithm::EdDsa);
        let brought = [
            ("jwk", theirs.jwk()),
            ("jku", json!("https://evil.test/jwks")),
            ("x5u", json!("https://evil.test/chain.pem")),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("AAAA")),
            ("x5t#S256", json!("AAAA")),
        ];
        for (name, value) in brought {
            assert!(stage.with_header(name, value.clone()).is_ok(), "{name} changes nothing");
            let header = json!({"alg": "EdDSA", "kid": "k1", name: value});
            let forged = stage.judge(&theirs.sign_with(&header, &claims()).unwrap());
            assert!(matches!(forged, Err(Refusal::BadSignature | Refusal::WrongAlgorithm)), "{name}: {forged:?}");
        }
    });
}

#[test]
fn r11_a_key_is_looked_for_by_name_among_its_issuers_own() {
    each(|stage| {
        for kid in [json!(5), json!(""), json!("a\u{1}"), json!("a\n"), json!("k".repeat(257)), json!(["k1"]), Value::Null] {
            assert_eq!(stage.with_header("kid", kid.clone()), Err(Refusal::MalformedKeyId), "{kid}");
        }
        for kid in ["K1", "k1 ", "k", "../../../dev/null", "x' OR '1'='1", "https://evil.test/k1", &"k".repeat(256)] {
            let unknown = Refusal::UnknownKey { issuer: 0, kid: kid.to_owned() };
            assert_eq!(stage.with_header("kid", json!(kid)), Err(unknown));
        }
        // Two issuers that both call their key k1.
        let other = key(stage.key.algorithm());
        let state = |name: &str, issuer: &str, key: &SigningKey| IssuerState {
            policy: IssuerPolicy::new(name, issuer, vec![AUD.to_owned()]).unwrap(),
            keys: Some(Arc::new(KeySet::parse(&SigningKey::jwks(&[key])).unwrap().0)),
        };
        let both = Verifier::new(vec![state("corp", ISS, &stage.key), state("lab", "https://lab.test", &other)], 1);
        let of = |key: &SigningKey, iss: &str| {
            both.verify(key.sign(&with("iss", json!(iss))).unwrap().as_bytes(), AUD, NOW).map(|who| who.id().to_owned())
        };
        assert_eq!(of(&stage.key, ISS).as_deref(), Ok("corp:agent-a"));
        assert_eq!(of(&other, "https://lab.test").as_deref(), Ok("lab:agent-a"), "R-24: the subject alone is nobody");
        assert_eq!(of(&other, ISS), Err(Refusal::BadSignature));
        assert_eq!(of(&stage.key, "https://lab.test"), Err(Refusal::BadSignature));
    });
}

#[test]
fn r12_without_a_name_the_issuer_must_have_one_key_for_the_algorithm() {
    each(|stage| {
        let token = stage.key.sign_with(&json!({"alg": stage.key.alg()}), &claims()).unwrap();
        assert!(stage.judge(&token).is_ok());
        let second = SigningKey::generate(stage.key.algorithm(), "k2").unwrap();
        assert_eq!(verifier(&[&stage.key, &second], 1).verify(token.as_bytes(), AUD, NOW), Err(Refusal::KeyNotNamed));
        // A key for another algorithm makes no doubt, and is none to fall back on.
        let foreign = SigningKey::generate(Algorithm::Es384, "k3").unwrap();
        assert!(verifier(&[&stage.key, &foreign], 1).verify(token.as_bytes(), AUD, NOW).is_ok());
        assert_eq!(verifier(&[&foreign], 1).verify(token.as_bytes(), AUD, NOW), Err(Refusal::KeyNotNamed));
    });
}

#[test]
fn r15_r16_issuer_and_audience_are_compared_byte_for_byte() {
    each(|stage| {
        for iss in ["https://idp.test/", "https://IDP.test", "http://idp.test", "https://idp.test ", "idp.test", ""] {
            assert_eq!(stage.with_claim("iss", json!(iss)), Err(Refusal::UnknownIssuer), "{iss}");
        }
        for iss in [json!([ISS]), json!({"iss": ISS}), json!(1), json!(true)] {
            assert_eq!(stage.with_claim("iss", iss.clone()), Err(Refusal::MalformedClaim("iss")), "{iss}");
        }
        assert_eq!(stage.with_claim("iss", Value::Null), Err(Refusal::MissingClaim("iss")));
        for aud in [json!(format!("{AUD}/")), json!("https://gate.test/mcp"), json!("*"), json!(["a", "b"])] {
            assert_eq!(stage.with_claim("aud", aud.clone()), Err(Refusal::WrongAudience), "{aud}");
        }
        let many =
            |count: usize| json!((0..count).map(|n| if n == 0 { AUD.to_owned() } else { n.to_string() }).collect::<Vec<_>>());
        for aud in [json!([AUD, null]), json!([AUD, ""]), json!([[AUD]]), json!(5), json!([]), json!(""), many(33)] {
            assert_eq!(stage.with_claim("aud", aud.clone()), Err(Refusal::MalformedClaim("aud")), "{aud}");
        }
        assert!(stage.with_claim("aud", many(32)).is_ok());
    });
}

#[test]
fn r18_r19_r20_times_are_numbers_and_count_to_the_second() {
    let expiry = |value: Value| with("exp", value);
    each(|stage| {
        let judge = |claims: &Value| stage.judge(&stage.key.sign(claims).unwrap()).map(drop);
        for name in ["exp", "nbf", "iat"] {
            for value in
                [json!("1790000000"), json!(true), json!([NOW]), json!(0), json!(-1), json!(-0.5), json!(u64::MAX), json!(1e300)]
            {
                assert_eq!(judge(&with(name, value.clone())), Err(Refusal::MalformedClaim(name)), "{name} {value}");
            }
        }
        assert_eq!(judge(&expiry(Value::Null)), Err(Refusal::MissingClaim("exp")));
        assert_eq!(judge(&with("iat", Value::Null)), Err(Refusal::MissingClaim("iat")));
        // 30 s of leeway by default.
        assert_eq!(judge(&expiry(json!(NOW - 29))).err(), Some(Refusal::IssuedInFuture), "iat is behind exp");
        let lived = |exp: Value| json!({"iss": ISS, "aud": AUD, "sub": "a", "iat": NOW - 100, "exp": exp});
        assert_eq!(judge(&lived(json!(NOW - 29))), Ok(()));
        assert_eq!(judge(&lived(json!(NOW as f64 - 29.5))), Err(Refusal::Expired));
        assert_eq!(judge(&lived(json!(NOW - 30))), Err(Refusal::Expired));
        for (name, at, verdict) in [
            ("nbf", NOW + 30, Ok(())),
            ("nbf", NOW + 31, Err(Refusal::NotYetValid)),
            ("iat", NOW + 30, Ok(())),
            ("iat", NOW + 31, Err(Refusal::IssuedInFuture)),
        ] {
            assert_eq!(judge(&with(name, json!(at))), verdict, "{name} at {at}");
        }
    });
}

#[test]
fn r22_a_member_stands_once_however_it_is_spelt() {
    each(|stage| {
        let (header, body) = (stage.header().to_string(), claims().to_string());
        let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
        for member in [
            r#""sub":"root""#,
            r#""groups":["admins"]"#,
            r#""\u0073ub":"root""#,
            r#""s\u0075b":"root""#,
            r#""deep":{"a":1,"a":2}"#,
            r#""deep":[{"a":1,"\u0061":1}]"#,
        ] {
            assert_eq!(
                stage.of_bytes(header.as_bytes(), twice(&body, member).as_bytes()),
                Err(Refusal::DuplicateMember),
                "{member}"
            );
        }
        for member in [r#""kid":"k1""#, r#""alg":"none""#, r#""\u0061lg":"none""#] {
            assert_eq!(
                stage.of_bytes(twice(&header, member).as_bytes(), body.as_bytes()),
                Err(Refusal::DuplicateMember),
                "{member}"
            );
        }
    });
}

#[test]
fn r23_the_json_is_one_object_of_unicode_and_nothing_else() {
    each(|stage| {
        let (header, body) = (stage.header().to_string(), claims().to_string());
        let open = &body[..body.len() - 1];
        let bodies: [Vec<u8>; 16] = [
            format!("{body}{{}}").into(),
            format!("{body}x").into(),
            format!("{body}\0").into(),
            format!("\u{feff}{body}").into(),
            format!("[{body}]").into(),
            b"null".to_vec(),
            b"\"text\"".to_vec(),
            open.into(),
            format!("{open},}}").into(),
            format!("{open},\"a\":NaN}}").into(),
            format!("{open},\"a\":01}}").into(),
            format!("{open},\"a\":1e999}}").into(),
            format!("{open},'a':1}}").into(),
            format!("{open}/**/}}").into(),
            format!("{open},\"a\":\"\\ud800\"}}").into(),
            [open.as_bytes(), b",\"a\":\"\xC0\xAF\"}"].concat(),
        ];
        for bad in bodies {
            assert_eq!(stage.of_bytes(header.as_bytes(), &bad), Err(Refusal::MalformedJson), "{}", String::from_utf8_lossy(&bad));
        }
        assert!(stage.of_bytes(header.as_bytes(), format!(" {body}\n").as_bytes()).is_ok(), "white space is no data");
        let paired = format!("{open},\"a\":\"\\ud83d\\ude00\"}}");
        assert!(stage.of_bytes(header.as_bytes(), paired.as_bytes()).is_ok());
    });
}

#[test]
fn r24_a_subject_is_a_printable_text() {
    each(|stage| {
        for sub in [
            json!(""),
            json!("a\u{0}"),
            json!("a\nb"),
            json!("\u{7f}"),
            json!("\u{85}"),
            json!("s".repeat(1025)),
            json!(7),
            json!(["a"]),
        ] {
            assert_eq!(stage.with_claim("sub", sub.clone()), Err(Refusal::MalformedClaim("sub")), "{sub}");
        }
        assert_eq!(stage.with_claim("sub", Value::Null), Err(Refusal::MissingClaim("sub")));
        assert!(stage.with_claim("sub", json!("s".repeat(1024))).is_ok());
    });
}

/// The order of P-256 (SEC 2 section 2.4.2): r and s are less.
const ORDER: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E,
    0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
];

#[test]
fn r25_signatures_that_are_no_two_numbers_of_the_curve() {
    let stage = &STAGES[1];
    assert_eq!(stage.key.algorithm(), Algorithm::Es256);
    let good = stage.key.sign(&claims()).unwrap();
    let (signed, encoded) = good.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(encoded).unwrap();
    let (r, s) = signature.split_at(32);
    let one = [&[0; 31][..], &[1]].concat();
    let der = |number: &[u8]| [&[0x02, 0x21, 0][..], number].concat();
    let asn1 = [&[0x30, 0x46][..], &der(r), &der(s)].concat();
    for bad in [
        vec![0; 64],
        [r, &[0; 32]].concat(),
        [&[0; 32], s].concat(),
        [&ORDER, s].concat(),
        [r, &ORDER].concat(),
        [ORDER, ORDER].concat(),
        [one.as_slice(), &one].concat(),
        [&[0xFF; 32], s].concat(),
        [s, r].concat(),
        asn1,
        signature[..63].to_vec(),
        [&signature[..], &[0]].concat(),
        [&[0], &signature[..]].concat(),
        [&[0], r, &[0], s].concat(),
        vec![0],
    ] {
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bad));
        assert_eq!(stage.judge(&token), Err(Refusal::BadSignature), "{bad:02x?}");
    }
}

#[test]
fn r30_every_refusal_of_a_token_is_one_to_the_outside() {
    each(|stage| {
        let refusals = [
            stage.with_claim("iss", json!("https://elsewhere.test")),
            stage.with_claim("exp", json!(NOW - 60)),
            stage.with_claim("aud", json!("https://elsewhere.test")),
            stage.with_header("crit", json!([])),
            stage.with_header("kid", json!("k7")),
            stage.judge("x"),
            stage.judge(&format!("{}AAAA", stage.key.sign(&claims()).unwrap())),
        ];
        let mut reasons = std::collections::BTreeSet::new();
        for refusal in refusals {
            let refusal = refusal.unwrap_err();
            assert_eq!(refusal.challenge_error(), Some("invalid_token"), "{refusal}");
            assert!(reasons.insert(refusal.reason()), "inside each has its own reason: {refusal}");
        }
    });
}

#[test]
fn any_changed_bit_is_refused() {
    each(|stage| {
        let good = stage.key.sign(&claims()).unwrap().into_bytes();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(stage.verifier.verify(&bad, AUD, NOW).is_err(), "bit {bit} of byte {at}");
            }
        }
    });
}
