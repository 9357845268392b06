//! `sluicegate token-helper`: gets a client the token that it needs, for clients that cannot do it themselves.
//!
//! Invariant: the token is printed only where the caller asks for just that; it is on no command line, in no message and in no log.

mod bridge;
mod lines;
mod message;
mod post;
mod purse;

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use self::purse::{Origin, Purse};
use crate::config::Limits;
use crate::config::url::HttpUrl;
use crate::credential::client::{Client, ClientAuth, Server};
use crate::credential::oauth::ClientCredentials;
use crate::credential::remote::ObtainError;
use crate::credential::source::{Issued, SourceError, read_public};
use crate::rt::now_unix_s;

/// What is wanted of a token.
#[derive(Subcommand)]
pub(super) enum TokenHelperCommand {
    /// Get a token once; says how long it lives, and shows it only with `--print`
    Token {
        #[command(flatten)]
        identity: Box<Identity>,
        /// Write the token, and nothing else, to standard output
        #[arg(long)]
        print: bool,
    },
    /// Bridge a client that speaks MCP on standard input and output to the gateway
    Stdio {
        #[command(flatten)]
        identity: Box<Identity>,
        /// Authorities to trust for the gateway, in PEM, in the place of the public ones
        #[arg(long, value_name = "FILE")]
        gateway_ca: Option<PathBuf>,
    },
}

/// Who asks whom for a token.
#[derive(Args)]
#[command(group(ArgGroup::new("origin").args(["token_file", "issuer", "token_endpoint"]).required(true)))]
#[command(group(ArgGroup::new("proof").args(["client_secret_file", "private_key_file", "assertion_file"])))]
pub(super) struct Identity {
    /// The gateway's endpoint, as https://gate.example.com/mcp/NAME; the token is asked for it
    #[arg(long, value_name = "URL")]
    url: String,
    /// A token that the platform keeps fresh in a file, such as Kubernetes; it is sent as it is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_id", "proof", "scope", "resource"])]
    token_file: Option<PathBuf>,
    /// The authorization server's identifier; its metadata names the token endpoint
    #[arg(long, value_name = "URL", requires = "client_id", requires = "proof")]
    issuer: Option<String>,
    /// Instead of the identifier: the token endpoint itself
    #[arg(long, value_name = "URL", requires = "client_id", requires = "proof")]
    token_endpoint: Option<String>,
    /// Who the client is there
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A file with the client's secret, which only its owner may read
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// A file with the client's private key (PKCS#8: RSA, P-256 or Ed25519), which only its owner may read
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// The key's name at the authorization server
    #[arg(long, value_name = "ID", requires = "private_key_file")]
    key_id: Option<String>,
    /// A token of the platform in a file, which the authorization server takes for the client's proof (workload identity federation)
    #[arg(long, value_name = "FILE")]
    assertion_file: Option<PathBuf>,
    /// The scope to begin with; more is asked for when the gateway says that it is lacking
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// Instead of the gateway's endpoint: the resource that the token is asked for (RFC 8707); empty for none
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// Authorities to trust for the authorization server, in PEM, in the place of the public ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Why there is no help.
enum HelperError {
    /// This argument is not a URL that a token may go to.
    Url(&'static str, String),
    /// This file cannot be read.
    File(PathBuf, SourceError),
    /// No token.
    Obtain(ObtainError),
    /// The client's side broke, or there is no runtime.
    System(std::io::Error),
}

impl fmt::Display for HelperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HelperError::Url(argument, why) => write!(f, "--{argument}: {why}"),
            HelperError::File(path, error) => write!(f, "{}: {error}", path.display()),
            HelperError::Obtain(error) => error.fmt(f),
            HelperError::System(error) => error.fmt(f),
        }
    }
}

impl From<ObtainError> for HelperError {
    fn from(error: ObtainError) -> Self {
        HelperError::Obtain(error)
    }
}

