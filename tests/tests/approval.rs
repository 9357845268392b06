//! Calls that a rule holds until people have decided about them, from the client's connection to the upstream and the audit.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::{self, Row};
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup, binary, free_port};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::{Request, Step, Upstream, json as json_reply};
use sluicegate_tests::wait_until;

/// Rules that hold calls, each of a tool of its own.
const HOLD: &str = r#"
[[rule]]
id = "dba"
what = { upstream = "crm", tool = "sql" }
effect = "approve"
approve = { group = "dba", quorum = 1, ttl_s = 60, use_ttl_s = 10 }
[[rule]]
id = "two"
what = { upstream = "crm", tool = "two" }
effect = "approve"
approve = { group = "dba", quorum = 2 }
[[rule]]
id = "soon"
what = { upstream = "crm", tool = "soon" }
effect = "approve"
approve = { group = "dba", ttl_s = 10 }
[[rule]]
id = "pages"
what = { upstream = "crm", tool = "query" }
args = [{ at = "/sql", sql = { dialect = "postgres", class = ["read"] } }]
effect = "approve"
approve = { group = "dba", window_s = 600 }
[[rule]]
id = "urgent"
what = { upstream = "crm", tool = "urgent" }
effect = "approve"
approve = { group = "dba", quorum = 3, break_glass = "lead" }
"#;

/// Echoes the arguments; for `{"sql": "stream"}` in events, of which the second holds what must be masked.
fn answer(request: &Request) -> Vec<Step> {
    let message: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let arguments = &message["params"]["arguments"];
    let is_stream = arguments["sql"] == "stream";
    let text = if is_stream { "mail to jane.doe@example.com".to_owned() } else { arguments.to_string() };
    let result = json!({"content": [{"type": "text", "text": text}]});
    let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    if !is_stream {
        return json_reply(200, &reply);
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".to_vec();
    let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "busy"}});
    vec![Step::Send(head), Step::Send(format!("data: {note}\n\ndata: {reply}\n\n").into_bytes()), Step::Close]
}

struct Stage {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
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
        let stage = Stage { issuer, upstream, gateway };
        stage.gateway.wait_until_ready(&stage.agent());
        stage
    }

    /// The agent's token.
    fn agent(&self) -> String {
        self.issuer.token(&self.gateway.audience)
    }

    /// A token for the approvals.
    fn decider(&self, subject: &str, client: &str, roles: &[&str]) -> String {
        let mut claims = self.issuer.claims(&format!("http://127.0.0.1:{}/approvals", self.gateway.port));
        (claims["sub"], claims["client_id"], claims["roles"]) = (json!(subject), json!(client), json!(roles));
        self.issuer.sign(&claims)
    }

    fn dba(&self, subject: &str) -> String {
        self.decider(subject, "console", &["dba"])
    }

    /// A question to the admin listener.
    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Reply {
        let mut connection = Connection::open(self.gateway.admin);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.send(request.as_bytes());
        connection.reply().unwrap()
    }

    fn decide(&self, id: &str, verdict: &str, token: &str) -> Reply {
        self.ask("POST", &format!("/approvals/{id}/{verdict}"), token, "{\"reason\":\"seen\"}")
    }

    fn state(&self, id: &str) -> String {
        let shown = self.ask("GET", &format!("/approvals/{id}"), &self.dba("ann"), "").json();
        shown["state"].as_str().unwrap_or_default().to_owned()
    }

    /// The id of the newest request of a state, once there is one.
    fn newest(&self, state: &str) -> String {
        let mut id = String::new();
        wait_until("a request", || {
            let listed = self.ask("GET", "/approvals", &self.dba("ann"), "").json();
            let found = listed["approvals"].as_array().and_then(|all| all.iter().find(|one| one["state"] == state).cloned());
            id = found.map(|one| one["id"].as_str().unwrap().to_owned()).unwrap_or_default();
            !id.is_empty()
        });
        id
    }

    /// How many calls of a tool have reached the upstream.
    fn ran(&self, tool: &str) -> usize {
        let needle = format!("\"name\":\"{tool}\"");
        self.upstream.requests.lock().unwrap().iter().filter(|request| request.body.contains(&needle)).count()
    }
}

