//! Checks who the gateway is at authorization servers, what it asks of them, and what it signs itself.
//!
//! Invariant: keys and secrets are read once, so that a wrong file is found here; nothing is asked of a server.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::check::Checker;
use super::raw::{RawExchange, RawIdJag, RawIntrospection, RawJwt, RawOAuth, Text};
use crate::credential::client::{Client, ClientAuth, Server, signing_key};
use crate::credential::exchange::Exchange;
use crate::credential::jwt::{LIFE_MAX_S, SignedJwt, Subject};
use crate::credential::oauth::ClientCredentials;
use crate::credential::source;

/// What to say of a file that is no key.
const KEY_HINT: &str = "make one with `openssl genpkey -algorithm ed25519` (RSA and P-256 are taken too)";

/// The keys that say who the gateway is at an authorization server.
struct RawClient<'r> {
    span: Range<usize>,
    token_endpoint: Option<&'r Text>,
    issuer: Option<&'r Text>,
    client_id: &'r Text,
    client_secret_file: Option<&'r Text>,
    private_key_file: Option<&'r Text>,
    key_id: Option<&'r Text>,
    ca: Option<&'r Text>,
}

macro_rules! raw_client {
    ($spanned:expr) => {
        RawClient {
            span: $spanned.span(),
            token_endpoint: $spanned.get_ref().token_endpoint.as_ref(),
            issuer: $spanned.get_ref().issuer.as_ref(),
            client_id: &$spanned.get_ref().client_id,
            client_secret_file: $spanned.get_ref().client_secret_file.as_ref(),
            private_key_file: $spanned.get_ref().private_key_file.as_ref(),
            key_id: $spanned.get_ref().key_id.as_ref(),
            ca: $spanned.get_ref().ca.as_ref(),
        }
    };
}

impl Checker<'_, '_> {
    pub(super) fn oauth(&mut self, spanned: &Spanned<RawOAuth>, key: &str) -> Option<ClientCredentials> {
        let raw = spanned.get_ref();
        let client = self.client(&raw_client!(spanned), key);
        let scope = self.optional(raw.scope.as_ref(), &format!("{key}.scope"));
        let resource = self.optional(raw.resource.as_ref(), &format!("{key}.resource"));
        Some(ClientCredentials { client: client?, scope: scope?, resource: resource? })
    }

    pub(super) fn exchange(&mut self, spanned: &Spanned<RawExchange>, key: &str) -> Option<Exchange> {
        let raw = spanned.get_ref();
        let client = self.client(&raw_client!(spanned), key);
        let audience = self.optional(raw.audience.as_ref(), &format!("{key}.audience"));
        let resource = self.optional(raw.resource.as_ref(), &format!("{key}.resource"));
        let scope = self.optional(raw.scope.as_ref(), &format!("{key}.scope"));
        let grant = raw.id_jag.as_ref().map(|grant| self.id_jag(grant, raw, &format!("{key}.id_jag")));
        if let (None, None) = (&raw.audience, &raw.resource) {
            let hint = "add `resource = \"https://…\"` with the upstream's URL, or `audience` with its name at the server";
            self.problems.add(spanned.span(), key, "does not say for whom the token is to be", hint);
            return None;
        }
        let client = client?;
        let actor = match &raw.actor {
            Some(actor) => {
                let scope = self.optional(actor.scope.as_ref(), &format!("{key}.actor.scope"));
                let resource = self.optional(actor.resource.as_ref(), &format!("{key}.actor.resource"));
                Some(ClientCredentials { client: Arc::clone(&client), scope: scope?, resource: resource? })
            }
            None => None,
        };
        let grant = match grant {
            Some(grant) => Some(grant?),
            None => None,
        };
        Some(Exchange { client, audience: audience?, resource: resource?, scope: scope?, actor, grant })
    }

    /// The upstream's own authorization server, which takes the assertion that the exchange gives.
    fn id_jag(&mut self, spanned: &Spanned<RawIdJag>, exchange: &RawExchange, key: &str) -> Option<Arc<Client>> {
        if exchange.audience.is_none() {
            let hint = "add `audience` to the exchange: the identifier (`issuer`) of the upstream's authorization server";
            self.problems.add(spanned.span(), key, "does not say which server the assertion is for", hint);
            return None;
        }
        self.client(&raw_client!(spanned), key)
    }

