#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::approval::group::Group;

mod claims;
mod documented;
mod scopes;

const SAMPLE: &str = r#"version = 1
[server]
listen = "127.0.0.1:8080"
public_url = "http://127.0.0.1:8080"
workers = 2
[[issuer]]
name = "corp"
issuer = "http://127.0.0.1:3480"
audiences = ["http://127.0.0.1:8080/mcp/everything"]
allow_insecure_loopback = true
roles = { claim = "/roles" }
groups = { claim = "/groups" }
[[credential]]
name = "everything-key"
file = "key"
header = "Authorization"
prefix = "Bearer "
[[upstream]]
name = "everything"
url = "http://127.0.0.1:3102/mcp"
credential = "everything-key"
[[rule]]
id = "readers"
who = { issuer = "corp", roles = ["reader"] }
what = { upstream = "everything", tool = "*" }
effect = "allow"
[[rule]]
id = "no-drop"
what = { upstream = "*", tool = "*" }
args = [{ at = "/**", regex = "(?i)\\bdrop\\s+table\\b" }]
effect = "block"
[[dlp.rule]]
detect = ["CREDIT_CARD", "EMAIL_ADDRESS", "secret/*"]
where = { upstream = "*", direction = "response" }
operator = "redact"
[audit]
dir = "audit"
"#;

/// The sample with a secret of the gateway's where it asks `corp` about opaque tokens.
fn introspecting(keys: &str) -> String {
    let table = format!("introspection = {{ {keys} }}\n[[credential]]");
    SAMPLE.replacen("[[credential]]", &table, 1)
}

#[test]
fn r78_what_is_wrong_with_revocation_and_introspection_is_said_with_its_place() {
    let revoking = format!("{SAMPLE}[admin]\nlisten = \"127.0.0.1:9090\"\n[revocation]\ndir = \"r\"\ngroup = \"secops\"\n");
    let setup = load_text(&revoking).unwrap().revocation.unwrap();
    assert_eq!((setup.audience.as_str(), setup.group.as_deref()), ("http://127.0.0.1:8080/revocations", Some("secops")));
    let signalling = |text: &str, audience: &str| {
        text.replacen("[[credential]]", &format!("shared_signals = {{ audience = \"{audience}\" }}\n[[credential]]"), 1)
    };
    let signalled = load_text(&signalling(&revoking, "https://gate.example/ssf")).unwrap();
    assert_eq!(signalled.issuers[0].signals.as_deref(), Some("https://gate.example/ssf"));
    let endpoint = "endpoint = \"http://127.0.0.1:3480/token/introspection\", client_id = \"gate\"";
    let asked = load_text(&introspecting(&format!("{endpoint}, client_secret_file = \"key\""))).unwrap();
    assert!(asked.issuers[0].introspection.is_some() && asked.issuers[0].policy.introspects());
    let second = "[[issuer]]\nname = \"two\"\nissuer = \"https://two.example\"\naudiences = [\"http://127.0.0.1:8080/mcp/everything\"]\n\
                  introspection = { endpoint = \"https://two.example/i\", client_id = \"g\", client_secret_file = \"key\" }\n";
    let cases = [
        (revoking.replace("dir = \"r\"", "dir = \"\""), "revocation.dir: is empty"),
        (
            signalling(SAMPLE, "https://gate.example/ssf"),
            "issuer[1].shared_signals: has nowhere to come to, or nowhere to be kept",
        ),
        (
            signalling(&revoking, "http://127.0.0.1:8080/mcp/everything"),
            "issuer[1].shared_signals.audience: is no audience of events",
        ),
        (
            revoking.replace("[admin]\nlisten = \"127.0.0.1:9090\"\n", ""),
            "revocation.group: may revoke over an admin listener that there is not",
        ),
        (revoking.replace("\"secops\"", "\"\""), "revocation.group: is not the name of a group"),
        (
            format!("{revoking}audience = \"http://127.0.0.1:8080/mcp/everything\"\n"),
            "revocation.audience: is the audience of an endpoint, so whoever may call could revoke",
        ),
        (introspecting(endpoint), "issuer[1].introspection: does not say how the client proves who it is"),
        (
            introspecting("endpoint = \"http://idp.example/i\", client_id = \"g\", client_secret_file = \"key\""),
            "issuer[1].introspection.endpoint: would be reached without TLS",
        ),
        (
            introspecting(&format!("{endpoint}, client_secret_file = \"key\"")) + second,
            "issuer[2].audiences: opaque tokens for it are asked about at issuer \"corp\" already",
        ),
    ];
    for (text, problem) in cases {
        let problems = load_text(&text).err().unwrap_or_default();
        assert!(problems.iter().any(|one| one.contains(problem) && one.starts_with("gate.toml:")), "{problem}: {problems:?}");
    }
}

fn load_text(text: &str) -> Result<Config, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let hook = "https://hooks.slack.com/services/T1/B1/x";
    for (name, secret) in [("key", "s3cret-value"), ("hook", hook), ("whsec", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")] {
        let path = dir.path().join(name);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let path = dir.path().join("gate.toml");
    std::fs::write(&path, text).unwrap();
    load(&path).map_err(|problems| {
        let name = |problem: Problem| Problem { file: Path::new("gate.toml").to_owned(), ..problem }.to_string();
        problems.into_iter().map(name).collect()
    })
}

fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(SAMPLE.contains(from), "{from:?} is not in the sample");
    load_text(&SAMPLE.replacen(from, to, 1)).err().unwrap_or_default()
}

