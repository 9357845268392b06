//! People are told of held calls by webhook, and decide in Slack: a real receiver with faults, and requests signed as Slack signs them.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup, free_port};
use sluicegate_tests::issuer::{Issuer, now};
use sluicegate_tests::upstream::{Certified, Request, Step, Upstream, json as json_reply};
use sluicegate_tests::wait_until;

/// The secret that the libraries of Standard Webhooks are tested with.
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The signing secret of Slack's documentation.
const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

const HOLD: &str = r#"
[[rule]]
id = "dba"
what = { upstream = "crm", tool = "sql" }
effect = "approve"
approve = { group = "dba", ttl_s = 60 }
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
"#;

fn sha256_hmac(key: &[u8], text: &[&[u8]]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &text.concat()).as_ref().to_vec()
}

/// What Standard Webhooks asks for in `webhook-signature`.
fn webhook_signature(id: &str, at: &str, body: &str) -> String {
    let key = STANDARD.decode(WEBHOOK_SECRET.trim_start_matches("whsec_")).unwrap();
    format!("v1,{}", STANDARD.encode(sha256_hmac(&key, &[id.as_bytes(), b".", at.as_bytes(), b".", body.as_bytes()])))
}

/// What Slack writes in `X-Slack-Signature`.
fn slack_signature(at: &str, body: &str) -> String {
    let tag = sha256_hmac(SLACK_SECRET.as_bytes(), &[b"v0:", at.as_bytes(), b":", body.as_bytes()]);
    format!("v0={}", tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[test]
fn the_tests_sign_as_the_published_examples_do() {
    let signature = webhook_signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = slack_signature("1531420618", body);
    assert_eq!(signature, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
}

/// What a receiver of webhooks was sent, each checked as Standard Webhooks says.
fn notices(receiver: &Upstream) -> Vec<(String, Value)> {
    let requests = receiver.requests.lock().unwrap();
    let check = |request: &Request| {
        assert_eq!(request.line().0, "POST");
        assert_eq!(request.field("content-type"), Some("application/json"));
        let (id, at) = (request.field("webhook-id").unwrap(), request.field("webhook-timestamp").unwrap());
        assert!(at.parse::<u64>().unwrap().abs_diff(now()) < 60, "{at}");
        assert_eq!(request.field("webhook-signature"), Some(webhook_signature(id, at, &request.body).as_str()));
        (id.to_owned(), serde_json::from_str(&request.body).unwrap())
    };
    requests.iter().map(check).collect()
}

/// Waits until a receiver was told this, and gives the notice.
fn told(receiver: &Upstream, id: &str) -> Value {
    let mut found = None;
    wait_until(id, || {
        found = notices(receiver).into_iter().find(|(known, _)| known == id);
        found.is_some()
    });
    found.unwrap().1
}

fn ok() -> Vec<Step> {
    json_reply(200, "{}")
}

struct Stage {
    issuer: Issuer,
    _upstream: Upstream,
    gateway: Gateway,
}

impl Stage {
    /// With these tables in the configuration, and what is called answered at once.
    fn new(tables: &str) -> Stage {
        Stage::of(|setup| setup.with(tables))
    }

    fn of(change: impl FnOnce(Setup) -> Setup) -> Stage {
        let issuer = Issuer::start(Algorithm::EdDsa);
        let upstream = Upstream::start(|request| {
            let reply = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": request.body}]}});
            json_reply(200, &reply.to_string())
        });
        let setup = Setup::new(&issuer.url, &upstream.url).with(HOLD).with_approvals(0);
        let setup = setup.with_secret("whsec", WEBHOOK_SECRET).with_secret("slack-secret", SLACK_SECRET);
        let stage = Stage { gateway: Gateway::start(&change(setup)), issuer, _upstream: upstream };
        stage.gateway.wait_until_ready(&stage.agent());
        stage
    }

    fn agent(&self) -> String {
        self.issuer.token(&self.gateway.audience)
    }

    /// A call that is held: the id of its request.
    fn held(&self, tool: &str, arguments: &str) -> String {
        let reply = self.gateway.call(&self.agent(), tool, arguments).json();
        let meta = &reply["result"]["_meta"];
        assert_eq!(meta["status"], "pending", "{reply}");
        meta["approvalId"].as_str().unwrap().to_owned()
    }

    fn dba(&self, subject: &str) -> String {
        let mut claims = self.issuer.claims(&format!("http://127.0.0.1:{}/approvals", self.gateway.port));
        (claims["sub"], claims["client_id"], claims["roles"]) = (json!(subject), json!("console"), json!(["dba"]));
        self.issuer.sign(&claims)
    }

    fn ask(&self, method: &str, path: &str, fields: &str, body: &str) -> Reply {
        let mut connection = Connection::open(self.gateway.admin);
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        connection.send((head + body).as_bytes());
        connection.reply().unwrap()
    }

    fn decide(&self, id: &str, verdict: &str, who: &str) -> u16 {
        let fields = format!("Authorization: Bearer {}\r\n", self.dba(who));
        self.ask("POST", &format!("/approvals/{id}/{verdict}"), &fields, r#"{"reason":"seen"}"#).status
    }

    fn shown(&self, id: &str) -> Value {
        let fields = format!("Authorization: Bearer {}\r\n", self.dba("ann"));
        self.ask("GET", &format!("/approvals/{id}"), &fields, "").json()
    }

    /// How many notices ended in a way: delivered, failed or dropped.
    fn count(&self, how: &str) -> u64 {
        let text = self.ask("GET", "/metrics", "", "").body;
        let name = format!("sluicegate_approval_notices_{how}_total ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }
}

/// A receiver's table in the configuration.
fn table(url: &str) -> String {
    format!("[[approval.notify]]\nurl = \"{url}\"\nsecret = {{ file = \"whsec\" }}\n")
}

#[test]
fn each_change_is_told_once_and_signed() {
    let receiver = Upstream::start(|_| ok());
    let deaf = Upstream::start(|_| ok());
    let stage = Stage::new(&(table(&receiver.url) + &table(&deaf.url) + "rules = [\"two\"]\n"));
    let soon = stage.held("soon", "{}");
    let id = stage.held("sql", "{\"sql\":\"delete 4111 1111 1111 1111\u{202e}\"}");
    let pending = told(&receiver, &format!("{id}-pending"));
    assert_eq!((&pending["type"], &pending["data"]["state"]), (&json!("approval.pending"), &json!("pending")));
    let data = &pending["data"];
    assert_eq!((&data["id"], &data["requester"], &data["rule"]), (&json!(id), &json!("corp:agent-a"), &json!("dba")));
    assert_eq!((&data["tool"], &data["upstream"], &data["group"]), (&json!("sql"), &json!("crm"), &json!("dba")));
    assert_eq!(data["params"], stage.shown(&id)["params"]);
    assert!(data["params"].as_str().unwrap().contains("\\u202e") && data["cut"] == json!(false), "{data}");
    // The same call asks again, and nobody is told anew.
    assert_eq!(stage.held("sql", "{\"sql\":\"delete 4111 1111 1111 1111\u{202e}\"}"), id);
    assert_eq!(stage.decide(&id, "deny", "ann"), 200);
    let decided = told(&receiver, &format!("{id}-decided-1"));
    let decision = &decided["data"]["decisions"][0];
    assert_eq!(
        (&decision["approver"], &decision["method"], &decision["reason"]),
        (&json!("corp:ann"), &json!("bearer"), &json!("seen"))
    );
    assert_eq!((&decided["type"], &decided["data"]["state"]), (&json!("approval.decided"), &json!("denied")));
    assert_eq!(told(&receiver, &format!("{soon}-expired"))["data"]["state"], "expired");
    let ids: Vec<String> = notices(&receiver).into_iter().map(|(id, _)| id).collect();
    let expected = [format!("{soon}-pending"), format!("{id}-pending"), format!("{id}-decided-1"), format!("{soon}-expired")];
    assert_eq!(ids, expected);
    assert!(notices(&deaf).is_empty());
    wait_until("the count", || (stage.count("delivered"), stage.count("failed"), stage.count("dropped")) == (4, 0, 0));
}

#[test]
fn r125_a_long_call_is_cut_and_the_notice_says_where_the_whole_is() {
    let receiver = Upstream::start(|_| ok());
    let limits = "[limits]\napproval_notice_params_bytes_max = 1000\n";
    let stage = Stage::new(&(table(&receiver.url) + limits));
    let id = stage.held("sql", &json!({"sql": "x".repeat(50_000)}).to_string());
    let data = told(&receiver, &format!("{id}-pending"))["data"].clone();
    assert_eq!((data["params"].as_str().unwrap().len(), &data["cut"]), (1000, &json!(true)));
    let page = format!("http://localhost:{}/ui/approvals/{id}", stage.gateway.admin);
    assert_eq!(data["note"], format!("cut; see the whole at {page} or with `sluicegate approvals show {id}`"));
    assert_eq!(data["page"], page);
    assert!(stage.shown(&id)["params"].as_str().unwrap().len() > 50_000);
}

/// What a receiver answers, one after the other; the last again and again.
fn in_turn(answers: Vec<Vec<Step>>) -> impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static {
    let next = AtomicUsize::new(0);
    move |_| answers[next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)].clone()
}

#[test]
fn a_receiver_that_fails_is_asked_again_with_the_same_id_and_delays_no_call() {
    let slow = [vec![Step::Pause(3000)], ok()].concat();
    let receiver = Upstream::start(in_turn(vec![json_reply(500, "{}"), vec![Step::Close], slow, ok()]));
    let stage = Stage::new(&(table(&receiver.url) + "[limits]\napproval_notice_time_max_ms = 300\n"));
    let started = Instant::now();
    let id = stage.held("sql", "{}");
    let other = stage.held("sql", r#"{"sql":"other"}"#);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    wait_until("both", || stage.count("delivered") == 2);
    let seen = notices(&receiver);
    assert_eq!(seen.len(), 5, "{seen:?}");
    for id in [id, other] {
        let mut same = seen.iter().filter(|(known, _)| *known == format!("{id}-pending")).map(|(_, body)| body);
        let first = same.next().unwrap();
        assert!(same.all(|body| body == first));
    }
    assert_eq!((stage.count("failed"), stage.count("dropped")), (0, 0));
}

#[test]
fn a_receiver_that_was_down_is_told_when_it_is_up() {
    let port = free_port();
    let stage = Stage::new(&table(&format!("http://127.0.0.1:{port}/hook")));
    let id = stage.held("sql", "{}");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(stage.decide(&id, "deny", "ann"), 200);
    let receiver = Upstream::start_at(port, |_| ok());
    told(&receiver, &format!("{id}-decided-1"));
    // In the order in which it happened.
    let ids: Vec<String> = notices(&receiver).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [format!("{id}-pending"), format!("{id}-decided-1")]);
}

#[test]
fn a_receiver_may_ask_for_time() {
    let busy = b"HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n".to_vec();
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (seen, answers) = (Arc::clone(&times), in_turn(vec![vec![Step::Send(busy)], ok()]));
    let receiver = Upstream::start(move |request| {
        seen.lock().unwrap().push(Instant::now());
        answers(request)
    });
    let stage = Stage::new(&table(&receiver.url));
    stage.held("sql", "{}");
    wait_until("the notice", || stage.count("delivered") == 1);
    let times = times.lock().unwrap();
    assert!(times.len() == 2 && times[1] - times[0] >= Duration::from_millis(2900), "{times:?}");
}

#[test]
fn no_redirect_is_followed_and_no_reply_is_read() {
    let elsewhere = Upstream::start(|_| ok());
    let redirect = format!("HTTP/1.1 307 X\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url).into_bytes();
    let chunk = [b"100000\r\n".to_vec(), vec![b'x'; 0x10_0000], b"\r\n".to_vec()].concat();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let huge: Vec<Step> = std::iter::once(head).chain(std::iter::repeat_n(chunk, 256)).map(Step::Send).collect();
    let receiver = Upstream::start(in_turn(vec![vec![Step::Send(redirect)], huge, ok()]));
    let stage = Stage::new(&table(&receiver.url));
    stage.held("sql", "{}");
    wait_until("the redirect", || stage.count("failed") == 1);
    let started = Instant::now();
    stage.held("sql", r#"{"sql":"huge"}"#);
    wait_until("the huge reply", || stage.count("delivered") == 1);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    stage.held("sql", r#"{"sql":"after"}"#);
    wait_until("the one after", || stage.count("delivered") == 2);
    assert!(elsewhere.requests.lock().unwrap().is_empty());
    assert_eq!(receiver.requests.lock().unwrap().len(), 3);
}

#[test]
fn what_waits_for_a_dead_receiver_is_bounded() {
    let limits = "[limits]\napproval_notices_waiting_max = 2\n";
    let stage = Stage::new(&(table(&format!("http://127.0.0.1:{}/hook", free_port())) + limits));
    (0..5).for_each(|index| drop(stage.held("sql", &json!({"sql": index}).to_string())));
    wait_until("the count", || stage.count("dropped") == 3);
    assert_eq!(stage.count("delivered"), 0);
    assert!(stage.gateway.log().contains("too many notices wait for a receiver"));
}

#[test]
fn after_a_restart_what_is_pending_is_told_again_with_the_same_id() {
    let receiver = Upstream::start(|_| ok());
    let mut stage = Stage::new(&table(&receiver.url));
    let id = stage.held("sql", r#"{"sql":"a"}"#);
    let denied = stage.held("sql", r#"{"sql":"b"}"#);
    assert_eq!(stage.decide(&denied, "deny", "ann"), 200);
    told(&receiver, &format!("{denied}-decided-1"));
    stage.gateway.kill();
    stage.gateway.restart();
    wait_until("the second time", || {
        notices(&receiver).iter().filter(|(known, _)| *known == format!("{id}-pending")).count() == 2
    });
    let again = notices(&receiver).split_off(3);
    assert_eq!((again.len(), &again[0].0), (1, &format!("{id}-pending")));
    assert_eq!(again[0].1, told(&receiver, &format!("{id}-pending")));
}

#[test]
fn a_receiver_of_an_own_authority_is_reached_by_its_ca_only() {
    let certified = Certified::new("localhost");
    let (known, unknown) = (Upstream::start_tls(&certified, |_| ok()), Upstream::start_tls(&certified, |_| ok()));
    let tables = table(&known.url) + "ca = \"hook-ca.pem\"\n" + &table(&unknown.url);
    let stage = Stage::of(|setup| setup.with_secret("hook-ca.pem", certified.authority.as_str()).with(&tables));
    let id = stage.held("sql", "{}");
    told(&known, &format!("{id}-pending"));
    wait_until("the refusal", || stage.gateway.log().contains("a notice could not be sent"));
    assert!(unknown.requests.lock().unwrap().is_empty());
}

/// A stage with Slack: the receiver takes messages at `/hook` and answers at `/answer`.
struct SlackStage {
    stage: Stage,
    slack: Upstream,
    presses: AtomicUsize,
}

/// The people of Slack: `U1` is ann and `U2` bob, who decide; `U3` is who asks, `U4` decides about something else.
fn people() -> String {
    let user = |(user, subject, group): (&str, &str, &str)| {
        format!(
            "[[approval.slack.user]]\nteam = \"T1\"\nuser = \"{user}\"\nissuer = \"corp\"\nsubject = \"{subject}\"\ngroups = [\"{group}\"]\n"
        )
    };
    [("U1", "ann", "dba"), ("U2", "bob", "corp:dba"), ("U3", "agent-a", "dba"), ("U4", "eve", "ops")].map(user).concat()
}

impl SlackStage {
    fn new() -> SlackStage {
        let slack = Upstream::start(|_| json_reply(200, "ok"));
        let site = slack.url.trim_end_matches("/mcp");
        let tables = format!(
            "[[approval.notify]]\nurl_secret = {{ file = \"hook\" }}\nformat = \"slack\"\n[approval.slack]\n\
             signing_secret = {{ file = \"slack-secret\" }}\nanswer_origin = \"{site}\"\n{}",
            people()
        );
        let stage = Stage::of(|setup| setup.with_secret("hook", format!("{site}/hook")).with(&tables));
        SlackStage { stage, slack, presses: AtomicUsize::new(0) }
    }

    /// The bodies of what was sent to a path.
    fn sent(&self, path: &str) -> Vec<Value> {
        let requests = self.slack.requests.lock().unwrap();
        let there = requests.iter().filter(|request| request.line().1 == path);
        there.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
    }

    /// The buttons of the message about a request.
    fn buttons(&self, id: &str) -> Vec<Value> {
        let mut found = None;
        let is_about = |message: &Value| message["text"].as_str().unwrap().contains(id);
        wait_until("the message", || {
            found = self.sent("/hook").into_iter().find(is_about);
            found.is_some()
        });
        buttons(&found.unwrap())
    }

    /// What Slack sends when a user has pressed a button.
    fn press(&self, user: &str, button: &Value) -> String {
        let payload = json!({
            "type": "block_actions",
            "user": {"id": user, "username": "somebody", "team_id": "T1"},
            "team": {"id": "T1", "domain": "acme"},
            "channel": {"id": "C1", "name": "approvals"},
            "trigger_id": format!("398738663015.{}", self.presses.fetch_add(1, Ordering::Relaxed)),
            "response_url": self.slack.url.replace("/mcp", "/answer"),
            "actions": [button],
        });
        let hex = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        format!("payload={}", payload.to_string().bytes().map(hex).collect::<String>())
    }

    /// Sends it as Slack does: the status.
    fn send(&self, body: &str) -> u16 {
        let at = now().to_string();
        self.send_as(&at, &slack_signature(&at, body), body)
    }

    fn send_as(&self, at: &str, signature: &str, body: &str) -> u16 {
        let fields = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nX-Slack-Request-Timestamp: {at}\r\nX-Slack-Signature: {signature}\r\n"
        );
        let started = Instant::now();
        let reply = self.stage.ask("POST", "/slack/interactive", &fields, body);
        assert!(started.elapsed() < Duration::from_secs(3), "Slack would have given up: {:?}", started.elapsed());
        reply.status
    }

    /// The answer to what a user has pressed.
    fn answer(&self, user: &str, button: &Value) -> Value {
        self.answer_to(&self.press(user, button))
    }

    fn answer_to(&self, body: &str) -> Value {
        let before = self.sent("/answer").len();
        assert_eq!(self.send(body), 200);
        wait_until("an answer", || self.sent("/answer").len() > before);
        self.sent("/answer").swap_remove(before)
    }

    /// Why a user's press decided nothing.
    fn refusal(&self, user: &str, button: &Value) -> String {
        refused(&self.answer(user, button))
    }
}

/// Why nothing was decided, as an answer says it to the one who pressed only.
fn refused(answer: &Value) -> String {
    assert_eq!((&answer["response_type"], &answer["replace_original"]), (&json!("ephemeral"), &json!(false)));
    answer["text"].as_str().unwrap().trim_start_matches("Nothing was decided: ").to_owned()
}

/// The buttons of a message, as Slack sends the one that was pressed.
fn buttons(message: &Value) -> Vec<Value> {
    let blocks = message["blocks"].as_array().unwrap();
    let actions = blocks.iter().filter(|block| block["type"] == "actions");
    actions.flat_map(|block| block["elements"].as_array().unwrap().clone()).collect()
}

#[test]
fn r123_a_call_runs_that_somebody_of_the_group_has_approved_in_slack() {
    let at = SlackStage::new();
    let id = at.stage.held("sql", r#"{"sql":"drop"}"#);
    let [approve, deny] = &at.buttons(&id)[..] else { panic!("not two buttons") };
    // Whom nobody named, who asked, who is in another group, and somebody of another workspace.
    assert!(at.refusal("U9", approve).starts_with("the gateway does not know who you are"));
    assert_eq!(at.refusal("U3", approve), "nobody decides about a request of their own.");
    assert_eq!(at.refusal("U4", deny), "there is no such request.");
    let of_another_workspace = at.answer_to(&at.press("U1", approve).replace("T1", "T2"));
    assert!(refused(&of_another_workspace).starts_with("the gateway does not know who you are"));
    let mut other = approve.clone();
    other["value"] = json!(format!("{id} {}", "0".repeat(64)));
    assert_eq!(at.refusal("U1", &other), "the message is about another call than the request.");
    assert_eq!(at.stage.shown(&id)["decisions"], json!([]));
    let answer = at.answer("U1", approve);
    assert_eq!((&answer["replace_original"], buttons(&answer).len()), (&json!(true), 0));
    assert!(answer["text"].as_str().unwrap().contains(&format!("{id} is approved")), "{answer}");
    assert!(answer.to_string().contains("Approved by corp:ann at "), "{answer}");
    let decision = &at.stage.shown(&id)["decisions"][0];
    assert_eq!((&decision["approver"], &decision["method"]), (&json!("corp:ann"), &json!("slack")));
    assert_eq!(at.refusal("U2", approve), "the request is approved already.");
    let reply = at.stage.gateway.call(&at.stage.agent(), "sql", r#"{"sql":"drop"}"#).json();
    assert!(reply["result"]["isError"].is_null(), "{reply}");
}

#[test]
fn r123_a_quorum_in_slack_takes_several_people_and_a_denial_wins() {
    let at = SlackStage::new();
    let id = at.stage.held("two", "{}");
    let pressed = at.buttons(&id);
    let answer = at.answer("U1", &pressed[0]);
    // The message stays open for the next, and says who has approved.
    assert_eq!((buttons(&answer).len(), &at.stage.shown(&id)["state"]), (2, &json!("pending")));
    assert!(answer.to_string().contains("1 of 2"), "{answer}");
    assert_eq!(at.refusal("U1", &pressed[0]), "you have approved it already.");
    let denied = at.answer("U2", &buttons(&answer)[1]);
    assert!(denied["text"].as_str().unwrap().contains("is denied") && buttons(&denied).is_empty(), "{denied}");
    assert_eq!(at.stage.shown(&id)["state"], "denied");
}

#[test]
fn r125_what_slack_cut_is_denied_there_and_not_approved() {
    let at = SlackStage::new();
    let id = at.stage.held("sql", &json!({"sql": "x".repeat(5000)}).to_string());
    let [deny] = &at.buttons(&id)[..] else { panic!("not one button") };
    assert_eq!(deny["action_id"], "deny");
    let mut approve = deny.clone();
    approve["action_id"] = json!("approve");
    assert_eq!(at.refusal("U1", &approve), "the message does not show the whole call, so it can only be denied here.");
    assert!(at.answer("U1", deny)["text"].as_str().unwrap().contains("is denied"));
    // With a token, which shows the whole, another such call can be approved.
    let other = at.stage.held("sql", &json!({"sql": "y".repeat(5000)}).to_string());
    assert_eq!(at.stage.decide(&other, "approve", "ann"), 200);
}

#[test]
fn what_slack_did_not_sign_now_for_the_first_time_decides_nothing() {
    let at = SlackStage::new();
    let id = at.stage.held("sql", "{}");
    let approve = at.buttons(&id).swap_remove(0);
    let body = at.press("U1", &approve);
    let signed = |off: i64| {
        let time = now().saturating_add_signed(off).to_string();
        (slack_signature(&time, &body), time)
    };
    let (signature, time) = signed(0);
    assert_eq!(at.send_as(&time, &signature.replace('a', "b"), &body), 401);
    assert_eq!(at.send_as(&time, "", &body), 401);
    assert_eq!(at.send_as(&time, &signature, &body.replace("U1", "U2")), 401);
    for off in [-310, 310] {
        let (signature, time) = signed(off);
        assert_eq!(at.send_as(&time, &signature, &body), 401, "{off}");
    }
    assert_eq!(at.stage.ask("POST", "/slack/interactive", "", &body).status, 401);
    assert_eq!(at.stage.ask("GET", "/slack/interactive", "", "").status, 405);
    assert_eq!(at.send("payload=%7B%7D"), 400);
    assert_eq!(at.send(&format!("{body}&more=1")), 400);
    assert_eq!(at.send(&"x".repeat(140_000)), 413);
    assert_eq!(at.stage.shown(&id)["state"], "pending");
    // What decides an answer's place is the configuration, not who sends.
    let elsewhere = Upstream::start(|_| ok());
    let astray = body.replace(&at.slack.url[17..at.slack.url.len() - 4], &elsewhere.url[17..elsewhere.url.len() - 4]);
    assert!(astray != body);
    assert_eq!(at.send(&astray.replace("U1", "U9")), 200);
    wait_until("the warning", || at.stage.gateway.log().contains("an answer to Slack was left out"));
    assert!(elsewhere.requests.lock().unwrap().is_empty());
    assert_eq!(at.send_as(&time, &signature, &body), 200);
    assert_eq!(at.send_as(&time, &signature, &body), 401);
    assert_eq!(at.stage.shown(&id)["state"], "approved");
}
