//! Bridges a client on standard input and output to the gateway: each message goes over streamable HTTP, and what comes back is a line.
//!
//! Invariant: requests go on at once, up to a bound; what is no request goes on in the order it came. Both protocols of MCP pass through, none is
//! translated.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet, LocalSet};

use super::lines::{self, Line};
use super::message::Message;
use super::purse::Purse;
use crate::config::Limits;
use crate::mcp::reply::{self, code};

/// Requests that are on their way at once; one more is answered with an error.
const IN_FLIGHT_MAX: usize = 256;
/// Time that requests on their way have to be answered once the client has ended its input.
const LINGER: Duration = Duration::from_secs(10);
/// Time for the gateway to take what is no request; what comes after it waits.
const NOTICE: Duration = Duration::from_secs(30);
/// Time for the gateway to be told that a session has ended.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time between two attempts to listen for messages of the server.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// A legacy session, as far as it has come.
#[derive(Default)]
pub struct Session {
    /// Its id, where the server gave one.
    pub id: Option<HeaderValue>,
    /// The version of the protocol that was settled.
    pub version: Option<HeaderValue>,
}

impl Session {
    /// A request with what says that it is of the session.
    pub fn add_to(&self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        for (name, value) in [("Mcp-Session-Id", &self.id), ("MCP-Protocol-Version", &self.version)] {
            if let Some(value) = value {
                request = request.header(name, value.clone());
            }
        }
        request
    }
}

/// A client and a gateway, bridged.
pub struct Bridge {
    /// The gateway's endpoint.
    pub url: reqwest::Url,
    /// What asks it.
    pub http: reqwest::Client,
    /// The tokens.
    pub purse: Purse,
    /// The bounds.
    pub limits: Limits,
    /// The legacy session.
    pub session: RefCell<Session>,
    to_client: mpsc::Sender<Vec<u8>>,
    in_flight: RefCell<HashMap<String, InFlight>>,
}

struct InFlight {
    task: AbortHandle,
    is_modern: bool,
}

/// Bridges until the client ends its input, or its output, or the process is told to end.
pub fn run(url: reqwest::Url, http: reqwest::Client, purse: Purse, limits: Limits) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lines = lines::read(limits.request_body_bytes_max);
    let (to_client, writer) = lines::write();
    let bridge = Bridge { url, http, purse, limits, session: RefCell::default(), to_client, in_flight: RefCell::default() };
    let served = LocalSet::new().block_on(&runtime, serve(Rc::new(bridge), lines));
    // With the bridge the last one is gone who could write, so this is the end of what was written.
    drop(runtime);
    if writer.join().is_err() {
        return Err(std::io::Error::other("what writes to the client ended badly"));
    }
    served
}

