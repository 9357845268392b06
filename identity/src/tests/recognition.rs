//! What the memory of tokens recognises, and what makes it forget.

use std::rc::Rc;

use super::*;

/// An issuer with a quick key, and tokens of it.
struct Stage {
    key: SigningKey,
    verifier: Verifier,
}

fn stage() -> Stage {
    let key = key(Algorithm::EdDsa);
    Stage { verifier: verifier(&[&key], 1), key }
}

impl Stage {
    fn token(&self, jti: impl ToString) -> Vec<u8> {
        self.key.sign(&with("jti", json!(jti.to_string()))).unwrap().into_bytes()
    }

    /// A token of this issuer with a signature of nobody's.
    fn forged(&self, jti: impl ToString) -> Vec<u8> {
        let stranger = key(Algorithm::EdDsa);
        stranger.sign(&with("jti", json!(jti.to_string()))).unwrap().into_bytes()
    }
}

/// The verdict, and whether a signature was checked for it.
fn look(cache: &mut TokenCache, verifier: &Verifier, token: &[u8], now: u64) -> (Result<Rc<Principal>, Refusal>, bool) {
    let mut is_checked = false;
    let unproven = cache.recognise_if(verifier, token, AUD, now, &mut || {
        is_checked = true;
        true
    });
    (unproven.and_then(|unproven| unproven.prove(&Sender::default())), is_checked)
}

#[test]
fn r60_a_recognised_token_needs_no_signature_and_any_other_does() {
    let stage = stage();
    let mut cache = TokenCache::new(16);
    let (first, second) = (stage.token(1), stage.token(2));
    let (once, checked) = look(&mut cache, &stage.verifier, &first, NOW);
    assert!(checked);
    let (again, checked) = look(&mut cache, &stage.verifier, &first, NOW);
    assert!(!checked && Rc::ptr_eq(&once.unwrap(), &again.unwrap()));
    assert!(look(&mut cache, &stage.verifier, &second, NOW).1, "the same claims but for one are another token");
    // A token whose end is cut off or longer is another one, too.
    let longer = [first.as_slice(), b"A"].concat();
    assert!(look(&mut cache, &stage.verifier, &longer, NOW).0.is_err());
    assert!(look(&mut cache, &stage.verifier, &first[..first.len() - 1], NOW).0.is_err());
}

#[test]
fn r60_a_full_memory_forgets_what_is_not_used_and_never_grows() {
    let stage = stage();
    let mut cache = TokenCache::new(8);
    let used = stage.token("used");
    assert!(look(&mut cache, &stage.verifier, &used, NOW).1);
    for n in 0..100 {
        assert!(look(&mut cache, &stage.verifier, &stage.token(n), NOW).1, "token {n} is new");
        assert!(!look(&mut cache, &stage.verifier, &used, NOW).1, "the one in use is kept, at {n}");
        assert!(cache.len() <= 8, "{} tokens", cache.len());
    }
    assert!(look(&mut cache, &stage.verifier, &stage.token(0), NOW).1, "the first is forgotten");
}

#[test]
fn r61_recognition_ends_with_the_token_and_after_five_minutes() {
    let stage = stage();
    let mut cache = TokenCache::new(16);
    let long = stage.key.sign(&with("exp", json!(NOW + 3000))).unwrap().into_bytes();
    let short = stage.key.sign(&with("exp", json!(NOW + 100))).unwrap().into_bytes();
    let early = stage.key.sign(&with("nbf", json!(NOW + 20))).unwrap().into_bytes();
    for token in [&long, &short, &early] {
        assert!(look(&mut cache, &stage.verifier, token, NOW).0.is_ok());
    }
    assert!(!look(&mut cache, &stage.verifier, &long, NOW + 299).1);
    let (verdict, checked) = look(&mut cache, &stage.verifier, &long, NOW + 300);
    assert!(verdict.is_ok() && checked, "after five minutes it is verified anew");
    assert!(!look(&mut cache, &stage.verifier, &long, NOW + 599).1);
    assert!(!look(&mut cache, &stage.verifier, &short, NOW + 129).1, "leeway is counted once");
    assert_eq!(look(&mut cache, &stage.verifier, &short, NOW + 130).0, Err(Refusal::Expired));
    // The clock was put back to before the token counts.
    assert_eq!(look(&mut cache, &stage.verifier, &early, NOW - 11).0, Err(Refusal::NotYetValid));
}

