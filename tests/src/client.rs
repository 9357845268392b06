//! A client that sends exactly the bytes it is told to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::head_end;

/// A connection, plain or over TLS.
trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// One connection.
pub struct Connection {
    stream: Box<dyn Wire>,
    ended_properly: bool,
    bytes: Vec<u8>,
}

/// One reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The head, as text.
    pub head: String,
    /// The body, without chunk framing.
    pub body: String,
}

impl Reply {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let name = format!("{}: ", name.to_ascii_lowercase());
        self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&name)).map(|line| &line[name.len()..])
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Connection {
    /// Connects.
    pub fn open(port: u16) -> Connection {
        Connection::try_open(port).expect("the gateway listens")
    }

    /// Connects; `None` when nobody listens.
    pub fn try_open(port: u16) -> Option<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        Some(Connection::over(stream))
    }

    /// A connection over a stream that is ready for requests.
    pub fn over(stream: impl Read + Write + Send + 'static) -> Connection {
        Connection { stream: Box::new(stream), ended_properly: false, bytes: Vec::new() }
    }

    /// Whether the gateway has ended the connection as it should: over TLS with `close_notify`.
    pub fn has_ended_properly(&mut self) -> bool {
        while self.fill() {}
        self.ended_properly
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        // The gateway may have closed; what it said is then read by `reply`.
        let _ = self.stream.write_all(bytes);
    }

    /// Reads one reply; `None` when the connection ends without one.
    pub fn reply(&mut self) -> Option<Reply> {
        loop {
            if let Some(end) = head_end(&self.bytes) {
                let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
                self.bytes.drain(..end);
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
                let mut reply = Reply { status, head, body: String::new() };
                reply.body = self.body(&reply);
                return Some(reply);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn body(&mut self, reply: &Reply) -> String {
        if reply.field("transfer-encoding").is_some() {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk() {
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
            return String::from_utf8_lossy(&body).into_owned();
        }
        let length = reply.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.bytes.len() < length && self.fill() {}
        let body: Vec<u8> = self.bytes.drain(..length.min(self.bytes.len())).collect();
        String::from_utf8_lossy(&body).into_owned()
    }

    /// One chunk of a body; the empty one is the last. `None` when the connection ends before it.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.bytes.windows(2).position(|window| window == b"\r\n") {
                let size = usize::from_str_radix(std::str::from_utf8(&self.bytes[..at]).ok()?, 16).ok()?;
                if self.bytes.len() >= at + 2 + size + 2 {
                    let chunk = self.bytes[at + 2..at + 2 + size].to_vec();
                    self.bytes.drain(..at + 2 + size + 2);
                    return Some(chunk);
                }
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads a head only, for bodies that come piece by piece.
    pub fn head(&mut self) -> Option<String> {
        while head_end(&self.bytes).is_none() {
            if !self.fill() {
                return None;
            }
        }
        let end = head_end(&self.bytes)?;
        Some(String::from_utf8_lossy(&self.bytes.drain(..end).collect::<Vec<_>>()).into_owned())
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(got @ 1..) => {
                self.bytes.extend_from_slice(&buffer[..got]);
                true
            }
            Ok(_) => {
                self.ended_properly = true;
                false
            }
            Err(_) => false,
        }
    }

    /// Whether the gateway ends the connection now.
    pub fn is_closed(&mut self) -> bool {
        let start = Instant::now();
        while self.fill() {
            assert!(start.elapsed() < crate::PATIENCE, "the gateway goes on sending");
        }
        self.bytes.is_empty()
    }
}
