//! `sluicegate scan`: the masking engine on files, standard input or JSON lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use sluicegate_dlp::{Engine, Finding, Operator, Scratch, Treatment, Verdict};

/// Bytes of one input, or of one line; a longer one is refused.
const INPUT_BYTES_MAX: u64 = 1 << 30;

/// The arguments of `scan`.
#[derive(Args)]
pub(super) struct ScanArguments {
    /// The file to scan; `-` or nothing is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write the masked text instead of findings
    #[arg(long, conflicts_with = "jsonl")]
    mask: bool,
    /// Read lines of {"id", "text"} from this file (`-`: standard input) and write {"id", "findings", "masked"} in the same order
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    jsonl: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Line {
    id: serde_json::Value,
    text: String,
}

struct Scanner {
    engine: Engine,
    scratch: Scratch,
    treatment: Treatment,
}

/// Scans; what cannot be read is reported on standard error.
pub(super) fn scan(arguments: &ScanArguments) -> ExitCode {
    match try_scan(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluicegate scan: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_scan(arguments: &ScanArguments) -> io::Result<()> {
    let engine = Engine::new().map_err(io::Error::other)?;
    let treatment = engine.catalogue().everything(Operator::Redact);
    let mut scanner = Scanner { scratch: engine.scratch().map_err(io::Error::other)?, engine, treatment };
    let mut out = BufWriter::new(io::stdout().lock());
    if let Some(path) = &arguments.jsonl {
        return lines(&mut scanner, open(Some(path))?, &mut out);
    }
    let mut text = String::new();
    open(arguments.file.as_ref())?.take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    let (findings, masked) = scanner.scan(&text);
    if arguments.mask {
        out.write_all(&masked.unwrap_or_else(|| text.into_bytes()))?;
    } else {
        for finding in &findings {
            writeln!(out, "{}", describe(finding))?;
        }
    }
    out.flush()
}

fn open(path: Option<&PathBuf>) -> io::Result<Box<dyn BufRead>> {
    match path.filter(|path| path.as_os_str() != "-") {
        None => Ok(Box::new(BufReader::new(io::stdin()))),
        Some(path) => {
            let file = File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            Ok(Box::new(BufReader::new(file)))
        }
    }
}

fn lines(scanner: &mut Scanner, input: Box<dyn BufRead>, out: &mut impl Write) -> io::Result<()> {
    for (number, line) in input.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { id, text } = serde_json::from_str(&line)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", number + 1)))?;
        let (findings, masked) = scanner.scan(&text);
        let masked = masked.map_or(text, |bytes| String::from_utf8_lossy(&bytes).into_owned());
        let findings: Vec<_> = findings.iter().map(describe).collect();
        writeln!(out, "{}", json!({"id": id, "findings": findings, "masked": masked}))?;
    }
    out.flush()
}

impl Scanner {
    fn scan(&mut self, text: &str) -> (Vec<Finding>, Option<Vec<u8>>) {
        let (mut findings, mut masked) = (Vec::new(), Vec::new());
        let verdict = self.engine.mask_text(&mut self.scratch, text, &self.treatment, &mut masked, &mut findings);
        (findings, (verdict == Verdict::Masked).then_some(masked))
    }
}

fn describe(finding: &Finding) -> serde_json::Value {
    json!({
        "type": *finding.kind,
        "detector": *finding.detector,
        "start": finding.start,
        "end": finding.end,
        "confidence": (f64::from(finding.confidence) * 100.0).round() / 100.0,
    })
}
