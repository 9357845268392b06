//! Checks who is told of held calls, and who people of Slack are here.
//!
//! Invariant: a receiver is reached over TLS or on this machine, and what it is told is signed, unless it is Slack, which looks at no
//! signature; each person of Slack's is one identity of an issuer that the file names.

use std::sync::Arc;

use toml::Spanned;
use zeroize::Zeroizing;

use super::check::Checker;
use super::checked::{Notify, NotifyFormat, Slack};
use super::raw::{RawNotify, RawRule, RawSecret, RawSlack, RawSlackUser, Text};
use super::url::{HttpUrl, Origin};
use crate::approval::notify::signature::WebhookKey;
use crate::approval::request::Identity;
use crate::approval::slack::people::{People, Person};

/// Receivers that are taken.
const RECEIVERS_MAX: usize = 16;
/// People of Slack that are taken.
const PEOPLE_MAX: usize = 1_000;
/// The longest name of a group, a subject or one of Slack's ids, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Where Slack takes answers.
const SLACK_ORIGIN: &str = "https://hooks.slack.com";

impl Checker<'_, '_> {
    pub(super) fn receivers(&mut self, raw: &[Spanned<RawNotify>], rules: &[Spanned<RawRule>]) -> Vec<Arc<Notify>> {
        if let Some(one) = raw.get(RECEIVERS_MAX) {
            let message = format!("there are more than {RECEIVERS_MAX}");
            self.problems.add(one.span(), "approval.notify", message, "let one of them tell the others");
        }
        raw.iter().enumerate().filter_map(|(at, raw)| self.receiver(raw, rules, at + 1)).map(Arc::new).collect()
    }

    fn receiver(&mut self, spanned: &Spanned<RawNotify>, rules: &[Spanned<RawRule>], number: usize) -> Option<Notify> {
        let raw = spanned.get_ref();
        let key = format!("approval.notify[{number}]");
        let format = match raw.format.as_ref().map(|format| format.get_ref().as_str()) {
            None | Some("json") => Some(NotifyFormat::Json),
            Some("slack") => Some(NotifyFormat::Slack),
            Some(_) => {
                let span = raw.format.as_ref().map_or(0..0, Spanned::span);
                self.problems.add(span, format!("{key}.format"), "is not a format of notices", "use \"json\" or \"slack\"");
                None
            }
        };
        let holding: Vec<&RawRule> = rules.iter().map(Spanned::get_ref).filter(|rule| rule.approve.is_some()).collect();
        let known: Vec<&str> = holding.iter().map(|rule| rule.id.get_ref().as_str()).collect();
        let rules = self.some_of(raw.rules.as_ref(), &format!("{key}.rules"), "[[rule]] that holds calls", &known);
        let groups = holding.iter().filter_map(|rule| Some(rule.approve.as_ref()?.get_ref().group.get_ref().as_str()));
        let groups: Vec<&str> = groups.collect();
        let groups = self.some_of(raw.groups.as_ref(), &format!("{key}.groups"), "group of a [[rule]] that holds calls", &groups);
        let signing = self.webhook_key(raw.secret.as_ref(), &format!("{key}.secret"));
        if raw.secret.is_none() && format == Some(NotifyFormat::Json) {
            let hint = "add `secret = { file = \"…\" }`; make one with `echo whsec_$(openssl rand -base64 32)`";
            self.problems.add(
                spanned.span(),
                format!("{key}.secret"),
                "is missing, so nobody could tell a notice from a forged one",
                hint,
            );
        }
        let (url, authorities) = self.receiver_url(spanned, &key)?;
        Some(Notify { url, format: format?, key: signing?, groups, rules, authorities })
    }

    /// Where a receiver is, and the authorities to trust for it.
    fn receiver_url(&mut self, spanned: &Spanned<RawNotify>, key: &str) -> Option<(Zeroizing<String>, Option<Vec<u8>>)> {
        let raw = spanned.get_ref();
        let (at, key_of_url, text) = match (&raw.url, &raw.url_secret) {
            (Some(url), None) => (url, format!("{key}.url"), Zeroizing::new(url.get_ref().clone())),
            (None, Some(secret)) => {
                let key = format!("{key}.url_secret");
                let (_, value) = self.local_secret(secret, &key)?;
                let (field, at) = secret.get_ref().place()?;
                (at, format!("{key}.{field}"), Zeroizing::new(String::from_utf8_lossy(value.bytes()).into_owned()))
            }
            _ => {
                let hint = "give exactly one of `url` and `url_secret = { file = \"…\" }`";
                self.problems.add(spanned.span(), key, "does not say where to send", hint);
                return None;
            }
        };
        let url = match HttpUrl::parse(&text) {
            Ok(url) if !url.origin.is_tls && !url.origin.is_loopback() => {
                let hint = "use https://; plain http:// is for loopback only, because notices tell of calls";
                self.problems.add(at.span(), key_of_url, "would be reached without TLS", hint);
                return None;
            }
            Ok(url) => url,
            Err(error) => {
                self.problems.add(at.span(), key_of_url, error.to_string(), "write the URL that takes a POST");
                return None;
            }
        };
        let authorities = self.service_ca(raw.ca.as_ref(), &url, &format!("{key}.ca"))?;
        Some((text, authorities))
    }

