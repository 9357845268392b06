//! The act in the legacy era: a handshake, a session, its end.

use reqwest::Method;
use serde_json::{Value, json};

use super::masking::{findings_of_stream, masked};
use super::{PRINCIPAL, Stage};
use crate::cli::demo::client::Answer;
use crate::cli::demo::leaky::{LEGACY, Tool};
use crate::cli::demo::ledger::Call;
use crate::cli::demo::story::{Act, Wrong, check};

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

impl Stage<'_> {
    async fn in_session(&self, session: &str, message: &Value) -> Result<Answer, Wrong> {
        self.client.legacy(&self.good, Some(session), message).await
    }

    pub(super) async fn legacy(&self) -> Act {
        let session = self.open().await?;
        self.expect("notifications/initialized", 202);
        let noted = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let noted = self.in_session(&session, &noted).await?;
        check(noted.status == 202 && noted.body.is_empty(), || noted.describe())?;
        self.expect("ping", 200);
        let pong = self.in_session(&session, &request(1, "ping", json!({}))).await?;
        check(pong.status == 200 && pong.message()["result"] == json!({}), || pong.describe())?;

        let params = json!({"name": Tool::CustomerStream.name(), "arguments": {"name": "Ana"}, "_meta": {"progressToken": "p"}});
        self.ledger.expect(Self::permitted(Tool::CustomerStream).found(findings_of_stream()));
        let called = self.in_session(&session, &request(2, "tools/call", params)).await?;
        masked(&called)?;

        let own = self.leaky.sessions().pop().unwrap_or_default();
        self.ledger.expect(Call::refused(404, "session").by(PRINCIPAL));
        let stolen = self.in_session(&own, &request(3, "ping", json!({}))).await?;
        check(stolen.status == 404, || stolen.describe())?;
        self.expect("", 200);
        let ended = self.client.bare(Method::DELETE, &self.good, &session).await?;
        check(ended.status == 200 && self.leaky.sessions().is_empty(), || ended.describe())?;
        Ok(vec![
            format!("initialize -> 200, Mcp-Session-Id: {session}"),
            format!("   which the gateway has sealed; the server's own id is {own}"),
            "notifications/initialized -> 202; ping -> 200".to_owned(),
            format!("tools/call customer_stream -> 200 {}: {}", called.content_type, called.text()),
            "ping with the server's own id -> 404: only sealed ids are taken".to_owned(),
            "DELETE -> 200, and the server has closed the session".to_owned(),
        ])
    }

    /// Opens a session; the server's own id of it must not show.
    async fn open(&self) -> Result<String, Wrong> {
        self.expect("initialize", 200);
        let hello = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "demo", "version": "1"}});
        let answer = self.client.legacy(&self.good, None, &request(0, "initialize", hello)).await?;
        let own = self.leaky.sessions();
        let Some(session) = answer.session.clone() else { return Err(Wrong(answer.describe())) };
        check(answer.status == 200 && own.len() == 1, || answer.describe())?;
        check(own.iter().all(|own| !session.contains(own)), || format!("the server's own id came through: {session}"))?;
        Ok(session)
    }

    fn expect(&self, method: &str, http_status: u16) {
        self.ledger.expect(Call::served(method, http_status).by(PRINCIPAL));
    }
}
