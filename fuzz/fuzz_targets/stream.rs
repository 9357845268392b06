//! Text in pieces comes out as from the whole, wherever it is cut.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use sluicegate_dlp::{Engine, Operator, Scratch, TextStream, Treatment, Verdict};

thread_local! {
    static ENGINE: RefCell<Option<(Engine, Scratch, Treatment)>> = const { RefCell::new(None) };
}

fuzz_target!(|input: (Vec<u16>, &str)| {
    let (cuts, text) = input;
    ENGINE.with_borrow_mut(|slot| {
        let (engine, scratch, treatment) = slot.get_or_insert_with(|| {
            let engine = Engine::new().expect("the library is fit");
            let scratch = engine.scratch().expect("there is memory");
            let treatment = engine.catalogue().everything(Operator::Redact);
            (engine, scratch, treatment)
        });
        let (mut whole, mut findings) = (Vec::new(), Vec::new());
        if engine.mask_plain(scratch, text, treatment, &mut whole, &mut findings) != Verdict::Masked {
            whole = text.as_bytes().to_vec();
        }
        let mut cuts: Vec<usize> = cuts.iter().take(8).map(|cut| usize::from(*cut) % (text.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut stream, mut out, mut from) = (TextStream::new(), Vec::new(), 0);
        for cut in cuts {
            engine.feed(scratch, &mut stream, &text.as_bytes()[from..cut], false, treatment, &mut out, &mut findings);
            assert!(whole.starts_with(&out), "{:?} went out", String::from_utf8_lossy(&out));
            from = cut;
        }
        engine.feed(scratch, &mut stream, &text.as_bytes()[from..], true, treatment, &mut out, &mut findings);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole));
    });
});
