//! A key set from the network: nothing panics, what is read once is read the same again, and every key is either taken or named as dropped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_identity::{JwksError, KeySet};

fuzz_target!(|input: &[u8]| {
    match KeySet::parse(input) {
        Ok((keys, dropped)) => {
            let count = serde_json::from_slice::<serde_json::Value>(input).expect("it is JSON")["keys"].as_array().map(Vec::len);
            assert_eq!(count, Some(keys.len() + dropped.len()));
            assert!(!keys.is_empty() && KeySet::parse(input).expect("it was read before") == (keys, dropped));
        }
        Err(JwksError::NoKeys(dropped)) => assert!(dropped.len() <= 100),
        Err(_) => {}
    }
});
