//! One request for approval: who asks for what, who has decided, and what state that makes.
//!
//! Invariant: a call runs at most once, only after as many different people of the rule's group as it asks for have approved it, none of
//! whom asked for it, and only in time; a denial ends it whatever was approved before. The clock is passed in.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::grant::End;
use super::group::Group;
pub use super::terms::{Panel, Terms, Window};

/// The longest reason of a decision, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// How long the result of a task is kept after the call has ended, in seconds.
pub const TASK_RESULT_KEPT_S: u64 = 3600;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for decisions.
    Pending,
    /// Enough have approved; the call may run once, in time.
    Approved,
    /// Somebody has denied it.
    Denied,
    /// Its time went by before it was decided, or before the call ran.
    Expired,
    /// Who asked has taken it back.
    Cancelled,
    /// Somebody denied it after it was approved and before the call ran.
    Revoked,
    /// The call runs.
    Executing,
    /// The call ran and was answered.
    Done,
    /// The call was started, and nobody knows how it ended. It is never started again.
    OutcomeUnknown,
}

impl State {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Denied => "denied",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
            State::Revoked => "revoked",
            State::Executing => "executing",
            State::Done => "done",
            State::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// Whether something may still become of it.
    pub fn is_open(self) -> bool {
        matches!(self, State::Pending | State::Approved | State::Executing)
    }
}

/// Who somebody is, by their issuer's name in the configuration and their subject there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The issuer's name.
    pub issuer: String,
    /// The subject.
    pub subject: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.issuer, self.subject)
    }
}

/// What a call does, as an approver is shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCall {
    /// The upstream's name.
    pub upstream: String,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool or prompt; empty where there is none.
    pub tool: String,
    /// The call's parameters as JSON; what was found in them is masked.
    pub params: String,
    /// Whether values are masked there.
    pub masked: bool,
    /// The rule that asks for approval.
    pub rule: String,
    /// The client that the requester uses; empty where its token names none.
    pub client: String,
}

/// Approve or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The call may run.
    Approve,
    /// It may not.
    Deny,
    /// The call may run at once, because somebody who may say so alone takes the blame.
    BreakGlass,
}

impl Verdict {
    /// Its name in answers and under signatures.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Approve => "approve",
            Verdict::Deny => "deny",
            Verdict::BreakGlass => "break_glass",
        }
    }
}

/// How somebody who decides has proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// With a token of their issuer.
    Bearer,
    /// By Slack's word for who pressed the button.
    Slack,
    /// On the page, after a login at their issuer.
    Page,
}

impl Method {
    /// Its name in answers and under signatures.
    pub fn name(self) -> &'static str {
        match self {
            Method::Bearer => "bearer",
            Method::Slack => "slack",
            Method::Page => "page",
        }
    }
}

/// What one person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who.
    pub approver: Identity,
    /// How they proved who they are; `None` in what was decided before that was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// What.
    pub verdict: Verdict,
    /// The groups that they were of and for which it counts; empty in what was decided before that was written down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Why, in their words; may be empty.
    pub reason: String,
    /// When, in Unix seconds.
    pub at_s: u64,
    /// The gateway's signature over all this and what it is about, in base64url.
    pub signature: String,
}

/// Somebody who wants to decide, as their token says now, or the configuration of who they are in Slack.
#[derive(Clone, Debug)]
pub struct Approver {
    /// Who.
    pub identity: Identity,
    /// The client that the token was given to.
    pub client: Option<String>,
    /// The roles, and the groups as `issuer:group`.
    pub names: Vec<String>,
    /// How they have proved who they are.
    pub method: Method,
}

impl Approver {
    /// Whether it is a program that acts for itself: its subject is its client (RFC 9068 section 2.2, for grants without a person).
    pub fn is_machine(&self) -> bool {
        self.client.as_ref() == Some(&self.identity.subject)
    }

    /// Whether it belongs to a group.
    fn belongs_to(&self, group: &Group) -> bool {
        group.has(&self.identity.issuer, &self.names)
    }
}

