//! Reads a secret of HashiCorp Vault or OpenBao: the KV version 2 engine, over its HTTP API.
//!
//! Invariant: the vault's token is in memory that is wiped and goes to the vault only; a token that is refused is replaced by a new login
//! once, not again and again; one that a login gave is given back at the end.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::remote::{self, ObtainError, Service};
use super::source::{Issued, Secret, from_file, service_account_token};
use crate::config::Limits;

/// Where a secret is in a vault, and how the gateway says who it is.
pub struct Vault {
    /// Scheme, host and port, without a slash at the end.
    pub address: String,
    /// The namespace, where the vault has any.
    pub namespace: Option<String>,
    /// The path at which the engine is mounted.
    pub mount: String,
    /// The secret's path in the engine.
    pub path: String,
    /// The field of the secret.
    pub field: String,
    /// How to log in.
    pub auth: VaultAuth,
    /// Seconds after which it is worth looking for a newer version.
    pub refresh_s: u64,
    /// The authorities to trust, in PEM.
    pub authorities: Option<Vec<u8>>,
}

/// How the gateway says to a vault who it is.
pub enum VaultAuth {
    /// A token in a file, which an agent may renew; it is read each time.
    TokenFile(PathBuf),
    /// The service account of the pod.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role: String,
        /// The file of the service account's token, which is read at each login.
        jwt_file: PathBuf,
    },
    /// A role and its secret id.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id.
        role_id: String,
        /// The file of the secret id, which is read at each login.
        secret_id_file: PathBuf,
    },
}

/// The client of one secret.
pub struct Session<'v> {
    vault: &'v Vault,
    service: Service,
    /// A token from a login, and the Unix second until which it is used.
    token: Option<(Secret, u64)>,
}

#[derive(Deserialize)]
struct LoginReply {
    auth: LoginAuth,
}

#[derive(Deserialize)]
struct LoginAuth {
    client_token: String,
    #[serde(default)]
    lease_duration: u64,
}

#[derive(Deserialize)]
struct SecretReply {
    data: SecretData,
    #[serde(default)]
    lease_duration: u64,
}

#[derive(Deserialize)]
struct SecretData {
    data: Option<HashMap<String, serde_json::Value>>,
    metadata: SecretMetadata,
}

#[derive(Deserialize)]
struct SecretMetadata {
    version: u64,
}

/// What a status of the API means (Vault's documentation, "HTTP status codes").
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "it cannot read the request, or the role or secret id is wrong",
        403 => "the token or its policy does not permit reading this path",
        404 => "there is no such secret, mount or namespace, or its version was deleted",
        429 | 472 | 473 => "it is a standby that does not serve; name the active node",
        501 => "it is not initialized",
        503 => "it is sealed, or down for maintenance",
        _ => "",
    }
}

