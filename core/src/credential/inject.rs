//! Chooses the credential of a call and lets it go to the one origin it is bound to.
//!
//! Invariant: a call that is to have a credential and for which there is none now is not sent at all.

use std::sync::Arc;

use super::callers::CallerCredential;
use super::echo::Echo;
use super::held::{Held, Kept};
use super::placement::Placement;
use crate::config::Credential;
use crate::config::url::Origin;

/// A credential chosen for a call, bound to the one origin it may go to.
pub struct Injection {
    origin: Arc<Origin>,
    held: Arc<Held>,
    serial: Option<u64>,
}

impl Injection {
    /// Which of its caller's credentials it is; `None` for one that all callers share.
    pub fn serial(&self) -> Option<u64> {
        self.serial
    }

    /// The credential, for the origin it is bound to and no other.
    pub fn for_origin(&self, origin: &Origin) -> Option<&Held> {
        (*origin == *self.origin).then_some(&self.held)
    }

    /// Whether it is the same version of the same credential.
    pub fn is(&self, other: &Injection) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
    }

    /// Which credential it is.
    pub fn held(&self) -> &Held {
        &self.held
    }
}

/// The credential that a call is to have cannot be had now: its name.
#[derive(Debug, PartialEq, Eq)]
pub struct NoCredential(pub String);

/// What a call is to have.
pub enum Chosen<'c> {
    /// It needs no credential.
    Nothing,
    /// This one.
    Ready(Injection),
    /// One of its caller's own, for the credential of this position and name.
    OfCaller(usize, &'c str),
}

/// One credential that calls to an upstream may have.
struct Choice {
    /// Position in the configuration.
    index: usize,
    name: String,
    placement: Arc<Placement>,
    held: Option<Arc<Held>>,
    is_of_caller: bool,
}

/// All credentials that calls to one upstream may have.
pub struct Credentials {
    origin: Arc<Origin>,
    default: Option<usize>,
    choices: Vec<Choice>,
    echo: Echo,
}

impl Credentials {
    /// No credential yet, for an upstream at this origin. `default`: the credential of calls for which no rule names another.
    pub fn new(origin: Origin, default: Option<usize>) -> Self {
        Credentials { origin: Arc::new(origin), default, choices: Vec::new(), echo: Echo::default() }
    }

    /// Adds a credential that calls may have.
    pub fn add(&mut self, index: usize, credential: &Credential, kept: &Kept) {
        self.echo.add(kept.forms());
        let (name, placement, held) = (credential.name.clone(), Arc::clone(&credential.placement), kept.held().cloned());
        self.choices.push(Choice { index, name, placement, held, is_of_caller: credential.source.is_of_caller() });
    }

