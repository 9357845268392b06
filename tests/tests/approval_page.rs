//! The page on which people decide: a real OpenID provider logs them in, and a real browser shows it, without scripts.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::{Value, json};
use sluicegate_tests::browser::{Browser, Page, form};
use sluicegate_tests::client::Reply;
use sluicegate_tests::gateway::{Gateway, Setup, free_port};
use sluicegate_tests::real::{Part, node, parts};
use sluicegate_tests::upstream::{Request, Step, Upstream, json as json_reply};
use sluicegate_tests::wait_until;

/// Holds what changes rows.
const HOLD: &str = r#"
[[rule]]
id = "writes"
what = { upstream = "crm", tool = "sql" }
args = [{ at = "/sql", sql = { dialect = "postgres", class = ["write", "ddl"] } }]
effect = "approve"
approve = { group = "dba", ttl_s = 600, use_ttl_s = 60 }
"#;

/// Echoes the arguments.
fn answer(request: &Request) -> Vec<Step> {
    let message: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let result = json!({"content": [{"type": "text", "text": message["params"]["arguments"].to_string()}]});
    json_reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
}

struct Stage {
    issuer: Part,
    upstream: Upstream,
    gateway: Gateway,
    agent: String,
    /// The page's origin.
    page: String,
}

impl Stage {
    /// With a public client at the provider, or one with a secret; `None` without the real parts.
    fn new(hold_s: u64, secret: Option<&str>) -> Option<Stage> {
        parts()?;
        let (port, admin) = (free_port(), free_port());
        let page = format!("http://localhost:{admin}");
        let (audience, redirect) = (format!("http://127.0.0.1:{port}/mcp/crm"), format!("{page}/ui/login/return"));
        let mut environment = vec![("AUDIENCE", audience.as_str()), ("LOGIN_REDIRECT", &redirect), ("ALG", "ES256")];
        environment.extend(secret.map(|secret| ("LOGIN_SECRET", secret)));
        let issuer = Part::start("issuer.mjs", &environment);
        let upstream = Upstream::start(answer);
        let mut login = "client_id = \"gate-ui\"".to_owned();
        let mut setup = Setup::new(&issuer.url, &upstream.url).with(HOLD).with_approvals(hold_s);
        if let Some(secret) = secret {
            login.push_str("\nclient_secret = { file = \"login-secret\" }");
            setup = setup.with_secret("login-secret", secret);
        }
        let gateway = Gateway::start_at(&setup.with_login(admin, &login), port);
        let agent = Browser::default().go(&format!("{}/_test/mint", issuer.url)).reply.body;
        gateway.wait_until_ready(&agent);
        Some(Stage { issuer, upstream, gateway, agent, page })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.page)
    }

    fn call(&self, sql: &str) -> Reply {
        self.gateway.call(&self.agent, "sql", &json!({ "sql": sql, "note": "<b>\u{202e}" }).to_string())
    }

    /// Asks for a call that is not held for long; returns the request's id.
    fn asked(&self, sql: &str) -> String {
        let meta = &self.call(sql).json()["result"]["_meta"];
        assert_eq!(meta["status"], "pending", "{meta}");
        meta["approvalId"].as_str().unwrap().to_owned()
    }

    /// Logs somebody in with the provider's forms, from an address of the page on.
    fn logs_in(&self, browser: &mut Browser, person: &str, from: &str) -> Page {
        let form = browser.go(&self.at(from));
        assert!(form.url.starts_with(&self.issuer.url) && form.reply.body.contains("name=\"login\""), "{form:?}");
        let consent = browser.send(&form, &form.action(), &[("prompt", "login"), ("login", person), ("password", "any")]);
        browser.send(&consent, &consent.action(), &[("prompt", "consent")])
    }

    /// A browser in which somebody is logged in.
    fn browser(&self, person: &str) -> Browser {
        let mut browser = Browser::default();
        let page = self.logs_in(&mut browser, person, "/ui/login");
        assert_eq!((page.url.as_str(), page.reply.status), (self.at("/ui/approvals").as_str(), 200), "{page:?}");
        assert!(page.reply.body.contains(&format!("Signed in as <b>corp:{person}</b>")), "{page:?}");
        browser
    }

    /// Where a request stands, as somebody sees it who may see it.
    fn state(&self, browser: &mut Browser, id: &str) -> String {
        let body = browser.go(&self.at(&format!("/ui/approvals/{id}"))).reply.body;
        body.split("<span class=\"badge ").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1)).unwrap_or(&body).to_owned()
    }

    /// Sends the form of a request's page as it stands there.
    fn decides(&self, browser: &mut Browser, id: &str, verb: &str, reason: &str) -> Page {
        let page = browser.go(&self.at(&format!("/ui/approvals/{id}")));
        let csrf = page.hidden("csrf").unwrap();
        browser.send(&page, &self.at(&format!("/ui/approvals/{id}/{verb}")), &[("csrf", &csrf), ("reason", reason)])
    }

    fn ran(&self, needle: &str) -> usize {
        self.upstream.requests.lock().unwrap().iter().filter(|request| request.body.contains(needle)).count()
    }

    /// Lets a person decide in Chromium; returns what was seen.
    fn in_chromium(&self, person: &str, id: &str, reason: &str) -> Value {
        let mut command = Command::new(node());
        command.arg("page.mjs").current_dir(parts().unwrap()).env("PAGE_URL", &self.page).env("REQUEST", id);
        let output = command.env("PERSON", person).env("REASON", reason).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}\n{}", String::from_utf8_lossy(&output.stderr), self.gateway.log());
        serde_json::from_str(&said).unwrap()
    }
}

