//! Every call leaves one record, whatever happens to the process.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::Upstream;

#[test]
fn kill_9_under_load_loses_no_acknowledged_call() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    let (next, acknowledged) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    for run in 0..20u64 {
        let stop = AtomicBool::new(false);
        let port = gateway.port;
        let requests: Vec<String> = (0..4000)
            .map(|_| {
                let id = next.fetch_add(1, Ordering::Relaxed);
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t","arguments":{{"n":{id}}}}}}}"#
                );
                gateway.request("POST", &token, "", &body)
            })
            .collect();
        std::thread::scope(|scope| {
            for part in requests.chunks(1000) {
                let (stop, acknowledged) = (&stop, &acknowledged);
                scope.spawn(move || {
                    // On a busy machine the gateway may be gone before this thread has come to run.
                    let Some(mut connection) = Connection::try_open(port) else { return };
                    for request in part {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        connection.send(request.as_bytes());
                        match connection.reply() {
                            Some(reply) if reply.status == 200 => {
                                acknowledged.lock().unwrap().push(reply.json()["id"].to_string())
                            }
                            _ => return,
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(40 + run * 7));
            gateway.kill();
            stop.store(true, Ordering::Relaxed);
        });
        gateway.restart();
        gateway.wait_until_ready(&token);
    }
    gateway.terminate();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for row in rows(&gateway.audit(), "calls") {
        if row["tool"] == "t" {
            *counts.entry(row["jsonrpc_id"].clone()).or_default() += 1;
        }
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 500, "only {} calls were made", acknowledged.len());
    for id in &acknowledged {
        assert_eq!(counts.get(id), Some(&1), "call {id} of {}", acknowledged.len());
    }
    assert!(counts.values().all(|count| *count == 1), "a call stands twice");
}

#[test]
fn two_gateways_do_not_share_a_directory() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    // On another port, for the same one would be refused before.
    let (path, port) = (gateway.dir.path().join("other.toml"), sluicegate_tests::gateway::free_port());
    let text = std::fs::read_to_string(gateway.dir.path().join("gate.toml")).unwrap();
    std::fs::write(&path, text.replace(&gateway.port.to_string(), &port.to_string())).unwrap();
    let output = std::process::Command::new(sluicegate_tests::gateway::binary()).args(["run", "-c"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("another process keeps its audit"), "{said}");
}

#[test]
fn strangers_on_the_machine_cannot_read_the_audit() {
    use std::os::unix::fs::PermissionsExt;
    fn look(path: &std::path::Path, seen: &mut usize) {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{} has mode {mode:o}", path.display());
        *seen += 1;
        for entry in std::fs::read_dir(path).into_iter().flatten() {
            look(&entry.unwrap().path(), seen);
        }
    }
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    gateway.call(&token, "t", "{}");
    let mut seen = 0;
    look(&gateway.audit().join("spool"), &mut seen);
    gateway.terminate();
    look(&gateway.audit().join("calls"), &mut seen);
    assert!(seen >= 6, "only {seen} files were looked at");
}
