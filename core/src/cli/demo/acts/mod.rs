//! The acts: each does something to the gateway and checks what comes back; the ledger keeps what the audit must then hold.

mod approval;
mod drain;
mod identity;
mod masking;
mod policy;
mod session;

use serde_json::Value;

use super::client::{Answer, Client};
use super::issuer::{CLIENT, Issuer, Kind};
use super::leaky::{Leaky, Tool};
use super::ledger::{Call, Ledger};
use super::story::{Story, Wrong, check};

/// The principal that the audit names.
const PRINCIPAL: &str = "dev:agent-7";
/// The rules of the demo's configuration.
const READERS: &str = "readers";
const NO_ADMIN: &str = "no-admin";
const NO_DROP: &str = "no-drop";
const APPROVAL: &str = "writes-need-approval";

/// What the acts play with.
pub(super) struct Stage<'a> {
    client: Client,
    issuer: &'a Issuer,
    leaky: &'a Leaky,
    ledger: &'a Ledger,
    url: &'a str,
    page: String,
    credential: &'a str,
    good: String,
}

impl<'a> Stage<'a> {
    /// Gets a token from the issuer as any client does.
    pub(super) async fn enter(
        issuer: &'a Issuer,
        leaky: &'a Leaky,
        ledger: &'a Ledger,
        url: &'a str,
        page: &str,
        credential: &'a str,
    ) -> Result<Self, Wrong> {
        let client = Client::new(url)?;
        let answer = client.grant(&format!("{}/token", issuer.url), CLIENT, issuer.secret()).await?;
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let good = reply["access_token"].as_str().unwrap_or_default().to_owned();
        check(answer.status == 200 && !good.is_empty(), || answer.describe())?;
        Ok(Stage { client, issuer, leaky, ledger, url, page: page.to_owned(), credential, good })
    }

    /// The token that the issuer gave.
    pub(super) fn token(&self) -> &str {
        &self.good
    }

    /// Plays all acts but the end of the gateway and the audit.
    pub(super) async fn play(&self, story: &mut Story) {
        story.tell("The issuer grants a token for client credentials, and only for them", self.grant().await);
        story.tell("An identified agent discovers, lists and calls a tool", self.allowed().await);
        story.tell("A token signed by another key", self.refused(Kind::Forged, "bad-signature").await);
        story.tell("A token whose time has passed", self.refused(Kind::Expired, "expired").await);
        story.tell("A token made for another resource", self.refused(Kind::WrongAudience, "wrong-audience").await);
        story.tell("No token: the challenge leads to the metadata (RFC 9728)", self.metadata().await);
        story.tell("An identity without a role: what no rule permits is denied", self.no_role().await);
        story.tell("A tool that a rule blocks", self.blocked_tool().await);
        story.tell("An argument that a rule blocks, however it is written", self.blocked_argument().await);
        story.tell("A write waits for a person: not the one who asked, and then it runs once", self.approved().await);
        story.tell("A result with card number, e-mail and key, as JSON", self.masked_json().await);
        story.tell("The same as server-sent events, event by event", self.masked_events().await);
        story.tell("An argument with an e-mail: the server gets it, the audit a mask", self.masked_argument().await);
        story.tell("The server's credential: the server sees it, the client does not", self.credential().await);
        story.tell("A client of the older protocol, in a session", self.legacy().await);
    }

    async fn call(&self, tool: Tool, arguments: &Value) -> Result<Answer, Wrong> {
        self.client.modern_call(&self.good, tool.name(), arguments).await
    }

    /// A tool call that the readers' rule permits.
    fn permitted(tool: Tool) -> Call {
        Call::tool(tool.name(), READERS).by(PRINCIPAL)
    }
}
