//! Acts on who is asking.

use serde_json::{Value, json};

use super::{PRINCIPAL, READERS, Stage};
use crate::cli::demo::issuer::{CLIENT, Kind};
use crate::cli::demo::leaky::Tool;
use crate::cli::demo::ledger::Call;
use crate::cli::demo::story::{Act, Wrong, check};

impl Stage<'_> {
    pub(super) async fn grant(&self) -> Act {
        let token_url = format!("{}/token", self.issuer.url);
        let guessed = self.client.grant(&token_url, CLIENT, "guessed").await?;
        check(guessed.status == 401, || guessed.describe())?;
        let granted = self.client.grant(&token_url, CLIENT, self.issuer.secret()).await?;
        let reply: Value = serde_json::from_str(&granted.body).unwrap_or_default();
        let characters = reply["access_token"].as_str().unwrap_or_default().len();
        check(granted.status == 200 && characters > 0, || granted.describe())?;
        Ok(vec![
            format!("POST {token_url} as {CLIENT}, for the resource {}", self.url),
            format!("-> 200, a token of {characters} characters for {} s; with a guessed secret -> 401", reply["expires_in"]),
        ])
    }

    pub(super) async fn allowed(&self) -> Act {
        self.ledger.expect(Call::served("server/discover", 200).by(PRINCIPAL));
        let discovered = self.client.modern(Some(&self.good), "server/discover").await?;
        let name = &discovered.message()["result"]["serverInfo"]["name"];
        check(discovered.status == 200 && name == "leaky", || discovered.describe())?;
        self.ledger.expect(Call::served("tools/list", 200).by(PRINCIPAL));
        let listed = self.client.modern(Some(&self.good), "tools/list").await?;
        let tools = listed.message()["result"]["tools"].as_array().cloned().unwrap_or_default();
        let (count, all) = (tools.len(), Tool::ALL.len());
        let hides = tools.iter().all(|tool| tool["name"] != Tool::AdminWipe.name());
        check(listed.status == 200 && count == all - 1 && hides, || listed.describe())?;
        let arguments = json!({"sql": "select name from customers"});
        self.ledger.expect(Self::permitted(Tool::SqlQuery).with(arguments.clone()));
        let answer = self.call(Tool::SqlQuery, &arguments).await?;
        check(answer.status == 200 && answer.text() == "3 rows for \"select name from customers\"", || answer.describe())?;
        Ok(vec![
            format!(
                "server/discover -> 200 {name}; tools/list -> 200, {count} of {all} tools: the one that a rule blocks is not shown"
            ),
            format!("tools/call sql_query {arguments}"),
            format!("-> 200 {} (rule {READERS:?})", answer.text()),
        ])
    }

    pub(super) async fn refused(&self, kind: Kind, reason: &'static str) -> Act {
        let token = self.issuer.token(kind)?;
        let before = self.leaky.arrived(Tool::SqlQuery);
        self.ledger.expect(Call::refused(401, reason).by(""));
        let answer = self.client.modern_call(&token, Tool::SqlQuery.name(), &json!({"sql": "select 1"})).await?;
        check(answer.status == 401, || answer.describe())?;
        check(answer.challenge.contains("invalid_token"), || format!("the challenge is {:?}", answer.challenge))?;
        check(!answer.body.contains(&token), || "the answer repeats the token".to_owned())?;
        let says_why = answer.body.contains(reason) || answer.challenge.contains(reason);
        check(!says_why, || format!("the answer says why: {} {}", answer.challenge, answer.body))?;
        check(self.leaky.arrived(Tool::SqlQuery) == before, || "the call reached the server".to_owned())?;
        Ok(vec![
            format!("-> 401 {}", answer.body),
            format!("   WWW-Authenticate: {}", answer.challenge),
            format!("   why ({reason}) stands in the audit only"),
        ])
    }

    pub(super) async fn metadata(&self) -> Act {
        self.ledger.expect(Call::refused(401, "no-credentials").by(""));
        let answer = self.client.modern(None, "tools/list").await?;
        check(answer.status == 401, || answer.describe())?;
        let url = answer.challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next());
        let Some(url) = url else { return Err(Wrong(format!("the challenge is {:?}", answer.challenge))) };
        let found = self.client.get(url).await?;
        let document: Value = serde_json::from_str(&found.body).unwrap_or_default();
        let names_both = document["resource"] == self.url && document["authorization_servers"] == json!([self.issuer.url]);
        check(found.status == 200 && names_both, || found.describe())?;
        Ok(vec![
            format!("-> 401, WWW-Authenticate: {}", answer.challenge),
            format!("GET {url}"),
            format!("-> 200 {}", found.body),
        ])
    }

    pub(super) async fn no_role(&self) -> Act {
        let token = self.issuer.token(Kind::NoRole)?;
        let tool = Tool::SqlQuery.name();
        self.ledger.expect(Call::blocked(tool, "").by(PRINCIPAL));
        let answer = self.client.modern_call(&token, tool, &json!({"sql": "select 1"})).await?;
        check(answer.is_tool_error(), || answer.describe())?;
        Ok(vec![format!("-> 200, isError: {}", answer.text())])
    }
}
