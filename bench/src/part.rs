//! The upstream and the issuer, in a process of their own that is pinned away from what is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;

use crate::scenario::Scenario;

/// The parts, running.
pub struct Parts {
    child: Child,
    /// The upstream's port.
    pub upstream: u16,
    /// The issuer's port.
    pub issuer: u16,
}

impl Parts {
    /// Starts them on the second core.
    pub fn start() -> Parts {
        let mut child = Command::new("taskset")
            .args(["-c", "1"])
            .arg(std::env::current_exe().unwrap())
            .arg("--parts")
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset (util-linux) starts the parts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
        Parts { child, upstream: ports[0], issuer: ports[1] }
    }

    /// A token for these audiences.
    pub fn token(&self, audiences: &[String]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.issuer)).unwrap();
        write!(stream, "GET /mint?{} HTTP/1.1\r\n\r\n", audiences.join("&")).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply.split("\r\n\r\n").nth(1).unwrap().to_owned()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves both until the process is killed.
pub fn serve() -> ! {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{} {}", upstream.local_addr().unwrap().port(), issuer.local_addr().unwrap().port());
    std::thread::spawn(move || serve_issuer(&issuer));
    let replies: Vec<(&'static str, Vec<u8>)> =
        Scenario::ALL.iter().map(|scenario| (scenario.name, whole_reply(scenario))).collect();
    let replies: &'static [(&'static str, Vec<u8>)] = Box::leak(replies.into_boxed_slice());
    for stream in upstream.incoming().flatten() {
        std::thread::spawn(move || answer(stream, replies));
    }
    unreachable!("a listener that blocks does not end");
}

fn whole_reply(scenario: &Scenario) -> Vec<u8> {
    let (kind, body) = scenario.answer();
    if kind == "text/event-stream" {
        let chunks: String = body.split_inclusive("\n\n").map(|event| format!("{:x}\r\n{event}\r\n", event.len())).collect();
        return format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
            .into_bytes();
    }
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A thread a connection: it costs the second core only.
fn answer(mut stream: TcpStream, replies: &[(&'static str, Vec<u8>)]) {
    stream.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 16 * 1024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length: usize =
                head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + length {
                let body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
                let reply = replies.iter().find(|(name, _)| body.contains(&format!("\"{name}\"")));
                bytes.drain(..end + length);
                let missing = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n".as_slice();
                if stream.write_all(reply.map_or(missing, |(_, bytes)| bytes)).is_err() {
                    return;
                }
                continue;
            }
        }
        match stream.read(&mut buffer) {
            Ok(got @ 1..) => bytes.extend_from_slice(&buffer[..got]),
            _ => return,
        }
    }
}

fn serve_issuer(listener: &TcpListener) {
    let key = SigningKey::generate(Algorithm::EdDsa, "bench").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for mut stream in listener.incoming().flatten() {
        let mut bytes = [0u8; 4096];
        let got = stream.read(&mut bytes).unwrap_or(0);
        let head = String::from_utf8_lossy(&bytes[..got]).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let body = match target.split_once('?') {
            Some(("/mint", audiences)) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                let audiences: Vec<&str> = audiences.split('&').collect();
                key.sign(
                    &json!({"iss": url, "aud": audiences, "sub": "bench", "iat": now, "exp": now + 3600, "roles": ["reader"]}),
                )
                .unwrap()
            }
            _ if target == "/jwks" => String::from_utf8(SigningKey::jwks(&[&key])).unwrap(),
            _ => json!({"issuer": url, "jwks_uri": format!("{url}/jwks")}).to_string(),
        };
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    }
}
