//! Hands snapshots from the control thread to one worker; the newest wins.
//!
//! Invariant: a worker that has nothing new to take touches one atomic, which changes only when a snapshot is delivered; it never goes back
//! to an older one, and the newest reaches it as soon as its delivery has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::control::snapshot::Snapshot;

/// What counts up.
pub trait Generation {
    /// Its number, from 1.
    fn generation(&self) -> u64;
}

impl Generation for Snapshot {
    fn generation(&self) -> u64 {
        self.generation
    }
}

/// One worker's mailbox.
pub struct Mailbox<T = Snapshot> {
    newest: ArrayQueue<Arc<T>>,
    generation: AtomicU64,
}

impl<T: Generation> Mailbox<T> {
    /// Empty.
    pub fn new() -> Arc<Self> {
        Arc::new(Mailbox { newest: ArrayQueue::new(1), generation: AtomicU64::new(0) })
    }

    /// Puts a snapshot in place of one that was not taken yet. Control thread only.
    pub fn deliver(&self, snapshot: Arc<T>) {
        let generation = snapshot.generation();
        self.put(snapshot);
        self.announce(generation);
    }

    /// The snapshot to use instead of the one of `generation`, if there is one. Worker only.
    pub fn take_newer(&self, generation: u64) -> Option<Arc<T>> {
        if self.announced() == generation { None } else { self.take() }
    }

    fn put(&self, snapshot: Arc<T>) {
        drop(self.newest.force_push(snapshot));
    }

    fn announce(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    fn announced(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn take(&self) -> Option<Arc<T>> {
        self.newest.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Generation for u64 {
        fn generation(&self) -> u64 {
            *self
        }
    }

    /// Plays deliveries of 1 and 2 in steps against looks of a worker in steps, in the order that the bits of `order` say.
    fn play(order: u32, steps: u32) -> Option<u64> {
        let mailbox: Arc<Mailbox<u64>> = Mailbox::new();
        let (mut delivered, mut held, mut looked) = (0u64, 0u64, None);
        for step in 0..steps {
            if order >> step & 1 == 0 {
                let generation = delivered / 2 + 1;
                match delivered {
                    0 | 2 => mailbox.put(Arc::new(generation)),
                    1 | 3 => mailbox.announce(generation),
                    _ => return None,
                }
                delivered += 1;
                continue;
            }
            match looked.take() {
                None => looked = Some(mailbox.announced()),
                Some(seen) if seen == held => {}
                Some(_) => {
                    if let Some(taken) = mailbox.take() {
                        assert!(*taken > held, "went back from {held} to {taken} in order {order:b}");
                        held = *taken;
                    }
                }
            }
        }
        // When all is delivered, one more look brings the newest.
        if delivered == 4 {
            held = mailbox.take_newer(held).map_or(held, |taken| *taken);
            assert_eq!(held, 2, "the newest is missed in order {order:b}");
            assert!(mailbox.take_newer(held).is_none());
        }
        Some(delivered)
    }

    #[test]
    fn r44_in_every_order_of_steps_the_worker_ends_with_the_newest_and_never_goes_back() {
        let played = (0..1u32 << 12).filter_map(|order| play(order, 12)).filter(|&delivered| delivered == 4).count();
        // All ways to lay four steps of deliveries between eight of looks.
        assert_eq!(played, 495);
    }

    #[test]
    fn r44_two_threads_agree_on_the_newest() {
        let mailbox: Arc<Mailbox<u64>> = Mailbox::new();
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=100_000).for_each(|generation| mailbox.deliver(Arc::new(generation))));
            let mut held = 0;
            while held < 100_000 {
                if let Some(taken) = mailbox.take_newer(held) {
                    assert!(*taken > held);
                    held = *taken;
                }
            }
        });
    }
}