fn meta(reply: &Reply) -> (String, String) {
    let meta = &reply.json()["result"]["_meta"];
    let text = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
    (text("approvalId"), text("status"))
}

#[test]
fn r110_a_held_call_gets_its_real_result_when_another_identity_approves_it() {
    let stage = Stage::new(30);
    let agent = stage.agent();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| stage.gateway.call(&agent, "sql", "{\"sql\":\"delete all\u{202e}\"}"));
        let id = stage.newest("pending");
        assert_eq!(stage.ran("sql"), 0);
        let shown = stage.ask("GET", &format!("/approvals/{id}"), &stage.dba("ann"), "").json();
        assert_eq!((&shown["requester"], &shown["rule"]), (&json!("corp:agent-a"), &json!("dba")));
        assert_eq!(shown["params"], r#"{"name":"sql","arguments":{"sql":"delete all\u202e"}}"#);
        // Nobody approves what they asked for themselves, a machine nothing, a stranger sees nothing, and a GET decides nothing.
        let own = stage.decider("agent-a", "console", &["dba"]);
        assert_eq!(stage.decide(&id, "approve", &own).status, 403);
        assert_eq!(stage.decide(&id, "approve", &stage.decider("bot", "bot", &["dba"])).status, 403);
        assert_eq!(stage.decide(&id, "approve", &stage.decider("eve", "console", &["reader"])).status, 404);
        assert_eq!(stage.decide(&id, "approve", &agent).status, 401);
        assert_eq!(stage.ask("GET", &format!("/approvals/{id}/approve"), &stage.dba("ann"), "").status, 405);
        assert_eq!(stage.state(&id), "pending");
        assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
        let reply = call.join().unwrap();
        assert!(reply.json()["result"]["content"][0]["text"].as_str().unwrap().contains("delete all"), "{reply:?}");
        assert_eq!(stage.ran("sql"), 1);
        wait_until("the end", || stage.state(&id) == "done");
        assert_eq!(stage.decide(&id, "approve", &stage.dba("bob")).status, 409);
    });
}

