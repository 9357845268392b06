//! The children of one upstream: one for each legacy session, and one for all who have none.
//!
//! Invariant: no more children run than the limit says; a session whose child has ended is no session any more. A child that ends as
//! soon as it is started is started again only after a pause.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sluicegate_dlp::json::{Bounds, Tape};
use tokio::sync::OnceCell;

use super::bridge::Values;
use super::child::{Child, Event};
use super::command::{Command, Variable};
use super::line::Line;
use super::process;
use crate::config::Limits;

/// A child that lives for less than this has failed.
const SETTLED: Duration = Duration::from_secs(10);
/// The shortest and the longest pause before a child is started again that failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Why there is no child for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoChild {
    /// Its session is none, or has ended.
    NoSession,
    /// All children that may run are busy.
    Full,
    /// It cannot be started now.
    NotStarted,
    /// A credential for its environment is not there.
    NoCredential,
}

struct Session {
    child: Arc<Child>,
    used: Instant,
}

/// The child of those without a session.
#[derive(Default)]
struct Common {
    child: Option<Arc<Child>>,
    /// The versions of the credentials that it was started with.
    versions: Vec<u64>,
    /// What it answered when it was initialized, where it is shared by legacy sessions.
    initialized: Arc<OnceCell<Vec<u8>>>,
    failures: u32,
}

/// All children of one upstream.
pub(super) struct Sessions {
    name: String,
    command: Command,
    limits: Limits,
    values: Values,
    sessions: Mutex<HashMap<String, Session>>,
    common: Mutex<Common>,
}

impl Sessions {
    pub(super) fn new(name: String, command: Command, limits: Limits, values: Values) -> Self {
        Sessions { name, command, limits, values, sessions: Mutex::default(), common: Mutex::default() }
    }

    /// Whether all sessions share one child.
    pub(super) fn is_shared(&self) -> bool {
        self.command.is_shared
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Result<(Arc<Child>, Vec<u64>), NoChild> {
        let (mut variables, mut versions) = (Vec::new(), Vec::new());
        for (name, value) in &self.command.environment {
            let value = match value {
                Variable::Text(text) => text.clone(),
                Variable::Credential(index) => {
                    let (value, version) = (self.values)(*index).ok_or(NoChild::NoCredential)?;
                    versions.push(version);
                    value
                }
            };
            variables.push((name.clone(), value));
        }
        let child = process::start(&self.name, &self.command, variables, &self.limits).map_err(|error| {
            tracing::error!(upstream = self.name, program = %self.command.program.display(), %error, "a server's process cannot be started");
            NoChild::NotStarted
        })?;
        Ok((child, versions))
    }

    /// The child of a session.
    pub(super) fn of(&self, id: &str) -> Result<Arc<Child>, NoChild> {
        let mut sessions = self.sessions();
        let session = sessions.get_mut(id).ok_or(NoChild::NoSession)?;
        if session.child.is_ended() {
            sessions.remove(id);
            return Err(NoChild::NoSession);
        }
        session.used = Instant::now();
        Ok(Arc::clone(&session.child))
    }

    /// Begins a session: with a child of its own, or with the common one.
    pub(super) fn begin(&self) -> Result<(String, Arc<Child>), NoChild> {
        let mut random = [0u8; 16];
        rand::fill(&mut random).map_err(|_| NoChild::NotStarted)?;
        let id = URL_SAFE_NO_PAD.encode(random);
        self.make_room()?;
        let child = if self.is_shared() { self.common()? } else { self.start()?.0 };
        self.sessions().insert(id.clone(), Session { child: Arc::clone(&child), used: Instant::now() });
        Ok((id, child))
    }

    /// Ends the session that has been silent for longest, where there are as many as there may be. It begins anew when it comes back.
    fn make_room(&self) -> Result<(), NoChild> {
        let mut sessions = self.sessions();
        sessions.retain(|_, session| !session.child.is_ended());
        if sessions.len() < self.limits.stdio_sessions_per_upstream_max {
            return Ok(());
        }
        let silent = sessions.iter().filter(|(_, session)| self.is_shared() || session.child.is_idle());
        let oldest = silent.min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone());
        let session = sessions.remove(&oldest.ok_or(NoChild::Full)?);
        session.iter().filter(|_| !self.is_shared()).for_each(|session| session.child.end.notify_one());
        Ok(())
    }

