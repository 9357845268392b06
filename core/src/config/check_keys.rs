//! Checks where an issuer's keys come from: its provider, a file, or the configuration itself.
//!
//! Invariant: keys come from one place, over TLS but on loopback where the operator says so; files are read once, so that a wrong one is
//! found here.

use std::sync::Arc;

use sluicegate_identity::{KeySet, RefreshLimits};
use toml::Spanned;

use super::check::Checker;
use super::limits::Limits;
use super::raw::{RawIssuer, Text};
use super::url::{HttpUrl, Origin};
use crate::control::addresses::Allowed;
use crate::control::fetch::AUTHORITIES_BYTES_MAX;
use crate::control::key_source::{IssuerKeys, KeyFile, KeySource, Provider, read_bounded};
use crate::credential::source::service_account_token;
use crate::tls::{ClientIdentity, IdentityFiles, Pin, provider_config};

/// Pins of one issuer.
const PINS_MAX: usize = 8;
/// What to name as `ca`.
const CA_HINT: &str = "name a PEM file with the certificates of the provider's own authorities";

impl Checker<'_, '_> {
    /// Where the keys of an issuer come from; `None` where something is wrong with that, which is reported.
    pub(super) fn issuer_keys(&mut self, raw: &RawIssuer, key: &str, limits: &Limits) -> Option<IssuerKeys> {
        let cooldown_s = self.number(raw.unknown_key_cooldown_s.as_ref(), &format!("{key}.unknown_key_cooldown_s"), 10..=300, 30);
        let stale_max_s = self.number(raw.max_stale_s.as_ref(), &format!("{key}.max_stale_s"), 0..=604_800, 86_400);
        let source = match self.one_place(raw, key)? {
            Place::Provider => KeySource::Provider(Arc::new(self.provider(raw, key)?)),
            Place::JwksFile(path) => {
                self.key_file(KeyFile::Jwks(self.dir.join(path.get_ref())), path, key, "jwks_file", limits)?
            }
            Place::PemFile(path) => {
                let kid = raw.pem_kid.as_ref().map(|kid| kid.get_ref().clone());
                self.key_file(KeyFile::Pem(self.dir.join(path.get_ref()), kid), path, key, "pem_file", limits)?
            }
            Place::Inline(set) => self.inline(set, key)?,
        };
        Some(IssuerKeys { source, limits: RefreshLimits { cooldown_s, stale_max_s, ..RefreshLimits::default() } })
    }

