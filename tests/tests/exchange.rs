//! Credentials that each caller has for itself: by token exchange (RFC 8693), or signed by the gateway; nobody gets another's.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::authorization::{AuthorizationServer, CLIENT, EXCHANGE, Fault, Form, PRIVATE_KEY, PUBLIC_KEY};
use sluicegate_tests::gateway::{Gateway, Setup, free_port};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::real::{Part, parts};
use sluicegate_tests::upstream::Upstream;
use sluicegate_tests::wait_until;

struct Stage {
    issuer: Issuer,
    server: AuthorizationServer,
    upstream: Upstream,
    gateway: Gateway,
}

/// A credential by exchange; `more` are further keys of `[credential.exchange]`.
fn by_exchange(server: &AuthorizationServer, more: &str) -> String {
    format!(
        "[[credential]]\nname = \"crm-key\"\nheader = \"Authorization\"\nprefix = \"Bearer \"\n[credential.exchange]\n\
         issuer = \"{}\"\nclient_id = \"{}\"\nclient_secret_file = \"client\"\nresource = \"https://crm.example/mcp\"\n{more}\n",
        server.issuer, CLIENT.0
    )
}

impl Stage {
    fn start(upstream: Upstream, life_s: u64, more: &str, tables: &str) -> Stage {
        let (issuer, server) = (Issuer::start(Algorithm::EdDsa), AuthorizationServer::start(life_s));
        let setup = Setup::new(&issuer.url, &upstream.url).with_credentials(&by_exchange(&server, more));
        let gateway = Gateway::start(&setup.with_secret("client", CLIENT.1).with(tables));
        let stage = Stage { issuer, server, upstream, gateway };
        // Nothing that reaches the upstream, so that each test counts its own exchanges.
        let probe = stage.token("probe");
        wait_until("keys", || {
            let reply = stage.gateway.call(&probe, "admin_none", "{}");
            reply.status == 200 && reply.body.contains("no-admin")
        });
        assert_eq!((stage.server.exchanges(), stage.upstream.count()), (0, 0), "a call that is blocked made an exchange");
        stage
    }

    /// A token of the issuer for this subject.
    fn token(&self, subject: &str) -> String {
        let mut claims = self.issuer.claims(&self.gateway.audience);
        claims["sub"] = subject.into();
        self.issuer.sign(&claims)
    }

    /// The forms of the exchanges that were granted.
    fn exchanged(&self) -> Vec<Form> {
        let grants = self.server.grants.lock().unwrap();
        let is_exchange = |form: &&Form| value(form, "grant_type") == Some(EXCHANGE);
        grants.iter().filter(is_exchange).cloned().collect()
    }
}

fn value<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// R-79, R-137: one exchange for each caller's token, whatever number of calls; each upstream request has its own caller's.
#[test]
fn r137_each_callers_token_is_exchanged_once_and_only_for_itself() {
    let mut stage = Stage::start(
        Upstream::echo(),
        3600,
        "audience = \"crm\"\nscope = \"crm.read crm.write\"\nactor = { scope = \"act\" }",
        "[dlp]\nkey = { file = \"dlp-key\" }\n",
    );
    let (ann, bob) = (stage.token("ann"), stage.token("bob"));
    for _ in 0..5 {
        for (name, token) in [("ann", &ann), ("bob", &bob)] {
            assert_eq!(stage.gateway.call(token, "t", "{}").status, 200);
            let sent = stage.upstream.last();
            let given = sent.field("Authorization").unwrap();
            assert!(given.starts_with("Bearer exchanged-") && given.ends_with(&format!("-for-{name}")), "{name}: {given}");
            assert!(!sent.head.contains(token.as_str()), "the caller's token went upstream");
        }
    }
    let forms = stage.exchanged();
    assert_eq!(forms.len(), 2);
    for (form, token) in forms.iter().zip([&ann, &bob]) {
        let sent = |name: &str| value(form, name);
        assert_eq!(sent("subject_token"), Some(token.as_str()));
        assert_eq!((sent("resource"), sent("audience")), (Some("https://crm.example/mcp"), Some("crm")));
        assert_eq!((sent("scope"), sent("actor_token")), (Some("crm.read crm.write"), Some("access-token-1")));
        assert_eq!(sent("requested_token_type"), Some("urn:ietf:params:oauth:token-type:access_token"));
    }
    assert_eq!(stage.server.count(), 3, "the gateway's own token was not used again");
    stage.gateway.terminate();
    let rows = rows(&stage.gateway.audit(), "calls");
    let tag = |subject: &str| {
        let row = rows.iter().find(|row| row["subject"] == subject && row["status"] == "ok").unwrap();
        assert_eq!(row["credential"], "crm-key");
        assert!(
            row["credential_version"].parse::<u64>().unwrap() > 1_700_000_000 && row["credential_tag"].len() == 16,
            "{row:?}"
        );
        row["credential_tag"].clone()
    };
    assert_ne!(tag("ann"), tag("bob"));
    let log = stage.gateway.log();
    assert!(!log.contains("exchanged-") && !log.contains(&ann) && !log.contains(CLIENT.1), "{log}");
}

