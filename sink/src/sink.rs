//! The sink's thread: reads what workers append, joins it, seals Parquet files, and keeps workers in fresh segments.
//!
//! Invariant: a segment is removed only when every call that began in it is in a sealed file; an error on the disk keeps
//! everything where it is, is reported, and is tried again.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;

use crate::codec::{decode_decision, decode_outcome};
use crate::frame::{self, Kind};
use crate::join::{Joiner, Origin, Row, random_u64};
use crate::parquet;
use crate::recover::{self, files};
use crate::segment::{DIR_MODE, HEADER_BYTES, Header, Segment};
use crate::spool::{Exchange, Spool};

/// How often the thread looks at the spools.
const POLL: Duration = Duration::from_millis(50);
/// Full segments of one worker that are kept because calls in them are open; beyond it only the open decisions are kept.
const FULL_SEGMENTS_MAX: usize = 3;
/// Bytes read from a segment at once.
const READ_BYTES: usize = 1 << 20;

/// How the audit is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub dir: PathBuf,
    /// The name of this gateway in rows and file names: letters, digits and `_`.
    pub gateway: String,
    /// Workers.
    pub cores: u16,
    /// Bytes of a segment, at least 1 MiB.
    pub segment_bytes: usize,
    /// Fresh segments kept ready for each worker, at least 1.
    pub segments_spare: usize,
    /// How long a row waits for others before a file is sealed.
    pub seal_interval: Duration,
    /// How many rows are enough for a file.
    pub seal_rows: usize,
}

/// Why there is no audit.
#[derive(Debug)]
pub enum SinkError {
    /// Another process keeps its audit in this directory.
    InUse(PathBuf),
    /// The disk refuses.
    Io(io::Error),
    /// The sink's thread is gone.
    Gone,
}

impl std::fmt::Display for SinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SinkError::InUse(dir) => write!(f, "another process keeps its audit in {}", dir.display()),
            SinkError::Io(error) => write!(f, "the audit cannot be written: {error}"),
            SinkError::Gone => f.write_str("the audit's thread has ended"),
        }
    }
}

impl std::error::Error for SinkError {}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        SinkError::Io(error)
    }
}

/// How the sink is doing.
#[derive(Clone, Debug, Default)]
pub struct SinkStatus {
    /// Rows sealed since the start, recovered ones included.
    pub rows_total: u64,
    /// Segments on the disk.
    pub segments: u64,
    /// Files that could not be read at the start, or parts of them.
    pub corrupt_total: u64,
    /// What the disk said last, until it accepts again.
    pub error: Option<String>,
}

enum Order {
    Flush(Sender<Result<(), SinkError>>),
    Stop,
}

/// The handle to the sink's thread.
pub struct Sink {
    orders: Sender<Order>,
    status: Arc<Mutex<SinkStatus>>,
    thread: Option<JoinHandle<Result<(), SinkError>>>,
}

/// Recovers what a former process left, makes a spool for each worker and starts the sink.
///
/// # Errors
/// [`SinkError::InUse`], or the disk's refusal.
pub fn open(options: Options) -> Result<(Vec<Spool>, Sink), SinkError> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(options.dir.join("spool"))?;
    let lock = File::create(options.dir.join("lock"))?;
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => SinkError::InUse(options.dir.clone()),
        fs::TryLockError::Error(error) => SinkError::Io(error),
    })?;
    let recovered = recover::recover(&options.dir, &options.gateway)?;
    let boot = random_u64();
    let mut spools = Vec::new();
    let mut workers = Vec::new();
    for core in 0..options.cores {
        let exchange = Arc::new(Exchange { fresh: ArrayQueue::new(options.segments_spare.max(1)) });
        let mut worker = Worker { core, exchange: Arc::clone(&exchange), next_number: 0, segments: VecDeque::new() };
        let first = worker.create(&options, boot)?;
        spools.push(Spool::new(first, exchange));
        worker.supply(&options, boot)?;
        workers.push(worker);
    }
    let status = SinkStatus { rows_total: recovered.rows, corrupt_total: recovered.corrupt, ..SinkStatus::default() };
    let status = Arc::new(Mutex::new(status));
    let (orders, inbox) = mpsc::channel();
    let mut state = State {
        options,
        boot,
        workers,
        joiner: Joiner::default(),
        rows: Vec::new(),
        oldest: None,
        status: Arc::clone(&status),
        _lock: lock,
    };
    let thread = std::thread::Builder::new().name("sink".into()).spawn(move || state.run(&inbox))?;
    Ok((spools, Sink { orders, status, thread: Some(thread) }))
}

