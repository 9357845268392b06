//! Upstreams that are programs: the reference server with the official clients, and one that misbehaves.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{CREDENTIAL, Gateway, Setup, free_port};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::real::{Part, node, parts, python};
use sluicegate_tests::wait_until;

const CREDENTIALS: &str = "[[credential]]\nname = \"tool-key\"\nfile = \"key\"\n";
const META: &str =
    r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

struct Stage {
    issuer: Issuer,
    gateway: Gateway,
    token: String,
}

/// A gateway before the program of `tests/real`, with further keys of its upstream and further tables.
fn stage(keys: &str, tables: &str) -> Option<Stage> {
    let script = parts()?.join("program.py").canonicalize().unwrap();
    let program = format!("command = [{:?}, {script:?}]\n{keys}", python());
    let issuer = Issuer::start(Algorithm::EdDsa);
    let setup = Setup::new(&issuer.url, "")
        .with_program(&program)
        .with_credentials(if keys.contains("tool-key") { CREDENTIALS } else { "" })
        .with(tables);
    let gateway = Gateway::start(&setup.with_variable("SECRET_OF_THE_GATEWAY", "x"));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    Some(Stage { issuer, gateway, token })
}

/// A legacy session.
struct Session<'s> {
    stage: &'s Stage,
    token: String,
    id: String,
}

impl Stage {
    fn begin(&self) -> Session<'_> {
        self.begin_as(&self.token)
    }

    fn begin_as(&self, token: &str) -> Session<'_> {
        let reply = self.gateway.post(
            token,
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"t","version":"1"}}}"#,
        );
        assert_eq!(reply.status, 200, "{}\n{}", reply.body, self.gateway.log());
        assert_eq!((&reply.json()["id"], &reply.json()["result"]["serverInfo"]["name"]), (&json!(0), &json!("program")));
        let session = Session { stage: self, token: token.to_owned(), id: reply.field("mcp-session-id").unwrap().to_owned() };
        assert_eq!(session.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).status, 202);
        session
    }

    /// The processes whose parent is the gateway, with their state.
    fn children(&self) -> Vec<(u32, String)> {
        let parent = self.gateway.pid().to_string();
        let stat = |entry: std::fs::DirEntry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned);
            let state = fields.next()?;
            (fields.next()? == parent).then_some((pid, state))
        };
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(stat).collect()
    }

    /// A modern call on a connection of its own, not yet answered.
    fn modern(&self, tool: &str, arguments: &Value) -> Connection {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},{META}}}}}"#
        );
        let fields = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n");
        let mut connection = Connection::open(self.gateway.port);
        connection.send(self.gateway.request("POST", &self.token, &fields, &body).as_bytes());
        connection
    }
}

impl Session<'_> {
    fn fields(&self) -> String {
        format!("Mcp-Session-Id: {}\r\nMCP-Protocol-Version: 2025-11-25\r\n", self.id)
    }

    fn send(&self, method: &str, body: &str) -> Connection {
        let mut connection = Connection::open(self.stage.gateway.port);
        connection.send(self.stage.gateway.request(method, &self.token, &self.fields(), body).as_bytes());
        connection
    }

    fn post(&self, body: &str) -> Reply {
        self.send("POST", body).reply().unwrap()
    }

    fn call(&self, tool: &str, arguments: &Value) -> Reply {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "tok"}});
        self.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string())
    }

    fn text(&self, tool: &str, arguments: &Value) -> String {
        let reply = self.call(tool, arguments);
        assert_eq!(reply.json()["id"], 1, "{}", reply.body);
        reply.json()["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{}", reply.body)).to_owned()
    }
}

fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

