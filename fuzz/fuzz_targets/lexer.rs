//! The tokenizer takes what another parser takes and refuses what that refuses; every span lies where its value stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_dlp::json::{Bounds, Kind, Tape};

fuzz_target!(|text: &[u8]| {
    let mut tape = Tape::new();
    let is_read = tape.parse(text, &Bounds { depth_max: 120, nodes_max: 1_000_000, refuse_duplicates: false }).is_ok();
    let expected = serde_json::from_slice::<&serde_json::value::RawValue>(text);
    // The other one knows no depth below 128 without being told, and no bound of nodes.
    if is_read {
        assert!(expected.is_ok(), "{:?} was taken", String::from_utf8_lossy(text));
    } else if let Ok(value) = expected {
        let depth = value.get().bytes().filter(|b| matches!(b, b'[' | b'{')).count();
        assert!(depth > 120, "{:?} was refused", String::from_utf8_lossy(text));
    }
    for index in 0..tape.len() {
        let value = tape.at(text, index);
        let span = value.span();
        match value.kind() {
            Kind::Key | Kind::String => {
                let read: String = serde_json::from_slice(&text[span]).unwrap_or_else(|_| value.text().into_owned());
                assert_eq!(read, value.text());
            }
            Kind::Number => assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&text[span]).is_ok()),
            _ => {}
        }
    }
});
