//! The certificate that an agent has shown on its connection, and whether it still counts.
//!
//! Invariant: what was verified by files that are no longer in force is verified anew before it is used; expiry is looked at on
//! every request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sluicegate_identity::{Certificate, Principal, Refusal, Verifier};

use crate::tls::ServerTls;

/// A certificate, with what is known of it.
pub struct Shown {
    certificate: Certificate,
    /// Which files it was verified by, and what came of it.
    verified: Cell<(u64, bool)>,
    /// Who it is for at one route of one generation.
    known: RefCell<Option<(u64, usize, Rc<Principal>)>>,
}

impl Shown {
    /// Nothing is known of it yet: a session may be an old one that is resumed.
    pub fn new(certificate: Certificate) -> Rc<Self> {
        Rc::new(Shown { certificate, verified: Cell::new((0, false)), known: RefCell::new(None) })
    }

    /// Whether it is one that these files let in, and has not expired.
    pub fn counts(&self, tls: &ServerTls, now: u64) -> bool {
        if self.verified.get().0 != tls.number() {
            self.verified.set((tls.number(), tls.takes(&self.certificate, now)));
        }
        self.verified.get().1 && self.certificate.is_in_time(now)
    }

    /// SHA-256 of the certificate in DER.
    pub fn thumbprint(&self) -> [u8; 32] {
        *self.certificate.thumbprint()
    }

    /// Who it is for, at the route of this index with this audience.
    ///
    /// # Errors
    /// As [`Verifier::certified`].
    pub fn principal(&self, verifier: &Verifier, route: usize, audience: &str, now: u64) -> Result<Rc<Principal>, Refusal> {
        if !self.certificate.is_in_time(now) {
            return Err(Refusal::Certificate("time"));
        }
        if let Some((generation, of, principal)) = &*self.known.borrow()
            && (*generation, *of) == (verifier.generation(), route)
            && !verifier.is_denied(principal, now)
        {
            return Ok(Rc::clone(principal));
        }
        let principal = Rc::new(verifier.certified(&self.certificate, audience, now)?);
        *self.known.borrow_mut() = Some((verifier.generation(), route, Rc::clone(&principal)));
        Ok(principal)
    }
}
