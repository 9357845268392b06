//! Keeps the list of revocations, and brings what changes in it to the workers.
//!
//! Invariant: what was revoked is on the disk before it is in force, and in every worker's mailbox before whoever revoked it is told; each
//! change is in the audit, whoever made it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluicegate_identity::{DenyList, EVENT_AGE_MAX_S, IssuerPolicy};
use sluicegate_sink::{self as sink, Spool};
use tokio::sync::{mpsc, oneshot};

use super::keys::KeyDesk;
use crate::config::{Config, Limits, RevocationSetup};
use crate::keeper::Keeper;
use crate::revocation::book::{Because, Book, Full};
use crate::revocation::entry::{Revocation, Target, TargetError, check_reason};
use crate::rt::{now_unix_s, now_unix_us};

/// The name of the list's file.
pub const LIST: &str = "revocations";
/// How often the file is looked at for what operators changed in it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Changes on their way to the one who builds snapshots.
const CHANGES_MAX: usize = 64;

/// The list has changed; told when all workers have the next generation in their mailboxes.
pub struct DenialsChanged(pub oneshot::Sender<()>);

/// Why something is not revoked, or not lifted.
#[derive(Debug)]
pub enum RevokeError {
    /// It is nothing that can be revoked, or for no reason.
    Target(TargetError),
    /// There are as many as `limits.revocations_max`.
    Full,
    /// There is no revocation of this id.
    Unknown,
    /// The list cannot be written.
    Disk(io::Error),
    /// The gateway ends.
    Ending,
}

impl std::fmt::Display for RevokeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RevokeError::Target(error) => error.fmt(f),
            RevokeError::Full => f.write_str(
                "the list is full: lift what is over, revoke by subject or issued_before what is many, or raise limits.revocations_max",
            ),
            RevokeError::Unknown => f.write_str("there is no such revocation; it may have expired"),
            RevokeError::Disk(error) => write!(f, "the list cannot be kept: {error}"),
            RevokeError::Ending => f.write_str("the gateway ends; what was asked for is kept"),
        }
    }
}

/// What is to be revoked, and why.
pub struct Order {
    /// What.
    pub target: Target,
    /// Why.
    pub reason: String,
}

/// The list while the process runs. The control thread's alone.
pub struct Revocations {
    kept: Mutex<Kept>,
    policies: Vec<IssuerPolicy>,
    /// By position of the issuer: the audience of the events that it pushes.
    streams: Vec<Option<String>>,
    /// How many events came.
    pub events: EventTally,
    changes: mpsc::Sender<DenialsChanged>,
    /// The audience of tokens of those who revoke.
    pub audience: String,
    /// The role or group that may; nobody where there is none.
    pub group: Option<String>,
    /// Where an issuer's keys are asked for.
    pub keys: Arc<KeyDesk>,
    /// The bounds.
    pub limits: Limits,
}

/// How many security events were acknowledged, and how many did not verify.
#[derive(Default)]
pub struct EventTally {
    taken: AtomicU64,
    refused: AtomicU64,
}

