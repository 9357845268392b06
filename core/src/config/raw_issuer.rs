//! What the configuration says of who is let in, as it stands in the file: issuers of tokens and of certificates, and the TLS that shows these.
//!
//! Invariant: nothing is checked here but its shape.

use serde::Deserialize;
use toml::Spanned;

use super::raw::Text;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServerTls {
    pub cert: Text,
    pub key: Text,
    pub client_ca: Option<Text>,
    pub client_crl: Option<Text>,
    pub client_auth: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCertificateIssuer {
    pub name: Text,
    pub ca: Text,
    pub trust_domain: Option<Text>,
    pub principal: Option<Text>,
    pub audiences: Spanned<Vec<Text>>,
    #[serde(default)]
    pub roles: Vec<RawCertificateGrant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCertificateGrant {
    pub principal: Text,
    pub grant: Spanned<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub name: Text,
    pub issuer: Text,
    pub audiences: Spanned<Vec<Text>>,
    #[serde(default)]
    pub allow_insecure_loopback: bool,
    pub roles: Option<RawClaim>,
    pub groups: Option<RawClaim>,
    pub leeway_s: Option<Spanned<i64>>,
    pub lifetime_max_s: Option<Spanned<i64>>,
    pub profile: Option<Text>,
    pub algs: Option<Spanned<Vec<Text>>>,
    pub token_types: Option<Spanned<Vec<Text>>>,
    pub require: Option<Spanned<toml::Table>>,
    pub authorized_parties: Option<Spanned<Vec<String>>>,
    pub principal: Option<Text>,
    pub map: Option<RawMap>,
    // Where the keys come from.
    pub jwks_uri: Option<Text>,
    pub jwks_file: Option<Text>,
    pub jwks: Option<Spanned<toml::Value>>,
    pub pem_file: Option<Text>,
    pub pem_kid: Option<Text>,
    pub ca: Option<Text>,
    pub spki_pin: Option<Spanned<Vec<Text>>>,
    pub client_cert: Option<Text>,
    pub client_key: Option<Text>,
    pub bearer_file: Option<Text>,
    pub allow_private: Option<Spanned<bool>>,
    pub unknown_key_cooldown_s: Option<Spanned<i64>>,
    pub max_stale_s: Option<Spanned<i64>>,
    // How its tokens must be bound.
    pub require_bound: Option<Text>,
    pub dpop_nonce: Option<Spanned<bool>>,
    pub introspection: Option<Spanned<RawIntrospection>>,
    pub shared_signals: Option<Spanned<RawSignals>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMap {
    #[serde(default)]
    pub groups: Vec<RawSource>,
    #[serde(default)]
    pub roles: Vec<Spanned<RawGrant>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub claim: Text,
    pub split: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrant {
    pub when: RawGrantWhen,
    pub grant: Spanned<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrantWhen {
    pub claim: Option<Text>,
    pub split: Option<Text>,
    pub any: Option<Spanned<Vec<toml::Value>>>,
    pub all: Option<Spanned<Vec<toml::Value>>>,
    pub principal: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeys {
    pub dir: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClaim {
    pub claim: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignals {
    pub audience: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIntrospection {
    pub endpoint: Text,
    pub client_id: Text,
    pub client_secret_file: Option<Text>,
    pub private_key_file: Option<Text>,
    pub key_id: Option<Text>,
    pub ca: Option<Text>,
}
