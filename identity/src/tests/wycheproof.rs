//! Wycheproof's vectors for signatures and keys: what is invalid is refused, and of what is valid only what is named here.

use std::collections::BTreeSet;

use super::*;

/// Valid vectors that are refused: their numbers, and why.
const REFUSED: [(&str, &[u64], &str); 5] = [
    // Symmetric keys verify nothing here, for who can verify with them can sign.
    ("signature", &[1, 348, 352, 357, 358, 359, 372, 373, 376, 377], "private key material"),
    ("key", &[2, 13, 14, 15], "private key material"),
    // A JWT's claims are an object, so they are never empty.
    ("signature", &[259, 264, 268, 272, 320, 325], "malformed-token"),
    // RFC 7520 signs with PS384 under a key that says RS256 here.
    ("signature", &[346, 350], "wrong-algorithm"),
    // The keys say ES521, which is no algorithm; its name is ES512.
    ("signature", &[347, 351], "algorithm or curve is not supported"),
];

struct Vector {
    file: &'static str,
    number: u64,
    comment: String,
    is_valid: bool,
    verdict: Result<(), String>,
}

/// The way of a token up to its claims, which these vectors do not have.
fn judge(set: &Value, jws: &str) -> Result<(), String> {
    let (keys, _) = KeySet::parse(set.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let jws = token::signed(jws.as_bytes()).map_err(|refusal| refusal.to_string())?;
    let key = keys.find(jws.algorithm, jws.kid.as_deref(), 0).map_err(|refusal| refusal.to_string())?;
    if key.verifies(jws.signed, &jws.signature) { Ok(()) } else { Err("bad-signature".to_owned()) }
}

fn vectors(file: &'static str, text: &str) -> Vec<Vector> {
    let suite: Value = serde_json::from_str(text).unwrap();
    let mut vectors = Vec::new();
    for group in suite["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
        for test in group["tests"].as_array().unwrap() {
            vectors.push(Vector {
                file,
                number: test["tcId"].as_u64().unwrap(),
                comment: format!("{}: {}", group["comment"], test["comment"]),
                is_valid: test["result"] == "valid",
                verdict: judge(&set, test["jws"].as_str().unwrap_or_default()),
            });
        }
    }
    assert_eq!(vectors.len() as u64, suite["numberOfTests"].as_u64().unwrap());
    vectors
}

#[test]
fn r25_r26_r28_no_invalid_vector_is_taken_and_only_named_valid_ones_are_refused() {
    let mut all = vectors("signature", include_str!("../../tests/wycheproof/json_web_signature_test.json"));
    all.extend(vectors("key", include_str!("../../tests/wycheproof/json_web_key_test.json")));
    let mut expected: BTreeSet<(&str, u64)> =
        REFUSED.iter().flat_map(|(file, numbers, _)| numbers.iter().map(|&number| (*file, number))).collect();
    let mut taken = 0;
    for Vector { file, number, comment, is_valid, verdict } in all {
        assert!(is_valid || verdict.is_err(), "false accept: {file} {number} {comment}");
        taken += usize::from(verdict.is_ok());
        if let (true, Err(reason)) = (is_valid, verdict) {
            let named = REFUSED.iter().find(|(of, numbers, _)| *of == file && numbers.contains(&number));
            assert!(named.is_some_and(|(_, _, why)| reason.contains(why)), "false reject: {file} {number} {comment}: {reason}");
            expected.remove(&(file, number));
        }
    }
    assert!(expected.is_empty(), "taken, although named as refused: {expected:?}");
    assert_eq!(taken, 27, "valid vectors that are taken");
}
