//! Checks where revocations are kept, and who may revoke over the admin listener.
//!
//! Invariant: nobody revokes with a token that is made for calls.

use super::check::Checker;
use super::checked::{Admin, RevocationSetup, Server};
use super::raw::{RawConfig, RawRevocation};

/// The longest name of a group, in bytes.
const GROUP_BYTES_MAX: usize = 256;

impl Checker<'_, '_> {
    /// Whether what issuers push can be taken, and is for nobody else.
    pub(super) fn signals(&mut self, raw: &RawConfig, resources: &[String]) {
        for (index, issuer) in raw.issuer.iter().enumerate() {
            let Some(signals) = &issuer.shared_signals else { continue };
            let key = format!("issuer[{}].shared_signals", index + 1);
            if raw.revocation.is_none() || raw.admin.is_none() {
                let hint = "add [revocation] with `dir`, and [admin] with `listen`";
                let message = "has nowhere to come to, or nowhere to be kept";
                self.problems.add(signals.span(), key.clone(), message, hint);
            }
            let audience = &signals.get_ref().audience;
            let is_text = (1..=1024).contains(&audience.get_ref().len()) && !audience.get_ref().chars().any(char::is_control);
            if !is_text || resources.contains(audience.get_ref()) {
                let hint = "write the `aud` of the stream's events, which is not that of tokens";
                self.problems.add(audience.span(), format!("{key}.audience"), "is no audience of events", hint);
            }
        }
    }

    /// What `[revocation]` says.
    pub(super) fn revocation(&mut self, raw: &RawRevocation, server: &Server, admin: Option<&Admin>) -> Option<RevocationSetup> {
        let path = format!("{}/revocations", server.public_url.path.trim_end_matches('/'));
        let audience = raw.audience.as_ref().map_or_else(|| server.base() + &path, |audience| audience.get_ref().clone());
        let is_an_endpoint = self.named.upstreams.iter().any(|name| server.resource(name) == audience);
        if let (Some(given), true) = (&raw.audience, is_an_endpoint) {
            let message = "is the audience of an endpoint, so whoever may call could revoke";
            self.problems.add(given.span(), "revocation.audience", message, "use one of its own, or leave it out");
        }
        if let Some(group) = &raw.group {
            let name = group.get_ref();
            if name.is_empty() || name.len() > GROUP_BYTES_MAX || name.chars().any(char::is_control) {
                let hint = "name a role, or a group as \"<issuer name>:<group>\"";
                self.problems.add(group.span(), "revocation.group", "is not the name of a group", hint);
            }
            if admin.is_none() {
                let hint = "add [admin] with `listen`, or leave `group` out and revoke with `sluicegate revoke -c FILE`";
                self.problems.add(group.span(), "revocation.group", "may revoke over an admin listener that there is not", hint);
            }
        }
        if raw.dir.get_ref().is_empty() {
            let hint = "name a directory that only the gateway's user can write to";
            self.problems.add(raw.dir.span(), "revocation.dir", "is empty", hint);
            return None;
        }
        let group = raw.group.as_ref().map(|group| group.get_ref().clone());
        Some(RevocationSetup { dir: self.dir.join(raw.dir.get_ref()), audience, group })
    }
}