    /// The child of those without a session.
    pub(super) fn common(&self) -> Result<Arc<Child>, NoChild> {
        let mut common = self.common.lock().unwrap_or_else(PoisonError::into_inner);
        let newest: Option<Vec<u64>> =
            self.command.credentials().map(|index| (self.values)(index).map(|(_, version)| version)).collect();
        if let Some(child) = common.child.clone() {
            // With a newer credential a new child is started, and the old one ends once nobody waits for it.
            let is_current = newest.as_ref().is_none_or(|newest| *newest == common.versions);
            if !child.is_ended() && is_current {
                return Ok(child);
            }
            let lived = child.started.elapsed();
            common.failures = if child.is_ended() && lived < SETTLED { common.failures.saturating_add(1) } else { 0 };
            if common.failures > 0 {
                let pause = PAUSE.0.saturating_mul(1 << (common.failures - 1).min(16)).min(PAUSE.1);
                if lived < pause {
                    common.failures -= 1;
                    return Err(NoChild::NotStarted);
                }
            }
            tokio::spawn(retire(child));
        }
        let (child, versions) = self.start()?;
        *common = Common { child: Some(Arc::clone(&child)), versions, initialized: Arc::default(), failures: common.failures };
        Ok(child)
    }

    /// What the common child answered when it was initialized; it is initialized by the first who asks, for all, in this version of MCP.
    pub(super) async fn initialized(&self, child: &Arc<Child>, version: &str) -> Option<Vec<u8>> {
        let once = Arc::clone(&self.common.lock().unwrap_or_else(PoisonError::into_inner).initialized);
        let bounds =
            Bounds { depth_max: self.limits.json_depth_max, nodes_max: self.limits.json_nodes_max, refuse_duplicates: true };
        let initialize = || async {
            let us = serde_json::json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": version,
                "capabilities": {}, "clientInfo": {"name": "sluicegate", "version": env!("CARGO_PKG_VERSION")}}});
            let mut asked = child.ask(&Line::read(us.to_string().as_bytes(), &bounds).ok_or(())?, None).await.map_err(|_| ())?;
            let answer = loop {
                match asked.next().await.ok_or(())? {
                    Event::Message(_) => {}
                    Event::Answer(answer, None) => break answer,
                    Event::Answer(_, Some(_)) => return Err(()),
                }
            };
            let told = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
            child.say(told.to_vec()).await.map_err(|_| ())?;
            let mut tape = Tape::new();
            tape.parse(&answer, &bounds).map_err(|_| ())?;
            tape.root(&answer).get("result").and_then(|result| answer.get(result.span())).map(<[u8]>::to_vec).ok_or(())
        };
        once.get_or_try_init(initialize).await.ok().cloned()
    }

    /// Ends a session; whether there was one.
    pub(super) fn end(&self, id: &str) -> bool {
        let session = self.sessions().remove(id);
        if let Some(session) = session.as_ref().filter(|_| !self.is_shared()) {
            session.child.end.notify_one();
        }
        session.is_some()
    }

    /// Ends sessions that nobody has used for long.
    pub(super) fn sweep(&self) {
        let idle = Duration::from_millis(self.limits.stdio_idle_time_max_ms);
        let is_shared = self.is_shared();
        self.sessions().retain(|_, session| {
            let is_kept = !session.child.is_ended() && (session.used.elapsed() < idle || !is_shared && !session.child.is_idle());
            if !is_kept && !is_shared {
                session.child.end.notify_one();
            }
            is_kept
        });
    }

    /// Ends everything, and waits until it has ended.
    pub(super) async fn close(&self) {
        let mut children: Vec<Arc<Child>> = self.sessions().drain().map(|(_, session)| session.child).collect();
        children.extend(self.common.lock().unwrap_or_else(PoisonError::into_inner).child.take());
        children.iter().for_each(|child| child.end.notify_one());
        for child in children {
            child.gone().await;
        }
    }
}

/// Ends a child once nobody waits for it any more.
async fn retire(child: Arc<Child>) {
    while !child.is_ended() && !child.is_idle() {
        tokio::time::sleep(SETTLED / 10).await;
    }
    child.end.notify_one();
}
