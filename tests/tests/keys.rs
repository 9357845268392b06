//! Keys are never stale and never missing: what providers do wrong, where keys come from, and what becomes of tokens meanwhile.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup, free_port, write_secret};
use sluicegate_tests::issuer::{Issuer, Mood};
use sluicegate_tests::nanoidp::NanoIdp;
use sluicegate_tests::real::{Part, parts};
use sluicegate_tests::upstream::{Certified, ClientAuthority, Upstream};
use sluicegate_tests::wait_until;

/// An admin listener, and fetches that give up soon.
fn tables(admin: u16) -> String {
    format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n[limits]\nkeys_fetch_time_max_ms = 400\n")
}

fn get(admin: u16, path: &str) -> Reply {
    let mut connection = Connection::open(admin);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes());
    connection.reply().unwrap()
}

/// A number of the issuer `corp`.
fn metric(admin: u16, name: &str) -> u64 {
    let name = format!("sluicegate_issuer_{name}{{issuer=\"corp\"}} ");
    let body = get(admin, "/metrics").body;
    body.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("no {name} in {body}")).parse().unwrap()
}

/// The status of a call; 0 where there is no answer, as from the sockets of a gateway that was just killed.
fn status(gateway: &Gateway, token: &str) -> u16 {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    let Some(mut connection) = Connection::try_open(gateway.port) else { return 0 };
    connection.send(gateway.request("POST", token, "", body).as_bytes());
    connection.reply().map_or(0, |reply| reply.status)
}

#[test]
fn r43_r47_r48_whatever_a_provider_does_wrong_is_told_and_gives_no_keys() {
    for (mood, why) in [
        (Mood::Failing, "status 500"),
        (Mood::Garbage, "not a JSON object"),
        (Mood::WrongIssuer, "names another issuer"),
        (Mood::Slow, "did not answer in time"),
        (Mood::Hanging, "did not answer in time"),
        (Mood::Reset, "cannot be reached"),
        (Mood::Huge, "longer than limits.keys_document_bytes_max"),
        (Mood::Empty, "the set is empty"),
        (Mood::Unusable, "none of the 1 keys can be used"),
        (Mood::RedirectingAway, "redirect leads to another origin"),
        (Mood::RedirectingForever, "redirect is one too many"),
        (Mood::ForeignKeys, "at another origin than the issuer"),
    ] {
        let (issuer, upstream) = (Issuer::start_in(Algorithm::EdDsa, mood), Upstream::echo());
        let admin = free_port();
        let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with(&tables(admin)));
        let token = issuer.token(&gateway.audience);
        let reply = gateway.call(&token, "t", "{}");
        assert_eq!((reply.status, reply.field("retry-after")), (503, Some("2")), "{mood:?}");
        wait_until(why, || gateway.log().contains(why));
        let ready = get(admin, "/readyz");
        assert_eq!(ready.status, 503, "{mood:?}");
        assert!(ready.body.contains("issuer corp: its keys are not known"), "{}", ready.body);
        issuer.set_mood(Mood::Well);
        wait_until("keys", || status(&gateway, &token) == 200);
        assert_eq!(get(admin, "/readyz").body, "ready\n", "{mood:?}");
    }
}

#[test]
fn r47_a_redirect_on_the_same_origin_and_another_content_type_are_followed_and_read() {
    for mood in [Mood::Redirecting, Mood::WrongContentType] {
        let (issuer, upstream) = (Issuer::start_in(Algorithm::EdDsa, mood), Upstream::echo());
        let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
        let token = issuer.token(&gateway.audience);
        wait_until("keys", || status(&gateway, &token) == 200);
        assert!(!gateway.log().contains("keys not refreshed"), "{mood:?}: {}", gateway.log());
    }
}