#[test]
fn the_sample_is_good() {
    let config = load_text(SAMPLE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((config.rules.len(), config.upstreams.len(), config.dlp_rules.len()), (2, 1, 1));
    assert_eq!(config.server.workers, Some(2));
    assert!(config.upstreams[0].credential.is_some());
}

#[test]
fn a_problem_names_file_line_key_and_a_hint() {
    assert_eq!(
        problems("credential = \"everything-key\"", "credential = \"everything-kay\""),
        [
            "gate.toml:21:14: upstream[1].credential: no [[credential]] is named \"everything-kay\"\n  hint: did you mean \"everything-key\"?"
        ]
    );
    assert_eq!(
        problems("workers = 2", "wokers = 2"),
        ["gate.toml:5:1: server.wokers: unknown key `wokers`\n  hint: did you mean `workers`?"]
    );
    let wrong = problems("listen = \"127.0.0.1:8080\"", "listen = 8080");
    assert!(wrong[0].starts_with("gate.toml:3:10: server.listen: invalid type"), "{wrong:?}");
}

#[test]
fn every_problem_is_reported() {
    let text = SAMPLE
        .replace("effect = \"allow\"", "effect = \"permit\"")
        .replace("workers = 2", "workers = 0")
        .replace("\"CREDIT_CARD\"", "\"CREDIT\"");
    assert_eq!(load_text(&text).err().unwrap().len(), 3);
}

#[test]
fn the_page_for_approvals_is_an_origin_that_a_browser_can_trust() {
    let with = |url: &str| problems("[audit]", &format!("[admin]\nlisten = \"127.0.0.1:9090\"\npublic_url = {url:?}\n[audit]"));
    for good in ["https://gate-admin.example", "https://gate-admin.example:8443/", "http://localhost:9090"] {
        assert_eq!(with(good), [""; 0], "{good}");
    }
    for (url, told) in [
        ("http://gate-admin.example", "gate.toml:38:14: admin.public_url: would be reached without TLS"),
        ("https://gate.example/admin", "admin.public_url: has the path \"/admin\""),
        ("gate.example", "admin.public_url: the URL must start with"),
    ] {
        let found = with(url);
        assert!(found.len() == 1 && found[0].contains(told), "{found:?}");
    }
}

#[test]
fn pins_are_kept_somewhere_and_in_a_known_way() {
    let with = |pins: &str| problems("[audit]", &format!("[pins]\n{pins}[audit]"));
    assert_eq!(with("dir = \"pins\"\nfirst_sight = \"quarantine\"\nundeclared_arguments = \"allow\"\n"), [""; 0]);
    let wrong = with("dir = \"\"\nfirst_sight = \"trust\"\nundeclared_arguments = \"deny\"\n");
    let told: Vec<&str> = wrong.iter().map(|problem| problem.split(": ").nth(1).unwrap()).collect();
    assert_eq!(told, ["pins.dir", "pins.first_sight", "pins.undeclared_arguments"], "{wrong:?}");
    assert!(wrong[1].contains("use \"accept\" or \"quarantine\""), "{wrong:?}");
}

#[test]
fn every_misfit_is_reported_once_with_its_key() {
    let text = SAMPLE
        .replace("workers = 2", "wokers = 2\nlisten_on = 1")
        .replace("listen = \"127.0.0.1:8080\"", "listen = 8080")
        .replace("audiences = [\"http://127.0.0.1:8080/mcp/everything\"]\n", "")
        .replace("roles = { claim = \"/roles\" }", "roles = \"/roles\"")
        .replace("allow_insecure_loopback = true", "allow_insecure_loopback = \"yes\"")
        .replace("id = \"no-drop\"\n", "")
        .replace("at = \"/**\", regex", "at = [], regexp")
        .replace("[audit]\ndir = \"audit\"\n", "[limits]\nhead_bytes_max = \"1k\"\n");
    let found = load_text(&text).err().unwrap();
    let keys: Vec<&str> = found.iter().map(|problem| problem.split(": ").nth(1).unwrap()).collect();
    assert_eq!(
        keys,
        [
            "audit",
            "server.listen",
            "server.wokers",
            "server.listen_on",
            "issuer[1].audiences",
            "issuer[1].allow_insecure_loopback",
            "issuer[1].roles",
            "rule[2].id",
            "rule[2].args[1].at",
            "rule[2].args[1].regexp",
            "limits.head_bytes_max",
        ],
        "{found:#?}"
    );
    assert!(found.iter().all(|problem| problem.contains("\n  hint: ")), "{found:#?}");
}

#[test]
fn a_credential_is_checked_though_nothing_uses_it() {
    let text = SAMPLE.replace("Bearer ", "B\u{e9}arer ").replace("credential = \"everything-key\"\n", "");
    let found = load_text(&text).err().unwrap();
    assert!(found[0].starts_with("gate.toml:17:10: credential[1].prefix: holds characters"), "{found:#?}");
}

#[test]
fn every_break_of_the_syntax_is_reported() {
    let text = SAMPLE.replace("workers = 2", "workers = = 2").replace("operator = \"redact\"", "operator = \"redact");
    let found = load_text(&text).err().unwrap();
    let has = |line: &str| found.iter().any(|problem| problem.starts_with(line));
    assert!(has("gate.toml:5:11: server.workers: ") && has("gate.toml:35:19: dlp.rule.operator: "), "{found:#?}");
}

#[test]
fn a_rule_is_not_blamed_for_what_it_names() {
    let text = SAMPLE
        .replace("url = \"http://127.0.0.1:3102/mcp\"", "url = \"http://mcp.example/mcp\"")
        .replace("claim = \"/roles\"", "claim = \"roles\"");
    let found = load_text(&text).err().unwrap();
    let keys: Vec<&str> = found.iter().map(|problem| problem.split(": ").nth(1).unwrap()).collect();
    assert_eq!(keys, ["issuer[1].roles.claim", "upstream[1].url"], "{found:#?}");
}

#[test]
fn a_column_counts_characters() {
    let found = problems("credential = \"everything-key\"", "\"credential\" = \"é\" ; # é");
    assert!(found[0].starts_with("gate.toml:21:20: "), "{found:#?}");
}

/// Rules that are dead because of others, or because no token can have what they ask for.
#[test]
fn dead_rules_are_found() {
    let allow = "id = \"a\"\nwho = { issuer = \"corp\", roles = [\"x\"] }\nwhat = { tool = \"crm_read_*\" }\neffect = \"allow\"";
    for (by, is_dead) in [
        ("effect = \"block\"", true),
        ("who = { roles = [\"x\", \"y\"] }\neffect = \"block\"", true),
        ("who = { roles = [\"y\"] }\neffect = \"block\"", false),
        ("who = { issuer = \"corp\" }\nwhat = { tool = \"crm_*\" }\neffect = \"block\"", true),
        ("what = { method = \"tools/*\" }\neffect = \"block\"", true),
        ("what = { method = \"prompts/*\" }\neffect = \"block\"", false),
        ("what = { upstream = \"everything\", tool = \"crm_read_?\" }\neffect = \"block\"", false),
        ("who = { principal = \"corp:bot\" }\neffect = \"block\"", false),
        ("effect = \"mask\"", false),
    ] {
        let text = SAMPLE.replacen("[[rule]]", &format!("[[rule]]\n{allow}\n[[rule]]\nid = \"by\"\n{by}\n[[rule]]"), 1);
        let found = load_text(&text).err().unwrap_or_default();
        assert_eq!(found.iter().any(|problem| problem.contains("rule[1]: can never matter")), is_dead, "{by}: {found:#?}");
    }
    for (from, to, said) in [
        ("roles = { claim = \"/roles\" }\n", "", "rule[1].who.roles: \"corp\" gives no roles, so the rule can never match"),
        ("tool = \"*\" }\neffect", "method = \"tool/call\" }\neffect", "hint: did you mean \"tools/call\"?"),
        (
            "what = { upstream = \"*\", tool = \"*\" }\nargs",
            "what = { method = \"completion/complete\" }\nargs",
            "rule[2].args: that method has no arguments",
        ),
    ] {
        let found = problems(from, to);
        assert!(found.iter().any(|problem| problem.contains(said)), "{to:?} gave {found:#?}, not {said:?}");
    }
}

#[test]
fn r91_what_is_wrong_is_said() {
    for (from, to, said) in [
        ("version = 1", "version = 2", "version: this program reads version 1"),
        ("issuer = \"corp\", ", "issuer = \"crop\", ", "rule[1].who.issuer: no [[issuer]] is named \"crop\""),
        ("upstream = \"everything\", tool", "upstream = \"evrything\", tool", "rule[1].what.upstream: no [[upstream]] is named"),
        (
            "url = \"http://127.0.0.1:3102/mcp\"",
            "url = \"http://mcp.example/mcp\"",
            "upstream[1].url: would be reached without TLS",
        ),
        ("url = \"http://127.0.0.1:3102/mcp\"", "url = \"http://u:p@127.0.0.1/mcp\"", "upstream[1].url: a URL must not hold"),
        ("credential = \"everything-key\"\n", "ca = \"key\"\n", "upstream[1].ca: stands beside a plain http:// URL"),
        ("url = \"http://127.0.0.1:3102/mcp\"", "", "upstream[1]: is nowhere\n  hint: add `url`"),
        ("credential = \"everything-key\"\n", "user = \"root\"\n", "upstream[1].user: stands beside `url`"),
        ("credential = \"everything-key\"\n", "env = { A = \"b\" }\n", "upstream[1].env: stands beside `url`"),
        ("credential = \"everything-key\"\n", "command = [\"sh\"]\n", "upstream[1].url: stands beside `command`"),
        (
            "url = \"http://127.0.0.1:3102/mcp\"",
            "url = \"https://127.0.0.1:3102/mcp\"\nca = \"key\"",
            "upstream[1].ca: holds no certificate",
        ),
        (
            "url = \"http://127.0.0.1:3102/mcp\"",
            "url = \"https://127.0.0.1:3102/mcp\"\nca = \"nofile\"",
            "upstream[1].ca: cannot be read",
        ),
        (
            "credential = \"everything-key\"\n",
            "client_cert = \"key\"\n",
            "upstream[1].client_cert: stands without `client_key`\n  hint: add `client_key`",
        ),
        ("credential = \"everything-key\"\n", "client_key = \"key\"\n", "upstream[1].client_key: stands without `client_cert`"),
        (
            "credential = \"everything-key\"\n",
            "client_cert = \"key\"\nclient_key = \"key\"\n",
            "upstream[1].client_cert: stands beside a plain http:// URL",
        ),
        (
            "url = \"http://127.0.0.1:3102/mcp\"",
            "url = \"https://127.0.0.1:3102/mcp\"\nclient_cert = \"nofile\"\nclient_key = \"key\"",
            "upstream[1].client_cert: the certificate cannot be read",
        ),
        (
            "url = \"http://127.0.0.1:3102/mcp\"",
            "url = \"https://127.0.0.1:3102/mcp\"\nclient_cert = \"key\"\nclient_key = \"key\"",
            "upstream[1].client_cert: holds no certificate",
        ),
        ("allow_insecure_loopback = true", "", "issuer[1].issuer: would be reached without TLS"),
        (
            "/mcp/everything\"]",
            "/mcp/anything\"]",
            "issuer[1].audiences: \"http://127.0.0.1:8080/mcp/anything\" is not an endpoint",
        ),
        ("claim = \"/roles\"", "claim = \"roles\"", "issuer[1].roles.claim: is not a JSON pointer"),
        ("file = \"key\"", "file = \"nokey\"", "credential[1].file: the credential's file cannot be read"),
        ("file = \"key\"", "env = \"SLUICEGATE_TEST_UNSET\"", "credential[1].env: the environment variable is not set"),
        ("header = \"Authorization\"", "header = \"Content-Length\"", "credential[1].header: is a field that frames"),
        ("name = \"everything\"\nurl", "name = \"Every\"\nurl", "upstream[1].name: is not a name for a path"),
        ("roles = [\"reader\"]", "roles = []", "rule[1].who.roles: is empty, so the rule can never match"),
        ("roles = [\"reader\"]", "principal = \"other:x\"", "rule[1].who.principal: names another issuer"),
        ("tool = \"*\" }\neffect", "tool = \"*\", method = \"resources/read\" }\neffect", "rule[1].what.method: has no tool"),
        ("regex = \"(?i)", "regex = \"((?i)", "rule[2].args[1].regex: is not a regular expression"),
        ("at = \"/**\"", "at = \"**\"", "rule[2].args[1].at: is not a path"),
        (", regex = \"(?i)\\\\bdrop\\\\s+table\\\\b\"", "", "rule[2].args[1]: does not say what to compare with"),
        (
            "args = [{ at = \"/**\", regex = \"(?i)\\\\bdrop\\\\s+table\\\\b\" }]\n",
            "",
            "rule[1]: can never matter: rule \"no-drop\" blocks all",
        ),
        ("id = \"no-drop\"", "id = \"readers\"", "rule[2].id: \"readers\" is the name of number 1 already"),
        ("effect = \"block\"", "effect = \"approve\"", "rule[2].approve: is missing"),
        ("effect = \"block\"", "effect = \"approve\"", "rule[2].effect: holds calls, and there is no [approval]"),
        (
            "effect = \"block\"",
            "effect = \"approve\"",
            "rule[2].effect: holds calls, and nobody could decide: there is no [admin]",
        ),
        ("effect = \"block\"", "effect = \"block\"\napprove = { group = \"dba\" }", "rule[2].approve: is for the effect"),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"\", quorum = 0 }",
            "rule[2].approve.group: is not the name of a group",
        ),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"dba\", quorum = 0 }",
            "rule[2].approve.quorum: is out of bounds",
        ),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"dba\" }\n[admin]\nlisten = \"127.0.0.1:1\"\n[approval]\ndir = \"a\"",
            "rule[2].effect: holds calls, and nobody could decide: no issuer has the audience \"http://127.0.0.1:8080/approvals\"",
        ),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"dba\", window_s = 60 }",
            "rule[2].approve.window_s: would let more than one tool run",
        ),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"dba\", window_s = 28801 }",
            "rule[2].approve.window_s: is out of bounds",
        ),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"dba\", break_glass = \"dba\" }",
            "rule[2].approve.break_glass: is the group that decides alone anyway",
        ),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"dba\", window_s = 60, break_glass = \"lead\" }",
            "rule[2].approve.window_s: stands beside `break_glass`",
        ),
        (
            "effect = \"block\"",
            "effect = \"approve\"\napprove = { group = \"dba\", window_s = 60, use_ttl_s = 60 }",
            "rule[2].approve.use_ttl_s: stands beside `window_s`",
        ),
        ("[audit]", "[approval]\ndir = \"a\"\nhold_s = 601\n[audit]", "approval.hold_s: is out of bounds"),
        (
            "[audit]",
            "[approval]\ndir = \"a\"\naudience = \"http://127.0.0.1:8080/mcp/everything\"\n[audit]",
            "approval.audience: is the audience of an endpoint",
        ),
        ("operator = \"redact\"", "operator = \"redact\"\nkeep = 4", "dlp.rule[1].keep: is for the operator \"partial\" only"),
        ("operator = \"redact\"", "operator = \"hash\"", "dlp.rule[1].operator: needs a key"),
        ("operator = \"redact\"", "operator = \"mangle\"", "dlp.rule[1].operator: is not an operator"),
        ("operator = \"redact\"", "", "dlp.rule[1].operator: is missing"),
        ("operator = \"redact\"", "operator = \"redact\"\nconfidence_min = 1.5", "dlp.rule[1].confidence_min: is out of bounds"),
        ("operator = \"redact\"", "operator = \"redact\"\nscope = \"acme\"", "dlp.rule[1].scope: is for \"hash\""),
        ("operator = \"redact\"\n", "detokenize = true\n", "dlp.rule[1].detokenize: does not say which tool"),
        ("[audit]", "[dlp]\nkey = { file = \"key\" }\n[audit]", "dlp.key.file: is shorter than 32 characters"),
        (
            "[audit]",
            "[[dlp.detector]]\nid = \"x\"\ntype = \"X\"\ncategory = \"secret\"\npattern = \"[a-z]{9}\"\nfind = [\"«abcdefghi»\"]\n[audit]",
            "dlp.detector[1].pattern: does not begin with a text of 3 characters or more",
        ),
        (
            "[audit]",
            "[[dlp.detector]]\nid = \"jwt\"\ntype = \"X\"\ncategory = \"secret\"\npattern = \"acme[a-z]{9}\"\nfind = [\"«acmeabcdefghi»\"]\n[audit]",
            "dlp.detector[1].id: \"jwt\" is the id of another detector",
        ),
        (
            "[audit]",
            "[[dlp.detector]]\nid = \"acme\"\ntype = \"X\"\ncategory = \"secret\"\npattern = \"acme[a-z]{9}\"\nfind = [\"«acmeabcdefgh»\"]\nmiss = [\"acmeabcdefghi\"]\n[audit]",
            "dlp.detector[1].find: in \"acmeabcdefgh\" it must find \"acmeabcdefgh\", and finds []",
        ),
        ("direction = \"response\"", "pointer = \"\"", "dlp.rule[1].where.pointer: is empty"),
        ("direction = \"response\"", "pointer = \"params/**\"", "dlp.rule[1].where.pointer: does not begin with \"/\""),
        (
            "direction = \"response\"",
            "pointer = \"/result/mail*\"",
            "dlp.rule[1].where.pointer: has a `*` that is only a part of",
        ),
        ("direction = \"response\"", "pointer = \"/result/a~2\"", "dlp.rule[1].where.pointer: has a `~` in \"a~2\""),
        (
            "direction = \"response\"",
            "pointer = \"/result/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a\"",
            "dlp.rule[1].where.pointer: has 34 tokens, more than 32",
        ),
        (
            "direction = \"response\"",
            "pointer = \"/arguments/**\"",
            "dlp.rule[1].where.pointer: begins with /arguments, under which",
        ),
        (
            "direction = \"response\" }\noperator = \"redact\"\n",
            "tool = \"t\", pointer = \"/params/**\" }\ndetokenize = true\n",
            "dlp.rule[1].where.pointer: is for rules that mask",
        ),
        ("operator = \"redact\"", "operator = \"redact\"\nnumbers = \"kept\"", "dlp.rule[1].numbers: is not a form of numbers"),
        ("operator = \"redact\"", "operator = \"block\"\nnumbers = \"keep\"", "dlp.rule[1].numbers: means nothing beside"),
        ("operator = \"redact\"\n", "detokenize = true\nnumbers = \"keep\"\n", "dlp.rule[1].numbers: is for rules that mask"),
        ("direction = \"response\"", "direction = \"back\"", "dlp.rule[1].where.direction: is not a direction"),
        ("dir = \"audit\"", "dir = \"audit\"\n[admin]\nlisten = \"0.0.0.0:9000\"", "admin.listen: is not a loopback address"),
        ("dir = \"audit\"", "dir = \"audit\"\n[limits]\nhead_bytes_max = 1", "limits.head_bytes_max: is out of bounds"),
    ] {
        let found = problems(from, to);
        assert!(found.iter().any(|problem| problem.contains(said)), "{to:?} gave {found:#?}, not {said:?}");
        assert!(found.iter().all(|problem| problem.contains("\n  hint: ")), "{found:#?}");
    }
}

