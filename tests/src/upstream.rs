//! An upstream that does exactly what it is told, and remembers what it was sent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::head_end;

/// What it does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits.
    Pause(u64),
    /// Ends the connection.
    Close,
}

/// A whole JSON reply.
pub fn json(status: u16, body: &str) -> Vec<Step> {
    vec![Step::Send(
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes(),
    )]
}

/// A request as it arrived: head and body.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head, as text.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Request {
    /// The raw JSON of the message's id.
    pub fn id(&self) -> String {
        let message: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        message.get("id").map_or_else(|| "null".to_owned(), ToString::to_string)
    }
}

/// The upstream, running.
pub struct Upstream {
    /// Its MCP endpoint.
    pub url: String,
    /// All requests, in the order they were read whole.
    pub requests: Arc<Mutex<Vec<Request>>>,
    /// Connections that have ended.
    pub ended: Arc<Mutex<usize>>,
}

impl Upstream {
    /// Starts it; `plan` says what to do about each request.
    pub fn start(plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (requests, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let plan = Arc::new(plan);
        let (all, over) = (Arc::clone(&requests), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (plan, all, over) = (Arc::clone(&plan), Arc::clone(&all), Arc::clone(&over));
                std::thread::spawn(move || {
                    serve(stream, &*plan, &all);
                    *over.lock().unwrap() += 1;
                });
            }
        });
        Upstream { url, requests, ended }
    }

    /// One that answers every call with an echo of its arguments.
    pub fn echo() -> Upstream {
        Upstream::start(|request| {
            let message: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
            if message.get("id").is_none() {
                return vec![Step::Send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec())];
            }
            let text = message["params"]["arguments"].to_string();
            let result = serde_json::json!({"content": [{"type": "text", "text": text}]});
            json(200, &serde_json::json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
        })
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The newest request.
    pub fn last(&self) -> Request {
        self.requests.lock().unwrap().last().cloned().expect("a request has arrived")
    }
}

fn serve(mut stream: TcpStream, plan: &dyn Fn(&Request) -> Vec<Step>, all: &Mutex<Vec<Request>>) {
    stream.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    while let Some(request) = read(&mut stream, &mut bytes) {
        let steps = plan(&request);
        all.lock().unwrap().push(request);
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
                Step::Pause(ms) => std::thread::sleep(Duration::from_millis(ms)),
                Step::Close => {
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }
}

fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Request> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = head_end(bytes) {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.trim().parse().ok());
            let length: usize = length.unwrap_or(0);
            if bytes.len() >= end + length {
                let body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
                bytes.drain(..end + length);
                return Some(Request { head, body });
            }
        }
        match stream.read(&mut buffer) {
            Ok(got @ 1..) => bytes.extend_from_slice(&buffer[..got]),
            _ => return None,
        }
    }
}
