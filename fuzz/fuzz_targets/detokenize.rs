//! What looks like a token is turned back only if it is one; tokens of any value are, wherever they stand.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_dlp::Keyring;

fuzz_target!(|input: (&str, &str, &str)| {
    let (before, value, after) = input;
    let keyring = Keyring::derive(&[7; 32], "fuzz").expect("the key is long enough");
    let alone = keyring.detokenize(before).unwrap_or_else(|| before.to_owned());
    assert_eq!(alone, before, "nobody but the keyring makes tokens");
    let Some(token) = keyring.tokenize("secret/a-key", value) else { return };
    // A letter behind a token would be taken for a part of it.
    let text = format!("{before} {token}\n{after}");
    let expected = (!value.contains("tok1.")).then(|| format!("{before} {value}\n{after}"));
    if let Some(expected) = expected {
        assert_eq!(keyring.detokenize(&text).as_deref().unwrap_or(&text), expected);
    }
});
