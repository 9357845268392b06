//! What one identified person may see of the requests for approval and do about them, whatever way they came.
//!
//! Invariant: what a request is about is shown to those who may decide about it and to who asked; to everybody else there is none.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sluicegate_identity::{Principal, Refusal, Verifier};

use crate::approval::ledger::{Ledger, LedgerError};
use crate::approval::request::{Approver, Identity, Method, Request, Verdict};
use crate::config::Limits;
use crate::control::approvals::Approvals;
use crate::control::keys::KeyDesk;
use crate::control::process::Observed;
use crate::rt::now_unix_s;
use crate::worker::clock;

/// How often a token of an unknown key looks for new keys.
const KEYS_POLL: Duration = Duration::from_millis(5);

/// One person before the requests.
pub(super) struct Access<'a> {
    /// Who.
    pub(super) who: &'a Approver,
    /// What.
    pub(super) approvals: &'a Approvals,
}

impl Access<'_> {
    /// Looks at the requests that concern the person, the newest first. It is the caller who looks: the ledger's thread only says which
    /// there are, for calls wait for it.
    ///
    /// # Errors
    /// The ledger has too much to do.
    pub(super) async fn among<T>(&self, look: impl FnOnce(&[&Request]) -> T) -> Result<T, LedgerError> {
        let own = self.ask(|ledger, who| {
            let mut own = ledger.list(now_unix_s());
            own.retain(|request| request.concerns(who));
            Ok(own)
        });
        let own = own.await?;
        let own: Vec<&Request> = own.iter().map(Arc::as_ref).collect();
        Ok(look(&own))
    }

    /// One request that concerns the person.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(super) async fn get(&self, id: String) -> Result<Request, LedgerError> {
        self.ask(move |ledger, who| seen(ledger, who, &id)).await
    }

    /// Decides about a request.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(super) async fn decide(&self, id: String, verdict: Verdict, reason: String) -> Result<Request, LedgerError> {
        self.ask(move |ledger, who| {
            seen(ledger, who, &id)?;
            ledger.decide(&id, who, verdict, &reason, now_unix_s())
        })
        .await
    }

    /// Takes back what the person asked for.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(super) async fn cancel(&self, id: String) -> Result<Request, LedgerError> {
        self.ask(move |ledger, who| {
            seen(ledger, who, &id)?;
            ledger.cancel(&id, &who.identity, now_unix_s())
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Ledger, &Approver) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let who = self.who.clone();
        self.approvals.desk.with(move |ledger| job(ledger, &who)).await.ok_or(LedgerError::Busy)?
    }
}

/// A request that concerns somebody; to everybody else there is none.
fn seen(ledger: &mut Ledger, who: &Approver, id: &str) -> Result<Request, LedgerError> {
    let request = ledger.get(id, now_unix_s())?;
    if request.concerns(who) { Ok(request) } else { Err(LedgerError::Unknown) }
}

/// Verifies a token with the newest keys. Where its key is not among them, its issuer's are asked for anew, once.
///
/// # Errors
/// The check that fails.
pub(super) async fn verified<T>(
    observed: &Observed,
    keys: &Arc<KeyDesk>,
    limits: &Limits,
    verify: impl Fn(&Verifier, u64) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let judge = || {
        let snapshot = Arc::clone(&observed.newest.lock().unwrap_or_else(PoisonError::into_inner));
        verify(&snapshot.verifier, clock::is_set(now_unix_s()).ok_or(Refusal::ClockNotSet)?)
    };
    match judge() {
        Err(Refusal::UnknownKey { issuer, kid }) => {
            await_keys(keys, limits, issuer, kid).await;
            judge()
        }
        verified => verified,
    }
}

/// Asks for an issuer's keys anew, as a worker does, and waits until they are there or the time for that is over.
async fn await_keys(keys: &Arc<KeyDesk>, limits: &Limits, issuer: usize, kid: String) {
    let Some(asked) = keys.ask(issuer, kid, limits.keys_refetch_waiters_max) else { return };
    let settled = async {
        while !asked.is_settled() {
            tokio::time::sleep(KEYS_POLL).await;
        }
    };
    // Whether the keys came in time, the next look at the token says.
    let _ = tokio::time::timeout(Duration::from_millis(limits.keys_refetch_wait_ms), settled).await;
}

/// Somebody as those see them who keep requests.
pub(super) fn approver(principal: &Principal, method: Method) -> Approver {
    // A program that acts for itself is its own client, whatever its issuer calls it.
    let client = if principal.is_machine() { Some(principal.name()) } else { principal.client_id() };
    Approver {
        identity: Identity { issuer: principal.issuer_name().to_owned(), subject: principal.name().to_owned() },
        client: client.map(str::to_owned),
        names: principal.roles().iter().chain(principal.groups()).cloned().collect(),
        method,
    }
}
