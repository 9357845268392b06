//! The act in which a call waits for a person, and the one in which a policy is tried before it is in force.

use std::time::Duration;

use serde_json::json;
use tokio::process::Command;
use tokio::time::sleep;

use super::{APPROVAL, PRINCIPAL, Stage};
use crate::cli::demo::browser::Browser;
use crate::cli::demo::directory::Directory;
use crate::cli::demo::issuer::CLIENT;
use crate::cli::demo::leaky::Tool;
use crate::cli::demo::ledger::Call;
use crate::cli::demo::story::{Act, Wrong, check};

/// How often the approver looks, and how often at most.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS_MAX: usize = 200;

impl Stage<'_> {
    pub(super) async fn approved(&self) -> Act {
        let before = self.leaky.arrived(Tool::SqlQuery);
        let arguments = json!({"sql": "UPDATE customers SET vip = 1 WHERE id = 7"});
        self.ledger.expect(Call::approved(Tool::SqlQuery.name(), APPROVAL).by(PRINCIPAL).with(arguments.clone()));
        let (answer, decided) = tokio::join!(self.call(Tool::SqlQuery, &arguments), self.decided(before));
        let (id, mut lines) = decided?;
        let answer = answer?;
        check(answer.status == 200 && !answer.is_tool_error(), || answer.describe())?;
        check(self.leaky.arrived(Tool::SqlQuery) == before + 1, || "the call did not run just once".to_owned())?;
        lines.insert(0, format!("tools/call sql_query {arguments}"));
        lines.push(format!("-> the call that waited as {id} gets its answer: {}", answer.text()));
        Ok(lines)
    }

    /// Two people sign in on the page and look at what waits; the requester may not decide, the other approves.
    async fn decided(&self, before: u32) -> Result<(String, Vec<String>), Wrong> {
        let (mut own, mut other) = (Browser::new()?, Browser::new()?);
        own.sign_in(&self.page, CLIENT).await?;
        other.sign_in(&self.page, "ana").await?;
        let id = self.pending(&mut other).await?;
        check(self.leaky.arrived(Tool::SqlQuery) == before, || "the call ran before anybody approved it".to_owned())?;
        let (address, approve) = (format!("{}/ui/approvals/{id}", self.page), format!("/ui/approvals/{id}/approve"));
        let shown = own.open(&address).await?;
        let refused = own.send(&shown, &approve, &[("reason", "it is mine")]).await?;
        check(refused.status == 403, || format!("{} {}", refused.status, refused.text))?;
        let shown = other.open(&address).await?;
        check(shown.text.contains("UPDATE customers SET vip = 1 WHERE id = 7"), || shown.text.clone())?;
        let approved = other.send(&shown, &approve, &[("reason", "ticket 4711")]).await?;
        check(approved.status == 200 && approved.text.contains("ticket 4711"), || approved.text.clone())?;
        let lines = vec![
            format!("   it waits as {id}; the server has not heard of it; people sign in and open /ui/approvals/{id}"),
            "agent-7 approves it by the page's form -> 403: nobody approves what they asked for".to_owned(),
            "ana, of the group dba, reads the statement on the page and approves it by the form -> 200".to_owned(),
        ];
        Ok((id, lines))
    }

    /// The id of the request that waits, as the page lists it.
    async fn pending(&self, person: &mut Browser) -> Result<String, Wrong> {
        for _ in 0..LOOKS_MAX {
            let listed = person.open(&format!("{}/ui/approvals", self.page)).await?;
            if listed.text.contains("badge pending") {
                return listed.between("href=\"/ui/approvals/", "\"");
            }
            sleep(LOOK).await;
        }
        Err(Wrong("no call waits for approval".to_owned()))
    }

    /// Decides what was recorded by a configuration without the rule that lets readers call every tool.
    pub(in crate::cli::demo) async fn compared(&self, dir: &Directory) -> Act {
        let (old, new) = (dir.file("sluicegate.toml"), dir.file("stricter.toml"));
        let text = std::fs::read_to_string(&old).map_err(|error| Wrong(error.to_string()))?;
        let stricter = text.replacen("tool = \"*\" }\neffect = \"allow\"", "tool = \"crm_*\" }\neffect = \"allow\"", 1);
        check(stricter != text, || "the configuration has no rule for readers".to_owned())?;
        dir.write("stricter.toml", &stricter)?;
        let binary = std::env::current_exe().map_err(|error| Wrong(error.to_string()))?;
        let output = Command::new(binary)
            .args(["policy", "diff"])
            .args([&old, &new])
            .arg("--against")
            .arg(dir.file("audit"))
            .output()
            .await;
        let output = output.map_err(|error| Wrong(error.to_string()))?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = format!("{PRINCIPAL} crm {}: allow by rule \"readers\" -> block by default-deny", Tool::Whoami.name());
        check(output.status.success() && told.contains(&expected), || {
            format!("{told}{}", String::from_utf8_lossy(&output.stderr))
        })?;
        let mut lines = vec!["sluicegate policy diff sluicegate.toml stricter.toml --against audit".to_owned()];
        lines.extend(told.lines().map(str::to_owned));
        Ok(lines)
    }
}