/// The id of the request that waits, once one does.
fn waiting(stage: &Stage, browser: &mut Browser) -> String {
    let mut id = String::new();
    wait_until("a request", || {
        let body = browser.go(&stage.at("/ui/approvals")).reply.body;
        let section = body.split("<h2>Waiting for a decision</h2>").nth(1).unwrap_or_default().to_owned();
        id = section.split("/ui/approvals/").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
        !id.is_empty()
    });
    id
}

/// R-110, R-123, R-125: the whole way, with the keyboard alone and scripts off.
#[test]
fn r110_a_person_reads_a_held_call_and_approves_it_with_the_keyboard_and_it_runs_once() {
    let Some(stage) = Stage::new(120, None) else { return };
    let mut bob = stage.browser("bob");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| stage.call("update customers set vip = 1 where id = 7"));
        let id = waiting(&stage, &mut bob);
        assert_eq!(stage.decides(&mut bob, &id, "approve", "ticket 1").reply.status, 200);
        assert_eq!(call.join().unwrap().status, 200);
        let call = scope.spawn(|| stage.call("update customers set vip = 1 where id = 8"));
        let id = waiting(&stage, &mut bob);
        assert_eq!(stage.ran("id = 8"), 0);
        let seen = stage.in_chromium("ann", &id, "ticket 2 & more");
        assert!(call.join().unwrap().json()["result"]["isError"].is_null());
        assert_eq!((stage.ran("id = 7"), stage.ran("id = 8")), (1, 1));
        let (request, after) = (seen["request"].as_str().unwrap(), seen["after"].as_str().unwrap());
        for shown in [
            "corp:agent-a",
            "writes",
            "UPDATE",
            "customers",
            "\"note\": \"<b>\\u202e\"",
            "−     \"sql\": \"update",
            "id = 8",
            "id = 7",
        ] {
            assert!(request.contains(shown), "{shown:?} is not in {request}");
        }
        assert!(seen["list"].as_str().unwrap().contains("sql on crm"), "{seen}");
        assert!(after.contains("corp:ann approved it") && after.contains("ticket 2 & more"), "{after}");
        assert_eq!((&seen["violations"], &seen["complaints"]), (&json!([]), &json!([])), "{seen:#}");
        let session = &seen["cookies"].as_array().unwrap()[..];
        assert!(session.len() == 1 && session[0]["httpOnly"] == true && session[0]["sameSite"] == "Lax", "{session:?}");
    });
}

