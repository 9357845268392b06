//! How it stands with each issuer's keys, for readiness and metrics.
//!
//! Invariant: the issuer's own task writes, everybody else reads; nothing here decides anything.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One issuer's numbers.
#[derive(Debug, Default)]
pub struct IssuerHealth {
    /// Its name in the configuration.
    pub name: String,
    /// Keys that can be used; 0 where there are none or they are too old.
    pub keys: AtomicU64,
    /// Keys of the newest set that cannot be used.
    pub unusable: AtomicU64,
    /// When its keys were fetched or found unchanged last, in Unix seconds; 0 for never.
    pub fetched_s: AtomicU64,
    /// Refreshes that failed since the last one that did not.
    pub failing: AtomicU64,
    /// Refreshes that succeeded.
    pub refreshes: AtomicU64,
    /// Refreshes that failed.
    pub failures: AtomicU64,
    /// Sets that came with less than half of the keys before.
    pub losses: AtomicU64,
}

/// Adds to a number or sets it, as its only writer.
pub(super) fn add(number: &AtomicU64, count: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

impl IssuerHealth {
    /// An issuer of which nothing is known yet.
    pub fn new(name: &str) -> Arc<Self> {
        Arc::new(IssuerHealth { name: name.to_owned(), ..IssuerHealth::default() })
    }

    fn get(number: &AtomicU64) -> u64 {
        number.load(Ordering::Relaxed)
    }

    /// What is wrong; `None` where nothing is. `now_s`: Unix seconds.
    fn trouble(&self, now_s: u64) -> Option<String> {
        let (failing, fetched_s) = (Self::get(&self.failing), Self::get(&self.fetched_s));
        if Self::get(&self.keys) == 0 {
            return Some(format!("issuer {}: its keys are not known", self.name));
        }
        let age_s = now_s.saturating_sub(fetched_s);
        (failing > 0).then(|| format!("issuer {}: its keys are {age_s} s old and cannot be refreshed", self.name))
    }
}

/// A line for each issuer that is not as it should be. `now_s`: Unix seconds.
pub fn troubles(issuers: &[Arc<IssuerHealth>], now_s: u64) -> Vec<String> {
    issuers.iter().filter_map(|issuer| issuer.trouble(now_s)).collect()
}

/// The issuers' metrics in the Prometheus text format.
pub fn metrics(issuers: &[Arc<IssuerHealth>], out: &mut String) {
    type Read = fn(&IssuerHealth) -> &AtomicU64;
    let numbers: [(&str, &str, &str, Read); 7] = [
        ("sluicegate_issuer_keys", "gauge", "Keys of the issuer that can be used.", |issuer| &issuer.keys),
        ("sluicegate_issuer_keys_unusable", "gauge", "Keys of the issuer's newest set that cannot be used.", |issuer| {
            &issuer.unusable
        }),
        ("sluicegate_issuer_keys_fetched_seconds", "gauge", "When the issuer's keys came last, Unix time.", |issuer| {
            &issuer.fetched_s
        }),
        (
            "sluicegate_issuer_refreshes_failing",
            "gauge",
            "Refreshes that failed since one succeeded; more than 0 is degraded.",
            |issuer| &issuer.failing,
        ),
        ("sluicegate_issuer_refreshes_total", "counter", "Refreshes of the issuer's keys that succeeded.", |issuer| {
            &issuer.refreshes
        }),
        ("sluicegate_issuer_refresh_failures_total", "counter", "Refreshes of the issuer's keys that failed.", |issuer| {
            &issuer.failures
        }),
        ("sluicegate_issuer_keys_lost_total", "counter", "Sets that came with less than half of the keys before.", |issuer| {
            &issuer.losses
        }),
    ];
    for (name, kind, help, read) in numbers {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for issuer in issuers {
            let _ = writeln!(out, "{name}{{issuer=\"{}\"}} {}", issuer.name, IssuerHealth::get(read(issuer)));
        }
    }
}
