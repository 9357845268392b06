//! The client's side: messages of JSON-RPC, one a line, on standard input and output.
//!
//! Invariant: a line longer than the bound is dropped and told of, never kept; each message goes out as one line and whole.

use std::io::{BufRead, Read, Write};

use tokio::sync::mpsc;

/// Lines that wait to be taken, and to be written; with more the other side waits.
const WAITING_MAX: usize = 16;

/// What came from the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A message.
    Message(Vec<u8>),
    /// One that was longer than the bound.
    TooLong,
}

/// Reads standard input on a thread of its own, for it cannot be read without waiting. The channel ends with it.
pub fn read(bytes_max: usize) -> mpsc::Receiver<Line> {
    let (to, lines) = mpsc::channel(WAITING_MAX);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while let Some(line) = next(&mut input, bytes_max) {
            if to.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line that is not empty; `None` at the end.
fn next(input: &mut impl BufRead, bytes_max: usize) -> Option<Line> {
    loop {
        let mut line = Vec::new();
        let got = input.by_ref().take(bytes_max as u64 + 1).read_until(b'\n', &mut line).ok()?;
        if got == 0 {
            return None;
        }
        if got > bytes_max && line.last() != Some(&b'\n') {
            input.skip_until(b'\n').ok()?;
            return Some(Line::TooLong);
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            return Some(Line::Message(text.to_vec()));
        }
    }
}

/// Writes to standard output on a thread of its own. It ends, and the channel with it, when nobody reads any more; the handle ends when
/// everything is written.
pub fn write() -> (mpsc::Sender<Vec<u8>>, std::thread::JoinHandle<()>) {
    let (lines, mut from) = mpsc::channel::<Vec<u8>>(WAITING_MAX);
    let writer = std::thread::spawn(move || {
        let mut output = std::io::stdout().lock();
        while let Some(message) = from.blocking_recv() {
            if output.write_all(&in_one_line(message)).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    });
    (lines, writer)
}

/// A message as a line. JSON has line ends only between its tokens, where a space does as well.
fn in_one_line(mut message: Vec<u8>) -> Vec<u8> {
    message.iter_mut().filter(|b| matches!(b, b'\n' | b'\r')).for_each(|b| *b = b' ');
    message.push(b'\n');
    message
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn all(mut text: &[u8], bytes_max: usize) -> Vec<Line> {
        std::iter::from_fn(|| next(&mut text, bytes_max)).collect()
    }

    #[test]
    fn lines_are_messages_and_long_ones_are_told_of() {
        let message = |text: &str| Line::Message(text.as_bytes().to_vec());
        assert_eq!(all(b"{}\r\n\n [1] \nlast", 100), [message("{}"), message("[1]"), message("last")]);
        assert_eq!(all(b"12345\n123456\n1\n", 5), [message("12345"), Line::TooLong, message("1")]);
        assert_eq!(all(&[b'x'; 50], 5), [Line::TooLong]);
    }

    proptest! {
        #[test]
        fn a_message_is_one_line_and_means_the_same(value in "[a-z\\n\\r \u{e9}]{0,20}", key in "[a-z]{1,5}") {
            let json = serde_json::json!({ key: [value] });
            let line = in_one_line(serde_json::to_vec_pretty(&json).unwrap());
            let text = line.strip_suffix(b"\n").unwrap();
            prop_assert!(!text.contains(&b'\n') && !text.contains(&b'\r'));
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(text).unwrap(), json);
        }
    }
}
