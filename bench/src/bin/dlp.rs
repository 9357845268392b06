//! Measures the masking engine by itself, on one core, in processor time of the thread: how fast it reads what it finds things in and what
//! it finds nothing in, what a small message costs, and how that stands to a raw scan by the pattern library.
//!
//! Invariant: every text is built from this repository, so that everybody measures the same.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measurement that cannot go on must say so and stop

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_dlp::{Engine, Operator, Scratch, Treatment, all_leaves};

const BOUNDS: Bounds = Bounds { depth_max: 64, nodes_max: 10_000_000, refuse_duplicates: false };
/// Bytes of a text.
const TEXT_BYTES: usize = 1 << 20;
/// Repetitions of which the best counts: others run on the machine too.
const ROUNDS: usize = 7;

struct Stage {
    engine: Engine,
    scratch: Scratch,
    treatment: Treatment,
    tape: Tape,
    leaves: Vec<u32>,
    out: Vec<u8>,
}

/// Processor time of this thread.
fn now() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// The best time of one run of `work`, each long enough for the clock.
fn best(mut work: impl FnMut()) -> f64 {
    let mut runs = 1;
    loop {
        let start = now();
        (0..runs).for_each(|_| work());
        if now() - start > Duration::from_millis(40) {
            break;
        }
        runs *= 2;
    }
    let round = |_| {
        let start = now();
        (0..runs).for_each(|_| work());
        (now() - start).as_secs_f64() / f64::from(runs)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

impl Stage {
    fn mask(&mut self, doc: &[u8]) -> usize {
        self.tape.parse(doc, &BOUNDS).unwrap();
        self.leaves.clear();
        all_leaves(&self.tape, &mut self.leaves);
        self.out.clear();
        let mut findings = Vec::new();
        let (out, leaves) = (&mut self.out, &self.leaves);
        self.engine.mask_document(&mut self.scratch, doc, &self.tape, leaves, &self.treatment, out, &mut findings);
        findings.len()
    }

    fn line(&mut self, name: &str, doc: &[u8]) {
        // With an argument only the texts whose name holds it, and nothing but the masking: for a profiler.
        let only = std::env::args().nth(1);
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            return;
        }
        if only.is_some() {
            best(|| {
                self.mask(doc);
            });
            return;
        }
        let findings = self.mask(doc);
        let whole = best(|| {
            self.mask(doc);
        });
        let parse = best(|| self.tape.parse(doc, &BOUNDS).unwrap());
        let megabytes = |seconds: f64| doc.len() as f64 / 1e6 / seconds;
        println!(
            "| {name} | {} | {findings} | {:.2} | {:.0} | {:.0} |",
            doc.len(),
            whole * 1e6,
            megabytes(whole),
            megabytes(parse)
        );
    }
}

/// Rust sources of this repository as the strings of a tool's results.
fn sources(folder: &Path, out: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let is_catalogue = path.ends_with("dlp/src/catalogue");
        match path.extension().and_then(|end| end.to_str()) {
            None if path.is_dir() && !is_catalogue => sources(&path, out),
            Some("rs" | "md") => out.push(std::fs::read_to_string(&path).unwrap()),
            _ => {}
        }
    }
}

/// Rows of a table of customers, of whom every `every`th has something to hide.
fn rows(every: usize) -> String {
    let mut rows = String::from("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"structuredContent\":{\"rows\":[");
    let mut count = 0;
    while rows.len() < TEXT_BYTES {
        let note = if count % every == every - 1 {
            "card 4111 1111 1111 1111, write to ana@customer.example"
        } else {
            "called twice, wants an offer for the new line"
        };
        write!(
            rows,
            "{{\"id\":{},\"name\":\"Customer 17\",\"date\":\"2026-03-11\",\"state\":\"open\",\"region\":\"north-west\",\"plan\":\"free\",\"note\":\"{note}\",\"score\":0.{},\"tags\":[\"a\",\"new\"],\"active\":true}},",
            100_000 + count,
            count % 977
        )
        .unwrap();
        count += 1;
    }
    rows.pop();
    rows + "]}}}"
}

fn main() {
    let start = now();
    let engine = Engine::new().unwrap();
    let load = now() - start;
    let treatment = engine.catalogue().everything(Operator::Redact);
    let scratch = engine.scratch().unwrap();
    let detectors = engine.detectors().len();
    let mut stage = Stage { engine, scratch, treatment, tape: Tape::new(), leaves: Vec::new(), out: Vec::new() };
    println!("{detectors} detectors, loaded in {} ms\n", load.as_millis());
    println!("| text | bytes | findings | us | MB/s | MB/s of its parse alone |\n|---|---|---|---|---|---|");
    let small = br#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"The order of last week was sent and will arrive on Friday; the customer was told by mail. Nothing else is open. The next delivery is planned for the end of the month, as agreed with the branch office."}],"isError":false}}"#;
    stage.line("a small message", small);
    stage.line("rows, nothing to find", rows(usize::MAX).as_bytes());
    stage.line("rows, one of ten with two findings", rows(10).as_bytes());
    let mut texts = Vec::new();
    sources(Path::new("."), &mut texts);
    let text = serde_json::json!({"result": {"content": [{"type": "text", "text": texts.concat()}]}}).to_string();
    stage.line("source code in one string, escaped", text.as_bytes());
    let raw = texts.concat().replace(['"', '\\', '\n', '\t'], " ");
    let ascii: String = raw.chars().filter(|c| matches!(c, ' '..='~')).collect();
    stage.line("source code in one string, without escapes", format!("{{\"text\":\"{ascii}\"}}").as_bytes());
    if std::env::args().nth(1).is_some() {
        return;
    }
    let scanned = best(|| {
        stage.engine.scan_raw(&stage.scratch, ascii.as_bytes());
    });
    println!("\nraw scan of the same text by the pattern library: {:.0} MB/s", ascii.len() as f64 / 1e6 / scanned);
}
