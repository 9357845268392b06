//! What clients are told about a held call that can do better than to call again: by rounds through their users, and by tasks.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientConfig, CreateTaskResult, GetTaskParams, ProtocolVersion,
    TaskPayload,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::real::{Part, node, parts};
use sluicegate_tests::upstream::{Request, Step, Upstream, events, json as json_reply};
use sluicegate_tests::wait_until;

/// Rules that hold calls.
const HOLD: &str = r#"
[[rule]]
id = "dba"
what = { upstream = "crm", tool = "sql" }
effect = "approve"
approve = { group = "dba", ttl_s = 600 }
[[rule]]
id = "soon"
what = { upstream = "crm", tool = "soon" }
effect = "approve"
approve = { group = "dba", ttl_s = 10, use_ttl_s = 10 }
[[rule]]
id = "said-again"
what = { upstream = "crm", tool = "customer" }
effect = "approve"
approve = { group = "dba" }
"#;
/// What a client declares that can be given a task.
const TAKES_TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
/// What a client declares that can send its user to an address.
const OPENS_URLS: &str = r#"{"elicitation":{"url":{}}}"#;

struct Stage {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
    /// The server behind the gateway, where it is not the upstream above.
    _server: Option<Part>,
}

/// Echoes the arguments, as a modern server does; some only after a while, in events, or not at all.
fn answer(request: &Request) -> Vec<Step> {
    let message: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let arguments = &message["params"]["arguments"];
    let result = json!({"resultType": "complete", "content": [{"type": "text", "text": arguments.to_string()}]});
    let reply = |what: Value| {
        let mut reply = json!({"jsonrpc": "2.0", "id": message["id"]});
        reply.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        reply.to_string()
    };
    let whole = json_reply(200, &reply(json!({ "result": result })));
    match arguments["sql"].as_str() {
        Some("slow") => [vec![Step::Pause(1500)], whole].concat(),
        Some("asks") => json_reply(200, &reply(json!({"result": {"resultType": "input_required", "requestState": "s"}}))),
        Some("fails") => json_reply(200, &reply(json!({"error": {"code": -32050, "message": "no such table"}}))),
        Some("events") => {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "busy"}});
            events(&format!(": busy\n\ndata: {note}\n\ndata: {}\n\n", reply(json!({ "result": result }))))
        }
        _ => whole,
    }
}

impl Stage {
    /// With calls held for so many seconds.
    fn new(hold_s: u64) -> Stage {
        Stage::with(hold_s, "")
    }