    /// The one place that is named; reports settings that belong to another.
    fn one_place<'r>(&mut self, raw: &'r RawIssuer, key: &str) -> Option<Place<'r>> {
        let places = [
            raw.jwks_file.as_ref().map(|file| ("jwks_file", file.span(), Place::JwksFile(file))),
            raw.pem_file.as_ref().map(|file| ("pem_file", file.span(), Place::PemFile(file))),
            raw.jwks.as_ref().map(|set| ("jwks", set.span(), Place::Inline(set))),
        ];
        let mut places = places.into_iter().flatten();
        let place = places.next();
        let mut is_good = true;
        let mut add = |span, field: &str, message: String, hint: &str| {
            self.problems.add(span, format!("{key}.{field}"), message, hint);
            is_good = false;
        };
        if let (Some((first, ..)), Some((second, span, _))) = (&place, places.next()) {
            add(span, second, format!("stands beside `{first}`"), "keep one of the two: keys come from one place");
        }
        if let Some(kid) = &raw.pem_kid
            && raw.pem_file.is_none()
        {
            add(kid.span(), "pem_kid", "stands without `pem_file`".to_owned(), "remove it: a JWK set names its keys itself");
        }
        if let Some((first, ..)) = &place {
            let texts = [
                ("jwks_uri", &raw.jwks_uri),
                ("ca", &raw.ca),
                ("client_cert", &raw.client_cert),
                ("client_key", &raw.client_key),
                ("bearer_file", &raw.bearer_file),
            ];
            let texts = texts.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?.span())));
            let numbers = [("unknown_key_cooldown_s", &raw.unknown_key_cooldown_s), ("max_stale_s", &raw.max_stale_s)];
            let numbers = numbers.into_iter().filter_map(|(field, number)| Some((field, number.as_ref()?.span())));
            let pins = raw.spki_pin.iter().map(|pins| ("spki_pin", pins.span()));
            let private = raw.allow_private.iter().map(|private| ("allow_private", private.span()));
            for (field, span) in texts.chain(numbers).chain(pins).chain(private) {
                add(span, field, format!("stands beside `{first}`"), "remove it: no provider is asked");
            }
        }
        is_good.then(|| place.map_or(Place::Provider, |(_, _, place)| place))
    }

    fn provider(&mut self, raw: &RawIssuer, key: &str) -> Option<Provider> {
        let private = raw.allow_private.as_ref().is_some_and(|private| *private.get_ref());
        let allowed = Allowed { loopback: raw.allow_insecure_loopback, private };
        let (at, field) = raw.jwks_uri.as_ref().map_or((&raw.issuer, "issuer"), |uri| (uri, "jwks_uri"));
        let origin = match HttpUrl::parse(at.get_ref()) {
            Ok(url) => url.origin,
            // A wrong issuer is reported where issuers are.
            Err(_) if raw.jwks_uri.is_none() => return None,
            Err(error) => {
                self.problems.add(at.span(), format!("{key}.jwks_uri"), error.to_string(), "write the URL of the key set");
                return None;
            }
        };
        if raw.jwks_uri.is_some() && !origin.is_tls && !(raw.allow_insecure_loopback && origin.is_loopback()) {
            let hint = "use https://, or for a test on this machine add `allow_insecure_loopback = true`";
            self.problems.add(at.span(), format!("{key}.jwks_uri"), "would be reached without TLS", hint);
        }
        if let Some(Err(refused)) = origin.ip().map(|address| allowed.judge(address)) {
            let hint = "use a public address; `allow_private = true` allows those of private networks and of this machine";
            self.problems.add(at.span(), format!("{key}.{field}"), refused.to_string(), hint);
        }
        let identity = self.provider_identity(raw, key)?;
        let pins = self.pins_of(raw, key)?;
        let authorities = match &raw.ca {
            Some(ca) => Some(self.provider_authorities(ca, &origin, key)?),
            None => None,
        };
        let bearer = match &raw.bearer_file {
            Some(file) => Some(self.bearer(file, key)?),
            None => None,
        };
        let jwks_uri = raw.jwks_uri.as_ref().map(|uri| uri.get_ref().clone());
        Some(Provider { issuer: raw.issuer.get_ref().clone(), jwks_uri, authorities, pins, identity, bearer, allowed })
    }

    fn provider_authorities(&mut self, ca: &Text, origin: &Origin, key: &str) -> Option<std::path::PathBuf> {
        let path = self.dir.join(ca.get_ref());
        let wrong = match read_bounded(&path, AUTHORITIES_BYTES_MAX) {
            _ if !origin.is_tls => Some("stands beside a plain http:// URL".to_owned()),
            Ok(None) => Some("is longer than 4 MiB".to_owned()),
            Ok(Some(pem)) => provider_config(Some(&pem), &[], None).err().map(|error| error.to_string()),
            Err(error) => Some(format!("cannot be read: {error}")),
        };
        match wrong {
            None => Some(path),
            Some(message) => {
                self.problems.add(ca.span(), format!("{key}.ca"), message, CA_HINT);
                None
            }
        }
    }

    fn pins_of(&mut self, raw: &RawIssuer, key: &str) -> Option<Vec<Pin>> {
        let Some(texts) = &raw.spki_pin else { return Some(Vec::new()) };
        if texts.get_ref().is_empty() || texts.get_ref().len() > PINS_MAX {
            let hint = format!("name 1 to {PINS_MAX}, one of them of a key that is kept in reserve");
            self.problems.add(texts.span(), format!("{key}.spki_pin"), "is out of bounds", hint);
            return None;
        }
        let mut pins = Vec::new();
        for text in texts.get_ref() {
            match Pin::parse(text.get_ref()) {
                Some(pin) => pins.push(pin),
                None => {
                    let hint = "write \"sha256/\" and the SHA-256 of the certificate's SubjectPublicKeyInfo in base64 (RFC 7469)";
                    self.problems.add(text.span(), format!("{key}.spki_pin"), "is not a pin", hint);
                }
            }
        }
        (pins.len() == texts.get_ref().len()).then_some(pins)
    }

    fn provider_identity(&mut self, raw: &RawIssuer, key: &str) -> Option<Option<IdentityFiles>> {
        let (at, message) = match (&raw.client_cert, &raw.client_key) {
            (None, None) => return Some(None),
            (Some(cert), Some(private)) => {
                let files = IdentityFiles { certificate: self.dir.join(cert.get_ref()), key: self.dir.join(private.get_ref()) };
                let Err(error) = ClientIdentity::read(&files) else { return Some(Some(files)) };
                let (at, field) = if error.is_about_key() { (private, "client_key") } else { (cert, "client_cert") };
                self.problems.add(at.span(), format!("{key}.{field}"), error.to_string(), error.hint());
                return None;
            }
            (Some(alone), None) => (alone, ["client_cert", "client_key"]),
            (None, Some(alone)) => (alone, ["client_key", "client_cert"]),
        };
        let [field, other] = message;
        let hint = format!("add `{other}`: the certificate and its key go together");
        self.problems.add(at.span(), format!("{key}.{field}"), format!("stands without `{other}`"), hint);
        None
    }

    fn bearer(&mut self, file: &Text, key: &str) -> Option<std::path::PathBuf> {
        let path = self.dir.join(file.get_ref());
        match service_account_token(&path) {
            Ok(_) => Some(path),
            Err(error) => {
                let hint = "name a file with one line: the token that the provider asks for";
                self.problems.add(file.span(), format!("{key}.bearer_file"), error.to_string(), hint);
                None
            }
        }
    }

    fn key_file(&mut self, file: KeyFile, at: &Text, key: &str, field: &str, limits: &Limits) -> Option<KeySource> {
        match file.read(limits.keys_document_bytes_max) {
            Ok(_) => Some(KeySource::File(file)),
            Err(error) => {
                let hint = "name a file with public keys for RS256, ES256 or EdDSA";
                self.problems.add(at.span(), format!("{key}.{field}"), error.to_string(), hint);
                None
            }
        }
    }

    fn inline(&mut self, set: &Spanned<toml::Value>, key: &str) -> Option<KeySource> {
        let document = match set.get_ref() {
            toml::Value::String(text) => text.clone().into_bytes(),
            table => serde_json::to_vec(table).unwrap_or_default(),
        };
        match KeySet::parse(&document) {
            Ok((keys, dropped)) if dropped.is_empty() => Some(KeySource::Inline(Arc::new(keys))),
            Ok((_, dropped)) => {
                let message = format!("its key number {} cannot be used: {}", dropped[0].index + 1, dropped[0].error);
                self.problems.add(set.span(), format!("{key}.jwks"), message, "mend or remove the key");
                None
            }
            Err(error) => {
                let hint =
                    "write a JWK set: { keys = [{ kty = \"OKP\", crv = \"Ed25519\", kid = \"…\", x = \"…\" }] }, or as JSON text";
                self.problems.add(set.span(), format!("{key}.jwks"), error.to_string(), hint);
                None
            }
        }
    }
}

/// Where keys come from, as it is written.
enum Place<'r> {
    Provider,
    JwksFile(&'r Text),
    PemFile(&'r Text),
    Inline(&'r Spanned<toml::Value>),
}
