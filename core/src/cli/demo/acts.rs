//! The acts: each does something to the gateway and checks what comes back.

use serde_json::json;

use super::client::{Answer, Client};
use super::issuer::{Issuer, Kind};
use super::leaky::LEAKS;
use super::story::{Act, Story};

/// Plays all acts in order.
pub(super) async fn play(story: &mut Story, url: &str, issuer: &Issuer, credential: &str) {
    let stage = match Stage::new(url, issuer, credential) {
        Ok(stage) => stage,
        Err(error) => return story.tell("The client is ready", Err(error)),
    };
    story.tell("An identified agent calls a tool it may call", stage.allowed().await);
    story.tell("A token signed by another key", stage.refused(Kind::Forged).await);
    story.tell("A token whose time has passed", stage.refused(Kind::Expired).await);
    story.tell("A token made for another resource", stage.refused(Kind::WrongAudience).await);
    story.tell("No token: the challenge leads to the metadata (RFC 9728)", stage.metadata().await);
    story.tell("An identity without a role", stage.no_role().await);
    story.tell("A tool that a rule blocks", stage.blocked_tool().await);
    story.tell("An argument that a rule blocks, however it is written", stage.blocked_argument().await);
    story.tell("A result with card number, e-mail and key, as JSON", stage.masked_json().await);
    story.tell("The same as server-sent events, event by event", stage.masked_events().await);
    story.tell("The upstream's credential: seen by the server, not by the client", stage.credential().await);
    story.tell("A client of the older protocol, with a session", stage.legacy().await);
    story.calls += 15;
}

struct Stage<'a> {
    client: Client,
    issuer: &'a Issuer,
    url: &'a str,
    credential: &'a str,
    good: String,
}

fn check(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(wrong()) }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 150 { text.to_owned() } else { text.chars().take(150).chain("…".chars()).collect() }
}

impl<'a> Stage<'a> {
    fn new(url: &'a str, issuer: &'a Issuer, credential: &'a str) -> Result<Self, String> {
        let good = issuer.token(Kind::Good).map_err(|error| error.to_string())?;
        Ok(Stage { client: Client::new(url)?, issuer, url, credential, good })
    }

    async fn call(&self, tool: &str, arguments: serde_json::Value) -> Result<Answer, String> {
        self.client.modern(Some(&self.good), "tools/call", Some(tool), arguments).await
    }

    async fn allowed(&self) -> Act {
        let answer = self.call("sql_query", json!({"sql": "select name from customers"})).await?;
        check(answer.status == 200 && answer.text().starts_with("3 rows"), || format!("{} {}", answer.status, answer.body))?;
        Ok(vec!["tools/call sql_query {sql: select name from customers}".into(), format!("-> 200 {}", answer.text())])
    }

    async fn refused(&self, kind: Kind) -> Act {
        let token = self.issuer.token(kind).map_err(|error| error.to_string())?;
        let answer = self.client.modern(Some(&token), "tools/call", Some("sql_query"), json!({"sql": "select 1"})).await?;
        check(answer.status == 401, || format!("status {} instead of 401: {}", answer.status, answer.body))?;
        check(answer.challenge.contains("invalid_token"), || format!("the challenge is {:?}", answer.challenge))?;
        check(!answer.body.contains(&token), || "the answer repeats the token".into())?;
        Ok(vec!["-> 401, and no word about what is wrong with it".into(), format!("   WWW-Authenticate: {}", answer.challenge)])
    }

