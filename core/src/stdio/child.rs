//! One child's conversation: which of its messages belongs to which request, and what becomes of those that belong to none.
//!
//! Invariant: an answer goes to the one request it answers. A child that is shared never asks a client anything, and tells a client
//! nothing of what others do but that lists have changed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, mpsc, watch};

use super::line::{Kinds, Line};
use crate::mcp::reply;

/// Messages on their way to one request or stream; one that takes none of them for so long is given up.
const EVENTS_WAITING_MAX: usize = 64;
/// Messages on their way to the child.
const LINES_WAITING_MAX: usize = 16;
/// Messages that belong to no request and wait for somebody who listens; then the oldest is forgotten.
const UNRELATED_MAX: usize = 64;
/// JSON-RPC: a method that is not there.
const NO_SUCH_METHOD: i32 = -32601;

/// What a child says to a request.
#[derive(Debug)]
pub(super) enum Event {
    /// A message before the answer.
    Message(Vec<u8>),
    /// The answer, and the code of the error if it is one.
    Answer(Vec<u8>, Option<i64>),
}

/// A request that waits for its answer.
struct Pending {
    id: Vec<u8>,
    token: Option<Vec<u8>>,
    /// Whose it is; ids are a client's own.
    session: Option<String>,
    to: mpsc::Sender<Event>,
}

#[derive(Default)]
struct State {
    last: u64,
    /// By our number, so the first is the oldest.
    pending: BTreeMap<u64, Pending>,
    listeners: Vec<mpsc::Sender<Event>>,
    unrelated: VecDeque<Vec<u8>>,
    is_ended: bool,
}

/// One child.
pub(super) struct Child {
    to: mpsc::Sender<Vec<u8>>,
    state: Mutex<State>,
    is_shared: bool,
    /// When it was started.
    pub(super) started: Instant,
    /// Told when it is to end.
    pub(super) end: Notify,
    is_gone: watch::Sender<bool>,
}

/// Why a message cannot be handed to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended;

impl Child {
    /// A child, and what is to be written to it.
    pub(super) fn new(is_shared: bool) -> (Arc<Child>, mpsc::Receiver<Vec<u8>>) {
        let (to, lines) = mpsc::channel(LINES_WAITING_MAX);
        let child = Child {
            to,
            state: Mutex::default(),
            is_shared,
            started: Instant::now(),
            end: Notify::new(),
            is_gone: watch::Sender::new(false),
        };
        (Arc::new(child), lines)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.state().is_ended
    }