/// R-130: a reply that repeats the caller's exchanged token does not get it through, as it is or in events.
#[test]
fn r130_an_exchanged_token_is_hidden_in_replies() {
    let stage = Stage::start(Upstream::echo(), 3600, "", "");
    let ann = stage.token("ann");
    assert_eq!(stage.gateway.call(&ann, "t", "{}").status, 200);
    let given = stage.upstream.last().field("Authorization").unwrap().trim_start_matches("Bearer ").to_owned();
    let said = stage.gateway.call(&ann, "t", &json!({ "a": format!("it is {given}!") }).to_string());
    assert_eq!(said.json()["result"]["content"][0]["text"], r#"{"a":"it is [CREDENTIAL]!"}"#);
    // The first call of a caller has nothing known of it beforehand.
    let upstream = Upstream::start(|request| {
        let given = request.field("Authorization").unwrap_or_default().to_owned();
        let message = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "data": given } });
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [{ "type": "text", "text": given }] } });
        sluicegate_tests::upstream::events(&format!("data: {message}\n\ndata: {answer}\n\n"))
    });
    let stage = Stage::start(upstream, 3600, "", "");
    let reply = stage.gateway.call(&stage.token("bob"), "t", "{}");
    assert!(!reply.body.contains("-for-bob") && reply.body.matches("[CREDENTIAL]").count() == 2, "{reply:?}");
}

/// R-137: many calls that come at once wait for one exchange.
#[test]
fn r137_calls_that_come_at_once_make_one_exchange() {
    let stage = Stage::start(Upstream::echo(), 3600, "", "");
    stage.server.set_fault(Fault::Slow(300));
    let ann = stage.token("ann");
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..24).map(|_| scope.spawn(|| stage.gateway.call(&ann, "t", "{}").status)).collect();
        calls.into_iter().for_each(|call| assert_eq!(call.join().unwrap(), 200));
    });
    assert_eq!((stage.server.exchanges(), stage.upstream.count()), (1, 24));
}