#[test]
fn r40_to_r44_a_provider_that_fails_rotates_and_drops_keys() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    issuer.name_versions();
    issuer.add_odd_key(serde_json::json!({"kty": "oct", "k": "AAAA", "kid": "odd"}));
    let admin = free_port();
    let setup = Setup::new(&issuer.url, &upstream.url).with_issuer_keys("unknown_key_cooldown_s = 10").with(&tables(admin));
    let gateway = Gateway::start(&setup);
    let old = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&old);
    let started = issuer.fetches();

    // A flood of names that nobody has, of which none reaches the provider while the cooldown runs.
    let stranger = SigningKey::generate(Algorithm::EdDsa, "stranger").unwrap();
    let mut connection = Connection::open(gateway.port);
    for n in 0..2_000 {
        let header = serde_json::json!({"alg": "EdDSA", "typ": "at+jwt", "kid": format!("random-{n}")});
        let token = stranger.sign_with(&header, &issuer.claims(&gateway.audience)).unwrap();
        connection.send(gateway.request("POST", &token, "", "").as_bytes());
        match connection.reply() {
            Some(reply) => assert_eq!(reply.status, 401),
            None => connection = Connection::open(gateway.port),
        }
    }
    assert!(issuer.fetches() <= started + 1, "{} fetches", issuer.fetches() - started);

    // The provider fails when it is asked for a new key: the old one goes on, and everybody is told.
    issuer.set_mood(Mood::Failing);
    issuer.add_key(Algorithm::Es256, "k2");
    let new = issuer.token(&gateway.audience);
    wait_until("a failed refresh", || {
        assert_eq!(status(&gateway, &new), 401);
        metric(admin, "refreshes_failing") > 0
    });
    assert_eq!(status(&gateway, &old), 200);
    let ready = get(admin, "/readyz");
    assert_eq!(ready.status, 200);
    assert!(ready.body.starts_with("degraded\nissuer corp: its keys are"), "{}", ready.body);
    issuer.set_mood(Mood::Well);
    wait_until("the new key", || status(&gateway, &new) == 200);
    assert_eq!(status(&gateway, &old), 200);
    assert_eq!((get(admin, "/readyz").body.as_str(), metric(admin, "keys")), ("ready\n", 2));
    assert_eq!(metric(admin, "keys_unusable"), 1);
    assert_eq!(gateway.log().matches("a key of the set cannot be used").count(), 1, "told once, not with each refresh");

    // A name that nobody has causes a fetch, which finds nothing new.
    let unknown = stranger.sign(&issuer.claims(&gateway.audience)).unwrap();
    wait_until("an answer that nothing has changed", || {
        assert_eq!(status(&gateway, &unknown), 401);
        issuer.unchanged() > 0
    });
    assert_eq!(status(&gateway, &new), 200);

    // What is gone from the set does not count from then on, on no worker and in no memory of tokens.
    issuer.drop_key("k1");
    issuer.drop_key("k2");
    issuer.add_key(Algorithm::EdDsa, "k3");
    let newest = issuer.token(&gateway.audience);
    wait_until("the newest key", || status(&gateway, &newest) == 200);
    for _ in 0..20 {
        assert_eq!((status(&gateway, &old), status(&gateway, &new)), (401, 401));
    }
    assert_eq!(metric(admin, "keys_lost_total"), 1, "more than half of the keys went at once");
}

#[test]
fn r45_a_gateway_that_starts_while_the_provider_is_away_knows_the_keys_it_had() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let admin = free_port();
    let setup = Setup::new(&issuer.url, &upstream.url).with(&tables(admin)).with("[keys]\ndir = \"kept\"\n");
    let mut gateway = Gateway::start(&setup);
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    let file = gateway.dir.path().join("kept/corp.keys");
    wait_until("the kept keys", || file.exists());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    gateway.kill();
    issuer.set_mood(Mood::Hanging);
    gateway.restart();
    gateway.wait_until_ready(&token);
    assert_eq!(status(&gateway, &token), 200);
    wait_until("degraded", || get(admin, "/readyz").body.starts_with("degraded\n"));
    gateway.kill();
    let mut changed = fs::read(&file).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&file, changed).unwrap();
    gateway.restart();
    wait_until("503", || Connection::try_open(gateway.port).is_some() && status(&gateway, &token) == 503);
    assert!(gateway.log().contains("kept keys are not taken"), "{}", gateway.log());
    issuer.set_mood(Mood::Well);
    wait_until("keys", || status(&gateway, &token) == 200);
}

