//! An MCP server that gives away too much, in both eras, in JSON and in server-sent events.
//!
//! Invariant: it answers nobody who does not bring its own credential, so whatever it answers has come through the gateway.

mod reply;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};

pub(super) use self::reply::PAUSE;
pub(super) use self::tools::{LEAKS, Tool, fingerprint};

use self::reply::{Exchange, error};
use super::failure::Failure;
use super::random_text;

/// The modern era's version and the legacy era's newest.
pub(super) const MODERN: &str = "2026-07-28";
pub(super) const LEGACY: &str = "2025-11-25";
/// The member of `_meta` that makes a message modern.
pub(super) const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";
/// The other member of `_meta` that a modern request must have.
pub(super) const CAPABILITIES_META: &str = "io.modelcontextprotocol/clientCapabilities";

struct Server {
    authorization: String,
    salt: String,
    sessions: Mutex<BTreeSet<String>>,
    /// Calls that arrived, by tool.
    arrived: Mutex<BTreeMap<Tool, u32>>,
}

/// The server, running.
pub(super) struct Leaky {
    /// Its MCP endpoint.
    pub(super) url: String,
    server: Arc<Server>,
}

impl Leaky {
    /// Starts it on a free port of the loopback address; it serves until the process ends.
    pub(super) async fn start(credential: &str) -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(Failure::io("the server's socket"))?;
        let url = format!("http://{}/mcp", listener.local_addr().map_err(Failure::io("the server's socket"))?);
        let (sessions, arrived) = (Mutex::default(), Mutex::default());
        let server = Arc::new(Server { authorization: format!("Bearer {credential}"), salt: random_text()?, sessions, arrived });
        // Whatever is not routed, GET among it, is answered 405 with `Allow`.
        let router = Router::new().route("/mcp", post(message).delete(end_session)).with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Leaky { url, server })
    }

    /// How often a tool was called.
    pub(super) fn arrived(&self, tool: Tool) -> u32 {
        lock(&self.server.arrived).get(&tool).copied().unwrap_or_default()
    }

    /// The sessions that are open, by the server's own ids.
    pub(super) fn sessions(&self) -> Vec<String> {
        lock(&self.server.sessions).iter().cloned().collect()
    }
}

/// A panic of another holder leaves the counts as they are.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Server {
    fn admits(&self, headers: &HeaderMap) -> bool {
        text(headers, "authorization") == Some(&self.authorization)
    }

    /// A legacy request outside `initialize` must be of an open session.
    fn refuse_session(&self, headers: &HeaderMap) -> Option<StatusCode> {
        match text(headers, "mcp-session-id") {
            None => Some(StatusCode::BAD_REQUEST),
            Some(id) if lock(&self.sessions).contains(id) => None,
            Some(_) => Some(StatusCode::NOT_FOUND),
        }
    }
}

async fn end_session(State(server): State<Arc<Server>>, headers: HeaderMap) -> StatusCode {
    if !server.admits(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    if let Some(status) = server.refuse_session(&headers) {
        return status;
    }
    lock(&server.sessions).remove(text(&headers, "mcp-session-id").unwrap_or_default());
    StatusCode::OK
}

async fn message(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    if !server.admits(&headers) {
        return (StatusCode::UNAUTHORIZED, "this server wants its own credential").into_response();
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, &Value::Null, -32700, "the body is not JSON", Value::Null);
    };
    let is_modern = text(&headers, "mcp-protocol-version").is_some_and(|version| version >= MODERN)
        || message["params"]["_meta"][VERSION_META].is_string();
    if is_modern { modern(&server, &headers, &message) } else { legacy(&server, &headers, &message) }
}

/// MCP 2026-07-28: what the headers say must be what the body says.
fn modern(server: &Server, headers: &HeaderMap, message: &Value) -> Response {
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let (method, params) = (message["method"].as_str().unwrap_or_default(), &message["params"]);
    let version = params["_meta"][VERSION_META].as_str();
    let bad = |code, what: &str| error(StatusCode::BAD_REQUEST, id, code, what, Value::Null);
    if version.is_none() || !params["_meta"][CAPABILITIES_META].is_object() {
        return bad(-32602, "_meta must name protocolVersion and clientCapabilities");
    }
    if text(headers, "mcp-protocol-version") != version || text(headers, "mcp-method") != Some(method) {
        return bad(-32020, "MCP-Protocol-Version or Mcp-Method does not say what the body says");
    }
    if method == "tools/call" && text(headers, "mcp-name") != params["name"].as_str() {
        return bad(-32020, "Mcp-Name does not say what the body says");
    }
    if version != Some(MODERN) {
        let data = json!({"supported": [MODERN], "requested": version});
        return error(StatusCode::BAD_REQUEST, id, -32022, "unsupported protocol version", data);
    }
    let exchange = Exchange { id, is_modern: true, progress: params["_meta"].get("progressToken") };
    match method {
        "server/discover" => exchange.json(json!({"supportedVersions": [MODERN], "capabilities": {"tools": {}},
            "serverInfo": {"name": "leaky", "version": "1"}, "ttlMs": 0, "cacheScope": "private"})),
        "tools/list" => exchange.json(json!({"tools": tools::list(), "ttlMs": 0, "cacheScope": "private"})),
        "tools/call" => call(server, headers, params, &exchange),
        _ => error(StatusCode::NOT_FOUND, id, -32601, "no such method", Value::Null),
    }
}

/// MCP 2025-11-25: a handshake, then a session.
fn legacy(server: &Server, headers: &HeaderMap, message: &Value) -> Response {
    let (id, params) = (message.get("id"), &message["params"]);
    let method = message["method"].as_str().unwrap_or_default();
    if method != "initialize"
        && let Some(status) = server.refuse_session(headers)
    {
        return error(status, &Value::Null, -32001, "no such session", Value::Null);
    }
    let Some(id) = id else { return StatusCode::ACCEPTED.into_response() };
    let exchange = Exchange { id, is_modern: false, progress: params["_meta"].get("progressToken") };
    match method {
        "initialize" => {
            let Ok(session) = random_text() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
            lock(&server.sessions).insert(session.clone());
            let result = json!({"protocolVersion": LEGACY, "capabilities": {"tools": {}},
                "serverInfo": {"name": "leaky", "version": "1"}});
            ([("mcp-session-id", session)], exchange.json(result)).into_response()
        }
        "ping" => exchange.json(json!({})),
        "tools/list" => exchange.json(json!({"tools": tools::list()})),
        "tools/call" => call(server, headers, params, &exchange),
        _ => error(StatusCode::OK, id, -32601, "no such method", Value::Null),
    }
}

fn call(server: &Server, headers: &HeaderMap, params: &Value, exchange: &Exchange<'_>) -> Response {
    let Some(tool) = params["name"].as_str().and_then(Tool::of_name) else {
        return error(StatusCode::OK, exchange.id, -32602, "no such tool", Value::Null);
    };
    *lock(&server.arrived).entry(tool).or_default() += 1;
    match tool.run(&params["arguments"], headers, &server.salt) {
        tools::Outcome::Json(result) => exchange.json(result),
        tools::Outcome::Events(steps, result) => exchange.events(&steps, result),
    }
}

#[cfg(test)]
mod tests;