    /// The credential of a call at this time, in Unix seconds: the one its rule names, or the upstream's own.
    ///
    /// # Errors
    /// [`NoCredential`]: it has not arrived, or it has expired.
    pub fn choose(&self, by_rule: Option<usize>, now_s: u64) -> Result<Chosen<'_>, NoCredential> {
        let Some(index) = by_rule.or(self.default) else { return Ok(Chosen::Nothing) };
        let Some(choice) = self.choices.iter().find(|choice| choice.index == index) else {
            return Err(NoCredential(String::new()));
        };
        if choice.is_of_caller {
            return Ok(Chosen::OfCaller(index, &choice.name));
        }
        match choice.held.as_ref().filter(|held| held.is_live(now_s)) {
            Some(held) => Ok(Chosen::Ready(Injection { origin: Arc::clone(&self.origin), held: Arc::clone(held), serial: None })),
            None => Err(NoCredential(choice.name.clone())),
        }
    }

    /// The credential of this position for a program's environment at this time, in Unix seconds, where there is one.
    pub fn variable(&self, index: usize, now_s: u64) -> Option<&Held> {
        let choice = self.choices.iter().find(|choice| choice.index == index)?;
        choice.held.as_deref().filter(|held| held.is_live(now_s) && held.variable().is_some())
    }

    /// A caller's own credential, bound to the upstream's origin.
    pub fn of_caller(&self, credential: &CallerCredential) -> Injection {
        Injection { origin: Arc::clone(&self.origin), held: Arc::clone(&credential.held), serial: Some(credential.serial) }
    }

    /// The positions of those credentials of which each caller has its own.
    pub fn each_of_caller(&self) -> impl Iterator<Item = usize> {
        self.choices.iter().filter(|choice| choice.is_of_caller).map(|choice| choice.index)
    }

    /// Whether a field of this name is ours to set, so that the caller's is not passed on.
    pub fn own(&self, field: &[u8]) -> bool {
        let is_field = |choice: &Choice| choice.placement.field().is_some_and(|own| own.eq_ignore_ascii_case(field));
        self.choices.iter().any(is_field)
    }

    /// Finds each of them that all callers share in what the upstream sends; `None` where there is nothing to look for.
    pub fn echo(&self) -> Option<&Echo> {
        Some(&self.echo).filter(|echo| !echo.is_empty())
    }

    /// Finds each of them in what the upstream sends to a caller who has these for itself.
    pub fn echo_with<'k>(&self, own: impl Iterator<Item = &'k CallerCredential>) -> Echo {
        let mut echo = self.echo.clone();
        own.for_each(|own| echo.add(own.forms()));
        echo
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::source::{Issued, Secret, Source};
    use super::*;
    use crate::config::url::HttpUrl;
    use zeroize::Zeroizing;

    fn kept(name: &str, index: usize, expires_s: Option<u64>) -> Kept {
        let secret = Secret::new(Zeroizing::new(b"s3cret-value".to_vec())).unwrap();
        let placement = Arc::new(Placement::header("X-Api-Key", "").unwrap());
        let mut kept = Kept::default();
        kept.take(Arc::new(Held::new(index, name, placement, Issued { secret, version: 1, expires_s, life_ms: None }, None)));
        kept
    }

    fn origin(url: &str) -> Origin {
        HttpUrl::parse(url).unwrap().origin
    }

    /// the rule's credential or the upstream's own; never another, never none, and towards one origin only.
    #[test]
    fn r131_r132_the_chosen_credential_or_no_call() {
        let placement = Arc::new(Placement::header("X-Api-Key", "").unwrap());
        let mut all = Credentials::new(origin("https://a.example/mcp"), Some(0));
        let credential =
            |name: &str| Credential { name: name.into(), source: Source::Env("X".into()), placement: Arc::clone(&placement) };
        all.add(0, &credential("ro"), &kept("ro", 0, Some(100)));
        all.add(4, &credential("rw"), &kept("rw", 4, None));
        all.add(5, &credential("late"), &Kept::default());
        let ready = |by_rule, now| match all.choose(by_rule, now)? {
            Chosen::Ready(chosen) => Ok(chosen),
            Chosen::Nothing | Chosen::OfCaller(..) => panic!("nothing is chosen"),
        };
        let name = |by_rule, now| ready(by_rule, now).map(|chosen| chosen.held().name.clone());
        assert_eq!(name(None, 99).as_deref(), Ok("ro"));
        assert_eq!(name(None, 100), Err(NoCredential("ro".into())));
        assert_eq!(name(Some(4), 100).as_deref(), Ok("rw"));
        assert_eq!(name(Some(5), 0), Err(NoCredential("late".into())));
        assert_eq!(name(Some(9), 0), Err(NoCredential(String::new())));
        assert!(all.own(b"x-api-key") && !all.own(b"Accept"));
        let chosen = ready(Some(4), 0).unwrap_or_else(|_| panic!("nothing is chosen"));
        assert!(chosen.for_origin(&origin("https://a.example/")).is_some());
        for other in ["https://b.example/", "http://a.example/", "https://a.example:8443/"] {
            assert!(chosen.for_origin(&origin(other)).is_none(), "{other}");
        }
        let none = Credentials::new(origin("https://a.example/"), None);
        assert!(matches!(none.choose(None, 0), Ok(Chosen::Nothing)));
    }
}
