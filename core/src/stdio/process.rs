//! Runs one child: writes its lines, reads its lines, and ends it in the order that MCP gives (stdio transport, shutdown).
//!
//! Invariant: a child is a process group of its own, and when it has ended nothing of the group is left; it is waited for, always.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use sluicegate_dlp::json::Bounds;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, Command as Spawn};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::child::Child;
use super::command::{Command, INHERITED};
use super::line::Line;
use crate::config::Limits;
use crate::inert::inert;

/// Bytes of a line of standard error that are logged.
const LOGGED_BYTES_MAX: usize = 1024;

/// Starts a child with these variables. Its tasks run until it has ended.
///
/// # Errors
/// The system's.
pub(super) fn start(
    upstream: &str,
    command: &Command,
    variables: Vec<(String, String)>,
    limits: &Limits,
) -> io::Result<Arc<Child>> {
    let mut spawn = Spawn::new(&command.program);
    spawn.args(&command.arguments).env_clear();
    spawn.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)))).envs(variables);
    spawn.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    if let Some(directory) = &command.directory {
        spawn.current_dir(directory);
    }
    if let Some(user) = command.user {
        // The groups of the gateway are given up with its user.
        spawn.uid(user.uid).gid(user.gid);
    }
    let mut process = spawn.spawn()?;
    let (child, lines) = Child::new(command.is_shared);
    let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else { return Err(io::Error::other("the child has no pipes")) };
    let bounds = Bounds { depth_max: limits.json_depth_max, nodes_max: limits.json_nodes_max, refuse_duplicates: true };
    let reading = read(Arc::clone(&child), upstream.to_owned(), BufReader::new(stdout), limits.stdio_message_bytes_max, bounds);
    tokio::spawn(log(upstream.to_owned(), BufReader::new(stderr)));
    let writing = tokio::spawn(write(stdin, lines));
    let patience = Duration::from_millis(limits.stdio_end_time_max_ms);
    let (kept, upstream) = (Arc::clone(&child), upstream.to_owned());
    tokio::spawn(async move {
        tokio::pin!(reading);
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        tokio::select! {
            status = process.wait() => tracing::warn!(upstream, ?status, "a server's process has ended by itself"),
            () = &mut reading => tracing::warn!(upstream, "a server says nothing more, and is ended"),
            () = kept.end.notified() => {}
        }
        kept.ended();
        // Closes its standard input, by which it learns that it is to end.
        writing.abort();
        let tell = |signal: Signal| {
            // A group that is gone needs no signal.
            let _ = group.map(|group| kill_process_group(group, signal));
        };
        if timeout(patience, process.wait()).await.is_err() {
            tell(Signal::TERM);
            if timeout(patience, process.wait()).await.is_err() {
                tracing::warn!(upstream, "a server's process does not end, and is killed");
            }
        }
        // What it started itself goes with it.
        tell(Signal::KILL);
        if let Err(error) = process.wait().await {
            tracing::error!(upstream, %error, "a server's process cannot be waited for");
        }
        kept.is_gone();
    });
    Ok(child)
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut line) = lines.recv().await {
        line.push(b'\n');
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// Reads until the end, or until a line is longer than it may be.
async fn read(child: Arc<Child>, upstream: String, mut from: impl AsyncBufRead + Unpin, bytes_max: usize, bounds: Bounds) {
    let mut text = Vec::new();
    while let Ok(true) = next_line(&mut from, &mut text, bytes_max).await {
        match Line::read(&text, &bounds) {
            Some(line) => child.arrived(line),
            None if text.iter().all(u8::is_ascii_whitespace) => {}
            None => {
                let begins = String::from_utf8_lossy(text.get(..text.len().min(80)).unwrap_or_default()).into_owned();
                tracing::warn!(upstream, begins = %inert(&begins), "a server writes what is no message to its standard output");
            }
        }
    }
}

/// Reads one line without its end; false at the end of everything. A line that is too long is an error.
async fn next_line(from: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>, bytes_max: usize) -> io::Result<bool> {
    line.clear();
    loop {
        let piece = from.fill_buf().await?;
        if piece.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = memchr::memchr(b'\n', piece);
        let taken = end.unwrap_or(piece.len());
        if line.len() + taken > bytes_max {
            return Err(io::Error::other("the line is too long"));
        }
        line.extend_from_slice(piece.get(..taken).unwrap_or_default());
        let used = end.map_or(taken, |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Logs standard error, each line cut.
async fn log(upstream: String, mut from: impl AsyncBufRead + Unpin) {
    let mut line = Vec::new();
    loop {
        line.clear();
        loop {
            let Ok(piece) = from.fill_buf().await else { return };
            if piece.is_empty() {
                return;
            }
            let end = memchr::memchr(b'\n', piece);
            let taken = end.unwrap_or(piece.len());
            let room = LOGGED_BYTES_MAX.saturating_sub(line.len()).min(taken);
            line.extend_from_slice(piece.get(..room).unwrap_or_default());
            let used = end.map_or(taken, |end| end + 1);
            from.consume(used);
            if end.is_some() {
                break;
            }
        }
        tracing::debug!(upstream, said = %inert(&String::from_utf8_lossy(&line)), "server's standard error");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn lines_are_read_within_their_bound() {
        let mut from = BufReader::with_capacity(3, &b"ab\n\nabcdef\nx"[..]);
        let mut line = Vec::new();
        for expected in ["ab", "", "abcdef", "x"] {
            assert!(next_line(&mut from, &mut line, 6).await.unwrap());
            assert_eq!(line, expected.as_bytes());
        }
        assert!(!next_line(&mut from, &mut line, 6).await.unwrap());
        assert!(next_line(&mut BufReader::with_capacity(3, &b"abcdefg\n"[..]), &mut line, 6).await.is_err());
    }
}