#[test]
fn r46_a_provider_that_hangs_delays_no_other() {
    let (hanging, upstream) = (Issuer::start_in(Algorithm::EdDsa, Mood::Hanging), Upstream::echo());
    let (well, port) = (Issuer::start(Algorithm::EdDsa), free_port());
    let other = format!(
        "[[issuer]]\nname = \"other\"\nissuer = \"{}\"\naudiences = [\"http://127.0.0.1:{port}/mcp/crm\"]\n\
         allow_insecure_loopback = true\nroles = {{ claim = \"/roles\" }}\n[[rule]]\nid = \"others\"\nwho = {{ issuer = \"other\" }}\n\
         what = {{ upstream = \"crm\", tool = \"*\" }}\neffect = \"allow\"\n",
        well.url
    );
    let admin = free_port();
    let setup = Setup::new(&hanging.url, &upstream.url).with(&format!("{other}[admin]\nlisten = \"127.0.0.1:{admin}\"\n"));
    let gateway = Gateway::start_at(&setup, port);
    let token = well.token(&gateway.audience);
    wait_until("the keys of the other", || status(&gateway, &token) == 200);
    assert_eq!(status(&gateway, &hanging.token(&gateway.audience)), 503);
    let ready = get(admin, "/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "degraded\nissuer corp: its keys are not known\n"));
}

fn pin(certified: &Certified) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certified.public_key);
    format!("sha256/{}", STANDARD.encode(digest))
}

#[test]
fn r48_r49_authorities_addresses_and_pins_decide_where_keys_come_from() {
    let (certified, other) = (Certified::new("localhost"), Certified::new("localhost"));
    let good = "ca = \"idp.pem\"\nallow_private = true\n";
    let (right, wrong) = (format!("spki_pin = [\"{}\"]", pin(&certified)), format!("spki_pin = [\"{}\"]", pin(&other)));
    let reserve = format!("spki_pin = [\"{}\", \"{}\"]", pin(&other), pin(&certified));
    for (keys, why) in [
        (good.to_owned(), None),
        (format!("{good}{right}"), None),
        (format!("{good}{reserve}"), None),
        (format!("{good}{wrong}"), Some("cannot be connected to")),
        ("allow_private = true\n".to_owned(), Some("cannot be connected to")),
        ("ca = \"idp.pem\"\n".to_owned(), Some("is not a public one")),
    ] {
        let (issuer, upstream) = (Issuer::start_with_tls(Algorithm::EdDsa, certified.server()), Upstream::echo());
        let setup =
            Setup::new(&issuer.url, &upstream.url).with_issuer_keys(&keys).with_secret("idp.pem", certified.authority.as_str());
        let gateway = Gateway::start(&setup);
        let token = issuer.token(&gateway.audience);
        match why {
            None => wait_until("keys", || status(&gateway, &token) == 200),
            Some(why) => {
                wait_until(why, || gateway.log().contains(why));
                assert_eq!((status(&gateway, &token), issuer.fetches()), (503, 0), "{keys}");
            }
        }
        let is_reached = !keys.starts_with("ca = \"idp.pem\"\n") || keys.contains("allow_private");
        assert_eq!(issuer.connections() > 0, is_reached, "{keys}");
    }
}

#[test]
fn r49_the_gateway_proves_who_it_is_to_a_provider_that_asks() {
    let clients = ClientAuthority::new();
    let certified = Certified::demanding("localhost", &clients);
    let (issuer, upstream) = (Issuer::start_with_tls(Algorithm::EdDsa, certified.server()), Upstream::echo());
    let (certificate, key, _) = clients.identity("gateway.example");
    let keys = "ca = \"idp.pem\"\nallow_private = true\nbearer_file = \"pod-token\"\n";
    let plain = Setup::new(&issuer.url, &upstream.url).with_secret("idp.pem", certified.authority.as_str());
    let plain = plain.with_secret("pod-token", "pod-t0ken-1\n").with_issuer_keys(keys);
    {
        let gateway = Gateway::start(&plain);
        wait_until("a refused handshake", || gateway.log().contains("keys not refreshed"));
        assert_eq!(issuer.fetches(), 0);
    }
    let setup = plain.with_secret("c.pem", certificate).with_secret("c.key", key);
    let setup = setup.with_issuer_keys("client_cert = \"c.pem\"\nclient_key = \"c.key\"\n");
    let gateway = Gateway::start(&setup);
    let token = issuer.token(&gateway.audience);
    wait_until("keys", || status(&gateway, &token) == 200);
    assert_eq!(issuer.authorization().as_deref(), Some("Bearer pod-t0ken-1"));
    assert!(!gateway.log().contains("pod-t0ken"), "the log shows the token");
}

