use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::group::Group;
use super::request::{Decision, HeldCall, Identity, Method, Panel, Request, Terms, Verdict};
use crate::config::{Approval, Notify, NotifyFormat};

/// Somebody of the issuer `corp`.
pub(super) fn identity(subject: &str) -> Identity {
    Identity { issuer: "corp".into(), subject: subject.into() }
}

/// What a rule asks for that says no more than it must.
pub(super) fn terms(quorum: u32) -> Terms {
    Terms {
        panel: Panel { group: Group::Anywhere("dba".into()), quorum, allow_machine_approver: false },
        also: Vec::new(),
        rules: Vec::new(),
        ttl_s: 100,
        use_ttl_s: 30,
        window: None,
        break_glass: None,
    }
}

/// Asked for at 1000, for 100 seconds, by `corp:agent`.
pub(super) fn request(quorum: u32) -> Request {
    let call = HeldCall {
        upstream: "crm".into(),
        method: "tools/call".into(),
        tool: "drop".into(),
        params: "{}".into(),
        masked: false,
        rule: "r".into(),
        client: String::new(),
    };
    Request::new("APR-1".into(), "00".into(), identity("agent"), call, terms(quorum), 1000)
}

/// A decision that nobody signed.
pub(super) fn decision(subject: &str, verdict: Verdict, at_s: u64) -> Decision {
    let (approver, method) = (identity(subject), Some(Method::Bearer));
    Decision { approver, method, verdict, groups: Vec::new(), reason: String::new(), at_s, signature: String::new() }
}

/// A receiver of notices about these groups and rules.
pub(super) fn receiver(groups: &[&str], rules: &[&str]) -> Arc<Notify> {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let (url, format) = ("http://127.0.0.1/".to_owned().into(), NotifyFormat::Json);
    Arc::new(Notify { url, format, key: None, groups: named(groups), rules: named(rules), authorities: None })
}

/// A configuration that tells these.
pub(super) fn telling(notify: Vec<Arc<Notify>>) -> Approval {
    let (dir, audience, hold) = (PathBuf::new(), String::new(), Duration::ZERO);
    Approval { dir, database: None, audience, hold, cooldown_s: 0, login: None, notify, slack: None }
}
