//! One revocation: what it takes back, why, by whom, and how long it must be kept.
//!
//! Invariant: an entry takes back exactly one thing; the same thing has the same id, so revoking it again is the same entry.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sluicegate_identity::{Denial, Denied, IssuerPolicy};

use crate::canonical::sha256::Sha256;

/// The longest name, in bytes: that of a subject or a token.
const NAME_BYTES_MAX: usize = 1024;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1024;

/// What somebody asks to have revoked, in the words of the API and of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The operator's name for the issuer.
    pub issuer: String,
    /// One token, by its `jti`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jti: Option<String>,
    /// A subject; with `issued_before`, its tokens from before then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// A client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client: Option<String>,
    /// All that a key signed, by its SHA-256 thumbprint (RFC 7638) in base64url.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Tokens issued before this Unix second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub issued_before: Option<u64>,
}

/// Why a target is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// No issuer of the configuration has this name.
    UnknownIssuer(String),
    /// It names nothing, or more than one thing.
    NotOne,
    /// A name is empty, too long or has control characters.
    Name(&'static str),
    /// The key is no thumbprint.
    Thumbprint,
    /// `issued_before` is still to come.
    Future,
    /// The reason is missing, too long or has control characters.
    Reason,
}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TargetError::UnknownIssuer(name) => write!(f, "no [[issuer]] is named {name:?}"),
            TargetError::NotOne => {
                f.write_str("name one of jti, subject, client, key and issued_before; only subject and issued_before go together")
            }
            TargetError::Name(field) => write!(f, "{field}: 1 to {NAME_BYTES_MAX} bytes without control characters"),
            TargetError::Thumbprint => {
                f.write_str("key: the SHA-256 thumbprint of the issuer's key (RFC 7638), 43 characters of base64url")
            }
            TargetError::Future => f.write_str("issued_before: is still to come"),
            TargetError::Reason => write!(f, "reason: 1 to {REASON_BYTES_MAX} bytes without control characters"),
        }
    }
}

impl Target {
    /// Whether it takes back exactly one thing that there may be, from the view of `now_s` (Unix seconds).
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn check(&self, issuers: &[&IssuerPolicy], now_s: u64) -> Result<(), TargetError> {
        let issuer = issuers.iter().find(|policy| policy.name() == self.issuer);
        let issuer = issuer.ok_or_else(|| TargetError::UnknownIssuer(self.issuer.clone()))?;
        for (field, name) in [("jti", &self.jti), ("subject", &self.subject), ("client", &self.client)] {
            if name.as_ref().is_some_and(|name| !is_text(name, NAME_BYTES_MAX)) {
                return Err(TargetError::Name(field));
            }
        }
        if self.key.as_ref().is_some_and(|key| thumbprint(key).is_none()) {
            return Err(TargetError::Thumbprint);
        }
        if self.issued_before.is_some_and(|time_s| time_s > now_s.saturating_add(issuer.leeway_s().into())) {
            return Err(TargetError::Future);
        }
        self.denied(0).map(drop).ok_or(TargetError::NotOne)
    }

    /// What it takes back of the issuer at this position; `None` where that is not one thing.
    fn denied(&self, issuer: usize) -> Option<Denied> {
        let (jti, subject, client) = (self.jti.clone(), self.subject.clone(), self.client.clone());
        match (jti, subject, client, self.key.as_deref(), self.issued_before) {
            (Some(jti), None, None, None, None) => Some(Denied::Token { issuer, jti }),
            (None, Some(subject), None, None, None) => Some(Denied::Subject { issuer, subject }),
            (None, None, Some(client), None, None) => Some(Denied::Client { issuer, client }),
            (None, None, None, Some(key), None) => Some(Denied::Key { issuer, thumbprint: thumbprint(key)? }),
            (None, subject, None, None, Some(time_s)) => Some(Denied::IssuedBefore { issuer, subject, time_s }),
            _ => None,
        }
    }

    /// The id of its entry.
    pub fn id(&self) -> String {
        // An array has one form in JSON, so no two targets are written alike.
        let whole = serde_json::json!([self.issuer, self.jti, self.subject, self.client, self.key, self.issued_before]);
        let hash = Sha256::of(whole.to_string().as_bytes()).to_string();
        format!("REV-{}", hash.get(..16).unwrap_or_default().to_ascii_uppercase())
    }
}

/// Whether a reason is one.
///
/// # Errors
/// [`TargetError::Reason`].
pub fn check_reason(reason: &str) -> Result<(), TargetError> {
    if is_text(reason, REASON_BYTES_MAX) { Ok(()) } else { Err(TargetError::Reason) }
}

fn is_text(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control)
}

