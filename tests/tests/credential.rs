//! Credentials: where they come from, which one a call is given, and that nobody else sees them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::authorization::{AuthorizationServer, CLIENT, PRIVATE_KEY};
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{CREDENTIAL, Gateway, Setup, binary, write_secret};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::memory::in_memory;
use sluicegate_tests::real::{Part, parts};
use sluicegate_tests::upstream::{Step, Upstream, json as reply_json};
use sluicegate_tests::vault::{POD, ROLE, Vault};
use sluicegate_tests::wait_until;

struct Stage {
    _issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
    token: String,
}

impl Stage {
    fn start(upstream: Upstream, set: impl FnOnce(Setup) -> Setup) -> Stage {
        let issuer = Issuer::start(Algorithm::EdDsa);
        let gateway = Gateway::start(&set(Setup::new(&issuer.url, &upstream.url)));
        let token = issuer.token(&gateway.audience);
        let stage = Stage { _issuer: issuer, upstream, gateway, token };
        // Only the issuer's keys are waited for; whether there is a credential is for the test to say.
        wait_until("keys", || {
            let reply = stage.call("ready", "{}");
            reply.status != 401 && !reply.body.contains("keys are not known")
        });
        stage
    }

    fn call(&self, tool: &str, arguments: &str) -> Reply {
        self.gateway.call(&self.token, tool, arguments)
    }

    /// What the upstream is given in a field by a call that reaches it.
    fn given(&self, field: &str) -> Option<String> {
        let reply = self.call("t", "{}");
        (reply.status == 200).then(|| self.upstream.last().field(field).unwrap_or_default().to_owned())
    }
}

/// A header credential with this source.
fn bearer(source: &str) -> String {
    format!("[[credential]]\nname = \"crm-key\"\n{source}\nheader = \"Authorization\"\nprefix = \"Bearer \"\n")
}

