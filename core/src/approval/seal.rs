//! Seals what the gateway gives out of its hands for a call that needs approval.
//!
//! Invariant: what was sealed opens for the purpose, the endpoint and the principal that it was sealed for, and for no other; who
//! carries it reads nothing of it and changes nothing unnoticed. The key comes of the one that signs decisions, so gateways that share
//! that one open each other's, also after a restart.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::sign::Signer;

/// Begins every token of ours; what follows names the key.
const MARK: &str = "slg1.";

/// What a seal is bound to. Only the principal's id could hold a NUL, and it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// What it is for.
    pub purpose: &'static str,
    /// The request for approval that it is about; empty where it says so itself.
    pub about: &'a str,
    /// The upstream's name.
    pub upstream: &'a str,
    /// The principal's id.
    pub principal: &'a str,
}

impl Owner<'_> {
    fn bytes(&self) -> Vec<u8> {
        [self.purpose, self.about, self.upstream, self.principal].join("\0").into_bytes()
    }
}

/// Seals and opens.
pub struct Seals {
    key: LessSafeKey,
    /// What tokens under this key begin with.
    mark: String,
}

impl Seals {
    /// Derives the key. `None`: the system refuses.
    pub fn new(signer: &Signer) -> Option<Seals> {
        let key = signer.derive(b"seal/v1")?;
        let name = signer.derive(b"seal/v1 name")?;
        let name: String = name.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Some(Seals { key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).ok()?), mark: format!("{MARK}{name}.") })
    }

    /// Seals bytes. `None`: the system gives no randomness.
    pub fn seal(&self, owner: &Owner<'_>, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let bound = Aad::from(owner.bytes());
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed. `None`: it is forged, or was sealed for something or somebody else.
    pub fn open(&self, owner: &Owner<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut rest = rest.to_vec();
        let bound = Aad::from(owner.bytes());
        let length = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut rest).ok()?.len();
        rest.truncate(length);
        Some(rest)
    }

    /// Seals bytes into a token of visible ASCII.
    pub fn token(&self, owner: &Owner<'_>, plain: &[u8]) -> Option<String> {
        self.seal(owner, plain).map(|sealed| format!("{}{}", self.mark, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Whether a text claims to be a token of this key. What does not is an upstream's, and none of our business.
    pub fn claims(&self, text: &str) -> bool {
        text.starts_with(&self.mark)
    }

    /// Opens a token.
    pub fn open_token(&self, owner: &Owner<'_>, token: &str) -> Option<Vec<u8>> {
        self.open(owner, &URL_SAFE_NO_PAD.decode(token.strip_prefix(&self.mark)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const OWNER: Owner<'_> = Owner { purpose: "state", about: "", upstream: "crm", principal: "corp:a" };

    #[test]
    fn r111_a_token_opens_for_its_owner_alone_and_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let token = Seals::new(&Signer::open(dir.path()).unwrap()).unwrap().token(&OWNER, b"what").unwrap();
        let seals = Seals::new(&Signer::open(dir.path()).unwrap()).unwrap();
        assert!(seals.claims(&token) && seals.open_token(&OWNER, &token).as_deref() == Some(&b"what"[..]));
        for other in [
            Owner { purpose: "task", ..OWNER },
            Owner { about: "APR-1", ..OWNER },
            Owner { upstream: "erp", ..OWNER },
            Owner { principal: "corp:b", ..OWNER },
        ] {
            assert_eq!(seals.open_token(&other, &token), None, "{other:?}");
        }
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(seals.open_token(&OWNER, std::str::from_utf8(&forged).unwrap()), None, "byte {at}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let others = Seals::new(&Signer::open(elsewhere.path()).unwrap()).unwrap();
        assert!(!others.claims(&token) && others.open_token(&OWNER, &token).is_none());
    }
}
