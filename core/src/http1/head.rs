//! Reads one message head and never looks at the body.
//!
//! Invariant: a head that is accepted has CRLF line ends only, no folded lines, no NUL, no second `Host`, and is within
//! `Limits`; whatever else could be read in two ways is refused (RFC 9112 sections 2.2, 3, 5).

use std::ops::Range;

use super::field::{KNOWN_COUNT, Known};
use super::refuse::Refusal;

/// Header fields that httparse can hold; `Limits::headers_max` is checked against the lower of both.
pub const HEADERS_CAPACITY: usize = 128;

/// One header field, as ranges into the buffer that holds the head.
#[derive(Clone, Debug)]
pub struct Field {
    /// What the name is.
    pub known: Known,
    /// Where the name stands.
    pub name: Range<usize>,
    /// Where the value stands, without white space around it.
    pub value: Range<usize>,
}

/// The fields of one head.
#[derive(Debug)]
pub struct Fields {
    all: Vec<Field>,
    first: [Option<u8>; KNOWN_COUNT],
}

impl Default for Fields {
    fn default() -> Self {
        Fields { all: Vec::new(), first: [None; KNOWN_COUNT] }
    }
}

impl Fields {
    /// The first field of this name, as bytes of `buffer`, the buffer that was parsed.
    pub fn value<'b>(&self, known: Known, buffer: &'b [u8]) -> Option<&'b [u8]> {
        let index = usize::from((*self.first.get(known as usize)?)?);
        buffer.get(self.all.get(index)?.value.clone())
    }

    /// Whether the head has a field of this name.
    pub fn has(&self, known: Known) -> bool {
        self.first.get(known as usize).is_some_and(Option::is_some)
    }

    /// All fields in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.all.iter()
    }

    /// Takes over what httparse found; `Err` names a field that must not come twice.
    fn fill(&mut self, base: &[u8], parsed: &[httparse::Header<'_>]) -> Result<(), Known> {
        self.all.clear();
        self.first = [None; KNOWN_COUNT];
        for (index, header) in parsed.iter().enumerate() {
            let known = Known::of(header.name.as_bytes());
            let slot = &mut self.first[known as usize];
            if slot.is_some() && known.must_be_single() {
                return Err(known);
            }
            slot.get_or_insert(u8::try_from(index).unwrap_or(u8::MAX));
            self.all.push(Field { known, name: within(base, header.name.as_bytes()), value: within(base, header.value) });
        }
        Ok(())
    }
}

/// The range of `part`, a subslice of `base`.
fn within(base: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(base.as_ptr() as usize);
    start..start.wrapping_add(part.len())
}

/// The request methods of MCP's transports; everything else is refused before routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A message for the server.
    Post,
    /// A stream from the server, or a document of ours.
    Get,
    /// The end of a legacy session.
    Delete,
    /// The head of a document of ours.
    Head,
    /// A browser's question beforehand.
    Options,
    /// Understood, and answered with 405.
    Other,
}

impl Method {
    /// The method as it stands in a request line; empty for [`Method::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Get => "GET",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Other => "",
        }
    }
}

/// A parsed request head. Its ranges point into the buffer it was parsed from, which must not change meanwhile.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The request target: origin form, so it starts with `/`.
    pub target: Range<usize>,
    /// Whether the client speaks HTTP/1.0, for which a connection ends with the reply.
    pub http10: bool,
    /// The header fields.
    pub fields: Fields,
    /// Bytes of the head, the empty line included.
    pub length: usize,
}

/// Bounds of a head; the values come from `Limits`.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    /// Bytes of a head, its empty line included.
    pub bytes_max: usize,
    /// Header fields.
    pub headers_max: usize,
}

/// Parses a request head at the start of `buffer`. `None`: more bytes are needed.
///
/// # Errors
/// 431 past the bounds, 400 for anything malformed or ambiguous, 501 for a protocol that is not HTTP/1.
pub fn parse_request(buffer: &[u8], bounds: HeadBounds) -> Result<Option<RequestHead>, Refusal> {
    let Some(length) = head_length(buffer, bounds.bytes_max)? else { return Ok(None) };
    let head = &buffer[..length];
    let mut storage = [httparse::EMPTY_HEADER; HEADERS_CAPACITY];
    let mut parsed = httparse::Request::new(&mut storage);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(n)) if n == length => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
        Err(httparse::Error::Version) => return Err(Refusal::Version),
        _ => return Err(Refusal::MalformedHead),
    }
    if parsed.headers.len() > bounds.headers_max {
        return Err(Refusal::TooManyHeaders);
    }
    let target = parsed.path.ok_or(Refusal::MalformedHead)?;
    if !target.starts_with('/') {
        return Err(Refusal::TargetForm);
    }
    let mut fields = Fields::default();
    fields.fill(head, parsed.headers).map_err(Refusal::RepeatedField)?;
    let method = match parsed.method {
        Some("POST") => Method::Post,
        Some("GET") => Method::Get,
        Some("DELETE") => Method::Delete,
        Some("HEAD") => Method::Head,
        Some("OPTIONS") => Method::Options,
        Some("CONNECT") => return Err(Refusal::TargetForm),
        _ => Method::Other,
    };
    let http10 = parsed.version == Some(0);
    if !fields.has(Known::Host) {
        return Err(Refusal::NoHost);
    }
    let target = within(head, target.as_bytes());
    Ok(Some(RequestHead { method, target, http10, fields, length }))
}

