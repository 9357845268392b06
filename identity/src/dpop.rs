//! Verifies DPoP proofs (RFC 9449 section 4.3): that who sends a request holds a key, and made the proof for this request and token.
//!
//! Invariant: only [`Proof::verify`] makes a [`ProvenKey`]. Whether a proof was used before is not known here: whoever verifies one
//! must ask for its [`Proof::use_id`] where all that see requests look.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::json;
use crate::jwk::{VerifyingKey, admit};
use crate::refusal::Refusal;

/// Bytes of a proof.
const PROOF_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a proof's `jti` or `nonce`.
const ID_BYTES_MAX: usize = 256;
/// Seconds that a proof's time of issue may lie before or behind now.
const PROOF_TIME_S: u64 = 60;
/// Seconds by which one reader of the clock may be behind another: its own tick, and a step back that nobody is told of.
const CLOCKS_APART_S: u64 = 6;
/// The algorithms of proofs, as a challenge names them (RFC 9449 section 7.1).
const PROOF_ALGORITHMS: &str = "ES256 EdDSA Ed25519 RS256";

/// The value of `WWW-Authenticate` that asks for a proof.
pub fn challenge(error: Option<&str>) -> String {
    match error {
        Some(error) => format!("DPoP error=\"{error}\", algs=\"{PROOF_ALGORITHMS}\""),
        None => format!("DPoP algs=\"{PROOF_ALGORITHMS}\""),
    }
}

/// A key that the sender of a request has proved to hold.
#[derive(Debug, Clone, Copy)]
pub struct ProvenKey([u8; 32]);

impl ProvenKey {
    /// Whether its thumbprint (RFC 7638, SHA-256) is this one.
    pub fn is(&self, thumbprint: &[u8; 32]) -> bool {
        self.0 == *thumbprint
    }
}

/// The request that a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct Proven<'r> {
    /// Its method, as it came.
    pub method: &'r [u8],
    /// Its URL as clients see it, without query and fragment.
    pub url: &'r str,
    /// The token it came with.
    pub token: &'r [u8],
    /// Now, in Unix seconds.
    pub now: u64,
}

/// A proof that was verified, but may have been used before.
#[derive(Debug)]
pub struct Proof {
    key: [u8; 32],
    jti: String,
    nonce: Option<String>,
    issued_at: u64,
}

/// Takes the one proof out of a request's `DPoP` fields (RFC 9449 section 4.3, check 1).
///
/// # Errors
/// None, or several.
pub fn sent_proof<'h>(mut values: impl Iterator<Item = &'h [u8]>) -> Result<&'h [u8], Refusal> {
    let proof = values.next().ok_or(Refusal::NoProof)?;
    if values.next().is_some() { Err(Refusal::SeveralProofs) } else { Ok(proof) }
}

impl Proof {
    /// Verifies a proof for a request.
    ///
    /// # Errors
    /// [`Refusal::MalformedProof`], or [`Refusal::WrongProof`] with what does not fit.
    pub fn verify(proof: &[u8], request: &Proven<'_>) -> Result<Proof, Refusal> {
        let parts = Parts::of(proof)?;
        let (key, thumbprint) = key(&parts.header)?;
        if !key.verifies(parts.signed, &parts.signature) {
            return Err(Refusal::WrongProof("signature"));
        }
        let text = |name: &str| parts.claims.get(name).and_then(Value::as_str).ok_or(Refusal::MalformedProof);
        if text("htm")?.as_bytes() != request.method {
            return Err(Refusal::WrongProof("htm"));
        }
        if normal(text("htu")?) != normal(request.url) {
            return Err(Refusal::WrongProof("htu"));
        }
        if text("ath")? != URL_SAFE_NO_PAD.encode(digest(&SHA256, request.token)) {
            return Err(Refusal::WrongProof("ath"));
        }
        let issued_at = parts.claims.get("iat").and_then(seconds).ok_or(Refusal::MalformedProof)?;
        if issued_at.abs_diff(request.now) > PROOF_TIME_S {
            return Err(Refusal::WrongProof("iat"));
        }
        let jti = text("jti")?;
        if jti.is_empty() || jti.len() > ID_BYTES_MAX {
            return Err(Refusal::MalformedProof);
        }
        let nonce = match parts.claims.get("nonce") {
            None => None,
            Some(Value::String(nonce)) if nonce.len() <= ID_BYTES_MAX => Some(nonce.clone()),
            Some(_) => return Err(Refusal::MalformedProof),
        };
        Ok(Proof { key: thumbprint, jti: jti.to_owned(), nonce, issued_at })
    }

