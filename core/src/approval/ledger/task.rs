//! Keeps for a client's task what the request itself does not hold: the call, until it may run, and then how it ended.
//!
//! Invariant: what is kept is sealed by who brings it and opaque here; it is durable before it is told of, and gone when it is of no
//! more use. Only who asked for the approval gets it.

use super::{Ledger, LedgerError};
use crate::approval::grant::End;
use crate::approval::request::{Identity, Refused, Request, State};
use crate::approval::store::StoreError;

/// How a task stands.
#[derive(Debug)]
pub enum Tasked {
    /// People have not decided, or the call runs.
    Working(Request),
    /// The call may run; this is what was kept of it.
    Ready(Request, Vec<u8>),
    /// Nothing more becomes of it; what is kept of how the call ended, if it ran.
    Ended(Request, Option<Vec<u8>>),
}

impl Tasked {
    /// The request that the task is of.
    pub fn request(&self) -> &Request {
        let (Tasked::Working(request) | Tasked::Ready(request, _) | Tasked::Ended(request, _)) = self;
        request
    }
}

impl Ledger {
    /// Keeps the call of a request that may still come to run, so that a task can run it.
    ///
    /// # Errors
    /// [`LedgerError`]; the request has ended, or its call runs.
    pub fn keep_call(&mut self, id: &str, who: &Identity, sealed: &[u8], now_s: u64) -> Result<Request, LedgerError> {
        self.change(|ledger| {
            let mut request = ledger.own(id, who, now_s)?;
            if !matches!(request.state, State::Pending | State::Approved) {
                return Err(LedgerError::Refused(Refused::TooLate(request.state)));
            }
            ledger.with_store(|store| store.put_task(id, sealed))?;
            if !std::mem::replace(&mut request.has_task, true) {
                ledger.keep(request.clone())?;
            }
            Ok(request)
        })
    }

    /// Keeps how the call of a task ended, as far as anybody knows, in the place of the call, and with that its request has ended.
    ///
    /// # Errors
    /// [`LedgerError`]; the call does not run.
    pub fn keep_outcome(
        &mut self,
        id: &str,
        who: &Identity,
        sealed: &[u8],
        end: End,
        now_s: u64,
    ) -> Result<Request, LedgerError> {
        self.change(|ledger| {
            let mut request = ledger.own(id, who, now_s)?;
            if request.state != State::Executing || !request.has_task {
                return Err(LedgerError::Refused(Refused::TooLate(request.state)));
            }
            // First of all: a crash before the rest leaves a call of which is kept how it ended.
            ledger.with_store(|store| store.put_task(id, sealed))?;
            request.finish(end, now_s);
            ledger.keep(request.clone())?;
            ledger.runs.remove(id);
            Ok(request)
        })
    }

    /// How the task of a request stands.
    ///
    /// # Errors
    /// [`LedgerError`]; there is no such task of this requester.
    pub fn task(&mut self, id: &str, who: &Identity, now_s: u64) -> Result<Tasked, LedgerError> {
        self.change(|ledger| {
            let request = ledger.own(id, who, now_s)?;
            let kept = if request.has_task { ledger.with_store(|store| store.task(id))? } else { None };
            Ok(match (request.state, kept) {
                (State::Pending | State::Executing, _) => Tasked::Working(request),
                (State::Approved, Some(call)) => Tasked::Ready(request, call),
                (_, kept) => Tasked::Ended(request, kept),
            })
        })
    }

    /// A request that this identity made, as it stands by now.
    fn own(&mut self, id: &str, who: &Identity, now_s: u64) -> Result<Request, LedgerError> {
        self.settled(id, now_s)
            .and_then(|request| if request.requester == *who { Ok(request) } else { Err(LedgerError::Unknown) })
    }

    /// Forgets what is kept for a task where it is of no more use.
    pub(super) fn drop_stale_task(&mut self, request: &mut Request, now_s: u64) -> Result<(), StoreError> {
        if request.has_stale_task(now_s) {
            self.with_store(|store| store.remove_task(&request.id))?;
            request.has_task = false;
            self.keep(request.clone())?;
        }
        Ok(())
    }
}