#[test]
fn r123_what_is_forged_foreign_or_not_ones_own_to_decide_decides_nothing() {
    let Some(stage) = Stage::new(0, None) else { return };
    let id = stage.asked("delete from customers");
    let (mut ann, mut own, mut eve) = (stage.browser("ann"), stage.browser("agent-a"), stage.browser("eve"));
    let (request, approve) = (stage.at(&format!("/ui/approvals/{id}")), stage.at(&format!("/ui/approvals/{id}/approve")));
    // Who asked sees the request and a way to take it back; a stranger sees none.
    let page = own.go(&request);
    assert!(page.reply.body.contains("nobody decides about a request of their own") && page.reply.body.contains("Take it back"));
    let refused = own.send(&page, &approve, &[("csrf", &page.hidden("csrf").unwrap())]);
    assert_eq!(refused.reply.status, 403, "{refused:?}");
    assert_eq!(eve.go(&request).reply.status, 404);
    let lists = eve.go(&stage.at("/ui/approvals"));
    assert!(!lists.reply.body.contains(&id));
    let refused = eve.send(&lists, &approve, &[("csrf", &lists.hidden("csrf").unwrap())]);
    assert_eq!(refused.reply.status, 404);
    // Forms that the page did not give to this session, or that another site sends.
    let csrf = ann.go(&request).hidden("csrf").unwrap();
    let good = form(&[("csrf", &csrf), ("reason", "x")]);
    let others = eve.go(&stage.at("/ui/approvals")).hidden("csrf").unwrap();
    let media = ("Content-Type", "application/x-www-form-urlencoded");
    let origin = ("Origin", stage.page.as_str());
    for (fields, body, status) in [
        (&[origin, media][..], form(&[("reason", "x")]), 403),
        (&[origin, media], form(&[("csrf", &others)]), 403),
        (&[origin, media], form(&[("csrf", &csrf), ("csrf", &csrf)]), 403),
        (&[origin, ("Content-Type", "text/plain")], good.clone(), 400),
        (&[("Origin", "http://evil.example"), media], good.clone(), 403),
        (&[("Origin", "null"), media], good.clone(), 403),
        (&[media], good.clone(), 403),
        (&[origin, ("Sec-Fetch-Site", "cross-site"), media], good.clone(), 403),
    ] {
        let reply = ann.ask("POST", &approve, fields, &body);
        assert_eq!(reply.status, status, "{fields:?} {body}: {reply:?}");
    }
    assert_eq!(ann.ask("GET", &approve, &[], "").status, 405);
    assert_eq!(ann.ask("POST", &stage.at(&format!("/ui/approvals/{id}/run")), &[origin, media], &good).status, 400);
    let nobody = Browser::default().post(&stage.page, &approve, &good);
    assert_eq!((nobody.status, nobody.field("location")), (303, Some(format!("/ui/sign-in?to={id}").as_str())));
    // By a name that somebody points here, nothing can be read (DNS rebinding).
    let rebound = stage.page.replace("localhost", "127.0.0.1");
    assert_eq!(Browser::default().go(&format!("{rebound}/ui/sign-in")).reply.status, 421);
    assert_eq!(stage.state(&mut ann, &id), "pending");
    assert_eq!(stage.ran("delete"), 0);
    // A reason that is too long decides nothing; a denial is told to who asked.
    assert_eq!(stage.decides(&mut ann, &id, "deny", &"x".repeat(1025)).reply.status, 400);
    assert_eq!(stage.decides(&mut ann, &id, "deny", "not on\r\nFriday").reply.status, 200);
    assert_eq!(stage.state(&mut ann, &id), "denied");
    let denied = stage.call("delete from customers").json();
    assert!(denied["result"]["content"][0]["text"].as_str().unwrap().contains("denied: not on Friday"), "{denied}");
    assert_eq!(stage.decides(&mut ann, &id, "approve", "").reply.status, 409);
}

