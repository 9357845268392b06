//! Says in which part of a request a credential stands, and writes it in that part's form.
//!
//! Invariant: what is written can break neither a header line nor a request target, and grows in memory that is wiped.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::source::Secret;
use crate::http1::field::Known;

/// Bytes of the name of a field or parameter.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of a prefix or of the name of a user.
const TEXT_BYTES_MAX: usize = 256;

/// Where a credential stands in a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Placement {
    /// In a header field of this name, behind the prefix.
    Header {
        /// The field's name.
        name: String,
        /// What stands before the credential, with its space.
        prefix: String,
    },
    /// As the password of this user, in `Authorization: Basic` (RFC 7617).
    Basic {
        /// The user's name, without a colon.
        user: String,
    },
    /// As a parameter of this name in the query of the request target.
    Query {
        /// The parameter's name.
        name: String,
    },
    /// In the environment of an upstream that is a program, and in no request.
    Environment,
}

/// Why a credential cannot be put in this way.
#[derive(Debug, PartialEq, Eq)]
pub enum PlacementError {
    /// The name is not a header field's.
    Name,
    /// The field frames or routes messages.
    Reserved,
    /// The prefix holds characters that no header may hold.
    Prefix,
    /// The user's name holds a colon or characters other than printable ASCII.
    User,
    /// The parameter's name would have to be percent-encoded.
    Parameter,
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlacementError::Name => "is not the name of a header field",
            PlacementError::Reserved => "is a field that frames or routes messages",
            PlacementError::Prefix => "holds characters that no header may hold",
            PlacementError::User => "is not the name of a user that Basic can carry",
            PlacementError::Parameter => "is not the name of a query parameter",
        })
    }
}

impl PlacementError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            PlacementError::Prefix => "use printable ASCII, like \"Bearer \"",
            PlacementError::User => "use 1 to 256 printable ASCII characters without a colon (RFC 7617 section 2)",
            PlacementError::Parameter => "use 1 to 128 of A-Z, a-z, 0-9, `-`, `.`, `_`, `~`",
            _ => "use the field the upstream reads its credential from, like \"Authorization\" or \"X-Api-Key\"",
        }
    }
}

fn is_printable(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && text.bytes().all(|b| matches!(b, 0x20..=0x7e))
}

impl Placement {
    /// In a header field.
    ///
    /// # Errors
    /// [`PlacementError`].
    pub fn header(name: &str, prefix: &str) -> Result<Self, PlacementError> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_token) {
            return Err(PlacementError::Name);
        }
        if !matches!(Known::of(name.as_bytes()), Known::Authorization | Known::Cookie | Known::ProxyAuthorization | Known::Other)
        {
            return Err(PlacementError::Reserved);
        }
        if !is_printable(prefix) {
            return Err(PlacementError::Prefix);
        }
        Ok(Placement::Header { name: name.to_owned(), prefix: prefix.to_owned() })
    }

    /// As the password of a user.
    ///
    /// # Errors
    /// [`PlacementError::User`].
    pub fn basic(user: &str) -> Result<Self, PlacementError> {
        if user.is_empty() || user.contains(':') || !is_printable(user) {
            return Err(PlacementError::User);
        }
        Ok(Placement::Basic { user: user.to_owned() })
    }

    /// As a parameter of the query.
    ///
    /// # Errors
    /// [`PlacementError::Parameter`].
    pub fn query(name: &str) -> Result<Self, PlacementError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_unreserved) {
            return Err(PlacementError::Parameter);
        }
        Ok(Placement::Query { name: name.to_owned() })
    }

    /// The header field that the credential stands in, where it stands in one.
    pub fn field(&self) -> Option<&[u8]> {
        match self {
            Placement::Header { name, .. } => Some(name.as_bytes()),
            Placement::Basic { .. } => Some(b"Authorization"),
            Placement::Query { .. } | Placement::Environment => None,
        }
    }

    /// The parameter of the query that the credential stands in.
    pub fn parameter(&self) -> Option<&str> {
        if let Placement::Query { name } = self { Some(name) } else { None }
    }

    /// The credential as it stands there: the field's whole value, or the parameter's, percent-encoded.
    pub fn write(&self, secret: &Secret) -> Zeroizing<Vec<u8>> {
        match self {
            Placement::Header { prefix, .. } => joined(&[prefix.as_bytes(), secret.bytes()]),
            Placement::Basic { user } => {
                let pair = joined(&[user.as_bytes(), b":", secret.bytes()]);
                joined(&[b"Basic ", Zeroizing::new(STANDARD.encode(&*pair)).as_bytes()])
            }
            Placement::Query { .. } => percent_encoded(secret.bytes()),
            Placement::Environment => joined(&[secret.bytes()]),
        }
    }
}

/// The parts in one piece of memory of exactly their length, so that no copy is left behind by growing.
pub(crate) fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut whole = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole
}

/// What need not be percent-encoded anywhere (RFC 3986 section 2.3).
fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~".contains(&b)
}

/// Percent-encodes everything that is not unreserved (RFC 3986 section 2.1); also a form's encoding of a value.
pub(super) fn percent_encoded(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
    for &b in bytes {
        if is_unreserved(b) {
            encoded.push(b);
        } else {
            encoded.extend_from_slice(&[b'%', DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(placement: Placement, secret: &str) -> String {
        let secret = Secret::new(Zeroizing::new(secret.as_bytes().to_vec())).unwrap();
        String::from_utf8(placement.write(&secret).to_vec()).unwrap()
    }

    #[test]
    fn a_credential_is_written_in_the_form_of_its_place() {
        assert_eq!(written(Placement::header("Authorization", "Bearer ").unwrap(), "k"), "Bearer k");
        // RFC 7617 section 2.
        assert_eq!(written(Placement::basic("Aladdin").unwrap(), "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(written(Placement::query("key").unwrap(), "a b&c=d/é".trim_end_matches('é')), "a%20b%26c%3Dd%2F");
    }

    #[test]
    fn places_that_would_break_a_request_are_refused() {
        for name in ["", "a b", "a:b", "a\r\nb"] {
            assert_eq!(Placement::header(name, ""), Err(PlacementError::Name), "{name:?}");
        }
        for name in ["Host", "Content-Length", "transfer-encoding", "Mcp-Session-Id", "DPoP", "Proxy-Connection"] {
            assert_eq!(Placement::header(name, ""), Err(PlacementError::Reserved), "{name}");
        }
        assert_eq!(Placement::header("X-Api-Key", "a\r\n"), Err(PlacementError::Prefix));
        assert_eq!(Placement::basic("a:b"), Err(PlacementError::User));
        assert_eq!(Placement::query("a&b"), Err(PlacementError::Parameter));
    }
}
