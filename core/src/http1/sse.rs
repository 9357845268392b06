//! Cuts a stream of server-sent events into events (WHATWG HTML section 9.2.6).
//!
//! Invariant: an event is handed on only when its empty line has arrived, so nothing half-read leaves; lines end in LF, CR LF or CR.

use std::ops::Range;

/// One whole event at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Bytes of the event, its empty line included.
    pub length: usize,
    /// Where the values of its `data` lines stand, in order.
    pub data: Vec<Range<usize>>,
}

/// Finds the next whole event in `buffer`. `None`: its end has not arrived.
///
/// `ended` says that nothing more will come: a CR at the very end is then a line end rather than the half of one.
pub fn next_event(buffer: &[u8], ended: bool) -> Option<Event> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line = next_line(buffer, at, ended)?;
        if line.text.is_empty() {
            return Some(Event { length: line.next, data });
        }
        if let Some(value) = data_value(buffer, line.text.clone()) {
            data.push(value);
        }
        at = line.next;
    }
}

struct Line {
    text: Range<usize>,
    next: usize,
}

fn next_line(buffer: &[u8], from: usize, ended: bool) -> Option<Line> {
    let end = from + memchr::memchr2(b'\n', b'\r', buffer.get(from..)?)?;
    let next = match (buffer[end], buffer.get(end + 1)) {
        (b'\r', Some(b'\n')) => end + 2,
        // Whether LF follows is not known yet, and after text it would look like an empty line. After an empty line it changes
        // nothing: a lone LF is an event without data.
        (b'\r', None) if !ended && end > from => return None,
        _ => end + 1,
    };
    Some(Line { text: from..end, next })
}

fn data_value(buffer: &[u8], line: Range<usize>) -> Option<Range<usize>> {
    let text = &buffer[line.clone()];
    let rest = text.strip_prefix(b"data")?;
    match rest {
        [] => Some(line.end..line.end),
        [b':', b' ', ..] => Some(line.start + 6..line.end),
        [b':', ..] => Some(line.start + 5..line.end),
        _ => None,
    }
}

/// Appends an event with this message. A line end within it, which JSON has between its tokens only, becomes one between lines of data.
pub fn message(out: &mut Vec<u8>, message: &[u8]) {
    out.extend_from_slice(b"event: message\n");
    for line in message.split(|&b| matches!(b, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// The event at `buffer[..event.length]` without those of its lines, other than data, for which `holds` says so; `None` where there are none.
pub fn without(buffer: &[u8], event: &Event, holds: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while let Some(line) = next_line(buffer.get(..event.length)?, at, true) {
        if is_data(event, &line) || !holds(&buffer[line.text]) {
            kept.extend_from_slice(&buffer[at..line.next]);
        }
        at = line.next;
    }
    Some(kept).filter(|kept| kept.len() < event.length)
}

fn is_data(event: &Event, line: &Line) -> bool {
    event.data.iter().any(|value| line.text.start <= value.start && value.end <= line.text.end)
}

/// Appends the event at `buffer[..event.length]` with its data replaced by `masked`; the other lines stay.
pub fn rewrite(buffer: &[u8], event: &Event, masked: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    let mut written = false;
    while at < event.length {
        let Some(line) = next_line(&buffer[..event.length], at, true) else { break };
        if !is_data(event, &line) || line.text.is_empty() {
            out.extend_from_slice(&buffer[at..line.next]);
        } else if !written {
            for data in masked.split(|&b| b == b'\n') {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(data);
                out.push(b'\n');
            }
            written = true;
        }
        at = line.next;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn data(text: &str) -> (usize, Vec<&str>) {
        let event = next_event(text.as_bytes(), false).unwrap();
        (event.length, event.data.iter().map(|range| &text[range.clone()]).collect())
    }

    #[test]
    fn all_three_line_ends_are_lines() {
        assert_eq!(data("data: a\n\nrest"), (9, vec!["a"]));
        assert_eq!(data("data: a\r\n\r\nrest"), (11, vec!["a"]));
        assert_eq!(data("data: a\r\rrest"), (9, vec!["a"]));
        assert_eq!(data("id: 1\ndata:a\ndata:  b\ndata\ndatax: c\n\n"), (37, vec!["a", " b", ""]));
        assert_eq!(data(": comment\n\n"), (11, vec![]));
    }

    #[test]
    fn no_prefix_is_an_event() {
        let text = b"id: 1\r\ndata: x\r\n\r\n";
        for cut in 0..text.len() - 1 {
            assert_eq!(next_event(&text[..cut], false), None, "cut at {cut}");
        }
        assert_eq!(next_event(b"data: x\r", false), None);
        assert!(next_event(b"data: x\r\r", false).is_some());
    }

    #[test]
    fn a_rewritten_event_keeps_its_other_lines() {
        let text = b"id: 7\nevent: message\ndata: {\"a\":\ndata: 1}\nretry: 5\n\nnext";
        let event = next_event(text, false).unwrap();
        let mut out = Vec::new();
        rewrite(text, &event, b"{}", &mut out);
        assert_eq!(out, b"id: 7\nevent: message\ndata: {}\nretry: 5\n\n");
    }

    #[test]
    fn data_of_several_lines_stays_data() {
        let text = b"id: 7\ndata: {\"a\":\ndata: \"x\"}\n\n";
        let event = next_event(text, false).unwrap();
        let mut out = Vec::new();
        rewrite(text, &event, b"{\"a\":\n\"y\"}", &mut out);
        assert_eq!(out, b"id: 7\ndata: {\"a\":\ndata: \"y\"}\n\n");
    }

    #[test]
    fn lines_beside_the_data_are_taken_out() {
        let text = b": bad\r\nid: bad\ndata: bad\nevent: good\r\n\r\nnext";
        let event = next_event(text, false).unwrap();
        let holds = |line: &[u8]| memchr::memmem::find(line, b"bad").is_some();
        assert_eq!(without(text, &event, holds).unwrap(), b"data: bad\nevent: good\r\n\r\n");
        assert_eq!(without(text, &event, |line| line == b"data: bad"), None);
    }
}
