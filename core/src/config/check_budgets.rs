//! Checks budgets: each must count something, of somebody, and be able to.

use toml::Spanned;

use super::check::Checker;
use super::check_rules;
use super::checked::{Budget, Issuer, Upstream};
use super::raw::RawBudget;

/// Budgets that are taken; each call asks all of them.
const BUDGETS_MAX: usize = 100;
/// Seconds of a window: up to a week.
const WINDOW_S: std::ops::RangeInclusive<u64> = 1..=604_800;
/// Calls, and bytes, of a window.
const COUNT: std::ops::RangeInclusive<u64> = 1..=1_000_000_000_000;
/// Distinct values of a window; each takes 4 bytes of a principal's count.
const FINDINGS: std::ops::RangeInclusive<u64> = 1..=10_000;

pub(super) fn budgets(
    checker: &mut Checker<'_, '_>,
    raw: &[Spanned<RawBudget>],
    issuers: &[Issuer],
    upstreams: &[Upstream],
    resources: &[String],
    has_key: bool,
) -> Vec<Budget> {
    checker.unique(raw.iter().map(|budget| &budget.get_ref().id), "budget.id");
    if let Some(beyond) = raw.get(BUDGETS_MAX) {
        checker.problems.add(beyond.span(), "budget", "there are more than 100", "put budgets together with globs");
    }
    let mut budgets = Vec::new();
    for (index, budget) in raw.iter().take(BUDGETS_MAX).enumerate() {
        let (key, span, raw) = (format!("budget[{}]", index + 1), budget.span(), budget.get_ref());
        let scope = check_rules::scope(checker, &key, (&raw.id, &raw.who, &raw.what), issuers, upstreams, resources);
        let mut most = |value: &Option<Spanned<i64>>, name: &str, bounds| {
            value.as_ref().map(|value| checker.number(Some(value), &format!("{key}.{name}"), bounds, 1))
        };
        let calls = most(&raw.calls, "calls", COUNT);
        let bytes_out = most(&raw.bytes_out, "bytes_out", COUNT);
        let findings = most(&raw.findings, "findings", FINDINGS);
        let window_s = checker.number(Some(&raw.window_s), &format!("{key}.window_s"), WINDOW_S, 1);
        if calls.is_none() && bytes_out.is_none() && findings.is_none() {
            let hint = "give `calls`, `bytes_out` or `findings`";
            checker.problems.add(span, &key, "bounds nothing", hint);
        }
        if let Some(findings) = raw.findings.as_ref().filter(|_| !has_key) {
            let hint = "set `[dlp] key`: equal values are known by their keyed hash";
            checker.problems.add(findings.span(), format!("{key}.findings"), "cannot tell values apart without a key", hint);
        }
        let each_tool = raw.each_tool;
        budgets.extend(scope.map(|scope| Budget { scope, window_s, calls, bytes_out, findings, each_tool }));
    }
    budgets
}
