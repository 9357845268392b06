//! Checks what the file says about approvals: who decides, how long things wait, and whether anybody can decide at all.
//!
//! Invariant: a rule that holds calls is taken only where somebody can have a token to decide with and somewhere to send it.

use aws_lc_rs::digest;
use toml::Spanned;

use super::check::Checker;
use super::checked::{Admin, Approval, Server};
use super::limits::Limits;
use super::raw::{RawApprove, RawConfig, RawIssuer};
use crate::approval::request::Terms;

/// The longest name of a group, in bytes.
const GROUP_BYTES_MAX: usize = 256;

/// A hash of the rules as they are written, in hexadecimal digits; comments, spaces and everything else in the file do not count.
pub(super) fn revision(text: &str) -> String {
    let mut table: toml::Table = text.parse().unwrap_or_default();
    table.retain(|key, _| key == "rule");
    let hash = digest::digest(&digest::SHA256, table.to_string().as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Checker<'_, '_> {
    pub(super) fn approval(
        &mut self,
        whole: &RawConfig,
        server: &Server,
        admin: Option<&Admin>,
        limits: &Limits,
    ) -> Option<Approval> {
        let raw = whole.approval.as_ref()?.get_ref();
        let path = format!("{}/approvals", server.public_url.path.trim_end_matches('/'));
        let audience = raw.audience.as_ref().map_or_else(|| server.base() + &path, |audience| audience.get_ref().clone());
        if let Some(given) = raw.audience.as_ref().filter(|given| self.is_an_endpoint(given.get_ref(), server)) {
            let message = "is the audience of an endpoint, so whoever may call could decide";
            self.problems.add(given.span(), "approval.audience", message, "use one of its own, or leave it out");
        }
        let hold_s = self.number(raw.hold_s.as_ref(), "approval.hold_s", 0..=600, 50);
        let cooldown_s = self.number(raw.cooldown_s.as_ref(), "approval.cooldown_s", 0..=86_400, 60);
        let login = raw.login.as_ref().map(|login| self.login(login, whole, admin));
        if raw.dir.get_ref().is_empty() {
            let hint = "name a directory that only the gateway's user can read";
            self.problems.add(raw.dir.span(), "approval.dir", "is empty", hint);
            return None;
        }
        let (dir, database) = (self.dir.join(raw.dir.get_ref()), self.database(raw, limits));
        let (hold, login) = (std::time::Duration::from_secs(hold_s), login.flatten());
        Some(Approval { dir, database, audience, hold, cooldown_s, login })
    }

    fn is_an_endpoint(&self, audience: &str, server: &Server) -> bool {
        self.named.upstreams.iter().any(|name| server.resource(name) == audience)
    }

    pub(super) fn terms(&mut self, raw: &Spanned<RawApprove>, key: &str) -> Terms {
        let raw = raw.get_ref();
        let group = raw.group.get_ref();
        if group.is_empty() || group.len() > GROUP_BYTES_MAX || group.chars().any(char::is_control) {
            let hint = "name a role, or a group as \"<issuer name>:<group>\"";
            self.problems.add(raw.group.span(), format!("{key}.group"), "is not the name of a group", hint);
        }
        let quorum = self.number(raw.quorum.as_ref(), &format!("{key}.quorum"), 1..=16, 1);
        Terms {
            group: group.clone(),
            quorum: u32::try_from(quorum).unwrap_or(1),
            ttl_s: self.number(raw.ttl_s.as_ref(), &format!("{key}.ttl_s"), 10..=604_800, 900),
            use_ttl_s: self.number(raw.use_ttl_s.as_ref(), &format!("{key}.use_ttl_s"), 10..=86_400, 300),
            allow_machine_approver: raw.allow_machine_approver,
        }
    }

    /// A rule that holds calls for nobody would deny them slowly.
    pub(super) fn somebody_can_decide(&mut self, raw: &RawConfig, approval: Option<&Approval>) {
        let holding = raw.rule.iter().position(|rule| rule.get_ref().effect.get_ref() == "approve");
        let Some((index, rule)) = holding.and_then(|index| Some((index, raw.rule.get(index)?.get_ref()))) else { return };
        let key = format!("rule[{}].effect", index + 1);
        let mut missing = |message: String, hint: &str| self.problems.add(rule.effect.span(), key.clone(), message, hint);
        if raw.approval.is_none() {
            missing("holds calls, and there is no [approval]".into(), "add `[approval]` with `dir = \"…\"`");
        }
        if raw.admin.is_none() {
            missing("holds calls, and nobody could decide: there is no [admin]".into(), "add `[admin]` with `listen`");
        }
        let Some(approval) = approval else { return };
        let takes = |audience: &Spanned<String>| *audience.get_ref() == approval.audience;
        let login = raw.approval.as_ref().and_then(|raw| raw.get_ref().login.as_ref());
        let is_logged_in_at = |name: &str| login.is_some_and(|login| login.get_ref().issuer.get_ref() == name);
        let may_speak =
            |issuer: &&RawIssuer| issuer.audiences.get_ref().iter().any(takes) || is_logged_in_at(issuer.name.get_ref());
        let mut speaking = raw.issuer.iter().filter(may_speak).peekable();
        if speaking.peek().is_none() {
            let message = format!("holds calls, and nobody could decide: no issuer has the audience {:?}", approval.audience);
            missing(message, "add it to the `audiences` of the [[issuer]] of those who decide");
        } else if !speaking.any(|issuer| issuer.roles.is_some() || issuer.groups.is_some()) {
            let message =
                "holds calls, and nobody could decide: no issuer of those who could says who is in which group".to_owned();
            missing(message, "add `groups = { claim = \"/…\" }` or `roles` to the [[issuer]] of those who decide");
        }
    }
}
