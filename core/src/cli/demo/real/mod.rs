//! The story with real parts: npm's oidc-provider, server-everything and a server on the TypeScript SDK 2.x, and the TypeScript
//! SDKs as clients. The scripts in `tests/real` do what the acts say and end with a status that is not 0 when something else came.

mod part;

use std::path::{Path, PathBuf};

use self::part::{Part, output};
use super::directory::Directory;
use super::failure::Failure;
use super::gateway::{Gateway, Plan};
use super::interrupt::Interrupt;
use super::leaky::LEAKS;
use super::ledger::{Call, Ledger};
use super::story::{Act, Story, Wrong, check};
use super::{DemoArguments, audit, random_text, stay};

/// The principal that the audit names.
const PRINCIPAL: &str = "dev:agent-a";
const READERS: &str = "readers";
/// The types of what the servers give away.
const KINDS: [&str; 3] = ["CREDIT_CARD", "EMAIL_ADDRESS", "secret/github-token"];
/// The upstreams: server-everything speaks the legacy era only, the other one both.
const EVERYTHING: &str = "everything";
const MODERN: &str = "modern";

/// One act: what it is called, which script plays it at which endpoint, and in which of the SDK's modes.
struct Scene {
    title: &'static str,
    script: &'static str,
    upstream: &'static str,
    mode: &'static str,
    /// What the audit must then hold, in this order.
    calls: fn() -> Vec<Call>,
}

const SCENES: [Scene; 7] = [
    Scene {
        title: "TypeScript SDK 1.x: lists the tools of server-everything, calls one",
        script: "ts1.mjs",
        upstream: EVERYTHING,
        mode: "legacy",
        calls: one_call,
    },
    Scene {
        title: "TypeScript SDK 2.x in the legacy era: the same",
        script: "ts2.mjs",
        upstream: EVERYTHING,
        mode: "legacy",
        calls: one_call,
    },
    Scene {
        title: "TypeScript SDK 2.x in the modern era, at a server on the same SDK",
        script: "ts2.mjs",
        upstream: MODERN,
        mode: "modern",
        calls: one_call,
    },
    Scene {
        title: "Forged, expired and wrong-audience tokens; RFC 9728 metadata",
        script: "refused.mjs",
        upstream: EVERYTHING,
        mode: "",
        calls: || ["bad-signature", "expired", "wrong-audience"].map(|reason| Call::refused(401, reason).by("")).into(),
    },
    Scene {
        title: "A blocked tool, a blocked argument; card, e-mail and key masked over SSE",
        script: "leaks.mjs",
        upstream: EVERYTHING,
        mode: "legacy",
        calls: || {
            let echo = Call::tool("echo", READERS).found(KINDS.to_vec());
            [Call::blocked("admin_wipe", "no-admin"), Call::blocked("echo", "no-drop"), echo]
                .map(|call| call.by(PRINCIPAL))
                .into()
        },
    },
    Scene {
        title: "A call waits; its requester may not approve it, ann signs in with the provider's form and does, on the page",
        script: "approved.mjs",
        upstream: EVERYTHING,
        mode: "legacy",
        calls: || vec![Call::approved("echo", "refunds-need-approval").by(PRINCIPAL)],
    },
    Scene {
        title: "Masked over JSON and over SSE; the credential is the server's only",
        script: "customer.mjs",
        upstream: MODERN,
        mode: "modern",
        calls: || {
            let customer = Call::tool("customer", READERS).found(KINDS.repeat(2));
            let slow = Call::tool("customer_slow", READERS).found([&KINDS[..], &KINDS, &KINDS[1..2]].concat());
            [customer, slow, Call::tool("whoami", READERS).found(vec!["secret/upstream-credential"])]
                .map(|call| call.by(PRINCIPAL))
                .into()
        },
    },
];

fn one_call() -> Vec<Call> {
    [Call::served("tools/list", 200), Call::tool("echo", READERS)].map(|call| call.by(PRINCIPAL)).into()
}

/// What the scripts are told.
struct Stage {
    parts: PathBuf,
    plan: Plan,
    credential: String,
    issuer: Part,
    _servers: [Part; 2],
}

