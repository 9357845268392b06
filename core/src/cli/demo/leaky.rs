//! An MCP server that gives away too much, in both eras, in JSON and in server-sent events. It demands the injected credential.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::Failure;

/// What must not arrive at a client.
pub(super) const LEAKS: [&str; 3] = ["4111 1111 1111 1111", "ana@customer.example", "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM"];

/// The server, running.
pub(super) struct Leaky {
    /// Its MCP endpoint.
    pub(super) url: String,
}

impl Leaky {
    pub(super) async fn start(credential: &str) -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let expected: Arc<str> = format!("Bearer {credential}").into();
        let router = Router::new().route("/mcp", post(message).delete(|| async { StatusCode::OK })).with_state(expected);
        tokio::spawn(async move {
            // It serves until the process ends.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Leaky { url })
    }
}

async fn message(State(expected): State<Arc<str>>, headers: HeaderMap, body: Bytes) -> Response {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if given != Some(&expected) {
        return (StatusCode::UNAUTHORIZED, "the server wants its own credential").into_response();
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let Some(id) = message.get("id").cloned() else { return StatusCode::ACCEPTED.into_response() };
    let is_modern = message["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some();
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => {
            let reply = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "leaky", "version": "1"}});
            return (
                StatusCode::OK,
                [("mcp-session-id", "leaky-session-1")],
                axum::Json(json!({"jsonrpc": "2.0", "id": id, "result": reply})),
            )
                .into_response();
        }
        "server/discover" => json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "leaky", "version": "1"}, "ttlMs": 0, "cacheScope": "private"}),
        "ping" => json!({}),
        "tools/list" => json!({"tools": tools(), "ttlMs": 0, "cacheScope": "private"}),
        "tools/call" => match call(&message["params"], given.unwrap_or_default()) {
            Reply::Json(result) => result,
            Reply::Events(result) => return events(&id, &complete(result, is_modern)),
        },
        _ => {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}});
            return (if is_modern { StatusCode::NOT_FOUND } else { StatusCode::OK }, axum::Json(error)).into_response();
        }
    };
    axum::Json(json!({"jsonrpc": "2.0", "id": id, "result": complete(result, is_modern)})).into_response()
}

fn complete(mut result: Value, is_modern: bool) -> Value {
    if is_modern {
        result["resultType"] = json!("complete");
    }
    result
}

fn tools() -> Value {
    let tool = |name: &str, text: &str, member: &str| json!({"name": name, "description": text, "inputSchema": {"type": "object", "properties": {member: {"type": "string"}}}});
    json!([
        tool("crm_lookup", "A customer, with everything known", "name"),
        tool("customer_stream", "The same, as a stream", "name"),
        tool("sql_query", "Runs SQL", "sql"),
        tool("admin_wipe", "Deletes all customers", "really"),
        tool("whoami", "What the server was told about the caller", "none"),
    ])
}

enum Reply {
    Json(Value),
    Events(Value),
}

fn call(params: &Value, credential: &str) -> Reply {
    let text = |text: String| Reply::Json(json!({"content": [{"type": "text", "text": text}], "isError": false}));
    match params["name"].as_str().unwrap_or_default() {
        "crm_lookup" => Reply::Json(customer()),
        "customer_stream" => Reply::Events(customer()),
        "sql_query" => text(format!("3 rows for {}", params["arguments"]["sql"])),
        "admin_wipe" => text("all customers are deleted".to_owned()),
        "whoami" => text(format!("you came with Authorization: {credential}")),
        _ => Reply::Json(json!({"content": [{"type": "text", "text": "no such tool"}], "isError": true})),
    }
}

fn customer() -> Value {
    let [card, mail, key] = LEAKS;
    json!({
        "content": [{"type": "text", "text": format!("Ana pays with {card}, writes from {mail}, deploys with {key}.")}],
        "structuredContent": {"name": "Ana", "card": card, "mail": mail, "deploy": key},
        "isError": false,
    })
}

/// Progress, then the result, half a second later: as a tool that takes its time.
fn events(id: &Value, result: &Value) -> Response {
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": 1, "progress": 1, "message": format!("asking for {}", LEAKS[1])}});
    let done = json!({"jsonrpc": "2.0", "id": id, "result": result});
    let frames = vec![format!("event: message\ndata: {progress}\n\n"), format!("event: message\ndata: {done}\n\n")];
    let stream = Frames { frames: frames.into_iter(), pause: None };
    Response::builder()
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-cache")
        .body(Body::from_stream(stream))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Frames with a pause between them.
struct Frames {
    frames: std::vec::IntoIter<String>,
    pause: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl futures_core::Stream for Frames {
    type Item = Result<String, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
        }
        self.pause = Some(Box::pin(tokio::time::sleep(std::time::Duration::from_millis(300))));
        std::task::Poll::Ready(self.frames.next().map(Ok))
    }
}
