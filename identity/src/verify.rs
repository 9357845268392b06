//! Verifies a token and maps its claims to a principal.
//!
//! Invariant: every check below is made for every token that is not recognised; the issuer is known before any key is looked for,
//! and the key's own algorithm is the one that is verified (RFC 8725).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::binding;
use crate::bound::{Requirement, Sender, Unproven};
use crate::certificate::CertificateIssuer;
use crate::claims::{audiences, subject, times};
use crate::demands;
use crate::deny::DenyList;
use crate::introspection::is_opaque;
use crate::issuer::{IssuerPolicy, IssuerState};
use crate::mapping::{Named, client, mapped};
use crate::principal::Principal;
use crate::profile::TokenType;
use crate::refusal::Refusal;
use crate::spiffe;
use crate::token::{self, Token};
use crate::trace::{Check, Paced, Trace, Unwatched, Watch};

/// The issuers of one generation. Immutable; share it between threads.
#[derive(Debug)]
pub struct Verifier {
    issuers: Vec<IssuerState>,
    certificates: Vec<CertificateIssuer>,
    generation: u64,
    denials: Arc<DenyList>,
}

impl Verifier {
    /// A verifier for these issuers.
    pub fn new(mut issuers: Vec<IssuerState>, generation: u64) -> Verifier {
        for state in &mut issuers {
            let rsa = state.policy.algorithms().of_rsa();
            if let Some(keys) = state.keys.as_ref().and_then(|keys| keys.assigned(rsa)) {
                state.keys = Some(Arc::new(keys));
            }
        }
        Verifier { issuers, certificates: Vec::new(), generation, denials: Arc::default() }
    }

    /// The same, which also takes certificates of these issuers; in principals they are numbered behind those of tokens.
    #[must_use]
    pub fn with_certificates(self, certificates: Vec<CertificateIssuer>) -> Verifier {
        Verifier { certificates, ..self }
    }

    /// The same, with tokens that were taken back.
    #[must_use]
    pub fn with_denials(self, denials: Arc<DenyList>) -> Verifier {
        Verifier { denials, ..self }
    }

