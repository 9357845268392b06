//! Identities of connections, and tokens that count for the holder of a key only.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;
use sluicegate_tests::audit::rows;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{self, Gateway, Setup, write_secret};
use sluicegate_tests::issuer::{Issuer, now};
use sluicegate_tests::real;
use sluicegate_tests::secure::{SecureClient, call};
use sluicegate_tests::upstream::{Certified, ClientAuthority, Upstream};
use sluicegate_tests::wait_until;

fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A token of the issuer that is bound in this way.
fn bound(issuer: &Issuer, gateway: &Gateway, cnf: Value) -> String {
    let mut claims = issuer.claims(&gateway.audience);
    claims["cnf"] = cnf;
    issuer.sign(&claims)
}

/// One that sends over plain HTTP, on a connection of its own.
fn send(gateway: &Gateway, fields: &str) -> Reply {
    let mut connection = Connection::open(gateway.port);
    connection.send(call(gateway, fields).as_bytes());
    connection.reply().unwrap()
}

/// The holder of a key that signs proofs.
struct Prover(SigningKey);

impl Prover {
    fn new() -> Prover {
        Prover(SigningKey::generate(Algorithm::Es256, "dpop").unwrap())
    }

    fn jwk(&self) -> Value {
        let jwk = self.0.jwk();
        json!({"crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"]})
    }

    fn jkt(&self) -> String {
        // RFC 7638: `serde_json` writes members in the order of their names.
        sha256(self.jwk().to_string().as_bytes())
    }

    fn proof(&self, gateway: &Gateway, token: &str, change: impl FnOnce(&mut Value)) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let jti = format!("proof-{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let mut claims =
            json!({"htm": "POST", "htu": gateway.audience, "iat": now(), "jti": jti, "ath": sha256(token.as_bytes())});
        change(&mut claims);
        self.0.sign_with(&json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk()}), &claims).unwrap()
    }
}

fn dpop(token: &str, proof: &str) -> String {
    format!("Authorization: DPoP {token}\r\nDPoP: {proof}\r\n")
}

#[test]
fn r76_a_token_counts_with_a_fresh_proof_of_its_key_only() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    gateway.wait_until_ready(&issuer.token(&gateway.audience));
    let (prover, other) = (Prover::new(), Prover::new());
    let token = bound(&issuer, &gateway, json!({"jkt": prover.jkt()}));
    for _ in 0..3 {
        let reply = send(&gateway, &dpop(&token, &prover.proof(&gateway, &token, |_| {})));
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let sent = upstream.last().head;
    assert!(!sent.contains(&token) && !sent.to_ascii_lowercase().contains("dpop"), "{sent}");
    let served = upstream.count();
    let free = issuer.token(&gateway.audience);
    let good = || prover.proof(&gateway, &token, |_| {});
    let (first, second) = (good(), good());
    let wrong = [
        bearer(&token),
        format!("{}DPoP: {}\r\n", bearer(&token), good()),
        format!("Authorization: DPoP {token}\r\n"),
        format!("{}DPoP: {second}\r\n", dpop(&token, &first)),
        dpop(&token, &other.proof(&gateway, &token, |_| {})),
        dpop(&token, &prover.proof(&gateway, &free, |_| {})),
        dpop(&free, &prover.proof(&gateway, &free, |_| {})),
        dpop(&token, &prover.proof(&gateway, &token, |claims| claims["htm"] = json!("GET"))),
        dpop(&token, &prover.proof(&gateway, &token, |claims| claims["htu"] = json!(format!("{}x", gateway.audience)))),
        dpop(&token, &prover.proof(&gateway, &token, |claims| claims["iat"] = json!(now() - 120))),
        dpop(&token, "a.b.c"),
    ];
    for fields in &wrong {
        let reply = send(&gateway, fields);
        assert_eq!(reply.status, 401, "{fields}");
        assert!(reply.field("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_token\""));
        let asks =
            reply.head.lines().any(|line| line.starts_with("WWW-Authenticate: DPoP error=\"invalid_token\", algs=\"ES256 "));
        assert_eq!(asks, fields.contains("DPoP eyJ"), "{}", reply.head);
    }
    assert_eq!(upstream.count(), served);
    // With a query, as clients may write it, and as a bearer token that need not be bound.
    let htu = format!("{}?a=b", gateway.audience);
    let proof = prover.proof(&gateway, &token, |claims| claims["htu"] = json!(htu));
    assert_eq!(send(&gateway, &dpop(&token, &proof)).status, 200);
    assert_eq!(send(&gateway, &bearer(&free)).status, 200);
    gateway.terminate();
    let reasons: Vec<String> = rows(&gateway.audit(), "calls").iter().map(|row| row["reason"].clone()).collect();
    for reason in ["no-proof", "several-proofs", "wrong-proof", "not-bound", "malformed-proof"] {
        assert!(reasons.iter().any(|one| one == reason), "{reason} is not among {reasons:?}");
    }
}