#[test]
fn a_session_has_a_process_of_its_own_that_ends_with_it() {
    let Some(mut stage) = stage("", "") else { return };
    let (first, second) = (stage.begin(), stage.begin());
    let pid = |session: &Session<'_>| session.text("pid", &json!({})).parse::<u32>().unwrap();
    let (one, other) = (pid(&first), pid(&second));
    assert!(one != other && pid(&first) == one && is_running(one) && is_running(other));
    assert_eq!(first.send("DELETE", "").reply().unwrap().status, 200);
    wait_until("the first is gone", || !is_running(one));
    assert_eq!((first.call("pid", &json!({})).status, pid(&second)), (404, other));

    // One that ends by itself: its session is none any more, and another can begin.
    assert_eq!(second.call("die", &json!({})).status, 502);
    assert_eq!(second.call("pid", &json!({})).status, 404);
    let third = stage.begin();
    let (own, grandchild) = (pid(&third), third.text("child", &json!({})).parse::<u32>().unwrap());
    assert!(is_running(own) && is_running(grandchild));
    drop(third);
    stage.gateway.terminate();
    wait_until("nothing is left", || !is_running(own) && !is_running(grandchild));
}

#[test]
fn a_program_gets_its_own_environment_and_its_credential_is_seen_by_nobody_else() {
    let Some(mut stage) = stage("env = { LEVEL = \"high\", TOOL_KEY = { credential = \"tool-key\" } }\n", "") else { return };
    let session = stage.begin();
    let told = session.text("env", &json!({}));
    assert!(!told.contains(CREDENTIAL) && told.contains("\"TOOL_KEY\": \"["), "the credential is masked: {told}");
    assert!(told.contains("\"LEVEL\": \"high\"") && told.contains("\"PATH\""), "{told}");
    assert!(!told.contains("SECRET_OF_THE_GATEWAY") && !told.contains("RUST_"), "{told}");
    let pid: u32 = session.text("pid", &json!({})).parse().unwrap();
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&environ).contains(&format!("TOOL_KEY={CREDENTIAL}\0")));
    drop(session);
    stage.gateway.terminate();
    assert!(!stage.gateway.log().contains(CREDENTIAL));
}

#[test]
fn messages_find_their_way_in_both_eras() {
    let Some(stage) = stage("", "") else { return };
    let session = stage.begin();
    assert_eq!(session.text("id", &json!({"who": "a"})), "int a", "a child sees numbers of the gateway's own");
    let stream = session.call("progress", &json!({}));
    assert!(stream.field("content-type").unwrap().starts_with("text/event-stream"), "{}", stream.body);
    let events: Vec<Value> =
        stream.body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    assert_eq!(events.len(), 3, "{}", stream.body);
    assert!(events[..2].iter().all(|event| event["params"]["progressToken"] == "tok") && events[2]["id"] == 1);
    assert_eq!(session.text("noise", &json!({})), "quiet again");

    // The server asks the client something, on the stream that the client listens to.
    let mut listening = session.send("GET", "");
    let head = listening.head().unwrap();
    assert!(head.contains(" 200 ") && head.contains("text/event-stream"), "{head}");
    let mut call =
        session.send("POST", r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"ask","arguments":{}}}"#);
    let asked = std::iter::from_fn(|| listening.chunk()).map(|chunk| String::from_utf8(chunk).unwrap());
    let asked = asked.take(20).find(|chunk| chunk.contains("sampling/createMessage")).unwrap();
    assert!(asked.contains("\"id\": 7"), "{asked}");
    assert_eq!(
        session
            .post(r#"{"jsonrpc":"2.0","id":7,"result":{"role":"assistant","model":"m","content":{"type":"text","text":"x"}}}"#)
            .status,
        202
    );
    assert!(call.reply().unwrap().body.contains("answered"));

    // A modern client has no session, and its going away cancels what it asked for.
    let done = stage.modern("id", &json!({"who": "b"})).reply().unwrap();
    assert_eq!((&done.json()["id"], &done.json()["result"]["content"][0]["text"]), (&json!("m"), &json!("int b")));
    let file = stage.gateway.dir.path().join("cancelled");
    let slow = stage.modern("slow", &json!({"file": file}));
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(slow);
    wait_until("it is cancelled", || file.exists());
    let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: server/discover\r\n";
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#);
    let mut connection = Connection::open(stage.gateway.port);
    connection.send(stage.gateway.request("POST", &stage.token, fields, &body).as_bytes());
    assert_eq!(connection.reply().unwrap().status, 404, "a method that is not there, in the modern era's way");
}