/// Why somebody may not decide, or nothing can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request is not in a state in which this can be said of it.
    TooLate(State),
    /// Nobody decides about what they asked for themselves.
    OwnRequest,
    /// Only who asked takes a request back.
    OthersRequest,
    /// They are not in the rule's group.
    NotInGroup,
    /// A machine may not decide here.
    Machine,
    /// They have approved already.
    Twice,
    /// The reason is too long.
    LongReason,
    /// There is no reason, and this needs one.
    NoReason,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::TooLate(state) => write!(f, "the request is {} already", state.name()),
            Refused::OwnRequest => f.write_str("nobody decides about a request of their own"),
            Refused::OthersRequest => f.write_str("only who asked can take a request back"),
            Refused::NotInGroup => f.write_str("you are not in the group that decides about this request"),
            Refused::Machine => f.write_str("a machine cannot decide (the rule does not set allow_machine_approver)"),
            Refused::Twice => f.write_str("you have approved it already"),
            Refused::NoReason => f.write_str("breaking the glass needs a reason"),
            Refused::LongReason => write!(f, "the reason is longer than {REASON_BYTES_MAX} bytes"),
        }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its name, `APR-` and eight characters.
    pub id: String,
    /// The digest of the call, in hexadecimal digits.
    pub digest: String,
    /// Who asks.
    pub requester: Identity,
    /// For what.
    pub call: HeldCall,
    /// What the rule asks for.
    pub terms: Terms,
    /// When it was asked, in Unix seconds.
    pub asked_at_s: u64,
    /// When it came to its present state, in Unix seconds.
    pub changed_at_s: u64,
    /// Where it stands.
    pub state: State,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// The gateway that began to run the call last; empty where none did.
    #[serde(default)]
    pub runner: String,
    /// Whether the store keeps the call itself for a task, or how it ended.
    #[serde(default)]
    pub has_task: bool,
    /// Who acts for the one who asks, and so decides about it as little.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<Identity>,
}

impl Request {
    /// A new request.
    pub fn new(id: String, digest: String, requester: Identity, call: HeldCall, terms: Terms, now_s: u64) -> Request {
        let (state, decisions, runner) = (State::Pending, Vec::new(), String::new());
        Request {
            id,
            digest,
            requester,
            call,
            terms,
            asked_at_s: now_s,
            changed_at_s: now_s,
            state,
            decisions,
            runner,
            has_task: false,
            actors: Vec::new(),
        }
    }

    /// When the present state ends by itself, in Unix seconds; `None` for those that do not.
    pub fn expires_at_s(&self) -> Option<u64> {
        match self.state {
            State::Pending => Some(self.asked_at_s.saturating_add(self.terms.ttl_s)),
            State::Approved => {
                // From what is signed, not from what the store says of the state.
                let last = self.approvals().map(|decision| decision.at_s).max()?;
                let verdict = if self.is_glass_broken() { Verdict::BreakGlass } else { Verdict::Approve };
                Some(last.saturating_add(self.terms.lasts_s(verdict)))
            }
            _ => None,
        }
    }

    /// Whether it ended without the call so shortly ago that the same call is not asked for again.
    pub fn is_cooling(&self, cooldown_s: u64, now_s: u64) -> bool {
        let holds_back = matches!(self.state, State::Denied | State::Revoked | State::Cancelled);
        holds_back && now_s < self.changed_at_s.saturating_add(cooldown_s)
    }

    /// Whether what is kept for its task is of no more use: a call that will not run, or a result that was there long enough.
    pub fn has_stale_task(&self, now_s: u64) -> bool {
        let is_stale = match self.state {
            State::Pending | State::Approved | State::Executing => false,
            State::Done | State::OutcomeUnknown => now_s >= self.changed_at_s.saturating_add(TASK_RESULT_KEPT_S),
            State::Denied | State::Expired | State::Cancelled | State::Revoked => true,
        };
        self.has_task && is_stale
    }

    /// How long its task can be asked about, in seconds since it was asked for.
    pub fn task_ttl_s(&self) -> u64 {
        let longest_s = self.terms.ttl_s.saturating_add(self.terms.use_ttl_s);
        match self.state {
            State::Done | State::OutcomeUnknown => {
                self.changed_at_s.saturating_sub(self.asked_at_s).saturating_add(TASK_RESULT_KEPT_S)
            }
            _ => longest_s,
        }
    }

    /// Whether somebody alone let the call through.
    pub fn is_glass_broken(&self) -> bool {
        self.decisions.iter().any(|decision| decision.verdict == Verdict::BreakGlass)
    }

    /// Whether somebody may know of the request: who asked for it, and who may be asked about it.
    pub fn concerns(&self, who: &Approver) -> bool {
        who.identity == self.requester
            || self.terms.panels().any(|panel| who.belongs_to(&panel.group))
            || self.may_break_glass(who)
    }

