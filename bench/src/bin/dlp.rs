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
/// Bytes of a text: those of a large reply.
const TEXT_BYTES: usize = 64 << 10;
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

    fn line(&mut self, name: &str, docs: &[Vec<u8>]) {
        // With an argument only the texts whose name holds it, and nothing but the masking: for a profiler.
        let only = std::env::args().nth(1);
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            return;
        }
        let findings: usize = docs.iter().map(|doc| self.mask(doc)).sum();
        let whole = best(|| {
            docs.iter().for_each(|doc| {
                self.mask(doc);
            });
        });
        if only.is_some() {
            return;
        }
        let parse = best(|| docs.iter().for_each(|doc| self.tape.parse(doc, &BOUNDS).unwrap()));
        let bytes: usize = docs.iter().map(Vec::len).sum();
        let megabytes = |seconds: f64| bytes as f64 / 1e6 / seconds;
        let (us, all, parse) = (whole * 1e6 / docs.len() as f64, megabytes(whole), megabytes(parse));
        println!("| {name} | {} | {findings} | {us:.2} | {all:.0} | {parse:.0} |", bytes / docs.len());
    }
}

/// Sources and documents of this repository, each a file that a tool has read. The masking engine's own are left out: they are full of what
/// it looks for.
fn files(folder: &Path, ends: &str, out: &mut String) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, ends, out);
        } else if path.extension().is_some_and(|end| end == ends) {
            out.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Texts as the results of a tool that reads files, 8 KiB each.
fn results(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let parts: Vec<String> = chars.chunks(8 << 10).map(|part| part.iter().collect()).collect();
    let blocks =
        |parts: &[String]| parts.iter().map(|text| serde_json::json!({"type": "text", "text": text})).collect::<Vec<_>>();
    parts
        .chunks(8)
        .map(|parts| serde_json::json!({"jsonrpc": "2.0", "id": 7, "result": {"content": blocks(parts)}}).to_string())
        .collect()
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
    println!("| text | bytes a message | findings | us a message | MB/s | MB/s of its parse alone |\n|---|---|---|---|---|---|");
    let small = br#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"The order of last week was sent and will arrive on Friday; the customer was told by mail. Nothing else is open. The next delivery is planned for the end of the month, as agreed with the branch office."}],"isError":false}}"#;
    stage.line("a small message", &[small.to_vec()]);
    stage.line("rows, nothing to find", &[rows(usize::MAX).into_bytes()]);
    let leaky = rows(10);
    stage.line("rows, one of ten with two findings", &[leaky.clone().into_bytes()]);
    let (mut code, mut prose) = (String::new(), String::new());
    for folder in ["core/src", "identity/src", "sink/src", "bench/src"] {
        files(Path::new(folder), "rs", &mut code);
    }
    files(Path::new("docs"), "md", &mut prose);
    prose.push_str(&std::fs::read_to_string("README.md").unwrap());
    let bytes = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect::<Vec<_>>();
    let (code_results, prose_results) = (bytes(results(&code)), bytes(results(&prose)));
    stage.line("source code", &code_results);
    stage.line("documents", &prose_results);
    let mut mixed = Vec::new();
    for number in 0..9 {
        mixed.push(match number % 3 {
            0 => leaky.clone().into_bytes(),
            1 => code_results[number % code_results.len()].clone(),
            _ => prose_results[number % prose_results.len()].clone(),
        });
    }
    stage.line("mixed: rows with findings, code, documents", &mixed);
    let is_plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '&' | '%');
    let plain: String = prose.chars().filter(is_plain).collect();
    stage.line("documents, plain ASCII in one string", &[format!("{{\"text\":\"{plain}\"}}").into_bytes()]);
    if std::env::args().nth(1).is_some() {
        return;
    }
    for (name, text) in [("documents, plain ASCII", &plain), ("source code", &code)] {
        let scanned = best(|| {
            stage.engine.scan_raw(&stage.scratch, text.as_bytes());
        });
        println!("\nraw scan of {name} by the pattern library: {:.0} MB/s", text.len() as f64 / 1e6 / scanned);
    }
}