async fn serve(bridge: Rc<Bridge>, mut lines: mpsc::Receiver<Line>) -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let mut tasks = JoinSet::new();
    let work = async {
        while let Some(line) = lines.recv().await {
            // What has ended is forgotten.
            while tasks.try_join_next().is_some() {}
            take(&bridge, &mut tasks, line).await;
        }
    };
    let is_end = tokio::select! {
        () = work => true,
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = bridge.to_client.closed() => false,
    };
    if is_end {
        let answered = async { while bridge.is_busy() && tasks.join_next().await.is_some() {} };
        tokio::select! {
            _ = tokio::time::timeout(LINGER, answered) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    tasks.shutdown().await;
    let _ = tokio::time::timeout(FAREWELL, bridge.end_session()).await;
    Ok(())
}

/// Takes what came from the client. Only what is no request is waited for.
async fn take(bridge: &Rc<Bridge>, tasks: &mut JoinSet<()>, line: Line) {
    let text = match line {
        Line::Message(text) => text,
        Line::TooLong => {
            let detail = "The message is longer than this program takes.";
            return bridge.say(reply::error(None, code::INVALID_REQUEST, detail)).await;
        }
    };
    let Some(message) = Message::read(&text) else {
        return bridge.say(reply::error(None, code::PARSE, "A line is one message of JSON-RPC.")).await;
    };
    let Some(id) = message.id.clone() else { return bridge.tell(tasks, &message, text).await };
    let is_modern = message.version.is_some();
    if bridge.in_flight.borrow().len() >= IN_FLIGHT_MAX {
        let detail = "Too many requests are on their way; try again when some have been answered.";
        return bridge.say(reply::error(Some(id.as_bytes()), code::UNAVAILABLE, detail)).await;
    }
    let (carrier, done) = (Rc::clone(bridge), id.clone());
    let task = tasks.spawn_local(async move {
        carrier.carry(&message, text).await;
        carrier.in_flight.borrow_mut().remove(&done);
    });
    bridge.in_flight.borrow_mut().insert(id, InFlight { task, is_modern });
}

impl Bridge {
    fn is_busy(&self) -> bool {
        !self.in_flight.borrow().is_empty()
    }

    /// Gives the client a message.
    pub async fn say(&self, message: Vec<u8>) {
        // Where nobody reads any more, the bridge ends by itself.
        let _ = self.to_client.send(message).await;
    }

    /// Brings on what is no request.
    async fn tell(self: &Rc<Self>, tasks: &mut JoinSet<()>, message: &Message, text: Vec<u8>) {
        if let Some(id) = &message.cancels
            && self.takes_back(id)
        {
            return;
        }
        if tokio::time::timeout(NOTICE, self.carry(message, text)).await.is_err() {
            eprintln!("sluicegate token-helper: {}: the gateway does not answer", message.method);
        }
        if message.method == "notifications/initialized" && self.session.borrow().version.is_some() {
            let bridge = Rc::clone(self);
            tasks.spawn_local(async move { bridge.listen().await });
        }
    }

    /// Takes a modern request back: over HTTP that is said by hanging up. False: it is none, or not on its way any more.
    fn takes_back(&self, id: &str) -> bool {
        let mut in_flight = self.in_flight.borrow_mut();
        if !in_flight.get(id).is_some_and(|request| request.is_modern) {
            return false;
        }
        if let Some(request) = in_flight.remove(id) {
            request.task.abort();
        }
        true
    }

    /// Listens for what a legacy server says by itself, for as long as it offers that.
    async fn listen(&self) {
        let mut last: Option<HeaderValue> = None;
        loop {
            let Ok(bearer) = self.purse.token().await else { return };
            let mut request = self.http.get(self.url.clone()).header("Authorization", bearer.field.clone());
            request = self.session.borrow().add_to(request).header("Accept", "text/event-stream");
            if let Some(last) = &last {
                request = request.header("Last-Event-ID", last.clone());
            }
            match request.send().await {
                Ok(response) if response.status().is_success() => {
                    let each = async |event: &[u8], data: Vec<u8>| {
                        last = event_id(event).or(last.take());
                        self.say(data).await;
                    };
                    // How it ended does not matter: it is begun again.
                    let _ = self.events(response, each).await;
                }
                // The next attempt comes with another token.
                Ok(response) if response.status().as_u16() == 401 => {
                    if self.purse.replace(&bearer).await.is_err() {
                        return;
                    }
                }
                Ok(response) if response.status().is_server_error() => {}
                // It offers no such stream, or the session has ended.
                Ok(_) => return,
                Err(_) => {}
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    /// Ends a legacy session, where there is one.
    async fn end_session(&self) {
        if self.session.borrow().id.is_none() {
            return;
        }
        let Ok(bearer) = self.purse.token().await else { return };
        let request = self.http.delete(self.url.clone()).header("Authorization", bearer.field);
        let request = self.session.borrow().add_to(request);
        // A server may keep its sessions as long as it likes.
        let _ = request.send().await;
    }
}

/// The id of an event, by which a stream can be taken up again (WHATWG HTML section 9.2.6).
fn event_id(event: &[u8]) -> Option<HeaderValue> {
    let lines = event.split(|&b| matches!(b, b'\n' | b'\r'));
    let id = lines.filter_map(|line| line.strip_prefix(b"id:")).next_back()?;
    HeaderValue::from_bytes(id.strip_prefix(b" ").unwrap_or(id)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_event_is_the_last_one_in_it() {
        let id = |event: &[u8]| event_id(event).map(|id| id.as_bytes().to_vec());
        assert_eq!(id(b"id: a_1\ndata: {}\n\n").as_deref(), Some(&b"a_1"[..]));
        assert_eq!(id(b"id:a\r\nid:b\r\n\r\n").as_deref(), Some(&b"b"[..]));
        assert_eq!(id(b"data: id: x\n\n"), None);
    }
}
