//! The one place that decides how long a body is (RFC 9112 section 6).
//!
//! Invariant: a message has at most one statement of its body's length; two statements, or one that another reader could
//! understand differently, are refused, and the connection ends.

use super::field::Known;
use super::head::{Fields, Method, RequestHead, ResponseHead};
use super::refuse::Refusal;

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Exactly this many bytes follow the head; 0 is no body.
    Length(u64),
    /// Chunks follow, up to the last one.
    Chunked,
    /// Everything up to the end of the connection; replies only.
    UntilClose,
}

/// Decides the framing of a request's body.
///
/// # Errors
/// Each of RFC 9112 section 6's ambiguities: both length and chunks, a coding other than exactly `chunked`, chunks on HTTP/1.0,
/// a length that is not plain digits, `Upgrade`.
pub fn of_request(head: &RequestHead, buffer: &[u8]) -> Result<Framing, Refusal> {
    if head.fields.has(Known::Upgrade) && !is_h2c_offer(&head.fields, buffer) {
        return Err(Refusal::Upgrade);
    }
    let length = head.fields.value(Known::ContentLength, buffer);
    let framing = match (head.fields.value(Known::TransferEncoding, buffer), length) {
        (Some(_), Some(_)) => return Err(Refusal::LengthAndChunks),
        (Some(_), None) if head.http10 => return Err(Refusal::ChunksOnHttp10),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (Some(_), None) => return Err(Refusal::TransferCoding),
        (None, Some(digits)) => Framing::Length(content_length(digits).ok_or(Refusal::ContentLength)?),
        (None, None) => Framing::Length(0),
    };
    if matches!(head.method, Method::Get | Method::Head | Method::Options) && framing != Framing::Length(0) {
        return Err(Refusal::BodyOnGet);
    }
    Ok(framing)
}

/// A client may offer HTTP/2 without TLS and must take HTTP/1.1 for an answer (RFC 9110 section 7.8); the offer is not passed on.
fn is_h2c_offer(fields: &Fields, buffer: &[u8]) -> bool {
    fields.value(Known::Upgrade, buffer).is_some_and(|value| value.eq_ignore_ascii_case(b"h2c"))
}

/// Decides the framing of a reply's body.
///
/// # Errors
/// [`Refusal::LengthAndChunks`] and its kin; the caller answers 502 and drops the connection.
pub fn of_response(head: &ResponseHead, buffer: &[u8]) -> Result<Framing, Refusal> {
    if matches!(head.status, 100..=199 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    let length = head.fields.value(Known::ContentLength, buffer);
    match (head.fields.value(Known::TransferEncoding, buffer), length) {
        (Some(_), Some(_)) => Err(Refusal::LengthAndChunks),
        (Some(_), None) if head.http10 => Err(Refusal::ChunksOnHttp10),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(_), None) => Err(Refusal::TransferCoding),
        (None, Some(digits)) => Ok(Framing::Length(content_length(digits).ok_or(Refusal::ContentLength)?)),
        (None, None) => Ok(Framing::UntilClose),
    }
}

/// Whether the sender of these fields keeps the connection open after this message (RFC 9112 section 9.3).
pub fn keeps_alive(fields: &Fields, http10: bool, buffer: &[u8]) -> bool {
    let said_close = fields.iter().filter(|field| field.known == Known::Connection).any(|field| {
        let value = buffer.get(field.value.clone()).unwrap_or_default();
        value.split(|&b| b == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    !http10 && !said_close
}

/// Whether a `Connection` field names this field, which then ends at this hop (RFC 9110 section 7.6.1).
pub fn is_named_by_connection(fields: &Fields, name: &[u8], buffer: &[u8]) -> bool {
    fields.has(Known::Connection)
        && fields.iter().filter(|field| field.known == Known::Connection).any(|field| {
            let value = buffer.get(field.value.clone()).unwrap_or_default();
            value.split(|&b| b == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
        })
}

/// Digits only and at most 15 of them, so that no reader overflows.
fn content_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::head::{HeadBounds, parse_request};
    use super::*;

    fn framing(fields: &str) -> Result<Framing, Refusal> {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let head = parse_request(text.as_bytes(), HeadBounds { bytes_max: 4096, headers_max: 64 }).unwrap().unwrap();
        of_request(&head, text.as_bytes())
    }

    #[test]
    fn one_statement_of_length_is_believed() {
        assert_eq!(framing(""), Ok(Framing::Length(0)));
        assert_eq!(framing("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    }

    #[test]
    fn two_statements_or_odd_ones_are_not() {
        assert_eq!(framing("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), Err(Refusal::LengthAndChunks));
        for digits in ["+1", "-1", "0x1", "1,1", "1 1", "", "9999999999999999"] {
            assert_eq!(framing(&format!("Content-Length: {digits}\r\n")), Err(Refusal::ContentLength), "{digits}");
        }
        for coding in ["xchunked", "chunked, chunked", "gzip, chunked", "identity", "chunked;q=1"] {
            assert_eq!(framing(&format!("Transfer-Encoding: {coding}\r\n")), Err(Refusal::TransferCoding), "{coding}");
        }
        assert_eq!(framing("Upgrade: websocket\r\n"), Err(Refusal::Upgrade));
    }
}
