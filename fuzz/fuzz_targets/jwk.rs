//! One key from the network: nothing panics, and what is admitted is no private key, and is the same key when the set says it twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use sluicegate_identity::KeySet;

const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fuzz_target!(|input: &[u8]| {
    let Ok(key) = serde_json::from_slice::<Value>(input) else { return };
    let set = |keys: &[&Value]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    let Ok((once, dropped)) = set(&[&key]) else { return };
    assert!(dropped.is_empty() && once.len() == 1);
    assert!(PRIVATE.iter().all(|member| key.get(member).is_none()), "a private key was admitted");
    let (twice, dropped) = set(&[&key, &key]).expect("each of its keys was admitted by itself");
    assert!(dropped.is_empty() && twice.len() == 2);
});