#[test]
fn r110_after_the_hold_the_answer_says_how_to_go_on_and_the_same_call_then_runs_once() {
    let mut stage = Stage::new(0);
    let agent = stage.agent();
    let arguments = r#"{"sql":"delete"}"#;
    let first = stage.gateway.call(&agent, "sql", arguments);
    let (id, status) = meta(&first);
    assert_eq!((first.status, status.as_str(), &first.json()["result"]["isError"]), (200, "pending", &json!(true)));
    let text = first.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with(&format!("Approval {id} pending; call the same tool with the same arguments again")), "{text}");
    assert_eq!(meta(&stage.gateway.call(&agent, "sql", arguments)).0, id);
    assert_ne!(meta(&stage.gateway.call(&agent, "sql", r#"{"sql":"delete "}"#)).0, id);
    stage.decide(&id, "approve", &stage.dba("ann"));
    // The same call in another spelling is the same call.
    let reply = stage.gateway.call(&agent, "sql", r#"{ "sql" : "d\u0065lete" }"#);
    assert!(reply.json()["result"]["isError"].is_null(), "{reply:?}");
    assert_eq!(stage.ran("sql"), 1);
    wait_until("the end", || stage.state(&id) == "done");
    let again = meta(&stage.gateway.call(&agent, "sql", arguments));
    assert!(again.0 != id && again.1 == "pending" && stage.ran("sql") == 1, "{again:?}");
    stage.gateway.terminate();
    let rows = audit::rows(&stage.gateway.audit(), "calls");
    let held: Vec<&Row> = rows.iter().filter(|row| row["tool"] == "sql").collect();
    assert_eq!(held.len(), 5);
    assert!(held.iter().all(|row| row["decision"] == "approve" && row["rule"] == "dba" && row["approval"].starts_with("APR-")));
    let ran: Vec<&&Row> = held.iter().filter(|row| row["reason"] == "approved").collect();
    assert_eq!((ran.len(), ran[0]["approval"].as_str(), ran[0]["status"].as_str()), (1, id.as_str(), "ok"));
    assert_eq!(held.iter().filter(|row| row["reason"] == "approval-pending" && row["status"] == "denied").count(), 4);
}

#[test]
fn r121_of_64_retries_of_an_approved_call_one_reaches_the_upstream() {
    let stage = Stage::new(0);
    let agent = stage.agent();
    let (id, _) = meta(&stage.gateway.call(&agent, "sql", r#"{"sql":"once"}"#));
    stage.decide(&id, "approve", &stage.dba("ann"));
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..64).map(|_| scope.spawn(|| stage.gateway.call(&agent, "sql", r#"{"sql":"once"}"#))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(stage.ran("sql"), 1);
    assert_eq!(replies.iter().filter(|reply| reply.json()["result"]["isError"].is_null()).count(), 1);
}

#[test]
fn r123_a_quorum_takes_several_people_and_a_denial_is_told_with_its_reason() {
    let stage = Stage::new(0);
    let agent = stage.agent();
    let (id, _) = meta(&stage.gateway.call(&agent, "two", "{}"));
    assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
    assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 409);
    assert_eq!(meta(&stage.gateway.call(&agent, "two", "{}")).1, "pending");
    assert_eq!(stage.decide(&id, "deny", &stage.dba("bob")).status, 200);
    let denied = stage.gateway.call(&agent, "two", "{}");
    assert_eq!(meta(&denied), (id.clone(), "denied".to_owned()));
    assert!(denied.body.contains(&format!("Approval {id} denied: seen.")), "{}", denied.body);
    assert_eq!(stage.ran("two"), 0);
    // After the cooldown the same call is asked for anew.
    std::thread::sleep(Duration::from_millis(2500));
    let (id, _) = meta(&stage.gateway.call(&agent, "two", "{}"));
    stage.decide(&id, "approve", &stage.dba("ann"));
    stage.decide(&id, "approve", &stage.dba("bob"));
    assert!(stage.gateway.call(&agent, "two", "{}").json()["result"]["isError"].is_null());
    assert_eq!(stage.ran("two"), 1);
}

#[test]
fn r122_an_approval_for_a_time_is_for_the_calls_that_lie_wholly_within_the_rule() {
    let mut stage = Stage::new(0);
    let agent = stage.agent();
    let query = |sql: &str| stage.gateway.call(&agent, "query", &json!({ "sql": sql }).to_string());
    let (id, status) = meta(&query("SELECT name FROM customers"));
    assert_eq!(status, "pending");
    // What the rule is about is one request, whatever the call is; what it is about only in part is another.
    assert_eq!(meta(&query("SELECT 1")).0, id);
    let mixed = "SELECT 1; DELETE FROM customers";
    let (whole, _) = meta(&query(mixed));
    assert_ne!(whole, id);
    let shown = stage.ask("GET", &format!("/approvals/{id}"), &stage.dba("ann"), "").json();
    assert_eq!(shown["window_s"], 600);
    assert!(shown["scope"].as_str().unwrap().contains("class = [\"read\"]"), "{shown}");
    let shown = stage.ask("GET", &format!("/approvals/{whole}"), &stage.dba("ann"), "").json();
    assert!(shown["window_s"].is_null() && shown["params"].as_str().unwrap().contains("DELETE FROM"), "{shown}");
    stage.decide(&id, "approve", &stage.dba("ann"));
    for sql in ["SELECT 1", "SELECT name FROM customers", "SELECT 2"] {
        assert!(query(sql).json()["result"]["isError"].is_null(), "{sql}");
    }
    assert_eq!(meta(&query(mixed)), (whole, "pending".to_owned()));
    assert_eq!(stage.ran("query"), 3);
    stage.decide(&id, "deny", &stage.dba("bob"));
    assert_eq!(meta(&query("SELECT 1")).1, "denied");
    stage.gateway.terminate();
    let rows = audit::rows(&stage.gateway.audit(), "calls");
    assert_eq!(rows.iter().filter(|row| row["approval"] == id && row["reason"] == "approved").count(), 3);
}

#[test]
fn r127_the_glass_is_broken_with_a_reason_an_alarm_and_a_record() {
    let mut stage = Stage::new(0);
    let agent = stage.agent();
    let (id, _) = meta(&stage.gateway.call(&agent, "urgent", "{}"));
    let lead = stage.decider("ann", "console", &["lead"]);
    let breaking = |token: &str, body: &str| stage.ask("POST", &format!("/approvals/{id}/break-glass"), token, body).status;
    assert_eq!(breaking(&lead, "{}"), 400);
    assert_eq!(breaking(&stage.dba("bob"), "{\"reason\":\"fire\"}"), 403);
    assert_eq!(breaking(&stage.decider("agent-a", "console", &["lead"]), "{\"reason\":\"fire\"}"), 403);
    assert_eq!(breaking(&lead, "{\"reason\":\"the site is down\"}"), 200);
    assert!(stage.gateway.call(&agent, "urgent", "{}").json()["result"]["isError"].is_null());
    assert_eq!(stage.ran("urgent"), 1);
    wait_until("the alarm", || {
        let metrics = stage.ask("GET", "/metrics", "", "").body;
        metrics.contains("sluicegate_approvals_glass_broken_total 1\n")
    });
    assert!(stage.gateway.log().contains("ERROR the glass is broken"), "{}", stage.gateway.log());
    stage.gateway.terminate();
    let rows = audit::rows(&stage.gateway.audit(), "calls");
    assert!(rows.iter().any(|row| row["approval"] == id && row["reason"] == "break-glass" && row["status"] == "ok"));
}

#[test]
fn an_approval_survives_a_kill_and_the_client_that_went_away() {
    let mut stage = Stage::new(30);
    let agent = stage.agent();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sql","arguments":{"sql":"late"}}}"#;
    let mut connection = Connection::open(stage.gateway.port);
    connection.send(stage.gateway.request("POST", &agent, "", body).as_bytes());
    let id = stage.newest("pending");
    drop(connection);
    stage.gateway.kill();
    stage.gateway.restart();
    stage.gateway.wait_until_ready(&agent);
    assert_eq!(stage.state(&id), "pending");
    assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
    stage.gateway.kill();
    stage.gateway.restart();
    stage.gateway.wait_until_ready(&agent);
    assert_eq!((stage.state(&id).as_str(), stage.ran("sql")), ("approved", 0));
    assert!(stage.gateway.call(&agent, "sql", r#"{"sql":"late"}"#).json()["result"]["isError"].is_null());
    assert_eq!(stage.ran("sql"), 1);
}

#[test]
fn a_request_that_nobody_decides_expires_and_who_waits_is_told() {
    let stage = Stage::new(30);
    let started = Instant::now();
    let reply = stage.gateway.call(&stage.agent(), "soon", "{}");
    assert!(started.elapsed() >= Duration::from_secs(9), "{:?}", started.elapsed());
    let (id, status) = meta(&event_or_body(&reply));
    assert_eq!((status.as_str(), stage.state(&id).as_str(), stage.ran("soon")), ("expired", "expired", 0));
}

/// The last message of a reply, whether it came as an event or alone.
fn event_or_body(reply: &Reply) -> Reply {
    let last = reply.body.rsplit("data: ").next().unwrap_or_default().trim().to_owned();
    Reply { body: last, ..reply.clone() }
}

#[test]
fn r110_a_long_hold_is_told_with_comments_and_progress_and_the_connection_goes_on() {
    let stage = Stage::new(30);
    let agent = stage.agent();
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"sql","arguments":{"sql":"slow"},"_meta":{"progressToken":"p1"}}}"#;
    let plain = r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"echo","arguments":{"n":2}}}"#;
    let mut connection = Connection::open(stage.gateway.port);
    // The second request is there before the first is answered.
    let both = stage.gateway.request("POST", &agent, "", body) + &stage.gateway.request("POST", &agent, "", plain);
    connection.send(both.as_bytes());
    let head = connection.head().unwrap();
    assert!(head.contains("text/event-stream") && head.contains("chunked"), "{head}");
    let first = String::from_utf8(connection.chunk().unwrap()).unwrap();
    assert!(first.starts_with(": held for approval\n\n"), "{first}");
    let progress: Value = serde_json::from_str(first.rsplit("data: ").next().unwrap().trim()).unwrap();
    assert_eq!((&progress["method"], &progress["params"]["progressToken"]), (&json!("notifications/progress"), &json!("p1")));
    let id = stage.newest("pending");
    stage.decide(&id, "approve", &stage.dba("ann"));
    let result = String::from_utf8(connection.chunk().unwrap()).unwrap();
    let result: Value = serde_json::from_str(result.rsplit("data: ").next().unwrap().trim()).unwrap();
    assert_eq!((&result["id"], &result["result"]["content"][0]["text"]), (&json!(7), &json!(r#"{"sql":"slow"}"#)));
    assert!(connection.chunk().unwrap().is_empty());
    let next = connection.reply().unwrap();
    assert_eq!((next.status, &next.json()["id"]), (200, &json!(8)));
    assert_eq!((stage.ran("sql"), stage.ran("echo")), (1, 1));
}

#[test]
fn r90_a_stream_of_events_goes_into_the_one_that_has_begun_and_is_masked() {
    let stage = Stage::new(30);
    let agent = stage.agent();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| stage.gateway.call(&agent, "sql", r#"{"sql":"stream"}"#));
        let id = stage.newest("pending");
        // Until the first sign of life has gone out.
        std::thread::sleep(Duration::from_secs(11));
        assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
        let reply = call.join().unwrap();
        assert_eq!(reply.head.matches("HTTP/1.1").count(), 1);
        let events: Vec<&str> = reply.body.split("\n\n").filter(|event| !event.is_empty()).collect();
        assert_eq!(events.len(), 3, "{:?}", reply.body);
        assert_eq!(events[0], ": held for approval");
        assert!(events[1].contains("notifications/message") && events[2].contains("mail to [EMAIL_ADDRESS]"), "{events:?}");
        wait_until("the end", || stage.state(&id) == "done");
    });
}

#[test]
fn an_approvers_new_key_is_fetched() {
    let stage = Stage::new(0);
    let (id, _) = meta(&stage.gateway.call(&stage.agent(), "sql", "{}"));
    stage.issuer.add_key(Algorithm::EdDsa, "k2");
    // Keys are fetched anew at most every thirty seconds, and the first fetch was at the start.
    std::thread::sleep(Duration::from_secs(31));
    assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
}

#[test]
fn a_call_too_long_to_be_read_and_one_without_an_answer_are_blocked() {
    let stage = Stage::new(0);
    let agent = stage.agent();
    let long = stage.gateway.call(&agent, "sql", &json!({"sql": "x".repeat(70_000)}).to_string());
    assert!(long.body.contains("the call is too long for anybody to read it"), "{}", long.body);
    let body = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"sql","arguments":{}}}"#;
    assert_eq!(stage.gateway.post(&agent, body).status, 202);
    assert_eq!(stage.ask("GET", "/approvals", &stage.dba("ann"), "").json()["approvals"], json!([]));
    assert_eq!(stage.ran("sql"), 0);
}

#[test]
fn without_its_store_only_calls_that_need_approval_stop() {
    let mut stage = Stage::new(0);
    let agent = stage.agent();
    stage.gateway.terminate();
    let store = stage.gateway.dir.path().join("approvals/approvals.redb");
    std::fs::write(&store, "this is no database").unwrap();
    stage.gateway.restart();
    stage.gateway.wait_until_ready(&agent);
    assert_eq!(meta(&stage.gateway.call(&agent, "sql", "{}")).1, "unavailable");
    assert!(stage.gateway.call(&agent, "echo", "{}").json()["result"]["isError"].is_null());
    assert!(stage.gateway.call(&agent, "admin_x", "{}").body.contains("Blocked by policy rule"));
    // As soon as the store can be used, so can approvals.
    std::fs::remove_file(&store).unwrap();
    wait_until("the store", || meta(&stage.gateway.call(&agent, "sql", "{}")).1 == "pending");
    assert_eq!(stage.ran("sql"), 0);
}

#[test]
fn r125_the_command_line_shows_a_call_inert_and_decides() {
    let stage = Stage::new(0);
    let (id, _) = meta(&stage.gateway.call(&stage.agent(), "sql", "{\"sql\":\"a\u{202e}b\"}"));
    let file = stage.gateway.dir.path().join("token");
    std::fs::write(&file, stage.dba("ann")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("approvals").args(arguments).args(["--url", &format!("http://127.0.0.1:{}", stage.gateway.admin)]);
        let output = command.arg("--token-file").arg(&file).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(run(&["list"]).1.contains("--token-file: the credential's file has mode 0644"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (code, listed) = run(&["list"]);
    assert!(code == 0 && listed.contains(&id) && listed.contains("corp:agent-a"), "{listed}");
    let (_, shown) = run(&["show", &id]);
    assert!(shown.contains("params     {\"name\":\"sql\",\"arguments\":{\"sql\":\"a\\u202eb\"}}"), "{shown}");
    assert_eq!(run(&["cancel", &id]), (1, "sluicegate: 403: only who asked can take a request back\n".to_owned()));
    assert_eq!(run(&["approve", &id, "--reason", "ticket 4711"]), (0, format!("{id} approved\n")));
    assert!(run(&["show", &id]).1.contains("approve    corp:ann "));
    assert_eq!(run(&["deny", &id]), (0, format!("{id} revoked\n")));
    assert_eq!(run(&["list"]).1.lines().count(), 1);
    assert_eq!(meta(&stage.gateway.call(&stage.agent(), "sql", "{\"sql\":\"a\u{202e}b\"}")).1, "denied");
    assert_eq!(stage.ran("sql"), 0);
}

/// The calls of a tool that came to the upstream.
fn arrived(stage: &Stage, tool: &str) -> usize {
    let named = format!("\"name\":\"{tool}\"");
    stage.upstream.requests.lock().unwrap().iter().filter(|request| request.body.contains(&named)).count()
}

#[test]
fn r121_an_approval_is_not_used_up_by_a_call_that_something_else_stops() {
    let stage = Stage::with(30, "[[budget]]\nid = \"one\"\nwhat = { tool = \"*\" }\nwindow_s = 604800\ncalls = 1\n");
    let agent = stage.agent();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| stage.gateway.call(&agent, "sql", r#"{"sql":"x"}"#));
        let id = stage.newest("pending");
        // While it waits it takes nothing from the budget, which another call uses up.
        assert!(stage.gateway.call(&agent, "lookup", "{}").body.contains("content"));
        assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
        let told = held.join().unwrap().body;
        assert!(told.contains("the budget \\\"one\\\" is used up"), "{told}");
        wait_until("the approval stands", || stage.state(&id) == "approved");
    });
    assert_eq!((arrived(&stage, "lookup"), arrived(&stage, "sql")), (1, 0));
}

#[test]
fn a_token_that_ends_while_its_call_waits_runs_nothing() {
    let stage = Stage::new(30);
    let mut claims = stage.issuer.claims(&stage.gateway.audience);
    let now = claims["iat"].as_u64().unwrap();
    // Within the leeway for clocks, of 30 s, for a few seconds more.
    (claims["iat"], claims["exp"]) = (json!(now - 600), json!(now - 25));
    let ending = stage.issuer.sign(&claims);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| stage.gateway.call(&ending, "sql", r#"{"sql":"x"}"#));
        let id = stage.newest("pending");
        wait_until("the token's end", || stage.gateway.call(&ending, "lookup", "{}").status == 401);
        assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
        assert_eq!(held.join().unwrap().status, 401);
        wait_until("the approval stands", || stage.state(&id) == "approved");
    });
    assert_eq!(arrived(&stage, "sql"), 0);
}

#[test]
fn r120_fields_that_nobody_saw_do_not_go_with_an_approved_call() {
    let stage = Stage::new(0);
    let agent = stage.agent();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sql","arguments":{"sql":"x"}}}"#;
    let call = |fields: &str| {
        let mut connection = Connection::open(stage.gateway.port);
        connection.send(stage.gateway.request("POST", &agent, fields, body).as_bytes());
        connection.reply().unwrap()
    };
    let (id, _) = meta(&call("X-Tenant: staging\r\n"));
    stage.decide(&id, "approve", &stage.dba("ann"));
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let reply = call(&format!("X-Tenant: prod\r\nMcp-Param-Sql: x\r\nMcp-Param-Region: eu\r\n{trace}"));
    assert!(reply.json()["result"]["isError"].is_null(), "{reply:?}");
    let sent = stage.upstream.last();
    assert_eq!((sent.field("X-Tenant"), sent.field("Mcp-Param-Region")), (None, None), "{}", sent.head);
    assert!(sent.field("Mcp-Param-Sql") == Some("x") && sent.field("traceparent").is_some(), "{}", sent.head);
}

#[test]
fn r121_an_approval_is_not_used_up_where_nothing_was_sent() {
    let (issuer, port) = (Issuer::start(Algorithm::EdDsa), free_port());
    let setup = Setup::new(&issuer.url, &format!("http://127.0.0.1:{port}/mcp")).with(HOLD).with_approvals(0);
    let mut stage = Stage { issuer, upstream: Upstream::start(answer), gateway: Gateway::start(&setup) };
    let agent = stage.agent();
    stage.gateway.wait_until_ready(&agent);
    let (id, _) = meta(&stage.gateway.call(&agent, "sql", r#"{"sql":"x"}"#));
    stage.decide(&id, "approve", &stage.dba("ann"));
    assert_eq!(stage.gateway.call(&agent, "sql", r#"{"sql":"x"}"#).status, 502);
    wait_until("the approval stands", || stage.state(&id) == "approved");
    stage.upstream = Upstream::start_at(port, answer);
    let reply = stage.gateway.call(&agent, "sql", r#"{"sql":"x"}"#);
    assert!(reply.json()["result"]["isError"].is_null(), "{reply:?}");
    assert_eq!(stage.ran("sql"), 1);
    wait_until("the end", || stage.state(&id) == "done");
}

#[test]
fn r121_a_client_that_has_gone_takes_no_grant() {
    let stage = Stage::new(30);
    let agent = stage.agent();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sql","arguments":{"sql":"x"}}}"#;
    let mut gone = Connection::open(stage.gateway.port);
    gone.send(stage.gateway.request("POST", &agent, "", body).as_bytes());
    let id = stage.newest("pending");
    drop(gone);
    assert_eq!(stage.decide(&id, "approve", &stage.dba("ann")).status, 200);
    let reply = stage.gateway.call(&agent, "sql", r#"{"sql":"x"}"#);
    assert!(reply.json()["result"]["isError"].is_null(), "{reply:?}");
    assert_eq!(stage.ran("sql"), 1);
    wait_until("the end", || stage.state(&id) == "done");
}
