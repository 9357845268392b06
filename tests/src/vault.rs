//! A vault as HashiCorp Vault and OpenBao document their HTTP API: the KV version 2 engine, AppRole and Kubernetes logins, a seal.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::upstream::{self, Request, Step, Upstream};

/// The role's id and secret id that a login is good with.
pub const ROLE: (&str, &str) = ("role-7", "secret-id-4711");
/// The role and the service account's token that a Kubernetes login is good with.
pub const POD: (&str, &str) = ("gateway", "service.account.token");

/// What is in it.
struct State {
    /// Path, then the values by version, from 1; `None` for one that was deleted.
    secret: (String, Vec<Option<Value>>),
    is_sealed: bool,
    tokens: Vec<String>,
    logins: usize,
    lease_s: u64,
}

/// The vault, running.
pub struct Vault {
    /// Its address.
    pub address: String,
    state: Arc<Mutex<State>>,
    _listener: Upstream,
}

impl Vault {
    /// Starts it with one secret, version 1; logins give tokens with this lease.
    pub fn start(path: &str, secret: Value, lease_s: u64) -> Vault {
        let secret = (path.to_owned(), vec![Some(secret)]);
        let state = State { secret, is_sealed: false, tokens: vec!["hvs.root".to_owned()], logins: 0, lease_s };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let listener = Upstream::start(move |request| answer(request, &mut shared.lock().unwrap()));
        Vault { address: listener.url.trim_end_matches("/mcp").to_owned(), state, _listener: listener }
    }

    /// Seals or unseals it.
    pub fn seal(&self, is_sealed: bool) {
        self.state.lock().unwrap().is_sealed = is_sealed;
    }

    /// Writes the next version of the secret; `None` deletes the newest.
    pub fn put(&self, secret: Option<Value>) {
        let mut state = self.state.lock().unwrap();
        match secret {
            Some(secret) => state.secret.1.push(Some(secret)),
            None => *state.secret.1.last_mut().unwrap() = None,
        }
    }

    /// Takes all tokens back.
    pub fn revoke(&self) {
        self.state.lock().unwrap().tokens.clear();
    }

    /// How many tokens are good now, the one that is there from the start among them.
    pub fn tokens(&self) -> usize {
        self.state.lock().unwrap().tokens.len()
    }

    /// How many logins were good.
    pub fn logins(&self) -> usize {
        self.state.lock().unwrap().logins
    }
}

fn errors(status: u16, texts: &[&str]) -> Vec<Step> {
    upstream::json(status, &json!({ "errors": texts }).to_string())
}

fn answer(request: &Request, state: &mut State) -> Vec<Step> {
    if state.is_sealed {
        return errors(503, &["Vault is sealed"]);
    }
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    match request.line() {
        ("POST", "/v1/auth/approle/login") if (body["role_id"].as_str(), body["secret_id"].as_str()) == some(ROLE) => {
            login(state)
        }
        ("POST", "/v1/auth/approle/login") => errors(400, &["invalid role or secret ID"]),
        ("POST", "/v1/auth/kubernetes/login") if (body["role"].as_str(), body["jwt"].as_str()) == some(POD) => login(state),
        ("POST", "/v1/auth/kubernetes/login") => errors(403, &["permission denied"]),
        ("POST", "/v1/auth/token/revoke-self") => match request.field("X-Vault-Token") {
            Some(token) if state.tokens.iter().any(|known| known == token) => {
                state.tokens.retain(|known| known != token);
                vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())]
            }
            _ => errors(403, &["permission denied"]),
        },
        ("GET", target) => read(request, target, state),
        _ => errors(405, &[]),
    }
}

fn some((one, other): (&'static str, &'static str)) -> (Option<&'static str>, Option<&'static str>) {
    (Some(one), Some(other))
}

fn login(state: &mut State) -> Vec<Step> {
    state.logins += 1;
    let token = format!("hvs.login-{}", state.logins);
    state.tokens.push(token.clone());
    let auth = json!({ "client_token": token, "accessor": "a", "policies": ["default"], "lease_duration": state.lease_s, "renewable": true });
    upstream::json(
        200,
        &json!({ "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0, "data": null, "auth": auth })
            .to_string(),
    )
}

fn read(request: &Request, target: &str, state: &State) -> Vec<Step> {
    let is_known = request.field("X-Vault-Token").is_some_and(|token| state.tokens.iter().any(|known| known == token));
    if !is_known {
        return errors(403, &["permission denied"]);
    }
    let (path, versions) = &state.secret;
    if target != format!("/v1/secret/data/{path}") {
        return errors(404, &[]);
    }
    let newest = versions.last().cloned().flatten();
    let status = if newest.is_some() { 200 } else { 404 };
    let metadata =
        json!({ "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": false, "version": versions.len() });
    let data = json!({ "data": newest, "metadata": metadata });
    upstream::json(
        status,
        &json!({ "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data, "auth": null })
            .to_string(),
    )
}
