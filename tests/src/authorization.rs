//! An authorization server's token endpoint: client credentials with a secret or a signed assertion, and token exchange, each checked as
//! its RFC says; and with faults.

use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::issuer::now;
use crate::upstream::{self, Request, Step, Upstream};

/// A client's id and secret; both have characters that the form's encoding changes (RFC 6749 section 2.3.1).
pub const CLIENT: (&str, &str) = ("gate way", "s3cret/of+gate");
/// The private key that RFC 8410 section 10.3 shows.
pub const PRIVATE_KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
/// Its public key, as section 10.1 shows it: the last 32 bytes.
pub const PUBLIC_KEY: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";

/// The names and values of a form, decoded.
pub type Form = Vec<(String, String)>;

/// The grant type of RFC 8693.
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// How the server answers where it would give a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As it should.
    None,
    /// After this many milliseconds.
    Slow(u64),
    /// With this status and no JSON.
    Status(u16),
    /// With this error code.
    Refuses(&'static str),
    /// With more than anybody wants to read.
    Huge,
    /// With these members in the place of its own; `null` takes one out.
    With(&'static str),
    /// With bytes that are no JSON.
    Garbage,
    /// By ending the connection.
    Closes,
}

/// The server, running.
pub struct AuthorizationServer {
    /// Its issuer identifier.
    pub issuer: String,
    /// What it gave tokens for.
    pub grants: Arc<Mutex<Vec<Form>>>,
    fault: Arc<Mutex<Fault>>,
    listener: Upstream,
}

impl AuthorizationServer {
    /// Starts it; its tokens are `access-token-1`, `access-token-2` … and live this long.
    pub fn start(life_s: u64) -> AuthorizationServer {
        let grants: Arc<Mutex<Vec<Form>>> = Arc::default();
        let (all, used) = (Arc::clone(&grants), Mutex::new(Vec::new()));
        let fault = Arc::new(Mutex::new(Fault::None));
        let current = Arc::clone(&fault);
        let listener = Upstream::start(move |request| {
            let fault = current.lock().unwrap().clone();
            answer(request, life_s, &fault, &all, &used)
        });
        AuthorizationServer { issuer: listener.url.trim_end_matches("/mcp").to_owned(), grants, fault, listener }
    }

    /// Answers like this from now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How many requests came for tokens by exchange, whether or not they were granted.
    pub fn exchanges(&self) -> usize {
        self.listener.requests.lock().unwrap().iter().filter(|request| request.body.contains("token-exchange")).count()
    }

    /// How many tokens it gave.
    pub fn count(&self) -> usize {
        self.grants.lock().unwrap().len()
    }
}

fn refuse(status: u16, error: &str) -> Vec<Step> {
    upstream::json(status, &json!({ "error": error }).to_string())
}

fn answer(request: &Request, life_s: u64, fault: &Fault, grants: &Mutex<Vec<Form>>, used: &Mutex<Vec<String>>) -> Vec<Step> {
    let issuer = format!("http://{}", request.field("Host").unwrap_or_default());
    match request.line() {
        ("GET", "/.well-known/openid-configuration") => {
            let document = json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") });
            return upstream::json(200, &document.to_string());
        }
        ("POST", "/token") if request.field("Content-Type") == Some("application/x-www-form-urlencoded") => {}
        _ => return refuse(404, "invalid_request"),
    }
    let form: Form = request
        .body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    if !is_client(request, &form, &issuer, used) {
        return refuse(401, "invalid_client");
    }
    let token = match value(&form, "grant_type") {
        Some("client_credentials") => {
            let mut grants = grants.lock().unwrap();
            grants.push(form);
            let token = format!("access-token-{}", grants.len());
            return upstream::json(
                200,
                &json!({ "access_token": token, "token_type": "Bearer", "expires_in": life_s }).to_string(),
            );
        }
        Some(EXCHANGE) => match subject(&form) {
            Some(subject) => {
                let mut grants = grants.lock().unwrap();
                grants.push(form);
                let token = format!("exchanged-{}-for-{subject}", grants.len());
                json!({ "access_token": token, "token_type": "Bearer", "expires_in": life_s, "issued_token_type": ACCESS_TOKEN })
            }
            None => return refuse(400, "invalid_request"),
        },
        _ => return refuse(400, "unsupported_grant_type"),
    };
    with_fault(fault, token)
}

fn with_fault(fault: &Fault, mut token: Value) -> Vec<Step> {
    let mut steps = upstream::json(200, &token.to_string());
    match fault {
        Fault::None => {}
        Fault::Slow(ms) => steps.insert(0, Step::Pause(*ms)),
        Fault::Status(status) => steps = upstream::json(*status, "<html>"),
        Fault::Refuses(error) => steps = refuse(400, error),
        Fault::Huge => {
            token["padding"] = "x".repeat(1 << 20).into();
            steps = upstream::json(200, &token.to_string());
        }
        Fault::With(members) => {
            let members: Value = serde_json::from_str(members).unwrap();
            members.as_object().unwrap().iter().for_each(|(name, value)| token[name] = value.clone());
            steps = upstream::json(200, &token.to_string());
        }
        Fault::Garbage => steps = upstream::json(200, "<html>"),
        Fault::Closes => steps = vec![Step::Close],
    }
    steps
}

fn value<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The subject of the token that is to be exchanged (RFC 8693 section 2.1). Whether it is genuine, a real provider tells in `real.rs`.
fn subject(form: &Form) -> Option<String> {
    let has_types = value(form, "subject_token_type") == Some(ACCESS_TOKEN)
        && value(form, "actor_token").is_some() == (value(form, "actor_token_type") == Some(ACCESS_TOKEN));
    let claims = URL_SAFE_NO_PAD.decode(value(form, "subject_token")?.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims["sub"].as_str().filter(|_| has_types).map(str::to_owned)
}

fn is_client(request: &Request, form: &Form, issuer: &str, used: &Mutex<Vec<String>>) -> bool {
    match (request.field("Authorization"), value(form, "client_assertion")) {
        (Some(basic), None) => is_basic(basic),
        (None, Some(assertion)) => {
            let is_bearer =
                value(form, "client_assertion_type") == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            is_bearer && is_assertion(assertion, issuer, &mut used.lock().unwrap())
        }
        _ => false,
    }
}

/// A form's value: `+` is a space, then percent-decoding.
fn decoded(text: &str) -> String {
    let bytes = text.replace('+', " ").into_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap()
}

fn is_basic(field: &str) -> bool {
    let pair = field.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let pair = String::from_utf8(pair).unwrap_or_default();
    pair.split_once(':').is_some_and(|(id, secret)| (decoded(id), decoded(secret)) == (CLIENT.0.to_owned(), CLIENT.1.to_owned()))
}

/// RFC 7523 section 3: signature, issuer, subject, audience, times, and a `jti` that was not seen before.
fn is_assertion(assertion: &str, issuer: &str, used: &mut Vec<String>) -> bool {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts[..] else { return false };
    let key = UnparsedPublicKey::new(&ED25519, decode(PUBLIC_KEY));
    let is_signed = key.verify(format!("{header}.{claims}").as_bytes(), &decode(signature)).is_ok();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap_or_default();
    let time = |name: &str| claims[name].as_u64().unwrap_or_default();
    let is_new = claims["jti"].as_str().is_some_and(|jti| !jti.is_empty() && !used.iter().any(|known| known == jti));
    used.extend(claims["jti"].as_str().map(str::to_owned));
    is_signed
        && is_new
        && (header["alg"].as_str(), header["kid"].as_str()) == (Some("EdDSA"), Some("k7"))
        && claims["iss"] == CLIENT.0
        && claims["sub"] == CLIENT.0
        && claims["aud"] == issuer
        && (now() - 5..=now()).contains(&time("iat"))
        && (now()..=now() + 120).contains(&time("exp"))
}
