//! Finds what the sender of a request has shown besides its token: a client certificate, and a proof that it holds a key.
//!
//! Invariant: a proof is used once, by whichever worker sees it first; a certificate in a header field counts only from proxies that
//! the operator named, and from those nothing else counts.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluicegate_identity::dpop::{Proof, Proven, ProvenKey, sent_proof};
use sluicegate_identity::{Certificate, Principal, Refusal, Scheme, Sender, Unproven};

use super::proofs::Use;
use super::receive::Framed;
use super::shown::Shown;
use crate::http1::field::Known;
use crate::worker::Worker;

/// The certificate of the request's sender, where it has one that counts.
///
/// # Errors
/// [`Refusal::Certificate`] where there must be one.
pub(super) fn certificate(worker: &Worker, framed: &Framed, now: u64) -> Result<Option<Rc<Shown>>, Refusal> {
    let tls = framed.snapshot.tls.as_ref();
    let shown = tls.and_then(|tls| framed.certificate.as_ref().filter(|shown| shown.counts(tls, now)));
    // Whoever must show one on the connection must, a proxy too.
    if shown.is_none() && tls.is_some_and(|tls| tls.demands_certificate()) {
        return Err(Refusal::Certificate("not in force any more"));
    }
    if framed.snapshot.client_cert_from.iter().any(|network| network.contains(framed.peer)) {
        return Ok(forwarded(worker, framed).map(Shown::new));
    }
    Ok(shown.map(Rc::clone))
}

/// What the proxy says of its client's certificate (RFC 9440 section 2.2): the certificate in DER as a byte sequence. The proxy has
/// verified it; who makes a principal of it verifies it again.
fn forwarded(worker: &Worker, framed: &Framed) -> Option<Certificate> {
    let value = framed.field(Known::ClientCert)?;
    let encoded = value.strip_prefix(b":")?.strip_suffix(b":")?;
    let der = STANDARD.decode(encoded).ok().filter(|der| der.len() <= worker.limits.client_cert_bytes_max)?;
    Certificate::read(vec![der.into()])
}

/// The principal of a token that was recognised, where the sender holds what it must hold.
///
/// # Errors
/// As [`Unproven::prove`], and [`Refusal::ProofUsed`], [`Refusal::ProofNonce`] or [`Refusal::TooManyProofs`].
pub(super) fn proven(
    worker: &Worker,
    framed: &Framed,
    unproven: Unproven<Rc<Principal>>,
    mut sender: Sender,
    token: &[u8],
    now: u64,
) -> Result<Rc<Principal>, Refusal> {
    if sender.scheme == Scheme::Bearer {
        return unproven.prove(&sender);
    }
    // A request that is judged anew has used its proof already.
    if let Some(key) = framed.proven.get() {
        sender.key = Some(key);
        return unproven.prove(&sender);
    }
    let (head, bytes) = (&framed.received.head, &framed.received.bytes);
    let fields = head.fields.iter().filter(|field| field.known == Known::Dpop);
    let proof = sent_proof(fields.map(|field| &bytes[field.value.clone()]))?;
    let request = Proven { method: head.method.name().as_bytes(), url: &framed.route().resource, token, now };
    let proof = Proof::verify(proof, &request)?;
    if unproven.wants_nonce() && !proof.nonce().is_some_and(|nonce| worker.proofs.is_nonce(nonce, now)) {
        return Err(Refusal::ProofNonce);
    }
    // Before its use is remembered, so that nobody fills the memory with keys that no token names.
    let key: ProvenKey = proof.key();
    sender.key = Some(key);
    let principal = unproven.prove(&sender)?;
    match worker.proofs.take(&proof.use_id(worker.proofs.salt()), proof.expires_at(), now) {
        Use::First => {
            framed.proven.set(Some(key));
            Ok(principal)
        }
        Use::Again => Err(Refusal::ProofUsed),
        Use::NoRoom => Err(Refusal::TooManyProofs),
    }
}
