//! Profiles and maps of issuers: what is taken, and that each mistake is named where it stands (R-71).
use super::*;

const ROLES: &str = "roles = { claim = \"/roles\" }\ngroups = { claim = \"/groups\" }\n";

#[test]
fn one_line_makes_an_issuer_of_a_kind() {
    for (profile, issuer) in [
        ("rfc9068", "https://idp.example"),
        ("okta", "https://dev-1.okta.com/oauth2/aus1"),
        ("entra-v2", "https://login.microsoftonline.com/8d1c0f3e/v2.0"),
        ("entra-v1", "https://sts.windows.net/8d1c0f3e/"),
        ("google", "https://accounts.google.com"),
        ("kubernetes", "https://kubernetes.default.svc.cluster.local"),
        ("eks", "https://oidc.eks.eu-central-1.amazonaws.com/id/X"),
        ("github-actions", "https://token.actions.githubusercontent.com"),
        ("gitlab", "https://gitlab.com"),
        ("aws-sts", "https://3f1c6a2e.tokens.sts.global.api.aws"),
        ("spiffe-jwt", "spiffe://prod.example"),
        ("keycloak", "https://sso.example/realms/agents"),
        ("auth0", "https://tenant.eu.auth0.com/"),
    ] {
        let keys = if profile == "spiffe-jwt" { "jwks_uri = \"https://bundle.example/keys\"\n" } else { "" };
        let settings = format!("profile = \"{profile}\"\n{keys}{ROLES}");
        let text = SAMPLE.replace("http://127.0.0.1:3480", issuer).replace(ROLES, &settings);
        let config = load_text(&text).unwrap_or_else(|problems| panic!("{profile}: {problems:#?}"));
        let expected = if profile.starts_with("entra") { 5400 } else { 3600 };
        assert_eq!(config.issuers[0].policy.lifetime_max_s(), expected, "{profile}");
    }
}

/// A trust domain has no address, so its bundle must be somewhere.
#[test]
fn a_trust_domain_without_keys_is_a_problem() {
    let settings = format!("profile = \"spiffe-jwt\"\n{ROLES}");
    let found = load_text(&SAMPLE.replace("http://127.0.0.1:3480", "spiffe://prod.example").replace(ROLES, &settings)).err();
    let found = found.unwrap_or_default();
    assert!(
        found.iter().any(|problem| problem.contains("issuer[1].issuer: is a trust domain, and nothing says where")),
        "{found:?}"
    );
}

#[test]
fn everything_that_can_be_set_is_taken() {
    let settings = r#"profile = "entra-v2"
algs = ["RS256"]
token_types = ["JWT", "absent"]
require = { tid = "8d1c0f3e", idtyp = "app", "/acrs/0" = "p1", ver = 2 }
authorized_parties = ["agent"]
principal = "{azp}"
lifetime_max_s = 7200
[issuer.map]
groups = [{ claim = "/roles" }, { claim = "/wids", split = "," }]
roles = [
    { when = { claim = "/roles", any = ["Mcp.Read"], all = ["Mcp.Use"] }, grant = ["reader"] },
    { when = { principal = "0000-*" }, grant = ["deployer", "reader"] },
]
"#;
    let text =
        SAMPLE.replace("http://127.0.0.1:3480", "https://login.microsoftonline.com/8d1c0f3e/v2.0").replace(ROLES, settings);
    let config = load_text(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.issuers[0].policy.lifetime_max_s(), 7200);
}