impl EventTally {
    /// One was acknowledged.
    pub fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// One did not verify.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Both, in this order.
    pub fn counts(&self) -> (u64, u64) {
        (self.taken.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

struct Kept {
    keeper: Keeper<Book>,
    denials: Arc<DenyList>,
    spool: Spool,
    /// What was wrong with the file when it was looked at last, so that it is told once.
    wrong: String,
}

impl Revocations {
    /// Opens the list of a configuration that keeps one; what changes is recorded on `spool`.
    ///
    /// # Errors
    /// For a file that cannot be read, or is none of revocations.
    pub fn open(
        config: &Config,
        setup: &RevocationSetup,
        keys: &Arc<KeyDesk>,
        spool: Spool,
    ) -> io::Result<(Arc<Self>, mpsc::Receiver<DenialsChanged>)> {
        let keeper = Keeper::open(&setup.dir, LIST)?;
        let (changes, changed) = mpsc::channel(CHANGES_MAX);
        let revocations = Revocations {
            kept: Mutex::new(Kept { keeper, denials: Arc::default(), spool, wrong: String::new() }),
            policies: config.issuers.iter().map(|issuer| issuer.policy.clone()).collect(),
            streams: config.issuers.iter().map(|issuer| issuer.signals.clone()).collect(),
            events: EventTally::default(),
            changes,
            audience: setup.audience.clone(),
            group: setup.group.clone(),
            keys: Arc::clone(keys),
            limits: config.limits.clone(),
        };
        revocations.renew(&mut revocations.kept());
        Ok((Arc::new(revocations), changed))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policies(&self) -> Vec<&IssuerPolicy> {
        self.policies.iter().collect()
    }

    /// The deny-list for the next generation.
    pub fn denials(&self) -> Arc<DenyList> {
        Arc::clone(&self.kept().denials)
    }

    /// All that stands at `now_s` (Unix seconds), with its ids.
    pub fn list(&self, now_s: u64) -> Vec<(String, Revocation)> {
        let kept = self.kept();
        let standing = kept.keeper.book().entries.iter().filter(|(_, entry)| now_s < entry.until);
        standing.map(|(id, entry)| (id.clone(), entry.clone())).collect()
    }

    /// How many revocations stand.
    pub fn count(&self, now_s: u64) -> usize {
        self.kept().keeper.book().entries.values().filter(|entry| now_s < entry.until).count()
    }

    /// Revokes all of these or none, and returns when every worker's next request is judged by it. The ids are in the order of the orders.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(&self, orders: &[Order], by: &str) -> Result<Vec<String>, RevokeError> {
        let now_s = now_unix_s();
        self.check(orders, now_s)?;
        let mut ids = Ok(Vec::new());
        self.change(by, |book| {
            let mut fresh = book.clone();
            ids = self.add(&mut fresh, orders, by, now_s);
            if ids.is_ok() {
                *book = fresh;
            }
            ids.is_ok()
        })
        .await?;
        ids.map_err(|Full| RevokeError::Full)
    }

    fn check(&self, orders: &[Order], now_s: u64) -> Result<(), RevokeError> {
        for Order { target, reason } in orders {
            target.check(&self.policies(), now_s).and_then(|()| check_reason(reason)).map_err(RevokeError::Target)?;
        }
        Ok(())
    }

    fn add(&self, book: &mut Book, orders: &[Order], by: &str, now_s: u64) -> Result<Vec<String>, Full> {
        let add = |Order { target, reason }: &Order| {
            let policy = self.policies.iter().find(|policy| policy.name() == target.issuer).ok_or(Full)?;
            book.add(target, Because { reason, by }, policy, self.limits.revocations_max, now_s)
        };
        orders.iter().map(add).collect()
    }

    /// Position of an issuer that pushes security events, and their audience.
    pub fn stream(&self, issuer: &str) -> Option<(usize, &str)> {
        let position = self.policies.iter().position(|policy| policy.name() == issuer)?;
        Some((position, self.streams.get(position)?.as_deref()?))
    }

    /// Revokes what security events of an issuer take back, all of it or nothing, unless they were taken before.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn take_events(&self, issuer: &str, jti: &str, orders: &[Order]) -> Result<(), RevokeError> {
        if orders.is_empty() {
            return Ok(());
        }
        let (now_s, by) = (now_unix_s(), format!("ssf:{issuer}"));
        self.check(orders, now_s)?;
        let leeway_s =
            self.policies.iter().find(|policy| policy.name() == issuer).map_or(0, |policy| 2 * u64::from(policy.leeway_s()));
        let until_s = now_s.saturating_add(EVENT_AGE_MAX_S).saturating_add(leeway_s);
        let mut is_new = Ok(false);
        self.change(&by, |book| {
            let mut fresh = book.clone();
            is_new = fresh.note(issuer, jti, until_s, self.limits.security_events_kept_max, now_s);
            if is_new == Ok(true)
                && let Err(full) = self.add(&mut fresh, orders, &by, now_s)
            {
                is_new = Err(full);
            }
            let is_changed = is_new == Ok(true);
            if is_changed {
                *book = fresh;
            }
            is_changed
        })
        .await?;
        is_new.map(drop).map_err(|Full| RevokeError::Full)
    }

    /// Takes a revocation back, and returns when that is in force.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn lift(&self, id: &str, by: &str) -> Result<Revocation, RevokeError> {
        let mut lifted = None;
        self.change(by, |book| {
            lifted = book.lift(id);
            lifted.is_some()
        })
        .await?;
        lifted.ok_or(RevokeError::Unknown)
    }

    /// Takes up what operators change in the file, until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if self.refresh() && self.in_force().await.is_err() {
                return;
            }
        }
    }

    /// Takes up what was changed in the file; whether that makes another generation.
    fn refresh(&self) -> bool {
        let mut kept = self.kept();
        if !kept.keeper.is_stale() {
            return false;
        }
        let before = kept.keeper.book().clone();
        match kept.keeper.refresh() {
            Ok(false) => false,
            Ok(true) => {
                kept.wrong.clear();
                self.renew(&mut kept);
                kept.record(&before, "");
                true
            }
            Err(error) => {
                let wrong = error.to_string();
                if kept.wrong != wrong {
                    tracing::error!(error = wrong, "the revocations stay as they were");
                    kept.wrong = wrong;
                }
                false
            }
        }
    }

    /// Changes the list, and returns when what is new in it is in force: by this change, or by what somebody has written into the file since
    /// it was looked at, which nobody else will deliver any more.
    async fn change(&self, by: &str, change: impl FnOnce(&mut Book) -> bool) -> Result<(), RevokeError> {
        let is_found = self.refresh();
        let is_new = {
            let mut kept = self.kept();
            let before = kept.keeper.book().clone();
            let is_new = kept.keeper.change(change).map_err(RevokeError::Disk)?.is_new;
            if is_new {
                self.renew(&mut kept);
                kept.record(&before, by);
            }
            is_new
        };
        if is_found || is_new { self.in_force().await } else { Ok(()) }
    }

    fn renew(&self, kept: &mut Kept) {
        kept.denials = Arc::new(kept.keeper.book().deny_list(&self.policies(), now_unix_s()));
    }

    async fn in_force(&self) -> Result<(), RevokeError> {
        let (done, told) = oneshot::channel();
        self.changes.send(DenialsChanged(done)).await.map_err(|_| RevokeError::Ending)?;
        told.await.map_err(|_| RevokeError::Ending)
    }
}

