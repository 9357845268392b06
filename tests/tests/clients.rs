//! Clients that find their way by themselves: the official SDKs with their own providers of client credentials, and clients on standard input and
//! output through the token helper; against a certified provider.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use sluicegate_tests::gateway::{Gateway, Setup, binary, free_port, write_secret};
use sluicegate_tests::real::{Part, node, parts, python};

/// A server behind the gateway, with a tool that takes a scope more and one that takes its time.
struct Server {
    script: &'static str,
    modes: &'static [&'static str],
    wide: (&'static str, &'static str),
    slow: (&'static str, &'static str),
}

const LEGACY: Server = Server {
    script: "everything.mjs",
    modes: &["legacy", "auto"],
    wide: ("get-sum", r#"{"a":2,"b":3}"#),
    slow: ("trigger-long-running-operation", r#"{"duration":1,"steps":4}"#),
};
const MODERN: Server =
    Server { script: "modern.mjs", modes: &["modern", "auto"], wide: ("whoami", "{}"), slow: ("customer_slow", "{}") };

struct Stage {
    server: &'static Server,
    _part: Part,
    issuer: Part,
    gateway: Gateway,
}

impl Stage {
    fn start(server: &'static Server) -> Option<Stage> {
        parts()?;
        let port = free_port();
        let part = Part::start(server.script, &[]);
        let url = if part.url.ends_with("/mcp") { part.url.clone() } else { format!("{}/mcp", part.url) };
        let issuer = Part::start("issuer.mjs", &[("AUDIENCE", &format!("http://127.0.0.1:{port}/mcp/crm"))]);
        let mut setup = Setup::new(&issuer.url, &url);
        setup.upstream_keys =
            format!("scopes = [\"mcp:read\"]\ntool_scopes = [{{ tool = \"{}\", scopes = [\"mcp:write\"] }}]", server.wide.0);
        let gateway = Gateway::start_at(&setup, port);
        let stage = Stage { server, _part: part, issuer, gateway };
        let token = stage.run(&node(), "token.mjs", "", &[]);
        stage.gateway.wait_until_ready(token.trim());
        Some(stage)
    }

    fn run(&self, program: &Path, script: &str, mode: &str, environment: &[(&str, &str)]) -> String {
        let mut command = Command::new(program);
        command.arg(script).current_dir(parts().unwrap()).stdin(Stdio::null());
        command.env("GATEWAY_URL", &self.gateway.audience).env("ISSUER_URL", &self.issuer.url).env("MODE", mode);
        command.env("WIDE_TOOL", self.server.wide.0).env("WIDE_ARGUMENTS", self.server.wide.1);
        command.env("SLOW_TOOL", self.server.slow.0).env("SLOW_ARGUMENTS", self.server.slow.1);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script} {mode}: {said}\n{}", self.gateway.log());
        println!("{script} {mode}: {said}");
        said
    }

    /// A directory with the secret of the machine `agent-a` and the key of `agent-k`.
    fn secrets(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write_secret(dir.path(), "secret", "s3cret-a\n");
        let script = "process.stdout.write(await (await fetch(process.env.ISSUER_URL + '/_test/machine')).text())";
        let mut command = Command::new(node());
        command.args(["--input-type=module", "-e", script]).env("ISSUER_URL", &self.issuer.url);
        write_secret(dir.path(), "machine.pem", command.output().unwrap().stdout);
        dir
    }

    /// The token helper's arguments for a machine.
    fn helper(&self, mode: &str, secrets: &Path, has_key: bool) -> Vec<String> {
        let path = |name: &str| secrets.join(name).to_str().unwrap().to_owned();
        let (client, proof, file) = match has_key {
            true => ("agent-k", "--private-key-file", path("machine.pem")),
            false => ("agent-a", "--client-secret-file", path("secret")),
        };
        let (url, issuer) = (&self.gateway.audience, &self.issuer.url);
        let all =
            ["token-helper", mode, "--url", url, "--issuer", issuer, "--client-id", client, "--scope", "mcp:read", proof, &file];
        all.map(str::to_owned).to_vec()
    }
}

#[test]
fn r80_sdk_clients_with_credentials_find_their_way_from_the_url_alone_and_step_up() {
    for server in [&LEGACY, &MODERN] {
        let Some(stage) = Stage::start(server) else { return };
        stage.run(&node(), "credentials1.mjs", "", &[]);
        for mode in server.modes {
            stage.run(&node(), "credentials2.mjs", mode, &[]);
            stage.run(&python(), "credentials.py", if *mode == "modern" { "auto" } else { mode }, &[]);
        }
        let mut gateway = stage.gateway;
        gateway.terminate();
        let rows = sluicegate_tests::audit::rows(&gateway.audit(), "calls");
        let of_tool: Vec<_> = rows.iter().filter(|row| row["tool"] == server.wide.0).collect();
        for (decision, reason) in [("block", "insufficient-scope"), ("allow", "rule")] {
            let is_there = of_tool.iter().any(|row| row["decision"] == decision && row["reason"] == reason);
            assert!(is_there, "no {reason} among {of_tool:#?}");
        }
    }
}

#[test]
fn r80_clients_on_standard_input_and_output_are_bridged_in_both_eras() {
    for server in [&LEGACY, &MODERN] {
        let Some(stage) = Stage::start(server) else { return };
        let secrets = stage.secrets();
        let bridged = |script: &str, mode: &str, has_key: bool| {
            let arguments = json!(stage.helper("stdio", secrets.path(), has_key)).to_string();
            let binary = binary();
            let environment = [("HELPER", binary.to_str().unwrap()), ("HELPER_ARGUMENTS", &arguments)];
            stage.run(&node(), script, mode, &environment);
        };
        bridged("helper1.mjs", "", false);
        for mode in server.modes {
            bridged("helper2.mjs", mode, true);
        }
    }
}

fn output(arguments: &[String], input: &str) -> (bool, String, String) {
    use std::io::Write as _;
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that ends at once may not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_token_helper_shows_a_token_only_where_it_is_asked_to() {
    let Some(stage) = Stage::start(&LEGACY) else { return };
    let secrets = stage.secrets();
    for has_key in [false, true] {
        let arguments = stage.helper("token", secrets.path(), has_key);
        let (is_had, out, err) = output(&arguments, "");
        assert!(is_had && out.starts_with("a token can be had; it expires in 3") && err.is_empty(), "{out}{err}");
        assert!(!out.contains("eyJ"));
        let (is_had, out, err) = output(&[&arguments[..], &["--print".to_owned()]].concat(), "");
        assert!(is_had && err.is_empty(), "{err}");
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
        assert_eq!(stage.gateway.post(out.trim(), hello).status, 200);
    }
    // A token that the platform keeps in a file is sent as it is.
    let token = stage.run(&node(), "token.mjs", "", &[]);
    write_secret(secrets.path(), "platform", &token);
    let file = secrets.path().join("platform").to_str().unwrap().to_owned();
    let arguments = ["token-helper", "token", "--url", &stage.gateway.audience, "--token-file", &file, "--print"];
    assert_eq!(output(&arguments.map(str::to_owned), "").1.trim(), token.trim());
}

#[test]
fn the_token_helper_says_what_is_wrong_and_never_with_which_token() {
    let Some(stage) = Stage::start(&LEGACY) else { return };
    let secrets = stage.secrets();
    let call = r#"{"jsonrpc":"2.0","id":"q","method":"tools/list"}"#;
    let good = stage.helper("stdio", secrets.path(), false);
    let change =
        |from: &str, to: String| good.iter().map(|one| if one == from { to.clone() } else { one.clone() }).collect::<Vec<_>>();
    let error = |arguments: &[String], input: &str| {
        let (is_done, out, err) = output(arguments, &format!("{input}\n"));
        assert!(is_done, "{out}{err}");
        assert!(!format!("{out}{err}").contains("eyJ") && !format!("{out}{err}").contains("s3cret"), "{out}{err}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|_| panic!("{out:?} {err:?}"))
    };
    // An authorization server that refuses the client; a gateway that is not there; what is no message; what is too long.
    write_secret(secrets.path(), "wrong", "s3cret-b");
    let secret = secrets.path().join("secret").to_str().unwrap().to_owned();
    let refused = error(&change(&secret, secrets.path().join("wrong").to_str().unwrap().to_owned()), call);
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("q"), &json!(-31006)), "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("invalid_client"), "{refused}");
    let nowhere = format!("http://127.0.0.1:{}/mcp/crm", free_port());
    let mut gone = change(&stage.gateway.audience, nowhere);
    gone.extend(["--resource".to_owned(), stage.gateway.audience.clone()]);
    let gone = error(&gone, call);
    assert_eq!(gone["error"]["code"], -31004, "{gone}");
    assert_eq!(error(&good, "not json")["error"]["code"], -32700);
    assert_eq!(error(&good, &format!("\"{}\"", "x".repeat(5 << 20)))["error"]["code"], -32600);
    // Where the server gives no wider scope, the client is told what the gateway says.
    let wide = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-sum","arguments":{"a":1,"b":2}}}"#;
    let platform = stage.helper("token", secrets.path(), false);
    let token = output(&[&platform[..], &["--print".to_owned()]].concat(), "").1;
    write_secret(secrets.path(), "platform", token.trim());
    let file = secrets.path().join("platform").to_str().unwrap().to_owned();
    let narrow = ["token-helper", "stdio", "--url", &stage.gateway.audience, "--token-file", &file].map(str::to_owned);
    let told = error(&narrow, wide);
    assert_eq!(told["error"]["code"], -31008, "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("mcp:read mcp:write"), "{told}");
}

#[test]
fn the_token_helper_sends_no_token_without_tls() {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("token");
    write_secret(dir.path(), "token", "x");
    let arguments = ["token-helper", "stdio", "--url", "http://gate.example/mcp/crm", "--token-file", file.to_str().unwrap()]
        .map(str::to_owned);
    let (is_done, _, err) = output(&arguments, "");
    assert!(!is_done && err.contains("--url: would be reached without TLS"), "{err}");
}