/// The thumbprint that a text is, in the one form that there is of it.
fn thumbprint(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The end of an entry that is never over by itself.
const NEVER: u64 = u64::MAX;

fn never() -> u64 {
    NEVER
}

fn is_never(until: &u64) -> bool {
    *until == NEVER
}

/// The Unix second from which nothing is left of what a target takes back, where that was asked for at `now_s`. A key signs for as long as
/// somebody has it, and a token that does not say when it was issued can come back shortly before its end: of those there is no end.
pub fn until_s(target: &Target, policy: &IssuerPolicy, now_s: u64) -> u64 {
    let is_endless = target.key.is_some() || policy.profile().may_lack_iat();
    if is_endless { NEVER } else { now_s.saturating_add(kept_s(policy)) }
}

/// Seconds after which no token of an issuer counts that was issued before: the longest life, and the difference of clocks at both ends.
fn kept_s(policy: &IssuerPolicy) -> u64 {
    u64::from(policy.lifetime_max_s()) + 2 * u64::from(policy.leeway_s())
}

/// One revocation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// What it takes back.
    pub target: Target,
    /// Why.
    pub reason: String,
    /// By whom: a principal's id, `local:` and who ran the command, or `ssf:` and the transmitter.
    pub by: String,
    /// Since when, in Unix seconds.
    pub at: u64,
    /// The Unix second from which it is over: whatever it takes back has expired by then. `u64::MAX`, which is not written, where it stands
    /// until it is lifted.
    #[serde(default = "never", skip_serializing_if = "is_never")]
    pub until: u64,
}

impl Revocation {
    /// The entry of the deny-list; `None` for an issuer that is not configured any more, and for what takes back nothing.
    pub fn denial(&self, issuers: &[&IssuerPolicy]) -> Option<Denial> {
        let issuer = issuers.iter().position(|policy| policy.name() == self.target.issuer)?;
        Some(Denial { denied: self.target.denied(issuer)?, until_s: self.until })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_identity::Profile;

    const NOW: u64 = 1_790_000_000;

    fn target(text: &str) -> Target {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn r78_a_target_is_one_thing_of_a_known_issuer() {
        let policy = IssuerPolicy::new("corp", "https://idp.test", vec!["https://gate.test/mcp/crm".into()]).unwrap();
        let checked = |text: &str| target(text).check(&[&policy], NOW);
        for good in [
            r#"{"issuer":"corp","jti":"j"}"#,
            r#"{"issuer":"corp","subject":"a"}"#,
            r#"{"issuer":"corp","client":"c"}"#,
            r#"{"issuer":"corp","key":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}"#,
            r#"{"issuer":"corp","issued_before":1790000000}"#,
            r#"{"issuer":"corp","subject":"a","issued_before":1790000030}"#,
        ] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            (r#"{"issuer":"corp"}"#, TargetError::NotOne),
            (r#"{"issuer":"corp","jti":"j","subject":"a"}"#, TargetError::NotOne),
            (r#"{"issuer":"corp","client":"c","issued_before":1}"#, TargetError::NotOne),
            (r#"{"issuer":"corp","key":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","subject":"a"}"#, TargetError::NotOne),
            (r#"{"issuer":"corp","key":"NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs"}"#, TargetError::Thumbprint),
            (r#"{"issuer":"corp","key":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt"}"#, TargetError::Thumbprint),
            (r#"{"issuer":"corp","key":"NzbL"}"#, TargetError::Thumbprint),
            (r#"{"issuer":"cord","jti":"j"}"#, TargetError::UnknownIssuer("cord".into())),
            (r#"{"issuer":"corp","jti":""}"#, TargetError::Name("jti")),
            (r#"{"issuer":"corp","subject":"a\u0000"}"#, TargetError::Name("subject")),
            (r#"{"issuer":"corp","issued_before":1790000031}"#, TargetError::Future),
        ] {
            assert_eq!(checked(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn r78_what_may_come_back_later_stays_revoked() {
        let audiences = || vec!["https://gate.test/mcp/crm".to_owned()];
        let corp = IssuerPolicy::new("corp", "https://idp.test", audiences()).unwrap();
        let profile = Profile::named("spiffe-jwt").unwrap();
        let mesh = IssuerPolicy::of_profile(profile, "mesh", "spiffe://prod.example", audiences()).unwrap();
        for text in [r#"{"issuer":"x","jti":"j"}"#, r#"{"issuer":"x","subject":"a"}"#, r#"{"issuer":"x","client":"c"}"#] {
            assert_eq!(until_s(&target(text), &corp, NOW), NOW + 3600 + 60, "{text}");
            assert_eq!(until_s(&target(text), &mesh, NOW), NEVER, "tokens without iat: {text}");
        }
    }

    #[test]
    fn the_same_thing_has_the_same_id_and_no_two_things_share_one() {
        let ids: std::collections::HashSet<String> = [
            r#"{"issuer":"corp","jti":"x"}"#,
            r#"{"issuer":"corp","subject":"x"}"#,
            r#"{"issuer":"corp","client":"x"}"#,
            r#"{"issuer":"corp","key":"x"}"#,
            r#"{"issuer":"corp","issued_before":1}"#,
            r#"{"issuer":"corp","subject":"x","issued_before":1}"#,
            r#"{"issuer":"other","jti":"x"}"#,
        ]
        .iter()
        .map(|text| target(text).id())
        .collect();
        assert_eq!(ids.len(), 7);
        assert_eq!(target(r#"{"jti":"x","issuer":"corp"}"#).id(), target(r#"{"issuer":"corp","jti":"x"}"#).id());
    }
}