    fn webhook_key(&mut self, raw: Option<&Spanned<RawSecret>>, key: &str) -> Option<Option<WebhookKey>> {
        let Some(raw) = raw else { return Some(None) };
        let (_, secret) = self.local_secret(raw, key)?;
        let read = WebhookKey::read(secret.bytes());
        if let Some((field, at)) = raw.get_ref().place().filter(|_| read.is_none()) {
            let hint = "make one with `echo whsec_$(openssl rand -base64 32)`";
            self.problems.add(at.span(), format!("{key}.{field}"), "is not a secret of Standard Webhooks", hint);
        }
        read.map(Some)
    }

    /// The names that are given, each of them one of those that are known.
    fn some_of(&mut self, given: Option<&Spanned<Vec<Text>>>, key: &str, what: &str, known: &[&str]) -> Vec<String> {
        let Some(given) = given else { return Vec::new() };
        if given.get_ref().is_empty() {
            self.problems.add(given.span(), key, "is empty, so nothing would be told", "name one, or remove the key for all");
        }
        for name in given.get_ref().iter().filter(|name| !known.contains(&name.get_ref().as_str())) {
            self.dangling(name, key, what, known.iter().copied());
        }
        given.get_ref().iter().map(|name| name.get_ref().clone()).collect()
    }

    pub(super) fn slack(&mut self, spanned: &Spanned<RawSlack>) -> Option<Arc<Slack>> {
        let raw = spanned.get_ref();
        let signing_secret = self.local_secret(&raw.signing_secret, "approval.slack.signing_secret").map(|(_, secret)| secret);
        let answer_origin = self.answer_origin(raw.answer_origin.as_ref());
        let mut people = People::default();
        if raw.user.is_empty() {
            let hint = "add `[[approval.slack.user]]` with `team`, `user`, `issuer`, `subject` and `groups`";
            self.problems.add(spanned.span(), "approval.slack.user", "there is none, so nobody could decide in Slack", hint);
        }
        if let Some(one) = raw.user.get(PEOPLE_MAX) {
            let message = format!("there are more than {PEOPLE_MAX}");
            self.problems.add(one.user.span(), "approval.slack.user", message, "name those who decide only");
        }
        for (at, user) in raw.user.iter().enumerate() {
            self.slack_user(user, at + 1, &mut people);
        }
        Some(Arc::new(Slack { signing_secret: signing_secret?, people, answer_origin: answer_origin? }))
    }

    fn answer_origin(&mut self, raw: Option<&Text>) -> Option<Origin> {
        let key = "approval.slack.answer_origin";
        let Some(text) = raw else { return HttpUrl::parse(SLACK_ORIGIN).ok().map(|url| url.origin) };
        let url = self.service(text, key)?;
        if url.path != "/" {
            self.problems.add(text.span(), key, "has a path", "end it behind the host, like \"https://hooks.slack-gov.com\"");
        }
        Some(url.origin)
    }

    fn slack_user(&mut self, raw: &RawSlackUser, number: usize, people: &mut People) {
        let key = format!("approval.slack.user[{number}]");
        for (text, field, first, like) in [(&raw.team, "team", "TE", "T0123ABCD"), (&raw.user, "user", "UW", "U0123ABCD")] {
            let id = text.get_ref();
            let is_id = id.starts_with(|c| first.contains(c))
                && (2..=NAME_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            if !is_id {
                let hint = format!("write the id, like {like:?}; Slack shows it in the profile and in the URL of the workspace");
                self.problems.add(text.span(), format!("{key}.{field}"), "is not an id of Slack's", hint);
            }
        }
        let issuer = raw.issuer.get_ref();
        if !self.named.issuers.contains(issuer) {
            let known = self.named.issuers.clone();
            self.dangling(&raw.issuer, &format!("{key}.issuer"), "[[issuer]]", known.iter().map(String::as_str));
        }
        let is_name = |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if !is_name(raw.subject.get_ref()) {
            let hint = "write the `sub` of their tokens, so that nobody decides about a call of their own";
            self.problems.add(raw.subject.span(), format!("{key}.subject"), "is not a subject", hint);
        }
        let groups: Vec<String> = raw.groups.get_ref().iter().map(|group| group.get_ref().clone()).collect();
        if groups.is_empty() || !groups.iter().all(|group| is_name(group)) {
            let hint = "name the groups that they decide for, like [\"dba\"]";
            self.problems.add(raw.groups.span(), format!("{key}.groups"), "does not say for which groups they decide", hint);
        }
        let identity = Identity { issuer: issuer.clone(), subject: raw.subject.get_ref().clone() };
        if !people.add(raw.team.get_ref(), raw.user.get_ref(), Person { identity, groups }) {
            let hint = "give each user of a workspace one identity";
            self.problems.add(raw.user.span(), format!("{key}.user"), "is somebody else already", hint);
        }
    }
}