#[test]
fn r62_bad_tokens_are_remembered_for_seconds_and_cost_no_good_one_its_place() {
    let stage = stage();
    let mut cache = TokenCache::new(8);
    let good: Vec<Vec<u8>> = (0..8).map(|n| stage.token(n)).collect();
    good.iter().for_each(|token| assert!(look(&mut cache, &stage.verifier, token, NOW).0.is_ok()));
    let forged = stage.forged("x");
    assert_eq!(look(&mut cache, &stage.verifier, &forged, NOW), (Err(Refusal::BadSignature), true));
    assert_eq!(look(&mut cache, &stage.verifier, &forged, NOW + 9), (Err(Refusal::BadSignature), false));
    assert_eq!(look(&mut cache, &stage.verifier, &forged, NOW + 10), (Err(Refusal::BadSignature), true));
    // Signatures over nothing, many times as many as either memory holds.
    let claims = claims().to_string();
    for n in 0..2000 {
        let token = mint::unsigned(&json!({"alg": "EdDSA", "kid": "k1", "n": n}), &claims);
        assert_eq!(look(&mut cache, &stage.verifier, token.as_bytes(), NOW).0, Err(Refusal::BadSignature));
        assert!(cache.refused_len() <= 512);
    }
    assert!(good.iter().all(|token| !look(&mut cache, &stage.verifier, token, NOW).1), "a good one was evicted");
    // What is wrong in another way is cheap to see again, and not remembered.
    let before = cache.refused_len();
    for claims in [with("aud", json!("x")), with("exp", json!(NOW - 100)), with("iss", json!("x"))] {
        assert!(look(&mut cache, &stage.verifier, stage.key.sign(&claims).unwrap().as_bytes(), NOW).0.is_err());
    }
    assert_eq!((cache.refused_len(), cache.len()), (before, 8));
}

#[test]
fn r63_another_generation_recognises_nothing_of_the_one_before() {
    let stage = stage();
    let mut cache = TokenCache::new(16);
    let token = stage.token(1);
    assert!(look(&mut cache, &stage.verifier, &token, NOW).0.is_ok());
    let same_keys = verifier(&[&stage.key], 2);
    assert!(look(&mut cache, &same_keys, &token, NOW).1, "verified anew");
    assert!(!look(&mut cache, &same_keys, &token, NOW).1);
    // the key is gone, and with it what it signed.
    let other = SigningKey::generate(Algorithm::EdDsa, "k2").unwrap();
    let rotated = verifier(&[&other], 3);
    let gone = Refusal::UnknownKey { issuer: 0, kid: "k1".to_owned() };
    assert_eq!(look(&mut cache, &rotated, &token, NOW).0, Err(gone));
    assert_eq!(cache.len(), 1, "a generation adds no second entry for a token");
}

#[test]
fn r64_a_recognised_token_is_held_against_the_resource_each_time() {
    let stage = stage();
    let mut cache = TokenCache::new(16);
    let token = stage.token(1);
    assert!(look(&mut cache, &stage.verifier, &token, NOW).0.is_ok());
    // The issuer may speak for it, but the token is not for it; and the other way round.
    assert_eq!(cache.verify(&stage.verifier, &token, "https://gate.test/mcp/erp", NOW), Err(Refusal::WrongAudience));
    let both = stage.key.sign(&with("aud", json!([AUD, "https://elsewhere.test"]))).unwrap().into_bytes();
    assert!(look(&mut cache, &stage.verifier, &both, NOW).0.is_ok());
    assert_eq!(cache.verify(&stage.verifier, &both, "https://elsewhere.test", NOW), Err(Refusal::WrongAudience));
}

#[test]
fn a_signature_that_is_put_off_leaves_no_trace() {
    let stage = stage();
    let mut cache = TokenCache::new(16);
    for token in [stage.token(1), stage.forged(1)] {
        let put_off = cache.recognise_if(&stage.verifier, &token, AUD, NOW, &mut || false);
        assert_eq!(put_off.map(drop), Err(Refusal::Deferred));
        assert!(Refusal::Deferred.is_unavailable());
    }
    assert_eq!((cache.len(), cache.refused_len()), (0, 0));
    // Nobody is asked about what needs no signature.
    let mut asked = false;
    for token in [&b"x"[..], &stage.key.sign(&with("iss", json!("x"))).unwrap().into_bytes()] {
        let _ = cache.recognise_if(&stage.verifier, token, AUD, NOW, &mut || {
            asked = true;
            false
        });
    }
    assert!(!asked);
}

proptest! {
    /// Whatever comes in whatever order, the memory's verdict is the verifier's, and it holds no more than it may.
    #[test]
    fn r60_the_memory_never_changes_a_verdict(steps in prop::collection::vec((0usize..12, 0u64..400, any::<bool>()), 1..80)) {
        thread_local! {
            static TOKENS: (Stage, Verifier, Vec<Vec<u8>>) = {
                let stage = stage();
                let life = |n: u64| with("exp", json!(NOW + 50 * n));
                let mut tokens: Vec<Vec<u8>> = (1..10).map(|n| stage.key.sign(&life(n)).unwrap().into_bytes()).collect();
                tokens.extend([stage.forged(1), stage.forged(2), b"x".to_vec()]);
                let next = verifier(&[&stage.key], 2);
                (stage, next, tokens)
            };
        }
        TOKENS.with(|(stage, next, tokens)| {
            let mut cache = TokenCache::new(4);
            let mut now = NOW;
            for (token, seconds, is_next) in steps {
                now += seconds / 10;
                let verifier = if is_next { next } else { &stage.verifier };
                let remembered = cache.verify(verifier, &tokens[token], AUD, now).map(|who| (*who).clone());
                prop_assert_eq!(remembered, verifier.verify(&tokens[token], AUD, now));
                prop_assert!(cache.len() <= 4 && cache.refused_len() <= 512);
            }
            Ok(())
        })?;
    }
}
