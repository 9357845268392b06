//! Measures the masking engine by itself, on one core, the best of many short rounds: how fast it reads what it finds things in
//! and what it finds nothing in, what a small message costs, and how that stands to a raw scan by the pattern library. With
//! `digest` and folders it tells instead what masking makes of their files, written in many ways, so that two builds can be
//! held against each other.
//!
//! Invariant: every text is built from this repository, so that everybody measures the same.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measurement that cannot go on must say so and stop

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_dlp::{Engine, Operator, Scratch, TextStream, Treatment, all_leaves};

#[path = "../section.rs"]
mod section;

const BOUNDS: Bounds = Bounds { depth_max: 64, nodes_max: 10_000_000, refuse_duplicates: false };
/// Bytes of a text: those of a large reply.
const TEXT_BYTES: usize = 64 << 10;
/// Repetitions of which the best counts: others run on the machine too.
const ROUNDS: usize = 100;
/// Bytes of a piece of a text that arrives in pieces: those of one packet.
const PIECE_BYTES: usize = 1460;
/// Streams that are open at once where the memory of one is measured.
const STREAMS: u64 = 2000;

struct Stage {
    engine: Engine,
    scratch: Scratch,
    treatment: Treatment,
    tape: Tape,
    leaves: Vec<u32>,
    out: Vec<u8>,
    /// The table, which is printed as it grows.
    table: String,
}

/// Memory of this process that is resident.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The best time of one run of `work`, each round long enough for the clock and short enough to go by undisturbed.
fn best(mut work: impl FnMut()) -> f64 {
    let mut runs = 1;
    loop {
        let start = Instant::now();
        (0..runs).for_each(|_| work());
        if start.elapsed() > Duration::from_millis(2) {
            break;
        }
        runs *= 2;
    }
    let round = |_| {
        let start = Instant::now();
        (0..runs).for_each(|_| work());
        start.elapsed().as_secs_f64() / f64::from(runs)
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
        let raw = best(|| {
            docs.iter().for_each(|doc| {
                self.engine.scan_raw(&self.scratch, doc);
            });
        });
        self.say(&line(name, docs, findings, whole, Some(parse), raw));
    }

    /// Feeds every text in pieces, as a reply that arrives in packets.
    fn stream(&mut self, text: &[u8]) -> usize {
        self.out.clear();
        let (mut stream, mut findings) = (TextStream::new(), Vec::new());
        let mut pieces = text.chunks(PIECE_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none();
            let (scratch, treatment, out) = (&mut self.scratch, &self.treatment, &mut self.out);
            self.engine.feed(scratch, &mut stream, piece, is_last, treatment, out, &mut findings);
        }
        findings.len()
    }

    fn stream_line(&mut self, name: &str, texts: &[Vec<u8>]) {
        let only = std::env::args().nth(1);
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            return;
        }
        let findings: usize = texts.iter().map(|text| self.stream(text)).sum();
        let whole = best(|| {
            texts.iter().for_each(|text| {
                self.stream(text);
            });
        });
        let raw = best(|| {
            texts.iter().flat_map(|text| text.chunks(PIECE_BYTES)).for_each(|piece| {
                self.engine.scan_raw(&self.scratch, piece);
            });
        });
        self.say(&line(name, texts, findings, whole, None, raw));
    }

    /// What one stream costs in memory while it waits for its next piece.
    fn stream_bytes(&mut self, text: &[u8]) -> u64 {
        let before = resident_bytes();
        let mut streams: Vec<TextStream> = (0..STREAMS).map(|_| TextStream::new()).collect();
        for stream in &mut streams {
            self.out.clear();
            let (scratch, treatment, out) = (&mut self.scratch, &self.treatment, &mut self.out);
            self.engine.feed(scratch, stream, &text[..PIECE_BYTES], false, treatment, out, &mut Vec::new());
        }
        (resident_bytes() - before) / STREAMS
    }

    fn say(&mut self, line: &str) {
        println!("{line}");
        self.table.push_str(line);
        self.table.push('\n');
    }

    /// Writes the table into the report of what calls cost.
    fn write(&self) {
        let machine = section::processor();
        let words = "One thread on one core, the best of many short rounds; every detector is on, everything that is found is\n\
                     redacted. Times hold the parse of the JSON. The raw scan is that of the same bytes by the pattern library, with the same patterns,\n\
                     and without what finds out what a match is. A stream's text arrives in pieces of one packet.";
        section::put(section::MASKING, &format!("Command: `make bench-dlp`. Machine: {machine}. {words}\n\n{}", self.table));
    }

    /// What masking makes of a text as it stands, as a string of a message, and in pieces.
    fn digest(&mut self, text: &str, hasher: &mut impl Hasher) {
        let mut findings = Vec::new();
        let message = serde_json::json!({"id": 7, "result": {"content": [{"type": "text", "text": text}]}}).to_string();
        for text in [text, &message] {
            self.out.clear();
            self.engine.mask_text(&mut self.scratch, text, &self.treatment, &mut self.out, &mut findings);
            self.out.hash(hasher);
        }
        self.stream(text.as_bytes());
        self.out.hash(hasher);
        format!("{findings:?}").hash(hasher);
    }
}

