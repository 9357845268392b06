//! Tokens as each kind of issuer writes them, and what looks like one and must not be taken.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use crate::mint::SigningKey;
use crate::*;

const NOW: u64 = 1_790_000_000;
const AUD: &str = "https://gate.test/mcp/crm";

/// A token shape: its issuer, header and claims.
struct Shape {
    issuer: String,
    header: Value,
    claims: Value,
}

fn shape(profile: &str) -> Shape {
    let path = format!("{}/tests/profiles/{profile}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let issuer = serde_json::from_str::<Value>(&text).unwrap()["issuer"].as_str().unwrap().to_owned();
    let text = text
        .replace("\"{{iat}}\"", &(NOW - 10).to_string())
        .replace("\"{{exp}}\"", &(NOW + 300).to_string())
        .replace("{{aud}}", AUD)
        .replace("{{iss}}", &issuer);
    assert!(!text.contains("{{"), "{text}");
    let whole: Value = serde_json::from_str(&text).unwrap();
    Shape { issuer, header: whole["header"].clone(), claims: whole["claims"].clone() }
}

fn key(alg: &str) -> &'static SigningKey {
    static KEYS: [OnceLock<SigningKey>; 3] = [const { OnceLock::new() }; 3];
    let (at, algorithm) = match alg {
        "RS256" => (0, Algorithm::Rs256),
        "ES256" => (1, Algorithm::Es256),
        _ => (2, Algorithm::EdDsa),
    };
    KEYS[at].get_or_init(|| SigningKey::generate(algorithm, "k1").unwrap())
}

fn policy(profile: &str) -> IssuerPolicy {
    IssuerPolicy::of_profile(Profile::named(profile).unwrap(), "corp", &shape(profile).issuer, vec![AUD.to_owned()]).unwrap()
}

fn verifier(policy: IssuerPolicy, alg: &str) -> Verifier {
    let (keys, _) = KeySet::parse(&SigningKey::jwks(&[key(alg)])).unwrap();
    Verifier::new(vec![IssuerState { policy, keys: Some(Arc::new(keys)) }], 1)
}

/// What becomes of a token under a policy; it is signed with the algorithm that its header names.
fn judge_by(policy: IssuerPolicy, header: &Value, claims: &Value) -> Result<Principal, Refusal> {
    let alg = header["alg"].as_str().unwrap();
    let token = key(alg).sign_with(header, claims).unwrap();
    verifier(policy, alg).verify(token.as_bytes(), AUD, NOW)
}

/// What becomes of a profile's token with this claim changed, or left out where the value is null.
fn judge(profile: &str, claim: &str, value: Value) -> Result<Principal, Refusal> {
    let shape = shape(profile);
    judge_by(policy(profile), &shape.header, &changed(shape.claims, claim, value))
}

fn changed(mut claims: Value, claim: &str, value: Value) -> Value {
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(claim);
    } else {
        claims[claim] = value;
    }
    claims
}

fn accepted(profile: &str) -> Principal {
    let shape = shape(profile);
    judge_by(policy(profile), &shape.header, &shape.claims).unwrap_or_else(|refusal| panic!("{profile}: {refusal}"))
}

/// A principal as one line: id, client, roles, groups, and whether it is a machine.
fn line(who: &Principal) -> String {
    let client = who.client_id().unwrap_or("-");
    format!("{} {client} {:?} {:?} {}", who.id(), who.roles(), who.groups(), who.is_machine())
}

#[test]
fn every_profile_has_a_token_that_is_taken_and_mapped() {
    for (profile, expected) in [
        ("jwt", "corp:5ba552d67 s6BhdRkqt3 [] [] false"),
        ("rfc9068", "corp:5ba552d67 s6BhdRkqt3 [] [] false"),
        ("okta", "corp:0oa1agent 0oa1agent [] [] true"),
        ("entra-v2", "corp:22222222-0000-4000-8000-00000000000b 11111111-0000-4000-8000-00000000000a [\"Mcp.Read\"] [] true"),
        ("entra-v1", "corp:22222222-0000-4000-8000-00000000000b 11111111-0000-4000-8000-00000000000a [\"Mcp.Read\"] [] true"),
        ("google", "corp:104029292853099978293 104029292853099978293 [] [] true"),
        ("kubernetes", "corp:system:serviceaccount:agents:bot - [] [] true"),
        ("github-actions", "corp:65/74 - [] [] true"),
        ("gitlab", "corp:72/20 - [] [] true"),
        ("aws-sts", "corp:arn:aws:iam::123456789012:role/Agent - [] [] true"),
        ("spiffe-jwt", "corp:spiffe://prod.example/ns/agents/sa/bot - [] [] true"),
        ("keycloak", "corp:5f3c7d2a-0000-4000-8000-000000000005 agent [\"offline_access\", \"reader\"] [\"corp:/ops\"] true"),
        ("auth0", "corp:abc123@clients abc123 [\"read:tools\"] [] true"),
    ] {
        assert_eq!(line(&accepted(profile)), expected, "{profile}");
        assert_eq!(Profile::named(profile).unwrap().issuer_fault(&shape(profile).issuer), None, "{profile}");
    }
    let with_files: Vec<&str> = Profile::all_names().filter(|name| !matches!(*name, "eks" | "gke" | "aks")).collect();
    assert_eq!(with_files.len(), 13, "a profile without a token of its own: {with_files:?}");
    with_files.into_iter().for_each(|name| drop(accepted(name)));
    assert_eq!(Profile::named("eks"), Profile::named("kubernetes"));
    assert_eq!(accepted("okta").scopes(), ["mcp:read", "mcp:write"], "Okta writes `scp` as an array");
}