    /// Whether nobody waits for it.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.pending.is_empty() && state.listeners.iter().all(mpsc::Sender::is_closed)
    }

    /// Hands a request over. What comes of it comes out of [`Asked::next`].
    pub(super) async fn ask(self: &Arc<Self>, line: &Line, session: Option<&str>) -> Result<Asked, Ended> {
        let (to, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let number = {
            let mut state = self.state();
            if state.is_ended {
                return Err(Ended);
            }
            state.last += 1;
            let (id, token) = (line.id().unwrap_or(b"null").to_vec(), line.token().map(<[u8]>::to_vec));
            let number = state.last;
            state.pending.insert(number, Pending { id, token, session: session.map(str::to_owned), to });
            number
        };
        // From here on a caller that goes away takes its request back.
        let asked = Asked { child: Arc::clone(self), number, events };
        self.to.send(line.under(number)).await.map_err(|_| Ended)?;
        Ok(asked)
    }

    /// Hands over a notification, or an answer to a question of the child's.
    pub(super) async fn tell(&self, line: Line, session: Option<&str>) -> Result<(), Ended> {
        let text = match &line.kind {
            Kinds::Notification(method) if method == "notifications/cancelled" => {
                let state = self.state();
                let is_it = |(_, pending): &(&u64, &Pending)| {
                    pending.session.as_deref() == session && Some(pending.id.as_slice()) == line.id()
                };
                // What is not under way any more needs no cancelling.
                let Some((&number, _)) = state.pending.iter().find(is_it) else { return Ok(()) };
                line.under(number)
            }
            // A shared child has been initialized by us, and asks nobody anything.
            Kinds::Notification(method) if self.is_shared && method == "notifications/initialized" => return Ok(()),
            Kinds::Answer if self.is_shared => return Ok(()),
            _ => line.into_text(),
        };
        self.say(text).await
    }

    /// Hands over a message of our own.
    pub(super) async fn say(&self, text: Vec<u8>) -> Result<(), Ended> {
        self.to.send(text).await.map_err(|_| Ended)
    }

    /// Listens to what belongs to no request.
    pub(super) fn listen(&self) -> Result<mpsc::Receiver<Event>, Ended> {
        let (to, events) = mpsc::channel(EVENTS_WAITING_MAX + UNRELATED_MAX);
        let mut state = self.state();
        if state.is_ended {
            return Err(Ended);
        }
        // There is room for all of them.
        state.unrelated.drain(..).for_each(|text| drop(to.try_send(Event::Message(text))));
        state.listeners.retain(|listener| !listener.is_closed());
        state.listeners.push(to);
        Ok(events)
    }

    /// Takes what the child said.
    pub(super) fn arrived(&self, line: Line) {
        let number = line.number();
        let mut state = self.state();
        if let Kinds::Answer = line.kind {
            if let Some(pending) = number.and_then(|number| state.pending.remove(&number)) {
                let text = line.restored(&pending.id, pending.token.as_deref());
                // Whoever has gone needs no answer.
                let _ = pending.to.try_send(Event::Answer(text, line.error));
            }
            return;
        }
        if let Some(number) = number {
            let Some(pending) = state.pending.get(&number) else { return };
            let text = line.restored(&pending.id, pending.token.as_deref());
            if pending.to.try_send(Event::Message(text)).is_err() {
                // Its channel closes, and so the stream: a message that is left out would be worse.
                state.pending.remove(&number);
            }
            return;
        }
        match (&line.kind, self.is_shared) {
            (Kinds::Request(_), true) => {
                let no = reply::error(
                    line.id(),
                    NO_SUCH_METHOD,
                    "This server is shared by several clients, so it can ask none of them.",
                );
                if self.to.try_send(no).is_err() {
                    tracing::debug!("a question of a shared server was not answered");
                }
            }
            (Kinds::Notification(method), true) if method.ends_with("/list_changed") => {
                let text = line.into_text();
                state.listeners.retain(|listener| listener.try_send(Event::Message(text.clone())).is_ok());
            }
            (_, true) => tracing::debug!("what a shared server says to nobody in particular is told nobody"),
            (_, false) => state.unrelated(line.into_text()),
        }
    }

    /// Takes note that it has ended: whoever waits for it learns so.
    pub(super) fn ended(&self) {
        let mut state = self.state();
        *state = State { is_ended: true, ..State::default() };
    }

    /// Takes note that nothing is left of its process.
    pub(super) fn is_gone(&self) {
        self.is_gone.send_replace(true);
    }

    /// Waits until nothing is left of its process.
    pub(super) async fn gone(&self) {
        // The sender is our own, so it is there.
        let _ = self.is_gone.subscribe().wait_for(|is_gone| *is_gone).await;
    }
}

impl State {
    /// Hands a message of no request to whoever listens, or to the request that waits longest, or keeps it.
    fn unrelated(&mut self, text: Vec<u8>) {
        let mut event = Event::Message(text);
        let listeners = self.listeners.iter().rev();
        for to in listeners.chain(self.pending.values().map(|pending| &pending.to)) {
            match to.try_send(event) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => event = back,
            }
        }
        if self.unrelated.len() >= UNRELATED_MAX {
            self.unrelated.pop_front();
            tracing::debug!("nobody listens to a server, and the oldest of what it said is forgotten");
        }
        if let Event::Message(text) = event {
            self.unrelated.push_back(text);
        }
    }
}

