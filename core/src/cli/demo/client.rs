//! A small MCP client that shows the raw bytes of what came back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) challenge: String,
    pub(super) session: Option<String>,
    pub(super) body: String,
    /// Milliseconds until the first and until the last byte of the body.
    pub(super) first_ms: u128,
    pub(super) last_ms: u128,
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
}

/// The client of one endpoint.
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build();
        Ok(Client { http: http.map_err(|error| error.to_string())?, url: url.to_owned() })
    }

    /// A call of the modern era.
    pub(super) async fn modern(
        &self,
        token: Option<&str>,
        method: &str,
        name: Option<&str>,
        arguments: Value,
    ) -> Result<Answer, String> {
        let mut params = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": 1}});
        if let Some(name) = name {
            params["name"] = json!(name);
            params["arguments"] = arguments;
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let mut headers = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(name.map(|name| ("Mcp-Name", name)));
        self.send(token, body, &headers).await
    }

    /// Sends a body as it is.
    pub(super) async fn send(&self, token: Option<&str>, body: String, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let mut request = self.http.post(&self.url).body(body);
        request = request.header("Content-Type", "application/json").header("Accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let start = Instant::now();
        let mut response = request.send().await.map_err(|error| error.to_string())?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut answer = Answer {
            status: response.status().as_u16(),
            challenge: header("www-authenticate").unwrap_or_default(),
            session: header("mcp-session-id"),
            body: String::new(),
            first_ms: 0,
            last_ms: 0,
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
            if bytes.is_empty() {
                answer.first_ms = start.elapsed().as_millis();
            }
            bytes.extend_from_slice(&chunk);
        }
        answer.last_ms = start.elapsed().as_millis();
        answer.body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(answer)
    }

    /// Fetches a document.
    pub(super) async fn get(&self, url: &str) -> Result<(u16, String), String> {
        let response = self.http.get(url).send().await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|error| error.to_string())?))
    }
}
