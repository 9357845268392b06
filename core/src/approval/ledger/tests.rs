#![allow(clippy::unwrap_used)]
use super::*;
use crate::approval::group::Group;
use crate::approval::request::{Method, Panel, Window};
use crate::approval::store::RedbStore;
use crate::approval::tests::{receiver, telling};
use crate::config::Limits;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

const NOW: u64 = 1_000_000;
const BOUNDS: Bounds = Bounds { pending_per_principal_max: 3, cooldown_s: 60 };

fn opener(dir: &Path) -> Opener {
    let dir = dir.to_owned();
    Box::new(move || RedbStore::open(&dir).map(|store| Box::new(store) as Box<dyn Store>))
}

fn ledger(dir: &Path, now_s: u64) -> Ledger {
    Ledger::new("gate".into(), opener(dir), Signer::open(dir).unwrap(), BOUNDS, now_s)
}

fn identity(subject: &str) -> Identity {
    Identity { issuer: "corp".into(), subject: subject.into() }
}

fn approver(subject: &str) -> Approver {
    Approver { identity: identity(subject), client: Some("console".into()), names: vec!["dba".into()], method: Method::Bearer }
}

fn ask(digest: &str, quorum: u32) -> Ask {
    let call = HeldCall {
        upstream: "crm".into(),
        method: "tools/call".into(),
        tool: "drop".into(),
        params: r#"{"name":"drop"}"#.into(),
        masked: false,
        rule: "r".into(),
        client: "cli".into(),
    };
    let terms = Terms {
        panel: Panel { group: Group::Anywhere("dba".into()), quorum, allow_machine_approver: false },
        also: Vec::new(),
        rules: Vec::new(),
        ttl_s: 900,
        use_ttl_s: 300,
        window: None,
        break_glass: None,
    };
    Ask { digest: digest.into(), requester: identity("agent"), actors: Vec::new(), call, terms, known: None }
}

fn pending(answer: Answer) -> (String, Arc<AtomicBool>) {
    match answer {
        Answer::Pending { id, moved, .. } => (id, moved),
        other => panic!("not pending: {other:?}"),
    }
}

fn granted(answer: Answer) -> Grant {
    match answer {
        Answer::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

fn approve(ledger: &mut Ledger, id: &str, who: &str, now_s: u64) {
    ledger.decide(id, &approver(who), Verdict::Approve, "", now_s).unwrap();
}

#[test]
fn r121_an_approved_call_runs_once_and_the_next_asks_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger(dir.path(), NOW);
    let (id, moved) = pending(ledger.ask(&ask("a", 1), NOW));
    assert!(id.starts_with("APR-") && id.len() == 12, "{id}");
    assert!(!moved.load(Ordering::Acquire));
    approve(&mut ledger, &id, "ann", NOW + 1);
    assert!(moved.load(Ordering::Acquire));
    let grant = granted(ledger.ask(&ask("a", 1), NOW + 2));
    assert_eq!((grant.id(), grant.digest()), (id.as_str(), "a"));
    assert!(matches!(ledger.ask(&ask("a", 1), NOW + 2), Answer::Stopped(Stopped::Running { .. })));
    grant.finish(true);
    ledger.sweep(NOW + 3);
    assert_eq!(ledger.get(&id, NOW + 3).unwrap().state, State::Done);
    assert_ne!(pending(ledger.ask(&ask("a", 1), NOW + 4)).0, id);
    // A grant that is dropped before its call begins is there again; one that is dropped after that leaves nobody knowing.
    let (id, _) = pending(ledger.ask(&ask("b", 1), NOW));
    approve(&mut ledger, &id, "ann", NOW + 1);
    drop(granted(ledger.ask(&ask("b", 1), NOW + 2)));
    let grant = granted(ledger.ask(&ask("b", 1), NOW + 2));
    assert_eq!(grant.id(), id);
    grant.begin();
    drop(grant);
    ledger.sweep(NOW + 3);
    assert_eq!(ledger.get(&id, NOW + 3).unwrap().state, State::OutcomeUnknown);
    // One that ended without anything sent, as where the upstream cannot be reached, is there again as well.
    let (id, _) = pending(ledger.ask(&ask("c", 1), NOW));
    approve(&mut ledger, &id, "ann", NOW + 1);
    let grant = granted(ledger.ask(&ask("c", 1), NOW + 2));
    assert!(!grant.has_begun());
    grant.finish(false);
    ledger.sweep(NOW + 3);
    assert_eq!(granted(ledger.ask(&ask("c", 1), NOW + 3)).id(), id);
}

#[test]
fn r122_what_is_approved_for_a_time_runs_as_often_as_it_is_called_until_it_is_over_or_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger(dir.path(), NOW);
    let window = |scope: &str| {
        let mut ask = ask(scope, 1);
        ask.terms.window = Some(Window { seconds: 600, scope: scope.into() });
        ask
    };
    let (id, _) = pending(ledger.ask(&window("a"), NOW));
    approve(&mut ledger, &id, "ann", NOW + 10);
    for now_s in [NOW + 11, NOW + 12, NOW + 609] {
        let first = granted(ledger.ask(&window("a"), now_s));
        let second = granted(ledger.ask(&window("a"), now_s));
        assert_eq!((first.id(), second.id()), (id.as_str(), id.as_str()));
        first.begin();
        drop(first);
        second.finish(true);
        ledger.sweep(now_s);
        assert_eq!(ledger.get(&id, now_s).unwrap().state, State::Approved);
    }
    // Whoever asks for more, or for something else, asks people.
    let mut longer = window("a");
    longer.terms.window.as_mut().unwrap().seconds = 6000;
    assert_ne!(pending(ledger.ask(&longer, NOW + 20)).0, id);
    assert_ne!(pending(ledger.ask(&window("b"), NOW + 20)).0, id);
}

