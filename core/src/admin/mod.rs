//! What operators look at: health, readiness, metrics; and where people decide about held calls. Served on the control thread, on
//! loopback only.
//!
//! Invariant: nothing changes anything and nothing shows a payload but the approvals, which ask who asks; nothing shows a token or a
//! credential.

mod access;
mod approvals;
pub mod page;
mod revocations;
mod signals;
pub mod slack;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::approval::notify::outbox::Tally;
use crate::control::issuer_health::{self, troubles};
use crate::control::process::Observed;
use crate::rt::now_unix_s;

/// Serves until the process ends.
pub async fn serve(listener: tokio::net::TcpListener, observed: Arc<Observed>) {
    let limits = observed.approvals.as_ref().map(|approvals| approvals.limits.clone()).unwrap_or_default();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(approvals::routes())
        .merge(revocations::routes())
        .merge(signals::routes())
        .merge(page::routes(&observed))
        .merge(slack::routes(limits.slack_request_bytes_max))
        .with_state(observed);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the admin listener has ended");
    }
}

/// Ready: an issuer's keys are known, and the audit takes records. Where an issuer's keys are missing or cannot be refreshed, the answer says
/// that it is degraded and names it; the tokens of others are taken.
async fn ready(State(observed): State<Arc<Observed>>) -> (StatusCode, String) {
    let troubles = troubles(&observed.issuers, now_unix_s());
    let told = troubles.iter().map(|trouble| format!("{trouble}\n")).collect::<String>();
    if !observed.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("no issuer's keys are known\n{told}"));
    }
    match observed.sink.status().error {
        Some(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("the audit cannot be written: {error}\n")),
        None if troubles.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        None => (StatusCode::OK, format!("degraded\n{told}")),
    }
}

/// The Prometheus text format, version 0.0.4.
async fn metrics(State(observed): State<Arc<Observed>>) -> String {
    let mut out = String::new();
    let mut series = |name: &str, kind: &str, help: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}", help.trim());
    };
    let mut sums: Vec<(&str, &str, u64)> = Vec::new();
    for counters in &observed.counters {
        for (at, (name, help, value)) in counters.read().into_iter().enumerate() {
            match sums.get_mut(at) {
                Some(sum) => sum.2 += value,
                None => sums.push((name, help, value)),
            }
        }
    }
    for (name, help, value) in sums {
        series(name, "counter", help, value);
    }
    let audit = observed.sink.status();
    series("sluicegate_audit_rows_total", "counter", "Calls sealed into Parquet.", audit.rows_total);
    series("sluicegate_audit_segments", "gauge", "Spool segments on the disk.", audit.segments);
    series("sluicegate_audit_corrupt_total", "counter", "Spool segments that could not be read whole.", audit.corrupt_total);
    series("sluicegate_audit_writable", "gauge", "1 while the audit can be written.", u64::from(audit.error.is_none()));
    if let Some(approvals) = &observed.approvals {
        let broken = "Calls that one person let run alone.";
        series("sluicegate_approvals_glass_broken_total", "counter", broken, approvals.desk.glass_broken());
        let is_available = u64::from(approvals.desk.is_available());
        series("sluicegate_approvals_available", "gauge", "1 while the store of approvals can be used.", is_available);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Tally { delivered, failed, dropped } = &*approvals.notices;
        let name = "sluicegate_approval_notices";
        series(&format!("{name}_delivered_total"), "counter", "Notices about held calls that were taken.", count(delivered));
        series(&format!("{name}_failed_total"), "counter", "Notices that were refused, or not taken in time.", count(failed));
        series(&format!("{name}_dropped_total"), "counter", "Notices for which there was no place.", count(dropped));
    }
    if let Some(revocations) = &observed.revocations {
        let standing = revocations.count(now_unix_s());
        series("sluicegate_revocations", "gauge", "Revocations that stand.", standing as u64);
        let (taken, refused) = revocations.events.counts();
        series("sluicegate_security_events_total", "counter", "Security events acknowledged.", taken);
        series("sluicegate_security_events_refused_total", "counter", "Security events that did not verify.", refused);
    }
    series("sluicegate_snapshot_generation", "gauge", "The generation in force.", observed.generation.load(Ordering::Relaxed));
    issuer_health::metrics(&observed.issuers, &mut out);
    out
}