/// What is wrong in every profile, whatever else it says.
#[test]
fn no_profile_switches_off_what_holds_for_all_tokens() {
    for profile in Profile::all_names().filter(|name| !matches!(*name, "eks" | "gke" | "aks")) {
        for (claim, value, refusal) in [
            ("aud", json!("https://other.test"), Refusal::WrongAudience),
            ("aud", Value::Null, Refusal::MissingClaim("aud")),
            ("exp", json!(NOW - 31), Refusal::Expired),
            ("exp", Value::Null, Refusal::MissingClaim("exp")),
            ("nbf", json!(NOW + 60), Refusal::NotYetValid),
            ("cnf", json!({"jkt": "x"}), Refusal::MalformedClaim("cnf")),
        ] {
            // A point in time that lies before `iat` is told as what it is: the token has run out.
            assert_eq!(judge(profile, claim, value.clone()).unwrap_err(), refusal, "{profile}: {claim} = {value}");
        }
    }
}

#[test]
fn r13_the_type_is_the_profiles_or_the_operators() {
    let typed = |profile: &str, types: Option<&[&str]>, typ: Value| {
        let shape = shape(profile);
        let types = types.map(|types| types.iter().map(|name| TokenType::named(name).unwrap()).collect());
        let policy = policy(profile);
        let policy = match types {
            Some(types) => policy.with_types(types),
            None => policy,
        };
        judge_by(policy, &changed(shape.header, "typ", typ), &shape.claims).map(drop)
    };
    for typ in [json!("at+jwt"), json!("application/at+jwt"), json!("AT+JWT")] {
        assert_eq!(typed("rfc9068", None, typ.clone()), Ok(()), "{typ}");
        assert_eq!(typed("jwt", None, typ.clone()), Ok(()), "{typ}");
        assert_eq!(typed("entra-v2", None, typ.clone()), Err(Refusal::WrongType), "{typ}");
    }
    for typ in [json!("JWT"), Value::Null] {
        assert_eq!(typed("jwt", None, typ.clone()), Ok(()), "{typ}");
        assert_eq!(typed("rfc9068", None, typ.clone()), Err(Refusal::WrongType), "{typ}");
    }
    assert_eq!(typed("spiffe-jwt", None, json!("JOSE")), Ok(()));
    assert_eq!(typed("jwt", None, json!("JOSE")), Err(Refusal::WrongType));
    assert_eq!(typed("jwt", Some(&["JWT"]), Value::Null), Err(Refusal::WrongType));
    assert_eq!(typed("jwt", Some(&["absent"]), Value::Null), Ok(()));
    assert_eq!(typed("rfc9068", Some(&["JWT"]), json!("jwt")), Ok(()));
    for never in ["dpop+jwt", "oauth-id-jag+jwt", "secevent+jwt", "logout+jwt", "token-introspection+jwt"] {
        assert_eq!(TokenType::named(never), None, "no setting can take it");
        for profile in Profile::all_names().filter(|name| !matches!(*name, "eks" | "gke" | "aks")) {
            assert_eq!(typed(profile, None, json!(never)), Err(Refusal::WrongType), "{profile} {never}");
        }
    }
}

#[test]
fn r14_id_tokens_are_access_tokens_only_where_the_profile_says_so() {
    for claim in ["nonce", "at_hash", "c_hash"] {
        for profile in ["jwt", "rfc9068", "okta", "entra-v2", "entra-v1", "kubernetes", "spiffe-jwt", "keycloak", "auth0"] {
            assert_eq!(judge(profile, claim, json!("x")).unwrap_err(), Refusal::WrongType, "{profile} {claim}");
        }
        for profile in ["google", "github-actions", "gitlab", "aws-sts"] {
            assert!(judge(profile, claim, json!("x")).is_ok(), "{profile} {claim}");
        }
    }
    for kind in [json!("ID"), json!("Refresh"), json!(["Bearer"]), Value::Null] {
        assert_eq!(judge("keycloak", "typ", kind.clone()).unwrap_err(), Refusal::WrongType, "{kind}");
    }
}

