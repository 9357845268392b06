//! Fetches an issuer's discovery document and keys.
//!
//! Invariant: only what the operator configured is ever fetched, from addresses that are allowed; a redirect stays on the same origin, and
//! size and time are bounded.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Client, Response, Url};
use serde_json::Value;
use sluicegate_identity::{DroppedKey, JwksError, KeySet, discovery, refresh_hint_s};

use super::addresses::AddressRefused;
use super::key_source::{KeySource, Provider, read_bounded};
use crate::config::Limits;
use crate::credential::remote::sensitive;
use crate::credential::source::{SourceError, service_account_token};
use crate::tls::{ClientIdentity, provider_config};

/// Redirects that are followed for one document.
const REDIRECTS_MAX: usize = 2;
/// Bytes of a file with authorities.
pub const AUTHORITIES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why keys could not be fetched.
#[derive(Debug)]
pub enum FetchError {
    /// The provider could not be reached.
    Network(reqwest::Error),
    /// It did not answer in time.
    Time,
    /// It is at an address that is not allowed.
    Address(AddressRefused),
    /// It answered with another status.
    Status(u16),
    /// The document is longer than `keys_document_bytes_max`.
    TooLong,
    /// It leads somewhere else: where that is not allowed.
    Redirect(&'static str),
    /// The discovery document is not believed.
    Discovery(discovery::DiscoveryError),
    /// The document is no key set.
    Keys(JwksError),
    /// A file of the gateway's own that the fetch takes: what is wrong with it.
    Local(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Time => f.write_str("the provider did not answer in time"),
            FetchError::Network(error) if error.is_connect() => {
                write!(f, "the provider cannot be connected to: {}", root(error))
            }
            FetchError::Network(error) => write!(f, "the provider cannot be reached: {}", root(error)),
            FetchError::Address(error) => write!(f, "{error}; `allow_private = true` allows private ones"),
            FetchError::Status(status) => write!(f, "the provider answered with status {status}"),
            FetchError::TooLong => f.write_str("the provider's document is longer than limits.keys_document_bytes_max"),
            FetchError::Redirect(why) => write!(f, "the provider's redirect {why}"),
            FetchError::Discovery(error) => error.fmt(f),
            FetchError::Keys(error) => error.fmt(f),
            FetchError::Local(what) => f.write_str(what),
        }
    }
}

/// The cause of all causes, which says more than those it caused.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref::<AddressRefused>() {
                return FetchError::Address(*refused);
            }
            cause = error.source();
        }
        if error.is_timeout() { FetchError::Time } else { FetchError::Network(error.without_url()) }
    }
}

/// What tells a version of a document from others (RFC 9110 section 8.8.3), and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    url: String,
    etag: HeaderValue,
}

/// What a fetch brought.
pub struct Fetched {
    /// How long the provider says that it is fresh, in seconds.
    pub max_age_s: Option<u64>,
    /// The keys; `None` where they are those of the version that was named.
    pub set: Option<FetchedSet>,
}

/// Keys.
pub struct FetchedSet {
    /// The keys that can be used.
    pub keys: KeySet,
    /// Those that cannot.
    pub unusable: Vec<DroppedKey>,
    /// The document without those.
    pub document: Vec<u8>,
    /// Its version, where the provider names one.
    pub version: Option<Version>,
}

/// Finds an issuer's keys and fetches them, unless they are still of this version.
///
/// # Errors
/// [`FetchError`].
pub async fn keys(provider: &Provider, limits: &Limits, version: Option<&Version>) -> Result<Fetched, FetchError> {
    let all = Duration::from_millis(limits.keys_fetch_time_max_ms);
    let fetched = async { Session::new(provider, limits)?.keys(version).await };
    tokio::time::timeout(all, fetched).await.map_err(|_| FetchError::Time)?
}

/// The keys of an issuer as they are now, for whoever asks once: from the provider, the file or the configuration.
///
/// # Errors
/// [`FetchError`].
pub async fn once(source: &KeySource, limits: &Limits) -> Result<KeySet, FetchError> {
    match source {
        KeySource::Provider(provider) => {
            let fetched = keys(provider, limits, None).await?;
            fetched.set.map(|set| set.keys).ok_or(FetchError::Status(304))
        }
        KeySource::File(file) => match file.read(limits.keys_document_bytes_max) {
            Ok((keys, _)) => Ok(keys),
            Err(error) => Err(FetchError::Local(format!("{}: {error}", file.path().display()))),
        },
        KeySource::Inline(keys) => Ok(KeySet::clone(keys)),
    }
}

/// One fetch.
struct Session<'p> {
    provider: &'p Provider,
    client: Client,
    bearer: Option<HeaderValue>,
    document_bytes_max: usize,
}