#[test]
fn r120_the_revision_is_one_of_the_rules_alone() {
    let revision = |text: &str| load_text(text).unwrap_or_else(|problems| panic!("{problems:#?}")).revision;
    let sample = revision(SAMPLE);
    assert_eq!(
        revision(&SAMPLE.replace("workers = 2", "# two\nworkers = 3").replace("effect = \"allow\"", "effect   =   'allow'")),
        sample
    );
    assert_ne!(revision(&SAMPLE.replace("effect = \"allow\"", "effect = \"mask\"")), sample);
}

/// A rule that holds calls needs somebody in its group, and tokens say who is only where their issuer names the claim.
#[test]
fn a_group_needs_an_issuer_that_tells_of_groups() {
    let text = SAMPLE
        .replace("effect = \"block\"", "effect = \"approve\"\napprove = { group = \"dba\" }")
        .replace("everything\"]\nallow", "everything\", \"http://127.0.0.1:8080/approvals\"]\nallow")
        .replace(", roles = [\"reader\"]", "")
        .replace("[audit]", "[admin]\nlisten = \"127.0.0.1:8081\"\n[approval]\ndir = \"approvals\"\n[audit]");
    let (roles, groups) = ("roles = { claim = \"/roles\" }\n", "groups = { claim = \"/groups\" }\n");
    for told in [text.clone(), text.replace(roles, ""), text.replace(groups, "")] {
        assert!(load_text(&told).is_ok(), "{:?}", load_text(&told).err());
    }
    let found = load_text(&text.replace(roles, "").replace(groups, "")).err().unwrap_or_default();
    assert!(
        found.len() == 1 && found[0].contains("rule[2].effect: holds calls, and nobody could decide: no issuer of those"),
        "{found:#?}"
    );
}