/// R-64 and R-76: a proof counts once, whichever of the workers see it, however often its token was recognised.
#[test]
fn r64_r76_a_proof_counts_once_on_all_workers_together() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    gateway.wait_until_ready(&issuer.token(&gateway.audience));
    let prover = Prover::new();
    let token = bound(&issuer, &gateway, json!({"jkt": prover.jkt()}));
    for _ in 0..10 {
        let fields = dpop(&token, &prover.proof(&gateway, &token, |_| {}));
        let served = std::thread::scope(|scope| {
            let sent: Vec<_> = (0..8).map(|_| scope.spawn(|| send(&gateway, &fields).status)).collect();
            sent.into_iter().map(|one| one.join().unwrap()).filter(|status| *status == 200).count()
        });
        assert!(served <= 1, "one proof was taken {served} times");
        assert_eq!(send(&gateway, &fields).status, 401);
    }
    assert!(upstream.count() >= 1);
}

#[test]
fn r76_where_a_nonce_is_wanted_the_answer_brings_it() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let keys = "require_bound = \"dpop\"\ndpop_nonce = true".to_owned();
    let gateway = Gateway::start(&Setup { issuer_keys: keys, ..Setup::new(&issuer.url, &upstream.url) });
    let prover = Prover::new();
    let token = bound(&issuer, &gateway, json!({"jkt": prover.jkt()}));
    let mut asked = None;
    wait_until("a nonce", || {
        let reply = send(&gateway, &dpop(&token, &prover.proof(&gateway, &token, |_| {})));
        assert!(matches!(reply.status, 401 | 503), "{}", reply.status);
        asked = reply.field("dpop-nonce").map(|nonce| (nonce.to_owned(), reply.head.clone()));
        asked.is_some()
    });
    let (nonce, head) = asked.unwrap();
    assert!(head.contains("WWW-Authenticate: DPoP error=\"use_dpop_nonce\""), "{head}");
    let with =
        |nonce: &str| send(&gateway, &dpop(&token, &prover.proof(&gateway, &token, |claims| claims["nonce"] = json!(nonce))));
    for _ in 0..4 {
        assert_eq!(with(&nonce).status, 200, "a nonce serves for its time, on every worker");
    }
    let reply = with("made-up");
    assert!(reply.status == 401 && reply.field("dpop-nonce").is_some());
    // Whoever proves nothing is told nothing.
    let stolen = send(&gateway, &dpop(&token, &Prover::new().proof(&gateway, &token, |claims| claims["nonce"] = json!(nonce))));
    assert!(stolen.status == 401 && stolen.field("dpop-nonce").is_none());
}

#[test]
fn r77_an_issuer_can_want_all_its_tokens_bound() {
    for (way, member) in [
        ("dpop", Some("dpop_bound_access_tokens_required")),
        ("mtls", Some("tls_client_certificate_bound_access_tokens")),
        ("any", None),
    ] {
        let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
        let keys = format!("require_bound = \"{way}\"");
        let gateway = Gateway::start(&Setup { issuer_keys: keys, ..Setup::new(&issuer.url, &upstream.url) });
        let (prover, free) = (Prover::new(), issuer.token(&gateway.audience));
        let token = bound(&issuer, &gateway, json!({"jkt": prover.jkt()}));
        let mut status = 0;
        wait_until("keys", || {
            status = send(&gateway, &dpop(&token, &prover.proof(&gateway, &token, |_| {}))).status;
            status != 503
        });
        assert_eq!(status, if way == "mtls" { 401 } else { 200 }, "{way}");
        assert_eq!(send(&gateway, &bearer(&free)).status, 401, "{way}");
        let mut connection = Connection::open(gateway.port);
        let path = "/.well-known/oauth-protected-resource/mcp/crm";
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", gateway.port).as_bytes());
        let document = connection.reply().unwrap().json();
        for known in ["dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens"] {
            assert_eq!(document[known] == true, member == Some(known), "{document}");
        }
    }
}

