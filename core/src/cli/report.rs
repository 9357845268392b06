//! `sluicegate dlp report`: what a rule set would find in files and in the audit, counted.
//!
//! Invariant: no value is written, nor kept: that two values are equal is told by a keyed hash whose key dies with the process.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use sluicegate_dlp::{Engine, Finding, Keyring, MASTER_BYTES_MIN, Operator, Scratch, Treatment};

use super::check;
use super::input::{Inputs, Look, Piece, Told};
use crate::config;
use crate::control::treatments;

/// Bytes of one piece; a longer file is cut behind the end of a line.
const PIECE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Distinct values of one row that are told apart; more are counted as findings only.
const DISTINCT_MAX: usize = 1_000_000;

/// The arguments of `dlp report`.
#[derive(Args)]
pub(super) struct ReportArguments {
    /// Files, directories (gone through to their ends), Parquet files of an audit, or the directory of one; `-` is standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The rules of this configuration; otherwise everything that can be found is redacted
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// What is counted apart: type, detector, action.
type Row = (Arc<str>, Arc<str>, &'static str);

#[derive(Default)]
struct Count {
    findings: u64,
    distinct: HashSet<u64>,
    files: usize,
    last_file: usize,
    /// The least and the greatest.
    confidence: Option<(f32, f32)>,
}

impl Count {
    fn add(&mut self, file: usize, confidence: f32, hash: Option<u64>) {
        self.findings += 1;
        if self.last_file != file {
            self.last_file = file;
            self.files += 1;
        }
        if let Some(hash) = hash.filter(|_| self.distinct.len() < DISTINCT_MAX) {
            self.distinct.insert(hash);
        }
        let (least, greatest) = self.confidence.unwrap_or((confidence, confidence));
        self.confidence = Some((least.min(confidence), greatest.max(confidence)));
    }
}

struct Report {
    engine: Engine,
    scratch: Scratch,
    treatment: Treatment,
    counts: BTreeMap<Row, Count>,
    findings: Vec<Finding>,
    out: Vec<u8>,
}

/// Reports; what could not be read is told of at the end, and the exit status says so.
pub(super) fn report(arguments: &ReportArguments) -> ExitCode {
    let built = match &arguments.config {
        None => Engine::new().map(|engine| {
            let treatment = engine.catalogue().everything(Operator::Redact);
            (engine, treatment)
        }),
        Some(path) => match config::load(path) {
            Err(problems) => return check::report(path, &problems),
            Ok(config) => {
                let treatment = treatments::anywhere(&config);
                Engine::with(config.catalogue).map(|engine| (engine, treatment))
            }
        },
    };
    let report = built.map_err(io::Error::other).and_then(|(engine, treatment)| Report::new(engine, treatment));
    let done = report.and_then(|mut report| {
        let mut inputs = Inputs::new(PIECE_BYTES_MAX, true);
        inputs.look_through(&arguments.paths, &mut report)?;
        let mut out = io::stdout().lock();
        if arguments.json {
            report.write_json(&inputs, &mut out)?
        } else {
            report.write_table(&inputs, &mut out)?
        }
        out.flush()?;
        Ok(inputs)
    });
    match done {
        Ok(inputs) => {
            inputs.problems.iter().for_each(|problem| eprintln!("sluicegate dlp report: {problem}"));
            if inputs.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluicegate dlp report: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Report {
    fn new(engine: Engine, mut treatment: Treatment) -> io::Result<Self> {
        let mut key = [0u8; MASTER_BYTES_MIN];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let keyring = Keyring::derive(&key, "report").ok_or_else(|| io::Error::other("a key of this length is refused"))?;
        treatment.hash_findings(Arc::new(keyring), usize::MAX);
        let scratch = engine.scratch().map_err(io::Error::other)?;
        Ok(Report { scratch, engine, treatment, counts: BTreeMap::new(), findings: Vec::new(), out: Vec::new() })
    }

    fn write_json(&self, inputs: &Inputs, out: &mut impl Write) -> io::Result<()> {
        let rounded = |confidence: f32| (f64::from(confidence) * 100.0).round() / 100.0;
        let rows: Vec<_> = self
            .counts
            .iter()
            .map(|((kind, detector, action), count)| {
                let (least, greatest) = count.confidence.unwrap_or_default();
                json!({
                    "type": **kind, "detector": **detector, "action": action, "findings": count.findings,
                    "distinct": count.distinct.len(), "distinct_is_least": count.distinct.len() >= DISTINCT_MAX,
                    "files": count.files, "confidence_min": rounded(least), "confidence_max": rounded(greatest),
                })
            })
            .collect();
        let report = json!({
            "rows": rows, "files": inputs.files, "bytes": inputs.bytes, "skipped": inputs.skipped, "problems": inputs.problems,
        });
        writeln!(out, "{report}")
    }

    fn write_table(&self, inputs: &Inputs, out: &mut impl Write) -> io::Result<()> {
        let mut table: Vec<[String; 7]> = Vec::with_capacity(self.counts.len() + 1);
        table.push(["TYPE", "DETECTOR", "FINDINGS", "DISTINCT", "FILES", "CONFIDENCE", "ACTION"].map(str::to_owned));
        for ((kind, detector, action), count) in &self.counts {
            let (least, greatest) = count.confidence.unwrap_or_default();
            let confidence = if least < greatest { format!("{least:.2}-{greatest:.2}") } else { format!("{least:.2}") };
            let more = if count.distinct.len() >= DISTINCT_MAX { "+" } else { "" };
            let distinct = format!("{}{more}", count.distinct.len());
            let (findings, files) = (count.findings.to_string(), count.files.to_string());
            table.push([kind.to_string(), detector.to_string(), findings, distinct, files, confidence, (*action).to_owned()]);
        }
        let widths: [usize; 7] = std::array::from_fn(|column| table.iter().map(|row| row[column].len()).max().unwrap_or(0));
        for row in table.iter().filter(|_| !self.counts.is_empty()) {
            let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                // Numbers stand to the right.
                if (2..5).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        let findings: u64 = self.counts.values().map(|count| count.findings).sum();
        let skipped = if inputs.skipped == 0 { String::new() } else { format!(", {} skipped that hold no text", inputs.skipped) };
        writeln!(out, "{findings} findings in {} files, {} bytes{skipped}", inputs.files, inputs.bytes)
    }
}

impl Look for Report {
    fn piece(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        self.findings.clear();
        self.out.clear();
        self.engine.mask_text(&mut self.scratch, piece.text, &self.treatment, &mut self.out, &mut self.findings);
        for finding in self.findings.drain(..) {
            let hash = u64::from_str_radix(&finding.hash, 16).ok();
            let row = (finding.kind, finding.detector, finding.action.name());
            self.counts.entry(row).or_default().add(piece.number, finding.confidence, hash);
        }
        Ok(())
    }

    fn told(&mut self, told: &Told<'_>) {
        let action = self.engine.action_on(&self.treatment, told.detector, told.confidence, told.pointer, told.is_cut);
        if let Some(action) = action {
            let hash = u64::from_str_radix(told.hash, 16).ok();
            let row = (told.kind.into(), told.detector.into(), action.name());
            self.counts.entry(row).or_default().add(told.number, told.confidence, hash);
        }
    }
}