#[test]
fn a_rule_that_holds_calls_has_defaults() {
    let text = SAMPLE
        .replace("effect = \"block\"", "effect = \"approve\"\napprove = { group = \"corp:dba\" }")
        .replace("everything\"]\nallow", "everything\", \"http://127.0.0.1:8080/approvals\"]\nallow")
        .replace("[audit]", "[admin]\nlisten = \"127.0.0.1:8081\"\n[approval]\ndir = \"approvals\"\n[audit]");
    let config = load_text(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let terms = config.rules[1].approve.as_ref().unwrap();
    assert_eq!((terms.panel.quorum, terms.ttl_s, terms.use_ttl_s, terms.panel.allow_machine_approver), (1, 900, 300, false));
    assert_eq!(terms.panel.group, Group::Of { issuer: "corp".into(), name: "dba".into() });
    let approval = config.approval.unwrap();
    assert_eq!(
        (approval.audience.as_str(), approval.hold.as_secs(), approval.cooldown_s),
        ("http://127.0.0.1:8080/approvals", 50, 60)
    );
}

/// The sample with a rule that holds calls, two receivers of notices and somebody in Slack.
fn told() -> String {
    let tables = r#"[admin]
listen = "127.0.0.1:8081"
public_url = "https://Approvals.example/"
[approval]
dir = "approvals"
[[approval.notify]]
url = "http://127.0.0.1:9000/hook?a=b"
secret = { file = "whsec" }
groups = ["dba"]
rules = ["no-drop"]
[[approval.notify]]
url_secret = { file = "hook" }
format = "slack"
[approval.slack]
signing_secret = { file = "key" }
[[approval.slack.user]]
team = "T1"
user = "U1"
issuer = "corp"
subject = "ann"
groups = ["dba"]
[audit]"#;
    SAMPLE
        .replace("effect = \"block\"", "effect = \"approve\"\napprove = { group = \"dba\" }")
        .replace("everything\"]\nallow", "everything\", \"http://127.0.0.1:8080/approvals\"]\nallow")
        .replace("[audit]", tables)
}

#[test]
fn people_are_told_where_the_file_says_and_known_by_what_it_says() {
    let config = load_text(&told()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let admin = config.admin.unwrap();
    assert_eq!(admin.public_url.unwrap().site(), "https://approvals.example");
    let approval = config.approval.unwrap();
    let [hook, slack] = &approval.notify[..] else { panic!("not two") };
    assert_eq!(
        (hook.url.as_str(), hook.format, hook.key.is_some()),
        ("http://127.0.0.1:9000/hook?a=b", NotifyFormat::Json, true)
    );
    assert_eq!(
        (hook.groups.as_slice(), hook.rules.as_slice()),
        (["dba".to_owned()].as_slice(), ["no-drop".to_owned()].as_slice())
    );
    assert_eq!(
        (slack.url.as_str(), slack.format, slack.key.is_none()),
        ("https://hooks.slack.com/services/T1/B1/x", NotifyFormat::Slack, true)
    );
    let known = approval.slack.unwrap();
    assert_eq!(known.answer_origin, url::HttpUrl::parse("https://hooks.slack.com/").unwrap().origin);
    assert_eq!(known.people.find("T1", "U1").unwrap().identity.to_string(), "corp:ann");
}

#[test]
fn what_is_wrong_with_telling_people_is_said() {
    let receiver = "[[approval.notify]]\nurl = \"http://127.0.0.1:1/\"\nformat = \"slack\"\n";
    let user = "[[approval.slack.user]]\nteam = \"T1\"\nuser = \"U1\"\nissuer = \"corp\"\nsubject = \"bob\"\ngroups = [\"dba\"]\n[audit]";
    let sample = told();
    let whole_user = &sample[sample.find("[[approval.slack.user]]").unwrap()..sample.find("[audit]").unwrap()];
    for (from, to, said) in [
        ("http://127.0.0.1:9000", "http://hooks.example", "gate.toml:43:7: approval.notify[1].url: would be reached without TLS"),
        ("http://127.0.0.1:9000/hook?a=b", "hooks.example", "approval.notify[1].url: the URL must start with"),
        ("url = \"http://127.0.0.1:9000/hook?a=b\"\n", "", "gate.toml:42:1: approval.notify[1]: does not say where to send"),
        ("url_secret =", "url = \"http://[::1]/\"\nurl_secret =", "approval.notify[2]: does not say where to send"),
        (
            "url_secret = { file = \"hook\" }",
            "url_secret = { file = \"key\" }",
            "approval.notify[2].url_secret.file: the URL must start",
        ),
        ("url_secret = { file = \"hook\" }", "url_secret = {}", "approval.notify[2].url_secret: has no source"),
        ("format = \"slack\"", "format = \"teams\"", "approval.notify[2].format: is not a format of notices"),
        ("format = \"slack\"\n", "", "approval.notify[2].secret: is missing, so nobody could tell"),
        (
            "{ file = \"whsec\" }",
            "{ file = \"key\" }",
            "gate.toml:44:19: approval.notify[1].secret.file: is not a secret of Standard",
        ),
        (
            "{ file = \"whsec\" }",
            "{ env = \"SLUICEGATE_TEST_UNSET\" }",
            "approval.notify[1].secret.env: the environment variable",
        ),
        ("{ file = \"whsec\" }", "{ file = \"whsec\", env = \"X\" }", "approval.notify[1].secret: has two sources"),
        (
            "{ file = \"whsec\" }\n",
            "{ file = \"whsec\" }\nca = \"key\"\n",
            "approval.notify[1].ca: stands beside a plain http://",
        ),
        ("\ngroups = [\"dba\"]\nrules", "\ngroups = [\"bda\"]\nrules", "approval.notify[1].groups: no group of a [[rule]]"),
        ("rules = [\"no-drop\"]", "rules = [\"readers\"]", "approval.notify[1].rules: no [[rule]] that holds calls is named"),
        ("rules = [\"no-drop\"]", "rules = []", "approval.notify[1].rules: is empty, so nothing would be told"),
        ("[approval.slack]", &(receiver.repeat(15) + "[approval.slack]"), "approval.notify: there are more than 16"),
        (whole_user, "", "approval.slack.user: there is none, so nobody could decide in Slack"),
        ("[audit]", user, "approval.slack.user[2].user: is somebody else already"),
        ("team = \"T1\"", "team = \"acme\"", "approval.slack.user[1].team: is not an id of Slack's"),
        ("user = \"U1\"", "user = \"@ann\"", "approval.slack.user[1].user: is not an id of Slack's"),
        (
            "issuer = \"corp\"\nsubject",
            "issuer = \"crop\"\nsubject",
            "approval.slack.user[1].issuer: no [[issuer]] is named \"crop\"",
        ),
        ("subject = \"ann\"", "subject = \"\"", "approval.slack.user[1].subject: is not a subject"),
        ("groups = [\"dba\"]\n[audit]", "groups = []\n[audit]", "approval.slack.user[1].groups: does not say for which"),
        ("signing_secret = { file = \"key\" }", "signing_secret = {}", "approval.slack.signing_secret: has no source"),
        (
            "[[approval.slack.user]]",
            "answer_origin = \"http://a.example\"\n[[approval.slack.user]]",
            "answer_origin: would be reached",
        ),
        (
            "[[approval.slack.user]]",
            "answer_origin = \"https://a.example/x\"\n[[approval.slack.user]]",
            "answer_origin: has a path",
        ),
        ("https://Approvals.example/", "https://approvals.example/gate", "admin.public_url: has the path \"/gate\""),
        (
            "https://Approvals.example/",
            "http://approvals.example",
            "gate.toml:39:14: admin.public_url: would be reached without TLS",
        ),
    ] {
        assert!(sample.contains(from), "{from:?} is not in the sample");
        let found = load_text(&sample.replacen(from, to, 1)).err().unwrap_or_default();
        assert!(found.iter().any(|problem| problem.contains(said)), "{to:?} gave {found:#?}, not {said:?}");
        assert!(found.iter().all(|problem| problem.contains("\n  hint: ")), "{found:#?}");
    }
}

#[test]
fn rules_about_findings_are_bounded() {
    let rule = "[[dlp.rule]]\ndetect = [\"secret/*\"]\noperator = \"redact\"\n";
    assert!(load_text(&SAMPLE.replace("[audit]", &format!("{}[audit]", rule.repeat(62)))).is_ok());
    let found = load_text(&SAMPLE.replace("[audit]", &format!("{}[audit]", rule.repeat(63)))).err().unwrap();
    assert!(found[0].contains("dlp.rule: there are more than 63"), "{found:#?}");
}

#[test]
fn a_missing_file_is_a_problem() {
    let problems = load(Path::new("/nonexistent/gate.toml")).err().unwrap();
    assert!(problems[0].to_string().starts_with("/nonexistent/gate.toml: cannot be read"), "{}", problems[0]);
    let endless = load(Path::new("/dev/zero")).err().unwrap();
    assert!(endless[0].message.contains("longer than 4 MiB"), "{}", endless[0]);
}

/// A configuration in which people log in to decide, with more in `[approval.login]` and `[admin]`.
fn with_login(login: &str, admin: &str) -> Result<Config, Vec<String>> {
    let login = format!("[approval.login]\nissuer = \"corp\"\nclient_id = \"gate-ui\"\n{login}");
    let admin = format!("[admin]\nlisten = \"127.0.0.1:8081\"\n{admin}");
    let text = SAMPLE
        .replace("effect = \"block\"", "effect = \"approve\"\napprove = { group = \"dba\" }")
        .replace("[audit]", &format!("{admin}\n[approval]\ndir = \"approvals\"\n{login}\n[audit]"));
    load_text(&text)
}

/// Who logs in needs no token, so the issuer needs no audience for approvals.
#[test]
fn people_log_in_at_an_issuer() {
    let admin = "public_url = \"https://Gate-Admin.example/\"";
    let config = with_login("", admin).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let login = config.approval.unwrap().login.unwrap();
    assert_eq!((login.issuer, login.issuer_url.as_str(), login.client_id.as_str()), (0, "http://127.0.0.1:3480", "gate-ui"));
    assert_eq!((login.scope.as_str(), login.idle_s, login.session_s), ("openid", 900, 3600));
    assert_eq!(login.public_url.authority, "gate-admin.example");
    assert!(login.client_secret.is_none());
    let more = "client_secret = { file = \"key\" }\nscope = \"openid groups\"\nidle_s = 60";
    let config = with_login(more, "public_url = \"http://localhost:8081\"").unwrap_or_else(|problems| panic!("{problems:#?}"));
    let login = config.approval.unwrap().login.unwrap();
    assert!(login.client_secret.is_some() && login.idle_s == 60 && login.scope == "openid groups");
}

#[test]
fn a_login_that_cannot_work_is_found() {
    let good = "public_url = \"https://gate-admin.example\"";
    for (login, admin, said) in [
        ("", "", "gate.toml:42:1: approval.login: does not know where browsers find the page"),
        ("", "public_url = \"http://gate-admin.example\"", "gate.toml:39:14: admin.public_url: would be reached without TLS"),
        ("", "public_url = \"https://gate.example/admin\"", "admin.public_url: has the path \"/admin\""),
        ("", "public_url = \"gate.example\"", "admin.public_url: the URL must start with"),
        ("scope = \"profile\"", good, "gate.toml:45:9: approval.login.scope: has no \"openid\""),
        ("idle_s = 5", good, "approval.login.idle_s: is out of bounds"),
        ("session_s = 90000", good, "approval.login.session_s: is out of bounds"),
        ("client_secret = { file = \"nokey\" }", good, "approval.login.client_secret.file: the credential's file cannot be read"),
        ("client_secret = { file = \"key\", env = \"K\" }", good, "approval.login.client_secret: has two sources"),
        ("client_secret = {}", good, "approval.login.client_secret: has no source"),
        ("redirect = \"x\"", good, "approval.login.redirect: unknown key `redirect`"),
    ] {
        let found = with_login(login, admin).err().unwrap_or_default();
        assert!(found.len() == 1 && found[0].contains(said), "{login:?} {admin:?} gave {found:#?}, not {said:?}");
        assert!(found[0].contains("\n  hint: "), "{found:#?}");
    }
    let text = SAMPLE
        .replace("roles = { claim = \"/roles\" }\ngroups = { claim = \"/groups\" }\n", "")
        .replace(", roles = [\"reader\"]", "");
    let login = "[admin]\nlisten = \"127.0.0.1:8081\"\npublic_url = \"http://127.0.0.1:8081\"\n[approval]\ndir = \"a\"\n";
    for (issuer, said) in [
        ("corp", "approval.login.issuer: does not say who is in which group"),
        ("crop", "approval.login.issuer: no [[issuer]] is named \"crop\"\n  hint: did you mean \"corp\"?"),
    ] {
        let login = format!("{login}[approval.login]\nissuer = \"{issuer}\"\nclient_id = \"gate-ui\"\n[audit]");
        let found = load_text(&text.replace("[audit]", &login)).err().unwrap_or_default();
        assert!(found.iter().any(|problem| problem.contains(said)), "{found:#?}");
    }
}

#[test]
fn an_upstream_that_is_a_program_is_checked() {
    let with = |keys: &str| problems("url = \"http://127.0.0.1:3102/mcp\"\ncredential = \"everything-key\"\n", keys);
    for (keys, said) in [
        ("command = []\n", "upstream[1].command: is no command"),
        ("command = [\"no-such-program\"]\n", "upstream[1].command: is no program that can be run"),
        ("command = [\"./key\"]\n", "upstream[1].command: is no program that can be run"),
        ("command = [\"sh\"]\ncwd = \"key\"\n", "upstream[1].cwd: is no directory"),
        ("command = [\"sh\"]\nuser = \"nobody-of-this-name\"\n", "upstream[1].user: is no user of this system"),
        ("command = [\"sh\"]\nenv = { \"A=\" = \"b\" }\n", "upstream[1].env.A=: is no variable"),
        ("command = [\"sh\"]\nenv = { A = { credential = \"x\" } }\n", "upstream[1].env.A: no [[credential]] is named \"x\""),
        ("command = [\"sh\"]\nenv = { A = { credential = \"everything-key\" } }\n", "upstream[1].env.A: stands in requests"),
        ("command = [\"sh\"]\ncredential = \"everything-key\"\n", "upstream[1].credential: stands beside `command`"),
    ] {
        let found = with(keys);
        assert!(found.iter().any(|problem| problem.contains(said)), "{keys}: {found:?}");
        assert!(found.iter().all(|problem| problem.contains("hint: ")), "{found:?}");
    }
    assert_eq!(with("command = [\"sh\", \"-c\", \"exit\"]\nenv = { A = \"b\" }\nshare = true\n"), [""; 0]);
}

#[test]
fn r47_to_r50_where_keys_come_from_is_checked() {
    let after = "groups = { claim = \"/groups\" }\n";
    let good =
        r#"jwks = { keys = [{ kty = "OKP", crv = "Ed25519", kid = "a", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }"#;
    for keys in [good, "jwks_uri = \"https://keys.example/jwks\"\nmax_stale_s = 0\nunknown_key_cooldown_s = 10"] {
        assert!(load_text(&SAMPLE.replace(after, &format!("{after}{keys}\n"))).is_ok(), "{keys}");
    }
    for (keys, said) in [
        ("jwks_uri = \"http://keys.example/jwks\"", "issuer[1].jwks_uri: would be reached without TLS"),
        ("jwks_uri = \"keys.example\"", "issuer[1].jwks_uri: the URL must start with"),
        ("jwks_uri = \"https://10.0.0.1/jwks\"", "issuer[1].jwks_uri: the address 10.0.0.1 is not a public one"),
        ("jwks_uri = \"https://[::ffff:169.254.169.254]/jwks\"\nallow_private = true", "is not a public one"),
        ("jwks_file = \"nofile\"", "issuer[1].jwks_file: cannot be read"),
        ("jwks_file = \"key\"", "issuer[1].jwks_file: the document is not a JWK set"),
        ("pem_file = \"key\"", "issuer[1].pem_file: holds no public key in PEM"),
        ("pem_kid = \"a\"", "issuer[1].pem_kid: stands without `pem_file`"),
        ("jwks = { keys = [] }", "issuer[1].jwks: the set is empty"),
        ("jwks = \"[]\"", "issuer[1].jwks: the document is not a JWK set"),
        ("jwks_file = \"key\"\njwks = { keys = [] }", "issuer[1].jwks: stands beside `jwks_file`"),
        ("jwks_file = \"key\"\njwks_uri = \"https://a.example\"", "issuer[1].jwks_uri: stands beside `jwks_file`"),
        ("jwks_file = \"key\"\nmax_stale_s = 1", "issuer[1].max_stale_s: stands beside `jwks_file`"),
        ("max_stale_s = 604801", "issuer[1].max_stale_s: is out of bounds\n  hint: use 0 to 604800"),
        ("unknown_key_cooldown_s = 9", "issuer[1].unknown_key_cooldown_s: is out of bounds\n  hint: use 10 to 300"),
        ("ca = \"key\"", "issuer[1].ca: stands beside a plain http:// URL"),
        ("jwks_uri = \"https://a.example\"\nca = \"key\"", "issuer[1].ca: holds no certificate"),
        ("spki_pin = []", "issuer[1].spki_pin: is out of bounds"),
        ("spki_pin = [\"sha256/AAAA\"]", "issuer[1].spki_pin: is not a pin"),
        ("client_cert = \"key\"", "issuer[1].client_cert: stands without `client_key`"),
        ("client_key = \"key\"", "issuer[1].client_key: stands without `client_cert`"),
        ("client_cert = \"key\"\nclient_key = \"key\"", "issuer[1].client_cert: holds no certificate"),
        ("bearer_file = \"nofile\"", "issuer[1].bearer_file: "),
    ] {
        let problems = load_text(&SAMPLE.replace(after, &format!("{after}{keys}\n"))).err().unwrap_or_default();
        assert!(problems.iter().any(|problem| problem.contains(said)), "{keys}: {problems:#?}");
        assert!(problems.iter().all(|problem| problem.starts_with("gate.toml:")), "{keys}: {problems:#?}");
    }
}

/// A key that `run` would refuse is found by `check`, which does not change anything.
#[test]
fn r124_a_key_of_approvals_that_cannot_be_used_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, mode: u32, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(dir.path().join("approvals")).unwrap();
    write("key", 0o600, "s3cret-value");
    write("gate.toml", 0o600, &SAMPLE.replace("[audit]", "[approval]\ndir = \"approvals\"\n[audit]"));
    let told = || {
        let config = load(&dir.path().join("gate.toml")).unwrap();
        let all = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        (all(&config.doubts), all(&config.warnings))
    };
    let line = SAMPLE.lines().position(|line| line == "[audit]").unwrap() + 2;
    let at = format!("gate.toml:{line}:7: approval.dir: ");
    assert_eq!(told(), (String::new(), String::new()));
    write("approvals/decision-key", 0o644, "");
    let (doubts, _) = told();
    assert!(doubts.contains(&at) && doubts.contains("others may read it") && doubts.contains("chmod 600"), "{doubts}");
    write("approvals/decision-key", 0o600, "");
    let (doubts, _) = told();
    assert!(doubts.contains(&at) && doubts.contains("holds no Ed25519 key"), "{doubts}");
    std::fs::remove_file(dir.path().join("approvals/decision-key")).unwrap();
    write("approvals/approvals.redb", 0o600, "");
    let (doubts, warnings) = told();
    assert!(doubts.is_empty() && warnings.contains(&at) && warnings.contains("put back `decision-key`"), "{doubts}{warnings}");
    assert!(!dir.path().join("approvals/decision-key").exists());
}