/// R-132, R-137: whatever the server does, a call is never sent without its token, and is told what happened within the bound.
#[test]
fn r132_a_server_that_fails_lets_no_call_through() {
    let stage =
        Stage::start(Upstream::echo(), 3600, "scope = \"crm.read crm.write\"", "[limits]\ncredential_wait_max_ms = 700\n");
    let failed = (503, "no-credential");
    let mut expected = Vec::new();
    for (at, (fault, (status, reason), said)) in [
        (Fault::Status(500), failed, "status 500"),
        (Fault::Garbage, failed, "is no token response"),
        (Fault::Huge, failed, "limits.credential_answer_bytes_max"),
        (Fault::Closes, failed, "cannot be reached"),
        (Fault::Status(302), failed, "status 302"),
        (Fault::With(r#"{"token_type":"DPoP"}"#), failed, "not a bearer token"),
        (Fault::With(r#"{"token_type":"N_A"}"#), failed, "not a bearer token"),
        (Fault::With(r#"{"access_token":"a\r\nX-Injected: 1"}"#), failed, "characters that no header may hold"),
        (Fault::With(r#"{"access_token":null}"#), failed, "is no token response"),
        (Fault::With(r#"{"issued_token_type":null}"#), failed, "issued_token_type"),
        (
            Fault::With(r#"{"issued_token_type":"urn:ietf:params:oauth:token-type:refresh_token"}"#),
            failed,
            "than an access token",
        ),
        (Fault::With(r#"{"scope":"crm.read crm.admin"}"#), failed, "a scope that was not asked for"),
        (Fault::With(r#"{"expires_in":0}"#), failed, "has ended"),
        (Fault::Refuses("invalid_target"), failed, "invalid_target"),
        (Fault::Refuses("invalid_request"), (403, "credential-refused"), "invalid_request"),
        (Fault::Refuses("access_denied"), (403, "credential-refused"), "access_denied"),
        (Fault::Slow(3_000), (503, "credential-late"), ""),
    ]
    .into_iter()
    .enumerate()
    {
        stage.server.set_fault(fault.clone());
        let started = Instant::now();
        // A caller of its own, so that no failure is remembered from the one before.
        let reply = stage.gateway.call(&stage.token(&format!("caller-{at}")), "t", "{}");
        assert_eq!(reply.status, status, "{fault:?}: {reply:?}");
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains("credential"), "{reply:?}");
        assert!(started.elapsed() < Duration::from_secs(2), "{fault:?} took {:?}", started.elapsed());
        assert_eq!(stage.upstream.count(), 0, "{fault:?}: a call was sent without its token");
        assert!(stage.gateway.log().contains(said), "{fault:?} is not told as {said:?}: {}", stage.gateway.log());
        expected.push(reason);
    }
    // Less than was asked for is the server's decision about the caller, and no failure.
    stage.server.set_fault(Fault::With(r#"{"scope":"crm.read"}"#));
    assert_eq!(stage.gateway.call(&stage.token("narrow"), "t", "{}").status, 200);
    // And a failure is not for ever.
    stage.server.set_fault(Fault::Status(503));
    let ann = stage.token("ann");
    let before = stage.server.exchanges();
    (0..5).for_each(|_| assert_eq!(stage.gateway.call(&ann, "t", "{}").status, 503));
    assert_eq!(stage.server.exchanges(), before + 1, "each call asked a server that fails");
    stage.server.set_fault(Fault::None);
    wait_until("recovery", || stage.gateway.call(&ann, "t", "{}").status == 200);
    let mut stage = stage;
    stage.gateway.terminate();
    let rows = rows(&stage.gateway.audit(), "calls");
    for (at, reason) in expected.into_iter().enumerate() {
        let row = rows.iter().find(|row| row["subject"] == format!("caller-{at}")).unwrap();
        assert_eq!(
            (row["reason"].as_str(), row["status"].as_str(), row["credential"].as_str()),
            (reason, "denied", ""),
            "{row:?}"
        );
    }
}

/// R-134: a short life is no gap: the next token is there before the one in use ends.
#[test]
fn r134_an_exchanged_token_is_renewed_ahead_of_its_end() {
    let stage = Stage::start(Upstream::echo(), 3, "", "");
    let ann = stage.token("ann");
    assert_eq!(stage.gateway.call(&ann, "t", "{}").status, 200);
    stage.server.set_fault(Fault::Slow(500));
    let mut slowest = Duration::ZERO;
    let first = stage.upstream.last().field("Authorization").unwrap().to_owned();
    wait_until("the next token", || {
        let started = Instant::now();
        assert_eq!(stage.gateway.call(&ann, "t", "{}").status, 200);
        slowest = slowest.max(started.elapsed());
        stage.upstream.last().field("Authorization").unwrap() != first
    });
    assert!(slowest < Duration::from_millis(400), "a call waited {slowest:?} for a renewal");
    assert_eq!(stage.server.exchanges(), 2);
}

/// R-134: an exchanged token that the upstream refuses is replaced for its caller, and the call sent once more.
#[test]
fn r134_a_refused_exchanged_token_is_replaced() {
    let upstream = Upstream::start(|request| {
        let given = request.field("Authorization").unwrap_or_default();
        if given.starts_with("Bearer exchanged-1-") || request.body.contains("never") {
            return sluicegate_tests::upstream::json(401, "{}");
        }
        let result = json!({ "content": [{ "type": "text", "text": given }] });
        sluicegate_tests::upstream::json(200, &json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string())
    });
    let stage = Stage::start(upstream, 3600, "", "");
    let ann = stage.token("ann");
    let reply = stage.gateway.call(&ann, "t", "{}");
    assert_eq!((reply.status, stage.server.exchanges(), stage.upstream.count()), (200, 2, 2), "{reply:?}");
    assert_eq!(reply.json()["result"]["content"][0]["text"], "Bearer [CREDENTIAL]");
    for _ in 0..3 {
        assert_eq!(stage.gateway.call(&ann, "never", "{}").status, 502);
    }
    assert_eq!((stage.server.exchanges(), stage.upstream.count()), (2, 5), "refusals made exchanges again and again");
}

/// The store is bounded, and a caller that was forgotten is asked for anew.
#[test]
fn as_many_tokens_are_kept_as_the_limit_says() {
    let stage = Stage::start(Upstream::echo(), 3600, "", "[limits]\ncaller_credentials_max = 2\n");
    let callers: Vec<String> = ["ann", "bob", "eve"].iter().map(|name| stage.token(name)).collect();
    for _ in 0..2 {
        callers.iter().for_each(|token| assert_eq!(stage.gateway.call(token, "t", "{}").status, 200));
    }
    assert!((4..=6).contains(&stage.server.exchanges()), "{} exchanges", stage.server.exchanges());
    let given: Vec<String> = stage
        .upstream
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|request| request.field("Authorization").unwrap().to_owned())
        .collect();
    for (at, given) in given.iter().enumerate() {
        assert!(given.ends_with(["-for-ann", "-for-bob", "-for-eve"][at % 3]), "{given} at {at}");
    }
}

/// npm's `oidc-provider`, a certified one, verifies the caller's token and the gateway's own, and gives the caller's for the resource.
#[test]
fn r137_a_certified_provider_exchanges_the_token() {
    if parts().is_none() {
        return;
    }
    let port = free_port();
    let provider = Part::start("issuer.mjs", &[("AUDIENCE", &format!("http://127.0.0.1:{port}/mcp/crm"))]);
    let credential = format!(
        "[[credential]]\nname = \"crm-key\"\nheader = \"Authorization\"\nprefix = \"Bearer \"\n[credential.exchange]\n\
         issuer = \"{}\"\nclient_id = \"gateway\"\nclient_secret_file = \"client\"\nresource = \"http://127.0.0.1:2/mcp\"\n\
         scope = \"mcp:use\"\nactor = {{ scope = \"mcp:use\", resource = \"http://127.0.0.1:3/as\" }}\n",
        provider.url
    );
    let upstream = Upstream::echo();
    let setup = Setup::new(&provider.url, &upstream.url).with_credentials(&credential).with_secret("client", "s3cret-gate");
    let gateway = Gateway::start_at(&setup, port);
    let minted = Command::new("curl").args(["-sf", &format!("{}/_test/mint", provider.url)]).output().unwrap();
    let token = String::from_utf8(minted.stdout).unwrap();
    wait_until("keys", || gateway.call(&token, "admin_none", "{}").status == 200);
    assert_eq!(gateway.call(&token, "t", "{}").status, 200);
    let given = upstream.last().field("Authorization").unwrap().trim_start_matches("Bearer ").to_owned();
    let claims: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(given.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("agent-a"), &json!("http://127.0.0.1:2/mcp")), "{claims}");
    assert_eq!((&claims["act"]["sub"], &claims["client_id"]), (&json!("gateway"), &json!("gateway")), "{claims}");
    assert_ne!(given, token);
}

/// R-79: the gateway signs a token that names the caller, one for each, which is used until it is worth another.
#[test]
fn r79_a_signed_token_names_the_caller() {
    let issuer = Issuer::start(Algorithm::EdDsa);
    let credential = "[[credential]]\nname = \"crm-key\"\nheader = \"X-Identity\"\n[credential.jwt]\nprivate_key_file = \"key.pem\"\n\
        key_id = \"k7\"\nissuer = \"https://gate.example\"\nsubject_from = \"principal\"\naudience = \"https://crm.example/mcp\"\nlife_s = 60\n";
    let upstream = Upstream::echo();
    let setup = Setup::new(&issuer.url, &upstream.url).with_credentials(credential).with_secret("key.pem", PRIVATE_KEY);
    let gateway = Gateway::start(&setup);
    let token = |subject: &str| {
        let mut claims = issuer.claims(&gateway.audience);
        claims["sub"] = subject.into();
        issuer.sign(&claims)
    };
    gateway.wait_until_ready(&token("probe"));
    let given = |token: &str| {
        assert_eq!(gateway.call(token, "t", "{}").status, 200);
        upstream.last().field("X-Identity").unwrap().to_owned()
    };
    let (ann, bob) = (token("ann"), token("bob"));
    let (for_ann, for_bob) = (given(&ann), given(&bob));
    assert_eq!((given(&ann), given(&bob)), (for_ann.clone(), for_bob.clone()), "each call made another");
    for (jwt, principal) in [(&for_ann, "corp:ann"), (&for_bob, "corp:bob")] {
        let parts: Vec<&str> = jwt.split('.').collect();
        let key = UnparsedPublicKey::new(&ED25519, URL_SAFE_NO_PAD.decode(PUBLIC_KEY).unwrap());
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        key.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(principal), &json!("https://crm.example/mcp")));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    }
    let said = gateway.call(&ann, "t", &json!({ "a": for_ann }).to_string());
    assert_eq!(said.json()["result"]["content"][0]["text"], r#"{"a":"[CREDENTIAL]"}"#);
}
