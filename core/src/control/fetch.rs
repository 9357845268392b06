//! Fetches an issuer's discovery document and keys.
//!
//! Invariant: only what the operator configured is ever fetched; no redirect is followed, and size and time are bounded.

use std::fmt;
use std::time::Duration;

use sluicegate_identity::{KeySet, discovery};

/// Time for a connection, and for a whole fetch.
const CONNECT_TIME: Duration = Duration::from_secs(3);
const TOTAL_TIME: Duration = Duration::from_secs(5);
/// Bytes of a document.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Why keys could not be fetched.
#[derive(Debug)]
pub enum FetchError {
    /// The provider could not be reached, or not in time.
    Network(reqwest::Error),
    /// It answered with another status.
    Status(u16),
    /// The document is too long.
    TooLong,
    /// The discovery document is not believed.
    Discovery(discovery::DiscoveryError),
    /// The document is no key set.
    Keys(sluicegate_identity::JwksError),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Network(error) if error.is_timeout() => f.write_str("the provider did not answer in time"),
            FetchError::Network(error) if error.is_connect() => f.write_str("the provider cannot be connected to"),
            FetchError::Network(error) => write!(f, "the provider cannot be reached: {error}"),
            FetchError::Status(status) => write!(f, "the provider answered with status {status}"),
            FetchError::TooLong => f.write_str("the provider's document is longer than 256 KiB"),
            FetchError::Discovery(error) => error.fmt(f),
            FetchError::Keys(error) => error.fmt(f),
        }
    }
}

/// Keys, and how long the provider says that they are fresh.
pub struct Fetched {
    /// The keys.
    pub keys: KeySet,
    /// Seconds.
    pub max_age_s: Option<u64>,
}

/// The client for all issuers.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIME)
        .timeout(TOTAL_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Finds an issuer's keys by discovery and fetches them.
///
/// # Errors
/// [`FetchError`].
pub async fn keys(client: &reqwest::Client, issuer: &str) -> Result<Fetched, FetchError> {
    let (document, _) = get(client, &discovery::url(issuer)).await?;
    let url = discovery::keys_url(&document, issuer).map_err(FetchError::Discovery)?;
    let (document, max_age_s) = get(client, &url).await?;
    let (keys, dropped) = KeySet::parse(&document).map_err(FetchError::Keys)?;
    for key in dropped {
        tracing::debug!(issuer, index = key.index, reason = %key.error, "key not admitted");
    }
    Ok(Fetched { keys, max_age_s })
}

async fn get(client: &reqwest::Client, url: &str) -> Result<(Vec<u8>, Option<u64>), FetchError> {
    let mut response = client.get(url).header("Accept", "application/json").send().await.map_err(FetchError::Network)?;
    if response.status().as_u16() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let max_age_s = response.headers().get("cache-control").and_then(|value| value.to_str().ok()).and_then(max_age);
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::Network)? {
        document.extend_from_slice(&chunk);
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(FetchError::TooLong);
        }
    }
    Ok((document, max_age_s))
}

/// The `max-age` of a `Cache-Control` field; `no-store` and `no-cache` count as 0 (RFC 9111 section 5.2).
fn max_age(value: &str) -> Option<u64> {
    let mut age = None;
    for directive in value.split(',').map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache") {
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
    use super::max_age;

    #[test]
    fn cache_control() {
        assert_eq!(max_age("public, max-age=300"), Some(300));
        assert_eq!(max_age("max-age=300, no-store"), Some(0));
        assert_eq!(max_age("private"), None);
    }
}