#[test]
fn r122_a_window_ends_by_its_time_and_by_a_denial() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger(dir.path(), NOW);
    let window = |digest: &str| {
        let mut ask = ask(digest, 1);
        ask.terms.window = Some(Window { seconds: 600, scope: String::new() });
        ask
    };
    let (over, _) = pending(ledger.ask(&window("over"), NOW));
    let (revoked, _) = pending(ledger.ask(&window("revoked"), NOW));
    approve(&mut ledger, &over, "ann", NOW + 10);
    approve(&mut ledger, &revoked, "ann", NOW + 10);
    granted(ledger.ask(&window("revoked"), NOW + 11));
    ledger.decide(&revoked, &approver("bob"), Verdict::Deny, "enough", NOW + 12).unwrap();
    assert!(matches!(ledger.ask(&window("revoked"), NOW + 13), Answer::Stopped(Stopped::Denied { .. })));
    assert_ne!(pending(ledger.ask(&window("over"), NOW + 610)).0, over);
    assert_eq!(ledger.get(&over, NOW + 610).unwrap().state, State::Expired);
}

#[test]
fn r127_one_who_may_lets_the_call_run_alone_and_no_forger_does() {
    let dir = tempfile::tempdir().unwrap();
    let ask = || {
        let mut ask = ask("a", 3);
        ask.terms.break_glass = Some(Group::Anywhere("lead".into()));
        ask
    };
    let lead = Approver { names: vec!["lead".into()], ..approver("ann") };
    let id = {
        let mut ledger = ledger(dir.path(), NOW);
        let (id, _) = pending(ledger.ask(&ask(), NOW));
        approve(&mut ledger, &id, "bob", NOW + 1);
        id
    };
    // A signed approval that is made an order of one alone is not what was signed.
    tamper(dir.path(), &id, |request| {
        (request.state, request.decisions[0].verdict) = (State::Approved, Verdict::BreakGlass);
    });
    let mut ledger = ledger(dir.path(), NOW + 2);
    let (id, moved) = pending(ledger.ask(&ask(), NOW + 2));
    ledger.decide(&id, &lead, Verdict::BreakGlass, "the site is down", NOW + 3).unwrap();
    assert!(moved.load(Ordering::Acquire) && ledger.glass_broken() == 1);
    let grant = granted(ledger.ask(&ask(), NOW + 4));
    assert!(grant.breaks_glass());
    grant.finish(true);
    ledger.sweep(NOW + 5);
    assert_eq!(ledger.get(&id, NOW + 5).unwrap().state, State::Done);
}