    /// The nonce it holds, which is not looked at here.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// What tells its use from every other: SHA-256 over `salt`, the key's thumbprint and the `jti`.
    pub fn use_id(&self, salt: &[u8; 32]) -> [u8; 32] {
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, &[salt, self.key.as_slice(), self.jti.as_bytes()].concat()).as_ref());
        id
    }

    /// From when on it is refused for its age by whatever clock of this machine is read, in Unix seconds; until then its use must be
    /// remembered.
    pub fn expires_at(&self) -> u64 {
        self.issued_at + PROOF_TIME_S + 1 + CLOCKS_APART_S
    }

    /// The key that made it. To be asked for when it is certain that the proof was not used before.
    pub fn key(&self) -> ProvenKey {
        ProvenKey(self.key)
    }
}

struct Parts<'p> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: &'p [u8],
    signature: Vec<u8>,
}

impl Parts<'_> {
    fn of(proof: &[u8]) -> Result<Parts<'_>, Refusal> {
        if proof.len() > PROOF_BYTES_MAX {
            return Err(Refusal::MalformedProof);
        }
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::MalformedProof);
        let object = |part: &[u8]| json::object(&decode(part)?).map_err(|_| Refusal::MalformedProof);
        let mut parts = proof.split(|&b| b == b'.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(claims), Some(signature), None) => Ok(Parts {
                header: object(header)?,
                claims: object(claims)?,
                signed: &proof[..header.len() + 1 + claims.len()],
                signature: decode(signature)?,
            }),
            _ => Err(Refusal::MalformedProof),
        }
    }
}

/// The key that a proof's header carries, and its thumbprint. Only here a key out of a JWT is used: it proves that its owner made
/// the proof, and counts for nothing unless a token names it.
fn key(header: &Map<String, Value>) -> Result<(VerifyingKey, [u8; 32]), Refusal> {
    if header.get("typ").and_then(Value::as_str) != Some("dpop+jwt") || header.contains_key("crit") || header.contains_key("b64")
    {
        return Err(Refusal::MalformedProof);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
    let jwk = header.get("jwk").ok_or(Refusal::MalformedProof)?;
    let key = admit(jwk).map_err(|_| Refusal::MalformedProof)?;
    if algorithm != Some(key.algorithm) {
        return Err(Refusal::MalformedProof);
    }
    Ok((key, thumbprint(jwk).ok_or(Refusal::MalformedProof)?))
}

/// RFC 7638 section 3, with SHA-256. The members of an admitted key are base64url or names, so nothing in them needs an escape.
pub(crate) fn thumbprint(jwk: &Value) -> Option<[u8; 32]> {
    let members: &[&str] = match jwk.get("kty")?.as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let pairs: Option<Vec<String>> =
        members.iter().map(|name| Some(format!("\"{name}\":\"{}\"", jwk.get(name)?.as_str()?))).collect();
    let mut thumbprint = [0; 32];
    thumbprint.copy_from_slice(digest(&SHA256, format!("{{{}}}", pairs?.join(",")).as_bytes()).as_ref());
    Some(thumbprint)
}

fn seconds(value: &Value) -> Option<u64> {
    value.as_f64().filter(|seconds| (0.0..9e15).contains(seconds)).map(|seconds| seconds as u64)
}

/// A URL without query and fragment, its scheme and host in lower case, without the scheme's own port (RFC 3986 section 6.2).
fn normal(url: &str) -> Option<(String, &str)> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(port).unwrap_or(&authority);
    Some((format!("{scheme}://{authority}"), if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests;
