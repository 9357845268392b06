//! Every bound of the gateway, in one table.
//!
//! Invariant: each input from outside has a bound here; what happens at it is said beside it, and nothing is lost.

use serde::Deserialize;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal, $least:literal ..= $most:literal;)+) => {
        /// The bounds. The unit of each is in its name.
        #[derive(Clone, Debug)]
        pub struct Limits { $($(#[doc = $doc])+ pub $name: $type,)+ }

        /// The `[limits]` table: what it does not name keeps its default.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct RawLimits { $(pub(super) $name: Option<toml::Spanned<u64>>,)+ }

        impl Default for Limits {
            fn default() -> Self { Limits { $($name: $default,)+ } }
        }

        impl RawLimits {
            /// The limits, or the name, place and bounds of each value that is out of bounds.
            pub(super) fn check(&self) -> (Limits, Vec<(&'static str, std::ops::Range<usize>, u64, u64)>) {
                let mut limits = Limits::default();
                let mut wrong = Vec::new();
                $(if let Some(value) = &self.$name {
                    match <$type>::try_from(*value.get_ref()) {
                        Ok(given) if ($least..=$most).contains(&given) => limits.$name = given,
                        _ => wrong.push((stringify!($name), value.span(), $least as u64, $most as u64)),
                    }
                })+
                (limits, wrong)
            }
        }
    };
}

limits! {
    /// Connections of agents open on one worker; one more is closed at once.
    connections_per_worker_max: usize = 8192, 1..=1_000_000;
    /// Bytes of a message head; a longer one is answered with 431, one of an upstream with 502.
    head_bytes_max: usize = 16_384, 1024..=1_048_576;
    /// Fields of a message head; more are answered with 431, of an upstream with 502.
    headers_max: usize = 100, 8..=128;
    /// Time for a whole head, from its first byte; then 408 and close.
    head_time_max_ms: u64 = 10_000, 100..=600_000;
    /// Time a connection may wait for its next request; then it is closed.
    idle_time_max_ms: u64 = 75_000, 100..=86_400_000;
    /// Time between two pieces of a body; then 408 and close, for an upstream 504.
    body_idle_time_max_ms: u64 = 30_000, 100..=600_000;
    /// Time an agent may take nothing of what is sent to it; then its connection is closed.
    write_time_max_ms: u64 = 30_000, 100..=600_000;
    /// Time after a refusal during which what the agent still sends is read and forgotten.
    linger_time_max_ms: u64 = 1_000, 50..=60_000;
    /// Bytes that are read and forgotten after a refusal.
    linger_bytes_max: usize = 1_048_576, 0..=67_108_864;
    /// Bytes of a request's body; a longer one is answered with 413.
    request_body_bytes_max: usize = 4_194_304, 1024..=1_073_741_824;
    /// Bytes of a request that are kept until its reply begins, so that it can be sent once more where the upstream refuses its credential; a
    /// longer one is then answered with 502.
    request_kept_bytes_max: usize = 262_144, 0..=67_108_864;
    /// Bytes of a reply's body that is read whole; a longer one is answered with 502.
    response_body_bytes_max: usize = 67_108_864, 1024..=1_073_741_824;
    /// Bytes of one server-sent event; a longer one ends its stream.
    sse_event_bytes_max: usize = 4_194_304, 1024..=1_073_741_824;
    /// Bytes of a chunk's extension; a longer one is answered with 400.
    chunk_extension_bytes_max: usize = 256, 0..=16_384;
    /// Bytes of a trailer section; a longer one is answered with 400.
    trailer_bytes_max: usize = 4096, 0..=65_536;
    /// Containers within containers of a message; a deeper one is answered with 400, of an upstream with 502.
    json_depth_max: u16 = 64, 4..=512;
    /// Values of a message; more are answered with 400, of an upstream with 502.
    json_nodes_max: u32 = 2_000_000, 100..=100_000_000;
    /// Bytes of a call's arguments that a rule's `when` looks at; with more it cannot be judged, and the call is blocked.
    condition_argument_bytes_max: usize = 16_384, 0..=1_048_576;
    /// Requests on one connection; the last one closes it.
    requests_per_connection_max: u64 = 10_000, 1..=1_000_000_000;
    /// Time to connect to one address of an upstream; then the next address is tried, then 502.
    upstream_connect_time_max_ms: u64 = 3_000, 10..=60_000;
    /// Time until an upstream begins to answer; then 504.
    upstream_first_byte_time_max_ms: u64 = 60_000, 100..=86_400_000;
    /// Connections of one worker to one upstream, busy ones included; with more the answer is 503.
    upstream_connections_per_worker_max: usize = 1024, 1..=1_000_000;
    /// Idle connections of one worker to one upstream; more are closed.
    upstream_idle_connections_per_worker_max: usize = 256, 0..=1_000_000;
    /// Time an idle connection to an upstream is kept.
    upstream_idle_time_max_ms: u64 = 30_000, 100..=86_400_000;
    /// Time a request waits for an issuer's keys to be fetched anew; then 401.
    keys_refetch_wait_ms: u64 = 2_000, 0..=10_000;
    /// Requests that wait for one issuer's keys at once, on one worker; one more is answered with 401.
    keys_refetch_waiters_max: usize = 256, 0..=100_000;
    /// Time to connect to a provider of keys; then it is tried again later.
    keys_connect_time_max_ms: u64 = 3_000, 10..=60_000;
    /// Time for a whole fetch of an issuer's keys, discovery and redirects included; then it is tried again later.
    keys_fetch_time_max_ms: u64 = 5_000, 10..=60_000;
    /// Bytes of a discovery document, of a set of keys, and of a file with keys; a longer one is not taken.
    keys_document_bytes_max: usize = 262_144, 1024..=16_777_216;
    /// Verified tokens a worker remembers; with more, old ones are verified again.
    tokens_cached_per_worker_max: usize = 4096, 16..=1_000_000;
    /// Signatures of tokens that one worker checks in a second, 64 of them at once; more wait for their turn. Tokens that it remembers need none.
    token_signatures_per_worker_per_s_max: u64 = 5_000, 10..=1_000_000;
    /// Time a request waits until the signature of its token is checked; if it would be longer, 503.
    token_signature_wait_max_ms: u64 = 1_000, 0..=10_000;
    /// Bytes of what a tool says of itself, where tools are pinned; a tool that says more is neither pinned nor listed.
    tool_definition_bytes_max: usize = 65_536, 256..=4_194_304;
    /// Windows of budgets that are counted at once, one a principal and budget; a call that would need one more is refused.
    budget_meters_max: usize = 10_000, 1..=1_000_000;
    /// Calls that one worker holds for approval at once; one more is answered at once that it is pending.
    calls_held_per_worker_max: usize = 1024, 0..=100_000;
    /// Bytes of the parameters of a call that needs approval; a longer one is denied, because nobody could read it whole.
    approval_params_bytes_max: usize = 65_536, 1024..=1_048_576;
    /// Requests for approval that one principal may have pending; with more its calls are denied.
    approvals_pending_per_principal_max: usize = 16, 1..=1000;
    /// Logins at the approvals page that were begun and not ended; one more takes the place of the oldest.
    approval_logins_max: usize = 1024, 1..=100_000;
    /// People logged in at the approvals page; one more ends the session that was used least lately.
    approval_sessions_max: usize = 1024, 1..=100_000;
    /// Notices about held calls that wait for one receiver; one more is dropped and counted.
    approval_notices_waiting_max: usize = 256, 1..=100_000;
    /// Bytes of a call's parameters in a notice; more are cut, and the notice says so.
    approval_notice_params_bytes_max: usize = 16_384, 0..=1_048_576;
    /// Time for one attempt to bring a notice; then it is tried again later.
    approval_notice_time_max_ms: u64 = 5_000, 100..=60_000;
    /// Bytes of a request of Slack's; a longer one is answered with 413.
    slack_request_bytes_max: usize = 131_072, 4096..=1_048_576;
    /// Bytes of what is sealed into a `requestState` for a client's round; a call that brings more of a round of its upstream gets none.
    request_state_bytes_max: usize = 16_384, 1024..=1_048_576;
    /// Bytes of a result that is kept for a task; with more the task has failed although its call has run.
    task_result_bytes_max: usize = 1_048_576, 1024..=8_388_608;
    /// Time a call waits to learn whether it may run; then the answer is that approvals are unavailable.
    approval_ask_time_max_ms: u64 = 5_000, 10..=60_000;
    /// Time the database of approvals may take for a statement; then it cannot be used, and approvals are unavailable.
    approval_store_time_max_ms: u64 = 2_000, 50..=60_000;
    /// Time to connect to a service that gives out credentials; then it is tried again later.
    credential_connect_time_max_ms: u64 = 3_000, 10..=60_000;
    /// Time for a whole answer of such a service; then it is tried again later.
    credential_answer_time_max_ms: u64 = 5_000, 10..=60_000;
    /// Bytes of an answer of such a service; a longer one is not read.
    credential_answer_bytes_max: usize = 262_144, 1024..=16_777_216;
    /// Time a call waits for a credential that is made for its caller, or that replaces one the upstream refused; then 503, or 502.
    credential_wait_max_ms: u64 = 2_000, 10..=60_000;
    /// Credentials of single callers that are kept; with more, those unused for longest are asked for again.
    caller_credentials_max: usize = 10_000, 1..=1_000_000;
    /// Credentials of single callers that are asked for at once; more wait for their turn.
    caller_credentials_asked_at_once_max: usize = 32, 1..=1024;
    /// Sessions of one upstream that is a program, each with a process of its own unless they share one; one more ends the one silent for
    /// longest, and where none is silent the answer is 503.
    stdio_sessions_per_upstream_max: usize = 64, 1..=10_000;
    /// Time that such a session may be silent; then it ends, and its process with it.
    stdio_idle_time_max_ms: u64 = 600_000, 1_000..=86_400_000;
    /// Bytes of a message from or to a program; a longer one from it ends it, a longer one to it is answered with 413.
    stdio_message_bytes_max: usize = 16_777_216, 1024..=1_073_741_824;
    /// Time that a program has to end by itself, and then after SIGTERM; then it is killed.
    stdio_end_time_max_ms: u64 = 2_000, 10..=60_000;
    /// Time for a TLS handshake of an agent; then its connection is closed.
    tls_handshake_time_max_ms: u64 = 10_000, 100..=60_000;
    /// TLS handshakes of agents under way at once on one worker; one more connection is closed at once.
    tls_handshakes_per_worker_max: usize = 1024, 1..=1_000_000;
    /// Bytes of the client certificate in a trusted proxy's `Client-Cert` field; with more the request has none.
    client_cert_bytes_max: usize = 16_384, 512..=65_536;
    /// DPoP proofs remembered at once, in all workers; where one more finds no room, the answer is 503.
    dpop_proofs_remembered_max: usize = 1_048_576, 1024..=268_435_456;
    /// Time for which a nonce for DPoP proofs counts.
    dpop_nonce_time_max_ms: u64 = 300_000, 1_000..=86_400_000;
    /// Revocations that are kept at once; one more is refused, and nothing is lost.
    revocations_max: usize = 10_000, 1..=100_000;
    /// Time a request waits for what an issuer says of its opaque token; then 503.
    introspection_wait_max_ms: u64 = 2_000, 10..=10_000;
    /// Requests that wait for that at once, on all workers; one more is answered with 503.
    introspection_waiters_max: usize = 256, 0..=100_000;
    /// Questions about opaque tokens that are put to issuers at once; one more is answered with 503.
    introspections_at_once_max: usize = 32, 1..=1024;
    /// Answers about opaque tokens that are kept; with more, tokens are asked about again.
    introspections_kept_max: usize = 10_000, 0..=1_000_000;
    /// Seconds for which an answer about an opaque token is believed; it is never believed beyond the token's own end.
    introspection_trusted_max_s: u64 = 60, 0..=60;
    /// Bytes of an answer about an opaque token; a longer one is not read, and the request is answered with 503.
    introspection_answer_bytes_max: usize = 65_536, 1024..=1_048_576;
    /// Security events that are known again within the day in which they may come again; one more is not taken, and its transmitter is told to
    /// bring it later.
    security_events_kept_max: usize = 10_000, 1..=100_000;
    /// Time that calls have to end after SIGTERM; then they are cut off.
    drain_time_max_ms: u64 = 10_000, 0..=3_600_000;
}
