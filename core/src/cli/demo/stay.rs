//! Tells how to point a client at a gateway that stays.

use super::directory::Directory;
use super::failure::Failure;

/// Writes a token into the directory and prints what to do with it.
pub(super) fn tell(dir: &Directory, url: &str, (page, held): (&str, &str), token: &str, again: &str) -> Result<(), Failure> {
    let path = dir.write("token", token)?;
    let bearer = format!("\"Authorization: Bearer $(cat {})\"", path.display());
    println!(
        r#"
The gateway stays at {url}; the token in {path} is good for an hour. Another one:

  {again}

curl (MCP 2026-07-28, where each request stands alone):

  curl -s {url} -H {bearer} \
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/list' \
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}'

MCP Inspector:

  npx @modelcontextprotocol/inspector --cli {url} --transport http --method tools/list --header {bearer}

Claude Code:

  claude mcp add --transport http sluicegate-demo {url} --header {bearer}

People decide about held calls ({held}) on {page}/ui/approvals.

Everything is in {dir}; the gateway's log is gateway.log. End it with Ctrl-C."#,
        path = path.display(),
        dir = dir.path().display(),
    );
    Ok(())
}