#[test]
fn r75_a_token_counts_on_connections_of_its_certificate_only() {
    let (issuer, upstream, clients) = (Issuer::start(Algorithm::EdDsa), Upstream::echo(), ClientAuthority::new());
    let certified = Certified::new("127.0.0.1");
    let setup = Setup::new(&issuer.url, &upstream.url)
        .with_tls(&certified, "client_ca = \"clients.pem\"\nclient_auth = \"optional\"")
        .with_secret("clients.pem", clients.pem());
    let mut gateway = Gateway::start(&setup);
    let (ours, theirs) = (clients.identity("agent-a"), clients.identity("agent-b"));
    let with = |identity: &(String, String, Vec<u8>)| SecureClient::new(&certified.authority, Some((&identity.0, &identity.1)));
    let (owner, thief, nobody) = (with(&ours), with(&theirs), SecureClient::new(&certified.authority, None));
    let token = bound(&issuer, &gateway, json!({"x5t#S256": sha256(&ours.2)}));
    let status = |client: &SecureClient, token: &str| client.call(&gateway, &bearer(token)).map(|reply| reply.status);
    wait_until("keys", || status(&owner, &token) == Some(200));
    // Once more by a session that is resumed.
    let session = owner.session(gateway.port).unwrap();
    assert_eq!(session.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    let mut connection = Connection::over(session);
    for _ in 0..2 {
        connection.send(call(&gateway, &bearer(&token)).as_bytes());
        assert_eq!(connection.reply().unwrap().status, 200);
    }
    assert_eq!((status(&thief, &token), status(&nobody, &token)), (Some(401), Some(401)));
    let free = issuer.token(&gateway.audience);
    assert_eq!((status(&thief, &free), status(&nobody, &free)), (Some(200), Some(200)));
    let stranger = ClientAuthority::new().identity("agent-a");
    assert_eq!(status(&with(&stranger), &free), None, "a certificate of nobody was taken");
    // A field that anybody could send proves nothing.
    let forged = format!("{}Client-Cert: :{}:\r\n", bearer(&token), STANDARD.encode(&ours.2));
    assert_eq!(nobody.call(&gateway, &forged).unwrap().status, 401);
    // Once its authority is no longer trusted, the certificate does not count on connections that stand either.
    connection.send(call(&gateway, &bearer(&token)).as_bytes());
    assert_eq!(connection.reply().unwrap().status, 200);
    write_secret(gateway.dir.path(), "clients.pem", ClientAuthority::new().pem());
    wait_until("the refusal", || {
        connection.send(call(&gateway, &bearer(&token)).as_bytes());
        match connection.reply() {
            Some(reply) => reply.status == 401,
            None => false,
        }
    });
    gateway.terminate();
    assert!(rows(&gateway.audit(), "calls").iter().any(|row| row["reason"] == "certificate-not-held"));
}

#[test]
fn r75_the_word_of_a_named_proxy_counts() {
    let clients = ClientAuthority::new();
    let ours = clients.identity("agent-a");
    for (range, status) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 401)] {
        let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
        let keys = format!("client_cert_from = [\"{range}\"]");
        let gateway = Gateway::start(&Setup { server_keys: keys, ..Setup::new(&issuer.url, &upstream.url) });
        gateway.wait_until_ready(&issuer.token(&gateway.audience));
        let token = bound(&issuer, &gateway, json!({"x5t#S256": sha256(&ours.2)}));
        let field = |der: &[u8]| format!("{}Client-Cert: :{}:\r\n", bearer(&token), STANDARD.encode(der));
        assert_eq!(send(&gateway, &field(&ours.2)).status, status, "{range}");
        assert_eq!(send(&gateway, &field(&clients.identity("agent-b").2)).status, 401);
        assert_eq!(send(&gateway, &bearer(&token)).status, 401);
        for value in ["", ":", "::", ":!:", ":AAAA:", &format!(":{}:", "A".repeat(8000))] {
            assert_eq!(send(&gateway, &format!("{}Client-Cert: {value}\r\n", bearer(&token))).status, 401, "{value:.10}");
        }
        let twice = format!("{}Client-Cert: :{}:\r\n", field(&ours.2), STANDARD.encode(&ours.2));
        assert_eq!(send(&gateway, &twice).status, 400);
        if status == 200 {
            assert!(!upstream.last().head.contains("Client-Cert"), "{}", upstream.last().head);
        }
    }
}

