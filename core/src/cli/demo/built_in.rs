//! The story with nothing but the binary: issuer, server and client in this process, the gateway in one of its own.

use super::acts::Stage;
use super::audit;
use super::directory::Directory;
use super::failure::Failure;
use super::gateway::{Gateway, Plan};
use super::interrupt::Interrupt;
use super::issuer::{CLIENT, Issuer};
use super::leaky::{LEAKS, Leaky};
use super::ledger::Ledger;
use super::story::Story;
use super::{DemoArguments, random_text, stay};

/// Plays the acts; a signal ends them at once, and ends `--stay` in order.
pub(super) async fn play(dir: &Directory, arguments: &DemoArguments, interrupt: &mut Interrupt) -> Result<Story, Failure> {
    let mut story = Story::new(&[
        "Sluicegate demo: a development issuer, a leaky MCP server and a client, all in this process;".to_owned(),
        format!("the gateway is a process of its own, with the configuration {}", dir.file("sluicegate.toml").display()),
    ]);
    let credential = format!("upstream-{}", random_text()?);
    let leaky = Leaky::start(&credential).await?;
    let plan = Plan::new()?.with("crm", &leaky.url);
    let url = plan.endpoint("crm");
    let issuer = Issuer::start(&url, &plan.page()).await?;
    plan.write(dir, &issuer.url, &credential)?;
    dir.write("client-secret", issuer.secret())?;
    dir.write("jwks.json", &issuer.jwks().to_string())?;
    // Whoever is told of a gateway that stays may call it too.
    let mut ledger = Ledger::begin(!arguments.stay);
    LEAKS.into_iter().chain([credential.as_str(), issuer.secret()]).for_each(|secret| ledger.forbid(secret));

    let mut gateway = Gateway::start(dir, &plan)?;
    tokio::select! {
        ready = gateway.wait_until_ready(dir) => ready?,
        () = interrupt.heard() => return Err(Failure::Interrupted),
    }
    let entered = Stage::enter(&issuer, &leaky, &ledger, &url, &plan.page(), &credential).await;
    let stage = match entered {
        Ok(stage) => stage,
        Err(wrong) => {
            story.tell("The issuer grants a token", Err(wrong));
            return Ok(story);
        }
    };
    tokio::select! {
        () = stage.play(&mut story) => {}
        () = interrupt.heard() => return Err(Failure::Interrupted),
    }
    if arguments.stay {
        stay::tell(dir, &url, (&plan.page(), "an UPDATE by sql_query; ana may"), stage.token(), &another(dir, &issuer, &url))?;
        interrupt.heard().await;
    }
    let drained = tokio::select! {
        drained = stage.drained(&mut gateway, dir) => drained,
        () = interrupt.heard() => return Err(Failure::Interrupted),
    };
    story.tell("SIGTERM: the gateway finishes what is under way, seals the audit, ends", drained);
    story.tell("A stricter policy, decided against what was recorded, before it is in force", stage.compared(dir).await);
    let token = stage.token().to_owned();
    ledger.forbid(token);
    audit::act(&mut story, dir, arguments.duckdb.as_deref(), &ledger).await;
    Ok(story)
}

/// How to get a further token.
fn another(dir: &Directory, issuer: &Issuer, url: &str) -> String {
    let secret = dir.file("client-secret");
    let form = format!("-d grant_type=client_credentials -d resource={url}");
    format!("curl -s {}/token -u \"{CLIENT}:$(cat {})\" {form}", issuer.url, secret.display())
}