    pub(super) fn jwt(&mut self, spanned: &Spanned<RawJwt>, key: &str) -> Option<SignedJwt> {
        let raw = spanned.get_ref();
        let key_file = self.private_key(&raw.private_key_file, &format!("{key}.private_key_file"));
        let key_id = self.optional(raw.key_id.as_ref(), &format!("{key}.key_id"));
        let issuer = self.text(&raw.issuer, &format!("{key}.issuer"));
        let audience = self.text(&raw.audience, &format!("{key}.audience"));
        let life_s = self.number(raw.life_s.as_ref(), &format!("{key}.life_s"), 5..=LIFE_MAX_S, LIFE_MAX_S);
        let subject = match (&raw.subject, &raw.subject_from) {
            (Some(subject), None) => self.text(subject, &format!("{key}.subject")).map(Subject::Fixed),
            (None, Some(from)) => match from.get_ref().as_str() {
                "subject" => Some(Subject::CallersSubject),
                "principal" => Some(Subject::CallersPrincipal),
                _ => {
                    let hint = "use \"subject\" for the `sub` of the caller's token, or \"principal\" for `issuer name:sub`";
                    self.problems.add(from.span(), format!("{key}.subject_from"), "is neither of the two", hint);
                    None
                }
            },
            _ => {
                let hint = "give exactly one of `subject` and `subject_from`";
                self.problems.add(spanned.span(), key, "does not say whom the token names", hint);
                None
            }
        };
        let (key_file, key_id, issuer, subject) = (key_file?, key_id?, issuer?, subject?);
        Some(SignedJwt { key_file, key_id, issuer, subject, audience: audience?, life_s })
    }

    /// Who the gateway is where it asks an issuer about opaque tokens.
    pub(super) fn introspection(&mut self, spanned: &Spanned<RawIntrospection>, issuer: &Text, key: &str) -> Option<Arc<Client>> {
        let raw = spanned.get_ref();
        let url = self.service(&raw.endpoint, &format!("{key}.endpoint"));
        let id = self.text(&raw.client_id, &format!("{key}.client_id"));
        let of_client = RawClient {
            span: spanned.span(),
            token_endpoint: Some(&raw.endpoint),
            issuer: None,
            client_id: &raw.client_id,
            client_secret_file: raw.client_secret_file.as_ref(),
            private_key_file: raw.private_key_file.as_ref(),
            key_id: raw.key_id.as_ref(),
            ca: raw.ca.as_ref(),
        };
        let auth = self.client_auth(&of_client, key);
        let authorities = self.service_ca(raw.ca.as_ref(), url.as_ref()?, &format!("{key}.ca"));
        let server = Server::Endpoint(raw.endpoint.get_ref().clone(), issuer.get_ref().clone());
        Some(Arc::new(Client { server, id: id?, auth: auth?, authorities: authorities? }))
    }

    fn client(&mut self, raw: &RawClient<'_>, key: &str) -> Option<Arc<Client>> {
        let (at, field) = match (raw.token_endpoint, raw.issuer) {
            (Some(endpoint), None) => (endpoint, "token_endpoint"),
            (None, Some(issuer)) => (issuer, "issuer"),
            _ => {
                let hint = "give exactly one of `token_endpoint` and `issuer`";
                self.problems.add(raw.span.clone(), key, "does not say where to ask", hint);
                return None;
            }
        };
        let url = self.service(at, &format!("{key}.{field}"));
        let server = at.get_ref().clone();
        let server = if raw.issuer.is_some() { Server::Issuer(server) } else { Server::TokenEndpoint(server) };
        let id = self.text(raw.client_id, &format!("{key}.client_id"));
        let auth = self.client_auth(raw, key);
        let authorities = self.service_ca(raw.ca, url.as_ref()?, &format!("{key}.ca"));
        Some(Arc::new(Client { server, id: id?, auth: auth?, authorities: authorities? }))
    }

    fn client_auth(&mut self, raw: &RawClient<'_>, key: &str) -> Option<ClientAuth> {
        match (raw.client_secret_file, raw.private_key_file) {
            (Some(file), None) => {
                if let Some(kid) = raw.key_id {
                    self.problems.add(kid.span(), format!("{key}.key_id"), "stands without `private_key_file`", "remove it");
                }
                self.file(file, &format!("{key}.client_secret_file")).map(ClientAuth::Secret)
            }
            (None, Some(file)) => {
                let kid = self.optional(raw.key_id, &format!("{key}.key_id"));
                let path = self.private_key(file, &format!("{key}.private_key_file"))?;
                Some(ClientAuth::PrivateKey(path, kid?))
            }
            _ => {
                let hint = "give exactly one of `client_secret_file` and `private_key_file`";
                self.problems.add(raw.span.clone(), key, "does not say how the client proves who it is", hint);
                None
            }
        }
    }

    /// The path of a file with a private key that signs, which is read to see that it is one.
    pub(super) fn private_key(&mut self, file: &Text, key: &str) -> Option<std::path::PathBuf> {
        let path = self.dir.join(file.get_ref());
        let pem = self.local(file, key, source::read_private(&path))?;
        if signing_key(&pem, "").is_none() {
            self.problems.add(file.span(), key, "is no PKCS#8 private key in PEM", KEY_HINT);
            return None;
        }
        Some(path)
    }
}