    /// The same with further tables in the configuration.
    fn with(hold_s: u64, tables: &str) -> Stage {
        let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::start(answer));
        let setup = Setup::new(&issuer.url, &upstream.url).with(HOLD).with(tables).with_approvals(hold_s);
        let gateway = Gateway::start(&setup);
        let stage = Stage { issuer, upstream, gateway, _server: None };
        stage.gateway.wait_until_ready(&stage.agent());
        stage
    }

    /// In front of a server on the TypeScript SDK; `None` where that is not installed and need not be.
    fn with_sdk_server(hold_s: u64) -> Option<Stage> {
        parts()?;
        let (issuer, upstream, server) = (Issuer::start(Algorithm::EdDsa), Upstream::echo(), Part::start("modern.mjs", &[]));
        let setup = Setup::new(&issuer.url, &format!("{}/mcp", server.url)).with(HOLD).with_approvals(hold_s);
        let stage = Stage { issuer, upstream, gateway: Gateway::start(&setup), _server: Some(server) };
        stage.gateway.wait_until_ready(&stage.agent());
        Some(stage)
    }

    fn agent(&self) -> String {
        self.issuer.token(&self.gateway.audience)
    }

    /// Another principal that may use the same endpoint.
    fn other_agent(&self) -> String {
        let mut claims = self.issuer.claims(&self.gateway.audience);
        claims["sub"] = json!("agent-b");
        self.issuer.sign(&claims)
    }

    /// The token of somebody who may decide.
    fn dba(&self) -> String {
        let mut claims = self.issuer.claims(&format!("http://127.0.0.1:{}/approvals", self.gateway.port));
        (claims["sub"], claims["client_id"], claims["roles"]) = (json!("ann"), json!("console"), json!(["dba"]));
        self.issuer.sign(&claims)
    }

    /// A question to the admin listener by somebody who may decide.
    fn ask(&self, method: &str, path: &str) -> Reply {
        let mut connection = Connection::open(self.gateway.admin);
        let token = self.dba();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n");
        connection.send(request.as_bytes());
        connection.reply().unwrap()
    }

    fn decide(&self, id: &str, verdict: &str) {
        assert_eq!(self.ask("POST", &format!("/approvals/{id}/{verdict}")).status, 200);
    }

    fn state(&self, id: &str) -> String {
        self.ask("GET", &format!("/approvals/{id}")).json()["state"].as_str().unwrap_or_default().to_owned()
    }

    fn requests(&self) -> usize {
        self.ask("GET", "/approvals").json()["approvals"].as_array().unwrap().len()
    }

    /// A modern message as it goes over a connection.
    fn message(&self, token: &str, method: &str, name: &str, body: &str) -> String {
        let fields = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n");
        self.gateway.request("POST", token, &fields, body)
    }

    /// A modern message on a connection of its own.
    fn send(&self, token: &str, method: &str, name: &str, body: &str) -> Reply {
        let mut connection = Connection::open(self.gateway.port);
        connection.send(self.message(token, method, name, body).as_bytes());
        connection.reply().expect("a reply")
    }

    /// A modern tool call of a client that declares these capabilities, with further members of `params`.
    fn call(&self, token: &str, tool: &str, arguments: &str, capabilities: &str, more: &str) -> Reply {
        let body = modern("tools/call", &format!(r#""name":"{tool}","arguments":{arguments}{more}"#), capabilities);
        self.send(token, "tools/call", tool, &body)
    }

    /// A call that becomes a task: the id of its request, and the task's.
    fn task(&self, tool: &str, arguments: &str) -> (String, String) {
        let result = self.call(&self.agent(), tool, arguments, TAKES_TASKS, "").json()["result"].clone();
        assert_eq!((&result["resultType"], &result["status"]), (&json!("task"), &json!("working")), "{result}");
        let message = result["statusMessage"].as_str().unwrap().to_owned();
        (message.split(' ').nth(1).unwrap().to_owned(), result["taskId"].as_str().unwrap().to_owned())
    }

    /// A request about a task.
    fn about(&self, token: &str, method: &str, task: &str, capabilities: &str) -> Reply {
        let members = format!(r#""taskId":"{task}""#);
        self.send(token, method, task, &modern(method, &members, capabilities))
    }

    /// How a task stands.
    fn get(&self, task: &str) -> Value {
        let reply = self.about(&self.agent(), "tasks/get", task, TAKES_TASKS);
        let result = reply.json()["result"].clone();
        assert_eq!(
            (reply.status, &result["resultType"], &result["taskId"]),
            (200, &json!("complete"), &json!(task)),
            "{reply:?}"
        );
        result
    }

    fn restart(&mut self) {
        self.gateway.kill();
        self.gateway.restart();
        self.gateway.wait_until_ready(&self.agent());
    }

    /// A client of `tests/real`, which may decide too.
    fn run_script(&self, script: &str) {
        let mut command = Command::new(node());
        command.arg(script).current_dir(parts().unwrap()).env("GATEWAY_URL", &self.gateway.audience);
        command.env("TOKEN", self.agent()).env("DECIDER_TOKEN", self.dba());
        let output = command.env("ADMIN_URL", format!("http://127.0.0.1:{}", self.gateway.admin)).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(output.status.success(), "{said}\n{}", self.gateway.log());
    }

    /// How many calls of a tool have reached the upstream.
    fn ran(&self, tool: &str) -> usize {
        let needle = format!("\"name\":\"{tool}\"");
        self.upstream.requests.lock().unwrap().iter().filter(|request| request.body.contains(&needle)).count()
    }
}

/// A modern message with these members of `params`.
fn modern(method: &str, members: &str, capabilities: &str) -> String {
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let declared = format!(r#""io.modelcontextprotocol/clientCapabilities":{capabilities}"#);
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{members},"_meta":{{{version},{declared}}}}}}}"#)
}

/// The id of the request that an answer names, and the sealed state that comes with it.
fn round(reply: &Reply) -> (String, String) {
    let result = &reply.json()["result"];
    assert_eq!(result["resultType"], "input_required", "{}", reply.body);
    (result["_meta"]["approvalId"].as_str().unwrap().to_owned(), result["requestState"].as_str().unwrap().to_owned())
}