#[test]
fn a_workload_is_known_by_its_certificate() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let (domain, certified) = (ClientAuthority::new(), Certified::new("127.0.0.1"));
    let tables = r#"
[[certificate_issuer]]
name = "mesh"
trust_domain = "prod.example"
ca = "bundle.pem"
audiences = ["https://127.0.0.1:{port}/mcp/crm"]
roles = [{ principal = "spiffe://prod.example/ns/*/sa/reader", grant = ["reader"] }]
[[rule]]
id = "mesh-readers"
who = { issuer = "mesh", roles = ["reader"] }
what = { upstream = "crm", tool = "*" }
effect = "allow"
"#;
    let setup = Setup::new(&issuer.url, &upstream.url)
        .with_tls(&certified, "client_auth = \"required\"")
        .with_secret("bundle.pem", domain.pem())
        .with(tables);
    let mut gateway = Gateway::start(&setup);
    let client = |id: &str| {
        let (certificate, key, _) = domain.workload(id);
        SecureClient::new(&certified.authority, Some((&certificate, &key)))
    };
    let reader = client("spiffe://prod.example/ns/a/sa/reader");
    let reply = reader.call(&gateway, "").unwrap();
    assert_eq!((reply.status, reply.body.contains("isError\":true")), (200, false), "{}", reply.body);
    assert_eq!(upstream.count(), 1);
    // A good principal without a role, and certificates that are nobody's here.
    let other = client("spiffe://prod.example/ns/a/sa/writer").call(&gateway, "").unwrap();
    assert!(other.status == 200 && other.body.contains("isError\":true"), "{}", other.body);
    for id in ["spiffe://test.example/ns/a/sa/reader", "https://prod.example/ns/a/sa/reader"] {
        assert_eq!(client(id).call(&gateway, "").unwrap().status, 401, "{id}");
    }
    assert!(SecureClient::new(&certified.authority, None).call(&gateway, "").is_none(), "no certificate was needed");
    // A token is judged as a token, whoever brings it.
    assert_eq!(reader.call(&gateway, &bearer("abc")).unwrap().status, 401);
    wait_until("keys", || reader.call(&gateway, &bearer(&issuer.token(&gateway.audience))).is_some_and(|one| one.status == 200));
    // With another bundle nobody of the old one is known, on connections that stand either.
    let mut connection = reader.open(gateway.port);
    connection.send(call(&gateway, "").as_bytes());
    assert_eq!(connection.reply().unwrap().status, 200);
    write_secret(gateway.dir.path(), "bundle.pem", ClientAuthority::new().pem());
    wait_until("the new bundle", || {
        connection.send(call(&gateway, "").as_bytes());
        connection.reply().is_some_and(|reply| reply.status == 401)
    });
    assert!(reader.call(&gateway, "").is_none());
    gateway.terminate();
    let principals: Vec<String> = rows(&gateway.audit(), "calls").iter().map(|row| row["principal"].clone()).collect();
    assert!(principals.iter().any(|one| one == "mesh:spiffe://prod.example/ns/a/sa/reader"), "{principals:?}");
}

/// npm's `oidc-provider` grants the token, and npm's `jose` makes the proofs.
#[test]
fn r76_tokens_of_a_real_provider_count_with_real_proofs() {
    let Some(_) = real::parts() else { return };
    let upstream = Upstream::echo();
    let port = gateway::free_port();
    let audience = format!("http://127.0.0.1:{port}/mcp/crm");
    let issuer = real::Part::start("issuer.mjs", &[("AUDIENCE", &audience)]);
    let keys = "require_bound = \"dpop\"\ndpop_nonce = true".to_owned();
    let _gateway = Gateway::start_at(&Setup { issuer_keys: keys, ..Setup::new(&issuer.url, &upstream.url) }, port);
    let run = || {
        let mut node = std::process::Command::new(real::node());
        node.arg("dpop.mjs").current_dir(real::parts().unwrap()).env("ISSUER_URL", &issuer.url).env("GATEWAY_URL", &audience);
        node.output().unwrap()
    };
    let mut output = run();
    wait_until("the client", || {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // The first may come before the keys do.
        let is_early = told.contains("503");
        if is_early {
            output = run();
        }
        !is_early
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
