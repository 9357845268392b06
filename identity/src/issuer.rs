//! What the operator says about one issuer, checked once, so that every other file may rely on it.

use std::sync::Arc;
use std::{error, fmt};

use crate::{Algorithms, KeySet, Pointer};

/// Longest name of an issuer in the configuration, in bytes.
const NAME_MAX_BYTES: usize = 64;
/// Longest issuer identifier or audience, in bytes.
const IDENTIFIER_MAX_BYTES: usize = 1024;
/// Most audiences one issuer may speak for.
const AUDIENCES_MAX: usize = 256;
/// Most clock difference that may be allowed for, in seconds.
const LEEWAY_MAX_S: u32 = 300;
/// Longest token lifetime that may be allowed, in seconds (two days: cloud platforms issue day-long machine tokens).
const LIFETIME_MAX_S: u32 = 172_800;

/// How the tokens of one issuer are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerPolicy {
    name: String,
    issuer: String,
    audiences: Vec<String>,
    leeway_s: u32,
    lifetime_max_s: u32,
    roles: Option<Pointer>,
    groups: Option<Pointer>,
    algorithms: Algorithms,
}

impl IssuerPolicy {
    /// A policy with 30 s of leeway, a longest lifetime of one hour, and no roles or groups.
    ///
    /// `name` is the operator's own name for the issuer and becomes part of every principal's id; `issuer` is compared
    /// byte for byte with `iss`; `audiences` are the resources the issuer may speak for (RFC 8707).
    ///
    /// # Errors
    /// [`IssuerPolicyError`] names the value that is out of bounds.
    pub fn new(name: &str, issuer: &str, audiences: Vec<String>) -> Result<IssuerPolicy, IssuerPolicyError> {
        let name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(name_byte) {
            return Err(IssuerPolicyError::Name);
        }
        if !is_identifier(issuer) {
            return Err(IssuerPolicyError::Issuer);
        }
        if audiences.is_empty() || audiences.len() > AUDIENCES_MAX || !audiences.iter().all(|a| is_identifier(a)) {
            return Err(IssuerPolicyError::Audiences);
        }
        Ok(IssuerPolicy {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            audiences,
            leeway_s: 30,
            lifetime_max_s: 3600,
            roles: None,
            groups: None,
            algorithms: Algorithms::ANY,
        })
    }

    /// Sets how far the issuer's clock may be off, in seconds, 0 to 300.
    ///
    /// # Errors
    /// [`IssuerPolicyError::Leeway`] beyond that.
    pub fn with_leeway_s(self, leeway_s: u32) -> Result<IssuerPolicy, IssuerPolicyError> {
        if leeway_s > LEEWAY_MAX_S {
            return Err(IssuerPolicyError::Leeway);
        }
        Ok(IssuerPolicy { leeway_s, ..self })
    }

    /// Sets the longest `exp - iat` taken, in seconds, 1 to 172800.
    ///
    /// # Errors
    /// [`IssuerPolicyError::Lifetime`] beyond that.
    pub fn with_lifetime_max_s(self, lifetime_max_s: u32) -> Result<IssuerPolicy, IssuerPolicyError> {
        if lifetime_max_s == 0 || lifetime_max_s > LIFETIME_MAX_S {
            return Err(IssuerPolicyError::Lifetime);
        }
        Ok(IssuerPolicy { lifetime_max_s, ..self })
    }

    /// Says where in the claims the roles stand.
    #[must_use]
    pub fn with_roles(self, roles: Pointer) -> IssuerPolicy {
        IssuerPolicy { roles: Some(roles), ..self }
    }

    /// Says where in the claims the groups stand.
    #[must_use]
    pub fn with_groups(self, groups: Pointer) -> IssuerPolicy {
        IssuerPolicy { groups: Some(groups), ..self }
    }

    /// Says which algorithms the issuer signs with; any that is verified at all by default. One RSA algorithm alone is also that of RSA keys
    /// that name none.
    #[must_use]
    pub fn with_algorithms(self, algorithms: Algorithms) -> IssuerPolicy {
        IssuerPolicy { algorithms, ..self }
    }

    /// The algorithms that its tokens may be signed with.
    pub fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    /// The operator's name for the issuer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The issuer identifier, as `iss` must read.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The resources this issuer may speak for.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Allowed clock difference in seconds.
    pub fn leeway_s(&self) -> u32 {
        self.leeway_s
    }

    /// Longest `exp - iat` in seconds.
    pub fn lifetime_max_s(&self) -> u32 {
        self.lifetime_max_s
    }

    /// Where the roles stand.
    pub fn roles(&self) -> Option<&Pointer> {
        self.roles.as_ref()
    }

    /// Where the groups stand.
    pub fn groups(&self) -> Option<&Pointer> {
        self.groups.as_ref()
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= IDENTIFIER_MAX_BYTES && !text.chars().any(char::is_control)
}

/// One issuer as a verifier sees it: its policy and the keys it is known to have.
#[derive(Debug, Clone)]
pub struct IssuerState {
    /// How its tokens are judged.
    pub policy: IssuerPolicy,
    /// Its keys; `None` until the first fetch succeeded, and again once they are too stale.
    pub keys: Option<Arc<KeySet>>,
}

/// Which value of an issuer's policy is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerPolicyError {
    /// The name is not 1 to 64 letters, digits, `-`, `_` or `.`.
    Name,
    /// The issuer identifier is empty, longer than 1024 bytes or has control characters.
    Issuer,
    /// There are no audiences or more than 256, or one is empty, longer than 1024 bytes or has control characters.
    Audiences,
    /// The leeway is more than 300 s.
    Leeway,
    /// The longest lifetime is not within 1 to 172800 s.
    Lifetime,
}

impl fmt::Display for IssuerPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IssuerPolicyError::Name => "name: 1 to 64 letters, digits, \"-\", \"_\" or \".\"",
            IssuerPolicyError::Issuer => "issuer: 1 to 1024 bytes without control characters",
            IssuerPolicyError::Audiences => "audiences: 1 to 256 of them, each 1 to 1024 bytes without control characters",
            IssuerPolicyError::Leeway => "leeway: at most 300 seconds",
            IssuerPolicyError::Lifetime => "longest lifetime: 1 second to 48 hours",
        })
    }
}

impl error::Error for IssuerPolicyError {}
