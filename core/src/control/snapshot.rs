//! One immutable generation of everything that a worker needs to serve a request.
//!
//! Invariant: keys, rules, routes, credentials and treatments change together or not at all; a request sees one generation from start to end,
//! and its record names it; one that was held for people is judged anew by the newest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_identity::{BoundBy, Verifier, challenge, metadata};

use super::server_tls::ServerTlsChanged;
use super::treatments::Treatments;
use crate::config::network::Network;
use crate::config::url::{HttpUrl, Origin};
use crate::config::{Config, Upstream};
use crate::credential::held::Kept;
use crate::credential::inject::Credentials;
use crate::pin::pins::Pins;
use crate::policy::Policy;
use crate::policy::budget::Budgets;
use crate::proxy::route::WELL_KNOWN;
use crate::tls::{ClientIdentity, ServerTls, Transport};

/// One generation.
pub struct Snapshot {
    /// Counts up from 1.
    pub generation: u64,
    /// `http` or `https`, as clients see the gateway.
    pub scheme: &'static str,
    /// Host and port, as clients see the gateway.
    pub authority: String,
    /// What stands before `/mcp/` in the gateway's paths; usually nothing.
    pub base_path: String,
    /// Whether clients reach the gateway on loopback only.
    pub is_loopback: bool,
    /// The issuers and their keys.
    pub verifier: Verifier,
    /// TLS towards agents, for connections that come.
    pub tls: Option<ServerTls>,
    /// The proxies whose word about client certificates is taken.
    pub client_cert_from: Arc<[Network]>,
    /// The rules.
    pub policy: Arc<Policy>,
    /// What tools said of themselves when they were accepted, where tools are pinned.
    pub pins: Option<Arc<Pins>>,
    /// What principals may have; the counts are the same in all generations.
    pub budgets: Arc<Budgets>,
    /// How long a call waits for people to decide about it.
    pub hold: Duration,
    /// What stands before a request's id in the address of the page on which people decide about it, where there is one.
    pub approval_page: Option<String>,
    /// The endpoints, in the order of the configuration.
    pub routes: Vec<Arc<Route>>,
}

/// One endpoint and the upstream behind it.
pub struct Route {
    /// Position in [`Snapshot::routes`].
    pub index: usize,
    /// The upstream's name.
    pub name: String,
    /// The endpoint's public URL, which is the audience of tokens for it (RFC 8707).
    pub resource: String,
    /// Where its metadata document is served (RFC 9728).
    pub metadata_url: String,
    /// The metadata document.
    pub metadata: Vec<u8>,
    /// The challenge to a request without a token (RFC 6750 section 3).
    pub challenge: String,
    /// The challenge to a request with a token that does not count.
    pub token_challenge: String,
    /// Whether one of the route's issuers wants tokens that DPoP binds.
    pub wants_dpop: bool,
    /// Where the upstream is.
    pub origin: Origin,
    /// The upstream's `Host` field.
    pub authority: String,
    /// The upstream's request target.
    pub path: String,
    /// The upstream's whole URL; what a program is run as.
    pub endpoint: String,
    /// The upstream's addresses, as they were last resolved.
    pub addresses: Vec<SocketAddr>,
    /// How the upstream is spoken to.
    pub transport: Transport,
    /// What is put into requests to the upstream, and found again in what comes back.
    pub credentials: Credentials,
    /// What is done to findings.
    pub treatments: Arc<Treatments>,
}

/// What does not change while the process runs with one configuration, but for the identities towards upstreams.
pub struct Blueprint {
    config: Config,
    public: HttpUrl,
    client_cert_from: Arc<[Network]>,
    policy: Arc<Policy>,
    budgets: Arc<Budgets>,
    treatments: Vec<Arc<Treatments>>,
}