/// What a client sends back of a round.
fn back(state: &str, action: &str) -> String {
    format!(r#","requestState":"{state}","inputResponses":{{"approve":{{"action":"{action}"}}}}"#)
}

fn status(reply: &Reply) -> String {
    reply.json()["result"]["_meta"]["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn r111_a_client_with_a_user_is_sent_to_the_page_and_its_retry_is_the_call() {
    let mut stage = Stage::new(0);
    let (agent, arguments) = (stage.agent(), r#"{"sql":"delete"}"#);
    let first = stage.call(&agent, "sql", arguments, OPENS_URLS, "");
    let (id, state) = round(&first);
    let asked = &first.json()["result"]["inputRequests"]["approve"];
    let page = format!("http://localhost:{}/ui/approvals/{id}", stage.gateway.admin);
    assert_eq!((&asked["method"], &asked["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
    assert_eq!((&asked["params"]["url"], first.json()["id"].as_i64()), (&json!(page), Some(7)));
    assert!(asked["params"]["message"].as_str().unwrap().contains("until dba approves it"), "{asked}");
    // That the user has gone to the page is no approval; nothing but the ledger says so, also after a restart.
    let (again, newer) = round(&stage.call(&agent, "sql", arguments, OPENS_URLS, &back(&state, "accept")));
    assert!(again == id && newer != state && stage.ran("sql") == 0);
    stage.restart();
    stage.decide(&id, "approve");
    let reply = stage.call(&agent, "sql", r#"{ "sql" : "d\u0065lete" }"#, OPENS_URLS, &back(&state, "accept"));
    assert_eq!(reply.json()["result"]["content"][0]["text"], r#"{"sql":"delete"}"#, "{}", reply.body);
    // Nothing of the round goes upstream.
    let seen = stage.upstream.last().body;
    assert!(!seen.contains("requestState") && !seen.contains("inputResponses") && !seen.contains("slg1"), "{seen}");
    // A state that is sent again opens nothing: neither is the call run, nor asked for anew.
    wait_until("the end", || stage.state(&id) == "done");
    let replayed = stage.call(&agent, "sql", arguments, OPENS_URLS, &back(&newer, "accept"));
    assert_eq!((status(&replayed).as_str(), stage.ran("sql"), stage.requests()), ("done", 1, 1));
    stage.gateway.terminate();
    let rows = audit::rows(&stage.gateway.audit(), "calls");
    let mut reasons: Vec<&str> = rows.iter().filter(|row| row["tool"] == "sql").map(|row| row["reason"].as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["approval-over", "approval-pending", "approval-pending", "approved"]);
}

#[test]
fn r111_a_state_of_somebody_else_of_another_call_forged_or_too_old_is_refused() {
    let mut stage = Stage::new(0);
    let (agent, arguments) = (stage.agent(), r#"{"sql":"x"}"#);
    let old = round(&stage.call(&agent, "soon", "{}", OPENS_URLS, "")).1;
    let made = Instant::now();
    let (id, state) = round(&stage.call(&agent, "sql", arguments, OPENS_URLS, ""));
    stage.decide(&id, "approve");
    let refused = |reply: &Reply, told: &str| {
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32602)), "{}", reply.body);
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains(told), "{}", reply.body);
    };
    let mut forged = state.clone();
    let last = if forged.ends_with('A') { 'B' } else { 'A' };
    forged.replace_range(forged.len() - 2..forged.len() - 1, &last.to_string());
    refused(&stage.call(&agent, "sql", arguments, OPENS_URLS, &back(&forged, "accept")), "not made for this caller");
    refused(&stage.call(&stage.other_agent(), "sql", arguments, OPENS_URLS, &back(&state, "accept")), "not made for this caller");
    refused(&stage.call(&agent, "sql", r#"{"sql":"y"}"#, OPENS_URLS, &back(&state, "accept")), "other parameters");
    refused(&stage.call(&agent, "echo", arguments, OPENS_URLS, &back(&state, "accept")), "other parameters");
    std::thread::sleep(Duration::from_secs(21).saturating_sub(made.elapsed()));
    refused(&stage.call(&agent, "soon", "{}", OPENS_URLS, &back(&old, "accept")), "has expired");
    assert_eq!((stage.ran("soon"), stage.ran("sql"), stage.ran("echo")), (0, 0, 0));
    assert_eq!(stage.state(&id), "approved");
    stage.gateway.terminate();
    let rows = audit::rows(&stage.gateway.audit(), "calls");
    let told = |reason: &str| rows.iter().filter(|row| row["reason"] == reason && row["decision"] == "refuse").count();
    let all = ["request-state-foreign", "request-state-other-call", "request-state-expired"].map(told);
    assert_eq!(all, [2, 2, 1]);
}

#[test]
fn r110_who_comes_back_at_once_is_held_again_and_who_declines_is_not() {
    let stage = Stage::new(3);
    let agent = stage.agent();
    let (id, state) = round(&stage.call(&agent, "sql", "{}", OPENS_URLS, ""));
    let started = Instant::now();
    let (again, state) = round(&stage.call(&agent, "sql", "{}", OPENS_URLS, &back(&state, "accept")));
    assert!(again == id && started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    for action in ["decline", "cancel"] {
        let started = Instant::now();
        let told = stage.call(&agent, "sql", "{}", OPENS_URLS, &back(&state, action));
        assert_eq!((status(&told).as_str(), &told.json()["result"]["isError"]), ("pending", &json!(true)), "{}", told.body);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    // Who waits in a round is let through when somebody approves.
    std::thread::scope(|scope| {
        let held = scope.spawn(|| stage.call(&agent, "sql", "{}", OPENS_URLS, &back(&state, "accept")));
        std::thread::sleep(Duration::from_millis(500));
        stage.decide(&id, "approve");
        assert_eq!(held.join().unwrap().json()["result"]["content"][0]["text"], "{}");
    });
    assert_eq!(stage.ran("sql"), 1);
}

#[test]
fn r112_a_client_that_shows_forms_only_or_is_of_the_older_era_gets_the_text() {
    let stage = Stage::new(0);
    let agent = stage.agent();
    for capabilities in ["{}", r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#] {
        let told = stage.call(&agent, "sql", "{}", capabilities, "");
        assert_eq!((status(&told).as_str(), &told.json()["result"]["resultType"]), ("pending", &json!("complete")));
    }
    assert_eq!(status(&stage.gateway.call(&agent, "sql", "{}")), "pending");
    assert_eq!((stage.ran("sql"), stage.requests()), (0, 1));
}

#[test]
fn r111_a_round_of_the_upstream_passes_byte_for_byte_and_survives_ours() {
    let stage = Stage::new(0);
    let agent = stage.agent();
    let upstreams =
        r#","requestState":"slg\u0031.of-another","inputResponses":{ "name" : {"action":"accept","content":{"n":1.0}} }"#;
    stage.call(&agent, "echo", "{}", OPENS_URLS, upstreams);
    assert!(stage.upstream.last().body.contains(upstreams), "{}", stage.upstream.last().body);
    let (id, state) = round(&stage.call(&agent, "sql", "{}", OPENS_URLS, upstreams));
    stage.decide(&id, "approve");
    stage.call(&agent, "sql", "{}", OPENS_URLS, &back(&state, "accept"));
    let seen = stage.upstream.last().body;
    assert!(stage.ran("sql") == 1 && seen.contains(&upstreams[1..]), "{seen}");
    // Without the upstream's part it is another call.
    assert_ne!(round(&stage.call(&agent, "sql", "{}", OPENS_URLS, "")).0, id);
}

#[test]
fn r111_the_typescript_sdk_goes_through_the_round() {
    let Some(stage) = Stage::with_sdk_server(1) else { return };
    stage.run_script("elicited.mjs");
}

#[test]
fn r110_a_client_that_takes_tasks_is_given_one_and_its_call_runs_once_when_it_asks_after_the_approval() {
    let mut stage = Stage::new(0);
    let arguments = r#"{"sql":"delete","of":"jane.doe@example.com"}"#;
    let (id, task) = stage.task("sql", arguments);
    assert!(task.len() > 32 && task.bytes().all(|byte| byte.is_ascii_graphic()), "{task}");
    let waits = stage.get(&task);
    let told = format!("Approval {id} waits for dba at http://localhost:{}/ui/approvals/{id}.", stage.gateway.admin);
    assert_eq!((&waits["status"], &waits["statusMessage"]), (&json!("working"), &json!(told)));
    assert_eq!((&waits["ttlMs"], &waits["pollIntervalMs"]), (&json!(900_000), &json!(5000)));
    // The same call is the same request, whose task has another name.
    let (same, other_name) = stage.task("sql", arguments);
    assert!(same == id && other_name != task && stage.ran("sql") == 0);
    stage.restart();
    assert_eq!(stage.get(&task)["status"], "working");
    stage.decide(&id, "approve");
    assert_eq!(stage.ran("sql"), 0);
    let done = stage.get(&task);
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["result"]["content"][0]["text"], r#"{"of":"[EMAIL_ADDRESS]","sql":"delete"}"#);
    // What runs is the call as it came, for a client that nobody can ask anything.
    let seen = stage.upstream.last();
    assert!(
        seen.body.contains(arguments) && seen.body.contains(r#""io.modelcontextprotocol/clientCapabilities":{}"#),
        "{seen:?}"
    );
    let names = ["Mcp-Method", "Mcp-Name", "MCP-Protocol-Version", "Authorization"].map(|name| seen.field(name).unwrap());
    assert_eq!(names, ["tools/call", "sql", "2026-07-28", "Bearer upstream-s3cret-42"]);
    stage.restart();
    for name in [&task, &other_name] {
        let again = stage.get(name);
        assert_eq!((&again["status"], &again["result"]), (&done["status"], &done["result"]));
    }
    assert_eq!((stage.ran("sql"), stage.state(&id).as_str()), (1, "done"));
    stage.gateway.terminate();
    let store = std::fs::read(stage.gateway.dir.path().join("approvals/approvals.redb")).unwrap();
    assert!(memchr::memmem::find(&store, b"jane.doe").is_none(), "the store shows what is sealed");
    let rows = audit::rows(&stage.gateway.audit(), "calls");
    let count = |method: &str, reason: &str, status: &str| {
        let is_one = |row: &&audit::Row| row["method"] == method && row["reason"] == reason && row["status"] == status;
        rows.iter().filter(is_one).filter(|row| row["approval"] == id).count()
    };
    assert_eq!(count("tools/call", "approved", "ok"), 1);
    assert_eq!((count("tools/call", "approval-pending", "denied"), count("tasks/get", "task", "ok")), (2, 4));
}

#[test]
fn r121_of_64_that_ask_after_an_approved_task_one_runs_its_call_also_when_it_goes_away() {
    let stage = Stage::new(0);
    let (id, task) = stage.task("sql", r#"{"sql":"slow"}"#);
    stage.decide(&id, "approve");
    let agent = stage.agent();
    // The one that runs it does not wait for the answer.
    let body = modern("tasks/get", &format!(r#""taskId":"{task}""#), TAKES_TASKS);
    let mut gone = Connection::open(stage.gateway.port);
    gone.send(stage.message(&agent, "tasks/get", &task, &body).as_bytes());
    wait_until("the call", || stage.ran("sql") == 1);
    drop(gone);
    let told: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..64).map(|_| scope.spawn(|| stage.get(&task)["status"].as_str().unwrap().to_owned())).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(told.iter().all(|status| status == "working" || status == "completed"), "{told:?}");
    wait_until("the end", || stage.get(&task)["status"] == "completed");
    assert_eq!(stage.ran("sql"), 1);
    let (id, task) = stage.task("sql", r#"{"sql":"slow","n":2}"#);
    stage.decide(&id, "approve");
    std::thread::scope(|scope| (0..64).for_each(|_| drop(scope.spawn(|| stage.get(&task)))));
    wait_until("the end", || stage.get(&task)["status"] == "completed");
    assert_eq!(stage.ran("sql"), 2);
}

#[test]
fn a_task_is_there_for_who_made_it_and_no_request_about_it_goes_upstream() {
    let mut stage =
        Stage::with(0, "[[rule]]\nid = \"tasks\"\nwhat = { upstream = \"crm\", method = \"tasks/*\" }\neffect = \"allow\"\n");
    let (id, task) = stage.task("sql", "{}");
    stage.decide(&id, "approve");
    let (agent, other) = (stage.agent(), stage.other_agent());
    let mut forged = task.clone();
    let last = if forged.ends_with('A') { 'B' } else { 'A' };
    forged.replace_range(forged.len() - 2..forged.len() - 1, &last.to_string());
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for (token, task) in [(&other, &task), (&agent, &forged)] {
            let reply = stage.about(token, method, task, TAKES_TASKS);
            assert_eq!((reply.status, &reply.json()["error"]["code"]), (200, &json!(-32602)), "{method} {}", reply.body);
        }
        let undeclared = stage.about(&agent, method, &task, "{}");
        let error = undeclared.json()["error"].clone();
        assert_eq!((undeclared.status, &error["code"]), (400, &json!(-32021)), "{method}");
        assert!(error["data"]["requiredCapabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object());
    }
    assert_eq!((stage.state(&id).as_str(), stage.ran("sql")), ("approved", 0));
    // A task of the upstream's own is its business.
    stage.about(&agent, "tasks/get", "slg1.of-another.x", TAKES_TASKS);
    assert!(stage.upstream.last().body.contains("slg1.of-another.x"));
    stage.gateway.terminate();
    let rows = audit::rows(&stage.gateway.audit(), "calls");
    let told = |reason: &str| rows.iter().filter(|row| row["reason"] == reason).count();
    assert_eq!((told("task-unknown"), told("task-not-declared")), (6, 3));
}

#[test]
fn a_task_whose_call_does_not_run_says_so_as_the_text_would() {
    let stage = Stage::new(0);
    let agent = stage.agent();
    let (_, expires) = stage.task("soon", "{}");
    let made = Instant::now();
    let (id, denied) = stage.task("sql", r#"{"n":1}"#);
    stage.decide(&id, "deny");
    let told = stage.get(&denied);
    assert_eq!((&told["status"], &told["result"]["isError"]), (&json!("completed"), &json!(true)), "{told}");
    assert_eq!(told["result"]["content"][0]["text"], format!("Approval {id} denied. Do not retry with the same arguments."));
    let (id, cancelled) = stage.task("sql", r#"{"n":2}"#);
    for method in ["tasks/update", "tasks/cancel", "tasks/cancel"] {
        let reply = stage.about(&agent, method, &cancelled, TAKES_TASKS);
        assert_eq!(reply.json()["result"], json!({"resultType": "complete"}), "{method}");
    }
    assert_eq!((stage.get(&cancelled)["status"].as_str(), stage.state(&id).as_str()), (Some("cancelled"), "cancelled"));
    // The call was made again without a task, and has its answer there.
    let (id, passed_by) = stage.task("sql", r#"{"n":3}"#);
    stage.decide(&id, "approve");
    assert!(stage.call(&agent, "sql", r#"{"n":3}"#, "{}", "").json()["result"]["isError"].is_null());
    wait_until("the end", || stage.get(&passed_by)["status"] == "failed");
    assert!(stage.get(&passed_by)["error"]["message"].as_str().unwrap().contains("is not kept for this task"));
    std::thread::sleep(Duration::from_secs(11).saturating_sub(made.elapsed()));
    let told = stage.get(&expires);
    assert_eq!((&told["status"], &told["result"]["_meta"]["status"]), (&json!("completed"), &json!("expired")), "{told}");
    assert_eq!((stage.ran("soon"), stage.ran("sql")), (0, 1));
}

#[test]
fn a_task_ends_with_what_the_upstream_answered_in_whatever_form() {
    let mut stage = Stage::with(0, "[limits]\ntask_result_bytes_max = 1024\n");
    let run = |stage: &Stage, sql: &str| {
        let (id, task) = stage.task("sql", &json!({ "sql": sql }).to_string());
        stage.decide(&id, "approve");
        (task.clone(), stage.get(&task))
    };
    let (_, events) = run(&stage, "events");
    assert_eq!(events["result"]["content"][0]["text"], r#"{"sql":"events"}"#, "{events}");
    let (task, fails) = run(&stage, "fails");
    assert_eq!((&fails["status"], &fails["error"]), (&json!("failed"), &json!({"code": -32050, "message": "no such table"})));
    let (_, asks) = run(&stage, "asks");
    assert!(asks["status"] == "failed" && asks["error"]["message"].as_str().unwrap().contains("asks for more"), "{asks}");
    let (long, told) = run(&stage, &"x".repeat(2000));
    assert!(told["status"] == "failed" && told["error"]["message"].as_str().unwrap().contains("longer than is kept"), "{told}");
    stage.restart();
    assert_eq!((&stage.get(&task)["error"], &stage.get(&long)["error"]), (&fails["error"], &told["error"]));
    assert_eq!(stage.ran("sql"), 4);
    // Who may not use the tool any more gets nothing of it either.
    let config = stage.gateway.dir.path().join("gate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "[[rule]]\nid = \"no-sql\"\nwho = { principal = \"corp:agent-a\" }\nwhat = { tool = \"sql\" }\neffect = \"block\"\n").unwrap();
    stage.restart();
    let barred = stage.about(&stage.agent(), "tasks/get", &task, TAKES_TASKS);
    assert_eq!(barred.json()["error"]["code"], -31001, "{}", barred.body);
}

#[test]
fn what_stands_in_the_way_of_an_approved_call_is_told_while_its_task_goes_on() {
    let mut stage = Stage::with(0, "[[budget]]\nid = \"one\"\nwhat = { tool = \"*\" }\nwindow_s = 604800\ncalls = 1\n");
    let (id, task) = stage.task("sql", "{}");
    stage.decide(&id, "approve");
    assert!(stage.gateway.call(&stage.agent(), "lookup", "{}").body.contains("content"));
    let told = stage.get(&task);
    assert_eq!(told["status"], "working");
    assert!(told["statusMessage"].as_str().unwrap().contains("the budget \"one\" is used up"), "{told}");
    assert_eq!(stage.state(&id), "approved");
    // Other rules are another approval: nothing that is permitted now may run by the one of then.
    let config = stage.gateway.dir.path().join("gate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text
        .replace("effect = \"approve\"\napprove = { group = \"dba\", ttl_s = 600 }", "effect = \"allow\"")
        .replace("calls = 1", "calls = 9");
    std::fs::write(&config, text).unwrap();
    stage.restart();
    let told = stage.get(&task);
    assert!(told["statusMessage"].as_str().unwrap().contains("The rules have changed"), "{told}");
    assert_eq!((stage.ran("sql"), stage.state(&id).as_str()), (0, "approved"));
}

#[test]
fn r110_the_rust_sdk_is_given_a_task() {
    let Some(stage) = Stage::with_sdk_server(0) else { return };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = StreamableHttpClientTransportConfig::with_uri(stage.gateway.audience.clone()).auth_header(stage.agent());
        let mut client = ClientConfig::default();
        client.capabilities = serde_json::from_str(TAKES_TASKS).unwrap();
        let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let transport = StreamableHttpClientTransport::from_config(config);
        let client = client.serve_with_lifecycle(transport, lifecycle).await.unwrap();
        let called = client.call_tool_once(CallToolRequestParams::new("customer")).await.unwrap();
        let CallToolResponse::Task(CreateTaskResult { task, .. }) = called else { panic!("no task: {called:?}") };
        let offered = client.peer_info().and_then(|info| info.capabilities.extensions.clone());
        assert!(offered.is_some_and(|offered| offered.contains_key("io.modelcontextprotocol/tasks")));
        let asked = || client.get_task(GetTaskParams::new(task.task_id.clone()));
        assert_eq!(asked().await.unwrap().task.payload, TaskPayload::Working);
        let id = task.status_message.unwrap().split(' ').nth(1).unwrap().to_owned();
        stage.decide(&id, "approve");
        let TaskPayload::Completed { result } = asked().await.unwrap().task.payload else { panic!("not completed") };
        assert!(result["content"][0]["text"].as_str().unwrap().starts_with("Ana pays with [CREDIT_CARD]"), "{result:?}");
        client.cancel_task(CancelTaskParams::new(task.task_id)).await.unwrap();
        client.cancel().await.unwrap();
    });
}

#[test]
fn a_client_of_2025_is_sent_to_the_page_by_an_error_where_its_session_says_that_it_can() {
    let begins = |request: &Request| {
        if !request.body.contains("\"initialize\"") {
            return answer(request);
        }
        let reply = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s-1\r\n";
        vec![Step::Send(format!("{head}Content-Length: {}\r\n\r\n{reply}", reply.len()).into_bytes())]
    };
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::start(begins));
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with(HOLD).with_approvals(0));
    let stage = Stage { issuer, upstream, gateway, _server: None };
    let agent = stage.agent();
    stage.gateway.wait_until_ready(&agent);
    let session = |capabilities: &str| {
        let params =
            format!(r#""protocolVersion":"2025-11-25","capabilities":{capabilities},"clientInfo":{{"name":"c","version":"1"}}"#);
        let reply =
            stage.gateway.post(&agent, &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{{params}}}}}"#));
        reply.field("mcp-session-id").unwrap().to_owned()
    };
    let call = |session: &str, version: &str| {
        let body = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"sql","arguments":{"n":1}}}"#;
        let fields = format!("MCP-Protocol-Version: {version}\r\nMcp-Session-Id: {session}\r\n");
        let mut connection = Connection::open(stage.gateway.port);
        connection.send(stage.gateway.request("POST", &agent, &fields, body).as_bytes());
        connection.reply().unwrap()
    };
    let (opens, shows_forms) = (session(OPENS_URLS), session(r#"{"elicitation":{}}"#));
    let told = call(&opens, "2025-11-25");
    let error = told.json()["error"].clone();
    let asked = &error["data"]["elicitations"][0];
    assert_eq!((told.status, &error["code"], &asked["mode"]), (200, &json!(-32042), &json!("url")), "{}", told.body);
    let id = asked["elicitationId"].as_str().unwrap().to_owned();
    assert_eq!(asked["url"], format!("http://localhost:{}/ui/approvals/{id}", stage.gateway.admin));
    // An older revision has no such error, and who shows forms only is not sent anywhere.
    assert_eq!(status(&call(&opens, "2025-06-18")), "pending");
    assert_eq!(status(&call(&shows_forms, "2025-11-25")), "pending");
    stage.decide(&id, "approve");
    assert_eq!(call(&opens, "2025-11-25").json()["result"]["content"][0]["text"], r#"{"n":1}"#);
    assert!(stage.upstream.last().head.contains("Mcp-Session-Id: s-1\r\n"));
    assert_eq!(stage.ran("sql"), 1);
}

#[test]
fn the_typescript_sdk_reads_the_error_of_2025() {
    let Some(_) = parts() else { return };
    let (issuer, upstream, server) = (Issuer::start(Algorithm::EdDsa), Upstream::echo(), Part::start("everything.mjs", &[]));
    let held = "[[rule]]\nid = \"sums\"\nwhat = { upstream = \"crm\", tool = \"get-sum\" }\neffect = \"approve\"\napprove = { group = \"dba\" }\n";
    let gateway = Gateway::start(&Setup::new(&issuer.url, &server.url).with(held).with_approvals(0));
    let stage = Stage { issuer, upstream, gateway, _server: Some(server) };
    stage.gateway.wait_until_ready(&stage.agent());
    stage.run_script("elicited_legacy.mjs");
}

#[test]
fn what_follows_on_a_connection_is_answered_too_whatever_stood_in_the_place_of_a_message() {
    let stage = Stage::new(0);
    let (agent, arguments) =
        (stage.agent(), r#"{"n":"a longer argument than the handle of a task, so that what runs is longer than what came"}"#);
    let (by_task, task) = stage.task("sql", arguments);
    let (by_round, state) = round(&stage.call(&agent, "sql", "{}", OPENS_URLS, ""));
    for id in [&by_task, &by_round] {
        stage.decide(id, "approve");
    }
    let asks = stage.message(&agent, "tasks/get", &task, &modern("tasks/get", &format!(r#""taskId":"{task}""#), TAKES_TASKS));
    let comes_back = format!(r#""name":"sql","arguments":{{}}{}"#, back(&state, "accept"));
    let comes_back = stage.message(&agent, "tools/call", "sql", &modern("tools/call", &comes_back, OPENS_URLS));
    let plain = |n: u32| {
        let body = modern("tools/call", &format!(r#""name":"echo","arguments":{{"n":{n}}}"#), "{}");
        stage.message(&agent, "tools/call", "echo", &body)
    };
    let mut connection = Connection::open(stage.gateway.port);
    connection.send([asks, plain(1), comes_back, plain(2)].concat().as_bytes());
    let mut results = || connection.reply().unwrap().json()["result"].clone();
    assert_eq!(results()["result"]["content"][0]["text"], arguments);
    assert_eq!(results()["content"][0]["text"], r#"{"n":1}"#);
    assert_eq!(results()["content"][0]["text"], "{}");
    assert_eq!(results()["content"][0]["text"], r#"{"n":2}"#);
}

#[test]
fn r98_who_may_not_ask_after_tasks_is_given_none() {
    let mut stage = Stage::new(0);
    let (id, task) = stage.task("sql", "{}");
    let config = stage.gateway.dir.path().join("gate.toml");
    let barred = "[[rule]]\nid = \"no-tasks\"\nwho = { principal = \"corp:agent-a\" }\nwhat = { method = \"tasks/*\" }\neffect = \"block\"\n";
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + barred).unwrap();
    stage.restart();
    let told = stage.about(&stage.agent(), "tasks/get", &task, TAKES_TASKS);
    assert_eq!(told.json()["error"]["code"], -31001, "{}", told.body);
    assert!(told.body.contains("Blocked by policy rule \\\"no-tasks\\\""), "{}", told.body);
    let again = stage.call(&stage.agent(), "sql", "{}", TAKES_TASKS, "");
    assert_eq!((status(&again).as_str(), stage.ran("sql"), stage.state(&id).as_str()), ("pending", 0, "pending"));
}
