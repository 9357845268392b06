//! Measures what a caller's identity costs, on one core: a token at first sight beside the bare verification of its signature, a token that
//! is recognised, and a recognised one with the decision about its call.
//!
//! Invariant: the kinds of a row are measured in turns within one run, so that whatever else the machine does meets all of them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measurement that cannot go on must say so and stop

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluicegate_core::config;
use sluicegate_core::mcp::call::Call;
use sluicegate_core::mcp::envelope;
use sluicegate_core::policy::{Effect, Policy};
use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_identity::mint::SigningKey;
use sluicegate_identity::{Algorithm, IssuerState, KeySet, TokenCache, Verifier};

#[path = "../section.rs"]
mod section;

/// Repetitions of which the best counts: others run on the machine too.
const ROUNDS: usize = 300;
/// Runs of one kind within a round.
const RUNS: u32 = 40;
const NOW_S: u64 = 1_790_000_000;
const AUDIENCE: &str = "https://gate.example/mcp/crm";
const CONFIG: &str = r#"version = 1
[server]
listen = "127.0.0.1:8080"
public_url = "https://gate.example"
[[issuer]]
name = "corp"
issuer = "https://corp.example/realms/agents"
audiences = ["https://gate.example/mcp/crm"]
roles = { claim = "/roles" }
groups = { claim = "/groups" }
[[upstream]]
name = "crm"
url = "https://crm.example/mcp"
[audit]
dir = "audit"
[[rule]]
id = "readers"
who = { roles = ["reader"] }
what = { tool = "lookup" }
effect = "allow"
"#;

/// What is measured, in the order of the columns.
const KINDS: [&str; 4] = ["signature alone", "first sight", "recognised", "recognised and decided"];

fn configuration() -> config::Config {
    let path = std::env::temp_dir().join(format!("sluicegate-bench-identity-{}.toml", std::process::id()));
    std::fs::write(&path, CONFIG).unwrap();
    let loaded = config::load(&path);
    std::fs::remove_file(&path).unwrap();
    loaded.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// What verifies an algorithm, said once more so that the bare verification owes nothing to the code it is held against.
fn verification(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::EdDsa => &signature::ED25519,
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
    }
}

/// Nanoseconds of one run in this round, if it was the best.
fn run(best: &mut f64, mut work: impl FnMut()) {
    let start = Instant::now();
    (0..RUNS).for_each(|_| work());
    *best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS));
}

/// The best of each kind, in nanoseconds, and the bytes of the token.
fn measure(algorithm: Algorithm) -> ([f64; 4], usize) {
    let mut config = configuration();
    let key = SigningKey::generate(algorithm, "key-2026-09").unwrap();
    let keys = Arc::new(KeySet::parse(&SigningKey::jwks(&[&key])).unwrap().0);
    let states = config.issuers.iter().map(|issuer| IssuerState { policy: issuer.policy.clone(), keys: Some(Arc::clone(&keys)) });
    let verifier = Verifier::new(states.collect(), 1);
    let policy = Policy::compile(&mut config);
    let claims = json!({
        "iss": "https://corp.example/realms/agents", "aud": AUDIENCE, "sub": "5f0e1f0a-7c1c-4a37-9a0f-3a8d0e3b9b11",
        "client_id": "agent-billing", "iat": NOW_S, "exp": NOW_S + 600, "jti": "0f6a1c52-6f4b-4d0c-9f43-2a0d6b1c7e55",
        "scope": "mcp:read mcp:write", "roles": ["reader", "clerk"], "groups": ["ops"],
    });
    let token = key.sign(&claims).unwrap();
    let (signed, encoded) = token.rsplit_once('.').unwrap();
    let bare = ParsedPublicKey::new(verification(algorithm), key.public_key()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(encoded).unwrap();

    let message = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup","arguments":{"id":1}}}"#;
    let mut tape = Tape::new();
    tape.parse(message, &Bounds { depth_max: 64, nodes_max: 10_000, refuse_duplicates: true }).unwrap();
    let call = Call::of(envelope::read(tape.root(message)).unwrap());
    let mut cache = TokenCache::new(4096);
    let who = cache.verify(&verifier, token.as_bytes(), AUDIENCE, NOW_S).unwrap();
    assert_eq!(policy.decide_call(&who, 0, &call).effect, Effect::Allow);

    let mut best = [f64::INFINITY; 4];
    for _ in 0..ROUNDS {
        run(&mut best[0], || bare.verify_sig(black_box(signed.as_bytes()), &signature).unwrap());
        run(&mut best[1], || drop(black_box(verifier.verify(black_box(token.as_bytes()), AUDIENCE, NOW_S).unwrap())));
        run(&mut best[2], || drop(black_box(cache.verify(&verifier, black_box(token.as_bytes()), AUDIENCE, NOW_S).unwrap())));
        run(&mut best[3], || {
            let who = cache.verify(&verifier, black_box(token.as_bytes()), AUDIENCE, NOW_S).unwrap();
            black_box(policy.decide_call(&who, 0, black_box(&call)));
        });
    }
    (best, token.len())
}

fn main() {
    let mut table =
        format!("| algorithm | token | {} | first sight beside signature |\n|---|---|---|---|---|---|---|\n", KINDS.join(" | "));
    for algorithm in Algorithm::ALL {
        let (best, bytes) = measure(algorithm);
        let kinds: Vec<String> = best.iter().map(|ns| format!("{:.2} us", ns / 1000.0)).collect();
        let row = format!("| {} | {bytes} bytes | {} | {:.2} x |", algorithm.name(), kinds.join(" | "), best[1] / best[0]);
        println!("{row}");
        let _ = writeln!(table, "{row}");
    }
    let machine = section::processor();
    let words = "One thread on one core, the best of many short rounds in turns. RSA keys have 2048 bits. A token is seen for the first time once in five\nminutes on each worker, and again after a new generation.";
    section::put(section::IDENTITY, &format!("Command: `make bench-identity`. Machine: {machine}. {words}\n\n{table}"));
}
