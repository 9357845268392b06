//! Counts what one worker does; the admin listener adds the workers up.
//!
//! Invariant: each worker writes only its own counters, so no two cores share a line; a reader may be a moment behind.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident => $metric:literal,)+) => {
        /// The counters of one worker.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[doc = $help])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Metric name, help text and value of every counter.
            pub fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($metric, concat!($($help),+), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections => "sluicegate_connections_total",
    /// Connections refused because as many as the limit were open.
    connections_refused => "sluicegate_connections_refused_total",
    /// Connections that ended without a TLS handshake: it failed, or took too long.
    handshakes_failed => "sluicegate_tls_handshakes_failed_total",
    /// Requests whose head was read.
    requests => "sluicegate_requests_total",
    /// Requests refused before their sender was identified: malformed, unknown route, foreign host or origin.
    refused => "sluicegate_requests_refused_total",
    /// Requests refused because their sender was not identified.
    unidentified => "sluicegate_requests_unidentified_total",
    /// Signatures of tokens that were put off for a moment, because too many were to be checked at once.
    verifications_delayed => "sluicegate_token_verifications_delayed_total",
    /// Tokens answered with 503, because too many signatures were to be checked at once.
    verifications_refused => "sluicegate_token_verifications_refused_total",
    /// Times that the machine's clock was put back by more than five seconds.
    clock_steps_back => "sluicegate_clock_steps_back_total",
    /// Requests refused because their sender's token was revoked.
    revoked => "sluicegate_requests_revoked_total",
    /// Streams ended because their caller's token was revoked.
    streams_revoked => "sluicegate_streams_revoked_total",
    /// Calls that policy blocked.
    blocked => "sluicegate_calls_blocked_total",
    /// Calls that rules permit and whose token lacked scopes.
    scope_lacking => "sluicegate_calls_insufficient_scope_total",
    /// Calls that needed approval and were answered without having it.
    held => "sluicegate_calls_held_total",
    /// Calls forwarded to an upstream.
    forwarded => "sluicegate_calls_forwarded_total",
    /// Calls that failed because of the upstream.
    upstream_errors => "sluicegate_upstream_errors_total",
    /// Findings masked or blocked.
    findings => "sluicegate_findings_total",
    /// Calls denied because no audit record could be kept.
    unrecorded => "sluicegate_audit_denied_total",
}

/// One counter, written by one worker only.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count. Plain load and store: there is one writer.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