impl Sink {
    /// Seals everything that has ended so far. Blocks; not for a worker.
    ///
    /// # Errors
    /// The disk's refusal; nothing is lost then.
    pub fn flush(&self) -> Result<(), SinkError> {
        let (answer, wait) = mpsc::channel();
        self.orders.send(Order::Flush(answer)).map_err(|_| SinkError::Gone)?;
        wait.recv().map_err(|_| SinkError::Gone)?
    }

    /// How it is doing.
    pub fn status(&self) -> SinkStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the sink after the workers have ended: seals everything, open calls as incomplete, and removes the spool.
    ///
    /// # Errors
    /// The disk's refusal; the spool stays then, and the next start recovers it.
    pub fn shutdown(mut self) -> Result<(), SinkError> {
        self.orders.send(Order::Stop).map_err(|_| SinkError::Gone)?;
        self.thread.take().map_or(Err(SinkError::Gone), |thread| thread.join().unwrap_or(Err(SinkError::Gone)))
    }
}

/// One worker, as the sink sees it.
struct Worker {
    core: u16,
    exchange: Arc<Exchange>,
    next_number: u64,
    segments: VecDeque<Reading>,
}

/// A segment that is read while it is written.
struct Reading {
    file: File,
    path: PathBuf,
    number: u64,
    at: u64,
    last_seq: u64,
    is_full: bool,
}

impl Worker {
    fn create(&mut self, options: &Options, boot: u64) -> io::Result<Segment> {
        let header = Header { core: self.core, number: self.next_number, boot };
        let segment = Segment::create(&options.dir.join("spool"), header, options.segment_bytes.max(1 << 20))?;
        self.next_number += 1;
        self.segments.push_back(Reading {
            file: File::open(&segment.path)?,
            path: segment.path.clone(),
            number: header.number,
            at: HEADER_BYTES as u64,
            last_seq: 0,
            is_full: false,
        });
        Ok(segment)
    }

    /// Puts the decisions of open calls from all full segments into one segment in their place.
    fn carry(&mut self, options: &Options, boot: u64, joiner: &Joiner) -> io::Result<()> {
        let full = self.segments.iter().take_while(|segment| segment.is_full).count();
        let mut carried = Vec::new();
        for segment in self.segments.iter().take(full) {
            let bytes = fs::read(&segment.path)?;
            let mut at = HEADER_BYTES;
            while let Some(found) = bytes.get(at..).and_then(|rest| frame::read(rest, segment.number)) {
                at += found.length;
                let is_open = joiner.is_open(&Origin { boot, core: self.core, seq: found.seq });
                if found.kind == Kind::Decision && is_open {
                    carried.push((found.seq, found.payload.to_vec()));
                }
            }
        }
        let needed: usize = carried.iter().map(|(_, payload)| frame::HEAD_BYTES + payload.len()).sum();
        let header = Header { core: self.core, number: self.next_number, boot };
        let mut segment = Segment::create(&options.dir.join("spool"), header, HEADER_BYTES + needed + frame::HEAD_BYTES)?;
        self.next_number += 1;
        for (seq, payload) in &carried {
            if !segment.append(Kind::Decision, *seq, payload) {
                return Err(io::Error::other("a segment made to measure has no room"));
            }
        }
        // The old ones go only when the new one is whole; recovery meets a decision twice without harm.
        for old in self.segments.drain(..full) {
            fs::remove_file(&old.path)?;
        }
        let last_seq = carried.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
        let file = File::open(&segment.path)?;
        let at = (HEADER_BYTES + needed) as u64;
        let reading = Reading { file, path: segment.path.clone(), number: header.number, at, last_seq, is_full: true };
        self.segments.push_front(reading);
        Ok(())
    }

    /// Keeps the worker in fresh segments.
    fn supply(&mut self, options: &Options, boot: u64) -> io::Result<()> {
        while !self.exchange.fresh.is_full() {
            let segment = self.create(options, boot)?;
            // Only this thread pushes, and there is room.
            let _ = self.exchange.fresh.push(segment);
        }
        Ok(())
    }
}

struct State {
    options: Options,
    boot: u64,
    workers: Vec<Worker>,
    joiner: Joiner,
    rows: Vec<Row>,
    oldest: Option<Instant>,
    status: Arc<Mutex<SinkStatus>>,
    _lock: File,
}