/// R-130, R-131: what the caller sends in a credential's place never goes on.
#[test]
fn r130_a_credential_stands_in_its_place_and_the_callers_never_does() {
    let basic = "[[credential]]\nname = \"crm-key\"\nfile = \"key\"\nbasic = { user = \"gate\" }\n";
    let stage = Stage::start(Upstream::echo(), |setup| setup.with_credentials(basic));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    let mut connection = Connection::open(stage.gateway.port);
    let fields = "DPoP: proof\r\nProxy-Status: x\r\nProxy-Foo: y\r\nCookie: a=b\r\nX-Kept: z\r\n";
    connection.send(stage.gateway.request("POST", &stage.token, fields, body).as_bytes());
    assert_eq!(connection.reply().unwrap().status, 200);
    let sent = stage.upstream.last().head;
    // printf 'gate:upstream-s3cret-42' | base64
    assert!(sent.contains("Authorization: Basic Z2F0ZTp1cHN0cmVhbS1zM2NyZXQtNDI=\r\n") && sent.contains("X-Kept: z"), "{sent}");
    for gone in ["DPoP", "Proxy-", "Cookie", stage.token.as_str()] {
        assert!(!sent.contains(gone), "{gone} went upstream: {sent}");
    }
    let query = "[[credential]]\nname = \"crm-key\"\nfile = \"key\"\nquery = \"api_key\"\n";
    let mut stage = Stage::start(Upstream::echo(), |setup| setup.with_credentials(query).with_secret("key", "a b&c=d/e"));
    assert_eq!(
        stage.call("t", r#"{"said":"/mcp?api_key=a+b%26c=d/e"}"#).json()["result"]["content"][0]["text"],
        r#"{"said":"/mcp?api_key=[CREDENTIAL]"}"#
    );
    assert_eq!(stage.upstream.last().line(), ("POST", "/mcp?api_key=a%20b%26c%3Dd%2Fe"));
    stage.gateway.terminate();
    assert!(!stage.gateway.log().contains("a%20b") && !stage.gateway.log().contains("a b&c"), "{}", stage.gateway.log());
}

/// R-132, R-135: a write goes with another credential than a read; each is hidden in every reply and named in the audit.
#[test]
fn r132_the_rule_chooses_the_credential() {
    let upstream = Upstream::start(|request| {
        let text = "read-only-1 read-write-2 cmVhZC13cml0ZS0y";
        let result = json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [{ "type": "text", "text": text }] } });
        match request.body.contains("plain") {
            true => vec![Step::Send(format!("HTTP/1.1 200 OK\r\nX-Seen: read-write-2\r\nX-Fine: 1\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes())],
            false => reply_json(200, &result.to_string()),
        }
    });
    let credentials = "[[credential]]\nname = \"crm-key\"\nfile = \"ro\"\nheader = \"X-Api-Key\"\n\
        [[credential]]\nname = \"crm-rw\"\nfile = \"rw\"\nheader = \"X-Write-Key\"\n";
    let rule = "[[rule]]\nid = \"writers\"\nwho = { issuer = \"corp\" }\nwhat = { upstream = \"crm\", tool = \"update_*\" }\neffect = \"mask\"\n\
        credential = \"crm-rw\"\n[dlp]\nkey = { file = \"dlp-key\" }\n";
    let mut stage = Stage::start(upstream, |setup| {
        setup.with_credentials(credentials).with_secret("ro", "read-only-1").with_secret("rw", "read-write-2").with(rule)
    });
    for (tool, has, lacks) in
        [("get", "X-Api-Key: read-only-1", "X-Write-Key"), ("update_it", "X-Write-Key: read-write-2", "X-Api-Key")]
    {
        let reply = stage.call(tool, "{}");
        assert_eq!(reply.json()["result"]["content"][0]["text"], "[CREDENTIAL] [CREDENTIAL] [CREDENTIAL]", "{reply:?}");
        let sent = stage.upstream.last().head;
        assert!(sent.contains(has) && !sent.contains(lacks), "{tool}: {sent}");
    }
    let plain = stage.call("plain", "{}");
    assert!(
        plain.body == "[CREDENTIAL] [CREDENTIAL] [CREDENTIAL]" && plain.head.contains("X-Fine") && !plain.head.contains("X-Seen"),
        "{plain:?}"
    );
    stage.gateway.terminate();
    let calls = rows(&stage.gateway.audit(), "calls");
    let tag = |tool: &str, name: &str| {
        let row = calls.iter().find(|row| row["tool"] == tool).unwrap();
        assert!(row["credential"] == name && row["credential_version"].parse::<u64>().unwrap() > 1_700_000_000, "{row:?}");
        assert!(row["credential_tag"].len() == 16 && row["credential_tag"].bytes().all(|b| b.is_ascii_hexdigit()), "{row:?}");
        row["credential_tag"].clone()
    };
    assert_ne!(tag("get", "crm-key"), tag("update_it", "crm-rw"));
    let found = rows(&stage.gateway.audit(), "findings");
    assert!(found.iter().any(|row| row["tool"] == "plain" && row["kind"] == "secret/upstream-credential"), "{found:#?}");
}

/// R-130: a stream of events that spells a credential out in pieces does not get it through, and loses nothing else.
#[test]
fn r130_a_credential_over_several_events_does_not_come_out() {
    let upstream = Upstream::start(|_| {
        let event = |data: String| Step::Send(format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8).into_bytes());
        let progress = |text: &str| {
            let params = json!({ "progressToken": 1, "progress": 1, "message": text });
            event(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }).to_string())
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [] } });
        vec![
            Step::Send(head.as_bytes().to_vec()),
            progress("the key is upstr"),
            progress("eam-s3"),
            progress("cret-42, \"look\" up"),
            progress("hill; ups"),
            progress("tream-s3cret-42 and upstream-"),
            event(answer.to_string()),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ]
    });
    let mut stage = Stage::start(upstream, |setup| setup);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream","arguments":{}}}"#;
    let mut connection = Connection::open(stage.gateway.port);
    connection.send(stage.gateway.request("POST", &stage.token, "", body).as_bytes());
    connection.head().unwrap();
    let mut all = String::new();
    while let Some(chunk) = connection.chunk().filter(|chunk| !chunk.is_empty()) {
        all.push_str(&String::from_utf8(chunk).unwrap());
    }
    let events: Vec<serde_json::Value> =
        all.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap()).collect();
    let texts: String = events.iter().filter_map(|event| event["params"]["message"].as_str()).collect();
    assert_eq!(texts, "the key is [CREDENTIAL], \"look\" uphill; ups[CREDENTIAL] and upstream-", "{all}");
    assert!(events.len() >= 7, "what can go out is not held back: {all}");
    assert!(events.last().unwrap()["result"].is_object(), "{all}");
    stage.gateway.terminate();
    let found = rows(&stage.gateway.audit(), "findings");
    let told =
        |row: &&sluicegate_tests::audit::Row| row["kind"] == "secret/upstream-credential" && row["pointer"] == "/params/message";
    assert_eq!(found.iter().filter(|row| row["tool"] == "stream" && told(row)).count(), 2, "{found:#?}");
}