/// A login counts once, in the browser that began it, and gives a session that nobody knew before.
#[test]
fn a_login_is_answered_once_and_in_its_own_browser() {
    let Some(stage) = Stage::new(0, Some("s3cret of the p@ge")) else { return };
    let callback = stage.at("/ui/login/return");
    let answered = |person: &str| {
        let mut browser = Browser { stops_before: callback.clone(), ..Browser::default() };
        let url = stage.logs_in(&mut browser, person, "/ui/login").url;
        assert!(url.starts_with(&callback) && url.contains("code=") && url.contains("state="), "{url}");
        browser.stops_before.clear();
        (browser, url)
    };
    let session = |browser: &Browser| browser.cookies["localhost"].get("sluicegate-session").cloned();
    // A session that somebody else chose, or knows, is not the one that the login gives.
    let planted = session(&stage.browser("eve")).unwrap();
    let (mut ann, url) = answered("ann");
    ann.cookies.get_mut("localhost").unwrap().insert("sluicegate-session".into(), planted.clone());
    assert_eq!(ann.go(&url).reply.status, 200);
    let own = session(&ann).unwrap();
    assert!(own != planted && own.len() == 43);
    let mut planter = Browser::default();
    planter.cookies.entry("localhost".into()).or_default().insert("sluicegate-session".into(), planted);
    assert_eq!(planter.go(&stage.at("/ui/approvals")).url, stage.at("/ui/sign-in"), "the session from before has ended");
    // The same answer again, in the same browser and in another.
    for mut browser in [ann.clone(), Browser::default()] {
        assert_eq!(browser.go(&url).reply.status, 400);
    }
    // Somebody else's answer, which would log them in as somebody else; then it is used up.
    let (mut bob, url) = answered("bob");
    let (mut other, others) = answered("eve");
    assert_eq!(other.go(&url).reply.status, 400);
    assert_eq!(bob.go(&url).reply.status, 400);
    // A code of another login with the state of one's own: the verifier is not the code's.
    let (mut bob, url) = answered("bob");
    let value = |url: &str, name: &str| url.split(&format!("{name}=")).nth(1).unwrap().split('&').next().unwrap().to_owned();
    let mixed = url.replace(&value(&url, "code"), &value(&others, "code"));
    assert_eq!(bob.go(&mixed).reply.status, 502);
    assert!(session(&bob).is_none());
    // An answer that names another issuer, one that is an error, and none.
    let (mut bob, url) = answered("bob");
    let issuer = value(&url, "iss");
    assert_eq!(bob.go(&url.replace(&issuer, "http%3A%2F%2Fevil.example")).reply.status, 403);
    let (mut bob, url) = answered("bob");
    let error = format!("{callback}?error=access_denied&state={}", value(&url, "state"));
    assert!(bob.go(&error).reply.body.contains("access_denied"));
    assert_eq!(bob.go(&callback).reply.status, 400);
    // Signing out takes a form, and ends the session wherever its cookie is.
    let page = ann.go(&stage.at("/ui/approvals"));
    assert_eq!(ann.ask("GET", &stage.at("/ui/logout"), &[], "").status, 405);
    assert_eq!(ann.post(&stage.page, &stage.at("/ui/logout"), "").status, 403);
    let mut before = ann.clone();
    assert_eq!(ann.send(&page, &stage.at("/ui/logout"), &[("csrf", &page.hidden("csrf").unwrap())]).url, stage.at("/ui/sign-in"));
    assert_eq!(before.go(&stage.at("/ui/approvals")).url, stage.at("/ui/sign-in"));
}

/// Every answer forbids scripts, frames, guessing and keeping, whatever it is.
#[test]
fn every_answer_of_the_page_is_locked_down() {
    let Some(stage) = Stage::new(0, None) else { return };
    let id = stage.asked("delete from customers where mail = 'jane.doe@example.com'");
    let mut ann = Browser::default();
    // A link to a request leads there by the login.
    let page = stage.logs_in(&mut ann, "ann", &format!("/ui/login?to={id}"));
    assert_eq!(page.url, stage.at(&format!("/ui/approvals/{id}")));
    // R-125: what is masked is said to be, also where the rule's reading of it is told.
    let body = &page.reply.body;
    assert!(!body.contains("jane.doe") && body.contains("mail = &#39;[EMAIL_ADDRESS]&#39;"), "{body}");
    assert!(body.contains("personal data in them are masked") && body.contains("read here from the masked text"), "{body}");
    for path in [
        "/ui",
        "/ui/approvals",
        &format!("/ui/approvals/{id}"),
        "/ui/approvals/APR-0",
        "/ui/style.css",
        "/ui/sign-in",
        "/ui/logout",
    ] {
        let reply = ann.ask("GET", &stage.at(path), &[], "");
        let policy = reply.field("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{path}: {reply:?}"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(reply.field(name), Some(value), "{path}: {reply:?}");
        }
        assert!(!reply.body.contains("<script") && !reply.body.contains("style=\""), "{path}");
    }
    let off = ann.ask("GET", &stage.at("/ui/login?to=//evil.example"), &[], "");
    assert!(off.status == 303 && !off.head.contains("evil"), "{off:?}");
}
