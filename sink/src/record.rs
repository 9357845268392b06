//! The two records of a call, as they are given and as they are read back.
//!
//! Invariant: of a payload only its masked form is in them, of a token nothing.

use std::net::IpAddr;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// The word in the audit.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            pub(crate) fn code(self) -> u8 {
                match self { $($name::$variant => $code,)+ }
            }

            pub(crate) fn of_code(code: u8) -> Option<Self> {
                match code { $($code => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

named! {
    /// Which of MCP's two protocols a call speaks.
    Era {
        /// 2026-07-28 and later.
        Modern = 0 "modern",
        /// Up to 2025-11-25.
        Legacy = 1 "legacy",
    }
}
named! {
    /// What was decided.
    Effect {
        /// Policy permits it.
        Allow = 0 "allow",
        /// Policy permits it, masked.
        Mask = 1 "mask",
        /// Policy blocks it.
        Block = 2 "block",
        /// Identity or protocol refuses it.
        Refuse = 3 "refuse",
        /// Policy holds it until people have decided about it.
        Approve = 4 "approve",
    }
}
named! {
    /// How a call ended.
    Status {
        /// With a result.
        Ok = 0 "ok",
        /// With a tool's own error.
        ToolError = 1 "tool_error",
        /// With a JSON-RPC error of the upstream.
        RpcError = 2 "rpc_error",
        /// It was never forwarded.
        Denied = 3 "denied",
        /// The upstream failed.
        UpstreamError = 4 "upstream_error",
        /// The upstream took too long.
        Timeout = 5 "timeout",
        /// The downstream went away.
        Cancelled = 6 "cancelled",
        /// The process ended before the call did.
        Incomplete = 7 "incomplete",
    }
}
named! {
    /// Which way a finding travelled.
    Direction {
        /// To the upstream.
        Request = 0 "request",
        /// To the downstream.
        Response = 1 "response",
    }
}
named! {
    /// What was done to a finding.
    FindingAction {
        /// Replaced by its type.
        Redact = 0 "redact",
        /// Replaced but for its end.
        Partial = 1 "partial",
        /// It stopped the message.
        Block = 2 "block",
        /// It was replaced by a keyed hash.
        Hash = 3 "hash",
        /// It was replaced by a token that can be turned back.
        Tokenize = 4 "tokenize",
        /// It was left as it is.
        Flag = 5 "flag",
        /// It was taken out.
        Strip = 6 "strip",
    }
}

/// A finding, without its value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // docs/audit-schema.md describes each column
pub struct FindingRef<'a> {
    pub kind: &'a str,
    pub detector: &'a str,
    pub pointer: &'a str,
    /// Bytes of the value, decoded.
    pub length: u32,
    pub action: FindingAction,
    /// 0 to 1.
    pub confidence: f32,
    pub direction: Direction,
    /// A keyed hash of the value, in hexadecimal digits; empty where there is no key.
    pub hash: &'a str,
}

/// What is known of a call before it is forwarded.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // docs/audit-schema.md describes each column
pub struct Decision<'a> {
    /// Microseconds since the epoch.
    pub ts_us: i64,
    /// The session of a legacy client; the sink finds one for others.
    pub session: Option<[u8; 16]>,
    pub issuer: &'a str,
    pub principal: &'a str,
    pub subject: &'a str,
    pub client: &'a str,
    pub roles: &'a [String],
    pub src_ip: IpAddr,
    pub upstream: &'a str,
    pub era: Era,
    pub protocol_version: &'a str,
    pub http_method: &'a str,
    pub method: &'a str,
    pub tool: &'a str,
    pub resource: &'a str,
    pub jsonrpc_id: &'a str,
    /// JSON, masked.
    pub args: &'a [u8],
    /// Bytes before masking.
    pub args_bytes: u64,
    pub decision: Effect,
    pub rule: &'a str,
    pub reason: &'a str,
    pub generation: u64,
    pub decision_ns: u32,
    pub bytes_in: u64,
    pub findings: &'a [FindingRef<'a>],
    pub credential: &'a str,
    pub credential_version: u64,
    /// A keyed hash of the value, in hexadecimal digits; empty where there is no key.
    pub credential_tag: &'a str,
    /// The request for approval, where the call needs one.
    pub approval: &'a str,
    /// What would have been decided if the rules in shadow mode were enforced; empty where none of them would have decided.
    pub shadow_decision: &'a str,
    /// Which of them would have decided; else empty.
    pub shadow_rule: &'a str,
    /// Who acts for the subject, the one that sent the token first, each as `issuer:subject`.
    pub actors: &'a [String],
}

/// What is known of a call when it has ended.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // docs/audit-schema.md describes each column
pub struct Outcome<'a> {
    /// Microseconds since the epoch.
    pub ts_us: i64,
    pub status: Status,
    pub error_code: i32,
    pub http_status: u16,
    pub bytes_out: u64,
    pub duration_us: u64,
    pub upstream_us: u64,
    pub findings: &'a [FindingRef<'a>],
    pub reason: &'a str,
}

/// A finding as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnedFinding {
    pub kind: String,
    pub detector: String,
    pub pointer: String,
    pub length: u32,
    pub action: FindingAction,
    pub confidence: f32,
    pub direction: Direction,
    pub hash: String,
}

/// A decision as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnedDecision {
    pub ts_us: i64,
    pub session: Option<[u8; 16]>,
    pub issuer: String,
    pub principal: String,
    pub subject: String,
    pub client: String,
    pub roles: Vec<String>,
    pub src_ip: String,
    pub upstream: String,
    pub era: Era,
    pub protocol_version: String,
    pub http_method: String,
    pub method: String,
    pub tool: String,
    pub resource: String,
    pub jsonrpc_id: String,
    pub args: String,
    pub args_bytes: u64,
    pub args_truncated: bool,
    pub decision: Effect,
    pub rule: String,
    pub reason: String,
    pub generation: u64,
    pub decision_ns: u32,
    pub bytes_in: u64,
    pub findings: Vec<OwnedFinding>,
    pub credential: String,
    pub credential_version: u64,
    pub credential_tag: String,
    pub approval: String,
    pub shadow_decision: String,
    pub shadow_rule: String,
    pub actors: Vec<String>,
}

/// An outcome as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnedOutcome {
    pub ts_us: i64,
    pub status: Status,
    pub error_code: i32,
    pub http_status: u16,
    pub bytes_out: u64,
    pub duration_us: u64,
    pub upstream_us: u64,
    pub reason: String,
    pub findings: Vec<OwnedFinding>,
}