impl Stage {
    /// Runs a script and gives what it said.
    async fn run(&self, script: &'static str, upstream: &str, mode: &str) -> Result<String, Wrong> {
        let environment = [
            ("GATEWAY_URL", self.plan.endpoint(upstream)),
            ("ISSUER_URL", self.issuer.url.clone()),
            ("UPSTREAM_CREDENTIAL", self.credential.clone()),
            ("PAGE_URL", self.plan.page()),
            ("MODE", mode.to_owned()),
        ];
        output(&self.parts, script, &environment).await
    }

    /// How to get a further token.
    fn another(&self) -> String {
        let (issuer, endpoint) = (&self.issuer.url, self.plan.endpoint(MODERN));
        format!("(cd {} && ISSUER_URL={issuer} GATEWAY_URL={endpoint} node token.mjs)", self.parts.display())
    }

    async fn scene(&self, scene: &Scene, ledger: &Ledger) -> Act {
        (scene.calls)().into_iter().for_each(|call| ledger.expect(call));
        let said = self.run(scene.script, scene.upstream, scene.mode).await?;
        check(!said.contains(&self.credential), || "the client has the server's credential".to_owned())?;
        Ok(vec![format!("node {} at {}", scene.script, self.plan.endpoint(scene.upstream)), said])
    }
}

/// Plays the acts; a signal ends them at once, and ends `--stay` in order.
pub(super) async fn play(
    dir: &Directory,
    parts: &Path,
    arguments: &DemoArguments,
    interrupt: &mut Interrupt,
) -> Result<Story, Failure> {
    if !parts.join("node_modules").is_dir() {
        return Err(Failure::PartsMissing(parts.to_owned()));
    }
    let mut story = Story::new(&[
        "Sluicegate demo with real parts: npm's oidc-provider, server-everything and the TypeScript SDKs 1.x and 2.x;".to_owned(),
        format!("the gateway is a process of its own, with the configuration {}", dir.file("sluicegate.toml").display()),
    ]);
    let mut ledger = Ledger::begin(false);
    let (stage, mut gateway) = tokio::select! {
        ready = enter(dir, parts) => ready?,
        () = interrupt.heard() => return Err(Failure::Interrupted),
    };
    LEAKS.into_iter().chain([stage.credential.as_str()]).for_each(|secret| ledger.forbid(secret));
    for scene in &SCENES {
        let act = tokio::select! {
            act = stage.scene(scene, &ledger) => act,
            () = interrupt.heard() => return Err(Failure::Interrupted),
        };
        story.tell(scene.title, act);
    }
    if arguments.stay {
        match stage.run("token.mjs", MODERN, "").await {
            Ok(token) => {
                let held = "a message of echo that begins with refund; ann may";
                stay::tell(dir, &stage.plan.endpoint(MODERN), (&stage.plan.page(), held), &token, &stage.another())?;
            }
            Err(wrong) => story.tell("The provider grants a token", Err(wrong)),
        }
        interrupt.heard().await;
    }
    gateway.terminate().await?;
    story.tell("SIGTERM: the gateway seals the audit and ends", gateway.wait(dir).await.map(|()| vec![]).map_err(Wrong::from));
    audit::act(&mut story, dir, arguments.duckdb.as_deref(), &ledger).await;
    Ok(story)
}

/// Starts the parts and the gateway.
async fn enter(dir: &Directory, parts: &Path) -> Result<(Stage, Gateway), Failure> {
    let credential = format!("upstream-{}", random_text()?);
    let guarded = [("UPSTREAM_CREDENTIAL", credential.clone())];
    let everything = Part::start(dir, parts, "everything.mjs", &guarded).await?;
    let modern = Part::start(dir, parts, "modern.mjs", &guarded).await?;
    let plan = Plan::new()?.with(EVERYTHING, &everything.url).with(MODERN, &format!("{}/mcp", modern.url)).with_refunds();
    let redirect = format!("{}/ui/login/return", plan.page());
    let environment = [("AUDIENCE", plan.endpoint(EVERYTHING)), ("LOGIN_REDIRECT", redirect)];
    let issuer = Part::start(dir, parts, "issuer.mjs", &environment).await?;
    plan.write(dir, &issuer.url, &credential)?;
    let mut gateway = Gateway::start(dir, &plan)?;
    gateway.wait_until_ready(dir).await?;
    Ok((Stage { parts: parts.to_owned(), plan, credential, issuer, _servers: [everything, modern] }, gateway))
}
