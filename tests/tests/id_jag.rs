//! Callers' tokens that the upstream's own authorization server gives, for an assertion by the one that knows the callers (ID-JAG, then RFC 7523);
//! both servers as strict as their drafts.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;
use sluicegate_tests::client::Reply;
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::{Issuer, now};
use sluicegate_tests::upstream::{self, Request, Step, Upstream};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const RESOURCE: &str = "https://crm.example/mcp";
const SCOPE: &str = "crm.read";

/// What the first server answers instead of what it should: members of its reply.
type Fault = Arc<Mutex<Value>>;
/// The assertions that the first server gave and the second has not taken yet.
type Given = Arc<Mutex<Vec<String>>>;

struct Stage {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
    asked: Arc<Mutex<Vec<String>>>,
    fault: Fault,
}

fn form(request: &Request) -> Vec<(String, String)> {
    url_decoded(&request.body)
}

fn url_decoded(body: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let (mut out, bytes, mut at) = (Vec::new(), text.as_bytes(), 0);
        while at < bytes.len() {
            if bytes[at] == b'%' {
                out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
                at += 2;
            } else {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            }
            at += 1;
        }
        String::from_utf8(out).unwrap()
    };
    body.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn value<'f>(form: &'f [(String, String)], name: &str) -> Option<&'f str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn is_client(request: &Request, pair: &str) -> bool {
    request.field("Authorization") == Some(&format!("Basic {}", STANDARD.encode(pair)))
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn refuse(error: &str) -> Vec<Step> {
    upstream::json(400, &json!({ "error": error }).to_string())
}

