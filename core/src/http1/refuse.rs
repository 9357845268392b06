//! Why a message was refused on the HTTP level, and what is answered.
//!
//! Invariant: after a refusal the connection closes, because where the next message starts is no longer certain.

use super::field::Known;

/// A message that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `detail` says each in words
pub enum Refusal {
    BareLineFeed,
    BodyOnGet,
    BodyTooLong,
    ChunkExtension,
    ChunkFraming,
    ChunkSize,
    ChunksOnHttp10,
    ContentLength,
    EarlyEnd,
    HeadTooLong,
    LengthAndChunks,
    MalformedHead,
    NoHost,
    RepeatedField(Known),
    TargetForm,
    TimedOut,
    TooManyHeaders,
    TrailerTooLong,
    TransferCoding,
    UnknownExpectation,
    Upgrade,
    Version,
}

impl Refusal {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Refusal::HeadTooLong | Refusal::TooManyHeaders => 431,
            Refusal::BodyTooLong => 413,
            Refusal::TimedOut => 408,
            Refusal::UnknownExpectation => 417,
            Refusal::Version => 505,
            _ => 400,
        }
    }

    /// A short stable code for records and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::BareLineFeed => "bare-line-feed",
            Refusal::BodyOnGet => "body-on-get",
            Refusal::BodyTooLong => "body-too-long",
            Refusal::ChunkExtension => "chunk-extension",
            Refusal::ChunkFraming => "chunk-framing",
            Refusal::ChunkSize => "chunk-size",
            Refusal::ChunksOnHttp10 => "chunks-on-http-1.0",
            Refusal::ContentLength => "content-length",
            Refusal::EarlyEnd => "early-end",
            Refusal::HeadTooLong => "head-too-long",
            Refusal::LengthAndChunks => "length-and-chunks",
            Refusal::MalformedHead => "malformed-head",
            Refusal::NoHost => "no-host",
            Refusal::RepeatedField(_) => "repeated-field",
            Refusal::TargetForm => "target-form",
            Refusal::TimedOut => "timed-out",
            Refusal::TooManyHeaders => "too-many-headers",
            Refusal::TrailerTooLong => "trailer-too-long",
            Refusal::TransferCoding => "transfer-coding",
            Refusal::UnknownExpectation => "unknown-expectation",
            Refusal::Upgrade => "upgrade",
            Refusal::Version => "version",
        }
    }

    /// One sentence for the person who reads the reply.
    pub fn detail(self) -> &'static str {
        match self {
            Refusal::BareLineFeed => "A line must end in CR LF (RFC 9112 section 2.2).",
            Refusal::BodyOnGet => "A GET request has no body here.",
            Refusal::BodyTooLong => "The body is longer than this gateway takes (request_body_bytes_max).",
            Refusal::ChunkExtension => "The chunk extension is too long (chunk_extension_bytes_max).",
            Refusal::ChunkFraming => "A chunk must end in CR LF (RFC 9112 section 7.1).",
            Refusal::ChunkSize => "The chunk size must be hexadecimal digits (RFC 9112 section 7.1).",
            Refusal::ChunksOnHttp10 => "HTTP/1.0 has no Transfer-Encoding (RFC 9112 section 6.1).",
            Refusal::ContentLength => "Content-Length must be one number of at most 15 digits (RFC 9110 section 8.6).",
            Refusal::EarlyEnd => "The message ended early.",
            Refusal::HeadTooLong => "The head is longer than this gateway takes (head_bytes_max).",
            Refusal::LengthAndChunks => "Content-Length and Transfer-Encoding must not come together (RFC 9112 section 6.1).",
            Refusal::MalformedHead => "The head is malformed (RFC 9112 sections 3 and 5).",
            Refusal::NoHost => "The Host field is missing (RFC 9112 section 3.2).",
            Refusal::RepeatedField(_) => "A field that must be single came twice.",
            Refusal::TargetForm => "The request target must be a path (RFC 9112 section 3.2.1).",
            Refusal::TimedOut => "The message took too long to arrive.",
            Refusal::TooManyHeaders => "There are more header fields than this gateway takes (headers_max).",
            Refusal::TrailerTooLong => "The trailer section is too long (trailer_bytes_max).",
            Refusal::TransferCoding => "The only transfer coding is chunked (RFC 9112 section 6.1).",
            Refusal::UnknownExpectation => "The only expectation is 100-continue (RFC 9110 section 10.1.1).",
            Refusal::Upgrade => "This connection cannot be upgraded.",
            Refusal::Version => "The protocol is HTTP/1.1.",
        }
    }
}