    /// Which generation it is of; what was verified under another must be verified anew.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Verifies a bearer token for the resource `audience` at the time `now` (Unix seconds); one that is bound to a key, or would have to
    /// be, is refused.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(&self, token: &[u8], audience: &str, now: u64) -> Result<Principal, Refusal> {
        let principal = self.verify_watched(token, audience, now, &mut Unwatched)?;
        self.free(&principal)?;
        Ok(principal)
    }

    /// Whether a token may be used by whoever has it, as one that came without a proof.
    fn free(&self, principal: &Principal) -> Result<(), Refusal> {
        Unproven::new(principal, self.requirement(principal.issuer_index)).prove(&Sender::default()).map(drop)
    }

    /// As [`Verifier::verify`], and tells of each check on the way. Whether the sender holds the key of a bound token is not among them.
    pub fn explain(&self, token: &[u8], audience: &str, now: u64) -> (Trace, Result<Principal, Refusal>) {
        let mut trace = Trace::default();
        let verified = self.verify_watched(token, audience, now, &mut trace);
        (trace, verified)
    }

    fn verify_watched(&self, token: &[u8], audience: &str, now: u64, watch: &mut impl Watch) -> Result<Principal, Refusal> {
        let principal = self.verified(token, audience, now, watch)?;
        watch.begins(Check::Standing, || {
            let key = principal.key_thumbprint.map_or("none".to_owned(), |key| URL_SAFE_NO_PAD.encode(key));
            format!("jti {}, key {key}", principal.jti.as_deref().unwrap_or("missing"))
        });
        self.standing(&principal, now)?;
        Ok(principal)
    }

    /// Verifies all of a token but that its sender holds the key it is bound to, and that it was not taken back. Asks before the one costly
    /// step, once everything that can be known without it is known to be right.
    ///
    /// # Errors
    /// As [`Verifier::verify`]; [`Refusal::Deferred`] where `may_check` says no.
    pub(crate) fn unproven(
        &self,
        token: &[u8],
        audience: &str,
        now: u64,
        may_check: &mut dyn FnMut() -> bool,
    ) -> Result<Principal, Refusal> {
        self.verified(token, audience, now, &mut Paced(may_check))
    }

    /// How tokens of the issuer at this position must be bound.
    pub(crate) fn requirement(&self, issuer: usize) -> Requirement {
        self.policy(issuer).map_or_else(Requirement::default, IssuerPolicy::requirement)
    }

    /// Whether there is somebody who vouches for certificates.
    pub fn takes_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// The issuers of certificates, and how many of tokens come before them.
    pub(crate) fn certificates(&self) -> (&[CertificateIssuer], usize) {
        (&self.certificates, self.issuers.len())
    }

    /// As [`Verifier::verify`], but whether the token was taken back is not looked at.
    fn verified(&self, token: &[u8], audience: &str, now: u64, watch: &mut impl Watch) -> Result<Principal, Refusal> {
        watch.begins(Check::Form, || format!("{} bytes", token.len()));
        if let Some(issuer) = self.introspecting(audience)
            && token.len() <= token::TOKEN_BYTES_MAX
            && is_opaque(token)
        {
            return Err(Refusal::Opaque { issuer });
        }
        let Proven { issuer, token, key_thumbprint } = self.issued(token::read(token)?, watch)?;
        let vouched = Vouched { issuer, claims: &token.claims, signed: Some((token.typ, key_thumbprint)) };
        principal(&self.issuers[issuer].policy, &vouched, audience, now, watch)
    }

    /// Whether a principal's token still stands: looked at on every request, also of one that is recognised.
    ///
    /// # Errors
    /// [`Refusal::Revoked`].
    pub(crate) fn standing(&self, principal: &Principal, now: u64) -> Result<(), Refusal> {
        if self.is_denied(principal, now) { Err(Refusal::Revoked(Box::new(principal.clone()))) } else { Ok(()) }
    }

    /// Whether a principal's token was taken back, at the time `now` (Unix seconds).
    pub fn is_denied(&self, principal: &Principal, now: u64) -> bool {
        let identifier = || self.policy(principal.issuer_index).map_or("", IssuerPolicy::issuer);
        !self.denials.is_empty() && self.denials.covers(principal, identifier(), now)
    }

    /// The audiences of each issuer that can be asked about tokens that cannot be read.
    pub(crate) fn introspects(&self) -> impl Iterator<Item = Option<&[String]>> {
        self.issuers.iter().map(|state| state.policy.introspects().then(|| state.policy.audiences()))
    }

    /// The tokens that were taken back.
    pub fn denials(&self) -> &Arc<DenyList> {
        &self.denials
    }

    /// Reads a token for access or of a login, and proves that one of the issuers signed it. Nothing else that it says is believed yet.
    pub(crate) fn proven<'t>(&self, token: &'t [u8]) -> Result<Proven<'t>, Refusal> {
        self.issued(token::read(token)?, &mut Unwatched)
    }

    /// Proves that one of the issuers signed a token that was read.
    pub(crate) fn issued<'t>(&self, token: Token<'t>, watch: &mut impl Watch) -> Result<Proven<'t>, Refusal> {
        watch.begins(Check::Issuer, || format!("iss {}, sub {}", shown(&token.claims, "iss"), shown(&token.claims, "sub")));
        let issuer = self.issuer_of(&token)?;
        let state = &self.issuers[issuer];
        watch.begins(Check::Algorithm, || format!("{}, for {:?}", token.algorithm.name(), state.policy.name()));
        if !state.policy.algorithms().contains(token.algorithm) {
            return Err(Refusal::WrongAlgorithm);
        }
        watch.begins(Check::Key, || token.kid.as_ref().map_or("no kid".to_owned(), |kid| format!("kid {kid:?}")));
        let keys = state.keys.as_ref().ok_or(Refusal::KeysNotYetKnown { issuer })?;
        let key = keys.find(token.algorithm, token.kid.as_deref(), issuer)?;
        watch.begins(Check::Signature, String::new);
        if !watch.may_check() {
            return Err(Refusal::Deferred);
        }
        if !key.verifies(token.signed, &token.signature) {
            return Err(Refusal::BadSignature);
        }
        Ok(Proven { issuer, token, key_thumbprint: key.thumbprint })
    }

    /// The issuer that the token names; one that names none of those is of the SPIFFE trust domain that its subject lies in
    /// (JWT-SVID.md section 3: the trust domain of `sub` says which keys count, and `iss` nothing).
    fn issuer_of(&self, token: &Token<'_>) -> Result<usize, Refusal> {
        let iss = match token.claims.get("iss") {
            Some(Value::String(iss)) => Some(iss.as_str()),
            Some(_) => return Err(Refusal::MalformedClaim("iss")),
            None => None,
        };
        let named = iss.and_then(|iss| self.issuers.iter().position(|state| state.policy.issuer() == iss));
        let of_domain = || {
            let domain = token.claims.get("sub").and_then(Value::as_str).and_then(spiffe::trust_domain_of)?;
            self.issuers.iter().position(|state| state.policy.trust_domain() == Some(domain))
        };
        let unknown = if iss.is_some() { Refusal::UnknownIssuer } else { Refusal::MissingClaim("iss") };
        named.or_else(of_domain).ok_or(unknown)
    }

    /// The operator's name for an issuer of this identifier.
    pub fn issuer_name(&self, issuer: &str) -> Option<&str> {
        self.issuers.iter().map(|state| &state.policy).find(|policy| policy.issuer() == issuer).map(IssuerPolicy::name)
    }

    /// How the tokens of the issuer at this position are judged.
    pub(crate) fn policy(&self, issuer: usize) -> Option<&IssuerPolicy> {
        self.issuers.get(issuer).map(|state| &state.policy)
    }
}

