//! Tokens and key sets from the network: nothing panics, and nothing is accepted that nobody signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_identity::{IssuerPolicy, IssuerState, KeySet, Verifier, discovery};

fuzz_target!(|input: &[u8]| {
    let keys = KeySet::parse(input).ok().map(|(keys, _)| std::sync::Arc::new(keys));
    let _ = discovery::keys_url(input, "https://idp.test");
    let policy = IssuerPolicy::new("corp", "https://idp.test", vec!["https://gate.test/mcp/crm".into()]).expect("it is within bounds");
    let verifier = Verifier::new(vec![IssuerState { policy, keys }], 1);
    assert!(verifier.verify(input, "https://gate.test/mcp/crm", 1_790_000_000).is_err());
});
