//! A small MCP client of both eras that keeps the raw bytes of what came back.
//!
//! Invariant: it waits and reads within bounds, so a gateway that hangs or floods fails an act and does not stop the demo.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::leaky::{CAPABILITIES_META, LEGACY, MODERN, VERSION_META};
use super::story::Wrong;

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) challenge: String,
    pub(super) session: Option<String>,
    pub(super) content_type: String,
    pub(super) body: String,
    /// Milliseconds from the request until each piece of the body.
    pub(super) pieces_ms: Vec<u128>,
}

impl Answer {
    /// The JSON-RPC message, or the last one of a stream of events.
    pub(super) fn message(&self) -> Value {
        let data = self.body.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&self.body);
        serde_json::from_str(data).unwrap_or(Value::Null)
    }

    /// The text of a tool's result.
    pub(super) fn text(&self) -> String {
        self.message()["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it is a tool's result that says no.
    pub(super) fn is_tool_error(&self) -> bool {
        self.status == 200 && self.message()["result"]["isError"] == true
    }

    /// For people, when it is not what it should be.
    pub(super) fn describe(&self) -> String {
        format!("{} {} {:?}", self.status, self.content_type, self.body)
    }
}

/// The client of one endpoint.
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(super) fn new(url: &str) -> Result<Self, Wrong> {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Client { http, url: url.to_owned() })
    }

    /// A request of the modern era.
    pub(super) async fn modern(&self, token: Option<&str>, method: &str) -> Result<Answer, Wrong> {
        self.send(token, modern_body(method, json!({})).to_string(), &modern_headers(method, None)).await
    }

    /// A tool call of the modern era.
    pub(super) async fn modern_call(&self, token: &str, tool: &str, arguments: &Value) -> Result<Answer, Wrong> {
        let body = modern_body("tools/call", json!({"name": tool, "arguments": arguments})).to_string();
        self.send(Some(token), body, &modern_headers("tools/call", Some(tool))).await
    }

    /// A message of the legacy era, in a session once there is one.
    pub(super) async fn legacy(&self, token: &str, session: Option<&str>, message: &Value) -> Result<Answer, Wrong> {
        let headers: Vec<_> = session.map(legacy_headers).into_iter().flatten().collect();
        self.send(Some(token), message.to_string(), &headers).await
    }

    /// Sends a body as it is.
    pub(super) async fn send(&self, token: Option<&str>, body: String, headers: &[(&str, &str)]) -> Result<Answer, Wrong> {
        let mut request = self.http.post(&self.url).body(body);
        request = request.header("Content-Type", "application/json").header("Accept", "application/json, text/event-stream");
        self.read(request, token, headers).await
    }

    /// Sends a request without a body, in a session of the legacy era.
    pub(super) async fn bare(&self, method: Method, token: &str, session: &str) -> Result<Answer, Wrong> {
        let request = self.http.request(method, &self.url).header("Accept", "text/event-stream");
        self.read(request, Some(token), &legacy_headers(session)).await
    }

    /// Fetches a document from anywhere.
    pub(super) async fn get(&self, url: &str) -> Result<Answer, Wrong> {
        self.read(self.http.get(url), None, &[]).await
    }

    /// Asks a token endpoint for a token for the endpoint of this client, by client credentials (RFC 6749 section 4.4).
    pub(super) async fn grant(&self, url: &str, client: &str, secret: &str) -> Result<Answer, Wrong> {
        let mut form = reqwest::Url::parse("http://form/").map_err(|error| Wrong(error.to_string()))?;
        form.query_pairs_mut().append_pair("grant_type", "client_credentials").append_pair("resource", &self.url);
        let request = self.http.post(url).basic_auth(client, Some(secret)).body(form.query().unwrap_or_default().to_owned());
        self.read(request.header("Content-Type", "application/x-www-form-urlencoded"), None, &[]).await
    }

    async fn read(
        &self,
        mut request: reqwest::RequestBuilder,
        token: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Wrong> {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let start = Instant::now();
        let mut response = request.send().await?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut answer = Answer {
            status: response.status().as_u16(),
            challenge: header("www-authenticate").unwrap_or_default(),
            session: header("mcp-session-id"),
            content_type: header("content-type").unwrap_or_default(),
            body: String::new(),
            pieces_ms: Vec::new(),
        };
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await? {
            answer.pieces_ms.push(start.elapsed().as_millis());
            bytes.extend_from_slice(&piece);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(Wrong(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
            }
        }
        answer.body = String::from_utf8(bytes).map_err(|_| Wrong("the answer is not UTF-8".to_owned()))?;
        Ok(answer)
    }
}

/// A message of the modern era.
pub(super) fn modern_body(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({VERSION_META: MODERN, CAPABILITIES_META: {}, "progressToken": 1});
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// The headers that must say what the body says.
pub(super) fn modern_headers<'a>(method: &'a str, name: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let mut headers = vec![("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)];
    headers.extend(name.map(|name| ("Mcp-Name", name)));
    headers
}

fn legacy_headers(session: &str) -> [(&'static str, &str); 2] {
    [("MCP-Protocol-Version", LEGACY), ("Mcp-Session-Id", session)]
}