#[test]
fn r71_every_mistake_is_named_with_its_key_and_a_hint() {
    let map = |map: &str| format!("{ROLES}[issuer.map]\n{map}\n");
    for (settings, said) in [
        ("profile = \"keyclok\"".to_owned(), "issuer[1].profile: is no profile\n  hint: did you mean \"keycloak\"?"),
        ("profile = \"okta\"".to_owned(), "issuer[1].issuer: is the issuer of Okta's org authorization server"),
        ("profil = \"okta\"".to_owned(), "issuer[1].profil: unknown key `profil`\n  hint: did you mean `profile`?"),
        ("algs = [\"RS256\", \"HS256\"]".to_owned(), "issuer[1].algs: is no algorithm"),
        ("algs = []".to_owned(), "issuer[1].algs: is no algorithm"),
        ("token_types = [\"at+jwt\", \"dpop+jwt\"]".to_owned(), "issuer[1].token_types: is no type of access tokens"),
        ("token_types = []".to_owned(), "issuer[1].token_types: is empty, so no token is taken"),
        ("require = { tid = 1.5 }".to_owned(), "issuer[1].require.\"tid\": compares with something that no claim can be"),
        ("require = { \"/a~2\" = \"x\" }".to_owned(), "issuer[1].require.\"/a~2\": in a JSON pointer"),
        ("principal = \"bot\"".to_owned(), "issuer[1].principal: names no claim, so everybody would be one principal"),
        ("principal = \"{a}{b}\"".to_owned(), "issuer[1].principal: has two claims without a text between them"),
        (map("grups = []"), "issuer[1].map.grups: unknown key `grups`\n  hint: did you mean `groups`?"),
        (map("groups = [{ claim = \"/a\" }]"), "issuer[1].map.groups: stands beside `groups`"),
        (map("groups = [{ claim = \"a\" }]"), "issuer[1].map.groups[1].claim: is not a JSON pointer"),
        (map("groups = [{ claim = \"/a\", split = \"\" }]"), "issuer[1].map.groups[1].split: is not one character"),
        (
            map("roles = [{ when = { claim = \"/a\" }, grant = [\"r\"] }]"),
            "issuer[1].map.roles[1].when: is neither about a claim",
        ),
        (map("roles = [{ when = { claim = \"/a\", any = [] }, grant = [\"r\"] }]"), "issuer[1].map.roles[1].when: is neither"),
        (
            map("roles = [{ when = { claim = \"/a\", principal = \"b\", any = [1] }, grant = [\"r\"] }]"),
            "issuer[1].map.roles[1].when: is neither",
        ),
        (map("roles = [{ when = { principal = \"b\" }, grant = [] }]"), "issuer[1].map.roles[1].grant: grants nothing"),
        (map("roles = [{ when = { principal = \"\" }, grant = [\"r\"] }]"), "issuer[1].map.roles[1].when.principal: is empty"),
        (map("roles = [{ when = { principle = \"b\" }, grant = [\"r\"] }]"), "unknown key `principle`"),
    ] {
        let settings = if settings.starts_with(ROLES) { settings } else { format!("{ROLES}{settings}\n") };
        let found = problems(ROLES, &settings);
        assert!(found.iter().any(|problem| problem.contains(said)), "{settings}\ngave {found:#?}, not {said:?}");
        assert!(found.iter().all(|problem| problem.contains("\n  hint: ")), "{found:#?}");
    }
}

#[test]
fn gitlabs_texts_are_not_compared_with_truth_values() {
    let gitlab = |value: &str| {
        let settings = format!("profile = \"gitlab\"\nrequire = {{ ref_protected = {value} }}\n{ROLES}");
        load_text(&SAMPLE.replace("http://127.0.0.1:3480", "https://gitlab.com").replace(ROLES, &settings))
    };
    assert!(gitlab("\"true\"").is_ok());
    let found = gitlab("true").err().unwrap_or_default();
    assert!(
        found.len() == 1 && found[0].contains("can never hold: gitlab writes this as a text\n  hint: put it in quotes"),
        "{found:?}"
    );
}

#[test]
fn a_rule_by_role_needs_an_issuer_that_can_tell_of_roles() {
    let without = SAMPLE.replace("roles = { claim = \"/roles\" }\n", "");
    let found = load_text(&without).err().unwrap_or_default();
    assert!(found.len() == 1 && found[0].contains("rule[1].who.roles: \"corp\" gives no roles"), "{found:?}");
    let mapped = "[issuer.map]\nroles = [{ when = { principal = \"b\" }, grant = [\"reader\"] }]\n[[credential]]";
    assert!(load_text(&without.replacen("[[credential]]", mapped, 1)).is_ok());
    let keycloak = without.replace("127.0.0.1:3480\"", "127.0.0.1:3480/realms/a\"\nprofile = \"keycloak\"");
    assert!(load_text(&keycloak).is_ok(), "{:?}", load_text(&keycloak).err());
}
