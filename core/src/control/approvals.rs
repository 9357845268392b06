//! Opens what approvals need: the key that signs decisions, the store, and the ledger over both.
//!
//! Invariant: without the key the process does not start; a store that cannot be opened is tried again later.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::keys::KeyDesk;
use crate::admin::page::provider::Provider;
use crate::approval::desk::Desk;
use crate::approval::ledger::{Bounds, Ledger, Opener};
use crate::approval::sign::Signer;
use crate::approval::store::{PostgresStore, RedbStore, Store};
use crate::config::{Approval, Config, Limits};
use crate::rt::now_unix_s;

/// What the admin listener decides with.
pub struct Approvals {
    /// The way to all requests.
    pub desk: Arc<Desk>,
    /// The audience of tokens of those who decide.
    pub audience: String,
    /// Where an issuer's keys are asked for.
    pub keys: Arc<KeyDesk>,
    /// Where people log in to decide on the page, where there is one.
    pub provider: Option<Arc<Provider>>,
    /// The bounds.
    pub limits: Limits,
}

/// The approvals, and the thread of their ledger, where the configuration asks for them.
///
/// # Errors
/// What the system or the key's file refuses, in words.
pub fn open(config: &Config, keys: &Arc<KeyDesk>) -> Result<Option<(Approvals, JoinHandle<()>)>, String> {
    let Some(approval) = &config.approval else { return Ok(None) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&approval.dir);
    made.map_err(|error| format!("{}: {error}", approval.dir.display()))?;
    let signer = Signer::open(&approval.dir).map_err(|error| error.to_string())?;
    let gateway = process_name()?;
    let open = opener(approval, gateway.clone(), signer.public_key());
    let bounds =
        Bounds { pending_per_principal_max: config.limits.approvals_pending_per_principal_max, cooldown_s: approval.cooldown_s };
    let ledger = move || Ledger::new(gateway, open, signer, bounds, now_unix_s());
    let (desk, thread) = Desk::open(ledger).map_err(|error| error.to_string())?;
    let (audience, limits) = (approval.audience.clone(), config.limits.clone());
    let provider = approval.login.clone().map(|login| Provider::new(login, &limits)).transpose();
    let provider = provider.map_err(|error| error.to_string())?.map(Arc::new);
    Ok(Some((Approvals { desk, audience, keys: Arc::clone(keys), provider, limits }, thread)))
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
