//! `sluicegate token explain`: each check that the gateway makes of a token, in order, and what it makes of its claims.
//!
//! Invariant: the verifier itself says what it has checked; neither the token nor its signature is ever written.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sluicegate_identity::{Check, DenyList, IssuerState, KeySet, Principal, Refusal, Trace, Verifier};

use super::rehearsal::{RehearsalError, keys_of};
use crate::config::{self, Config};
use crate::control::revocations::LIST;
use crate::inert::inert;
use crate::keeper::Keeper;
use crate::revocation::book::Book;
use crate::rt::now_unix_s;

/// Bytes that are read of a token or of keys; neither is taken if it is longer.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What to do with a token.
#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Say of each check whether the token passes it, and who its bearer is to the gateway; never shows the token
    Explain(ExplainArguments),
}

/// The arguments of `token explain`.
#[derive(Args)]
pub(super) struct ExplainArguments {
    /// A file with the token; `-` is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    token: PathBuf,
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The endpoint that the token is sent to; may be left out where there is one only
    #[arg(short, long, value_name = "URL")]
    resource: Option<String>,
    /// A file with the keys of the token's issuer, instead of asking it
    #[arg(short, long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Exit status 0 where the gateway takes the token, 1 where it does not or nothing can be said.
pub(super) fn token(command: &TokenCommand) -> ExitCode {
    let TokenCommand::Explain(arguments) = command;
    match explain(arguments) {
        Ok(Explained { trace, verified, resource }) => {
            if arguments.json {
                println!("{:#}", as_json(&trace, &verified, &resource));
            } else {
                print!("{}", as_text(&trace, &verified));
            }
            if verified.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("sluicegate token explain: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Explained {
    trace: Trace,
    verified: Result<Principal, Refusal>,
    resource: String,
}

fn explain(arguments: &ExplainArguments) -> Result<Explained, RehearsalError> {
    let config = config::load(&arguments.config).map_err(RehearsalError::Config)?;
    let resource = resource(&config, arguments.resource.as_deref())?;
    let (token, now) = (read(&arguments.token)?, now_unix_s());
    let token = token.trim_ascii();
    let given = match &arguments.jwks {
        None => None,
        Some(path) => {
            let parsed = KeySet::parse(&read(path)?);
            let (keys, _) = parsed.map_err(|error| RehearsalError::System(format!("{}: {error}", path.display())))?;
            Some(Arc::new(keys))
        }
    };
    let denials = Arc::new(denials(&config, now)?);
    // Which issuer the token is of, the verifier says; with given keys they are that one's.
    let states = |of: Option<usize>, keys: &Option<Arc<KeySet>>| {
        let state = |(index, issuer): (usize, &config::Issuer)| {
            let keys = keys.clone().filter(|_| of.is_none_or(|of| of == index));
            IssuerState { policy: issuer.policy.clone(), keys }
        };
        Verifier::new(config.issuers.iter().enumerate().map(state).collect(), 1).with_denials(Arc::clone(&denials))
    };
    let (mut trace, mut verified) = states(None, &given).explain(token, &resource, now);
    if let Err(Refusal::KeysNotYetKnown { issuer }) = verified
        && let Some(of) = config.issuers.get(issuer)
    {
        let keys = Some(Arc::new(keys_of(of, &config.limits)?));
        (trace, verified) = states(Some(issuer), &keys).explain(token, &resource, now);
    }
    Ok(Explained { trace, verified, resource })
}

/// What the configuration's list revokes at `now_s` (Unix seconds).
fn denials(config: &Config, now_s: u64) -> Result<DenyList, RehearsalError> {
    // Looking makes no directory.
    let Some(setup) = config.revocation.as_ref().filter(|setup| setup.dir.exists()) else { return Ok(DenyList::default()) };
    let keeper: Keeper<Book> = Keeper::open(&setup.dir, LIST).map_err(|error| RehearsalError::System(error.to_string()))?;
    let policies: Vec<_> = config.issuers.iter().map(|issuer| &issuer.policy).collect();
    Ok(keeper.book().deny_list(&policies, now_s))
}

/// The endpoint that is meant.
fn resource(config: &Config, given: Option<&str>) -> Result<String, RehearsalError> {
    let mut known: Vec<String> = config.upstreams.iter().map(|upstream| config.server.resource(&upstream.name)).collect();
    known.extend(config.approval.iter().map(|approval| approval.audience.clone()));
    known.extend(config.revocation.iter().map(|revocation| revocation.audience.clone()));
    match (given, known.as_slice()) {
        (Some(given), known) if known.iter().any(|one| one == given) => Ok(given.to_owned()),
        (None, [one]) => Ok(one.clone()),
        (Some(given), known) => {
            Err(RehearsalError::System(format!("{given:?} is not an endpoint of this gateway; there are {}", known.join(", "))))
        }
        (None, known) => {
            Err(RehearsalError::System(format!("there are several endpoints; give --resource, one of {}", known.join(", "))))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RehearsalError> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            std::io::stdin().take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        } else {
            std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    read().map_err(|error| RehearsalError::System(format!("{}: {error}", path.display())))
}

/// Each check with how it went: the last that was begun is the one that failed, where one did.
fn judged(trace: &Trace, is_taken: bool) -> impl Iterator<Item = (Check, &'static str, &str)> {
    let begun = trace.checks();
    Check::ALL.into_iter().map(move |check| match begun.iter().position(|(one, _)| *one == check) {
        None => (check, "not reached", ""),
        Some(at) if at + 1 == begun.len() && !is_taken => (check, "failed", begun[at].1.as_str()),
        Some(at) => (check, "ok", begun[at].1.as_str()),
    })
}

fn as_text(trace: &Trace, verified: &Result<Principal, Refusal>) -> String {
    let mut text = String::new();
    // Writing into a text cannot fail.
    for (check, how, about) in judged(trace, verified.is_ok()) {
        let _ = writeln!(text, "{how:<11} {:<9} {}", check.name(), inert(about));
    }
    let who = match verified {
        Ok(who) => who,
        Err(refusal) => {
            let _ = writeln!(text, "refused: {}", inert(&refusal.to_string()));
            return text;
        }
    };
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let groups = if who.are_groups_known() { list(who.groups()) } else { format!("unknown but for {}", list(who.groups())) };
    let actors: Vec<String> = who.actors().iter().map(|actor| actor.subject.clone()).collect();
    let kind = if who.is_machine() { "a program that acts for itself" } else { "a person, or a program for one" };
    for (name, value) in [
        ("principal", who.id()),
        ("which is", kind),
        ("client", who.client_id().unwrap_or("none")),
        ("roles", &list(who.roles())),
        ("groups", &groups),
        ("scopes", &list(who.scopes())),
        ("actors", &list(&actors)),
    ] {
        let _ = writeln!(text, "{name:<11} {}", inert(value));
    }
    text
}

fn as_json(trace: &Trace, verified: &Result<Principal, Refusal>, resource: &str) -> Value {
    let checks: Vec<Value> = judged(trace, verified.is_ok())
        .map(|(check, how, about)| json!({ "check": check.name(), "result": how, "about": about }))
        .collect();
    let refused = verified.as_ref().err().map(|refusal| json!({ "reason": refusal.reason(), "text": refusal.to_string() }));
    let principal = verified.as_ref().ok().map(|who| {
        let actors: Vec<Value> = who.actors().iter().map(|actor| json!({ "issuer": actor.issuer, "subject": actor.subject })).collect();
        json!({
            "id": who.id(), "issuer": who.issuer_name(), "subject": who.subject(), "client": who.client_id(), "machine": who.is_machine(),
            "roles": who.roles(), "groups": who.groups(), "groups_known": who.are_groups_known(), "scopes": who.scopes(), "actors": actors,
        })
    });
    json!({ "resource": resource, "checks": checks, "refused": refused, "principal": principal })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::revocation::book::Because;
    use crate::revocation::entry::Target;
    use sluicegate_identity::mint::SigningKey;
    use sluicegate_identity::{Algorithm, IssuerPolicy};

    const CONFIG: &str = r#"version = 1
[server]
listen = "127.0.0.1:8080"
public_url = "https://gate.example"
[[issuer]]
name = "sso"
issuer = "https://sso.example/realms/agents"
audiences = ["https://gate.example/mcp/crm"]
profile = "keycloak"
[[upstream]]
name = "crm"
url = "https://crm.example/mcp"
[audit]
dir = "audit"
"#;

    #[test]
    fn r73_explain_says_each_check_and_never_shows_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let key = SigningKey::generate(Algorithm::Es256, "k1").unwrap();
        std::fs::write(path("gate.toml"), CONFIG).unwrap();
        std::fs::write(path("jwks"), SigningKey::jwks(&[&key])).unwrap();
        let now = now_unix_s();
        let explained = |typ: &str, resource: Option<&str>| {
            let claims = json!({ "iss": "https://sso.example/realms/agents", "aud": "https://gate.example/mcp/crm", "sub": "5f3c",
                "azp": "agent", "typ": typ, "iat": now, "exp": now + 60, "scope": "mcp:read", "act": { "sub": "helper" },
                "realm_access": { "roles": ["reader"] }, "groups": ["/ops"] });
            let token = key.sign_with(&json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" }), &claims).unwrap();
            std::fs::write(path("token"), format!("{token}\n")).unwrap();
            let arguments = ExplainArguments {
                token: path("token"),
                config: path("gate.toml"),
                resource: resource.map(str::to_owned),
                jwks: Some(path("jwks")),
                json: false,
            };
            let Explained { trace, verified, resource } = explain(&arguments).map_err(|error| error.to_string())?;
            let (text, json) = (as_text(&trace, &verified), as_json(&trace, &verified, &resource));
            for part in token.split('.') {
                assert!(!text.contains(part) && !json.to_string().contains(part), "{text}");
            }
            Ok::<_, String>((text, json))
        };
        let (text, json) = explained("Bearer", None).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[..Check::ALL.len()].iter().all(|line| line.starts_with("ok ")), "{text}");
        for line in [
            "principal   sso:5f3c",
            "client      agent",
            "roles       reader",
            "groups      sso:/ops",
            "scopes      mcp:read",
            "actors      helper",
        ] {
            assert!(lines.contains(&line), "{line}: {text}");
        }
        assert_eq!((json["principal"]["id"].as_str(), &json["refused"]), (Some("sso:5f3c"), &Value::Null));
        let line = text.lines().find_map(|line| line.strip_prefix("ok          standing  jti missing, key ")).unwrap();
        let target = Target { issuer: "sso".into(), key: Some(line.to_owned()), ..Target::default() };
        let config = std::fs::read_to_string(path("gate.toml")).unwrap();
        let (admin, aud) =
            ("\n[admin]\nlisten = \"127.0.0.1:9090\"\n[revocation]\ndir = \"revoked\"\n", "https://gate.example/mcp/crm");
        std::fs::write(path("gate.toml"), config + admin).unwrap();
        let policy = IssuerPolicy::new("sso", "https://sso.example/realms/agents", vec![aud.to_owned()]).unwrap();
        let mut keeper: Keeper<Book> = Keeper::open(&path("revoked"), LIST).unwrap();
        let because = Because { reason: "key lost", by: "local:0" };
        keeper.change(|book| book.add(&target, because, &policy, 9, now).is_ok()).unwrap();
        let (text, json) = explained("Bearer", Some(aud)).unwrap();
        assert!(text.contains("failed      standing  jti missing, key ") && text.ends_with("refused: revoked\n"), "{text}");
        assert_eq!((json["refused"]["reason"].as_str(), &json["principal"]), (Some("revoked"), &Value::Null));
        std::fs::remove_dir_all(path("revoked")).unwrap();
        let (text, json) = explained("ID", Some("https://gate.example/mcp/crm")).unwrap();
        for line in ["ok          signature ", "failed      profile   keycloak", "not reached audience  ", "refused: wrong-type"]
        {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        assert_eq!((json["refused"]["reason"].as_str(), &json["principal"]), (Some("wrong-type"), &Value::Null));
        assert!(
            explained("Bearer", Some("https://gate.example/mcp/erp"))
                .unwrap_err()
                .contains("there are https://gate.example/mcp/crm")
        );
    }
}
