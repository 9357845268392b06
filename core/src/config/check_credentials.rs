//! Checks where credentials come from and where they stand.
//!
//! Invariant: what is on this machine is read once, so that a wrong file is found here; nothing is asked of a service.

use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;

use super::check::{CA_HINT, Checker, read};
use super::checked::{Credential, Rule, Upstream};
use super::raw::{RawCredential, RawSecret, RawVault, RawVaultAuth, Text};
use super::url::HttpUrl;
use crate::credential::placement::{Placement, PlacementError};
use crate::credential::source::{self, Secret, Source, SourceError};
use crate::credential::vault::{Vault, VaultAuth};
use crate::stdio::command::Command;
use crate::tls::ClientTls;

/// Credentials that are taken; more are refused.
const CREDENTIALS_MAX: usize = 1_000;
/// Bytes of a name, path or identifier in one of them.
const TEXT_BYTES_MAX: usize = 512;
/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// What to say of a service that is reached without TLS.
const TLS_HINT: &str = "use https://; plain http:// is for loopback only, because secrets travel on it";

/// Lists for each upstream the credentials that its calls can be given: its own, and those of the rules that cover it.
pub(super) fn choose_credentials(rules: &[Rule], upstreams: &mut [Upstream]) {
    for (at, upstream) in upstreams.iter_mut().enumerate() {
        let by_rules = rules.iter().filter(|rule| rule.what.upstreams.get(at) == Some(&true)).filter_map(|rule| rule.credential);
        let in_environment = upstream.command.iter().flat_map(Command::credentials);
        let mut all: Vec<usize> = upstream.credential.into_iter().chain(by_rules).chain(in_environment).collect();
        all.sort_unstable();
        all.dedup();
        upstream.credentials = all;
    }
}

impl Checker<'_, '_> {
    /// All credentials; `None` where something is wrong with one of them, which is reported.
    pub(super) fn credentials(&mut self, raw: &[RawCredential]) -> Option<Vec<Arc<Credential>>> {
        self.unique(raw.iter().map(|credential| &credential.name), "credential.name");
        if let Some(one) = raw.get(CREDENTIALS_MAX) {
            self.problems.add(one.name.span(), "credential", "there are more than 1000", "use several gateways");
            return None;
        }
        // Each is looked at, also behind one that is wrong.
        let checked: Vec<_> = raw.iter().enumerate().map(|(at, one)| self.credential(one, at + 1)).collect();
        checked.into_iter().collect()
    }

    /// The index of the credential of this name.
    pub(super) fn credential_named(&mut self, name: &Text, key: &str) -> Option<usize> {
        let known = &self.named.credentials;
        let found = known.iter().position(|known| known == name.get_ref());
        if found.is_none() {
            let known = known.clone();
            self.dangling(name, key, "[[credential]]", known.iter().map(String::as_str));
        }
        found
    }

    fn credential(&mut self, raw: &RawCredential, number: usize) -> Option<Arc<Credential>> {
        let key = format!("credential[{number}]");
        let (source, placement) = (self.source(raw, &key), self.placement(raw, &key));
        Some(Arc::new(Credential { name: raw.name.get_ref().clone(), source: source?, placement: Arc::new(placement?) }))
    }

    fn source(&mut self, raw: &RawCredential, key: &str) -> Option<Source> {
        let given = [
            ("file", raw.file.as_ref().map(Spanned::span)),
            ("env", raw.env.as_ref().map(Spanned::span)),
            ("systemd", raw.systemd.as_ref().map(Spanned::span)),
            ("vault", raw.vault.as_ref().map(Spanned::span)),
            ("oauth", raw.oauth.as_ref().map(Spanned::span)),
            ("exchange", raw.exchange.as_ref().map(Spanned::span)),
            ("jwt", raw.jwt.as_ref().map(Spanned::span)),
        ];
        let mut given = given.into_iter().filter_map(|(name, span)| Some((name, span?)));
        let first = given.next();
        if let (Some((first, _)), Some((second, span))) = (&first, given.next()) {
            let message = format!("stands beside `{first}`");
            self.problems.add(span, format!("{key}.{second}"), message, "keep one of the two");
            return None;
        }
        match raw {
            RawCredential { file: Some(file), .. } => self.file(file, &format!("{key}.file")).map(Source::File),
            RawCredential { env: Some(name), .. } => {
                let read = source::from_env(name.get_ref()).map(drop);
                self.local(name, &format!("{key}.env"), read).map(|()| Source::Env(name.get_ref().clone()))
            }
            RawCredential { systemd: Some(name), .. } => {
                let found = source::systemd_path(name.get_ref()).and_then(|path| source::from_file(&path).map(|_| path));
                self.local(name, &format!("{key}.systemd"), found).map(Source::File)
            }
            RawCredential { vault: Some(vault), .. } => {
                self.vault(vault.get_ref(), &format!("{key}.vault")).map(|vault| Source::Vault(Box::new(vault)))
            }
            RawCredential { oauth: Some(oauth), .. } => {
                self.oauth(oauth, &format!("{key}.oauth")).map(|oauth| Source::OAuth(Box::new(oauth)))
            }
            RawCredential { exchange: Some(exchange), .. } => {
                self.exchange(exchange, &format!("{key}.exchange")).map(|exchange| Source::Exchange(Arc::new(exchange)))
            }
            RawCredential { jwt: Some(jwt), .. } => self.jwt(jwt, &format!("{key}.jwt")).map(|jwt| Source::Jwt(Arc::new(jwt))),
            _ => {
                let hint = "add one of `file`, `env`, `systemd`, `vault`, `oauth`, `exchange`, `jwt`";
                self.problems.add(raw.name.span(), key, "has no source", hint);
                None
            }
        }
    }