impl<'v> Session<'v> {
    /// Sets up the client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(vault: &'v Vault, limits: &Limits) -> Result<Self, ObtainError> {
        Ok(Session { vault, service: Service::new(vault.authorities.as_deref(), limits)?, token: None })
    }

    /// Reads the secret, logging in first where that is due.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn ask(&mut self, now_s: u64) -> Result<Issued, ObtainError> {
        let had_token = self.token.as_ref().is_some_and(|(_, until_s)| now_s < *until_s);
        match self.read(now_s).await {
            // A token that was good can have been revoked meanwhile.
            Err(ObtainError::Status(403, _)) if had_token => {
                self.token = None;
                self.read(now_s).await
            }
            read => read,
        }
    }

    /// Gives the token of a login back, so that nobody can use it after us. The file's is not ours to give back.
    ///
    /// # Errors
    /// [`ObtainError`]; the token then ends with its lease.
    pub async fn end(&mut self) -> Result<(), ObtainError> {
        let Some((token, _)) = self.token.take().filter(|_| !matches!(self.vault.auth, VaultAuth::TokenFile(_))) else {
            return Ok(());
        };
        let request = self.service.post(format!("{}/v1/auth/token/revoke-self", self.vault.address));
        let request = self.in_namespace(request).header("X-Vault-Token", remote::sensitive(token.bytes())?);
        match self.service.answer(request).await? {
            // One that is not known any more has ended already.
            (200 | 204 | 403, _) => Ok(()),
            (status, _) => Err(ObtainError::Status(status, meaning(status))),
        }
    }

    async fn read(&mut self, now_s: u64) -> Result<Issued, ObtainError> {
        let Vault { address, mount, path, field, refresh_s, .. } = self.vault;
        let request = self.service.get(format!("{address}/v1/{mount}/data/{path}"));
        let request = self.in_namespace(request).header("X-Vault-Token", remote::sensitive(self.token(now_s).await?.bytes())?);
        let (status, body) = self.service.answer(request).await?;
        if status != 200 {
            return Err(ObtainError::Status(status, meaning(status)));
        }
        let reply: SecretReply = remote::read(&body, "is no secret of a KV version 2 engine")?;
        let mut fields = reply.data.data.ok_or(ObtainError::Status(404, meaning(404)))?;
        let value = match fields.remove(field) {
            Some(serde_json::Value::String(text)) => remote::secret(text)?,
            Some(_) => return Err(ObtainError::Malformed("holds something else than a text in this field")),
            None => return Err(ObtainError::Malformed("has no such field")),
        };
        fields.into_values().for_each(wipe);
        let lease_s = Some(reply.lease_duration).filter(|&lease_s| lease_s > 0);
        Ok(Issued {
            secret: value,
            version: reply.data.metadata.version,
            expires_s: None,
            life_ms: Some(lease_s.unwrap_or(*refresh_s).saturating_mul(1_000)),
        })
    }

    /// The token to read with: the file's, the one from the last login, or one from a new login.
    async fn token(&mut self, now_s: u64) -> Result<&Secret, ObtainError> {
        if self.token.as_ref().is_none_or(|(_, until_s)| now_s >= *until_s) {
            self.token = Some(self.login(now_s).await?);
        }
        self.token.as_ref().map(|(token, _)| token).ok_or(ObtainError::Malformed("holds no token"))
    }

    async fn login(&self, now_s: u64) -> Result<(Secret, u64), ObtainError> {
        let (mount, body) = match &self.vault.auth {
            // An agent may have put a newer one there, so it is good for this one time.
            VaultAuth::TokenFile(path) => return Ok((from_file(path)?, now_s)),
            VaultAuth::Kubernetes { mount, role, jwt_file } => {
                (mount, json!({ "role": role, "jwt": text(&service_account_token(jwt_file)?) }))
            }
            VaultAuth::AppRole { mount, role_id, secret_id_file } => {
                (mount, json!({ "role_id": role_id, "secret_id": text(&from_file(secret_id_file)?) }))
            }
        };
        let sent = Zeroizing::new(body.to_string().into_bytes());
        wipe(body);
        let request = self.service.post(format!("{}/v1/auth/{mount}/login", self.vault.address));
        let request = self.in_namespace(request).header("Content-Type", "application/json").body(Bytes::from_owner(sent));
        let (status, body) = self.service.answer(request).await?;
        if status != 200 {
            return Err(ObtainError::Status(status, meaning(status)));
        }
        let LoginAuth { client_token, lease_duration } = remote::read::<LoginReply>(&body, "is not that of a login")?.auth;
        // Without a lease the token does not end; looking in once an hour costs nothing.
        let life_s = if lease_duration == 0 { 3_600 } else { lease_duration / 5 * 4 };
        Ok((remote::secret(client_token)?, now_s.saturating_add(life_s)))
    }

    fn in_namespace(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.vault.namespace {
            Some(namespace) => request.header("X-Vault-Namespace", namespace),
            None => request,
        }
    }
}

fn text(secret: &Secret) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(secret.bytes())
}

/// Overwrites the texts of a value that held secrets.
fn wipe(value: serde_json::Value) {
    match value {
        serde_json::Value::String(text) => drop(Zeroizing::new(text)),
        serde_json::Value::Array(values) => values.into_iter().for_each(wipe),
        serde_json::Value::Object(values) => values.into_iter().for_each(|(_, value)| wipe(value)),
        _ => {}
    }
}
