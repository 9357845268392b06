//! Decides for each question about a caller's credential whether it is answered, waits for another's answer, or makes somebody ask.
//!
//! Invariant: for one caller and credential there is one request under way at most; as many credentials are kept as the bound says; a
//! failure is answered again for a moment instead of being repeated. No clock and no network: both are the caller's of this room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::callers::{CallerCredential, CallerCredentials, Key};
use super::held::Held;
use super::schedule::FETCH_GAP_MS;

/// Milliseconds for which a failure is answered again.
const FAILURE_MS: u64 = 2_000;

/// Why a caller gets no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The authorization server does not give it to this caller.
    Refused,
    /// It could not be made.
    Failed,
    /// It did not come in time, or too many wait.
    Late,
}

/// What became of a question.
pub type Answer = Result<Arc<CallerCredential>, Denial>;

/// The place for an answer.
pub type AnswerSlot = Arc<ArrayQueue<Answer>>;

/// What whoever asks has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// Nothing.
    Nothing,
    /// The one of this serial, which will end soon.
    Ending(u64),
    /// The one of this serial, which the upstream refused.
    Refused(u64),
}

/// A credential as it was made.
pub struct Made {
    /// Ready to be put into requests.
    pub held: Arc<Held>,
    /// The Unix second from which it is worth making another.
    pub renew_s: u64,
}

/// What is to be done about a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is answered, or it will be with another one.
    Done,
    /// A credential is to be made; its result goes to [`CallerCache::finish`].
    Make,
}

/// What is kept of callers' credentials on the control thread.
pub struct CallerCache {
    shared: Arc<CallerCredentials>,
    /// In the order in which they are looked at for eviction (CLOCK).
    ring: VecDeque<Key>,
    waiting: HashMap<Key, Vec<AnswerSlot>, ahash::RandomState>,
    failed: HashMap<Key, (u64, Denial), ahash::RandomState>,
    /// When one was made because the upstream had refused the one before.
    forced: HashMap<Key, u64, ahash::RandomState>,
    kept_max: usize,
    serial: u64,
}

impl CallerCache {
    /// Nothing is known yet. `kept_max`: credentials that are kept, at least one.
    pub fn new(shared: Arc<CallerCredentials>, kept_max: usize) -> Self {
        let (waiting, failed, forced) = (HashMap::default(), HashMap::default(), HashMap::default());
        CallerCache { shared, ring: VecDeque::new(), waiting, failed, forced, kept_max: kept_max.max(1), serial: 0 }
    }