    /// A secret in a file or in a variable, and where it is read again whenever it is needed.
    pub(super) fn local_secret(&mut self, raw: &Spanned<RawSecret>, key: &str) -> Option<(Source, Secret)> {
        let Some((field, at)) = raw.get_ref().place() else {
            let (message, hint) = match raw.get_ref().file {
                Some(_) => ("has two sources", "keep one of `file` and `env`"),
                None => ("has no source", "add `file = \"…\"` or `env = \"…\"`"),
            };
            self.problems.add(raw.span(), key, message, hint);
            return None;
        };
        let (source, read) = if field == "file" {
            let path = self.dir.join(at.get_ref());
            let read = source::from_file(&path);
            (Source::File(path), read)
        } else {
            (Source::Env(at.get_ref().clone()), source::from_env(at.get_ref()))
        };
        self.local(at, &format!("{key}.{field}"), read).map(|secret| (source, secret))
    }

    pub(super) fn local<T>(&mut self, at: &Text, key: &str, read: Result<T, SourceError>) -> Option<T> {
        read.map_err(|error| self.problems.add(at.span(), key, error.to_string(), error.hint())).ok()
    }

    /// The path of a file with one secret on one line, which is read to see that it can be.
    pub(super) fn file(&mut self, file: &Text, key: &str) -> Option<PathBuf> {
        let path = self.dir.join(file.get_ref());
        let read = source::from_file(&path).map(drop);
        self.local(file, key, read).map(|()| path)
    }

    fn placement(&mut self, raw: &RawCredential, key: &str) -> Option<Placement> {
        let prefix = raw.prefix.as_ref().map_or("", |prefix| prefix.get_ref());
        let (at, field, made) = match (&raw.header, &raw.basic, &raw.query) {
            (Some(header), None, None) => {
                let made = Placement::header(header.get_ref(), prefix);
                match (&made, &raw.prefix) {
                    (Err(PlacementError::Prefix), Some(prefix)) => (prefix, "prefix", made),
                    _ => (header, "header", made),
                }
            }
            (None, Some(basic), None) => (&basic.user, "basic.user", Placement::basic(basic.user.get_ref())),
            (None, None, Some(query)) => (query, "query", Placement::query(query.get_ref())),
            (None, None, None) if raw.prefix.is_none() => return Some(Placement::Environment),
            (None, None, None) => {
                let hint = "add `header = \"Authorization\"`, or remove `prefix`";
                let at = raw.prefix.as_ref().unwrap_or(&raw.name);
                self.problems.add(at.span(), format!("{key}.prefix"), "stands without `header`", hint);
                return None;
            }
            _ => {
                let hint = "keep one of `header`, `basic`, `query`";
                self.problems.add(raw.name.span(), key, "has several places in a request", hint);
                return None;
            }
        };
        if let Some(prefix) = raw.prefix.as_ref().filter(|_| raw.header.is_none()) {
            self.problems.add(prefix.span(), format!("{key}.prefix"), "stands without `header`", "remove it");
            return None;
        }
        made.map_err(|error| self.problems.add(at.span(), format!("{key}.{field}"), error.to_string(), error.hint())).ok()
    }

    /// A text of 1 to 512 printable characters.
    pub(super) fn text(&mut self, text: &Text, key: &str) -> Option<String> {
        let is_good =
            (1..=TEXT_BYTES_MAX).contains(&text.get_ref().len()) && text.get_ref().bytes().all(|b| (0x20..0x7f).contains(&b));
        if !is_good {
            self.problems.add(text.span(), key, "is not a text that can be sent", "use 1 to 512 characters of ASCII");
        }
        is_good.then(|| text.get_ref().clone())
    }

    pub(super) fn optional(&mut self, text: Option<&Text>, key: &str) -> Option<Option<String>> {
        match text {
            Some(text) => self.text(text, key).map(Some),
            None => Some(None),
        }
    }

