//! Checks where people find the admin listener, and how they log in there to decide about held calls.
//!
//! Invariant: a browser is only sent to, and answered at, an origin that nobody on the way can read or take the place of.

use std::sync::Arc;

use toml::Spanned;

use super::check::Checker;
use super::check_claims::{has_groups, has_roles, is_named_by_client};
use super::checked::{Admin, Login};
use super::raw::{RawAdmin, RawConfig, RawLogin, Text};
use super::url::HttpUrl;

/// What is asked for where the file does not say.
const SCOPE: &str = "openid";

impl Checker<'_, '_> {
    pub(super) fn admin(&mut self, raw: &RawAdmin) -> Option<Admin> {
        let listen = self.address(&raw.listen, "admin.listen");
        if listen.is_some_and(|address| !address.ip().is_loopback()) {
            let hint = "use 127.0.0.1 or [::1]; it asks nobody who they are";
            self.problems.add(raw.listen.span(), "admin.listen", "is not a loopback address", hint);
        }
        let public_url = raw.public_url.as_ref().map(|url| self.browsed(url, "admin.public_url"));
        Some(Admin { listen: listen?, public_url: public_url.flatten() })
    }

    /// An origin that browsers are sent to.
    fn browsed(&mut self, text: &Text, key: &str) -> Option<HttpUrl> {
        let (message, hint) = match HttpUrl::parse(text.get_ref()) {
            Ok(url) if !url.origin.is_tls && !url.origin.is_loopback() => (
                "would be reached without TLS".to_owned(),
                "use https://, with a reverse proxy in front; plain http:// is for loopback only",
            ),
            Ok(url) if url.path != "/" => (format!("has the path {:?}", url.path), "end it behind the port"),
            Ok(url) => return Some(url),
            Err(error) => (error.to_string(), "write what browsers use, like \"https://gate-admin.example.com\""),
        };
        self.problems.add(text.span(), key, message, hint);
        None
    }

    /// How people log in; each thing that is wrong with it is reported.
    pub(super) fn login(&mut self, spanned: &Spanned<RawLogin>, whole: &RawConfig, admin: Option<&Admin>) -> Option<Arc<Login>> {
        let (raw, key) = (spanned.get_ref(), "approval.login");
        let issuer = self.login_issuer(&raw.issuer, whole);
        let client_id = self.text(&raw.client_id, &format!("{key}.client_id"));
        let client_secret = raw.client_secret.as_ref().map(|secret| self.local_secret(secret, &format!("{key}.client_secret")));
        let scope = match &raw.scope {
            Some(scope) => self.login_scope(scope),
            None => Some(SCOPE.to_owned()),
        };
        let idle_s = self.number(raw.idle_s.as_ref(), &format!("{key}.idle_s"), 60..=86_400, 900);
        let session_s = self.number(raw.session_s.as_ref(), &format!("{key}.session_s"), 60..=86_400, 3600);
        // A URL that is given and wrong is a problem of its own.
        if whole.admin.as_ref().is_none_or(|admin| admin.public_url.is_none()) {
            let hint = "add `public_url` to `[admin]`: the https:// origin at which browsers reach it, or http:// on loopback";
            self.problems.add(spanned.span(), key, "does not know where browsers find the page", hint);
        }
        let (issuer, issuer_url) = issuer?;
        Some(Arc::new(Login {
            issuer,
            issuer_url,
            client_id: client_id?,
            client_secret: match client_secret {
                Some(secret) => Some(secret?.0),
                None => None,
            },
            scope: scope?,
            public_url: admin?.public_url.clone()?,
            idle_s,
            session_s,
        }))
    }

    fn login_issuer(&mut self, name: &Text, whole: &RawConfig) -> Option<(usize, String)> {
        let key = "approval.login.issuer";
        let Some(index) = self.named.issuers.iter().position(|known| known == name.get_ref()) else {
            let known = self.named.issuers.clone();
            self.dangling(name, key, "[[issuer]]", known.iter().map(String::as_str));
            return None;
        };
        let issuer = whole.issuer.get(index)?;
        if is_named_by_client(issuer) {
            let message = format!("{:?} names principals by their client, so all who log in would be one", name.get_ref());
            let hint = "let `principal` of that [[issuer]] name a claim that is the person's, like \"{sub}\"";
            self.problems.add(name.span(), key, message, hint);
        }
        if !has_roles(issuer) && !has_groups(issuer) {
            let hint = "add `groups = { claim = \"/…\" }` or `roles` to that [[issuer]]";
            let message = "does not say who is in which group, so nobody who logs in there could decide";
            self.problems.add(name.span(), key, message, hint);
        }
        Some((index, issuer.issuer.get_ref().clone()))
    }

    fn login_scope(&mut self, scope: &Text) -> Option<String> {
        let key = "approval.login.scope";
        let text = self.text(scope, key)?;
        let is_openid = text.split(' ').any(|word| word == "openid");
        if !is_openid {
            let message = "has no \"openid\", without which no provider says who logged in";
            self.problems.add(scope.span(), key, message, "add `openid` to it, like \"openid groups\"");
        }
        is_openid.then_some(text)
    }
}