#[test]
fn r127_who_has_approved_as_one_of_several_may_break_the_glass_and_the_call_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut ask = ask("a", 2);
    ask.terms.break_glass = Some(Group::Anywhere("lead".into()));
    let ann = Approver { names: vec!["dba".into(), "lead".into()], ..approver("ann") };
    let mut ledger = ledger(dir.path(), NOW);
    let (id, _) = pending(ledger.ask(&ask, NOW));
    ledger.decide(&id, &ann, Verdict::Approve, "", NOW + 1).unwrap();
    assert_eq!(pending(ledger.ask(&ask, NOW + 2)).0, id);
    ledger.decide(&id, &ann, Verdict::BreakGlass, "the site is down", NOW + 3).unwrap();
    let grant = granted(ledger.ask(&ask, NOW + 4));
    assert_eq!((grant.id(), grant.breaks_glass()), (id.as_str(), true));
}

#[test]
fn r126_the_same_call_finds_the_same_request_and_requests_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger(dir.path(), NOW);
    let (id, _) = pending(ledger.ask(&ask("a", 1), NOW));
    assert_eq!(pending(ledger.ask(&ask("a", 1), NOW + 10)).0, id);
    pending(ledger.ask(&ask("b", 1), NOW));
    pending(ledger.ask(&ask("c", 1), NOW));
    assert!(matches!(ledger.ask(&ask("d", 1), NOW), Answer::Stopped(Stopped::TooMany)));
    pending(ledger.ask(&Ask { requester: identity("other"), ..ask("d", 1) }, NOW));
    // A denied call is not asked for again until the cooldown is over.
    ledger.decide(&id, &approver("ann"), Verdict::Deny, "not on Friday", NOW + 20).unwrap();
    match ledger.ask(&ask("a", 1), NOW + 30) {
        Answer::Stopped(Stopped::Denied { id: denied, reason, retry_after_s }) => {
            assert_eq!((denied, reason.as_str(), retry_after_s), (id.clone(), "not on Friday", 50));
        }
        other => panic!("not denied: {other:?}"),
    }
    assert_ne!(pending(ledger.ask(&ask("a", 1), NOW + 80)).0, id);
}

#[test]
fn r126_who_takes_back_what_they_asked_for_asks_no_more_people_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger(dir.path(), NOW);
    let agent = identity("agent");
    for digest in ["a", "b", "c"] {
        let (id, _) = pending(ledger.ask(&ask(digest, 1), NOW));
        ledger.cancel(&id, &agent, NOW + 1).unwrap();
        match ledger.ask(&ask(digest, 1), NOW + 2) {
            Answer::Stopped(Stopped::Over { id: over, state }) => assert_eq!((over, state), (id, State::Cancelled)),
            other => panic!("not over: {other:?}"),
        }
    }
    // Another call is no way round it.
    assert!(matches!(ledger.ask(&ask("d", 1), NOW + 60), Answer::Stopped(Stopped::TooMany)));
    pending(ledger.ask(&ask("a", 1), NOW + 61));
}

#[test]
fn r126_what_one_asked_for_does_not_drive_out_what_others_did_nor_what_cools() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger(dir.path(), NOW);
    let other = Ask { requester: identity("other"), ..ask("other", 1) };
    let (others, _) = pending(ledger.ask(&other, NOW));
    ledger.decide(&others, &approver("ann"), Verdict::Deny, "", NOW).unwrap();
    let ended = |at: usize, changed_at_s: u64, state| {
        let ask = ask(&format!("d{at}"), 1);
        let mut request = Request::new(format!("APR-{at}"), ask.digest, ask.requester, ask.call, ask.terms, NOW);
        (request.state, request.changed_at_s) = (state, changed_at_s);
        request
    };
    let fill = |ledger: &mut Ledger, requests: Vec<Request>| {
        ledger
            .change(|ledger| requests.into_iter().try_for_each(|request| ledger.keep(request)))
            .map_err(|_: StoreError| ())
            .unwrap();
    };
    fill(&mut ledger, (0..2 * ENDED_PER_PRINCIPAL_MAX).map(|at| ended(at, NOW + 1, State::Done)).collect());
    ledger.sweep(NOW + 100);
    assert_eq!(ledger.list(NOW + 100).len(), ENDED_PER_PRINCIPAL_MAX + 1);
    assert!(ledger.get(&others, NOW + 100).is_ok());
    // A denial that is older than all of these still holds back its call.
    fill(&mut ledger, vec![ended(9000, NOW + 100, State::Denied)]);
    fill(&mut ledger, (500..700).map(|at| ended(at, NOW + 101, State::Done)).collect());
    ledger.sweep(NOW + 159);
    assert!(ledger.get("APR-9000", NOW + 159).is_ok());
    ledger.sweep(NOW + 160);
    assert!(ledger.get("APR-9000", NOW + 160).is_err());
}