    /// The groups for which a decision of somebody counts.
    pub fn groups_of(&self, who: &Approver, verdict: Verdict) -> Vec<Group> {
        let may = |panel: &&Panel| who.belongs_to(&panel.group) && (panel.allow_machine_approver || !who.is_machine());
        match verdict {
            Verdict::BreakGlass => self.terms.break_glass.iter().filter(|group| who.belongs_to(group)).cloned().collect(),
            Verdict::Approve | Verdict::Deny => self.terms.panels().filter(may).map(|panel| panel.group.clone()).collect(),
        }
    }

    /// How many different people have approved for a group.
    pub fn approved_by(&self, panel: &Panel) -> usize {
        // Before groups were written down there was one that could approve.
        let counts = |decision: &&Decision| {
            let is_old = decision.groups.is_empty() && self.terms.also.is_empty();
            decision.verdict == Verdict::Approve && (is_old || decision.groups.contains(&panel.group))
        };
        self.decisions.iter().filter(counts).map(|decision| &decision.approver).collect::<HashSet<_>>().len()
    }

    /// Whether as many of each group have approved as are asked for.
    pub fn has_quorum(&self) -> bool {
        self.terms.panels().all(|panel| self.approved_by(panel) >= panel.quorum.max(1) as usize)
    }

    /// Whether somebody is in the group that may let the call through alone.
    pub fn may_break_glass(&self, who: &Approver) -> bool {
        self.terms.break_glass.as_ref().is_some_and(|group| who.belongs_to(group))
    }

