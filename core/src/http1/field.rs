//! Names the header fields the data path looks at, so that a head is searched once, when it is parsed.
//!
//! Invariant: names compare without regard to case (RFC 9110 section 5.1), and a field that concerns one hop never reaches the next.

/// A header field the data path knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the fields'
pub enum Known {
    Accept,
    AcceptEncoding,
    Authorization,
    /// What a proxy that ends TLS says of its client's certificate (RFC 9440).
    ClientCert,
    /// What it says of those that vouch for it.
    ClientCertChain,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    /// A proof that goes with the caller's token (RFC 9449).
    Dpop,
    Expect,
    Forwarded,
    Host,
    KeepAlive,
    LastEventId,
    McpMethod,
    McpName,
    McpProtocolVersion,
    McpSessionId,
    Origin,
    /// A field that speaks of the exact bytes of a body, which masking may change.
    BodyDigest,
    ProxyAuthorization,
    /// Any other `Proxy-*` field: it speaks to this hop.
    Proxy,
    SetCookie,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    WwwAuthenticate,
    /// Any `Mcp-Param-*` field.
    McpParam,
    /// Any `X-Forwarded-*` field.
    XForwarded,
    /// Everything else.
    Other,
}

/// How many [`Known`] names there are, `Other` included.
pub const KNOWN_COUNT: usize = Known::Other as usize + 1;

impl Known {
    /// Finds the field by its name as it came over the wire.
    pub fn of(name: &[u8]) -> Known {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let starts = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        match name.len() {
            2 if is(b"te") => Known::Te,
            4 if is(b"dpop") => Known::Dpop,
            4 if is(b"etag") => Known::BodyDigest,
            6 if is(b"digest") => Known::BodyDigest,
            11 if is(b"content-md5") || is(b"repr-digest") => Known::BodyDigest,
            14 if is(b"content-digest") => Known::BodyDigest,
            10 if is(b"set-cookie") => Known::SetCookie,
            4 if is(b"host") => Known::Host,
            4 if is(b"date") => Known::Date,
            6 if is(b"accept") => Known::Accept,
            6 if is(b"cookie") => Known::Cookie,
            6 if is(b"origin") => Known::Origin,
            6 if is(b"expect") => Known::Expect,
            7 if is(b"trailer") => Known::Trailer,
            7 if is(b"upgrade") => Known::Upgrade,
            8 if is(b"mcp-name") => Known::McpName,
            9 if is(b"forwarded") => Known::Forwarded,
            10 if is(b"connection") => Known::Connection,
            11 if is(b"client-cert") => Known::ClientCert,
            17 if is(b"client-cert-chain") => Known::ClientCertChain,
            10 if is(b"keep-alive") => Known::KeepAlive,
            10 if is(b"mcp-method") => Known::McpMethod,
            12 if is(b"content-type") => Known::ContentType,
            13 if is(b"authorization") => Known::Authorization,
            13 if is(b"last-event-id") => Known::LastEventId,
            14 if is(b"content-length") => Known::ContentLength,
            14 if is(b"mcp-session-id") => Known::McpSessionId,
            15 if is(b"accept-encoding") => Known::AcceptEncoding,
            16 if is(b"content-encoding") => Known::ContentEncoding,
            16 if is(b"www-authenticate") => Known::WwwAuthenticate,
            17 if is(b"transfer-encoding") => Known::TransferEncoding,
            19 if is(b"proxy-authorization") => Known::ProxyAuthorization,
            20 if is(b"mcp-protocol-version") => Known::McpProtocolVersion,
            _ if starts(b"mcp-param-") => Known::McpParam,
            _ if starts(b"proxy-") => Known::Proxy,
            _ if starts(b"x-forwarded-") => Known::XForwarded,
            _ => Known::Other,
        }
    }

    /// Whether a second field of this name could make two readers see two requests (RFC 9112 sections 3.2, 6.3; MCP's
    /// routing headers, on which intermediaries decide).
    pub fn must_be_single(self) -> bool {
        matches!(
            self,
            Known::Authorization
                | Known::ClientCert
                | Known::ContentLength
                | Known::ContentType
                | Known::ContentEncoding
                | Known::Expect
                | Known::Host
                | Known::LastEventId
                | Known::McpMethod
                | Known::McpName
                | Known::McpProtocolVersion
                | Known::McpSessionId
                | Known::Origin
                | Known::TransferEncoding
        )
    }

    /// Whether the field is copied into the request to the upstream. What is not copied concerns this hop only, is written
    /// anew by the gateway, or says who the caller is (RFC 9110 section 7.6.1).
    pub fn goes_upstream(self) -> bool {
        matches!(self, Known::Accept | Known::LastEventId | Known::McpMethod | Known::McpName | Known::McpParam)
            || matches!(self, Known::McpProtocolVersion | Known::ContentType | Known::Other)
    }

    /// Whether a field of this name goes upstream with a call that people approved, too. They have seen the message and no field, so what
    /// could change what the call does stays here: a tenant, another method. Traces (W3C Trace Context) change nothing.
    pub fn goes_unseen(self, name: &[u8]) -> bool {
        let is_trace = [&b"traceparent"[..], b"tracestate"].iter().any(|trace| name.eq_ignore_ascii_case(trace));
        self != Known::Other || is_trace
    }

    /// Whether the field is copied into the reply to the downstream.
    pub fn goes_downstream(self) -> bool {
        matches!(self, Known::McpProtocolVersion | Known::ContentType | Known::Date | Known::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case() {
        assert_eq!(Known::of(b"cOnTeNt-LeNgTh"), Known::ContentLength);
        assert_eq!(Known::of(b"MCP-PARAM-Region"), Known::McpParam);
        assert_eq!(Known::of(b"content-lengths"), Known::Other);
    }

    #[test]
    fn r120_what_nobody_approved_stays_here() {
        for (name, goes) in [
            (&b"X-Tenant"[..], false),
            (b"X-HTTP-Method-Override", false),
            (b"baggage", false),
            (b"TraceParent", true),
            (b"Accept", true),
            (b"Mcp-Method", true),
        ] {
            assert_eq!(Known::of(name).goes_unseen(name), goes, "{}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn what_identifies_the_caller_stays_here() {
        for name in [
            &b"Authorization"[..],
            b"Cookie",
            b"Proxy-Authorization",
            b"Proxy-Status",
            b"DPoP",
            b"Client-Cert",
            b"Client-Cert-Chain",
            b"X-Forwarded-For",
            b"Connection",
            b"TE",
        ] {
            assert!(!Known::of(name).goes_upstream(), "{}", String::from_utf8_lossy(name));
        }
    }
}
