//! Finds the upstreams' addresses, off the data path.
//!
//! Invariant: an upstream that cannot be resolved now keeps the addresses it had.

use std::net::SocketAddr;

use crate::config::Upstream;

/// The addresses of each upstream; `known` are the ones from before.
pub async fn all(upstreams: &[Upstream], known: &[Vec<SocketAddr>]) -> Vec<Vec<SocketAddr>> {
    let mut all = Vec::with_capacity(upstreams.len());
    for (index, upstream) in upstreams.iter().enumerate() {
        let before = known.get(index).cloned().unwrap_or_default();
        all.push(one(upstream, before).await);
    }
    all
}

async fn one(upstream: &Upstream, before: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let origin = &upstream.url.origin;
    if let Some(ip) = origin.ip() {
        return vec![SocketAddr::new(ip, origin.port)];
    }
    match tokio::net::lookup_host((origin.host.as_str(), origin.port)).await {
        Ok(found) => {
            let mut found: Vec<SocketAddr> = found.collect();
            found.sort();
            found.dedup();
            if found.is_empty() { before } else { found }
        }
        Err(error) => {
            tracing::warn!(upstream = upstream.name, %error, "name not resolved");
            before
        }
    }
}