#[test]
fn a_shared_program_serves_all_and_mixes_nobody_up() {
    let Some(stage) = stage("share = true\n", "") else { return };
    let other = {
        let mut claims = stage.issuer.claims(&stage.gateway.audience);
        claims["sub"] = json!("agent-b");
        stage.issuer.sign(&claims)
    };
    let (first, second) = (stage.begin(), stage.begin_as(&other));
    assert_eq!(first.text("pid", &json!({})), second.text("pid", &json!({})));
    std::thread::scope(|scope| {
        for (session, who) in [(&first, "a"), (&second, "b")] {
            scope.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(session.text("id", &json!({"who": who})), format!("int {who}"));
                }
            });
        }
    });
    assert_eq!(second.send("DELETE", "").reply().unwrap().status, 200);
    assert!(!first.text("pid", &json!({})).is_empty(), "the end of one session is not the end of the program");
    assert_eq!(first.call("die", &json!({})).status, 502);
    assert_eq!(first.call("pid", &json!({})).status, 404);
    wait_until("it is started anew", || {
        let reply = stage.gateway.post(
            &stage.token,
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#,
        );
        reply.status == 200
    });
}

#[test]
fn a_thousand_sessions_leave_nothing_behind() {
    let limits = "[limits]\nstdio_sessions_per_upstream_max = 3\nstdio_message_bytes_max = 65536\n";
    let Some(stage) = stage("", limits) else { return };
    let many = if std::env::var_os("SLUICEGATE_NIGHTLY").is_some() { 1000 } else { 100 };
    let mut last = stage.begin();
    for _ in 0..many {
        let next = stage.begin();
        assert!(!next.text("pid", &json!({})).is_empty());
        last = next;
    }
    wait_until("only those run that may", || stage.children().len() <= 3);
    assert!(stage.children().iter().all(|(_, state)| state != "Z"), "{:?}", stage.children());
    // A line that is too long ends the program that wrote it, and no other.
    assert_eq!(last.call("flood", &json!({"bytes": 70_000})).status, 502);
    assert_eq!(last.call("pid", &json!({})).status, 404);
    assert!(stage.gateway.log().contains("says nothing more"), "{}", stage.gateway.log());
}

#[test]
fn official_clients_use_the_reference_server_as_a_program() {
    let Some(parts) = parts() else { return };
    let server = parts.join("node_modules/@modelcontextprotocol/server-everything/dist/index.js").canonicalize().unwrap();
    let program = format!("command = [{:?}, {server:?}, \"stdio\"]\n", found(&node()));
    let port = free_port();
    let issuer = Part::start("issuer.mjs", &[("AUDIENCE", &format!("http://127.0.0.1:{port}/mcp/crm"))]);
    let setup = Setup::new(&issuer.url, "").with_program(&program).with_credentials("");
    let gateway = Gateway::start_at(&setup, port);
    let run = |program: &Path, script: &str, mode: &str| {
        let mut command = Command::new(program);
        command.arg(script).current_dir(&parts);
        command.env("GATEWAY_URL", &gateway.audience).env("ISSUER_URL", &issuer.url).env("MODE", mode);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {said}{}\n{}", String::from_utf8_lossy(&output.stderr), gateway.log());
        said
    };
    gateway.wait_until_ready(run(&node(), "token.mjs", "").trim());
    run(&node(), "ts1.mjs", "");
    run(&node(), "ts2.mjs", "legacy");
    run(&node(), "ts2.mjs", "auto");
    run(&python(), "client.py", "auto");
}

/// A program's path, where only its name is known.
fn found(program: &Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(program));
    if program.is_absolute() { program.to_owned() } else { places.find(|place| place.is_file()).unwrap() }
}
