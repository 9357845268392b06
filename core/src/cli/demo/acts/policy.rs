//! Acts on what may be asked for.

use serde_json::{Value, json};

use super::{NO_ADMIN, NO_DROP, PRINCIPAL, Stage};
use crate::cli::demo::client::{Answer, modern_body, modern_headers};
use crate::cli::demo::leaky::Tool;
use crate::cli::demo::ledger::Call;
use crate::cli::demo::story::{Act, Wrong, check};

impl Stage<'_> {
    pub(super) async fn blocked_tool(&self) -> Act {
        let arguments = json!({"really": "yes"});
        self.ledger.expect(Call::blocked(Tool::AdminWipe.name(), NO_ADMIN).by(PRINCIPAL).with(arguments.clone()));
        let answer = self.call(Tool::AdminWipe, &arguments).await?;
        check(answer.is_tool_error() && answer.text().contains(NO_ADMIN), || answer.describe())?;
        check(self.leaky.arrived(Tool::AdminWipe) == 0, || "the call reached the server".to_owned())?;
        Ok(vec![
            format!("tools/call admin_wipe {arguments}"),
            format!("-> 200, isError: {}", answer.text()),
            "   the server has not heard of it".to_owned(),
        ])
    }

    pub(super) async fn blocked_argument(&self) -> Act {
        let before = self.leaky.arrived(Tool::SqlQuery);
        let plain = r#"{"sql":"DROP TABLE customers"}"#;
        let escaped = r#"{"sql":"drop\u0020table customers"}"#;
        let wrapped = r#"{"sql":["dr\u006fp\ttab\u006ce customers"]}"#;
        let mut lines = Vec::new();
        for arguments in [plain, escaped, wrapped] {
            let answer = self.call_raw(arguments).await?;
            check(answer.is_tool_error() && answer.text().contains(NO_DROP), || answer.describe())?;
            lines.extend([format!("tools/call sql_query {arguments}"), format!("-> 200, isError: {}", answer.text())]);
        }
        check(self.leaky.arrived(Tool::SqlQuery) == before, || "a call reached the server".to_owned())?;
        lines.push("   the server has not heard of them".to_owned());
        Ok(lines)
    }

    /// Calls with arguments that are sent byte for byte; a JSON library would write them without the escapes.
    async fn call_raw(&self, arguments: &str) -> Result<Answer, Wrong> {
        let tool = Tool::SqlQuery.name();
        let kept: Value = serde_json::from_str(arguments).map_err(|error| Wrong(error.to_string()))?;
        self.ledger.expect(Call::blocked(tool, NO_DROP).by(PRINCIPAL).with(kept));
        let mark = "the arguments go here";
        let body = modern_body("tools/call", json!({"name": tool, "arguments": mark})).to_string();
        let body = body.replace(&format!("\"{mark}\""), arguments);
        self.client.send(Some(&self.good), body, &modern_headers("tools/call", Some(tool))).await
    }
}
