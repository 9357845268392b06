//! `sluicegate scan`: the masking engine on files, directories, standard input, audits and JSON lines.
//!
//! Invariant: a value that was found is written by its place only, or masked; an input that cannot be read is told of and stops no other.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use sluicegate_dlp::{Engine, Finding, Operator, Scratch, Stream, Treatment, Verdict};

use super::input::{Inputs, Look, Pass, Piece, is_parquet};

/// Bytes of one piece; a longer input is cut behind the end of a line.
const PIECE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of one line of `--jsonl`; a longer one is refused.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The arguments of `scan`.
#[derive(Args)]
pub(super) struct ScanArguments {
    /// Files and directories to scan; `-` or nothing is standard input
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the masked text instead of findings, as it comes; for one file
    #[arg(long, conflicts_with_all = ["jsonl", "audit"])]
    mask: bool,
    /// Read lines of {"id", "text"} from this file (`-`: standard input) and write {"id", "findings", "masked"} in the same order
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "audit"])]
    jsonl: Option<PathBuf>,
    /// Scan what callers wrote, as the audit in this directory keeps it
    #[arg(long, value_name = "DIR")]
    audit: Option<PathBuf>,
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

/// Writes findings as the pieces come.
struct Writer<'o, W> {
    scanner: &'o mut Scanner,
    out: &'o mut W,
    /// Whether a finding says in which file it stands, because there may be several.
    names_files: bool,
}

/// Writes the masked text as it comes.
struct Masker<W> {
    scanner: Scanner,
    out: W,
    stream: Stream,
    masked: Vec<u8>,
}

/// Scans; what cannot be read is reported on standard error.
pub(super) fn scan(arguments: &ScanArguments) -> ExitCode {
    match try_scan(arguments) {
        Ok(problems) => {
            problems.iter().for_each(|problem| eprintln!("sluicegate scan: {problem}"));
            if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluicegate scan: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Scans; returns what could not be read.
fn try_scan(arguments: &ScanArguments) -> io::Result<Vec<String>> {
    let is_one = arguments.paths.len() <= 1 && arguments.audit.is_none();
    let is_one_file = is_one && arguments.paths.first().is_none_or(|path| !path.is_dir());
    if arguments.mask && !is_one_file {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "--mask writes the text of one file; name one"));
    }
    let engine = Engine::new().map_err(io::Error::other)?;
    let treatment = engine.catalogue().everything(Operator::Redact);
    let mut scanner = Scanner { scratch: engine.scratch().map_err(io::Error::other)?, engine, treatment };
    let mut out = BufWriter::new(io::stdout().lock());
    if let Some(path) = &arguments.jsonl {
        return lines(&mut scanner, open(path)?, &mut out).map(|()| Vec::new());
    }
    let mut inputs = Inputs::new(PIECE_BYTES_MAX, false);
    let path = arguments.paths.first().map_or(Path::new("-"), PathBuf::as_path);
    if arguments.mask {
        if is_parquet(path) {
            let message =
                format!("{}: --mask writes text, and Parquet is none; leave --mask out for its findings", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        inputs.pass_through(path, &mut Masker { scanner, out, stream: Stream::new(), masked: Vec::new() })?;
        return Ok(inputs.problems);
    }
    let mut writer = Writer { scanner: &mut scanner, out: &mut out, names_files: !is_one_file };
    let standard_input = [PathBuf::from("-")];
    let paths = if is_one && arguments.paths.is_empty() { &standard_input[..] } else { &arguments.paths };
    inputs.look_through(paths, &mut writer)?;
    if let Some(dir) = &arguments.audit {
        inputs.look_through_audit(dir, &mut writer)?;
    }
    out.flush()?;
    Ok(inputs.problems)
}

fn open(path: &PathBuf) -> io::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

fn lines(scanner: &mut Scanner, mut input: Box<dyn BufRead>, out: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for number in 1u64.. {
        line.clear();
        let wrong = |message: String| io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {message}"));
        let read = input.by_ref().take(LINE_BYTES_MAX + 1).read_line(&mut line).map_err(|error| wrong(error.to_string()))?;
        if read == 0 {
            break;
        }
        if read as u64 > LINE_BYTES_MAX {
            return Err(wrong(format!("is longer than {LINE_BYTES_MAX} bytes")));
        }
        if line.trim().is_empty() {
            continue;
        }
        let Line { id, text } = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let (findings, masked) = scanner.scan(&text);
        let masked = masked.map_or(text, |bytes| String::from_utf8_lossy(&bytes).into_owned());
        let findings: Vec<_> = findings.iter().map(|finding| describe(finding, 0)).collect();
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

impl<W: Write> Masker<W> {
    fn feed(&mut self, bytes: &[u8], is_last: bool) {
        let Scanner { engine, scratch, treatment } = &mut self.scanner;
        // What was found is seen in what comes out.
        let mut findings = Vec::new();
        engine.feed_any(scratch, &mut self.stream, bytes, is_last, treatment, &mut self.masked, &mut findings);
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(&self.masked)?;
        self.masked.clear();
        // More may come much later, or never.
        self.out.flush()
    }
}

impl<W: Write> Pass for Masker<W> {
    fn chunk(&mut self, bytes: &[u8], by_line: bool) -> io::Result<()> {
        if !by_line {
            self.feed(bytes, false);
            return self.write();
        }
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            let is_whole = line.ends_with(b"\n");
            self.feed(line, is_whole);
            if is_whole {
                self.stream = Stream::new();
            }
        }
        self.write()
    }

    fn end(&mut self) -> io::Result<()> {
        self.feed(&[], true);
        self.write()
    }
}

impl<W: Write> Look for Writer<'_, W> {
    fn piece(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        let (findings, _) = self.scanner.scan(piece.text);
        for finding in &findings {
            let mut told = describe(finding, piece.offset);
            if self.names_files {
                told["file"] = piece.source.to_string_lossy().into();
            }
            if let Some((row, column)) = piece.cell {
                (told["row"], told["column"]) = (row.into(), column.into());
            }
            writeln!(self.out, "{told}")?;
        }
        Ok(())
    }
}

fn describe(finding: &Finding, offset: u64) -> serde_json::Value {
    json!({
        "type": *finding.kind,
        "detector": *finding.detector,
        "start": offset + finding.start as u64,
        "end": offset + finding.end as u64,
        "confidence": (f64::from(finding.confidence) * 100.0).round() / 100.0,
    })
}