#[test]
fn r17_a_token_for_several_needs_a_party_that_may_use_it() {
    let several = |azp: Value, parties: &[&str]| {
        let Shape { header, claims, .. } = shape("keycloak");
        let claims = changed(changed(claims, "client_id", Value::Null), "azp", azp);
        let policy = policy("keycloak").with_authorized_parties(parties.iter().map(|party| (*party).to_owned()).collect());
        judge_by(policy, &header, &claims).map(drop)
    };
    assert_eq!(several(json!("agent"), &["other", "agent"]), Ok(()));
    assert_eq!(several(json!("agent"), &["other"]), Err(Refusal::UnauthorizedParty));
    assert_eq!(several(json!("agent"), &[]), Err(Refusal::UnauthorizedParty));
    assert_eq!(several(Value::Null, &["agent"]), Err(Refusal::UnauthorizedParty));
    assert_eq!(several(json!(["agent"]), &["agent"]), Err(Refusal::UnauthorizedParty));
    let one = shape("auth0");
    assert!(judge_by(policy("auth0").with_authorized_parties(vec!["other".into()]), &one.header, &one.claims).is_ok());
}

#[test]
fn r20_only_spiffe_may_lack_iat() {
    for profile in Profile::all_names().filter(|name| !matches!(*name, "eks" | "gke" | "aks")) {
        let judged = judge(profile, "iat", Value::Null);
        match profile {
            "spiffe-jwt" => assert_eq!(judged.unwrap().issued_at(), 0),
            _ => assert_eq!(judged.unwrap_err(), Refusal::MissingClaim("iat"), "{profile}"),
        }
        assert_eq!(judge(profile, "iat", json!(NOW + 60)).unwrap_err(), Refusal::IssuedInFuture, "{profile}");
        assert_eq!(judge(profile, "iat", json!("now")).unwrap_err(), Refusal::MalformedClaim("iat"), "{profile}");
    }
}

/// Both ways past a bound on lifetime: a token that lives for long, and one whose long life is nearly over.
#[test]
fn r21_lifetime_is_from_iat_and_without_it_from_now() {
    let living = |profile: &str, iat: Option<u64>, exp: u64| {
        let Shape { header, claims, .. } = shape(profile);
        let claims = changed(changed(claims, "exp", json!(exp)), "iat", iat.map_or(Value::Null, |iat| json!(iat)));
        judge_by(policy(profile), &header, &changed(claims, "nbf", Value::Null)).map(drop)
    };
    for (profile, longest) in [("jwt", 3600), ("kubernetes", 3600), ("entra-v2", 5400), ("entra-v1", 5400)] {
        assert_eq!(living(profile, Some(NOW), NOW + longest), Ok(()), "{profile}");
        assert_eq!(living(profile, Some(NOW), NOW + longest + 1), Err(Refusal::LifetimeTooLong), "{profile}");
        assert_eq!(living(profile, Some(NOW - longest + 60), NOW + 61), Err(Refusal::LifetimeTooLong), "{profile}");
    }
    assert_eq!(living("spiffe-jwt", None, NOW + 3600), Ok(()));
    assert_eq!(living("spiffe-jwt", None, NOW + 3601), Err(Refusal::LifetimeTooLong));
    assert_eq!(living("spiffe-jwt", Some(NOW - 3600), NOW + 60), Err(Refusal::LifetimeTooLong));
    let long = shape("entra-v2");
    let day = changed(long.claims, "exp", json!(NOW + 86_000));
    let policy = policy("entra-v2").with_lifetime_max_s(90_000).unwrap();
    assert!(judge_by(policy, &long.header, &day).is_ok(), "the operator's setting takes the profile's place");
}

