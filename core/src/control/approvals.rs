//! Opens what approvals need: the key that signs decisions, the store, the ledger over both, and the ways to those who are told.
//!
//! Invariant: without the key the process does not start; a store that cannot be opened is tried again later.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

use super::courier::Courier;
use super::keys::KeyDesk;
use crate::admin::page::provider::Provider;
use crate::admin::slack::SlackDoor;
use crate::approval::desk::Desk;
use crate::approval::ledger::{Bounds, Ledger, Opener};
use crate::approval::notify::outbox::{Outbox, Tally};
use crate::approval::seal::Seals;
use crate::approval::sign::Signer;
use crate::approval::store::{PostgresStore, RedbStore, Store};
use crate::config::{Approval, Config, Limits};
use crate::rt::now_unix_s;

/// What the admin listener decides with.
pub struct Approvals {
    /// The way to all requests.
    pub desk: Arc<Desk>,
    /// Seals what clients bring back, and what they must not read.
    pub seals: Arc<Seals>,
    /// The audience of tokens of those who decide.
    pub audience: String,
    /// Where an issuer's keys are asked for.
    pub keys: Arc<KeyDesk>,
    /// Where people log in to decide on the page, where there is one.
    pub provider: Option<Arc<Provider>>,
    /// The bounds.
    pub limits: Limits,
    /// How many notices about requests ended how.
    pub notices: Arc<Tally>,
    /// Where people decide in Slack, if they do.
    pub slack: Option<SlackDoor>,
    /// Where people find the admin listener, if that is known: scheme and host alone.
    pub public_url: Option<String>,
}

/// The approvals, and the thread of their ledger, where the configuration asks for them. Who is told of them is told by tasks of `runtime`.
///
/// # Errors
/// What the system or the key's file refuses, in words.
pub fn open(config: &Config, keys: &Arc<KeyDesk>, runtime: &Handle) -> Result<Option<(Approvals, JoinHandle<()>)>, String> {
    let Some(approval) = &config.approval else { return Ok(None) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&approval.dir);
    made.map_err(|error| format!("{}: {error}", approval.dir.display()))?;
    let signer = Signer::open(&approval.dir).map_err(|error| error.to_string())?;
    let seals = Seals::new(&signer).ok_or_else(|| "the key that signs decisions gives none to seal with".to_owned())?;
    let gateway = process_name()?;
    let open = opener(approval, gateway.clone(), signer.public_key());
    let bounds =
        Bounds { pending_per_principal_max: config.limits.approvals_pending_per_principal_max, cooldown_s: approval.cooldown_s };
    let slack = approval.slack.clone().map(SlackDoor::open).transpose().map_err(|error| error.to_string())?;
    // Nobody is sent to a page that there is not.
    let admin = config.admin.as_ref().filter(|_| approval.login.is_some());
    let public_url = admin.and_then(|admin| Some(admin.public_url.as_ref()?.site()));
    let notices = Arc::default();
    let outbox = outbox(approval, public_url.clone(), &config.limits, &notices, runtime);
    let ledger = move || {
        let mut ledger = Ledger::new(gateway, open, signer, bounds, now_unix_s());
        ledger.tell(outbox, now_unix_s());
        ledger
    };
    let (desk, thread) = Desk::open(ledger).map_err(|error| error.to_string())?;
    let (audience, limits, keys) = (approval.audience.clone(), config.limits.clone(), Arc::clone(keys));
    let provider = approval.login.clone().map(|login| Provider::new(login, &limits)).transpose();
    let provider = provider.map_err(|error| error.to_string())?.map(Arc::new);
    Ok(Some((Approvals { desk, seals: Arc::new(seals), audience, keys, provider, limits, notices, slack, public_url }, thread)))
}

/// Where the ledger tells what becomes of requests; a task brings it to each receiver.
fn outbox(approval: &Approval, public_url: Option<String>, limits: &Limits, notices: &Arc<Tally>, runtime: &Handle) -> Outbox {
    let (outbox, queues) = Outbox::new(approval, public_url, limits, Arc::clone(notices));
    let attempt_time = Duration::from_millis(limits.approval_notice_time_max_ms);
    for (at, (receiver, notices_of_it)) in approval.notify.iter().zip(queues).enumerate() {
        let (receiver, tally) = (Arc::clone(receiver), Arc::clone(notices));
        runtime.spawn(Courier { number: at + 1, receiver, notices: notices_of_it, tally, attempt_time }.run());
    }
    outbox
}

fn opener(approval: &Approval, gateway: String, key: String) -> Opener {
    let dir = approval.dir.clone();
    match approval.database.clone() {
        None => Box::new(move || Ok(Box::new(RedbStore::open(&dir)?) as Box<dyn Store>)),
        Some(database) => Box::new(move || Ok(Box::new(PostgresStore::open(&database, &gateway, &key)?))),
    }
}

/// Names this process among the gateways that share a store; a restart is another one.
fn process_name() -> Result<String, String> {
    let mut random = [0u8; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system gives no random bytes".to_owned())?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