#[test]
fn r121_a_restart_keeps_what_was_decided_and_never_runs_a_lost_call_again() {
    let dir = tempfile::tempdir().unwrap();
    let (open, approved, running) = {
        let mut ledger = ledger(dir.path(), NOW);
        let open = pending(ledger.ask(&ask("open", 2), NOW)).0;
        let approved = pending(ledger.ask(&ask("approved", 1), NOW)).0;
        let running = pending(ledger.ask(&ask("running", 1), NOW)).0;
        approve(&mut ledger, &open, "ann", NOW + 1);
        approve(&mut ledger, &approved, "ann", NOW + 1);
        approve(&mut ledger, &running, "ann", NOW + 1);
        std::mem::forget(granted(ledger.ask(&ask("running", 1), NOW + 2)));
        (open, approved, running)
    };
    let mut ledger = ledger(dir.path(), NOW + 10);
    assert_eq!(ledger.get(&running, NOW + 10).unwrap().state, State::OutcomeUnknown);
    assert_ne!(pending(ledger.ask(&ask("running", 1), NOW + 10)).0, running);
    assert_eq!(granted(ledger.ask(&ask("approved", 1), NOW + 10)).id(), approved);
    assert_eq!(pending(ledger.ask(&ask("open", 2), NOW + 10)).0, open);
    approve(&mut ledger, &open, "bob", NOW + 11);
    assert_eq!(granted(ledger.ask(&ask("open", 2), NOW + 12)).id(), open);
}

#[test]
fn an_approval_that_is_not_used_in_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger(dir.path(), NOW);
    let (id, _) = pending(ledger.ask(&ask("a", 1), NOW));
    approve(&mut ledger, &id, "ann", NOW + 1);
    let (late, moved) = pending(ledger.ask(&ask("b", 1), NOW));
    assert_ne!(pending(ledger.ask(&ask("a", 1), NOW + 301)).0, id);
    ledger.sweep(NOW + 900);
    // Who waited for it is told, and no new request is made in their name.
    match ledger.ask(&Ask { known: Some(late.clone()), ..ask("b", 1) }, NOW + 900) {
        Answer::Stopped(Stopped::Over { id, state }) => assert_eq!((id, state), (late.clone(), State::Expired)),
        other => panic!("not over: {other:?}"),
    }
    assert!(moved.load(Ordering::Acquire));
    assert_eq!(ledger.get(&late, NOW + 900).unwrap().state, State::Expired);
    // Ended requests are forgotten after a week.
    ledger.sweep(NOW + 901 + ENDED_KEPT_S);
    assert!(matches!(ledger.get(&late, NOW), Err(LedgerError::Unknown)));
}

/// Changes a stored request as somebody could who can write to the store.
fn tamper(dir: &Path, id: &str, change: impl Fn(&mut Request)) {
    let mut store = RedbStore::open(dir).unwrap();
    let mut request = store.begin().unwrap().into_iter().find(|request| request.id == id).unwrap();
    change(&mut request);
    store.put(&request).unwrap();
}

#[test]
fn r124_who_writes_to_the_store_alone_cannot_approve() {
    let approved = |decision: &Decision| Decision { verdict: Verdict::Approve, ..decision.clone() };
    type Change = Box<dyn Fn(&mut Request)>;
    let changes: Vec<(u32, Change)> = vec![
        (1, Box::new(|request| request.state = State::Approved)),
        (1, {
            let forged = Decision {
                approver: identity("ann"),
                method: Some(Method::Bearer),
                verdict: Verdict::Approve,
                groups: Vec::new(),
                reason: String::new(),
                at_s: NOW + 1,
                signature: "AAAA".into(),
            };
            Box::new(move |request| {
                request.state = State::Approved;
                request.decisions = vec![forged.clone()];
            })
        }),
        (2, Box::new(|request| (request.state, request.terms.panel.quorum) = (State::Approved, 1))),
        (2, {
            Box::new(move |request| {
                request.state = State::Approved;
                let twice = approved(&request.decisions[0]);
                request.decisions.push(twice);
            })
        }),
        (2, {
            Box::new(move |request| {
                request.state = State::Approved;
                let other = Decision { approver: identity("bob"), ..request.decisions[0].clone() };
                request.decisions.push(other);
            })
        }),
    ];
    for (index, (quorum, change)) in changes.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let id = {
            let mut ledger = ledger(dir.path(), NOW);
            let (id, _) = pending(ledger.ask(&ask("a", quorum), NOW));
            if quorum > 1 {
                approve(&mut ledger, &id, "ann", NOW + 1);
            }
            id
        };
        tamper(dir.path(), &id, change);
        let answer = ledger(dir.path(), NOW + 2).ask(&ask("a", quorum), NOW + 2);
        assert!(matches!(answer, Answer::Pending { .. }), "change {index}: {answer:?}");
    }
}

