//! The act in which the gateway ends.

use serde_json::json;
use tokio::time::sleep;

use super::Stage;
use super::masking::{findings_of_stream, masked};
use crate::cli::demo::directory::Directory;
use crate::cli::demo::gateway::Gateway;
use crate::cli::demo::issuer::Kind;
use crate::cli::demo::leaky::{PAUSE, Tool};
use crate::cli::demo::story::{Act, Wrong, check};

impl Stage<'_> {
    /// A call is under way when the gateway is asked to end: it gets its whole answer, and nobody is let in any more.
    pub(in crate::cli::demo) async fn drained(&self, gateway: &mut Gateway, dir: &Directory) -> Act {
        let arguments = json!({"name": "Ana"});
        self.ledger.expect(Self::permitted(Tool::CustomerStream).found(findings_of_stream()));
        // The gateway may have stayed for longer than the first token lives.
        let token = self.issuer.token(Kind::Good)?;
        let called = self.client.modern_call(&token, Tool::CustomerStream.name(), &arguments);
        let ended = async {
            sleep(PAUSE / 2).await;
            gateway.terminate().await?;
            Ok::<(), Wrong>(gateway.wait(dir).await?)
        };
        let (answer, ended) = tokio::join!(called, ended);
        ended?;
        masked(&answer?)?;
        let late = self.client.modern(Some(&token), "tools/list").await;
        check(late.is_err(), || "the gateway still answers".to_owned())?;
        Ok(vec![
            format!("SIGTERM {} ms into a call that takes {} ms", (PAUSE / 2).as_millis(), 2 * PAUSE.as_millis()),
            "-> the call gets its whole answer, masked; then the process ends with status 0 and nobody listens".to_owned(),
        ])
    }
}
