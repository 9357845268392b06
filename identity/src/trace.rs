//! What a verifier has checked of a token, for a person who asks why it is not taken.
//!
//! Invariant: only the verifier writes it, as it goes; neither the token nor its signature is in it.

/// One check of the verifier's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Three parts of strict base64url, of bounded size, with a header that asks for nothing unknown and no member twice.
    Form,
    /// The issuer is configured.
    Issuer,
    /// The algorithm may be used by the issuer.
    Algorithm,
    /// The issuer has the key.
    Key,
    /// The signature verifies.
    Signature,
    /// Claims read as the operator requires.
    Required,
    /// It is none of the tokens that its kind of issuer makes for something else.
    Profile,
    /// It is an access token by its type.
    Type,
    /// It is for the resource, and the issuer may speak for that.
    Audience,
    /// Its client may use a token for several audiences.
    Party,
    /// It counts now, and does not live longer than it may.
    Times,
    /// It has a subject.
    Subject,
    /// What it is bound to.
    Binding,
    /// Its principal, roles, groups, scopes and actors can be read.
    Mapping,
    /// It was not taken back.
    Standing,
}

impl Check {
    /// All of them, in the order in which they are made.
    pub const ALL: [Check; 15] = [
        Check::Form,
        Check::Issuer,
        Check::Algorithm,
        Check::Key,
        Check::Signature,
        Check::Required,
        Check::Profile,
        Check::Type,
        Check::Audience,
        Check::Party,
        Check::Times,
        Check::Subject,
        Check::Binding,
        Check::Mapping,
        Check::Standing,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Check::Form => "form",
            Check::Issuer => "issuer",
            Check::Algorithm => "algorithm",
            Check::Key => "key",
            Check::Signature => "signature",
            Check::Required => "required",
            Check::Profile => "profile",
            Check::Type => "type",
            Check::Audience => "audience",
            Check::Party => "party",
            Check::Times => "times",
            Check::Subject => "subject",
            Check::Binding => "binding",
            Check::Mapping => "mapping",
            Check::Standing => "standing",
        }
    }
}

/// Somebody who is told of each check.
pub(crate) trait Watch {
    /// The next check begins; `about` says what it looks at.
    fn begins(&mut self, check: Check, about: impl FnOnce() -> String);

    /// Whether the one costly step may be taken now.
    fn may_check(&mut self) -> bool {
        true
    }
}

/// Somebody who puts the costly step off when there were too many of them.
pub(crate) struct Paced<'p>(pub(crate) &'p mut dyn FnMut() -> bool);

impl Watch for Paced<'_> {
    fn begins(&mut self, _: Check, _: impl FnOnce() -> String) {}

    fn may_check(&mut self) -> bool {
        (self.0)()
    }
}

/// Nobody.
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    fn begins(&mut self, _: Check, _: impl FnOnce() -> String) {}
}

/// The checks that were begun, in order. All but the last have passed; the last has too where a principal came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    checks: Vec<(Check, String)>,
}

impl Trace {
    /// Each check and what it looked at, as far as the token's own words were read by then.
    pub fn checks(&self) -> &[(Check, String)] {
        &self.checks
    }
}

impl Watch for Trace {
    fn begins(&mut self, check: Check, about: impl FnOnce() -> String) {
        self.checks.push((check, about()));
    }
}
