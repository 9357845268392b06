//! Keys change a hundred times a second under load: no good token is refused, and no worker waits for a lock meanwhile.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{Gateway, Setup, free_port, write_secret};
use sluicegate_tests::issuer::{Issuer, now};
use sluicegate_tests::upstream::Upstream;
use sluicegate_tests::wait_until;

/// Generations that must pass.
const GENERATIONS: u64 = 300;
/// Between two changes of the keys.
const PAUSE: Duration = Duration::from_millis(10);

fn generation(admin: u16) -> u64 {
    let mut connection = Connection::open(admin);
    connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let body = connection.reply().unwrap().body;
    let line = body.lines().find_map(|line| line.strip_prefix("sluicegate_snapshot_generation "));
    line.unwrap().parse().unwrap()
}

/// The threads of a process that carry its traffic.
fn workers(pid: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let names = threads.map(|thread| (thread.file_name(), fs::read_to_string(thread.path().join("comm")).unwrap_or_default()));
    names.filter(|(_, name)| name.starts_with("worker-")).map(|(id, _)| id.into_string().unwrap()).collect()
}

/// Notes every futex call of these threads into a file, until it is ended; `None` where there is no strace and need not be.
fn trace(threads: &[String], into: &std::path::Path) -> Option<Child> {
    let mut command = Command::new("strace");
    command.args(["-q", "-e", "trace=futex", "-o"]).arg(into).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for thread in threads {
        command.args(["-p", thread]);
    }
    let tracer = match command.spawn() {
        Ok(tracer) => tracer,
        Err(error) => {
            assert!(std::env::var_os("SLUICEGATE_REAL_REQUIRED").is_none(), "strace cannot be run: {error}; run `make setup`");
            println!("locks are not looked for: strace is not installed; `make test` installs it");
            return None;
        }
    };
    let is_traced = |thread: &String| {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    wait_until("tracing", || threads.iter().all(is_traced));
    Some(tracer)
}

/// Calls with a token of the key that stays, until told to stop. Returns how many calls were answered otherwise than with 200.
fn load(gateway: &Gateway, tokens: &[String], stop: &AtomicBool, calls: &AtomicUsize) -> usize {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    let (mut connection, mut refused) = (Connection::open(gateway.port), 0);
    for token in tokens.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        connection.send(gateway.request("POST", token, "", body).as_bytes());
        match connection.reply() {
            Some(reply) => refused += usize::from(reply.status != 200),
            None => connection = Connection::open(gateway.port),
        }
        calls.fetch_add(1, Ordering::Relaxed);
    }
    refused
}

#[test]
fn r41_r44_r63_rotation_under_load_refuses_no_good_token_and_takes_no_lock() {
    let (issuer, upstream, admin) = (Issuer::start(Algorithm::EdDsa), Upstream::echo(), free_port());
    let staying = SigningKey::generate(Algorithm::Es256, "staying").unwrap();
    let turns: Vec<SigningKey> = (0..16).map(|n| SigningKey::generate(Algorithm::EdDsa, &format!("turn-{n}")).unwrap()).collect();
    let set = |turn: usize| SigningKey::jwks(&[&staying, &turns[turn % turns.len()]]);
    let setup = Setup::new(&issuer.url, &upstream.url).with_secret("keys.json", set(0));
    let setup = setup.with_issuer_keys("jwks_file = \"keys.json\"").with(&format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n"));
    let gateway = Gateway::start(&setup);
    let token = |key: &SigningKey, n: u64| {
        let mut claims = issuer.claims(&gateway.audience);
        claims["exp"] = (now() + 300 + n).into();
        key.sign(&claims).unwrap()
    };
    let tokens: Vec<String> = (0..8).map(|n| token(&staying, n)).collect();
    gateway.wait_until_ready(&tokens[0]);
    let threads = workers(gateway.pid());
    assert_eq!(threads.len(), 2);
    let (stop, calls, rotations) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let noted = gateway.dir.path().join("futex");
    let (refused, elapsed) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| load(&gateway, &tokens, &stop, &calls))).collect();
        wait_until("load", || calls.load(Ordering::Relaxed) > 100);
        let tracer = trace(&threads, &noted);
        let (first, start) = (generation(admin), Instant::now());
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let turn = rotations.fetch_add(1, Ordering::Relaxed) + 1;
                write_secret(gateway.dir.path(), "keys.json", set(turn));
                std::thread::sleep(PAUSE);
            }
        });
        wait_until("the generations", || generation(admin) >= first + GENERATIONS);
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        if let Some(mut tracer) = tracer {
            // Asked to end, it lets the threads go before it does.
            Command::new("kill").args(["-INT", &tracer.id().to_string()]).status().unwrap();
            tracer.wait().unwrap();
        }
        (clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>(), elapsed)
    });
    let (calls, rotations) = (calls.load(Ordering::Relaxed), rotations.load(Ordering::Relaxed));
    println!("{rotations} rotations and {calls} calls in {elapsed:?}, {refused} refused");
    assert_eq!(refused, 0, "of {calls} calls with a key that was published all the time");
    let locks = fs::read_to_string(&noted).unwrap_or_default();
    let locks: Vec<&str> = locks.lines().filter(|line| line.contains("futex(")).collect();
    assert!(locks.is_empty(), "workers waited for locks: {locks:#?}");
    // The last turn's key is in force, and the one before is not.
    wait_until("the last key", || gateway.call(&token(&turns[rotations % turns.len()], 0), "t", "{}").status == 200);
    assert_eq!(gateway.call(&token(&turns[(rotations - 1) % turns.len()], 0), "t", "{}").status, 401);
}
