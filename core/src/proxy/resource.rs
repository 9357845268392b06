//! Serves the metadata of an endpoint (RFC 9728), by which clients find the authorization server by themselves.
//!
//! Invariant: it is public, the same for everybody and for every origin, and nothing of a request goes into it.

use super::answer::Answer;
use crate::control::snapshot::Route;
use crate::http1::head::Method;

/// The methods that the document is served to.
pub const METHODS: &str = "GET, HEAD, OPTIONS";

/// The answer to a request for the metadata of an endpoint. A client in a browser asks from its own page's origin, and asks beforehand whether it may
/// send `MCP-Protocol-Version` (WHATWG Fetch, "CORS-preflight fetch"); what anybody may read, any page may.
pub fn answer(route: &Route, method: Method) -> Answer {
    let answer = match method {
        Method::Options => Answer::empty(204)
            .with("Access-Control-Allow-Methods", METHODS)
            .with("Access-Control-Allow-Headers", "*")
            .with("Access-Control-Max-Age", "300"),
        _ => Answer::json(200, route.metadata.clone()).with("Cache-Control", "public, max-age=300"),
    };
    answer.with("Access-Control-Allow-Origin", "*").for_method(method)
}
