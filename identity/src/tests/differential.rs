//! Another reader's verdict beside ours: what `jsonwebtoken` takes and no further rule forbids is taken, and nothing else is.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

const KINDS: [(Algorithm, jsonwebtoken::Algorithm); 3] = [
    (Algorithm::Ps256, jsonwebtoken::Algorithm::PS256),
    (Algorithm::Es384, jsonwebtoken::Algorithm::ES384),
    (Algorithm::EdDsa, jsonwebtoken::Algorithm::EdDSA),
];

/// One key of each kind, and both readers of its tokens.
struct Readers {
    key: SigningKey,
    stranger: SigningKey,
    ours: Verifier,
    theirs: (jsonwebtoken::DecodingKey, jsonwebtoken::Validation),
}

static READERS: LazyLock<Vec<Readers>> = LazyLock::new(|| {
    KINDS
        .map(|(algorithm, name)| {
            let (key, stranger) = (key(algorithm), key(algorithm));
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk()).unwrap();
            let mut validation = jsonwebtoken::Validation::new(name);
            validation.leeway = 30;
            validation.validate_nbf = true;
            validation.set_audience(&[AUD]);
            validation.set_issuer(&[ISS]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            let theirs = (jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap(), validation);
            Readers { ours: verifier(&[&key], 1), key, stranger, theirs }
        })
        .into()
});

/// A token, by what may be wrong with it; 0 is right.
#[derive(Debug, Clone)]
struct Draft {
    kind: usize,
    signer: u8,
    header: u8,
    audience: u8,
    issuer: u8,
    subject: u8,
    /// Seconds from now; never near a bound, for their reader has a clock of its own.
    expires: Option<i64>,
    begins: Option<i64>,
    issued: Option<i64>,
    extra: u8,
}

fn draft() -> impl Strategy<Value = Draft> {
    let seconds = |choices: &'static [i64]| prop::option::weighted(0.9, prop::sample::select(choices));
    let mostly = |most: u8| prop_oneof![6 => Just(0), 1 => 0..=most];
    let claims = (mostly(3), mostly(3), mostly(3), mostly(3));
    let times = (
        seconds(&[600, 1800, -600, 90_000]),
        prop::option::of(prop::sample::select(&[-600i64, 600][..])),
        seconds(&[-300, -300, 900]),
    );
    (0..KINDS.len(), mostly(2), mostly(6), claims, times).prop_map(|(kind, signer, header, claims, times)| {
        let ((audience, issuer, subject, extra), (expires, begins, issued)) = (claims, times);
        Draft { kind, signer, header, audience, issuer, subject, expires, begins, issued, extra }
    })
}

fn write(draft: &Draft, now: i64) -> String {
    let readers = &READERS[draft.kind];
    let mut header = json!({"alg": readers.key.alg(), "kid": "k1"});
    match draft.header {
        1 => header["crit"] = json!(["exp"]),
        2 => header["b64"] = json!(false),
        3 => header["typ"] = json!("dpop+jwt"),
        4 => header["alg"] = json!("HS256"),
        5 => header["alg"] = json!("none"),
        6 => header["cty"] = json!("JWT"),
        _ => header["typ"] = json!("at+jwt"),
    }
    let audiences = [json!(AUD), json!("https://other.test"), json!([AUD, "https://other.test"]), json!([])];
    let issuers = [json!(ISS), json!("https://other.test"), json!([ISS]), json!("https://idp.test/")];
    let subjects = [json!("agent-a"), json!(""), json!(7), json!("a\n")];
    let pick = |from: &[Value], at: u8| from[usize::from(at)].clone();
    let mut claims = json!({
        "aud": pick(&audiences, draft.audience), "iss": pick(&issuers, draft.issuer), "sub": pick(&subjects, draft.subject),
    });
    for (name, at) in [("exp", draft.expires), ("nbf", draft.begins), ("iat", draft.issued)] {
        at.into_iter().for_each(|at| claims[name] = json!(now + at));
    }
    match draft.extra {
        1 => claims["nonce"] = json!("n"),
        2 => claims["cnf"] = json!({"jkt": "x"}),
        _ => {}
    }
    let mut text = claims.to_string();
    if draft.extra == 3 {
        text = text.replacen('{', r#"{"groups":["a"],"groups":["b"],"#, 1);
    }
    let signer = if draft.signer == 1 { &readers.stranger } else { &readers.key };
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = signer.sign_parts(&encode(&header.to_string()), &encode(&text)).unwrap();
    if draft.signer == 2 { token[..token.len() - 4].to_owned() } else { token }
}

/// What we ask for beyond the other reader: R-03, R-08, R-09, R-13 to R-15, R-20 to R-22, R-24.
fn is_further_allowed(draft: &Draft) -> bool {
    let lived = draft.issued.zip(draft.expires).map(|(issued, expires)| expires - issued);
    draft.header == 0
        && draft.issuer == 0
        && matches!(draft.audience, 0 | 2)
        && draft.subject == 0
        && draft.extra == 0
        && draft.issued.is_some_and(|issued| issued <= 30)
        && lived.is_some_and(|lived| (0..=3600).contains(&lived))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn our_verdict_is_that_of_jsonwebtoken_and_the_further_rules(draft in draft()) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let readers = &READERS[draft.kind];
        let token = write(&draft, now as i64);
        let ours = readers.ours.verify(token.as_bytes(), AUD, now);
        let (key, validation) = &readers.theirs;
        let theirs = jsonwebtoken::decode::<Value>(&token, key, validation);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok() && is_further_allowed(&draft), "ours {:?}, theirs {:?}", ours, theirs);
    }
}

#[test]
fn both_verdicts_happen() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let good = Draft {
        kind: 0,
        signer: 0,
        header: 0,
        audience: 0,
        issuer: 0,
        subject: 0,
        expires: Some(600),
        begins: Some(-600),
        issued: Some(-300),
        extra: 0,
    };
    for (draft, ours, theirs) in [
        (good.clone(), true, true),
        (Draft { header: 1, ..good.clone() }, false, true),
        (Draft { extra: 3, ..good.clone() }, false, true),
        (Draft { issuer: 2, ..good.clone() }, false, true),
        (Draft { signer: 1, ..good.clone() }, false, false),
        (Draft { expires: Some(-600), ..good }, false, false),
    ] {
        let (readers, token) = (&READERS[draft.kind], write(&draft, now as i64));
        let (key, validation) = &readers.theirs;
        assert_eq!(readers.ours.verify(token.as_bytes(), AUD, now).is_ok(), ours, "{draft:?}");
        assert_eq!(jsonwebtoken::decode::<Value>(&token, key, validation).is_ok(), theirs, "{draft:?}");
    }
}
