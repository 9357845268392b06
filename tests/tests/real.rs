//! Real parts: a certified OpenID provider, the reference server, the official SDKs as clients, DuckDB as the audit's reader.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use sluicegate_tests::gateway::{Gateway, Setup, binary, free_port};
use sluicegate_tests::real::{Part, node, parts, python};

struct Stage {
    _server: Part,
    issuer: Part,
    gateway: Gateway,
}

fn stage(server: &str) -> Option<Stage> {
    parts()?;
    let port = free_port();
    let server = Part::start(server, &[]);
    let url = if server.url.ends_with("/mcp") { server.url.clone() } else { format!("{}/mcp", server.url) };
    let issuer = Part::start("issuer.mjs", &[("AUDIENCE", &format!("http://127.0.0.1:{port}/mcp/crm"))]);
    let gateway = Gateway::start_at(&Setup::new(&issuer.url, &url), port);
    Some(Stage { _server: server, issuer, gateway })
}

fn run(stage: &Stage, program: std::path::PathBuf, script: &str, mode: &str) -> String {
    let mut command = Command::new(program);
    command.arg(script).current_dir(parts().unwrap());
    command.env("GATEWAY_URL", &stage.gateway.audience).env("ISSUER_URL", &stage.issuer.url).env("MODE", mode);
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} {mode}: {said}\n{}", stage.gateway.log());
    println!("{script} {mode}: {said}");
    said
}

fn token(stage: &Stage) -> String {
    run(stage, node(), "token.mjs", "").trim().to_owned()
}

#[test]
fn sdk_clients_list_and_call_in_the_legacy_era() {
    let Some(stage) = stage("everything.mjs") else { return };
    stage.gateway.wait_until_ready(&token(&stage));
    run(&stage, node(), "ts1.mjs", "");
    run(&stage, node(), "ts2.mjs", "legacy");
    run(&stage, node(), "ts2.mjs", "auto");
    run(&stage, python(), "client.py", "legacy");
    run(&stage, python(), "client.py", "auto");
    run(&stage, node(), "leaks.mjs", "");
    run(&stage, node(), "refused.mjs", "");
    rmcp_client(&stage);
}

#[test]
fn sdk_clients_list_and_call_in_the_modern_era() {
    let Some(stage) = stage("modern.mjs") else { return };
    stage.gateway.wait_until_ready(&token(&stage));
    run(&stage, node(), "ts1.mjs", "");
    run(&stage, node(), "ts2.mjs", "modern");
    run(&stage, node(), "ts2.mjs", "auto");
    run(&stage, python(), "client.py", "auto");
    rmcp_client(&stage);
    let mut gateway = stage.gateway;
    gateway.terminate();
    let rows = sluicegate_tests::audit::rows(&gateway.audit(), "calls");
    for era in ["modern", "legacy"] {
        assert!(
            rows.iter().any(|row| row["era"] == era && row["tool"] == "echo" && row["status"] == "ok"),
            "no {era} call is recorded"
        );
    }
}

/// The official Rust SDK.
fn rmcp_client(stage: &Stage) {
    // One provider for every TLS user of the process; a second installation would only say that it is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (token, url) = (token(stage), stage.gateway.audience.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
        let client = ClientConfig::default().serve(StreamableHttpClientTransport::from_config(config)).await.unwrap();
        let tools = client.list_all_tools().await.unwrap();
        assert!(tools.iter().any(|tool| tool.name == "echo"));
        let arguments = serde_json::json!({"message": "hello gate"}).as_object().cloned();
        let result = client.call_tool(CallToolRequestParams::new("echo").with_arguments(arguments.unwrap())).await.unwrap();
        assert!(format!("{result:?}").contains("hello gate"));
        client.cancel().await.unwrap();
    });
}

#[test]
fn the_demo_plays_to_its_end() {
    if parts().is_none() {
        return;
    }
    for extra in [&[][..], &["--real"][..]] {
        let mut command = Command::new(binary());
        command.arg("demo").arg("--duckdb").arg(python());
        if extra.contains(&"--real") {
            command.arg("--real").arg(parts().unwrap());
        }
        let output = command.env("SLUICEGATE_NODE", node()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(" 0 failed, 0 skipped"), "{said}");
    }
}
