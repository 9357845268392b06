//! Sends a permitted call to its upstream.
//!
//! Invariant: the request is written anew from what was decided on: the caller's `Authorization`, cookies and hop-by-hop fields
//! never go on, nor, with a call that people approved, fields that they have not seen; the upstream's own credential is put in last, and only towards the origin it is bound to. What the upstream refused with
//! 401, and so did not begin, is sent once more, with another credential.

use super::decide::Permitted;
use super::downstream::Downstream;
use super::obtain::{self, Another};
use super::outgoing::Outgoing;
use super::upstream::{self, Exchange, UpstreamError};
use crate::credential::held::Held;
use crate::http1::encode;
use crate::http1::field::Known;
use crate::http1::framing::is_named_by_connection;
use crate::mcp::call::Exchange as Kind;
use crate::mcp::era::Era;
use crate::mcp::headers::Mirrored;
use crate::rt::Stopwatch;
use crate::worker::Worker;

/// A call that was sent, and what the upstream began to answer.
pub struct Forwarded {
    /// The call.
    pub permitted: Box<Permitted>,
    /// The reply's head and the way to its body, or why there is none.
    pub reply: Result<Exchange, UpstreamError>,
    /// Runs since the request was sent.
    pub sent: Stopwatch,
}

/// Sends the call and waits for the head of the reply.
pub async fn forward(worker: &Worker, downstream: &Downstream, mut permitted: Box<Permitted>) -> Forwarded {
    worker.metrics.forwarded.add(1);
    let sent = Stopwatch::start();
    let reply = match send(worker, downstream, &mut permitted).await {
        Ok(mut exchange) => match exchange.take_refused() {
            Some(refused) => {
                // Nothing of the refusal is wanted; its connection is closed before anything is waited for.
                exchange.finish(false, downstream.guard(), worker.watch.now_ms());
                permitted.body = refused.into_body();
                send_again(worker, downstream, &mut permitted).await
            }
            None => Ok(exchange),
        },
        Err(error) => Err(error),
    };
    Forwarded { permitted, reply, sent }
}

/// Sends a call that the upstream did not let in once more, where there is another credential for it.
async fn send_again(worker: &Worker, downstream: &Downstream, permitted: &mut Permitted) -> Result<Exchange, UpstreamError> {
    let Some(Another { credential, echo }) = obtain::another(worker, downstream, permitted).await else {
        return Err(UpstreamError::CredentialRefused);
    };
    tracing::info!(
        credential = credential.held().name,
        version = credential.held().version,
        "sent again with another credential"
    );
    (permitted.credential, permitted.own_echo, permitted.note) = (Some(credential), Some(echo), "credential-renewed");
    send(worker, downstream, permitted).await
}

async fn send(worker: &Worker, downstream: &Downstream, permitted: &mut Permitted) -> Result<Exchange, UpstreamError> {
    let request = encode_request(permitted);
    // In the modern era a client that goes away cancels its call; in the legacy era the call goes on (the client may resume it).
    // A task's call does too, for its client comes back.
    let cancels = permitted.task.is_none() && (permitted.era == Era::Modern || permitted.exchange == Kind::Stream);
    let route = permitted.framed.route().clone();
    upstream::send(worker, &route, downstream.guard(), request, cancels, permitted.grant.as_ref()).await
}

fn encode_request(permitted: &mut Permitted) -> Outgoing {
    let framed = &permitted.framed;
    let (route, head, bytes) = (framed.route(), &framed.received.head, &framed.received.bytes);
    let held = permitted.credential.as_ref().and_then(|credential| credential.for_origin(&route.origin));
    // Memory that grew would leave a copy of the credential behind.
    let credential_bytes = held.map_or(0, Held::bytes_max);
    let mut out = Vec::with_capacity(route.path.len() + head.length + credential_bytes + permitted.body.len() + 512);
    out.extend_from_slice(head.method.name().as_bytes());
    out.push(b' ');
    out.extend_from_slice(route.path.as_bytes());
    let mut secret = 0..0;
    if let Some((name, value)) = held.and_then(Held::parameter) {
        out.push(if route.path.contains('?') { b'&' } else { b'?' });
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        secret = out.len()..out.len() + value.len();
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    encode::field(&mut out, b"Host", route.authority.as_bytes());
    for field in head.fields.iter().filter(|field| field.known.goes_upstream()) {
        let (name, value) = (&bytes[field.name.clone()], &bytes[field.value.clone()]);
        // An underscore is read as a hyphen by CGI-like servers, so such a name could stand for one that we strip or check.
        let is_disguised = field.known == Known::Other && name.contains(&b'_');
        let is_injected = route.credentials.own(name);
        let is_unseen = permitted.grant.is_some() && !field.known.goes_unseen(name);
        if is_disguised || is_injected || is_unseen || is_named_by_connection(&head.fields, name, bytes) {
            continue;
        }
        match permitted.mirrored.iter().find(|mirrored| mirrored.field == field.value) {
            None => encode::field(&mut out, name, value),
            Some(Mirrored { value: Some(changed), .. }) => encode::field(&mut out, name, changed),
            Some(Mirrored { value: None, .. }) => {}
        }
    }
    encode::field(&mut out, b"Accept-Encoding", b"identity");
    if let Some(session) = &permitted.session {
        encode::field(&mut out, b"Mcp-Session-Id", &session.id);
    }
    if let Some((name, value)) = held.and_then(Held::field) {
        encode::field(&mut out, name, value);
        secret = out.len() - 2 - value.len()..out.len() - 2;
    }
    if matches!(permitted.exchange, Kind::Request | Kind::OneWay) {
        encode::content_length(&mut out, permitted.body.len());
    }
    out.extend_from_slice(b"\r\n");
    let body = out.len();
    out.append(&mut permitted.body);
    Outgoing { bytes: out, secret, body }
}