/// A parsed response head.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: u16,
    /// Whether the upstream speaks HTTP/1.0.
    pub http10: bool,
    /// The header fields.
    pub fields: Fields,
    /// Bytes of the head, the empty line included.
    pub length: usize,
}

/// Parses a response head at the start of `buffer`. `None`: more bytes are needed.
///
/// # Errors
/// The same kinds as [`parse_request`]; the caller answers 502 for all of them.
pub fn parse_response(buffer: &[u8], bounds: HeadBounds) -> Result<Option<ResponseHead>, Refusal> {
    let Some(length) = head_length(buffer, bounds.bytes_max)? else { return Ok(None) };
    let head = &buffer[..length];
    let mut storage = [httparse::EMPTY_HEADER; HEADERS_CAPACITY];
    let mut parsed = httparse::Response::new(&mut storage);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(n)) if n == length => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
        _ => return Err(Refusal::MalformedHead),
    }
    let mut fields = Fields::default();
    fields.fill(head, parsed.headers).map_err(Refusal::RepeatedField)?;
    let status = parsed.code.filter(|code| (100..=999).contains(code)).ok_or(Refusal::MalformedHead)?;
    Ok(Some(ResponseHead { status, http10: parsed.version == Some(0), fields, length }))
}

/// Finds the empty line that ends a head, and refuses on the way what httparse would let pass: a line that ends in LF alone,
/// empty lines before the first, NUL.
fn head_length(buffer: &[u8], bytes_max: usize) -> Result<Option<usize>, Refusal> {
    let window = &buffer[..buffer.len().min(bytes_max)];
    let mut line_start = 0;
    for lf in memchr::memchr_iter(b'\n', window) {
        if lf == line_start || window[lf - 1] != b'\r' {
            return Err(Refusal::BareLineFeed);
        }
        if lf - 1 == line_start {
            if line_start == 0 {
                return Err(Refusal::MalformedHead);
            }
            let head = &window[..=lf];
            return if head.contains(&0) { Err(Refusal::MalformedHead) } else { Ok(Some(head.len())) };
        }
        line_start = lf + 1;
    }
    if buffer.len() >= bytes_max { Err(Refusal::HeadTooLong) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds { bytes_max: 4096, headers_max: 64 };

    fn refusal(text: &str) -> Refusal {
        parse_request(text.as_bytes(), BOUNDS).unwrap_err()
    }

    #[test]
    fn a_plain_head_is_read() {
        let text = b"POST /mcp/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
        let head = parse_request(text, BOUNDS).unwrap().unwrap();
        assert_eq!(head.method, Method::Post);
        assert_eq!(&text[head.target.clone()], b"/mcp/x");
        assert_eq!(head.fields.value(Known::ContentLength, text), Some(&b"2"[..]));
        assert_eq!(head.length, text.len() - 2);
    }

    #[test]
    fn every_prefix_asks_for_more() {
        let text = b"POST /mcp/x HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 0..text.len() {
            assert!(parse_request(&text[..cut], BOUNDS).unwrap().is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        assert_eq!(refusal("POST / HTTP/1.1\nHost: a\r\n\r\n"), Refusal::BareLineFeed);
        assert_eq!(refusal("POST / HTTP/1.1\r\nHost: a\n\n"), Refusal::BareLineFeed);
        assert_eq!(refusal("\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::MalformedHead);
        assert_eq!(refusal("POST / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"), Refusal::MalformedHead);
        assert_eq!(refusal("POST / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"), Refusal::MalformedHead);
        assert_eq!(refusal("POST / HTTP/1.1\r\nHost : a\r\n\r\n"), Refusal::MalformedHead);
        assert_eq!(refusal("POST / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n"), Refusal::MalformedHead);
        assert_eq!(refusal("POST / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Refusal::RepeatedField(Known::Host));
        assert_eq!(refusal("POST / HTTP/1.1\r\nX: a\r\n\r\n"), Refusal::NoHost);
        assert_eq!(refusal("POST http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::TargetForm);
        assert_eq!(refusal("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::TargetForm);
        assert_eq!(refusal("PRI * HTTP/2.0\r\n\r\n"), Refusal::Version);
    }

    #[test]
    fn bounds_hold() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(5000));
        assert_eq!(refusal(&long), Refusal::HeadTooLong);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(64));
        assert_eq!(refusal(&many), Refusal::TooManyHeaders);
    }
}