impl<'p> Session<'p> {
    /// Reads the files anew, so that what was replaced is used.
    fn new(provider: &'p Provider, limits: &Limits) -> Result<Self, FetchError> {
        let local = |what: &str, error: &dyn fmt::Display| FetchError::Local(format!("{what}: {error}"));
        let authorities = match &provider.authorities {
            Some(path) => {
                let read = read_bounded(path, AUTHORITIES_BYTES_MAX).map_err(|error| local("ca cannot be read", &error))?;
                Some(read.ok_or_else(|| local("ca", &"is longer than 4 MiB"))?)
            }
            None => None,
        };
        let identity = provider.identity.as_ref().map(ClientIdentity::read).transpose();
        let identity = identity.map_err(|error| local("client_cert", &error))?;
        let tls = provider_config(authorities.as_deref(), &provider.pins, identity.as_ref());
        let bearer = provider.bearer.as_deref().map(|path| {
            let token = service_account_token(path)?;
            sensitive(&[b"Bearer ", token.bytes()].concat()).map_err(|_| SourceError::Characters)
        });
        let client = Client::builder()
            .connect_timeout(Duration::from_millis(limits.keys_connect_time_max_ms))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(provider.allowed)
            .tls_backend_preconfigured(tls.map_err(|error| local("ca", &error))?)
            .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let bearer = bearer.transpose().map_err(|error| local("bearer_file", &error))?;
        Ok(Session { provider, client, bearer, document_bytes_max: limits.keys_document_bytes_max })
    }

    async fn keys(&self, version: Option<&Version>) -> Result<Fetched, FetchError> {
        let url = match &self.provider.jwks_uri {
            Some(url) => url.clone(),
            None => {
                let found = self.get(&discovery::url(&self.provider.issuer), None).await?;
                let document = self.read(found).await?;
                discovery::keys_url(&document, &self.provider.issuer).map_err(FetchError::Discovery)?
            }
        };
        let known = version.filter(|version| version.url == url);
        let response = self.get(&url, known).await?;
        let stated = response.headers().get("cache-control").and_then(|value| value.to_str().ok()).and_then(max_age);
        if response.status().as_u16() == 304 {
            return Ok(Fetched { max_age_s: stated, set: None });
        }
        let version = response.headers().get(ETAG).map(|etag| Version { url, etag: etag.clone() });
        let document = self.read(response).await?;
        let (keys, unusable) = KeySet::parse(&document).map_err(FetchError::Keys)?;
        let max_age_s = stated.or_else(|| refresh_hint_s(&document));
        let document = without(&document, &unusable);
        Ok(Fetched { max_age_s, set: Some(FetchedSet { keys, unusable, document, version }) })
    }

    /// The answer to a GET request, 200 or, where a version is named, 304.
    async fn get(&self, url: &str, known: Option<&Version>) -> Result<Response, FetchError> {
        let mut url = Url::parse(url).map_err(|_| FetchError::Redirect("is no URL"))?;
        for _ in 0..=REDIRECTS_MAX {
            self.judge(&url)?;
            let mut request = self.client.get(url.clone()).header("Accept", "application/json");
            if let Some(bearer) = &self.bearer {
                request = request.header("Authorization", bearer);
            }
            if let Some(version) = known {
                request = request.header(IF_NONE_MATCH, &version.etag);
            }
            let response = request.send().await?;
            match response.status().as_u16() {
                200 => return Ok(response),
                304 if known.is_some() => return Ok(response),
                301 | 302 | 303 | 307 | 308 => url = next(&url, &response)?,
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::Redirect("is one too many"))
    }

    /// Judges an address that stands in the URL itself; a name is judged when it is resolved.
    fn judge(&self, url: &Url) -> Result<(), FetchError> {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => self.provider.allowed.judge(address).map_err(FetchError::Address),
            Err(_) => Ok(()),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, FetchError> {
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            document.extend_from_slice(&chunk);
            if document.len() > self.document_bytes_max {
                return Err(FetchError::TooLong);
            }
        }
        Ok(document)
    }
}

/// Where a redirect leads.
fn next(url: &Url, response: &Response) -> Result<Url, FetchError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| url.join(location).ok()).ok_or(FetchError::Redirect("leads nowhere"))?;
    if next.origin() == url.origin() { Ok(next) } else { Err(FetchError::Redirect("leads to another origin")) }
}

/// A key set without some of its keys and without certificates, so that what was not admitted, such as a private key, is not kept.
fn without(document: &[u8], unusable: &[DroppedKey]) -> Vec<u8> {
    let Ok(Value::Object(mut set)) = serde_json::from_slice(document) else { return Vec::new() };
    let Some(Value::Array(keys)) = set.remove("keys") else { return Vec::new() };
    let is_good = |index: usize| unusable.iter().all(|key| key.index != index);
    let mut good: Vec<Value> = keys.into_iter().enumerate().filter(|(index, _)| is_good(*index)).map(|(_, key)| key).collect();
    good.iter_mut().filter_map(Value::as_object_mut).for_each(|key| drop(key.remove("x5c")));
    serde_json::json!({ "keys": good }).to_string().into_bytes()
}

/// The `max-age` of a `Cache-Control` field; `no-store` and `no-cache` count as 0 (RFC 9111 section 5.2).
fn max_age(value: &str) -> Option<u64> {
    let mut age = None;
    for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return Some(0);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok();
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_identity::JwkError;

    #[test]
    fn r40_cache_control() {
        assert_eq!(max_age("public, max-age=300"), Some(300));
        assert_eq!(max_age("Max-Age=300, No-Store"), Some(0));
        assert_eq!(max_age("private"), None);
        assert_eq!(max_age("max-age=99999999999999999999999"), None);
    }

    #[test]
    fn r45_what_was_not_admitted_is_not_kept() {
        let document = br#"{"keys":[{"kid":"a"},{"kid":"b","d":"private"},{"kid":"c","x5c":["MII"]}],"other":1}"#;
        let kept = without(document, &[DroppedKey { index: 1, error: JwkError::Private }]);
        assert_eq!(kept, br#"{"keys":[{"kid":"a"},{"kid":"c"}]}"#);
    }
}
