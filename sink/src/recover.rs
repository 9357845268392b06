//! Brings into Parquet what a former process left on its spools.
//!
//! Invariant: no row is lost and none is written twice, wherever the former process, or a former recovery, was cut off; a file
//! that cannot be read stops no other.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::codec::{decode_decision, decode_outcome};
use crate::frame::{self, Frame, Kind};
use crate::join::{Joiner, Origin, Row};
use crate::segment::{HEADER_BYTES, Header};
use crate::sink::seal_rows;

/// What recovery did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) rows: u64,
    pub(crate) corrupt: u64,
}

/// A segment that was found: its number, its file, its bytes.
type Leftover = (u64, PathBuf, Vec<u8>);

/// Seals what lies in `dir/spool`, then removes the segments.
///
/// # Errors
/// The system's, on the way to the disk; nothing is removed then, and the next start tries again.
pub(crate) fn recover(dir: &Path, gateway: &str) -> io::Result<Recovered> {
    let mut by_worker: HashMap<(u64, u16), Vec<Leftover>> = HashMap::new();
    let mut recovered = Recovered::default();
    for path in files(&dir.join("spool"))? {
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        let bytes = fs::read(&path)?;
        match Header::decode(&bytes) {
            Some(header) => by_worker.entry((header.boot, header.core)).or_default().push((header.number, path, bytes)),
            // A file that was being filled with zeros when the process ended holds nothing.
            None if bytes.iter().all(|&b| b == 0) => fs::remove_file(&path)?,
            None => {
                recovered.corrupt += 1;
                fs::rename(&path, path.with_extension("corrupt"))?;
            }
        }
    }
    for ((boot, core), mut segments) in by_worker {
        segments.sort_by_key(|(number, ..)| *number);
        let sealed = sealed_seqs(dir, boot, core)?;
        let mut joiner = Joiner::default();
        let mut rows = Vec::new();
        let mut damaged = Vec::new();
        // A decision that was carried forward stands behind its outcome, so all decisions are read before any outcome.
        for kind in [Kind::Decision, Kind::Outcome] {
            for (number, path, bytes) in &segments {
                let origin = |seq| Origin { boot, core, seq };
                let whole = read_segment(bytes, *number, |found| {
                    if found.kind == kind && !sealed.contains(&found.seq) {
                        take(found, origin(found.seq), &mut joiner, &mut rows);
                    }
                });
                if !whole && kind == Kind::Decision {
                    recovered.corrupt += 1;
                    damaged.push(path.clone());
                }
            }
        }
        rows.extend(joiner.give_up());
        rows.sort_by_key(|row| row.origin.seq);
        recovered.rows += rows.len() as u64;
        seal_rows(dir, gateway, &rows)?;
        for (_, path, _) in &segments {
            if damaged.contains(path) { fs::rename(path, path.with_extension("corrupt"))? } else { fs::remove_file(path)? }
        }
    }
    Ok(recovered)
}

/// Reads all whole frames. `false`: what follows them is neither the end nor a frame that was cut off by the process's death.
fn read_segment(bytes: &[u8], number: u64, mut each: impl FnMut(&Frame<'_>)) -> bool {
    let mut at = HEADER_BYTES;
    while let Some(found) = bytes.get(at..).and_then(|rest| frame::read(rest, number)) {
        at += found.length;
        each(&found);
    }
    // The length of a frame is written last, so a frame that was cut off has none.
    bytes.get(at..).unwrap_or_default().iter().take(4).all(|&b| b == 0)
}

fn take(found: &Frame<'_>, origin: Origin, joiner: &mut Joiner, rows: &mut Vec<Row>) {
    match found.kind {
        Kind::Decision => {
            if let Some(decision) = decode_decision(found.payload) {
                joiner.decision(origin, decision);
            }
        }
        Kind::Outcome => rows.extend(decode_outcome(found.payload).and_then(|outcome| joiner.outcome(origin, outcome))),
    }
}

/// The calls of one worker that are in Parquet files already.
fn sealed_seqs(dir: &Path, boot: u64, core: u16) -> io::Result<HashSet<u64>> {
    let mark = format!("-{boot:016x}-{core:03}-");
    let mut seqs = HashSet::new();
    for day in files(&dir.join("calls"))? {
        for hour in files(&day)? {
            for path in files(&hour)? {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                if name.starts_with('.') {
                    // A file that was never finished.
                    fs::remove_file(&path)?;
                } else if name.contains(&mark) {
                    read_seqs(&path, &mut seqs)?;
                }
            }
        }
    }
    Ok(seqs)
}

fn read_seqs(path: &Path, seqs: &mut HashSet<u64>) -> io::Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?).map_err(io::Error::other)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["seq"]);
    for batch in builder.with_projection(mask).build().map_err(io::Error::other)? {
        let batch = batch.map_err(io::Error::other)?;
        let column = batch.column(0).as_any().downcast_ref::<arrow::array::Int64Array>();
        let column = column.ok_or_else(|| io::Error::other("the column seq is not 64-bit"))?;
        seqs.extend(column.iter().flatten().filter_map(|seq| u64::try_from(seq).ok()));
    }
    Ok(())
}

/// The entries of a directory, sorted; none where it does not exist.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