    /// A path of the vault's API, without slashes at its ends.
    fn api_path(&mut self, text: Option<&Text>, default: &str, key: &str) -> Option<String> {
        let Some(text) = text else { return Some(default.to_owned()) };
        let path = text.get_ref().trim_matches('/');
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~@".contains(&b))
        };
        let is_good = path.len() <= TEXT_BYTES_MAX && path.split('/').all(plain);
        if !is_good {
            let hint = "use parts of A-Z, a-z, 0-9, `-`, `_`, `.`, `~`, `@` with `/` between them";
            self.problems.add(text.span(), key, "is not a path of the vault", hint);
        }
        is_good.then(|| path.to_owned())
    }

    /// The URL of a service that gives out secrets.
    pub(super) fn service(&mut self, text: &Text, key: &str) -> Option<HttpUrl> {
        match HttpUrl::parse(text.get_ref()) {
            Ok(url) if !url.origin.is_tls && !url.origin.is_loopback() => {
                self.problems.add(text.span(), key, "would be reached without TLS", TLS_HINT);
                None
            }
            Ok(url) => Some(url),
            Err(error) => {
                self.problems.add(text.span(), key, error.to_string(), "write the URL, like \"https://vault.example.com:8200\"");
                None
            }
        }
    }

    /// The authorities to trust for a service, in PEM.
    pub(super) fn service_ca(&mut self, ca: Option<&Text>, url: &HttpUrl, key: &str) -> Option<Option<Vec<u8>>> {
        let Some(ca) = ca else { return Some(None) };
        let message = match read(&self.dir.join(ca.get_ref())) {
            _ if !url.origin.is_tls => "stands beside a plain http:// URL".to_owned(),
            Ok(Some(pem)) => match ClientTls::new(&url.origin.host, Some(pem.as_bytes())) {
                Ok(_) => return Some(Some(pem.into_bytes())),
                Err(error) => error.to_string(),
            },
            Ok(None) => "is longer than 4 MiB".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.problems.add(ca.span(), key, message, CA_HINT);
        None
    }

    fn vault(&mut self, raw: &RawVault, key: &str) -> Option<Vault> {
        let url = self.service(&raw.address, &format!("{key}.address"));
        if let Some(url) = url.as_ref().filter(|url| url.path != "/") {
            let message = format!("has the path {:?}", url.path);
            self.problems.add(raw.address.span(), format!("{key}.address"), message, "end it behind the port");
        }
        let namespace = match &raw.namespace {
            Some(namespace) => self.api_path(Some(namespace), "", &format!("{key}.namespace")).map(Some),
            None => Some(None),
        };
        let mount = self.api_path(raw.mount.as_ref(), "secret", &format!("{key}.mount"));
        let path = self.api_path(Some(&raw.path), "", &format!("{key}.path"));
        let field = self.text(&raw.field, &format!("{key}.field"));
        let auth = self.vault_auth(&raw.auth, &format!("{key}.auth"));
        let refresh_s = self.number(raw.refresh_s.as_ref(), &format!("{key}.refresh_s"), 2..=86_400, 300);
        let authorities = self.service_ca(raw.ca.as_ref(), url.as_ref()?, &format!("{key}.ca"));
        let url = url?;
        let address = url.site();
        Some(Vault {
            address,
            namespace: namespace?,
            mount: mount?,
            path: path?,
            field: field?,
            auth: auth?,
            refresh_s,
            authorities: authorities?,
        })
    }

    fn vault_auth(&mut self, raw: &Spanned<RawVaultAuth>, key: &str) -> Option<VaultAuth> {
        match raw.get_ref() {
            RawVaultAuth { token_file: Some(file), kubernetes: None, approle: None } => {
                self.file(file, &format!("{key}.token_file")).map(VaultAuth::TokenFile)
            }
            RawVaultAuth { token_file: None, kubernetes: Some(kubernetes), approle: None } => {
                let key = format!("{key}.kubernetes");
                let mount = self.api_path(kubernetes.mount.as_ref(), "kubernetes", &format!("{key}.mount"));
                let role = self.text(&kubernetes.role, &format!("{key}.role"));
                let jwt_file = match &kubernetes.jwt_file {
                    Some(file) => {
                        let path = self.dir.join(file.get_ref());
                        let read = source::service_account_token(&path).map(|_| path);
                        self.local(file, &format!("{key}.jwt_file"), read)
                    }
                    // It is there in a pod only, where a check need not be made.
                    None => Some(PathBuf::from(SERVICE_ACCOUNT)),
                };
                Some(VaultAuth::Kubernetes { mount: mount?, role: role?, jwt_file: jwt_file? })
            }
            RawVaultAuth { token_file: None, kubernetes: None, approle: Some(approle) } => {
                let key = format!("{key}.approle");
                let mount = self.api_path(approle.mount.as_ref(), "approle", &format!("{key}.mount"));
                let role_id = self.text(&approle.role_id, &format!("{key}.role_id"));
                let secret_id_file = self.file(&approle.secret_id_file, &format!("{key}.secret_id_file"));
                Some(VaultAuth::AppRole { mount: mount?, role_id: role_id?, secret_id_file: secret_id_file? })
            }
            _ => {
                let hint = "give exactly one of `token_file`, `kubernetes`, `approle`";
                self.problems.add(raw.span(), key, "does not say how to log in", hint);
                None
            }
        }
    }
}
