//! What must hold of the audit whatever happens to the process.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use sluicegate_sink::{Decision, Effect, Era, Options, Outcome, SinkError, Spool, Status, open};

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        gateway: "test".into(),
        cores: 1,
        segment_bytes: 1 << 20,
        segments_spare: 2,
        seal_interval: Duration::from_secs(60),
        seal_rows: 100_000,
    }
}

fn decision(tool: &str) -> Decision<'_> {
    Decision {
        ts_us: 1_790_000_000_000_000,
        session: None,
        issuer: "corp",
        principal: "corp:agent",
        subject: "agent",
        client: "agent",
        roles: &[],
        src_ip: [127, 0, 0, 1].into(),
        upstream: "crm",
        era: Era::Modern,
        protocol_version: "2026-07-28",
        http_method: "POST",
        method: "tools/call",
        tool,
        resource: "",
        jsonrpc_id: "1",
        args: b"{}",
        args_bytes: 2,
        decision: Effect::Allow,
        rule: "r",
        reason: "",
        generation: 1,
        decision_ns: 1,
        bytes_in: 2,
        findings: &[],
        credential: "",
        credential_version: 0,
        credential_tag: "",
        approval: "",
        shadow_decision: "",
        shadow_rule: "",
        actors: &[],
    }
}

fn outcome() -> Outcome<'static> {
    let (error_code, bytes_out, duration_us, upstream_us) = (0, 5, 10, 8);
    Outcome {
        ts_us: 1_790_000_000_000_010,
        status: Status::Ok,
        error_code,
        http_status: 200,
        bytes_out,
        duration_us,
        upstream_us,
        findings: &[],
        reason: "",
    }
}

fn call(spool: &mut Spool, tool: &str) {
    let ticket = spool.decision(&decision(tool)).unwrap();
    spool.outcome(ticket, &outcome());
}

fn walk(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// Tool and status of every row, sorted.
fn rows(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(&dir.join("calls"), &mut files);
    let mut rows = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet")) {
        let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
        let names: Vec<String> = reader
            .metadata()
            .file_metadata()
            .schema_descr()
            .root_schema()
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect();
        let at = |name: &str| names.iter().position(|have| have == name).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            rows.push((row.get_string(at("tool")).unwrap().clone(), row.get_string(at("status")).unwrap().clone()));
        }
    }
    rows.sort();
    rows
}

#[test]
fn a_flush_makes_rows_and_shutdown_leaves_no_spool() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spools, sink) = open(options(dir.path())).unwrap();
    call(&mut spools[0], "a");
    let _open = spools[0].decision(&decision("b")).unwrap();
    sink.flush().unwrap();
    assert_eq!(rows(dir.path()), [("a".to_owned(), "ok".to_owned())]);
    sink.shutdown().unwrap();
    assert_eq!(rows(dir.path()), [("a".to_owned(), "ok".to_owned()), ("b".to_owned(), "incomplete".to_owned())]);
    assert_eq!(fs::read_dir(dir.path().join("spool")).unwrap().count(), 0);
}

#[test]
fn two_processes_on_one_directory_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _held = open(options(dir.path())).unwrap();
    assert!(matches!(open(options(dir.path())), Err(SinkError::InUse(_))));
}

#[test]
fn many_segments_with_a_call_that_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spools, sink) = open(options(dir.path())).unwrap();
    let long = spools[0].decision(&decision("long")).unwrap();
    let mut made = 0;
    while made < 30_000 {
        match spools[0].decision(&decision("short")) {
            Ok(ticket) => {
                spools[0].outcome(ticket, &outcome());
                made += 1;
            }
            Err(_) => {
                sink.flush().unwrap();
            }
        }
    }
    sink.flush().unwrap();
    sink.flush().unwrap();
    assert!(sink.status().segments <= 8, "{} segments are kept for one open call", sink.status().segments);
    spools[0].outcome(long, &outcome());
    sink.shutdown().unwrap();
    let rows = rows(dir.path());
    assert_eq!(rows.len(), 30_001);
    assert_eq!(rows[0], ("long".to_owned(), "ok".to_owned()));
}