#[test]
fn r124_an_approval_fits_no_other_call_and_its_time_is_what_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    let id = {
        let mut ledger = ledger(dir.path(), NOW);
        let (id, _) = pending(ledger.ask(&ask("a", 1), NOW));
        approve(&mut ledger, &id, "ann", NOW + 1);
        id
    };
    tamper(dir.path(), &id, |request| request.digest = "b".into());
    assert!(matches!(ledger(dir.path(), NOW + 2).ask(&ask("b", 1), NOW + 2), Answer::Pending { .. }));
    tamper(dir.path(), &id, |request| {
        (request.digest, request.changed_at_s, request.decisions[0].at_s) = ("a".into(), NOW + 1000, NOW + 1000);
    });
    assert!(matches!(ledger(dir.path(), NOW + 1001).ask(&ask("a", 1), NOW + 1001), Answer::Pending { .. }));
}

/// A store that fails when it is told to.
struct Failing(RedbStore, Arc<AtomicBool>);

impl Store for Failing {
    fn put(&mut self, request: &Request) -> Result<(), StoreError> {
        if self.1.load(Ordering::Relaxed) { Err(StoreError::closed()) } else { self.0.put(request) }
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), StoreError> {
        self.0.remove(ids)
    }

    fn put_task(&mut self, id: &str, sealed: &[u8]) -> Result<(), StoreError> {
        if self.1.load(Ordering::Relaxed) { Err(StoreError::closed()) } else { self.0.put_task(id, sealed) }
    }

    fn task(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.task(id)
    }

    fn remove_task(&mut self, id: &str) -> Result<(), StoreError> {
        self.0.remove_task(id)
    }

    fn begin(&mut self) -> Result<Vec<Request>, StoreError> {
        self.0.begin()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.0.commit()
    }

    fn is_alive(&self, gateway: &str) -> bool {
        self.0.is_alive(gateway)
    }
}

#[test]
fn nothing_is_granted_while_the_store_fails_and_everything_is_there_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (path, fails, opened) = (dir.path().to_owned(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (down, count) = (Arc::clone(&fails), Arc::clone(&opened));
    let open: Opener = Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let store = RedbStore::open(&path)?;
        Ok(Box::new(Failing(store, Arc::clone(&down))))
    });
    let ledger = Mutex::new(Ledger::new("gate".into(), open, Signer::open(dir.path()).unwrap(), BOUNDS, NOW));
    let mut ledger = ledger.lock().unwrap();
    let (id, moved) = pending(ledger.ask(&ask("a", 1), NOW));
    approve(&mut ledger, &id, "ann", NOW + 1);
    fails.store(true, Ordering::Relaxed);
    assert!(matches!(ledger.ask(&ask("a", 1), NOW + 2), Answer::Stopped(Stopped::Unavailable)));
    assert!(matches!(ledger.ask(&ask("b", 1), NOW + 2), Answer::Stopped(Stopped::Unavailable)));
    assert!(matches!(ledger.cancel(&id, &identity("agent"), NOW + 2), Err(LedgerError::Store(_))));
    assert!(!ledger.is_available());
    fails.store(false, Ordering::Relaxed);
    ledger.sweep(NOW + 3);
    assert!(ledger.is_available() && opened.load(Ordering::Relaxed) == 2 && moved.load(Ordering::Acquire));
    assert_eq!(granted(ledger.ask(&ask("a", 1), NOW + 4)).id(), id);
}

/// A store in which others change requests too.
struct Shared(RedbStore, Arc<Mutex<Vec<Request>>>);

impl Store for Shared {
    fn put(&mut self, request: &Request) -> Result<(), StoreError> {
        self.0.put(request)
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), StoreError> {
        self.0.remove(ids)
    }

    fn put_task(&mut self, id: &str, sealed: &[u8]) -> Result<(), StoreError> {
        self.0.put_task(id, sealed)
    }