#[test]
fn r44_r50_keys_come_from_a_file_that_is_watched_and_from_nowhere_else() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let setup = Setup::new(&issuer.url, &upstream.url).with_secret("keys.json", issuer.jwks());
    let gateway = Gateway::start(&setup.with_issuer_keys("jwks_file = \"keys.json\""));
    let old = issuer.token(&gateway.audience);
    assert_eq!(status(&gateway, &old), 200, "known from the first moment");
    issuer.add_key(Algorithm::Rs256, "k2");
    let new = issuer.token(&gateway.audience);
    assert_eq!(status(&gateway, &new), 401);
    write_secret(gateway.dir.path(), "keys.json", issuer.jwks());
    wait_until("the new key", || status(&gateway, &new) == 200);
    assert_eq!(status(&gateway, &old), 200);
    write_secret(gateway.dir.path(), "keys.json", "{\"keys\":[]}");
    wait_until("an error", || gateway.log().contains("the set is empty"));
    assert_eq!((status(&gateway, &old), status(&gateway, &new)), (200, 200));
    issuer.drop_key("k1");
    fs::write(gateway.dir.path().join("keys.json"), issuer.jwks()).unwrap();
    wait_until("the end of the old key", || status(&gateway, &old) == 401);
    assert_eq!(status(&gateway, &new), 200);
    assert_eq!(issuer.connections(), 0, "a provider was asked");
}

#[test]
fn r50_keys_stand_in_the_configuration_or_in_pem() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let jwks: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let x = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    // RFC 8410 section 4: what stands before the 32 bytes is always the same.
    let pem = format!("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(x));
    for keys in [format!("jwks = '''{jwks}'''"), "pem_file = \"k1.pem\"\npem_kid = \"k1\"".to_owned()] {
        let setup = Setup::new(&issuer.url, &upstream.url).with_secret("k1.pem", pem.as_str()).with_issuer_keys(&keys);
        let gateway = Gateway::start(&setup);
        assert_eq!(status(&gateway, &issuer.token(&gateway.audience)), 200, "{keys}");
    }
    assert_eq!(issuer.connections(), 0, "a provider was asked");
}

/// Asks a part that runs on this machine.
fn asked(url: &str, path: &str) -> String {
    let port = url.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut connection = Connection::open(port);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").as_bytes());
    connection.reply().unwrap().body
}

#[test]
fn r41_a_certified_provider_rotates_its_keys() {
    if parts().is_none() {
        return;
    }
    let (upstream, port) = (Upstream::echo(), free_port());
    let issuer = Part::start("issuer.mjs", &[("AUDIENCE", &format!("http://127.0.0.1:{port}/mcp/crm"))]);
    let setup = Setup::new(&issuer.url, &upstream.url).with_issuer_keys("unknown_key_cooldown_s = 10");
    let gateway = Gateway::start_at(&setup, port);
    let mut tokens = vec![asked(&issuer.url, "/_test/mint")];
    wait_until("keys", || status(&gateway, &tokens[0]) == 200);
    for algorithm in ["ES256", "EdDSA"] {
        asked(&issuer.url, &format!("/_test/rotate?alg={algorithm}"));
        let new = asked(&issuer.url, "/_test/mint");
        wait_until("the new key", || {
            tokens.iter().for_each(|old| assert_eq!(status(&gateway, old), 200, "a key that is published all the time"));
            status(&gateway, &new) == 200
        });
        tokens.push(new);
    }
}

#[test]
fn r40_a_token_of_another_provider_passes() {
    let (upstream, port) = (Upstream::echo(), free_port());
    let Some(issuer) = NanoIdp::start(&format!("http://127.0.0.1:{port}/mcp/crm")) else { return };
    let rule = "[[rule]]\nid = \"demo\"\nwho = { principal = \"corp:demo-client\" }\nwhat = { upstream = \"crm\", tool = \"*\" }\n\
                effect = \"allow\"\n";
    let gateway = Gateway::start_at(&Setup::new(&issuer.url, &upstream.url).with(rule), port);
    let token = issuer.token();
    wait_until("keys", || status(&gateway, &token) == 200);
    assert!(upstream.last().body.contains("tools/call"));
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    assert_eq!(status(&gateway, &forged), 401);
}