#[test]
fn a_changed_file_is_taken_without_a_restart() {
    let stage = Stage::start(Upstream::echo(), |setup| setup);
    assert_eq!(stage.given("Authorization").unwrap(), format!("Bearer {CREDENTIAL}"));
    write_secret(stage.gateway.dir.path(), "key", "rotated-s3cret-43");
    wait_until("the rotation", || stage.given("Authorization").unwrap() == "Bearer rotated-s3cret-43");
    // A reply may still hold the one before.
    let reply = stage.call("t", &format!(r#"{{"a":"{CREDENTIAL} rotated-s3cret-43"}}"#));
    assert_eq!(reply.json()["result"]["content"][0]["text"], r#"{"a":"[CREDENTIAL] [CREDENTIAL]"}"#);
    // What cannot be taken changes nothing.
    write_secret(stage.gateway.dir.path(), "key", "two\nlines");
    wait_until("the refusal", || stage.gateway.log().contains("characters that no header may hold"));
    assert_eq!(stage.given("Authorization").unwrap(), "Bearer rotated-s3cret-43");
}

/// R-132, R-134: a vault that is sealed, that takes tokens back, and that gets newer versions.
#[test]
fn r134_a_vaults_secret_is_fetched_and_kept_fresh() {
    let vault = Vault::start("crm/gateway", json!({ "token": "vaulted-s3cret-1", "other": "x" }), 3600);
    vault.seal(true);
    let (role_id, secret_id) = ROLE;
    let source = format!(
        "vault = {{ address = \"{}\", path = \"crm/gateway\", field = \"token\", refresh_s = 2, auth = {{ approle = {{ role_id = \"{role_id}\", secret_id_file = \"secret-id\" }} }} }}",
        vault.address
    );
    let mut stage =
        Stage::start(Upstream::echo(), |setup| setup.with_credentials(&bearer(&source)).with_secret("secret-id", secret_id));
    let refused = stage.call("t", "{}");
    assert!(refused.status == 503 && refused.body.contains("no credential"), "{refused:?}");
    assert_eq!(stage.upstream.count(), 0, "a call was sent without its credential");
    wait_until("the reason", || stage.gateway.log().contains("it is sealed"));
    vault.seal(false);
    wait_until("the credential", || stage.given("Authorization").is_some_and(|given| given == "Bearer vaulted-s3cret-1"));
    assert_eq!(vault.logins(), 1);
    vault.put(Some(json!({ "token": "vaulted-s3cret-2" })));
    wait_until("version 2", || stage.given("Authorization").unwrap() == "Bearer vaulted-s3cret-2");
    assert_eq!(vault.logins(), 1, "a token that is good was not used again");
    vault.revoke();
    vault.put(Some(json!({ "token": "vaulted-s3cret-3" })));
    wait_until("version 3", || stage.given("Authorization").unwrap() == "Bearer vaulted-s3cret-3");
    assert_eq!(vault.logins(), 2);
    // The old value is used while no newer one comes.
    vault.put(None);
    wait_until("the deletion", || stage.gateway.log().contains("its version was deleted"));
    assert_eq!(stage.given("Authorization").unwrap(), "Bearer vaulted-s3cret-3");
    stage.gateway.terminate();
    let rows = rows(&stage.gateway.audit(), "calls");
    let reasons = |row: &&sluicegate_tests::audit::Row| row["reason"] == "no-credential" && row["credential"].is_empty();
    assert!(rows.iter().any(|row| reasons(&row)), "{rows:#?}");
    let versions: std::collections::BTreeSet<&str> = rows.iter().map(|row| row["credential_version"].as_str()).collect();
    assert!(["1", "2", "3"].iter().all(|version| versions.contains(version)), "{versions:?}");
}

#[test]
fn a_pod_logs_in_to_its_vault_and_a_wrong_field_is_told() {
    let vault = Vault::start("crm", json!({ "token": "vaulted-s3cret-1" }), 3600);
    let source = |field: &str| {
        let auth = format!("{{ kubernetes = {{ role = \"{}\", jwt_file = \"jwt\" }} }}", POD.0);
        bearer(&format!("vault = {{ address = \"{}\", path = \"crm\", field = \"{field}\", auth = {auth} }}", vault.address))
    };
    let stage = Stage::start(Upstream::echo(), |setup| setup.with_credentials(&source("token")).with_secret("jwt", POD.1));
    wait_until("the credential", || stage.given("Authorization").is_some_and(|given| given == "Bearer vaulted-s3cret-1"));
    let stage = Stage::start(Upstream::echo(), |setup| setup.with_credentials(&source("tokem")).with_secret("jwt", POD.1));
    wait_until("the reason", || stage.gateway.log().contains("has no such field"));
    assert_eq!(stage.call("t", "{}").status, 503);
}

/// R-134: the token of a login is given back when the gateway ends, after the last call; the token of a file is not; and a vault that does not
/// answer delays the end by its bound at most.
#[test]
fn r134_the_login_at_a_vault_ends_with_the_gateway() {
    let (role_id, secret_id) = ROLE;
    let approle = format!("{{ approle = {{ role_id = \"{role_id}\", secret_id_file = \"secret\" }} }}");
    for (auth, secret, logins, is_sealed) in [
        (approle.as_str(), secret_id, 1, false),
        ("{ token_file = \"secret\" }", "hvs.root", 0, false),
        (&approle, secret_id, 1, true),
    ] {
        let vault = Vault::start("crm", json!({ "token": "vaulted-s3cret-1" }), 3600);
        let source =
            bearer(&format!("vault = {{ address = \"{}\", path = \"crm\", field = \"token\", auth = {auth} }}", vault.address));
        let mut stage = Stage::start(Upstream::echo(), |setup| setup.with_credentials(&source).with_secret("secret", secret));
        wait_until("the credential", || stage.given("Authorization").is_some_and(|given| given == "Bearer vaulted-s3cret-1"));
        assert_eq!((vault.tokens(), vault.logins()), (1 + logins, logins));
        vault.seal(is_sealed);
        stage.gateway.terminate();
        let left = if is_sealed { 2 } else { 1 };
        assert_eq!((vault.tokens(), vault.logins()), (left, logins), "{auth}");
        assert_eq!(stage.gateway.log().contains("was not given back"), is_sealed, "{}", stage.gateway.log());
    }
}

/// R-134: a token that the upstream refuses is replaced, and the calls that it refused are sent once more; nobody can make that happen again
/// and again.
#[test]
fn r134_a_refused_token_is_replaced_and_the_call_sent_once_more() {
    let server = AuthorizationServer::start(3600);
    let source = format!(
        "oauth = {{ token_endpoint = \"{}/token\", client_id = \"{}\", client_secret_file = \"client\", scope = \"crm.read crm.write\", resource = \"https://crm.example/mcp\" }}",
        server.issuer, CLIENT.0
    );
    let upstream = Upstream::start(|request| match request.field("Authorization") {
        Some("Bearer access-token-1") if request.body.contains("revoked") => reply_json(401, "{}"),
        _ if request.body.contains("never") => reply_json(401, "{}"),
        Some(given) if request.body.contains("echo") => {
            let result = json!({ "content": [{ "type": "text", "text": given }] });
            reply_json(200, &json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string())
        }
        _ => reply_json(200, r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#),
    });
    let limits = "[limits]\nrequest_kept_bytes_max = 50000\n";
    let mut stage =
        Stage::start(upstream, |setup| setup.with_credentials(&bearer(&source)).with_secret("client", CLIENT.1).with(limits));
    wait_until("the token", || stage.given("Authorization").is_some_and(|given| given == "Bearer access-token-1"));
    let asked = server.grants.lock().unwrap()[0].clone();
    let value = |name: &str| asked.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((value("scope"), value("resource")), (Some("crm.read crm.write"), Some("https://crm.example/mcp")));
    // Some longer than what goes out in one write, from many at once.
    let long = |length: usize| json!({ "said": "echo", "fill": "x".repeat(length) }).to_string();
    let before = stage.upstream.count();
    std::thread::scope(|scope| {
        let call = |at: usize| {
            let (stage, arguments) = (&stage, long(at * 6_000));
            scope.spawn(move || stage.call("revoked", &arguments))
        };
        let calls: Vec<_> = (0..8).map(call).collect();
        for call in calls {
            let reply = call.join().unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
            // The newer one was not known to the generation that the call began with.
            assert_eq!(reply.json()["result"]["content"][0]["text"], "Bearer [CREDENTIAL]");
        }
    });
    assert_eq!(server.count(), 2, "each refusal made a fetch of its own");
    let requests = stage.upstream.requests.lock().unwrap()[before..].to_vec();
    let of = |token: &str| {
        let of = requests.iter().filter(|request| request.field("Authorization") == Some(token));
        of.map(|request| request.body.as_str()).collect::<std::collections::BTreeSet<&str>>()
    };
    let (refused, taken) = (of("Bearer access-token-1"), of("Bearer access-token-2"));
    assert!(taken.len() == 8 && refused.is_subset(&taken), "what was sent again is not what was refused");
    // Refused with each token: no more than one further attempt, and no more fetches than one in ten seconds.
    let before = stage.upstream.count();
    for _ in 0..3 {
        let reply = stage.call("never", "{}");
        assert!(reply.status == 502 && reply.body.contains("refused the gateway's credential"), "{reply:?}");
    }
    assert_eq!((stage.upstream.count() - before, server.count()), (3, 2));
    // Of one longer than the limit nothing was kept that could be sent again.
    let before = stage.upstream.count();
    assert_eq!((stage.call("never", &long(60_000)).status, stage.upstream.count() - before), (502, 1));
    stage.gateway.terminate();
    let rows = rows(&stage.gateway.audit(), "calls");
    let reasons = |tool: &str| {
        let of = rows.iter().filter(|row| row["tool"] == tool);
        of.map(|row| (row["status"].as_str(), row["outcome_reason"].as_str())).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(reasons("revoked").contains(&("ok", "credential-renewed")), "{:?}", reasons("revoked"));
    assert_eq!(reasons("never").into_iter().collect::<Vec<_>>(), [("upstream_error", "upstream-credential-refused")]);
}

/// R-134: a file that was changed a moment ago is read at once when the upstream refuses what stood in it.
#[test]
fn r134_a_refused_files_value_is_read_again() {
    let upstream = Upstream::start(|request| match request.field("Authorization") {
        Some("Bearer rotated-s3cret-43") => reply_json(200, r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#),
        _ => reply_json(401, "{}"),
    });
    let stage = Stage::start(upstream, |setup| setup);
    assert_eq!(stage.call("t", "{}").status, 502);
    for round in 0..5 {
        write_secret(stage.gateway.dir.path(), "key", "rotated-s3cret-43");
        assert_eq!(stage.call("t", "{}").status, 200, "round {round}");
        write_secret(stage.gateway.dir.path(), "key", CREDENTIAL);
        wait_until("the one before", || stage.call("t", "{}").status == 502);
    }
}

/// A variable cannot change, so a call whose credential is refused need not wait for anything.
#[test]
fn a_refusal_that_nothing_can_come_of_is_answered_at_once() {
    let source = bearer("env = \"SLUICEGATE_TEST_KEY\"");
    let upstream = Upstream::start(|_| reply_json(401, "{}"));
    let stage = Stage::start(upstream, |setup| {
        setup
            .with_credentials(&source)
            .with_variable("SLUICEGATE_TEST_KEY", CREDENTIAL)
            .with("[limits]\ncredential_wait_max_ms = 30000\n")
    });
    let (started, before) = (std::time::Instant::now(), stage.upstream.count());
    assert_eq!((stage.call("t", "{}").status, stage.upstream.count() - before), (502, 1));
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}

/// RFC 7523: the assertion is signed, for this issuer, and never the same twice; R-134: a short life is no gap.
#[test]
fn r134_a_signed_assertion_gets_tokens_that_never_run_out() {
    let server = AuthorizationServer::start(3);
    let source = format!(
        "oauth = {{ issuer = \"{}\", client_id = \"{}\", private_key_file = \"client.pem\", key_id = \"k7\" }}",
        server.issuer, CLIENT.0
    );
    let stage =
        Stage::start(Upstream::echo(), |setup| setup.with_credentials(&bearer(&source)).with_secret("client.pem", PRIVATE_KEY));
    wait_until("the token", || stage.given("Authorization").is_some());
    wait_until("two renewals", || {
        let given = stage.given("Authorization");
        assert!(given.is_some(), "a call was refused between two tokens");
        given.unwrap() == "Bearer access-token-3"
    });
    let before = server.count();
    assert!(before <= 4, "{before} tokens for one credential");
}

/// npm's `oidc-provider`, a certified one, gives the token; its audience is the resource that was asked for (RFC 8707).
#[test]
fn a_certified_provider_gives_the_token() {
    if parts().is_none() {
        return;
    }
    let provider = Part::start("issuer.mjs", &[("AUDIENCE", "http://127.0.0.1:1/mcp/crm")]);
    let source = format!(
        "oauth = {{ issuer = \"{}\", client_id = \"agent-a\", client_secret_file = \"client\", scope = \"mcp:use\", resource = \"http://127.0.0.1:2/mcp\" }}",
        provider.url
    );
    let stage =
        Stage::start(Upstream::echo(), |setup| setup.with_credentials(&bearer(&source)).with_secret("client", "s3cret-a"));
    wait_until("the token", || stage.given("Authorization").is_some());
    let given = stage.given("Authorization").unwrap();
    let payload = given.strip_prefix("Bearer ").and_then(|token| token.split('.').nth(1)).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(provider.url), &json!("http://127.0.0.1:2/mcp")), "{claims}");
    let reply = stage.call("t", &json!({ "token": given }).to_string());
    assert!(!reply.body.contains(payload) && reply.body.contains("[CREDENTIAL]"), "{reply:?}");
}

/// R-133: the value stands in memory a few times, however many calls there were, and in nothing that is kept.
#[test]
fn r133_memory_holds_few_copies_and_nothing_else_any() {
    let canary = "canary-9f3b7c51e2d84a06";
    let mut stage = Stage::start(Upstream::echo(), |setup| setup.with_secret("key", canary));
    for _ in 0..50 {
        assert_eq!(stage.call("t", "{}").status, 200);
    }
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
    (0..10).for_each(|_| assert_eq!(stage.call("t", &large).status, 200));
    let pid = stage.gateway.pid();
    let copies = in_memory(pid, canary.as_bytes());
    // As it is written into requests, and as it is looked for in replies.
    println!("{copies} copies in memory");
    assert!((1..=4).contains(&copies), "{copies} copies in memory");
    let status = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    assert!(
        status.lines().any(|line| line.starts_with("Max core file size") && line.split_whitespace().nth(4) == Some("0")),
        "{status}"
    );
    stage.gateway.terminate();
    let mut seen = 0;
    for path in files(stage.gateway.dir.path()) {
        let bytes = std::fs::read(&path).unwrap();
        if path.file_name().unwrap() != "key" {
            assert!(memchr::memmem::find(&bytes, canary.as_bytes()).is_none(), "the credential stands in {}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "only {seen} files were looked through");
    assert!(rows(&stage.gateway.audit(), "calls").len() >= 60);
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// R-136: reachability and end, never the value.
#[test]
fn r136_a_credential_is_tested_without_being_shown() {
    let vault = Vault::start("crm", json!({ "token": "vaulted-s3cret-1" }), 3600);
    let source = format!(
        "vault = {{ address = \"{}\", path = \"crm\", field = \"token\", auth = {{ token_file = \"vault-token\" }} }}",
        vault.address
    );
    let setup = |setup: Setup| setup.with_credentials(&bearer(&source)).with_secret("vault-token", "hvs.root");
    let stage = Stage::start(Upstream::echo(), setup);
    let config = stage.gateway.dir.path().join("gate.toml");
    let test = |name: &str| {
        let output = Command::new(binary()).args(["credential", "test", name, "-c"]).arg(&config).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("s3cret") && !said.contains("hvs."), "{said}");
        (output.status.code(), said)
    };
    assert_eq!(
        test("crm-key"),
        (Some(0), "crm-key: reachable, from a vault, version 1, looked for again within 300 s\n".to_owned())
    );
    assert_eq!((vault.tokens(), vault.logins()), (1, 0));
    vault.seal(true);
    let (status, said) = test("crm-key");
    assert!(status == Some(1) && said.contains("503: it is sealed"), "{said}");
    let (status, said) = test("crm-kay");
    assert!(status == Some(1) && said.contains("known: crm-key"), "{said}");
}

/// Every example of docs/credentials.md is good, with the files that it names.
#[test]
fn the_documented_examples_are_good() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/credentials.md")).unwrap();
    let examples: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 12, "{} examples", examples.len());
    let dir = tempfile::tempdir().unwrap();
    let lengths = ["secrets/crm", "secrets/vault-token", "secrets/secret-id", "secrets/client", "crm"];
    lengths.iter().for_each(|name| write_secret(dir.path(), name, "s3cret-value"));
    ["secrets/client-key.pem", "secrets/crm.pem"].iter().for_each(|name| write_secret(dir.path(), name, PRIVATE_KEY));
    let check = |example: &str, name: &str| {
        let text = format!(
            "version = 1\n[server]\nlisten = \"127.0.0.1:1\"\npublic_url = \"http://127.0.0.1:1\"\n[[issuer]]\nname = \"corp\"\n\
             issuer = \"https://idp.example.com\"\naudiences = [\"http://127.0.0.1:1/mcp/crm\"]\n{example}\n[[upstream]]\nname = \"crm\"\n\
             url = \"https://crm.example.com/mcp\"\ncredential = \"{name}\"\n[audit]\ndir = \"audit\"\n"
        );
        let path = dir.path().join("gate.toml");
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(binary());
        command.arg("check").arg("-c").arg(&path).env("CRM_KEY", "s3cret-value").env("CREDENTIALS_DIRECTORY", dir.path());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for example in &examples {
        let name = example.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap().trim_end_matches('"');
        let (is_good, said) = check(example, name);
        assert!(is_good, "{example}\n{said}");
    }
    // And none of them is good whatever stands in it.
    for (wrong, said) in [
        ("file = \"secrets/none\"\nheader = \"A\"", "credential[1].file: the credential's file cannot be read"),
        ("file = \"crm\"", "credential[1]: has no place in a request"),
        ("file = \"crm\"\nheader = \"A\"\nquery = \"b\"", "credential[1]: has several places in a request"),
        ("file = \"crm\"\nquery = \"a&b\"", "credential[1].query: is not the name of a query parameter"),
        ("file = \"crm\"\nbasic = { user = \"a:b\" }", "credential[1].basic.user: is not the name of a user"),
        ("file = \"crm\"\nenv = \"CRM_KEY\"\nheader = \"A\"", "credential[1].env: stands beside `file`"),
        ("systemd = \"../crm\"\nheader = \"A\"", "credential[1].systemd: is not the name of a credential of systemd"),
        (
            "header = \"A\"\nvault = { address = \"http://vault.example\", path = \"a\", field = \"b\", auth = { token_file = \"crm\" } }",
            "credential[1].vault.address: would be reached without TLS",
        ),
        (
            "header = \"A\"\nvault = { address = \"https://vault.example\", path = \"a/../b\", field = \"b\", auth = { token_file = \"crm\" } }",
            "credential[1].vault.path: is not a path of the vault",
        ),
        (
            "header = \"A\"\nvault = { address = \"https://vault.example\", path = \"a\", field = \"b\", auth = {} }",
            "credential[1].vault.auth: does not say how to log in",
        ),
        (
            "header = \"A\"\noauth = { client_id = \"a\", client_secret_file = \"crm\" }",
            "credential[1].oauth: does not say where to ask",
        ),
        (
            "header = \"A\"\noauth = { issuer = \"https://idp.example\", client_id = \"a\", private_key_file = \"crm\" }",
            "credential[1].oauth.private_key_file: is no PKCS#8 private key",
        ),
        (
            "header = \"A\"\nexchange = { issuer = \"https://idp.example\", client_id = \"a\", client_secret_file = \"crm\" }",
            "credential[1].exchange: does not say for whom the token is to be",
        ),
        (
            "header = \"A\"\nexchange = { issuer = \"http://idp.example\", client_id = \"a\", client_secret_file = \"crm\", audience = \"b\" }",
            "credential[1].exchange.issuer: would be reached without TLS",
        ),
        (
            "header = \"A\"\njwt = { private_key_file = \"crm\", issuer = \"a\", subject = \"b\", audience = \"c\" }",
            "credential[1].jwt.private_key_file: is no PKCS#8 private key",
        ),
        (
            "header = \"A\"\njwt = { private_key_file = \"secrets/client-key.pem\", issuer = \"a\", audience = \"c\" }",
            "credential[1].jwt: does not say whom the token names",
        ),
        (
            "header = \"A\"\njwt = { private_key_file = \"secrets/client-key.pem\", issuer = \"a\", subject_from = \"role\", audience = \"c\" }",
            "credential[1].jwt.subject_from: is neither of the two",
        ),
        (
            "header = \"A\"\njwt = { private_key_file = \"secrets/client-key.pem\", issuer = \"a\", subject = \"b\", audience = \"c\", life_s = 301 }",
            "credential[1].jwt.life_s: is out of bounds",
        ),
    ] {
        let (is_good, found) = check(&format!("[[credential]]\nname = \"x\"\n{wrong}\n"), "x");
        assert!(!is_good && found.contains(said), "{wrong}\n{found}");
    }
}
