//! Puts a credential into requests to the one origin it is bound to.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::source::Secret;
use crate::config::url::Origin;
use crate::http1::field::Known;

/// A secret as a header field.
pub struct Field {
    name: Vec<u8>,
    value: Zeroizing<Vec<u8>>,
}

/// A field, bound to the one origin it may go to.
pub struct Injection {
    origin: Origin,
    field: Arc<Field>,
}

/// Why a credential cannot be put in this way.
#[derive(Debug, PartialEq, Eq)]
pub enum InjectionError {
    /// The name is not a header field's.
    Name,
    /// The field frames or routes messages.
    Reserved,
    /// The prefix holds characters that no header may hold.
    Prefix,
}

impl fmt::Display for InjectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InjectionError::Name => "is not the name of a header field",
            InjectionError::Reserved => "is a field that frames or routes messages",
            InjectionError::Prefix => "holds characters that no header may hold",
        })
    }
}

impl InjectionError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            InjectionError::Prefix => "use printable ASCII, like \"Bearer \"",
            _ => "use the field the upstream reads its credential from, like \"Authorization\" or \"X-Api-Key\"",
        }
    }
}

impl Field {
    /// Makes a field of this name, whose value is the prefix and the secret.
    ///
    /// # Errors
    /// [`InjectionError`].
    pub fn new(name: &str, prefix: &str, secret: &Secret) -> Result<Self, InjectionError> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(is_token) {
            return Err(InjectionError::Name);
        }
        if !matches!(Known::of(name.as_bytes()), Known::Authorization | Known::Cookie | Known::ProxyAuthorization | Known::Other)
        {
            return Err(InjectionError::Reserved);
        }
        if !prefix.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
            return Err(InjectionError::Prefix);
        }
        let mut value = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.bytes().len()));
        value.extend_from_slice(prefix.as_bytes());
        value.extend_from_slice(secret.bytes());
        Ok(Field { name: name.as_bytes().to_vec(), value })
    }
}

impl Injection {
    /// Binds a field to an origin.
    pub fn new(origin: Origin, field: Arc<Field>) -> Self {
        Injection { origin, field }
    }

    /// Whether a field of this name is ours to set, so that the caller's is not passed on.
    pub fn owns(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(&self.field.name)
    }

    /// Name and value of the field, for the origin the credential is bound to and no other.
    pub fn for_origin(&self, origin: &Origin) -> Option<(&[u8], &[u8])> {
        (*origin == self.origin).then_some((self.field.name.as_slice(), self.field.value.as_slice()))
    }
}
