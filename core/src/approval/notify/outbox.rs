//! Writes down for each receiver what has become of a request, where the receiver is told of it.
//!
//! Invariant: whoever tells never waits; what waits for a receiver is bounded in number and each of it in bytes, and what finds no place is
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::change::Change;
use super::message;
use crate::approval::request::Request;
use crate::approval::slack::blocks;
use crate::config::{Approval, Limits, Notify, NotifyFormat};

/// A message for a receiver.
pub struct Notice {
    /// What the receiver knows it by; the same whenever it is sent.
    pub id: String,
    /// The id of the request that it is about.
    pub request: String,
    /// The message, in JSON.
    pub body: Vec<u8>,
    /// The Unix second from which it is not worth sending any more.
    pub moot_at_s: u64,
    _place: OwnedSemaphorePermit,
}

impl Notice {
    /// A notice that takes one of its receiver's places until it is done with.
    pub(crate) fn new(request: String, id: String, body: Vec<u8>, moot_at_s: u64, place: OwnedSemaphorePermit) -> Notice {
        Notice { id, request, body, moot_at_s, _place: place }
    }
}

/// How many notices ended how, of all receivers together.
#[derive(Debug, Default)]
pub struct Tally {
    /// The receiver took them.
    pub delivered: AtomicU64,
    /// The receiver refused them, or their time went by.
    pub failed: AtomicU64,
    /// There was no place for them.
    pub dropped: AtomicU64,
}

struct Line {
    receiver: Arc<Notify>,
    places: Arc<Semaphore>,
    notices: mpsc::UnboundedSender<Notice>,
}

/// The end at which changes are told.
pub struct Outbox {
    lines: Vec<Line>,
    public_url: Option<String>,
    /// Whether somebody takes what is pressed in Slack.
    has_buttons: bool,
    params_bytes_max: usize,
    tally: Arc<Tally>,
}

impl Outbox {
    /// An outbox for the receivers of a configuration, and the other end for each of them. `public_url`: the admin listener's, where it
    /// has one.
    pub fn new(
        approval: &Approval,
        public_url: Option<String>,
        limits: &Limits,
        tally: Arc<Tally>,
    ) -> (Outbox, Vec<mpsc::UnboundedReceiver<Notice>>) {
        let (mut lines, mut queues) = (Vec::new(), Vec::new());
        for receiver in &approval.notify {
            // The places bound the queue.
            let (notices, queue) = mpsc::unbounded_channel();
            let places = Arc::new(Semaphore::new(limits.approval_notices_waiting_max));
            lines.push(Line { receiver: Arc::clone(receiver), places, notices });
            queues.push(queue);
        }
        let (has_buttons, params_bytes_max) = (approval.slack.is_some(), limits.approval_notice_params_bytes_max);
        (Outbox { lines, public_url, has_buttons, params_bytes_max, tally }, queues)
    }

    /// Tells what has become of a request.
    pub fn tell(&self, change: Change, request: &Request) {
        for (index, line) in self.lines.iter().enumerate().filter(|(_, line)| line.receiver.is_told_of(request)) {
            let Ok(place) = Arc::clone(&line.places).try_acquire_owned() else {
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(receiver = index + 1, id = request.id, "too many notices wait for a receiver; one was dropped");
                continue;
            };
            let public_url = self.public_url.as_deref();
            let body = match line.receiver.format {
                NotifyFormat::Json => message::message(change, request, public_url, self.params_bytes_max),
                NotifyFormat::Slack => blocks::message(request, public_url, self.has_buttons).to_string().into_bytes(),
            };
            let notice = Notice::new(request.id.clone(), change.id(request), body, change.moot_at_s(request), place);
            // An error means that the process ends.
            let _ = line.notices.send(notice);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::tests::{receiver, request, telling};

    #[test]
    fn a_receiver_is_told_of_its_groups_and_rules_only() {
        let receivers =
            vec![receiver(&[], &[]), receiver(&["dba"], &["r"]), receiver(&["dba"], &["other"]), receiver(&["ops"], &[])];
        let (outbox, mut queues) = Outbox::new(&telling(receivers), None, &Limits::default(), Arc::default());
        outbox.tell(Change::Pending, &request(1));
        let told: Vec<Option<String>> = queues.iter_mut().map(|queue| queue.try_recv().ok().map(|notice| notice.id)).collect();
        assert_eq!(told, [Some("APR-1-pending".to_owned()), Some("APR-1-pending".to_owned()), None, None]);
    }

    #[test]
    fn what_waits_for_a_dead_receiver_is_bounded_and_the_rest_is_counted() {
        let limits = Limits { approval_notices_waiting_max: 3, ..Limits::default() };
        let tally: Arc<Tally> = Arc::default();
        let (outbox, mut queues) = Outbox::new(&telling(vec![receiver(&[], &[])]), None, &limits, Arc::clone(&tally));
        (0..5).for_each(|_| outbox.tell(Change::Pending, &request(1)));
        assert_eq!((queues[0].len(), tally.dropped.load(Ordering::Relaxed)), (3, 2));
        // What was taken out of the queue keeps its place until it is done with.
        let taken = queues[0].try_recv().unwrap();
        outbox.tell(Change::Pending, &request(1));
        assert_eq!(tally.dropped.load(Ordering::Relaxed), 3);
        drop(taken);
        outbox.tell(Change::Pending, &request(1));
        assert_eq!((queues[0].len(), tally.dropped.load(Ordering::Relaxed)), (3, 3));
    }
}