/// A token that one of the issuers signed.
pub(crate) struct Proven<'t> {
    /// Position of that issuer.
    pub(crate) issuer: usize,
    pub(crate) token: Token<'t>,
    /// Which of its keys it was.
    pub(crate) key_thumbprint: [u8; 32],
}

/// Claims that are proven to be an issuer's.
pub(crate) struct Vouched<'c> {
    /// Position of that issuer.
    pub(crate) issuer: usize,
    pub(crate) claims: &'c Map<String, Value>,
    /// The type of the token that has them, and the key that signed it; none where the issuer was asked about the token.
    pub(crate) signed: Option<(TokenType, [u8; 32])>,
}

/// A claim as a person is shown it.
fn shown(claims: &Map<String, Value>, claim: &str) -> String {
    claims.get(claim).map_or("missing".to_owned(), Value::to_string)
}

/// The principal of claims, which are held to all that the issuer's policy demands.
pub(crate) fn principal(
    policy: &IssuerPolicy,
    vouched: &Vouched<'_>,
    audience: &str,
    now: u64,
    watch: &mut impl Watch,
) -> Result<Principal, Refusal> {
    let claims = vouched.claims;
    watch.begins(Check::Required, || format!("{} required", policy.required().len()));
    demands::required(policy, claims)?;
    watch.begins(Check::Profile, || policy.profile().name().to_owned());
    demands::traps(policy, claims)?;
    if let Some((typ, _)) = vouched.signed {
        watch.begins(Check::Type, || format!("{typ:?}, one of {:?}", policy.types()));
        demands::access(policy, typ, claims)?;
    }
    watch.begins(Check::Audience, || format!("aud {}, asked for {audience:?}", shown(claims, "aud")));
    let audiences = audiences(claims)?;
    if !policy.audiences().iter().any(|one| one == audience) || !audiences.iter().any(|one| one == audience) {
        return Err(Refusal::WrongAudience);
    }
    let client_id = client(policy, claims);
    watch.begins(Check::Party, || format!("client {}", client_id.as_deref().unwrap_or("missing")));
    demands::party(policy, &audiences, client_id.as_deref())?;
    let of_times = |claim| shown(claims, claim);
    watch.begins(Check::Times, || {
        let (exp, nbf, iat) = (of_times("exp"), of_times("nbf"), of_times("iat"));
        format!("exp {exp}, nbf {nbf}, iat {iat}, now {now}, longest {} s", policy.lifetime_max_s())
    });
    let counts = times(claims, policy, now)?;
    watch.begins(Check::Subject, || shown(claims, "sub"));
    let subject = subject(claims)?;
    watch.begins(Check::Binding, || if claims.contains_key("cnf") { "cnf".to_owned() } else { "none".to_owned() });
    binding::read(claims)?;
    watch.begins(Check::Mapping, String::new);
    let key_thumbprint = vouched.signed.map(|(_, key)| key);
    let named = Named { subject, client_id, audiences, key_thumbprint, is_login: false };
    mapped(vouched.issuer, policy, claims, named, counts)
}

impl Principal {
    /// Whether a recognised token may be used for another resource of the same generation.
    pub(crate) fn is_for(&self, audience: &str) -> bool {
        self.audiences.iter().any(|one| one == audience)
    }
}

impl Verifier {
    /// Whether the issuer at this position may speak for a resource.
    pub(crate) fn speaks_for(&self, issuer: usize, audience: &str) -> bool {
        self.issuers.get(issuer).is_some_and(|state| state.policy.audiences().iter().any(|one| one == audience))
    }
}