/// Helps. Exit status: 0 done, 1 not done.
pub(super) fn token_helper(command: &TokenHelperCommand) -> ExitCode {
    // The HTTP client wants the process to have chosen; a second choice would only say that there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let done = match command {
        TokenHelperCommand::Token { identity, print } => token(identity, *print),
        TokenHelperCommand::Stdio { identity, gateway_ca } => stdio(identity, gateway_ca.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluicegate token-helper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn token(identity: &Identity, print: bool) -> Result<(), HelperError> {
    let purse = Purse::new(identity.origin()?, &Limits::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HelperError::System)?;
    let issued = runtime.block_on(purse.issued())?;
    let mut out = std::io::stdout().lock();
    let written = if print {
        out.write_all(issued.secret.bytes()).and_then(|()| out.write_all(b"\n"))
    } else {
        writeln!(out, "a token can be had; it {}", life(&issued))
    };
    written.and_then(|()| out.flush()).map_err(HelperError::System)
}

fn life(issued: &Issued) -> String {
    match issued.expires_s {
        Some(expires_s) => format!("expires in {} s", expires_s.saturating_sub(now_unix_s())),
        None => "is the platform's, which keeps it fresh".to_owned(),
    }
}

fn stdio(identity: &Identity, gateway_ca: Option<&Path>) -> Result<(), HelperError> {
    let limits = Limits::default();
    let purse = Purse::new(identity.origin()?, &limits)?;
    let url = identity.url.parse().map_err(|_| HelperError::Url("url", "is not a URL".to_owned()))?;
    let mut http = reqwest::Client::builder()
        .connect_timeout(Duration::from_millis(limits.upstream_connect_time_max_ms))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = gateway_ca {
        let pem = file(path)?;
        http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).map_err(ObtainError::Network)?);
    }
    let http = http.build().map_err(ObtainError::Network)?;
    bridge::run(url, http, purse, limits).map_err(HelperError::System)
}

fn file(path: &Path) -> Result<Vec<u8>, HelperError> {
    let bytes = read_public(path).map_err(|error| HelperError::File(path.to_owned(), error))?;
    Ok(bytes.to_vec())
}

impl Identity {
    fn origin(&self) -> Result<Origin, HelperError> {
        safe("url", &self.url)?;
        let (server, id) = match (&self.token_file, &self.issuer, &self.token_endpoint, &self.client_id) {
            (_, Some(issuer), _, Some(id)) => (Server::Issuer(safe("issuer", issuer)?), id),
            (_, _, Some(endpoint), Some(id)) => (Server::TokenEndpoint(safe("token-endpoint", endpoint)?), id),
            // The command line has one of the three.
            (path, ..) => return Ok(Origin::File(path.clone().unwrap_or_default())),
        };
        let auth = match (&self.client_secret_file, &self.private_key_file, &self.assertion_file) {
            (Some(secret), ..) => ClientAuth::Secret(secret.clone()),
            (_, Some(key), _) => ClientAuth::PrivateKey(key.clone(), self.key_id.clone()),
            (.., assertion) => ClientAuth::Assertion(assertion.clone().unwrap_or_default()),
        };
        let authorities = self.ca.as_deref().map(file).transpose()?;
        let client = Arc::new(Client { server, id: id.clone(), auth, authorities });
        let resource = self.resource.clone().unwrap_or_else(|| self.url.clone());
        let resource = Some(resource).filter(|resource| !resource.is_empty());
        Ok(Origin::Grant(Box::new(ClientCredentials { client, scope: self.scope.clone(), resource })))
    }
}

/// The URL, where a secret may travel to it.
fn safe(argument: &'static str, url: &str) -> Result<String, HelperError> {
    match HttpUrl::parse(url) {
        Ok(parsed) if parsed.origin.is_tls || parsed.origin.is_loopback() => Ok(url.to_owned()),
        Ok(_) => Err(HelperError::Url(argument, "would be reached without TLS; use https://".to_owned())),
        Err(error) => Err(HelperError::Url(argument, error.to_string())),
    }
}