#[test]
fn a_full_spool_says_so_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spools, sink) = open(options(dir.path())).unwrap();
    // No fresh segment can be made while the place for them is gone.
    let (spool_dir, aside) = (dir.path().join("spool"), dir.path().join("aside"));
    fs::rename(&spool_dir, &aside).unwrap();
    let mut refused = false;
    for _ in 0..100_000 {
        match spools[0].decision(&decision("x")) {
            Ok(ticket) => spools[0].outcome(ticket, &outcome()),
            Err(_) => {
                refused = true;
                break;
            }
        }
    }
    assert!(refused, "a spool without fresh segments must refuse");
    assert!(sink.flush().is_err());
    fs::rename(&aside, &spool_dir).unwrap();
    sink.flush().unwrap();
    call(&mut spools[0], "after");
    sink.shutdown().unwrap();
    assert!(rows(dir.path()).contains(&("after".to_owned(), "ok".to_owned())));
}

#[test]
fn recovery_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = dir.path().join("crashed");
    let live = dir.path().join("live");
    let (mut spools, sink) = open(options(&live)).unwrap();
    call(&mut spools[0], "sealed");
    sink.flush().unwrap();
    call(&mut spools[0], "settled");
    let _open = spools[0].decision(&decision("open")).unwrap();
    // The image that a crash would leave now: the first call is in Parquet and still on the spool.
    copy(&live, &crashed);
    let expected = [("open", "incomplete"), ("sealed", "ok"), ("settled", "ok")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    for _ in 0..2 {
        let (_, sink) = open(options(&crashed)).unwrap();
        assert_eq!(rows(&crashed), expected);
        sink.shutdown().unwrap();
    }
}

#[test]
fn a_corrupt_segment_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    let (mut spools, _sink) = open(options(&live)).unwrap();
    call(&mut spools[0], "first");
    call(&mut spools[0], "second");
    copy(&live, &crashed);
    fs::write(crashed.join("spool/ffff-000-00000000.seg"), b"no segment").unwrap();
    let segment = fs::read_dir(crashed.join("spool"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|path| fs::read(path).unwrap().windows(5).any(|w| w == b"first"));
    let path = segment.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|w| w == b"second").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_, sink) = open(options(&crashed)).unwrap();
    assert_eq!(sink.status().corrupt_total, 2);
    assert_eq!(rows(&crashed), [("first".to_owned(), "ok".to_owned())]);
    assert!(path.with_extension("corrupt").exists());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
}

/// Run again as a child by the test below: records calls and says so, until it is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os("SLUICEGATE_SINK_CHILD") else { return };
    let (mut spools, _sink) = open(Options { seal_interval: Duration::from_millis(20), ..options(Path::new(&dir)) }).unwrap();
    let mut out = std::io::stdout().lock();
    for count in 0u64.. {
        call(&mut spools[0], &format!("t{count}"));
        writeln!(out, "acknowledged t{count}").unwrap();
        out.flush().unwrap();
        if count % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    for run in 0..10u64 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env("SLUICEGATE_SINK_CHILD", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_millis(60 + run * 13);
        let mut acknowledged = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while Instant::now() < deadline {
            let line = lines.next().unwrap().unwrap();
            acknowledged.extend(line.split("acknowledged ").nth(1).map(str::to_owned));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("acknowledged ").map(str::to_owned)));
        let (_, sink) = open(options(dir.path())).unwrap();
        sink.shutdown().unwrap();
        let rows = rows(dir.path());
        let mut tools: Vec<&String> = rows.iter().map(|(tool, _)| tool).collect();
        tools.dedup();
        assert_eq!(tools.len(), rows.len(), "a call stands twice");
        for tool in &acknowledged {
            assert!(tools.binary_search(&tool).is_ok(), "run {run}: {tool} of {} is lost", acknowledged.len());
        }
    }
}
