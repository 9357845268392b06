//! Two gateways that share their approvals in PostgreSQL: approved on one, run on either, once.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup, binary};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::postgres::{PASSWORD, Postgres};
use sluicegate_tests::upstream::{Request, Step, Upstream, json as json_reply};
use sluicegate_tests::wait_until;

const HOLD: &str = r#"
[[rule]]
id = "dba"
what = { upstream = "crm", tool = "sql" }
effect = "approve"
approve = { group = "dba" }
"#;

/// Two gateways, one by the socket of the database and one by TCP with TLS and a password.
struct Fleet {
    issuer: Issuer,
    upstream: Upstream,
    database: Postgres,
    gateways: [Gateway; 2],
}

fn answer(request: &Request) -> Vec<Step> {
    // Long enough that others ask while it runs.
    let reply = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, request.id());
    let mut steps = vec![Step::Pause(if request.body.contains("long") { 4000 } else { 200 })];
    steps.extend(json_reply(200, &reply));
    steps
}

fn decision_key() -> Vec<u8> {
    Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap().as_ref().to_vec()
}

impl Fleet {
    /// `None` where PostgreSQL is not installed and need not be.
    fn start(hold_s: u64) -> Option<Fleet> {
        let database = Postgres::start()?;
        let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::start(answer));
        let key = decision_key();
        let start = |keys: &str| {
            let setup = Setup::new(&issuer.url, &upstream.url).with(HOLD).with_approvals(hold_s).with_approval_keys(keys);
            let setup = setup.with_secret("approvals/decision-key", key.clone()).with_secret("db-password", PASSWORD);
            let gateway = Gateway::start(&setup.with_secret("db-ca.pem", database.authority.clone()));
            gateway.wait_until_ready(&issuer.token(&gateway.audience));
            gateway
        };
        let by_socket = start(&format!("store = \"{}\"", database.local()));
        let by_tls =
            start(&format!("store = \"{}\"\nstore_password_file = \"db-password\"\nstore_ca = \"db-ca.pem\"", database.remote()));
        Some(Fleet { issuer, upstream, database, gateways: [by_socket, by_tls] })
    }

    fn call(&self, at: usize, sql: &str) -> Reply {
        let gateway = &self.gateways[at];
        gateway.call(&self.issuer.token(&gateway.audience), "sql", &json!({ "sql": sql }).to_string())
    }

    fn ask(&self, at: usize, method: &str, path: &str) -> Reply {
        let gateway = &self.gateways[at];
        let mut claims = self.issuer.claims(&format!("http://127.0.0.1:{}/approvals", gateway.port));
        (claims["sub"], claims["client_id"], claims["roles"]) = (json!("ann"), json!("console"), json!(["dba"]));
        let token = self.issuer.sign(&claims);
        let mut connection = Connection::open(gateway.admin);
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n");
        connection.send(head.as_bytes());
        connection.reply().unwrap()
    }

    fn state(&self, at: usize, id: &str) -> String {
        self.ask(at, "GET", &format!("/approvals/{id}")).json()["state"].as_str().unwrap_or_default().to_owned()
    }

    fn approve(&self, at: usize, id: &str) {
        let reply = self.ask(at, "POST", &format!("/approvals/{id}/approve"));
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Sends a modern request of a client that takes tasks.
    fn send(&self, at: usize, method: &str, name: &str, members: &str) -> Connection {
        let gateway = &self.gateways[at];
        let fields = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n");
        let meta = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{members},"_meta":{{{meta}}}}}}}"#);
        let mut connection = Connection::open(gateway.port);
        let token = self.issuer.token(&gateway.audience);
        connection.send(gateway.request("POST", &token, &fields, &body).as_bytes());
        connection
    }

    fn modern(&self, at: usize, method: &str, name: &str, members: &str) -> Value {
        self.send(at, method, name, members).reply().unwrap().json()["result"].clone()
    }

    /// A call that becomes a task of the first gateway: the id of its request, and the task's.
    fn task(&self, sql: &str) -> (String, String) {
        let handed = self.modern(0, "tools/call", "sql", &format!(r#""name":"sql","arguments":{{"sql":"{sql}"}}"#));
        let id = handed["statusMessage"].as_str().unwrap().split(' ').nth(1).unwrap().to_owned();
        (id, handed["taskId"].as_str().unwrap().to_owned())
    }

    fn get(&self, at: usize, task: &str) -> Value {
        self.modern(at, "tasks/get", task, &format!(r#""taskId":"{task}""#))
    }

    fn ran(&self) -> usize {
        self.upstream.requests.lock().unwrap().iter().filter(|request| request.body.contains("\"name\":\"sql\"")).count()
    }
}

fn told(reply: &Reply) -> (String, String) {
    let meta: &Value = &reply.json()["result"]["_meta"];
    let text = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
    (text("approvalId"), text("status"))
}

fn has_run(reply: &Reply) -> bool {
    reply.json()["result"].is_object() && reply.json()["result"]["isError"].is_null()
}

#[test]
fn r121_a_call_that_is_approved_on_one_gateway_runs_once_on_all_of_them() {
    let Some(fleet) = Fleet::start(0) else { return };
    let (id, status) = told(&fleet.call(0, "once"));
    assert_eq!(status, "pending");
    // The same call finds the same request at the other one, which is where it is approved.
    assert_eq!(told(&fleet.call(1, "once")), (id.clone(), "pending".to_owned()));
    fleet.approve(1, &id);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..64)
            .map(|n| {
                scope.spawn({
                    let fleet = &fleet;
                    move || fleet.call(n % 2, "once")
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(replies.iter().filter(|reply| has_run(reply)).count(), 1);
    assert_eq!(fleet.ran(), 1);
    for at in [0, 1] {
        wait_until("the end is known to both", || fleet.state(at, &id) == "done");
    }
    let again = told(&fleet.call(0, "once"));
    assert!(again.0 != id && again.1 == "pending" && fleet.ran() == 1, "{again:?}");
}

#[test]
fn a_task_that_one_gateway_handed_out_is_run_by_another_and_known_to_both() {
    let Some(fleet) = Fleet::start(0) else { return };
    let (id, task) = fleet.task("task");
    let get = |at: usize| fleet.get(at, &task);
    assert_eq!((&get(0)["status"], &get(1)["status"]), (&json!("working"), &json!("working")));
    fleet.approve(0, &id);
    assert_eq!(get(1)["status"], "completed");
    let again = get(0);
    assert_eq!((&again["status"], &again["result"]["content"]), (&json!("completed"), &json!([])), "{again}");
    assert_eq!(fleet.ran(), 1);
}

#[test]
fn a_gateway_that_has_just_come_is_not_taken_for_one_that_is_gone() {
    let Some(mut fleet) = Fleet::start(0) else { return };
    let (id, _) = told(&fleet.call(0, "long"));
    fleet.approve(0, &id);
    fleet.gateways[1].kill();
    fleet.gateways[1].restart();
    fleet.gateways[1].wait_until_ready(&fleet.issuer.token(&fleet.gateways[1].audience));
    // It runs the call while the other one looks.
    assert!(has_run(&fleet.call(1, "long")));
    for at in [0, 1] {
        wait_until("the end is known to both", || fleet.state(at, &id) == "done");
    }
    assert_eq!(fleet.ran(), 1);
}

#[test]
fn a_task_whose_result_cannot_be_kept_has_not_completed_and_does_not_run_again() {
    let Some(mut fleet) = Fleet::start(0) else { return };
    let (id, task) = fleet.task("long");
    fleet.approve(0, &id);
    let mut connection = fleet.send(0, "tasks/get", &task, &format!(r#""taskId":"{task}""#));
    wait_until("the call runs", || fleet.ran() == 1);
    fleet.database.stop();
    let told = connection.reply().unwrap().json()["result"].clone();
    // Whether it is kept cannot be known now, so nothing final is said.
    assert_eq!(told["status"], "working", "{told}");
    fleet.database.run();
    wait_until("the end is known to both", || [0, 1].map(|at| fleet.state(at, &id)) == ["outcome_unknown"; 2]);
    assert_eq!([0, 1].map(|at| fleet.get(at, &task)["status"].clone()), ["failed"; 2]);
    assert_eq!(fleet.ran(), 1);
}

#[test]
fn a_held_call_goes_on_when_it_is_approved_at_another_gateway() {
    let Some(fleet) = Fleet::start(30) else { return };
    std::thread::scope(|scope| {
        let call = scope.spawn(|| fleet.call(0, "held"));
        let mut id = String::new();
        wait_until("the request at the other gateway", || {
            let listed = fleet.ask(1, "GET", "/approvals").json();
            id = listed["approvals"][0]["id"].as_str().unwrap_or_default().to_owned();
            !id.is_empty()
        });
        fleet.approve(1, &id);
        assert!(has_run(&call.join().unwrap()));
    });
    assert_eq!(fleet.ran(), 1);
}

#[test]
fn r121_a_call_whose_gateway_died_is_not_run_by_another() {
    let Some(mut fleet) = Fleet::start(0) else { return };
    let (id, _) = told(&fleet.call(0, "lost"));
    fleet.approve(1, &id);
    let agent = fleet.issuer.token(&fleet.gateways[0].audience);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sql","arguments":{"sql":"lost"}}}"#;
    let mut connection = Connection::open(fleet.gateways[0].port);
    connection.send(fleet.gateways[0].request("POST", &agent, "", body).as_bytes());
    wait_until("the call runs", || fleet.ran() == 1);
    fleet.gateways[0].kill();
    assert_eq!(told(&fleet.call(1, "lost")).1, "executing");
    wait_until("the other gateway is given up", || fleet.state(1, &id) == "outcome_unknown");
    assert_ne!(told(&fleet.call(1, "lost")).0, id);
    assert_eq!(fleet.ran(), 1);
}

#[test]
fn without_the_database_calls_that_need_approval_are_refused_and_all_others_go_on() {
    let Some(mut fleet) = Fleet::start(0) else { return };
    let (id, _) = told(&fleet.call(0, "later"));
    fleet.approve(0, &id);
    fleet.database.stop();
    for at in [0, 1] {
        assert_eq!(told(&fleet.call(at, "later")).1, "unavailable");
        let gateway = &fleet.gateways[at];
        assert!(has_run(&gateway.call(&fleet.issuer.token(&gateway.audience), "other", "{}")));
        assert_eq!(fleet.ask(at, "GET", &format!("/approvals/{id}")).status, 503);
    }
    assert_eq!(fleet.ran(), 0);
    fleet.database.run();
    wait_until("the approval counts again", || has_run(&fleet.call(1, "later")));
    assert_eq!(fleet.ran(), 1);
    assert!(!fleet.gateways.iter().any(|gateway| gateway.log().contains(PASSWORD)));
}

#[test]
fn r124_who_writes_to_the_database_alone_cannot_approve_and_another_key_is_refused() {
    let Some(fleet) = Fleet::start(0) else { return };
    let (id, _) = told(&fleet.call(0, "forged"));
    let forged = "UPDATE sluicegate_approvals SET seq = nextval('sluicegate_approvals_seq'), \
                  request = replace(request, '\"state\":\"pending\"', '\"state\":\"approved\"')";
    fleet.database.query(forged).unwrap();
    let answered = told(&fleet.call(1, "forged"));
    assert!(answered.0 != id && answered.1 == "pending" && fleet.ran() == 0, "{answered:?}");
    let stranger = Setup::new(&fleet.issuer.url, &fleet.upstream.url)
        .with(HOLD)
        .with_approvals(0)
        .with_approval_keys(&format!("store = \"{}\"", fleet.database.local()))
        .with_secret("approvals/decision-key", decision_key());
    let stranger = Gateway::start(&stranger);
    let token = fleet.issuer.token(&stranger.audience);
    stranger.wait_until_ready(&token);
    assert_eq!(told(&stranger.call(&token, "sql", r#"{"sql":"forged"}"#)).1, "unavailable");
    assert!(stranger.log().contains("copy the file `decision-key`"), "{}", stranger.log());
}

#[test]
fn what_is_said_wrongly_of_the_database_is_told_with_its_place() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with(HOLD).with_approvals(0));
    let file = gateway.dir.path().join("gate.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    for (keys, told) in [
        ("store = \"mysql://gate@db/x\"", "approval.store: is not the URL of a PostgreSQL database"),
        (
            "store = \"postgres://gate@db/x?nonsense=1\"",
            "approval.store: is not the URL of a PostgreSQL database: unknown option",
        ),
        ("store = \"postgres://gate:hunter2@db/x\"", "approval.store: holds a password"),
        ("store = \"postgres:///x\"", "approval.store: names no host"),
        ("store = \"postgres://gate@db/x?sslmode=disable\"", "approval.store: would be spoken to in the clear over a network"),
        ("store = \"postgres://gate@127.0.0.1/x\"\nstore_ca = \"gate.toml\"", "approval.store_ca: is for TLS"),
        ("store = \"postgres://gate@db/x\"\nstore_ca = \"gate.toml\"", "approval.store_ca: holds no certificate"),
        (
            "store = \"postgres://gate@db/x\"\nstore_password_file = \"none\"",
            "approval.store_password_file: cannot be used: the credential's file cannot be read",
        ),
        ("store_password_file = \"none\"", "approval.store_password_file: is for a database, and none is named"),
    ] {
        std::fs::write(&file, good.replace("[approval]\n", &format!("[approval]\n{keys}\n"))).unwrap();
        let output = Command::new(binary()).arg("check").arg("-c").arg(&file).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && err.contains(told) && !err.contains("hunter2"), "{keys}: {err}");
    }
}