/// A line of the table.
fn line(name: &str, texts: &[Vec<u8>], findings: usize, whole: f64, parse: Option<f64>, raw: f64) -> String {
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let megabytes = |seconds: f64| format!("{:.0}", bytes as f64 / 1e6 / seconds);
    let (us, all, raw_speed) = (whole * 1e6 / texts.len() as f64, megabytes(whole), megabytes(raw));
    let (parse, share) = (parse.map_or_else(|| "-".to_owned(), megabytes), raw / whole);
    format!("| {name} | {} | {findings} | {us:.2} | {all} | {parse} | {raw_speed} | {share:.2} |", bytes / texts.len())
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

/// All files under a folder that are text, but for what was built and what is kept from everybody.
fn texts(folder: &Path, out: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let is_left_out = ["target", "sealed", ".git"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !is_left_out {
            texts(&path, out);
        } else if let Some(text) = Some(&path).filter(|path| path.is_file()).and_then(|path| std::fs::read_to_string(path).ok()) {
            out.push((path.display().to_string(), text));
        }
    }
}

/// Ways to write a text that make another one of it for the masking, or move it within the blocks in which it is read.
fn ways(text: &str) -> Vec<String> {
    let every = |n: usize, with: &dyn Fn(char) -> String| {
        let write = |(at, c): (usize, char)| if at % n == n - 1 { with(c) } else { c.to_string() };
        text.chars().enumerate().map(write).collect::<String>()
    };
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::json!({"text": line, "length": line.len(), "value": [line, true]})).collect();
    vec![
        text.to_owned(),
        format!("{}{text}", "x ".repeat(19)),
        text.replace('\n', "\r\n"),
        text.replace('\n', ", "),
        text.to_uppercase(),
        every(97, &|c| format!("\\u{:04x}", u32::from(c) & 0xffff)),
        every(61, &|c| if c.is_ascii() { format!("%{:02x}", u32::from(c)) } else { c.to_string() }),
        every(53, &|c| format!("&#{};", u32::from(c))),
        every(71, &|c| format!("{c}\u{200b}")),
        every(131, &|c| format!("{c}é")),
        serde_json::Value::String(text.to_owned()).to_string(),
        serde_json::to_string(&lines).unwrap(),
        serde_json::to_string_pretty(&lines).unwrap(),
    ]
}

fn digests(stage: &mut Stage) {
    for folder in std::env::args().skip(2) {
        let mut found = Vec::new();
        texts(Path::new(&folder), &mut found);
        for (name, text) in found {
            let mut hasher = DefaultHasher::new();
            ways(&text).iter().for_each(|text| stage.digest(text, &mut hasher));
            println!("{:016x} {name}", hasher.finish());
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
    let (start, before) = (Instant::now(), resident_bytes());
    let engine = Engine::new().unwrap();
    let (load, memory) = (start.elapsed(), (resident_bytes() - before) >> 10);
    let treatment = engine.catalogue().everything(Operator::Redact);
    let scratch = engine.scratch().unwrap();
    let detectors = engine.detectors().len();
    let mut stage =
        Stage { engine, scratch, treatment, tape: Tape::new(), leaves: Vec::new(), out: Vec::new(), table: String::new() };
    if std::env::args().nth(1).is_some_and(|only| only == "digest") {
        return digests(&mut stage);
    }
    stage.say(&format!("{detectors} detectors, loaded in {} ms, {memory} KiB resident\n", load.as_millis()));
    stage.say(
        "| text | bytes a message | findings | us a message | MB/s | MB/s of its parse | MB/s of a raw scan | share of it |",
    );
    stage.say("|---|---|---|---|---|---|---|---|");
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
    stage.stream_line("stream: mixed, in pieces of 1,460 bytes", &mixed);
    // Prose that is not about secrets, as most is.
    let licence = std::fs::read_to_string("LICENSE").unwrap();
    stage.line("the licence, in one string", &[serde_json::json!({"text": licence}).to_string().into_bytes()]);
    stage.line(
        "the licence, its lines joined",
        &[serde_json::json!({"text": licence.replace('\n', " ")}).to_string().into_bytes()],
    );
    let is_plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '&' | '%');
    let plain: String = prose.chars().filter(is_plain).collect();
    stage.line("documents, plain ASCII in one string", &[format!("{{\"text\":\"{plain}\"}}").into_bytes()]);
    if std::env::args().nth(1).is_none() {
        let bytes = stage.stream_bytes(code.as_bytes());
        stage.say(&format!("\nA stream that waits for its next piece has {bytes} bytes."));
        stage.write();
    }
}