    /// Takes a question. `now_s`: Unix seconds; `now_ms`: milliseconds of a clock that only climbs.
    pub fn take(&mut self, key: Key, has: Has, slot: Option<AnswerSlot>, now_s: u64, now_ms: u64) -> Turn {
        let tell = |slot: Option<AnswerSlot>, answer: Answer| {
            // There is room: a question is answered once.
            slot.map(|slot| slot.push(answer));
        };
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.extend(slot);
            return Turn::Done;
        }
        let known = self.shared.look_at(&key).filter(|known| known.held.is_live(now_s));
        if let Some(known) = known {
            let is_wanted = match has {
                Has::Nothing => false,
                Has::Ending(serial) => known.serial == serial,
                Has::Refused(serial) => known.serial == serial && self.may_force(&key, now_ms),
            };
            if !is_wanted {
                tell(slot, Ok(known));
                return Turn::Done;
            }
        }
        if let Some((_, denial)) = self.failed.get(&key).filter(|(until_ms, _)| now_ms < *until_ms) {
            tell(slot, Err(*denial));
            return Turn::Done;
        }
        if matches!(has, Has::Refused(_)) {
            self.forced.insert(key, now_ms);
        }
        self.waiting.insert(key, slot.into_iter().collect());
        Turn::Make
    }

    /// Nobody can make requests of an upstream's refusals come closer together than the gap.
    fn may_force(&self, key: &Key, now_ms: u64) -> bool {
        self.forced.get(key).is_none_or(|forced_ms| now_ms >= forced_ms.saturating_add(FETCH_GAP_MS))
    }

    /// Takes what came of making a credential and answers all who wait for it.
    pub fn finish(&mut self, key: Key, made: Result<Made, Denial>, now_ms: u64) {
        let before = self.shared.look_at(&key);
        let answer = match made {
            Ok(Made { held, renew_s }) => {
                self.serial += 1;
                let credential = Arc::new(CallerCredential::new(held, self.serial, before.as_deref(), renew_s));
                if before.is_none() {
                    self.make_room();
                    self.ring.push_back(key);
                }
                self.failed.remove(&key);
                self.shared.put(key, Arc::clone(&credential));
                Ok(credential)
            }
            Err(denial) => {
                if self.failed.len() < self.kept_max {
                    self.failed.insert(key, (now_ms.saturating_add(FAILURE_MS), denial));
                }
                before.iter().for_each(|before| before.was_not_renewed());
                Err(denial)
            }
        };
        for slot in self.waiting.remove(&key).unwrap_or_default() {
            let _ = slot.push(answer.clone());
        }
    }

    /// Takes out one that was not used since the hand came by, where there is no room for another.
    fn make_room(&mut self) {
        while self.ring.len() >= self.kept_max {
            let Some(key) = self.ring.pop_front() else { return };
            match self.shared.look_at(&key) {
                Some(known) if known.take_used() => self.ring.push_back(key),
                _ => self.shared.take_out(&key),
            }
        }
    }

    /// Wipes what has ended.
    pub fn sweep(&mut self, now_s: u64, now_ms: u64) {
        let shared = &self.shared;
        self.ring.retain(|key| {
            let is_live = shared.look_at(key).is_some_and(|known| known.held.is_live(now_s));
            if !is_live {
                shared.take_out(key);
            }
            is_live
        });
        shared.wipe();
        self.failed.retain(|_, (until_ms, _)| now_ms < *until_ms);
        self.forced.retain(|_, forced_ms| now_ms < forced_ms.saturating_add(FETCH_GAP_MS));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::placement::Placement;
    use super::super::source::{Issued, Secret};
    use super::*;
    use zeroize::Zeroizing;

    fn key(caller: &str) -> Key {
        Key::new(0, caller, b"token")
    }

    fn slot() -> AnswerSlot {
        Arc::new(ArrayQueue::new(1))
    }

    fn made(value: &str, expires_s: u64) -> Result<Made, Denial> {
        let secret = Secret::new(Zeroizing::new(value.as_bytes().to_vec())).unwrap();
        let placement = Arc::new(Placement::header("Authorization", "Bearer ").unwrap());
        let issued = Issued { secret, version: 1, expires_s: Some(expires_s), life_ms: None };
        Ok(Made { held: Arc::new(Held::new(0, "obo", placement, issued, None)), renew_s: expires_s / 2 })
    }

    fn cache(kept_max: usize) -> (CallerCache, Arc<CallerCredentials>) {
        let shared = Arc::new(CallerCredentials::default());
        (CallerCache::new(Arc::clone(&shared), kept_max), shared)
    }

    /// one request for all who wait, and nobody else's credential.
    #[test]
    fn r137_many_that_ask_at_once_make_one_request() {
        let (mut cache, shared) = cache(9);
        let slots: Vec<_> = (0..20).map(|_| slot()).collect();
        let turns: Vec<_> = slots.iter().map(|slot| cache.take(key("ann"), Has::Nothing, Some(Arc::clone(slot)), 0, 0)).collect();
        assert!(turns[0] == Turn::Make && turns[1..].iter().all(|turn| *turn == Turn::Done));
        assert_eq!(cache.take(key("bob"), Has::Nothing, Some(slot()), 0, 0), Turn::Make);
        cache.finish(key("ann"), made("for-ann", 100), 0);
        assert!(slots.iter().all(|slot| slot.pop().unwrap().unwrap().serial == 1));
        assert!(shared.find(&key("ann")).is_some() && shared.find(&key("bob")).is_none());
        for other in [Key::new(1, "ann", b"token"), Key::new(0, "ann", b"tokem"), Key::new(0, "annt", b"oken")] {
            assert!(shared.find(&other).is_none());
        }
        let again = slot();
        assert_eq!(cache.take(key("ann"), Has::Nothing, Some(Arc::clone(&again)), 99, 0), Turn::Done);
        assert_eq!(again.pop().unwrap().unwrap().serial, 1);
        assert_eq!(cache.take(key("ann"), Has::Nothing, Some(slot()), 100, 0), Turn::Make, "it has ended");
    }

    #[test]
    fn a_failure_is_answered_again_for_a_moment() {
        let (mut cache, _) = cache(9);
        assert_eq!(cache.take(key("ann"), Has::Nothing, None, 0, 0), Turn::Make);
        cache.finish(key("ann"), Err(Denial::Refused), 0);
        let again = slot();
        assert_eq!(cache.take(key("ann"), Has::Nothing, Some(Arc::clone(&again)), 0, FAILURE_MS - 1), Turn::Done);
        assert_eq!(again.pop().unwrap().err(), Some(Denial::Refused));
        assert_eq!(cache.take(key("bob"), Has::Nothing, None, 0, 1), Turn::Make, "another's failure");
        assert_eq!(cache.take(key("ann"), Has::Nothing, None, 0, FAILURE_MS), Turn::Make);
    }

    /// the one in use stays while another is made; a refused one is replaced once in a while, not again and again.
    #[test]
    fn r134_renewed_ahead_and_replaced_when_refused() {
        let (mut cache, shared) = cache(9);
        cache.take(key("ann"), Has::Nothing, None, 0, 0);
        cache.finish(key("ann"), made("one", 100), 0);
        let one = shared.find(&key("ann")).unwrap();
        assert!(!one.takes_renewal(49) && one.takes_renewal(50) && !one.takes_renewal(50));
        assert_eq!(cache.take(key("ann"), Has::Ending(one.serial), None, 50, 0), Turn::Make);
        cache.finish(key("ann"), Err(Denial::Failed), 0);
        assert!(shared.find(&key("ann")).is_some() && one.takes_renewal(51), "the old one stays, and somebody tries again");
        assert_eq!(cache.take(key("ann"), Has::Refused(one.serial), None, 51, FAILURE_MS), Turn::Make);
        cache.finish(key("ann"), made("two", 100), FAILURE_MS);
        let two = shared.find(&key("ann")).unwrap();
        assert_eq!(two.forms().count(), 2, "a reply may hold the one before");
        for (has, now_ms, turn) in [
            (Has::Refused(one.serial), FAILURE_MS, Turn::Done),
            (Has::Refused(two.serial), FAILURE_MS + FETCH_GAP_MS - 1, Turn::Done),
            (Has::Refused(two.serial), FAILURE_MS + FETCH_GAP_MS, Turn::Make),
        ] {
            let answer = slot();
            assert_eq!(cache.take(key("ann"), has, Some(Arc::clone(&answer)), 52, now_ms), turn, "{has:?} {now_ms}");
            assert_eq!(answer.pop().map(|answer| answer.unwrap().serial), (turn == Turn::Done).then_some(two.serial));
        }
    }

    #[test]
    fn what_is_unused_makes_room_and_what_has_ended_goes() {
        let (mut cache, shared) = cache(2);
        for caller in ["ann", "bob", "eve"] {
            cache.take(key(caller), Has::Nothing, None, 0, 0);
            cache.finish(key(caller), made(caller, 100), 0);
            shared.find(&key("ann"));
        }
        let kept = |caller: &str| shared.find(&key(caller)).is_some();
        assert_eq!((kept("ann"), kept("bob"), kept("eve")), (true, false, true));
        cache.sweep(100, 0);
        assert!(!kept("ann") && !kept("eve") && cache.ring.is_empty());
    }

    /// what has ended is gone from memory, though the map frees in batches.
    #[test]
    fn r133_what_has_ended_is_wiped() {
        let (mut cache, shared) = cache(9);
        cache.take(key("ann"), Has::Nothing, None, 0, 0);
        cache.finish(key("ann"), made("ann", 100), 0);
        let held = Arc::downgrade(&shared.find(&key("ann")).unwrap().held);
        cache.sweep(99, 0);
        assert!(held.upgrade().is_some());
        cache.sweep(100, 0);
        cache.sweep(101, 0);
        assert!(held.upgrade().is_none(), "the map keeps what has ended");
    }
}