impl Kept {
    /// Records every difference to what was before; `by`: who made it, where that is known.
    fn record(&mut self, before: &Book, by: &str) {
        let (old, new) = (&before.entries, &self.keeper.book().entries);
        let added = new.iter().filter(|(id, entry)| old.get(*id) != Some(entry)).map(|pair| (pair, "revocation-added"));
        let now_s = now_unix_s();
        let lifted = old.iter().filter(|(id, entry)| !new.contains_key(*id) && now_s < entry.until);
        let changes: Vec<_> = added.chain(lifted.map(|pair| (pair, "revocation-lifted"))).collect();
        for ((id, entry), reason) in changes {
            // An entry says itself who made it, also one that came into the file meanwhile.
            let by = if reason == "revocation-added" { &entry.by } else { by };
            let mut what = serde_json::json!(entry);
            what["id"] = id.as_str().into();
            tracing::info!(id, by, what = %entry_text(entry), reason, "revocations changed");
            write(&mut self.spool, by, reason, &what.to_string());
        }
    }
}

/// What an entry takes back, for the log.
fn entry_text(entry: &Revocation) -> String {
    serde_json::to_string(&entry.target).unwrap_or_default()
}

/// One change as a row. It is in force whether or not there is room for the row: an identity that was taken back must not go on for that.
fn write(spool: &mut Spool, by: &str, reason: &str, what: &str) {
    let ts_us = now_unix_us();
    let decision = sink::Decision {
        ts_us,
        session: None,
        issuer: "",
        principal: by,
        subject: "",
        client: "",
        roles: &[],
        actors: &[],
        src_ip: std::net::Ipv4Addr::LOCALHOST.into(),
        upstream: "",
        era: sink::Era::Modern,
        protocol_version: "",
        http_method: "",
        method: "",
        tool: "",
        resource: "",
        jsonrpc_id: "",
        args: what.as_bytes(),
        args_bytes: what.len() as u64,
        decision: sink::Effect::Allow,
        rule: "",
        reason,
        generation: 0,
        decision_ns: 0,
        bytes_in: 0,
        findings: &[],
        credential: "",
        credential_version: 0,
        credential_tag: "",
        approval: "",
        shadow_decision: "",
        shadow_rule: "",
    };
    let Ok(ticket) = spool.decision(&decision) else {
        tracing::error!(by, reason, what, "a change of the revocations is not in the audit: it takes no records");
        return;
    };
    let outcome = sink::Outcome {
        ts_us,
        status: sink::Status::Ok,
        error_code: 0,
        http_status: 0,
        bytes_out: 0,
        duration_us: 0,
        upstream_us: 0,
        findings: &[],
        reason,
    };
    spool.outcome(ticket, &outcome);
}