    /// What lets the call run.
    pub fn approvals(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.verdict != Verdict::Deny)
    }

    /// What the one who denied it wrote.
    pub fn denial(&self) -> Option<&Decision> {
        self.decisions.iter().rfind(|decision| decision.verdict == Verdict::Deny)
    }

    /// Ends what is over its time. True: the state has changed.
    pub fn expire(&mut self, now_s: u64) -> bool {
        let is_over = self.expires_at_s().is_some_and(|at| now_s >= at);
        if is_over {
            self.enter(State::Expired, now_s);
        }
        is_over
    }

    /// Whether somebody may decide now.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn may_decide(&self, approver: &Approver, verdict: Verdict, reason: &str, now_s: u64) -> Result<(), Refused> {
        let is_over = self.expires_at_s().is_some_and(|at| now_s >= at);
        let is_open = match verdict {
            Verdict::Approve | Verdict::BreakGlass => self.state == State::Pending,
            Verdict::Deny => matches!(self.state, State::Pending | State::Approved),
        };
        let is_of_a_panel = self.terms.panels().any(|panel| approver.belongs_to(&panel.group));
        let belongs = match verdict {
            Verdict::BreakGlass => self.may_break_glass(approver),
            // Who may let it through alone may say no to it, too.
            Verdict::Deny => is_of_a_panel || self.may_break_glass(approver),
            Verdict::Approve => is_of_a_panel,
        };
        let (mut panels, mut own) = (self.terms.panels(), self.terms.panels());
        let takes_all = panels.all(|panel| panel.allow_machine_approver);
        let takes_here = own.any(|panel| panel.allow_machine_approver && approver.belongs_to(&panel.group));
        let takes_machines = takes_all || takes_here && verdict != Verdict::BreakGlass;
        if approver.identity == self.requester || self.actors.contains(&approver.identity) {
            Err(Refused::OwnRequest)
        } else if !belongs {
            Err(Refused::NotInGroup)
        } else if approver.is_machine() && !takes_machines {
            Err(Refused::Machine)
        } else if is_over || !is_open {
            Err(Refused::TooLate(if is_over { State::Expired } else { self.state }))
        } else if verdict == Verdict::Approve && self.approvals().any(|decision| decision.approver == approver.identity) {
            Err(Refused::Twice)
        } else if reason.len() > REASON_BYTES_MAX {
            Err(Refused::LongReason)
        } else if verdict == Verdict::BreakGlass && reason.trim().is_empty() {
            Err(Refused::NoReason)
        } else {
            Ok(())
        }
    }

    /// Adds a decision for which [`Request::may_decide`] holds.
    pub fn decide(&mut self, decision: Decision) {
        let (verdict, at_s) = (decision.verdict, decision.at_s);
        self.decisions.push(decision);
        match (verdict, self.state) {
            (Verdict::Deny, State::Pending) => self.enter(State::Denied, at_s),
            (Verdict::Deny, State::Approved) => self.enter(State::Revoked, at_s),
            (Verdict::BreakGlass, State::Pending) => self.enter(State::Approved, at_s),
            (Verdict::Approve, State::Pending) if self.has_quorum() => self.enter(State::Approved, at_s),
            _ => {}
        }
    }

    /// Takes the request back.
    ///
    /// # Errors
    /// Somebody else asked, or it has ended or begun to run.
    pub fn cancel(&mut self, who: &Identity, now_s: u64) -> Result<(), Refused> {
        if *who != self.requester {
            return Err(Refused::OthersRequest);
        }
        self.expire(now_s);
        if !matches!(self.state, State::Pending | State::Approved) {
            return Err(Refused::TooLate(self.state));
        }
        self.enter(State::Cancelled, now_s);
        Ok(())
    }

    /// Begins to run the call at a gateway. False: it may not, or it runs or ran already. Of all who try, one is told true.
    pub fn start(&mut self, gateway: &str, now_s: u64) -> bool {
        self.expire(now_s);
        let may_start = self.state == State::Approved;
        if may_start {
            gateway.clone_into(&mut self.runner);
            self.enter(State::Executing, now_s);
        }
        may_start
    }

    /// Ends the run of the call. One that did not begin leaves the approval as it was, for as long as that counts.
    pub fn finish(&mut self, end: End, now_s: u64) {
        if self.state == State::Executing {
            let state = match end {
                End::Known => State::Done,
                End::Unknown => State::OutcomeUnknown,
                End::Unused => State::Approved,
            };
            self.enter(state, now_s);
            self.expire(now_s);
        }
    }

    fn enter(&mut self, state: State, now_s: u64) {
        (self.state, self.changed_at_s) = (state, now_s);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::tests::{identity, request};
    use proptest::prelude::*;

    fn approver(subject: &str) -> Approver {
        Approver {
            identity: identity(subject),
            client: Some("console".into()),
            names: vec!["dba".into()],
            method: Method::Bearer,
        }
    }

    fn decide(request: &mut Request, who: &Approver, verdict: Verdict, now_s: u64) -> Result<(), Refused> {
        request.may_decide(who, verdict, "", now_s)?;
        let (approver, method) = (who.identity.clone(), Some(who.method));
        let (groups, reason, signature) = (request.groups_of(who, verdict), String::new(), String::new());
        let decision = Decision { approver, method, verdict, groups, reason, at_s: now_s, signature };
        request.decide(decision);
        Ok(())
    }

    /// Whoever acts for the one who asks has asked as much.
    #[test]
    fn r123_actors_do_not_decide_about_what_they_ask_for() {
        let ask = || Request { actors: vec![identity("agent-2"), identity("helper")], ..request(1) };
        for acting in ["agent", "agent-2", "helper"] {
            for verdict in [Verdict::Approve, Verdict::Deny] {
                assert_eq!(decide(&mut ask(), &approver(acting), verdict, 1001), Err(Refused::OwnRequest), "{acting}");
            }
        }
        let elsewhere = Identity { issuer: "lab".into(), subject: "helper".into() };
        assert_eq!(decide(&mut ask(), &Approver { identity: elsewhere, ..approver("helper") }, Verdict::Approve, 1001), Ok(()));
        let kept = serde_json::to_value(ask()).unwrap();
        assert_eq!(kept["actors"][1]["subject"], "helper");
        let mut old = kept;
        old.as_object_mut().unwrap().remove("actors");
        assert!(serde_json::from_value::<Request>(old).unwrap().actors.is_empty(), "what was kept before has none");
    }

    #[test]
    fn r123_four_eyes() {
        let mut request = request(2);
        let mut judge = |who: &Approver| decide(&mut request, who, Verdict::Approve, 1001);
        assert_eq!(judge(&approver("agent")), Err(Refused::OwnRequest));
        assert_eq!(judge(&Approver { names: vec!["reader".into()], ..approver("eve") }), Err(Refused::NotInGroup));
        assert_eq!(judge(&Approver { client: Some("bot".into()), ..approver("bot") }), Err(Refused::Machine));
        assert_eq!(judge(&Approver { names: vec!["lab:dba".into()], ..approver("eve") }), Err(Refused::NotInGroup));
        assert_eq!(judge(&Approver { names: vec!["corp:dba".into()], ..approver("ann") }), Ok(()));
        assert_eq!(judge(&approver("ann")), Err(Refused::Twice));
        // The same subject at another issuer is somebody else.
        let other = Approver { identity: Identity { issuer: "lab".into(), subject: "ann".into() }, ..approver("ann") };
        assert_eq!(judge(&other), Ok(()));
        assert_eq!(request.state, State::Approved);
        request.terms.panel.allow_machine_approver = true;
        assert!(request.may_decide(&Approver { client: Some("bot".into()), ..approver("bot") }, Verdict::Deny, "", 1002).is_ok());
        assert_eq!(
            request.may_decide(&approver("bob"), Verdict::Deny, &"x".repeat(REASON_BYTES_MAX + 1), 1002),
            Err(Refused::LongReason)
        );
    }

    #[test]
    fn r90_each_group_of_several_rules_has_to_approve_and_nothing_opens_what_only_one_would() {
        let panel = |group: &str, quorum, allow_machine_approver| {
            let group = Group::Anywhere(group.into());
            Panel { group, quorum, allow_machine_approver }
        };
        let (team, security) = (panel("team", 1, true), panel("security", 2, false));
        let window = Some(Window { seconds: 600, scope: "s".into() });
        let loose = Terms { panel: team.clone(), window, ..crate::approval::tests::terms(1) };
        let strict = Terms { panel: security.clone(), ttl_s: 50, ..crate::approval::tests::terms(1) };
        let joined = |one: &Terms, other: &Terms| {
            let mut joined = one.clone();
            joined.join(other);
            joined
        };
        let terms = joined(&loose, &strict);
        assert_eq!(terms, joined(&strict, &loose));
        assert_eq!((&terms.panel, &terms.also[..]), (&security, &[team][..]));
        assert_eq!((terms.ttl_s, terms.window.is_none()), (50, true));
        assert_eq!(joined(&loose, &loose), loose);
        let mut request = Request { terms, ..request(1) };
        let of = |subject: &str, group: &str| Approver { names: vec![group.into()], ..approver(subject) };
        for (subject, group) in [("tim", "team"), ("tom", "team"), ("sue", "security")] {
            decide(&mut request, &of(subject, group), Verdict::Approve, 1001).unwrap();
            assert_eq!(request.state, State::Pending, "{subject}");
        }
        // A machine counts for those who let machines decide alone.
        let bot = |group: &str| Approver { client: Some("bot".into()), ..of("bot", group) };
        assert_eq!(decide(&mut request, &bot("security"), Verdict::Approve, 1001), Err(Refused::Machine));
        let both = Approver { names: vec!["team".into(), "security".into()], ..bot("team") };
        decide(&mut request, &both, Verdict::Approve, 1001).unwrap();
        assert_eq!(request.state, State::Pending);
        decide(&mut request, &of("sam", "security"), Verdict::Approve, 1001).unwrap();
        assert_eq!(request.state, State::Approved);
    }

    #[test]
    fn r127_the_glass_is_broken_by_one_of_a_group_of_its_own_with_a_reason_and_for_a_minute() {
        let lead = Approver { names: vec!["lead".into()], ..approver("ann") };
        let judge = |request: &Request, who: &Approver, reason| request.may_decide(who, Verdict::BreakGlass, reason, 1001);
        let mut request = request(3);
        assert_eq!(judge(&request, &lead, "fire"), Err(Refused::NotInGroup));
        (request.terms.break_glass, request.terms.use_ttl_s) = (Some(Group::Anywhere("lead".into())), 300);
        assert_eq!(judge(&request, &approver("bob"), "fire"), Err(Refused::NotInGroup));
        assert_eq!(judge(&request, &Approver { identity: identity("agent"), ..lead.clone() }, "fire"), Err(Refused::OwnRequest));
        assert_eq!(judge(&request, &Approver { client: Some("ann".into()), ..lead.clone() }, "fire"), Err(Refused::Machine));
        assert_eq!(judge(&request, &lead, " \n"), Err(Refused::NoReason));
        // To approve as one of several is for the rule's own group.
        assert_eq!(request.may_decide(&lead, Verdict::Approve, "fire", 1001), Err(Refused::NotInGroup));
        decide(&mut request, &approver("bob"), Verdict::Approve, 1001).unwrap();
        assert_eq!(request.state, State::Pending);
        judge(&request, &lead, "fire").unwrap();
        let (approver, method, reason) = (lead.identity, Some(Method::Bearer), "fire".to_owned());
        let (verdict, groups, signature) = (Verdict::BreakGlass, Vec::new(), String::new());
        request.decide(Decision { approver, method, verdict, groups, reason, at_s: 1002, signature });
        assert_eq!((request.state, request.expires_at_s()), (State::Approved, Some(1062)));
    }

    #[test]
    fn r121_the_states() {
        let mut expired = request(1);
        assert!(!expired.expire(1099) && expired.expire(1100));
        assert_eq!(decide(&mut expired, &approver("ann"), Verdict::Approve, 1100), Err(Refused::TooLate(State::Expired)));
        let mut unused = request(1);
        decide(&mut unused, &approver("ann"), Verdict::Approve, 1099).unwrap();
        assert_eq!(unused.expires_at_s(), Some(1129));
        assert!(!unused.start("gate", 1129));
        assert_eq!(unused.state, State::Expired);
        let mut revoked = request(1);
        decide(&mut revoked, &approver("ann"), Verdict::Approve, 1001).unwrap();
        decide(&mut revoked, &approver("bob"), Verdict::Deny, 1002).unwrap();
        assert!(!revoked.start("gate", 1003));
        assert_eq!(revoked.state, State::Revoked);
        let mut taken_back = request(1);
        assert_eq!(taken_back.cancel(&identity("ann"), 1001), Err(Refused::OthersRequest));
        taken_back.cancel(&identity("agent"), 1001).unwrap();
        assert_eq!(decide(&mut taken_back, &approver("ann"), Verdict::Approve, 1002), Err(Refused::TooLate(State::Cancelled)));
        let mut run = request(1);
        decide(&mut run, &approver("ann"), Verdict::Approve, 1001).unwrap();
        assert!(run.start("gate", 1002) && !run.start("gate", 1002));
        run.finish(End::Unused, 1003);
        assert!(run.start("gate", 1003), "a call that did not begin takes nothing");
        run.finish(End::Unknown, 1003);
        run.finish(End::Known, 1004);
        assert_eq!((run.state, run.start("gate", 1005)), (State::OutcomeUnknown, false));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Decide(usize, Verdict),
        Start,
        Finish(End),
        Cancel(usize),
        Expire,
    }

    fn event() -> impl Strategy<Value = Event> {
        let verdict = prop_oneof![4 => Just(Verdict::Approve), 1 => Just(Verdict::Deny)];
        prop_oneof![
            5 => (0_usize..5, verdict).prop_map(|(who, verdict)| Event::Decide(who, verdict)),
            3 => Just(Event::Start),
            2 => prop_oneof![Just(End::Known), Just(End::Unknown), Just(End::Unused)].prop_map(Event::Finish),
            1 => (0_usize..5).prop_map(Event::Cancel),
            1 => Just(Event::Expire),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: at most one run, never without the quorum or after a denial or the end of its time.
        #[test]
        fn r121_a_call_runs_once_after_a_quorum_in_time_and_never_after_a_denial(
            quorum in 1_u32..4,
            events in proptest::collection::vec((event(), 0_u64..40), 1..30),
        ) {
            let people = ["agent", "ann", "bob", "cyd", "dan"];
            let (mut request, mut now, mut runs) = (request(quorum), 1000, 0);
            let (mut approved, mut denied, mut last) = (HashSet::new(), false, 0);
            for (event, later) in events {
                now += later;
                match event {
                    Event::Decide(who, verdict) => {
                        if decide(&mut request, &approver(people[who]), verdict, now).is_ok() {
                            prop_assert!(who != 0 && now < 1130);
                            prop_assert!(verdict == Verdict::Deny || now < 1100 && approved.insert(who));
                            denied |= verdict == Verdict::Deny;
                            last = if verdict == Verdict::Approve { now } else { last };
                        }
                    }
                    Event::Start => {
                        if request.start("gate", now) {
                            runs += 1;
                            prop_assert!(approved.len() >= quorum as usize && !denied && now < last + 30);
                        }
                    }
                    Event::Finish(end) => {
                        runs -= i32::from(request.state == State::Executing && end == End::Unused);
                        request.finish(end, now);
                    }
                    Event::Cancel(who) => prop_assert!(request.cancel(&identity(people[who]), now).is_err() || who == 0),
                    Event::Expire => { request.expire(now); }
                }
                prop_assert!(runs <= 1);
                prop_assert_eq!(runs == 1, matches!(request.state, State::Executing | State::Done | State::OutcomeUnknown));
            }
        }
    }
}
