//! Checks what the file says about approvals: who decides, how long things wait, and whether anybody can decide at all.
//!
//! Invariant: a rule that holds calls is taken only where somebody can have a token to decide with and somewhere to send it.

use std::path::Path;

use aws_lc_rs::digest;
use toml::Spanned;

use super::check::Checker;
use super::check_claims::{has_groups, has_roles};
use super::checked::{Admin, Approval, Server};
use super::limits::Limits;
use super::problem::Weight;
use super::raw::{RawApprove, RawConfig, RawIssuer, RawRule, Text};
use crate::approval::group::Group;
use crate::approval::request::{Panel, Terms, Window};
use crate::approval::sign::{Signer, SignerError};
use crate::policy::Glob;

/// The longest name of a group, in bytes.
const GROUP_BYTES_MAX: usize = 256;
/// The longest window, in seconds.
const WINDOW_S_MAX: u64 = 8 * 3600;

/// A hash of the rules as they are written, in hexadecimal digits; comments, spaces and everything else in the file do not count.
pub(super) fn revision(text: &str) -> String {
    let mut table: toml::Table = text.parse().unwrap_or_default();
    table.retain(|key, _| key == "rule");
    let hash = digest::digest(&digest::SHA256, table.to_string().as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a rule is about, as it is written.
fn scope(text: &str, index: usize) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    let mut rule = table.get("rule")?.as_array()?.get(index)?.as_table()?.clone();
    rule.retain(|key, _| ["what", "args", "when"].contains(&key));
    Some(rule.to_string())
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
        let notify = self.receivers(&raw.notify, &whole.rule);
        let slack = raw.slack.as_ref().and_then(|slack| self.slack(slack));
        if raw.dir.get_ref().is_empty() {
            let hint = "name a directory that only the gateway's user can read";
            self.problems.add(raw.dir.span(), "approval.dir", "is empty", hint);
            return None;
        }
        let (dir, database) = (self.dir.join(raw.dir.get_ref()), self.database(raw, limits));
        self.decision_key(raw.dir.span(), &dir);
        let (hold, login) = (std::time::Duration::from_secs(hold_s), login.flatten());
        Some(Approval { dir, database, audience, hold, cooldown_s, login, notify, slack })
    }

    /// The key is made at the first start, so one that cannot be used is found here only if it is there already.
    fn decision_key(&mut self, span: std::ops::Range<usize>, dir: &Path) {
        if let Err(error) = Signer::check(dir) {
            let hint = match error {
                SignerError::Io(..) => "let the gateway's user read it",
                SignerError::Readable(_) => {
                    "chmod 600, if nobody else has read it; else move it away, and decide anew what was decided under it"
                }
                SignerError::Malformed(_) => {
                    "put back the key from a copy, or move it away for a new one; what was decided under it counts no more"
                }
            };
            self.problems.weigh(Weight::Doubt, span, "approval.dir", format!("has a key that cannot be used: {error}"), hint);
        } else if Signer::is_lost(dir) {
            let hint = "put back `decision-key` from a copy; with a new one, what was decided before counts no more";
            self.problems.weigh(
                Weight::Warning,
                span,
                "approval.dir",
                "has requests for approval, and not the key they were decided under",
                hint,
            );
        }
    }

    fn is_an_endpoint(&self, audience: &str, server: &Server) -> bool {
        self.named.upstreams.iter().any(|name| server.resource(name) == audience)
    }

    /// What a rule asks for; `index` is its place in the file, from 0.
    pub(super) fn terms(&mut self, rule: &RawRule, raw: &Spanned<RawApprove>, index: usize) -> Terms {
        let (raw, key) = (raw.get_ref(), format!("rule[{}].approve", index + 1));
        let group = self.group(&raw.group, &format!("{key}.group"));
        let break_glass = raw.break_glass.as_ref().map(|group| self.group(group, &format!("{key}.break_glass")));
        if let Some(group) = &raw.break_glass
            && group.get_ref() == raw.group.get_ref()
            && raw.quorum.as_ref().is_none_or(|quorum| *quorum.get_ref() == 1)
        {
            let hint = "name the few who answer for emergencies, or remove it";
            let message = "is the group that decides alone anyway";
            self.problems.add(group.span(), format!("{key}.break_glass"), message, hint);
        }
        let quorum = self.number(raw.quorum.as_ref(), &format!("{key}.quorum"), 1..=16, 1);
        let window = raw.window_s.as_ref().and_then(|seconds| self.window(rule, seconds, index));
        if let (Some(window), true) = (&raw.window_s, raw.break_glass.is_some()) {
            let hint = "remove one of the two; the glass is broken for one call";
            self.problems.add(window.span(), format!("{key}.window_s"), "stands beside `break_glass`", hint);
        }
        if let (Some(use_ttl), true) = (&raw.use_ttl_s, raw.window_s.is_some()) {
            let hint = "remove one of the two: a window begins with the last approval";
            self.problems.add(use_ttl.span(), format!("{key}.use_ttl_s"), "stands beside `window_s`", hint);
        }
        Terms {
            panel: Panel {
                group,
                quorum: u32::try_from(quorum).unwrap_or(1),
                allow_machine_approver: raw.allow_machine_approver,
            },
            also: Vec::new(),
            rules: Vec::new(),
            ttl_s: self.number(raw.ttl_s.as_ref(), &format!("{key}.ttl_s"), 10..=604_800, 900),
            use_ttl_s: self.number(raw.use_ttl_s.as_ref(), &format!("{key}.use_ttl_s"), 10..=86_400, 300),
            window,
            break_glass,
        }
    }

    fn group(&mut self, group: &Text, key: &str) -> Group {
        let name = group.get_ref();
        if name.is_empty() || name.len() > GROUP_BYTES_MAX || name.chars().any(char::is_control) {
            let hint = "name a role, or a group as \"<issuer name>:<group>\"";
            self.problems.add(group.span(), key, "is not the name of a group", hint);
        }
        Group::read(name, |issuer| self.named.issuers.iter().any(|named| named == issuer))
    }

    /// An approval for a time has to say for which calls, so that people know what they approve.
    fn window(&mut self, rule: &RawRule, seconds: &Spanned<i64>, index: usize) -> Option<Window> {
        let key = format!("rule[{}].approve.window_s", index + 1);
        let names_one = |name: &Option<Text>| name.as_ref().is_some_and(|name| Glob::new(name.get_ref()).is_literal());
        if !names_one(&rule.what.tool) || !names_one(&rule.what.upstream) {
            let hint = "name one upstream and one tool in `what`, without `*`";
            self.problems.add(seconds.span(), &*key, "would let more than one tool run", hint);
        } else if rule.args.is_empty() && rule.when.is_none() {
            let hint = "say in `args` or `when` which calls, or remove it";
            self.problems.add(seconds.span(), &*key, "would let every call of the tool run", hint);
        }
        let seconds = self.number(Some(seconds), &key, 60..=WINDOW_S_MAX, 3600);
        let scope = scope(self.problems.text(), index)?;
        Some(Window { seconds, scope })
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
        } else if !speaking.any(|issuer| has_roles(issuer) || has_groups(issuer)) {
            let message =
                "holds calls, and nobody could decide: no issuer of those who could says who is in which group".to_owned();
            missing(message, "add `groups = { claim = \"/…\" }` or `roles` to the [[issuer]] of those who decide");
        }
    }
}