impl Blueprint {
    /// Compiles a checked configuration.
    pub fn new(mut config: Config) -> Self {
        let policy = Arc::new(Policy::compile(&mut config));
        let treatments = (0..config.upstreams.len()).map(|index| Arc::new(Treatments::of_upstream(&config, index))).collect();
        let budgets = Arc::new(Budgets::new(std::mem::take(&mut config.budgets), config.limits.budget_meters_max));
        let client_cert_from = config.server.client_cert_from.clone().into();
        Blueprint { public: config.server.public_url.clone(), client_cert_from, config, policy, budgets, treatments }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Speaks to an upstream with another identity from the next generation on.
    pub fn renew_identity(&mut self, upstream: usize, identity: &ClientIdentity) {
        if let Some(upstream) = self.config.upstreams.get_mut(upstream) {
            upstream.transport = upstream.transport.with_identity(identity);
        }
    }

    /// Speaks TLS with agents by other files, or with other tickets, from the next generation on.
    pub fn renew_server_tls(&mut self, ServerTlsChanged { tls, issuers }: ServerTlsChanged) {
        if let Some(checked) = &mut self.config.server.tls {
            checked.tls = tls;
            if let Some(issuers) = issuers {
                checked.issuers = issuers;
            }
        }
    }

    /// What principals may have, and what they had.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// A generation with these keys, these addresses, one list an upstream, these credentials, and these pins.
    pub fn snapshot(
        &self,
        generation: u64,
        verifier: Verifier,
        addresses: &[Vec<SocketAddr>],
        credentials: &[Kept],
        pins: Option<Arc<Pins>>,
    ) -> Snapshot {
        let base_path = self.public.path.trim_end_matches('/').to_owned();
        let scheme = if self.public.origin.is_tls { "https" } else { "http" };
        let routes = (0..self.config.upstreams.len())
            .map(|index| Arc::new(self.route(index, addresses.get(index).cloned().unwrap_or_default(), credentials)))
            .collect();
        Snapshot {
            generation,
            scheme,
            authority: self.public.authority.clone(),
            is_loopback: self.public.origin.is_loopback(),
            base_path,
            verifier,
            tls: self.config.server.tls.as_ref().map(|checked| checked.tls.clone()),
            client_cert_from: Arc::clone(&self.client_cert_from),
            policy: Arc::clone(&self.policy),
            pins,
            budgets: Arc::clone(&self.budgets),
            hold: self.config.approval.as_ref().map_or(Duration::ZERO, |approval| approval.hold),
            approval_page: self.config.approval_page(),
            routes,
        }
    }

    fn credentials(&self, upstream: &Upstream, all: &[Kept]) -> Credentials {
        let mut credentials = Credentials::new(upstream.url.origin.clone(), upstream.credential);
        for &index in &upstream.credentials {
            if let (Some(credential), Some(kept)) = (self.config.credentials.get(index), all.get(index)) {
                credentials.add(index, credential, kept);
            }
        }
        credentials
    }

    fn route(&self, index: usize, addresses: Vec<SocketAddr>, credentials: &[Kept]) -> Route {
        let upstream = &self.config.upstreams[index];
        let server = &self.config.server;
        let (path, resource) = (server.endpoint(&upstream.name), server.resource(&upstream.name));
        let scheme = if upstream.url.origin.is_tls { "https" } else { "http" };
        let issuers =
            self.config.issuers.iter().map(|issuer| &issuer.policy).filter(|issuer| issuer.audiences().contains(&resource));
        // Clients cannot ask a trust domain for tokens by OAuth.
        let issuers = issuers.filter(|issuer| !issuer.profile().is_of_trust_domain());
        let (issuers, requirements): (Vec<&str>, Vec<_>) = issuers.map(|issuer| (issuer.issuer(), issuer.requirement())).unzip();
        let all_bound_by = |way| !requirements.is_empty() && requirements.iter().all(|requirement| requirement.way == way);
        let bound = [BoundBy::Mtls, BoundBy::Dpop].into_iter().find(|way| all_bound_by(*way)).unwrap_or(BoundBy::None);
        let (metadata_url, scope) = (format!("{}{WELL_KNOWN}{path}", server.base()), upstream.scopes.everywhere().join(" "));
        Route {
            index,
            name: upstream.name.clone(),
            challenge: challenge(&metadata_url, None, &scope),
            token_challenge: challenge(&metadata_url, Some("invalid_token"), &scope),
            metadata_url,
            metadata: metadata::protected_resource(&resource, &issuers, upstream.scopes.everywhere(), bound),
            wants_dpop: requirements.iter().any(|one| one.nonce || matches!(one.way, BoundBy::Dpop | BoundBy::Any)),
            resource,
            origin: upstream.url.origin.clone(),
            authority: upstream.url.authority.clone(),
            path: upstream.url.path.clone(),
            endpoint: match &upstream.command {
                // Where the bridge is differs from start to start.
                Some(command) => command.endpoint(),
                None => format!("{scheme}://{}{}", upstream.url.authority, upstream.url.path),
            },
            addresses,
            transport: upstream.transport.clone(),
            credentials: self.credentials(upstream, credentials),
            treatments: Arc::clone(&self.treatments[index]),
        }
    }
}
