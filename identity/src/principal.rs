//! Who sent a request.
//!
//! Invariant: only [`crate::Verifier`] makes one, of a token or of a certificate; there is no constructor, no `Default` and no way to change it.

use crate::binding::Binding;

/// One that acts for another (RFC 8693 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Its `sub`.
    pub subject: String,
    /// Its `iss`, where the token names one.
    pub issuer: Option<String>,
    /// Its `client_id`, where the token names one.
    pub client_id: Option<String>,
}

/// A distinct, verified identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub(crate) id: String,
    pub(crate) issuer_index: usize,
    pub(crate) issuer_name: String,
    pub(crate) subject: String,
    pub(crate) client_id: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) are_groups_known: bool,
    pub(crate) is_machine: bool,
    pub(crate) audiences: Vec<String>,
    pub(crate) jti: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) actors: Vec<Actor>,
    pub(crate) issued_at: u64,
    pub(crate) not_before: u64,
    pub(crate) expires_at: u64,
    pub(crate) key_thumbprint: Option<[u8; 32]>,
    pub(crate) binding: Option<Binding>,
}

impl Principal {
    /// `issuer name:subject`, or what the issuer's policy puts in the subject's place; unique over all issuers.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What stands behind the issuer's name in the id; unique within the issuer.
    pub fn name(&self) -> &str {
        self.id.get(self.issuer_name.len() + 1..).unwrap_or_default()
    }

    /// Whether it is a program that acts for itself, as far as its issuer's tokens tell.
    pub fn is_machine(&self) -> bool {
        self.is_machine
    }

    /// Position of the issuer in the configuration.
    pub fn issuer_index(&self) -> usize {
        self.issuer_index
    }

    /// The operator's name for the issuer.
    pub fn issuer_name(&self) -> &str {
        &self.issuer_name
    }

    /// The token's `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The client that the token was given to, from the claim that the issuer's profile names.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The roles that the issuer's claim grants.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The groups that the issuer's claim names, each as `issuer name:group`.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Whether [`Principal::groups`] are all; they are not where the token only says where to ask for more.
    pub fn are_groups_known(&self) -> bool {
        self.are_groups_known
    }

    /// The token's `jti`.
    pub fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }

    /// The scopes that the token was given.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Who acts for the subject, the one that sent the token first; empty where the subject acts itself.
    pub fn actors(&self) -> &[Actor] {
        &self.actors
    }

    /// The token's `iat`, in Unix seconds; 0 where it has none, as SPIFFE's may.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// From when the token counts, in Unix seconds.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Until when the token counts, in Unix seconds, leeway included.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// The SHA-256 thumbprint of the issuer's key that signed the token (RFC 7638); none where no such key did.
    pub fn key_thumbprint(&self) -> Option<&[u8; 32]> {
        self.key_thumbprint.as_ref()
    }

    /// The key that the token is bound to, where it is bound.
    pub fn binding(&self) -> Option<Binding> {
        self.binding
    }
}