#[test]
fn algorithms_are_the_profiles_and_the_operators() {
    let signed =
        |policy: IssuerPolicy, alg: &str, claims: &Value| judge_by(policy, &json!({"alg": alg, "kid": "k1"}), claims).map(drop);
    let svid = shape("spiffe-jwt").claims;
    assert_eq!(signed(policy("spiffe-jwt"), "RS256", &svid), Ok(()));
    assert_eq!(signed(policy("spiffe-jwt"), "EdDSA", &svid), Err(Refusal::WrongAlgorithm));
    let claims = shape("jwt").claims;
    let only = |names: &[&'static str]| policy("jwt").with_algorithm_names(names.iter().copied());
    assert_eq!(signed(only(&["RS256", "ES256"]).unwrap(), "ES256", &claims), Ok(()));
    assert_eq!(signed(only(&["RS256"]).unwrap(), "ES256", &claims), Err(Refusal::WrongAlgorithm));
    assert_eq!(signed(policy("jwt"), "EdDSA", &claims), Ok(()));
    for bad in [&["HS256"][..], &["none"], &["RS256", "rs256"], &[]] {
        assert_eq!(only(bad).unwrap_err(), IssuerPolicyError::Algorithms, "{bad:?}");
    }
    assert_eq!(policy("spiffe-jwt").with_algorithm_names(["EdDSA"]).unwrap_err(), IssuerPolicyError::Algorithms);
}

#[test]
fn required_claims_are_exact_and_all_of_them() {
    let required = |required: &[(&str, Value)]| {
        let Shape { header, claims, .. } = shape("entra-v2");
        let required = required.iter().map(|(name, value)| Required::new(name, value.clone()).unwrap()).collect();
        judge_by(policy("entra-v2").with_required(required), &header, &claims).map(drop)
    };
    let tenant = json!("8d1c0f3e-0000-4000-8000-000000000001");
    assert_eq!(required(&[("tid", tenant.clone()), ("idtyp", json!("app")), ("/roles/0", json!("Mcp.Read"))]), Ok(()));
    for (name, value) in [
        ("tid", json!("8D1C0F3E-0000-4000-8000-000000000001")),
        ("azpacr", json!(1)),
        ("roles", json!("Mcp.Read")),
        ("missing", json!("x")),
        ("/roles/1", json!("Mcp.Read")),
    ] {
        let refusal = Refusal::RequiredClaim(name.to_owned());
        assert_eq!(required(&[("tid", tenant.clone()), (name, value.clone())]), Err(refusal), "{name} = {value}");
    }
    // It comes before everything else that the claims say.
    let Shape { header, claims, .. } = shape("entra-v2");
    let policy = policy("entra-v2").with_required(vec![Required::new("idtyp", json!("user")).unwrap()]);
    assert_eq!(judge_by(policy, &header, &changed(claims, "exp", json!(1))), Err(Refusal::RequiredClaim("idtyp".to_owned())));
}

#[test]
fn okta_tokens_of_the_org_are_a_fault_of_the_configuration() {
    let okta = Profile::named("okta").unwrap();
    for org in
        ["https://dev-1.okta.com", "https://dev-1.okta.com/", "https://dev-1.okta.com/oauth2", "https://dev-1.okta.com/oauth2/"]
    {
        assert!(okta.issuer_fault(org).unwrap().0.contains("org authorization server"), "{org}");
    }
    // Were one sent all the same: its type says what it is.
    let shape = shape("okta");
    let header = changed(shape.header, "typ", json!("application/okta-internal-at+jwt"));
    assert_eq!(judge_by(policy("okta"), &header, &shape.claims).unwrap_err(), Refusal::WrongType);
}

#[test]
fn issuers_of_another_form_than_the_profiles_are_faults() {
    for (profile, issuer) in [
        ("entra-v2", "https://sts.windows.net/8d1c0f3e/"),
        ("entra-v2", "https://login.microsoftonline.com/common/v2.0"),
        ("entra-v2", "https://login.microsoftonline.com/8d1c0f3e/v2.0/"),
        ("entra-v1", "https://sts.windows.net/8d1c0f3e"),
        ("entra-v1", "https://login.microsoftonline.com/8d1c0f3e/v2.0"),
        ("google", "https://accounts.google.com/"),
        ("github-actions", "https://github.com"),
        ("keycloak", "https://sso.example"),
        ("keycloak", "https://sso.example/realms/"),
        ("auth0", "https://tenant.eu.auth0.com"),
        ("spiffe-jwt", "https://prod.example"),
        ("spiffe-jwt", "spiffe://prod.example/path"),
    ] {
        assert!(Profile::named(profile).unwrap().issuer_fault(issuer).is_some(), "{profile} {issuer}");
    }
}

#[test]
fn entra_groups_that_stand_elsewhere_are_unknown() {
    let overage = json!({"groups": "src1"});
    let Shape { header, claims, .. } = shape("entra-v2");
    let claims = changed(claims, "_claim_names", overage);
    let claims = changed(claims, "_claim_sources", json!({"src1": {"endpoint": "https://graph.windows.net/x/getMemberObjects"}}));
    let who = judge_by(policy("entra-v2"), &header, &claims).unwrap();
    assert!(!who.are_groups_known() && who.groups().is_empty());
    assert!(accepted("entra-v2").are_groups_known());
    // Roles that are granted by those groups could be any, so the token is refused.
    let source = || Source::new(Pointer::parse("/groups").unwrap(), None);
    let when = When::Claim { source: source(), any: vec![json!("g1")], all: Vec::new() };
    let granting = policy("entra-v2").with_grants(vec![Grant { when, roles: vec!["reader".into()] }]);
    assert_eq!(judge_by(granting, &header, &claims).unwrap_err(), Refusal::ClaimElsewhere);
    let roles = policy("entra-v2").with_roles(Pointer::parse("/groups").unwrap());
    assert_eq!(judge_by(roles, &header, &claims).unwrap_err(), Refusal::ClaimElsewhere);
}

#[test]
fn entra_people_are_told_from_programs_and_by_their_own_id() {
    let Shape { header, claims, .. } = shape("entra-v2");
    let person = changed(changed(claims, "scp", json!("Mcp.Use")), "sub", json!("pairwise"));
    let who = judge_by(policy("entra-v2"), &header, &person).unwrap();
    assert_eq!((who.is_machine(), who.name(), who.subject()), (false, "22222222-0000-4000-8000-00000000000b", "pairwise"));
    assert_eq!(judge("entra-v2", "oid", Value::Null).unwrap_err(), Refusal::MissingClaim("principal"));
}

#[test]
fn google_takes_service_accounts_and_no_people() {
    let person = judge("google", "azp", json!("407408718192.apps.googleusercontent.com"));
    assert_eq!(person.unwrap_err(), Refusal::RequiredClaim("azp".into()));
    assert_eq!(judge("google", "azp", Value::Null).unwrap_err(), Refusal::RequiredClaim("azp".into()));
    for verified in [json!(false), json!("true"), Value::Null] {
        let refusal = Refusal::RequiredClaim("email_verified".into());
        assert_eq!(judge("google", "email_verified", verified.clone()).unwrap_err(), refusal, "{verified}");
    }
    assert!(judge("google", "email", Value::Null).is_ok());
}

#[test]
fn the_token_that_kubernetes_mounts_by_default_is_refused_as_such() {
    let Shape { header, claims, .. } = shape("kubernetes");
    let mut mounted = changed(claims, "exp", json!(NOW + 31_536_000));
    mounted["kubernetes.io"]["warnafter"] = json!(NOW + 3607);
    for aud in [json!(["https://kubernetes.default.svc.cluster.local"]), json!([AUD])] {
        let token = changed(mounted.clone(), "aud", aud);
        assert_eq!(judge_by(policy("kubernetes"), &header, &token).unwrap_err(), Refusal::MountedByDefault);
    }
    assert_eq!(judge("kubernetes", "exp", json!(NOW + 31_536_000)).unwrap_err(), Refusal::LifetimeTooLong);
    let apiserver = json!(["https://kubernetes.default.svc.cluster.local"]);
    assert_eq!(judge("kubernetes", "aud", apiserver).unwrap_err(), Refusal::WrongAudience);
}

/// Names of owners and repositories change hands, and `sub` has several forms; the ids do neither.
#[test]
fn github_is_never_known_by_sub() {
    let forms =
        ["repo:octo-org-65/octo-repo-74:ref:refs/heads/main", "repo:octo-org@65/octo-repo@74:environment:prod", "anything"];
    for sub in forms {
        assert_eq!(judge("github-actions", "sub", json!(sub)).unwrap().id(), "corp:65/74");
    }
    let squatted = judge("github-actions", "repository_id", json!("99")).unwrap();
    assert_eq!(squatted.id(), "corp:65/99", "the same name in other hands is somebody else");
    assert_eq!(judge("github-actions", "repository_id", Value::Null).unwrap_err(), Refusal::MissingClaim("principal"));
    let slashed = judge("github-actions", "repository_owner_id", json!("65/74"));
    assert_eq!(slashed.unwrap_err(), Refusal::MalformedClaim("principal"));
}

#[test]
fn gitlab_writes_texts_and_they_are_compared_as_texts() {
    let required = |value: Value| {
        let Shape { header, claims, .. } = shape("gitlab");
        let policy = policy("gitlab").with_required(vec![Required::new("ref_protected", value).unwrap()]);
        judge_by(policy, &header, &claims).map(drop)
    };
    assert_eq!(required(json!("false")), Ok(()));
    assert_eq!(required(json!(false)), Err(Refusal::RequiredClaim("ref_protected".into())));
    assert_eq!(required(json!("true")), Err(Refusal::RequiredClaim("ref_protected".into())));
    assert!(Profile::named("gitlab").unwrap().writes_texts());
}

/// A SPIFFE token names no issuer: the trust domain of its subject picks the keys, and no other domain's.
#[test]
fn spiffe_trust_domains_pick_their_own_keys() {
    let of = |name: &str, issuer: &str, alg: &str| {
        let profile = Profile::named("spiffe-jwt").unwrap();
        let (keys, _) = KeySet::parse(&SigningKey::jwks(&[key(alg)])).unwrap();
        let policy = IssuerPolicy::of_profile(profile, name, issuer, vec![AUD.to_owned()]).unwrap();
        IssuerState { policy, keys: Some(Arc::new(keys)) }
    };
    let states = vec![of("prod", "spiffe://prod.example", "ES256"), of("lab", "spiffe://lab.example", "RS256")];
    let verifier = Verifier::new(states, 1);
    let Shape { header, claims, .. } = shape("spiffe-jwt");
    let judge = |claims: &Value| {
        let token = key("ES256").sign_with(&header, claims).unwrap();
        verifier.verify(token.as_bytes(), AUD, NOW).map(|who| who.id().to_owned())
    };
    assert_eq!(judge(&claims), Ok("prod:spiffe://prod.example/ns/agents/sa/bot".to_owned()));
    assert!(judge(&changed(claims.clone(), "iss", json!("https://spire.example"))).is_ok(), "`iss` says nothing there");
    let foreign = changed(claims.clone(), "sub", json!("spiffe://lab.example/ns/agents/sa/bot"));
    assert_eq!(judge(&foreign), Err(Refusal::WrongAlgorithm), "the keys of the other domain are asked");
    let posing = changed(foreign, "iss", json!("spiffe://prod.example"));
    assert_eq!(judge(&posing), Err(Refusal::MalformedClaim("sub")), "a domain signs for its own workloads only");
    for (sub, refusal) in [
        (json!("spiffe://elsewhere.example/a"), Refusal::MissingClaim("iss")),
        (json!("spiffe://prod.example"), Refusal::MissingClaim("iss")),
        (json!("spiffe://prod.example/../a"), Refusal::MissingClaim("iss")),
        (json!("bot"), Refusal::MissingClaim("iss")),
        (Value::Null, Refusal::MissingClaim("iss")),
    ] {
        assert_eq!(judge(&changed(claims.clone(), "sub", sub.clone())), Err(refusal), "{sub}");
    }
    // Elsewhere `sub` picks no keys.
    let jwt = changed(shape("jwt").claims, "iss", Value::Null);
    let jwt = changed(jwt, "sub", json!("spiffe://prod.example/a"));
    assert_eq!(judge_by(policy("jwt"), &header, &jwt).unwrap_err(), Refusal::MissingClaim("iss"));
}

#[test]
fn r70_claims_are_found_by_pointer_however_they_are_named() {
    let Shape { header, claims, .. } = shape("auth0");
    let claims = changed(claims, "https://example.com/roles", json!(["reader"]));
    let claims = changed(claims, "a~b.c", json!({"d/e": "x y"}));
    let pointer = |text: &str| Pointer::parse(text).unwrap();
    let by_roles = policy("auth0").with_roles(pointer("/https:~1~1example.com~1roles"));
    assert_eq!(judge_by(by_roles, &header, &claims).unwrap().roles(), ["reader"]);
    let at = |split| Source::new(pointer("/a~0b.c/d~1e"), split);
    let groups =
        |sources: Vec<Source>| judge_by(policy("auth0").with_group_sources(sources), &header, &claims).unwrap().groups().to_vec();
    assert_eq!(groups(vec![at(None)]), ["corp:x y"], "a text is one name unless it is to be split");
    assert_eq!(groups(vec![at(Some(' '))]), ["corp:x", "corp:y"]);
    assert_eq!(groups(vec![at(Some(' ')), Source::new(pointer("/permissions"), None)]), ["corp:x", "corp:y", "corp:read:tools"]);
    let kubernetes = shape("kubernetes");
    let policy = policy("kubernetes").with_groups(pointer("/kubernetes.io/namespace"));
    assert_eq!(judge_by(policy, &kubernetes.header, &kubernetes.claims).unwrap().groups(), ["corp:agents"]);
}

#[test]
fn r72_groups_carry_their_issuers_name() {
    let Shape { header, claims, .. } = shape("keycloak");
    let posing = changed(claims, "groups", json!(["lab:admins"]));
    assert_eq!(judge_by(policy("keycloak"), &header, &posing).unwrap().groups(), ["corp:lab:admins"]);
}

#[test]
fn r74_roles_are_granted_by_claims_or_not_at_all() {
    let Shape { header, claims, .. } = shape("github-actions");
    let grant = |when, role: &str| Grant { when, roles: vec![role.to_owned()] };
    let claim = |claim: &str, any: &[&str], all: &[&str]| {
        let values = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect();
        When::Claim { source: Source::new(Pointer::claim(claim).unwrap(), None), any: values(any), all: values(all) }
    };
    let roles = |when: When| {
        let policy = policy("github-actions").with_grants(vec![grant(when, "deployer")]);
        judge_by(policy, &header, &claims).unwrap().roles().to_vec()
    };
    for when in [
        claim("environment", &["prod", "stage"], &[]),
        claim("/ref", &[], &["refs/heads/main"]),
        When::Principal("65/74".into()),
        When::Principal("65/*".into()),
    ] {
        assert_eq!(roles(when.clone()), ["deployer"], "{when:?}");
    }
    for when in [
        claim("environment", &["stage"], &[]),
        claim("environment", &["prod"], &["stage"]),
        claim("missing", &["prod"], &[]),
        claim("Environment", &["prod"], &[]),
        When::Principal("65/7".into()),
        When::Principal("corp:65/74".into()),
    ] {
        assert!(roles(when.clone()).is_empty(), "{when:?}");
    }
    let entra = shape("entra-v2");
    let mapped = policy("entra-v2").with_grants(vec![grant(claim("/roles", &["Mcp.Read"], &[]), "reader")]);
    assert_eq!(judge_by(mapped, &entra.header, &entra.claims).unwrap().roles(), ["reader"], "in the place of the profile's");
}

#[test]
fn templates_are_unambiguous_or_no_templates() {
    for (text, error) in [
        ("", TemplateError::NoClaim),
        ("bot", TemplateError::NoClaim),
        ("{}", TemplateError::Claim),
        ("{a", TemplateError::Brace),
        ("a}", TemplateError::Brace),
        ("{a}{b}", TemplateError::Adjacent),
        ("{/a~2}", TemplateError::Claim),
    ] {
        assert_eq!(Template::parse(text).unwrap_err(), error, "{text}");
    }
    let fill = |text: &str, claims: Value| Template::parse(text).unwrap().fill(claims.as_object().unwrap());
    assert_eq!(fill("{/a/b}:{c}!", json!({"a": {"b": 7}, "c": "x"})), Ok("7:x!".into()));
    assert_eq!(fill("{a}", json!({"a": "x/y:z"})), Ok("x/y:z".into()));
    for (claims, refusal) in [
        (json!({"a": "x"}), Refusal::MissingClaim("principal")),
        (json!({"a": "x:y", "c": "z"}), Refusal::MalformedClaim("principal")),
        (json!({"a": "", "c": "z"}), Refusal::MalformedClaim("principal")),
        (json!({"a": "x\n", "c": "z"}), Refusal::MalformedClaim("principal")),
        (json!({"a": 1.5, "c": "z"}), Refusal::MalformedClaim("principal")),
        (json!({"a": ["x"], "c": "z"}), Refusal::MalformedClaim("principal")),
        (json!({"a": "x".repeat(1100), "c": "z"}), Refusal::MalformedClaim("principal")),
    ] {
        assert_eq!(fill("{a}:{c}", claims.clone()), Err(refusal), "{claims}");
    }
}

proptest::proptest! {
    #[test]
    fn names_of_different_claims_differ(a in "[a-c:/]{1,4}", b in "[a-c:/]{1,4}", c in "[a-c:/]{1,4}", d in "[a-c:/]{1,4}") {
        let template = Template::parse("{x}:{y}/{z}").unwrap();
        let of = |x: &str, y: &str| template.fill(&Map::from_iter([("x".into(), json!(x)), ("y".into(), json!(y)), ("z".into(), json!("z"))]));
        if let (Ok(one), Ok(other)) = (of(&a, &b), of(&c, &d)) {
            proptest::prop_assert_eq!(one == other, (&a, &b) == (&c, &d));
        }
    }
}

#[test]
fn people_who_log_in_keep_the_name_that_their_agents_have() {
    let Shape { claims, issuer, .. } = shape("entra-v2");
    let id_token = json!({"iss": issuer, "aud": "gate-ui", "iat": NOW - 10, "exp": NOW + 300, "nonce": "n1", "sub": "pairwise-2",
        "oid": claims["oid"], "tid": claims["tid"]});
    let login = Login { issuer: 0, client_id: "gate-ui", nonce: "n1" };
    let token = key("RS256").sign_with(&json!({"alg": "RS256", "kid": "k1"}), &id_token).unwrap();
    let judge = |policy: IssuerPolicy| verifier(policy, "RS256").verify_login(token.as_bytes(), login, NOW);
    let person = judge(policy("entra-v2")).unwrap();
    assert_eq!((person.id(), person.is_machine()), (accepted("entra-v2").id(), false));
    let by_client = policy("entra-v2").with_principal(Template::parse("{azp}").unwrap());
    assert_eq!(judge(by_client).unwrap_err(), Refusal::MalformedClaim("principal"), "all people would be one");
    let only = policy("entra-v2").with_required(vec![Required::new("idtyp", json!("app")).unwrap()]);
    assert_eq!(judge(only).unwrap_err(), Refusal::RequiredClaim("idtyp".into()));
}

/// Rehearsals judge calls of people and programs whom no token proves; the verifier must know them as it knows real ones.
#[test]
fn a_specimen_is_taken_for_whom_it_is_of() {
    for profile in Profile::all_names() {
        let policy = policy(if matches!(profile, "eks" | "gke" | "aks") { "kubernetes" } else { profile }).with_any_algorithm();
        let named = policy.profile().name();
        let name = match named {
            "github-actions" | "gitlab" => "65/74",
            "spiffe-jwt" => "spiffe://prod.example/ns/a/sa/b",
            _ => "somebody",
        };
        let (roles, groups) = (vec!["reader".to_owned()], vec!["ops".to_owned()]);
        let wanted = Wanted {
            name,
            client: None,
            roles: if policy.profile().has_roles() { &roles } else { &[] },
            groups: if policy.profile().has_groups() { &groups } else { &[] },
            claims: &Map::new(),
        };
        let claims = policy.specimen(&wanted).unwrap();
        let claims = changed(changed(changed(claims, "aud", json!(AUD)), "iat", json!(NOW)), "exp", json!(NOW + 60));
        let header = json!({"alg": "EdDSA", "kid": "k1"});
        let header = changed(header, "typ", policy.specimen_typ().map_or(Value::Null, Value::from));
        let who = judge_by(policy, &header, &claims).unwrap_or_else(|refusal| panic!("{profile}: {refusal}"));
        assert_eq!((who.name(), who.roles()), (name, wanted.roles), "{profile}");
        assert_eq!(who.groups().len(), wanted.groups.len(), "{profile}");
    }
    let claim = |any: &[&str]| When::Claim {
        source: Source::new(Pointer::parse("/environment").unwrap(), None),
        any: any.iter().map(|text| json!(text)).collect(),
        all: vec![json!("prod")],
    };
    let granting = policy("github-actions").with_grants(vec![Grant { when: claim(&["a"]), roles: vec!["deployer".into()] }]);
    let roles = ["deployer".to_owned()];
    let wanted = Wanted { name: "65/74", client: None, roles: &roles, groups: &[], claims: &Map::new() };
    assert_eq!(granting.specimen(&wanted).unwrap()["environment"], json!(["a", "prod"]));
    assert_eq!(granting.specimen(&Wanted { name: "65", ..wanted.clone() }).unwrap_err(), "name");
    assert_eq!(granting.specimen(&Wanted { groups: &roles, ..wanted.clone() }).unwrap_err(), "groups");
    assert_eq!(policy("github-actions").specimen(&wanted).unwrap_err(), "roles");
}

#[test]
fn r73_a_trace_is_the_verifiers_own_way_and_shows_no_token() {
    let Shape { header, claims, .. } = shape("keycloak");
    let token = key("RS256").sign_with(&header, &claims).unwrap();
    let (trace, who) = verifier(policy("keycloak"), "RS256").explain(token.as_bytes(), AUD, NOW);
    assert!(who.is_ok());
    let begun: Vec<Check> = trace.checks().iter().map(|(check, _)| *check).collect();
    assert_eq!(begun, Check::ALL);
    let refused_at = |claim: &str, value: Value| {
        let token = key("RS256").sign_with(&header, &changed(claims.clone(), claim, value)).unwrap();
        let (trace, who) = verifier(policy("keycloak"), "RS256").explain(token.as_bytes(), AUD, NOW);
        assert_eq!(trace.checks().iter().map(|(check, _)| *check).collect::<Vec<_>>(), Check::ALL[..trace.checks().len()]);
        for (_, about) in trace.checks() {
            token.split('.').for_each(|part| assert!(!about.contains(part), "{about}"));
        }
        (trace.checks().last().unwrap().0, who.unwrap_err())
    };
    assert_eq!(refused_at("iss", json!("https://evil.test")), (Check::Issuer, Refusal::UnknownIssuer));
    assert_eq!(refused_at("typ", json!("ID")), (Check::Profile, Refusal::WrongType));
    assert_eq!(refused_at("nonce", json!("n")), (Check::Type, Refusal::WrongType));
    assert_eq!(refused_at("aud", json!("account")), (Check::Audience, Refusal::WrongAudience));
    assert_eq!(refused_at("exp", json!(NOW - 60)), (Check::Times, Refusal::Expired));
    assert_eq!(refused_at("groups", json!([1])), (Check::Mapping, Refusal::MalformedClaim("groups")));
    let forged = format!("{}.AAAA", token.rsplit_once('.').unwrap().0);
    let (trace, who) = verifier(policy("keycloak"), "RS256").explain(forged.as_bytes(), AUD, NOW);
    assert_eq!((trace.checks().last().unwrap().0, who.unwrap_err()), (Check::Signature, Refusal::BadSignature));
}
