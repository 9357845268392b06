//! Strings that hold texts in base64, each decoded whole.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluicegate_dlp::json::{Bounds, Kind, Tape};
use sluicegate_dlp::{Conditions, Engine, Finding, Operator, PointerPattern, Rule, Treatment, Verdict};

const BOUNDS: Bounds = Bounds { depth_max: 64, nodes_max: 4_000_000, refuse_duplicates: false };

struct Done {
    verdict: Verdict,
    out: String,
    findings: Vec<Finding>,
    others: usize,
}

/// Masks every string value of a document as a text in base64.
fn mask(engine: &Engine, treatment: &Treatment, doc: &str) -> Done {
    let mut tape = Tape::new();
    tape.parse(doc.as_bytes(), &BOUNDS).unwrap();
    let leaves: Vec<u32> = (0..tape.len()).filter(|&index| tape.node(index).kind == Kind::String).collect();
    let (mut out, mut findings, mut others) = (b"before".to_vec(), Vec::new(), Vec::new());
    let mut scratch = engine.scratch().unwrap();
    let bytes = doc.as_bytes();
    let verdict = engine.mask_base64(&mut scratch, bytes, &tape, &leaves, treatment, &mut out, &mut findings, &mut others);
    let out = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    Done { verdict, out, findings, others: others.len() }
}

fn mail(name: &str) -> String {
    STANDARD.encode(format!("write to {name}@customer.example"))
}

#[test]
fn what_is_replaced_decodes_and_the_rest_stays() {
    let engine = Engine::new().unwrap();
    let redact = engine.catalogue().everything(Operator::Redact);
    let escaped = mail("eve").replace('/', "\\/");
    let doc = format!("{{ \"a\":[\"{}\", \"bm90aGluZw==\"],\"b\":\"!\",\"c\":\"/w==\",\"d\":\"{escaped}\" }}", mail("ana"));
    let done = mask(&engine, &redact, &doc);
    let gone = STANDARD.encode("write to [EMAIL_ADDRESS]");
    assert_eq!((done.verdict, done.others), (Verdict::Masked, 2), "neither `!` nor a byte that is no UTF-8 is a text");
    assert_eq!(done.out, doc.replace(&mail("ana"), &gone).replace(&escaped, &gone));
    let pointers: Vec<&str> = done.findings.iter().map(|finding| finding.pointer.as_str()).collect();
    assert_eq!(pointers, ["/a/0", "/d"]);
    let clean = mask(&engine, &redact, "{\"a\":\"bm90aGluZw==\"}");
    assert_eq!((clean.verdict, clean.out.as_str()), (Verdict::Clean, ""));
}

#[test]
fn a_block_leaves_nothing_behind() {
    let engine = Engine::new().unwrap();
    let mut treatment = engine.catalogue().everything(Operator::Redact);
    treatment.set(&engine.catalogue().select("CREDIT_CARD").unwrap(), Operator::Block);
    let card = STANDARD.encode("4111111111111111");
    let done = mask(&engine, &treatment, &format!("[\"{}\",\"{card}\",\"{}\"]", mail("ana"), mail("bob")));
    assert_eq!((done.verdict, done.out.as_str(), done.findings.len()), (Verdict::Blocked, "", 3));
}

#[test]
fn rules_with_a_pointer_are_about_the_string_that_holds_the_text() {
    let engine = Engine::new().unwrap();
    let mut treatment = Treatment::none();
    let pointers = vec![PointerPattern::parse("/1/blob").unwrap()];
    let conditions = std::sync::Arc::new(Conditions { pointers, ..Conditions::default() });
    treatment.set_rule(&[engine.catalogue().all()], Rule { conditions, ..Rule::new(Operator::Redact) });
    let json = STANDARD.encode("{\"blob\":\"dora@customer.example\"}");
    let doc = format!("[{{\"blob\":\"{}\"}},{{\"blob\":\"{}\"}},{{\"blob\":\"{json}\"}}]", mail("ana"), mail("bob"));
    let done = mask(&engine, &treatment, &doc);
    assert_eq!(done.out, doc.replace(&mail("bob"), &STANDARD.encode("write to [EMAIL_ADDRESS]")));
    let inner = mask(&engine, &treatment, &format!("[1,{{\"blob\":\"{json}\"}}]"));
    assert_eq!(inner.out, format!("[1,{{\"blob\":\"{}\"}}]", STANDARD.encode("{\"blob\":\"[EMAIL_ADDRESS]\"}")));
}

/// Takes minutes where each string's place is worked out anew, and the suite would not end.
#[test]
fn many_strings_cost_no_more_than_long_ones() {
    let engine = Engine::new().unwrap();
    let mut treatment = engine.catalogue().everything(Operator::Redact);
    let pointers = vec![PointerPattern::parse("/99999").unwrap()];
    let conditions = std::sync::Arc::new(Conditions { pointers, ..Conditions::default() });
    treatment.set_rule(&[engine.catalogue().all()], Rule { conditions, ..Rule::new(Operator::Block) });
    let doc = format!("[{}1]", format!("\"{}\",", mail("ana")).repeat(20_000));
    let start = std::time::Instant::now();
    let done = mask(&engine, &treatment, &doc);
    assert_eq!((done.verdict, done.findings.len()), (Verdict::Masked, 20_000));
    // For whoever looks with --nocapture; a limit would fail on a busy machine.
    println!("{} bytes in {:?}", doc.len(), start.elapsed());
}
