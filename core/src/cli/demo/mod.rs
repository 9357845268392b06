//! `sluicegate demo`: the whole story on one machine, offline.
//!
//! Invariant: nothing here can be reached from `run`; every act checks what came back, and one that fails makes the exit status
//! non-zero.

mod acts;
mod audit;
mod client;
mod gateway;
mod issuer;
mod leaky;
mod real;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::gateway::Gateway;
use self::issuer::Issuer;
use self::leaky::Leaky;
use self::story::Story;

/// The arguments of `demo`.
#[derive(Args)]
pub(super) struct DemoArguments {
    /// Keep configuration, keys and audit in this directory (default: a temporary one, removed at the end)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Stay when the acts are over, and print how to point a client at the gateway
    #[arg(long)]
    stay: bool,
    /// A Python that can import duckdb, for the act that queries the audit
    #[arg(long, value_name = "PYTHON")]
    duckdb: Option<PathBuf>,
    /// Use npm's oidc-provider, server-everything and the TypeScript SDK, installed in this directory by `make setup`
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "tests/real")]
    real: Option<PathBuf>,
}

/// What can go wrong outside the acts.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Plays the acts.
pub(super) fn demo(arguments: &DemoArguments) -> ExitCode {
    // One provider for every TLS user of the process; a second installation would only say that it is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sluicegate demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    let played = runtime.block_on(async {
        tokio::select! {
            played = play(arguments) => played,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    });
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sluicegate demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn play(arguments: &DemoArguments) -> Result<bool, Failure> {
    let (dir, is_temporary) = match &arguments.dir {
        Some(dir) => (dir.clone(), false),
        None => (std::env::temp_dir().join(format!("sluicegate-demo-{}", std::process::id())), true),
    };
    std::fs::create_dir_all(&dir)?;
    let played = match &arguments.real {
        Some(parts) => real::play(&dir, parts, arguments.duckdb.as_deref()).await,
        None => built_in(&dir, arguments).await,
    };
    if is_temporary {
        std::fs::remove_dir_all(&dir)?;
    }
    played
}

async fn built_in(dir: &std::path::Path, arguments: &DemoArguments) -> Result<bool, Failure> {
    let credential = format!("demo-upstream-{}", random_text()?);
    let gateway_port = gateway::free_port()?;
    let audience = format!("http://127.0.0.1:{gateway_port}/mcp/crm");
    let issuer = Issuer::start(&audience).await?;
    let leaky = Leaky::start(&credential).await?;
    gateway::write_config(dir, gateway_port, &issuer.url, &leaky.url, &credential)?;
    let mut gateway = Gateway::start(dir)?;
    let mut story = Story::new("Sluicegate demo: a development issuer, a leaky MCP server and a client, all in this process;");
    story.say(&format!("the gateway is a process of its own, with the configuration {}", dir.join("sluicegate.toml").display()));
    gateway.wait_until_ready(&audience, &issuer.token(issuer::Kind::Good)?).await?;
    acts::play(&mut story, &audience, &issuer, &credential).await;
    if arguments.stay {
        stay(dir, &audience, &issuer).await?;
    }
    gateway.stop().await?;
    let count = story.calls;
    audit::act(&mut story, dir, arguments.duckdb.as_deref(), count, &credential).await;
    Ok(story.end())
}

async fn stay(dir: &std::path::Path, url: &str, issuer: &Issuer) -> Result<(), Failure> {
    let token = issuer.token(issuer::Kind::Good)?;
    let path = dir.join("token");
    gateway::write_private(&path, &token)?;
    println!("\nThe gateway stays. A token for the next hour is in {}.\n", path.display());
    println!("  curl           curl -s {url} -H \"Authorization: Bearer $(cat {})\" \\", path.display());
    println!("                   -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\");
    println!("                   -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{{}}}}'");
    println!("  MCP Inspector  npx @modelcontextprotocol/inspector --cli {url} --transport http --method tools/list \\");
    println!("                   --header \"Authorization: Bearer $(cat {})\"", path.display());
    println!(
        "  Claude Code    claude mcp add --transport http demo {url} --header \"Authorization: Bearer $(cat {})\"",
        path.display()
    );
    println!("\nEnd it with Ctrl-C.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn random_text() -> Result<String, Failure> {
    let mut bytes = [0u8; 12];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "the system has no randomness to give")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
