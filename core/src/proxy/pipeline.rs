//! The way of a request: accept, parse, identify, decide, forward, mask, record.
//!
//! Invariant: each verb takes the proof that the one before made (`Framed -> Identified -> Permitted -> Forwarded`), and
//! `forward` takes only `Permitted`, so a way around a check does not compile. Whatever happens, a request that was framed is
//! answered once and recorded once.

use std::rc::Rc;

use super::answer::Answer;
use super::decide::{Decided, decide};
use super::downstream::{Downstream, Ended};
use super::forward::forward;
use super::identify::identify;
use super::receive::{Parsed, parse};
use super::relay::relay;
use crate::worker::Worker;

/// Serves one connection until either side ends it.
pub async fn serve(worker: Rc<Worker>, mut downstream: Downstream) {
    for served in 1..=worker.limits.requests_per_connection_max {
        let is_last = served == worker.limits.requests_per_connection_max;
        match one_request(&worker, &mut downstream, is_last).await {
            Next::KeepAlive => {}
            Next::Close => break,
        }
    }
    downstream.end(&worker.limits).await;
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next request may come.
    KeepAlive,
    /// The connection ends.
    Close,
}

async fn one_request(worker: &Rc<Worker>, downstream: &mut Downstream, is_last: bool) -> Next {
    let framed = match parse(worker, downstream, is_last).await {
        Ok(Parsed::Framed(framed)) => framed,
        Ok(Parsed::Answered(answer, rest)) => return answer.send(worker, downstream, rest).await,
        Err(Ended::Closed) => return Next::Close,
        Err(Ended::Refused(refusal)) => return Answer::malformed(worker, refusal).send_and_close(worker, downstream).await,
    };
    let identified = match identify(worker, framed).await {
        Ok(identified) => identified,
        Err((answer, rest)) => return answer.send(worker, downstream, rest).await,
    };
    let permitted = match decide(worker, downstream, identified).await {
        Decided::Permitted(permitted) => permitted,
        Decided::Answered(answer, rest) => return answer.send(worker, downstream, rest).await,
        Decided::Closed => return Next::Close,
    };
    let forwarded = forward(worker, downstream, permitted).await;
    relay(worker, downstream, forwarded).await
}
