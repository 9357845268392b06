//! Budgets: how much of an upstream a principal may have in a window of time, over all workers together.
//!
//! Invariant: no more calls are let through in one window than a budget names, and none that cannot be counted. Counting takes no lock.

use std::sync::Arc;

use sluicegate_identity::Principal;

use super::compile::is_about;
use super::decide::covers;
use super::meter::Meter;
use crate::config::{Budget, Rule};
use crate::mcp::call::Call;

/// What a meter counts: which budget, in which of its windows, for whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    budget: usize,
    window: u64,
    /// A keyed hash of the principal, and of the upstream and tool where they are counted apart.
    whose: u64,
}

/// Why a call is over a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over<'b> {
    /// The budget's id.
    pub budget: &'b str,
    /// Seconds until its next window begins, at least 1.
    pub retry_after_s: u64,
}

impl Over<'_> {
    /// One sentence for the model that called.
    pub fn detail(&self) -> String {
        let (budget, seconds) = (self.budget, self.retry_after_s);
        format!("Blocked: the budget {budget:?} is used up. Try again in {seconds} s, not before.")
    }
}

/// All budgets and what was used of them. It is shared by the workers and outlives every generation.
pub struct Budgets {
    budgets: Vec<Budget>,
    meters: papaya::HashMap<Key, Arc<Meter>, ahash::RandomState>,
    meters_max: usize,
    hasher: ahash::RandomState,
}

impl Budgets {
    /// Fresh budgets; `meters_max` is how many windows of principals are counted at once.
    pub fn new(budgets: Vec<Budget>, meters_max: usize) -> Self {
        let meters = papaya::HashMap::with_hasher(ahash::RandomState::new());
        Budgets { budgets, meters, meters_max, hasher: ahash::RandomState::new() }
    }

    /// Takes a call from every budget that it counts for, at a time in Unix seconds. The meters are to be charged with what the answer
    /// brings.
    ///
    /// # Errors
    /// [`Over`] for the first budget that is used up; then the call was taken from none.
    pub fn take(&self, who: &Principal, upstream: usize, call: &Call<'_>, now_s: u64) -> Result<Vec<Arc<Meter>>, Over<'_>> {
        let mut taken: Vec<Arc<Meter>> = Vec::new();
        if self.budgets.is_empty() || call.is_answer() {
            return Ok(taken);
        }
        let tool = call.tool();
        let tool = tool.as_deref();
        for (index, budget) in self.counting(who, upstream, &call.method, tool) {
            let apart = if budget.each_tool { Some((upstream, tool.unwrap_or(&call.method))) } else { None };
            let whose = self.hasher.hash_one((who.id(), apart));
            let key = Key { budget: index, window: now_s / budget.window_s, whose };
            let meter = self.meter(key, budget, now_s).filter(|meter| meter.take(budget));
            let Some(meter) = meter else {
                taken.iter().for_each(|meter| meter.give_back());
                return Err(Over { budget: &budget.scope.id, retry_after_s: budget.window_s - now_s % budget.window_s });
            };
            taken.push(meter);
        }
        Ok(taken)
    }

    /// The budgets that a call counts for.
    fn counting(
        &self,
        who: &Principal,
        upstream: usize,
        method: &str,
        tool: Option<&str>,
    ) -> impl Iterator<Item = (usize, &Budget)> {
        self.budgets.iter().enumerate().filter(move |(_, budget)| {
            let scope: &Rule = &budget.scope;
            let covers_upstream = scope.what.upstreams.get(upstream).is_some_and(|covered| *covered);
            covers_upstream && is_about(scope, who) && has_role(scope, who) && covers(scope, method, tool)
        })
    }

    /// The budgets that a call would be taken from.
    pub fn charged(&self, who: &Principal, upstream: usize, call: &Call<'_>) -> Vec<&Budget> {
        let tool = call.tool();
        let counting = self.counting(who, upstream, &call.method, tool.as_deref());
        counting.map(|(_, budget)| budget).filter(|_| !call.is_answer()).collect()
    }

    /// The meter of a window; `None` where there are too many.
    fn meter(&self, key: Key, budget: &Budget, now_s: u64) -> Option<Arc<Meter>> {
        let meters = self.meters.pin();
        if let Some(meter) = meters.get(&key) {
            return Some(Arc::clone(meter));
        }
        if self.meters.len() >= self.meters_max {
            self.sweep(now_s);
            if self.meters.len() >= self.meters_max {
                return None;
            }
        }
        Some(Arc::clone(meters.get_or_insert_with(key, || Arc::new(Meter::new(budget)))))
    }

    /// Forgets the windows that are over.
    pub fn sweep(&self, now_s: u64) {
        let is_on = |key: &Key| self.budgets.get(key.budget).is_some_and(|budget| key.window >= now_s / budget.window_s);
        self.meters.pin().retain(|key, _| is_on(key));
    }
}

fn has_role(scope: &Rule, who: &Principal) -> bool {
    scope.who.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| who.roles().contains(role)))
}