    fn task(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.task(id)
    }

    fn remove_task(&mut self, id: &str) -> Result<(), StoreError> {
        self.0.remove_task(id)
    }

    fn begin(&mut self) -> Result<Vec<Request>, StoreError> {
        self.0.begin().map(|own| own.into_iter().chain(self.1.lock().unwrap().drain(..)).collect())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.0.commit()
    }

    fn is_alive(&self, gateway: &str) -> bool {
        self.0.is_alive(gateway)
    }
}

/// A ledger's outbox with one receiver, and what that is told.
fn outbox() -> (Outbox, impl FnMut() -> Vec<String>) {
    let approval = telling(vec![receiver(&[], &[])]);
    let (outbox, mut queues) = Outbox::new(&approval, None, &Limits::default(), Arc::default());
    let mut queue = queues.remove(0);
    (outbox, move || std::iter::from_fn(|| queue.try_recv().ok()).map(|notice| notice.id).collect())
}

#[test]
fn what_becomes_of_a_request_is_told_once_it_is_kept_and_by_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, others) = (dir.path().to_owned(), Arc::new(Mutex::new(Vec::new())));
    let elsewhere = Arc::clone(&others);
    let open: Opener = Box::new(move || Ok(Box::new(Shared(RedbStore::open(&path)?, Arc::clone(&elsewhere)))));
    let mut ledger = Ledger::new("gate".into(), open, Signer::open(dir.path()).unwrap(), BOUNDS, NOW);
    let (before, _) = pending(ledger.ask(&ask("a", 2), NOW));
    let (over, _) = pending(ledger.ask(&ask("b", 1), NOW));
    let (outbox, mut told) = outbox();
    ledger.decide(&over, &approver("ann"), Verdict::Deny, "", NOW).unwrap();
    ledger.tell(outbox, NOW);
    assert_eq!(told(), [format!("{before}-pending")]);
    approve(&mut ledger, &before, "ann", NOW + 1);
    let (id, _) = pending(ledger.ask(&ask("c", 1), NOW + 1));
    assert_eq!(told(), [format!("{before}-decided-1"), format!("{id}-pending")]);
    // Another gateway has denied it, and tells of that.
    let mut denied = ledger.get(&id, NOW + 1).unwrap();
    denied.state = State::Denied;
    others.lock().unwrap().push(denied);
    assert_eq!(ledger.get(&id, NOW + 1).unwrap().state, State::Denied);
    approve(&mut ledger, &before, "bob", NOW + 2);
    granted(ledger.ask(&ask("a", 2), NOW + 2)).finish(true);
    ledger.sweep(NOW + 3);
    assert_eq!(told(), [format!("{before}-decided-2")]);
}

#[test]
fn what_the_store_did_not_keep_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let (path, fails) = (dir.path().to_owned(), Arc::new(AtomicBool::new(false)));
    let down = Arc::clone(&fails);
    let open: Opener = Box::new(move || Ok(Box::new(Failing(RedbStore::open(&path)?, Arc::clone(&down)))));
    let mut ledger = Ledger::new("gate".into(), open, Signer::open(dir.path()).unwrap(), BOUNDS, NOW);
    let (outbox, mut told) = outbox();
    ledger.tell(outbox, NOW);
    let (id, _) = pending(ledger.ask(&ask("a", 1), NOW));
    assert_eq!(told(), [format!("{id}-pending")]);
    fails.store(true, Ordering::Relaxed);
    assert!(ledger.decide(&id, &approver("ann"), Verdict::Deny, "", NOW + 1).is_err());
    assert!(told().is_empty());
    fails.store(false, Ordering::Relaxed);
    // As after a restart, what is pending is told again.
    ledger.sweep(NOW + 3);
    assert_eq!(told(), [format!("{id}-pending")]);
}

#[test]
fn strangers_on_the_machine_cannot_read_the_requests() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    pending(ledger(dir.path(), NOW).ask(&ask("a", 1), NOW));
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", entry.path().display());
    }
}

#[test]
fn r124_the_key_is_private_and_stays_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("decision-key");
    let first = {
        Signer::open(dir.path()).unwrap();
        std::fs::read(&key).unwrap()
    };
    Signer::open(dir.path()).unwrap();
    assert_eq!(std::fs::read(&key).unwrap(), first);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Signer::open(dir.path()), Err(crate::approval::sign::SignerError::Readable(_))));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, "no key").unwrap();
    assert!(matches!(Signer::open(dir.path()), Err(crate::approval::sign::SignerError::Malformed(_))));
}