    async fn metadata(&self) -> Act {
        let answer = self.client.modern(None, "tools/list", None, json!(null)).await?;
        check(answer.status == 401, || format!("status {}", answer.status))?;
        let url = answer.challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next());
        let url = url.ok_or_else(|| format!("the challenge {:?} names no metadata", answer.challenge))?;
        let (status, document) = self.client.get(url).await?;
        check(status == 200 && document.contains(self.url), || format!("{status} {document}"))?;
        Ok(vec![format!("-> 401, then GET {url}"), format!("-> {status} {document}")])
    }

    async fn no_role(&self) -> Act {
        let token = self.issuer.token(Kind::NoRole).map_err(|error| error.to_string())?;
        let answer = self.client.modern(Some(&token), "tools/call", Some("sql_query"), json!({"sql": "select 1"})).await?;
        check(answer.status == 200 && answer.message()["result"]["isError"] == true, || {
            format!("{} {}", answer.status, answer.body)
        })?;
        Ok(vec![format!("-> 200, isError: {}", answer.text())])
    }

    async fn blocked_tool(&self) -> Act {
        let answer = self.call("admin_wipe", json!({"really": "yes"})).await?;
        let is_error = answer.message()["result"]["isError"] == true;
        check(answer.status == 200 && is_error && answer.text().contains("no-admin"), || {
            format!("{} {}", answer.status, answer.body)
        })?;
        Ok(vec!["tools/call admin_wipe".into(), format!("-> 200, isError: {}", answer.text())])
    }

    async fn blocked_argument(&self) -> Act {
        let plain = self.call("sql_query", json!({"sql": "DROP TABLE customers"})).await?;
        let escaped = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"sql_query","arguments":{"sql":["dr\u006fp\u0020tab\u006ce customers"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "sql_query")];
        let hidden = self.client.send(Some(&self.good), escaped.to_owned(), &headers).await?;
        for answer in [&plain, &hidden] {
            let is_blocked = answer.message()["result"]["isError"] == true && answer.text().contains("no-drop");
            check(answer.status == 200 && is_blocked, || format!("{} {}", answer.status, answer.body))?;
        }
        Ok(vec![
            "{\"sql\": \"DROP TABLE customers\"}".into(),
            format!("-> 200, isError: {}", plain.text()),
            "{\"sql\": [\"dr\\u006fp\\u0020tab\\u006ce customers\"]}".into(),
            format!("-> 200, isError: {}", hidden.text()),
        ])
    }

    fn masked(answer: &Answer) -> Act {
        for leak in LEAKS {
            check(!answer.body.contains(leak), || format!("{leak:?} arrived: {}", answer.body))?;
        }
        for mask in ["[CREDIT_CARD]", "[EMAIL_ADDRESS]", "[SECRET/GITHUB-TOKEN]"] {
            let seen = answer.body.matches(mask).count();
            check(seen >= 2, || format!("{mask} stands {seen} times, not in text and structuredContent: {}", answer.body))?;
        }
        Ok(vec![
            format!("-> {}", answer.text()),
            format!("   structuredContent {}", answer.message()["result"]["structuredContent"]),
        ])
    }

    async fn masked_json(&self) -> Act {
        let answer = self.call("crm_lookup", json!({"name": "Ana"})).await?;
        check(answer.status == 200, || format!("{} {}", answer.status, answer.body))?;
        Self::masked(&answer)
    }

    async fn masked_events(&self) -> Act {
        let answer = self.call("customer_stream", json!({"name": "Ana"})).await?;
        check(answer.body.starts_with("event: message\ndata: "), || format!("no events: {}", answer.body))?;
        check(answer.last_ms >= answer.first_ms + 150, || "the events came together, so they were held back".into())?;
        let mut lines = Self::masked(&answer)?;
        lines.push(format!("   first event after {} ms, the last after {} ms", answer.first_ms, answer.last_ms));
        Ok(lines)
    }

    async fn credential(&self) -> Act {
        let answer = self.call("whoami", json!({})).await?;
        let text = answer.text();
        check(answer.status == 200 && text.contains("Authorization: Bearer"), || format!("{} {}", answer.status, answer.body))?;
        check(!answer.body.contains(self.credential), || "the credential arrived at the client".into())?;
        check(!answer.body.contains(&self.good), || "the client's own token went upstream".into())?;
        Ok(vec!["the server answers with the credential that it was sent".into(), format!("-> {text}")])
    }

    async fn legacy(&self) -> Act {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
            "capabilities": {}, "clientInfo": {"name": "demo", "version": "1"}}});
        let answer = self.client.send(Some(&self.good), initialize.to_string(), &[]).await?;
        let session = answer.session.clone().ok_or_else(|| format!("no session: {} {}", answer.status, answer.body))?;
        check(!session.contains("leaky-session"), || "the upstream's session id came through in clear".into())?;
        let headers = [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", session.as_str())];
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).to_string();
        let listed = self.client.send(Some(&self.good), list.clone(), &headers).await?;
        check(listed.status == 200 && listed.body.contains("crm_lookup"), || format!("{} {}", listed.status, listed.body))?;
        let forged = [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", "leaky-session-1")];
        let refused = self.client.send(Some(&self.good), list, &forged).await?;
        check(refused.status == 404, || format!("a foreign session was taken: {}", refused.status))?;
        Ok(vec![
            format!("initialize -> 200, Mcp-Session-Id: {}", shorten(&session)),
            "tools/list in the session -> 200".into(),
            "tools/list with the upstream's own session id -> 404".into(),
        ])
    }
}