/// The server that knows the callers: it gives an assertion for their token, to the gateway, for the one server it was asked for.
fn identity_provider(audience: String, given: Given, fault: Fault) -> Upstream {
    let key = SigningKey::generate(Algorithm::Es256, "idp").unwrap();
    Upstream::start(move |request| {
        let form = form(request);
        let expected = [
            ("grant_type", EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", &audience),
            ("resource", RESOURCE),
            ("scope", SCOPE),
        ];
        if !is_client(request, "gate:at-idp") || expected.iter().any(|(name, wanted)| value(&form, name) != Some(wanted)) {
            return refuse("invalid_request");
        }
        let subject = claims(value(&form, "subject_token").unwrap())["sub"].clone();
        let body = json!({
            "iss": "https://idp.example", "sub": subject, "aud": audience, "client_id": "gate-at-crm", "resource": RESOURCE, "scope": SCOPE,
            "iat": now(), "exp": now() + 300, "jti": format!("jag-{}", given.lock().unwrap().len()),
        });
        let assertion = key.sign_with(&json!({ "alg": "ES256", "kid": "idp", "typ": "oauth-id-jag+jwt" }), &body).unwrap();
        given.lock().unwrap().push(assertion.clone());
        let mut reply = json!({
            "access_token": assertion, "issued_token_type": ID_JAG, "token_type": "N_A", "expires_in": 300, "scope": SCOPE,
        });
        for (name, value) in fault.lock().unwrap().as_object().into_iter().flatten() {
            reply[name] = value.clone();
        }
        upstream::json(200, &reply.to_string())
    })
}

/// The upstream's own server: it takes each assertion of the first once, from the client that it names, and nothing else.
fn authorization_server(given: Given, asked: Arc<Mutex<Vec<String>>>) -> Upstream {
    Upstream::start(move |request| {
        asked.lock().unwrap().push(request.body.clone());
        let form = form(request);
        let assertion = value(&form, "assertion").unwrap_or_default();
        let mut given = given.lock().unwrap();
        let Some(at) = given.iter().position(|one| one == assertion) else { return refuse("invalid_grant") };
        given.remove(at);
        let is_good = is_client(request, "gate-at-crm:at-crm")
            && value(&form, "grant_type") == Some(ASSERTION)
            && value(&form, "scope") == Some(SCOPE)
            && value(&form, "subject_token").is_none()
            && claims(assertion)["exp"].as_u64().unwrap() > now();
        if !is_good {
            return refuse("invalid_request");
        }
        let token = format!("crm-token-for-{}", claims(assertion)["sub"].as_str().unwrap());
        upstream::json(200, &json!({ "access_token": token, "token_type": "bearer", "expires_in": 600 }).to_string())
    })
}

impl Stage {
    fn start() -> Stage {
        let (given, asked, fault): (Given, Arc<Mutex<Vec<String>>>, Fault) = Default::default();
        let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
        let server = authorization_server(Arc::clone(&given), Arc::clone(&asked));
        let provider = identity_provider(server.url.clone(), given, Arc::clone(&fault));
        let credential = format!(
            "[[credential]]\nname = \"crm-key\"\nheader = \"Authorization\"\nprefix = \"Bearer \"\n[credential.exchange]\n\
             token_endpoint = \"{}\"\nclient_id = \"gate\"\nclient_secret_file = \"idp\"\naudience = \"{}\"\nresource = \"{RESOURCE}\"\n\
             scope = \"{SCOPE}\"\n[credential.exchange.id_jag]\ntoken_endpoint = \"{}\"\nclient_id = \"gate-at-crm\"\n\
             client_secret_file = \"crm\"\n",
            provider.url, server.url, server.url
        );
        let setup = Setup::new(&issuer.url, &upstream.url).with_credentials(&credential);
        let gateway = Gateway::start(&setup.with_secret("idp", "at-idp").with_secret("crm", "at-crm"));
        let stage = Stage { issuer, upstream, gateway, asked, fault };
        sluicegate_tests::wait_until("keys", || stage.call("probe", "admin_none").body.contains("no-admin"));
        stage
    }

    fn token(&self, subject: &str) -> String {
        let mut claims = self.issuer.claims(&self.gateway.audience);
        claims["sub"] = subject.into();
        self.issuer.sign(&claims)
    }

    fn call(&self, subject: &str, tool: &str) -> Reply {
        self.gateway.call(&self.token(subject), tool, "{}")
    }
}

#[test]
fn r79_an_assertion_about_the_caller_gets_the_upstreams_own_token() {
    let stage = Stage::start();
    for subject in ["ann", "bob", "ann"] {
        let token = stage.token(subject);
        assert_eq!(stage.gateway.call(&token, "t", "{}").status, 200, "{}", stage.gateway.log());
        let sent = stage.upstream.last();
        assert_eq!(sent.field("Authorization"), Some(format!("Bearer crm-token-for-{subject}").as_str()));
        assert!(!sent.head.contains(token.rsplit('.').next().unwrap()), "the caller's token went upstream");
        let asked = stage.asked.lock().unwrap();
        assert!(
            asked.iter().all(|body| !body.contains(token.rsplit('.').next().unwrap())),
            "the caller's token went to the second server"
        );
    }
}

#[test]
fn r79_what_is_no_assertion_is_taken_no_further() {
    let stage = Stage::start();
    for (at, fault) in [
        json!({ "issued_token_type": ACCESS_TOKEN }),
        json!({ "issued_token_type": null }),
        json!({ "token_type": "Bearer" }),
        json!({ "scope": "crm.read crm.admin" }),
    ]
    .into_iter()
    .enumerate()
    {
        *stage.fault.lock().unwrap() = fault.clone();
        let reply = stage.call(&format!("caller-{at}"), "t");
        assert!(matches!(reply.status, 403 | 503), "{fault}: {} {}", reply.status, reply.body);
        assert!(stage.asked.lock().unwrap().is_empty(), "{fault} went to the second server");
    }
    assert_eq!(stage.upstream.count(), 0);
    // One that the second server does not know is the caller's refusal.
    *stage.fault.lock().unwrap() = json!({ "access_token": "eyJ.forged.x" });
    assert_eq!(stage.call("mallory", "t").status, 403);
    assert_eq!(stage.upstream.count(), 0);
}