#[test]
fn a_task_is_its_requesters_and_keeps_the_call_and_then_how_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (agent, other) = (identity("agent"), identity("other"));
    let mut ledger = ledger(dir.path(), NOW);
    let (id, _) = pending(ledger.ask(&ask("a", 1), NOW));
    assert!(matches!(ledger.keep_call(&id, &other, b"call", NOW), Err(LedgerError::Unknown)));
    assert!(ledger.keep_call(&id, &agent, b"call", NOW).unwrap().has_task);
    assert!(matches!(ledger.task(&id, &other, NOW), Err(LedgerError::Unknown)));
    assert!(matches!(ledger.task(&id, &agent, NOW), Ok(Tasked::Working(_))));
    // Only a call that runs can have ended.
    assert!(ledger.keep_outcome(&id, &agent, b"outcome", End::Known, NOW).is_err());
    approve(&mut ledger, &id, "ann", NOW + 1);
    let Ok(Tasked::Ready(_, call)) = ledger.task(&id, &agent, NOW + 2) else { panic!("not ready") };
    assert_eq!(call, b"call");
    let grant = granted(ledger.ask(&ask("a", 1), NOW + 3));
    grant.begin();
    assert!(matches!(ledger.task(&id, &agent, NOW + 3), Ok(Tasked::Working(_))));
    assert!(ledger.keep_call(&id, &agent, b"other call", NOW + 3).is_err());
    ledger.keep_outcome(&id, &agent, b"outcome", End::Known, NOW + 4).unwrap();
    drop((ledger, grant));
    let mut ledger = self::ledger(dir.path(), NOW + 5);
    let kept = |ledger: &mut Ledger, now_s: u64| match ledger.task(&id, &agent, now_s) {
        Ok(Tasked::Ended(request, kept)) => (request.state, kept),
        other => panic!("not ended: {other:?}"),
    };
    assert_eq!(kept(&mut ledger, NOW + 3 + 3600), (State::Done, Some(b"outcome".to_vec())));
    ledger.sweep(NOW + 4 + 3600);
    assert_eq!(kept(&mut ledger, NOW + 4 + 3600), (State::Done, None));
}

#[test]
fn a_call_that_will_not_run_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let agent = identity("agent");
    let mut ledger = ledger(dir.path(), NOW);
    let kept = |ledger: &mut Ledger, digest: &str| {
        let (id, _) = pending(ledger.ask(&ask(digest, 1), NOW));
        ledger.keep_call(&id, &agent, b"call", NOW).unwrap();
        id
    };
    let (denied, cancelled, expired) = (kept(&mut ledger, "a"), kept(&mut ledger, "b"), kept(&mut ledger, "c"));
    ledger.decide(&denied, &approver("ann"), Verdict::Deny, "no", NOW + 1).unwrap();
    ledger.cancel(&cancelled, &agent, NOW + 1).unwrap();
    ledger.sweep(NOW + 900);
    drop(ledger);
    let mut store = RedbStore::open(dir.path()).unwrap();
    for id in [denied, cancelled, expired] {
        assert_eq!(store.task(&id).unwrap(), None, "{id}");
    }
}

#[test]
fn what_a_task_was_told_of_a_call_that_broke_off_is_what_it_is_told_ever_after() {
    let dir = tempfile::tempdir().unwrap();
    let agent = identity("agent");
    let mut ledger = ledger(dir.path(), NOW);
    let (id, _) = pending(ledger.ask(&ask("a", 1), NOW));
    ledger.keep_call(&id, &agent, b"call", NOW).unwrap();
    approve(&mut ledger, &id, "ann", NOW + 1);
    let grant = granted(ledger.ask(&ask("a", 1), NOW + 2));
    grant.begin();
    ledger.keep_outcome(&id, &agent, b"it broke off", End::Unknown, NOW + 3).unwrap();
    grant.finish(false);
    ledger.sweep(NOW + 4);
    let Ok(Tasked::Ended(request, kept)) = ledger.task(&id, &agent, NOW + 5) else { panic!("not ended") };
    assert_eq!((request.state, kept), (State::OutcomeUnknown, Some(b"it broke off".to_vec())));
    // A second end changes nothing.
    assert!(ledger.keep_outcome(&id, &agent, b"done", End::Known, NOW + 6).is_err());
}