/// A request that was handed to a child. Dropped before its answer, it is cancelled.
pub(super) struct Asked {
    child: Arc<Child>,
    number: u64,
    pub(super) events: mpsc::Receiver<Event>,
}

impl Asked {
    /// What comes next; `None` when the child has ended without an answer.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.child.state().pending.remove(&self.number).is_none() {
            return;
        }
        let number = self.number;
        let cancelled = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{number},"reason":"the client has gone"}}}}"#
        );
        // A child that reads nothing any more would not read this either.
        let _ = self.child.to.try_send(cancelled.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::Bounds;

    fn line(text: &str) -> Line {
        Line::read(text.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: true }).unwrap()
    }

    fn sent(lines: &mut mpsc::Receiver<Vec<u8>>) -> String {
        String::from_utf8(lines.try_recv().unwrap()).unwrap()
    }

    fn text(event: Option<Event>) -> String {
        match event {
            Some(Event::Message(text) | Event::Answer(text, _)) => String::from_utf8(text).unwrap(),
            None => String::new(),
        }
    }

    #[tokio::test]
    async fn equal_ids_of_two_clients_are_told_apart() {
        let (child, mut lines) = Child::new(true);
        let call = line(r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"_meta":{"progressToken":0}}}"#);
        let mut first = child.ask(&call, Some("a")).await.unwrap();
        let mut second = child.ask(&call, Some("b")).await.unwrap();
        assert!(sent(&mut lines).contains(r#""id":1,"#) && sent(&mut lines).contains(r#""id":2,"#));
        child.arrived(line(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}"#));
        child.arrived(line(r#"{"jsonrpc":"2.0","id":2,"result":{"n":2}}"#));
        child.arrived(line(r#"{"jsonrpc":"2.0","id":1,"result":{"n":1}}"#));
        assert_eq!(text(first.next().await), r#"{"jsonrpc":"2.0","id":0,"result":{"n":1}}"#);
        assert!(text(second.next().await).contains(r#""progressToken":0"#));
        assert_eq!(text(second.next().await), r#"{"jsonrpc":"2.0","id":0,"result":{"n":2}}"#);
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_is_cancelled_and_so_is_one_whose_client_says_so() {
        let (child, mut lines) = Child::new(false);
        let call = line(r#"{"jsonrpc":"2.0","id":"x","method":"tools/call"}"#);
        let kept = child.ask(&call, Some("a")).await.unwrap();
        let cancel = || line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#);
        sent(&mut lines);
        child.tell(cancel(), Some("b")).await.unwrap();
        assert!(lines.try_recv().is_err(), "another session cancels nothing here");
        child.tell(cancel(), Some("a")).await.unwrap();
        assert!(sent(&mut lines).contains(r#""requestId":1"#));
        drop(kept);
        assert!(sent(&mut lines).contains("the client has gone") && child.is_idle());
    }

    #[tokio::test]
    async fn what_belongs_to_no_request_finds_somebody_or_waits() {
        let (child, _lines) = Child::new(false);
        let told = |n: u32| line(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":{n}}}}}"#));
        child.arrived(told(1));
        let mut asked = child.ask(&line(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), None).await.unwrap();
        child.arrived(told(2));
        assert!(text(asked.next().await).contains("2"));
        let mut listener = child.listen().unwrap();
        child.arrived(told(3));
        assert!(text(listener.recv().await).contains("\"data\":1") && text(listener.recv().await).contains("\"data\":3"));
        child.ended();
        assert!(asked.next().await.is_none() && listener.recv().await.is_none() && child.listen().is_err());
    }

    #[tokio::test]
    async fn a_shared_child_tells_nobody_of_others_and_asks_nobody() {
        let (child, mut lines) = Child::new(true);
        let mut listener = child.listen().unwrap();
        child.arrived(line(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"of another"}}"#));
        child.arrived(line(r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}"#));
        child.arrived(line(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#));
        assert!(text(listener.recv().await).contains("list_changed"));
        let no = sent(&mut lines);
        assert!(no.contains(r#""id":5"#) && no.contains("-32601"), "{no}");
    }
}