impl State {
    fn run(&mut self, inbox: &Receiver<Order>) -> Result<(), SinkError> {
        loop {
            let order = inbox.recv_timeout(POLL);
            let worked = self.turn(matches!(order, Ok(Order::Flush(_))));
            self.report(&worked);
            match order {
                Ok(Order::Flush(answer)) => drop(answer.send(worked.map_err(SinkError::Io))),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return self.finish().map_err(SinkError::Io),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn turn(&mut self, flush: bool) -> io::Result<()> {
        self.read()?;
        let is_due = self.oldest.is_some_and(|oldest| oldest.elapsed() >= self.options.seal_interval);
        if flush || is_due || self.rows.len() >= self.options.seal_rows {
            self.seal()?;
        }
        for worker in &mut self.workers {
            worker.supply(&self.options, self.boot)?;
        }
        Ok(())
    }

    /// Reads what is new on all spools.
    fn read(&mut self) -> io::Result<()> {
        for worker in &mut self.workers {
            for at in 0..worker.segments.len() {
                // Whether the next segment is in use must be known before this one is read to its end.
                let next_begun = match worker.segments.get(at + 1) {
                    Some(next) => has_frame(next)?,
                    None => false,
                };
                let origin = (self.boot, worker.core);
                read_new(&mut worker.segments[at], origin, &mut self.joiner, &mut self.rows)?;
                worker.segments[at].is_full |= next_begun;
                if !next_begun {
                    break;
                }
            }
        }
        if self.oldest.is_none() && !self.rows.is_empty() {
            self.oldest = Some(Instant::now());
        }
        Ok(())
    }

    fn seal(&mut self) -> io::Result<()> {
        seal_rows(&self.options.dir, &self.options.gateway, &self.rows)?;
        let sealed = self.rows.len() as u64;
        self.rows.clear();
        self.oldest = None;
        self.status.lock().unwrap_or_else(PoisonError::into_inner).rows_total += sealed;
        self.remove_settled()
    }

    /// Removes full segments of whose calls none is open; where calls stay open for long, their decisions move on.
    fn remove_settled(&mut self) -> io::Result<()> {
        let mut oldest_open: BTreeMap<u16, u64> = BTreeMap::new();
        for origin in self.joiner.open() {
            let oldest = oldest_open.entry(origin.core).or_insert(origin.seq);
            *oldest = (*oldest).min(origin.seq);
        }
        for worker in &mut self.workers {
            let oldest = oldest_open.get(&worker.core).copied().unwrap_or(u64::MAX);
            while worker.segments.front().is_some_and(|front| front.is_full && front.last_seq < oldest) {
                if let Some(front) = worker.segments.pop_front() {
                    fs::remove_file(&front.path)?;
                }
            }
            if worker.segments.iter().filter(|segment| segment.is_full).count() > FULL_SEGMENTS_MAX {
                worker.carry(&self.options, self.boot, &self.joiner)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.read()?;
        self.rows.extend(self.joiner.give_up());
        self.seal()?;
        for path in files(&self.options.dir.join("spool"))? {
            if path.extension().is_some_and(|extension| extension == "seg") {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn report(&self, worked: &io::Result<()>) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.segments = self.workers.iter().map(|worker| worker.segments.len() as u64).sum();
        status.error = worked.as_ref().err().map(ToString::to_string);
    }
}

/// Whether anything has been written into a segment.
fn has_frame(segment: &Reading) -> io::Result<bool> {
    let mut length = [0u8; 4];
    let got = segment.file.read_at(&mut length, HEADER_BYTES as u64)?;
    Ok(segment.at > HEADER_BYTES as u64 || (got == 4 && length != [0; 4]))
}

/// Reads whole frames from where the last read ended.
fn read_new(segment: &mut Reading, (boot, core): (u64, u16), joiner: &mut Joiner, rows: &mut Vec<Row>) -> io::Result<()> {
    let mut buffer = vec![0u8; READ_BYTES];
    loop {
        let got = segment.file.read_at(&mut buffer, segment.at)?;
        let mut used = 0;
        while let Some(found) = frame::read(&buffer[used..got], segment.number) {
            used += found.length;
            let origin = Origin { boot, core, seq: found.seq };
            match found.kind {
                Kind::Decision => {
                    segment.last_seq = segment.last_seq.max(found.seq);
                    if let Some(decision) = decode_decision(found.payload) {
                        joiner.decision(origin, decision);
                    }
                }
                Kind::Outcome => rows.extend(decode_outcome(found.payload).and_then(|outcome| joiner.outcome(origin, outcome))),
            }
        }
        segment.at += used as u64;
        if used == 0 {
            return Ok(());
        }
    }
}

/// Seals rows, one file for each worker and hour.
pub(crate) fn seal_rows(dir: &Path, gateway: &str, rows: &[Row]) -> io::Result<()> {
    let mut groups: BTreeMap<(u64, u16, i64), Vec<Row>> = BTreeMap::new();
    for row in rows {
        let key = (row.origin.boot, row.origin.core, parquet::hour_of(row.decision.ts_us));
        groups.entry(key).or_default().push(row.clone());
    }
    for group in groups.values() {
        parquet::seal(dir, gateway, group)?;
    }
    Ok(())
}
