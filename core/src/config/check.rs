//! Checks a configuration and reports every problem, not only the first.
//!
//! Invariant: reading it touches no network; secrets are read, but never shown.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::check_approval;
use super::check_budgets::budgets;
use super::check_claims::{has_groups, has_roles};
use super::check_credentials::choose_credentials;
use super::check_dlp::dlp_rules;
use super::check_pins::agree_with_pins;
use super::check_rules::rules;
use super::checked::{Audit, Config, PinSetup, Server, Upstream};
use super::problem::{Problem, Problems, Weight, nearest};
use super::raw::{RawAudit, RawConfig, RawIssuer, RawPins, RawServer, RawUpstream, Text};
use super::shape;
use super::url::HttpUrl;
use crate::pin::book::FirstSight;
use crate::policy::Glob;
use crate::tls::{ClientTls, TlsError, Transport};

/// Bytes of a configuration file; a longer one is not read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Where a program is until there is a bridge to it.
const UNBOUND: &str = "http://127.0.0.1:1/";
/// What to name as `ca`.
pub(super) const CA_HINT: &str = "name a PEM file with the certificates of the upstream's own authorities";

/// Reads and checks the file at `path`.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let whole = |message: String, hint: &str| {
        vec![Problem { file: path.to_owned(), line: 0, column: 0, key: String::new(), message, hint: hint.to_owned() }]
    };
    let text = match read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Err(whole("is longer than 4 MiB".into(), "a configuration is far shorter; is it the right file?")),
        Err(error) => {
            return Err(whole(format!("cannot be read: {error}"), "give the path of a configuration file, UTF-8 text, with -c"));
        }
    };
    let mut problems = Problems::new(path, &text);
    let Some(raw) = shape::read::<RawConfig>(&text, &mut problems) else { return Err(problems.of(Weight::Fault)) };
    let dir = path.parent().unwrap_or(Path::new("")).to_owned();
    let revision = check_approval::revision(&text);
    let checked = Checker { problems: &mut problems, dir, named: Named::of(&raw) }.config(raw, revision);
    match checked {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems.of(Weight::Fault)),
    }
}

/// The file's text; `None` where it is too long. Never more than the bound is read, also of a file that has no end.
pub(super) fn read(path: &Path) -> std::io::Result<Option<String>> {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok((text.len() as u64 <= FILE_BYTES_MAX).then_some(text))
}

pub(super) struct Checker<'p, 't> {
    pub(super) problems: &'p mut Problems<'t>,
    pub(super) dir: PathBuf,
    /// What the file names, whether or not the rest of it is right: a rule that names it is not to blame.
    pub(super) named: Named,
}

/// The names that a file gives.
pub(super) struct Named {
    pub(super) upstreams: Vec<String>,
    pub(super) credentials: Vec<String>,
    pub(super) issuers: Vec<String>,
    /// Those whose certificates are taken; in rules they are numbered behind the issuers of tokens.
    pub(super) certificate_issuers: Vec<String>,
    /// Those of the issuers whose tokens carry roles.
    pub(super) issuers_with_roles: Vec<String>,
    /// Those of the issuers whose tokens carry groups.
    pub(super) issuers_with_groups: Vec<String>,
}

impl Named {
    fn of(raw: &RawConfig) -> Self {
        let name = |issuer: &RawIssuer| issuer.name.get_ref().clone();
        Named {
            upstreams: raw.upstream.iter().map(|upstream| upstream.name.get_ref().clone()).collect(),
            credentials: raw.credential.iter().map(|credential| credential.name.get_ref().clone()).collect(),
            issuers: raw.issuer.iter().map(name).collect(),
            certificate_issuers: raw.certificate_issuer.iter().map(|issuer| issuer.name.get_ref().clone()).collect(),
            issuers_with_roles: raw
                .issuer
                .iter()
                .filter(|issuer| has_roles(issuer))
                .map(name)
                .chain(
                    raw.certificate_issuer.iter().filter(|issuer| !issuer.roles.is_empty()).map(|one| one.name.get_ref().clone()),
                )
                .collect(),
            issuers_with_groups: raw.issuer.iter().filter(|issuer| has_groups(issuer)).map(name).collect(),
        }
    }
}

impl Checker<'_, '_> {
    fn config(mut self, raw: RawConfig, revision: String) -> Option<Config> {
        if *raw.version.get_ref() != 1 {
            self.problems.add(raw.version.span(), "version", "this program reads version 1", "set `version = 1`");
        }
        let server = self.server(&raw.server);
        let (limits, wrong) = raw.limits.check();
        for (name, span, least, most) in wrong {
            self.problems.add(span, format!("limits.{name}"), "is out of bounds", format!("use {least} to {most}"));
        }
        let credentials = self.credentials(&raw.credential);
        let mut upstreams = self.upstreams(&raw.upstream);
        let resources: Vec<String> = match &server {
            Some(server) => self.named.upstreams.iter().map(|name| server.resource(name)).collect(),
            None => Vec::new(),
        };
        let admin = raw.admin.as_ref().and_then(|admin| self.admin(admin));
        let approval = server.as_ref().and_then(|server| self.approval(&raw, server, admin.as_ref(), &limits));
        let mut audiences = resources.clone();
        audiences.extend(approval.as_ref().map(|approval| approval.audience.clone()));
        let tls = self.server_tls(&raw, &resources);
        let revocation = raw.revocation.as_ref().zip(server.as_ref());
        let revocation = revocation.and_then(|(raw, server)| self.revocation(raw, server, admin.as_ref()));
        audiences.extend(revocation.as_ref().map(|revocation| revocation.audience.clone()));
        self.signals(&raw, &audiences);
        let issuers = self.issuers(&raw.issuer, &audiences, &limits);
        let rules = rules(&mut self, &raw.rule, &issuers, &upstreams, &resources);
        choose_credentials(&rules, &mut upstreams);
        if let Some(credentials) = &credentials {
            self.credentials_fit(&raw, credentials, &upstreams, &rules);
        }
        self.scoped_tools_can_be_called(&raw, &rules, &upstreams);
        self.somebody_can_decide(&raw, approval.as_ref());
        let catalogue = self.catalogue(&raw.dlp.detector);
        let keyring = raw.dlp.key.as_ref().and_then(|key| self.keyring(key));
        let budgets = budgets(&mut self, &raw.budget, &issuers, &upstreams, &resources, keyring.is_some());
        let dlp_rules = dlp_rules(&mut self, &raw.dlp, &catalogue, keyring.as_ref());
        let pins = raw.pins.as_ref().and_then(|pins| self.pins(pins));
        if let Some(setup) = &pins {
            agree_with_pins(&mut self, &raw.rule, &rules, &upstreams, setup);
        }
        let audit = self.audit(&raw.audit);
        let (doubts, warnings) = (self.problems.of(Weight::Doubt), self.problems.of(Weight::Warning));
        let dlp_keyring = keyring;
        Some(Config {
            server: Server { tls, ..server? },
            issuers,
            keys_dir: raw.keys.as_ref().map(|keys| self.dir.join(keys.dir.get_ref())),
            credentials: credentials?,
            upstreams,
            rules,
            revision,
            approval,
            budgets,
            catalogue,
            dlp_rules,
            dlp_keyring,
            pins,
            revocation,
            audit,
            admin,
            limits,
            doubts,
            warnings,
        })
    }

    /// A number within bounds, or the default.
    pub(super) fn number(
        &mut self,
        value: Option<&Spanned<i64>>,
        key: &str,
        bounds: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(value) = value else { return default };
        match u64::try_from(*value.get_ref()) {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let hint = format!("use {} to {}", bounds.start(), bounds.end());
                self.problems.add(value.span(), key, "is out of bounds", hint);
                default
            }
        }
    }

    pub(super) fn address(&mut self, text: &Text, key: &str) -> Option<SocketAddr> {
        let parsed = text.get_ref().parse().ok();
        if parsed.is_none() {
            self.problems.add(
                text.span(),
                key,
                "is not an address and port",
                "write it like \"127.0.0.1:8080\" or \"[::1]:8080\"",
            );
        }
        parsed
    }

    fn server(&mut self, raw: &RawServer) -> Option<Server> {
        let listen = self.address(&raw.listen, "server.listen");
        let workers = raw.workers.as_ref().map(|_| self.number(raw.workers.as_ref(), "server.workers", 1..=1024, 1) as usize);
        let public_url = match HttpUrl::parse(raw.public_url.get_ref()) {
            Ok(url) if url.path.contains('?') => {
                self.problems.add(raw.public_url.span(), "server.public_url", "has a query", "leave out `?` and what follows");
                None
            }
            Ok(url) => Some(url),
            Err(error) => {
                let hint = "write what clients use, like \"https://gate.example.com\"";
                self.problems.add(raw.public_url.span(), "server.public_url", error.to_string(), hint);
                None
            }
        };
        let client_cert_from = self.client_cert_from(raw.client_cert_from.as_ref());
        Some(Server { listen: listen?, public_url: public_url?, workers, tls: None, client_cert_from })
    }

    /// Reports names that stand twice.
    pub(super) fn unique<'a>(&mut self, names: impl Iterator<Item = &'a Text>, key: &str) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, name) in names.enumerate() {
            if let Some(first) = seen.insert(name.get_ref(), index + 1) {
                let message = format!("{:?} is the name of number {first} already", name.get_ref());
                let (table, field) = key.split_once('.').unwrap_or((key, "name"));
                self.problems.add(name.span(), format!("{table}[{}].{field}", index + 1), message, "give each its own name");
            }
        }
    }

    fn upstreams(&mut self, raw: &[RawUpstream]) -> Vec<Upstream> {
        self.unique(raw.iter().map(|upstream| &upstream.name), "upstream.name");
        let mut upstreams = Vec::new();
        for (index, upstream) in raw.iter().enumerate() {
            let key = format!("upstream[{}]", index + 1);
            let name = upstream.name.get_ref();
            let is_name =
                (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !is_name {
                let hint = "use 1 to 63 of a-z, 0-9 and `-`; it becomes a part of the endpoint's path";
                self.problems.add(upstream.name.span(), format!("{key}.name"), "is not a name for a path", hint);
            }
            let scopes = self.scopes(upstream, &key);
            if upstream.command.is_some() {
                let (command, url) = (self.command(upstream, &key), HttpUrl::parse(UNBOUND).ok());
                if let Some((command, url)) = command.zip(url) {
                    let (name, command, transport) = (name.clone(), Some(command), Transport::Plain);
                    let (identity, credential, credentials) = (None, None, Vec::new());
                    upstreams.push(Upstream { name, url, command, transport, identity, credential, credentials, scopes });
                }
                continue;
            }
            self.stands_beside(upstream, &key);
            let Some(written) = &upstream.url else {
                let hint = "add `url` with the MCP endpoint's URL, or `command` with the program to run";
                self.problems.add(upstream.name.span(), &key, "is nowhere", hint);
                continue;
            };
            let url = match HttpUrl::parse(written.get_ref()) {
                Ok(url) if !url.origin.is_tls && !url.origin.is_loopback() => {
                    let hint = "use https://; plain http:// is for loopback only, because a credential travels on it";
                    self.problems.add(written.span(), format!("{key}.url"), "would be reached without TLS", hint);
                    None
                }
                Ok(url) => Some(url),
                Err(error) => {
                    self.problems.add(written.span(), format!("{key}.url"), error.to_string(), "write the MCP endpoint's URL");
                    None
                }
            };
            let credential = upstream.credential.as_ref();
            let credential = credential.and_then(|name| self.credential_named(name, &format!("{key}.credential")));
            if let Some(url) = url
                && let Some(transport) = self.transport(upstream, written, &url, &key)
                && let Some((transport, identity)) = self.identity(upstream, transport, &key)
            {
                let (name, credentials) = (name.clone(), Vec::new());
                upstreams.push(Upstream { name, url, command: None, transport, identity, credential, credentials, scopes });
            }
        }
        if raw.is_empty() {
            self.problems.add(0..0, "upstream", "there is none", "add an [[upstream]] with `name` and `url` or `command`");
        }
        upstreams
    }

    fn transport(&mut self, raw: &RawUpstream, written: &Text, url: &HttpUrl, key: &str) -> Option<Transport> {
        let pem = match &raw.ca {
            Some(ca) => Some(self.authorities(ca, url, &format!("{key}.ca"))?),
            None => None,
        };
        if !url.origin.is_tls {
            return Some(Transport::Plain);
        }
        let made = ClientTls::new(&url.origin.host, pem.as_ref().map(String::as_bytes)).map_err(|error| {
            let (at, field, hint) = match (&error, &raw.ca) {
                (TlsError::Pem | TlsError::NoCertificate | TlsError::Certificate, Some(ca)) => (ca, "ca", CA_HINT),
                _ => (written, "url", "use a host name or an address"),
            };
            self.problems.add(at.span(), format!("{key}.{field}"), error.to_string(), hint);
        });
        made.ok().map(Transport::Tls)
    }

    fn authorities(&mut self, ca: &Text, url: &HttpUrl, key: &str) -> Option<String> {
        let (message, hint) = match read(&self.dir.join(ca.get_ref())) {
            _ if !url.origin.is_tls => {
                ("stands beside a plain http:// URL".to_owned(), "remove it, or reach the upstream by https://")
            }
            Ok(Some(text)) => return Some(text),
            Ok(None) => ("is longer than 4 MiB".to_owned(), CA_HINT),
            Err(error) => (format!("cannot be read: {error}"), CA_HINT),
        };
        self.problems.add(ca.span(), key, message, hint);
        None
    }

    /// Reports a name that nothing has.
    pub(super) fn dangling<'n>(&mut self, name: &Text, key: &str, table: &str, known: impl Iterator<Item = &'n str>) {
        let known: Vec<&str> = known.collect();
        let hint = match nearest(name.get_ref(), known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => format!("there is no {table} at all"),
            None => format!("known: {}", known.join(", ")),
        };
        self.problems.add(name.span(), key, format!("no {table} is named {:?}", name.get_ref()), hint);
    }

    /// Reports a pattern for upstreams that matches the name of none.
    pub(super) fn must_match_upstream(&mut self, name: &Text, key: &str) {
        let known = self.named.upstreams.clone();
        let pattern = Glob::new(name.get_ref());
        if !known.iter().any(|known| pattern.matches(known)) {
            self.dangling(name, key, "[[upstream]]", known.iter().map(String::as_str));
        }
    }

    fn audit(&mut self, raw: &RawAudit) -> Audit {
        let seal = self.number(raw.seal_interval_s.as_ref(), "audit.seal_interval_s", 1..=3600, 60);
        let bytes = self.number(raw.segment_bytes.as_ref(), "audit.segment_bytes", 1 << 20..=1 << 30, 16 << 20);
        let spare = self.number(raw.segments_spare.as_ref(), "audit.segments_spare", 1..=64, 2);
        Audit {
            dir: self.dir.join(raw.dir.get_ref()),
            seal_interval: Duration::from_secs(seal),
            segment_bytes: usize::try_from(bytes).unwrap_or(16 << 20),
            segments_spare: usize::try_from(spare).unwrap_or(2),
        }
    }

    fn pins(&mut self, raw: &RawPins) -> Option<PinSetup> {
        let mut one_of = |text: &Option<Text>, key: &str, [first, second]: [&str; 2]| match text
            .as_ref()
            .map(|text| text.get_ref().as_str())
        {
            None => Some(true),
            Some(given) if given == first => Some(true),
            Some(given) if given == second => Some(false),
            Some(_) => {
                let span = text.as_ref().map_or(0..0, Spanned::span);
                self.problems.add(span, key, "is neither of the two", format!("use {first:?} or {second:?}"));
                None
            }
        };
        let accepts = one_of(&raw.first_sight, "pins.first_sight", ["accept", "quarantine"]);
        let refuse_undeclared = one_of(&raw.undeclared_arguments, "pins.undeclared_arguments", ["refuse", "allow"]);
        if raw.dir.get_ref().is_empty() {
            self.problems.add(raw.dir.span(), "pins.dir", "is empty", "name a directory, beside the configuration or absolute");
        }
        let first_sight = if accepts? { FirstSight::Accept } else { FirstSight::Quarantine };
        Some(PinSetup { dir: self.dir.join(raw.dir.get_ref()), first_sight, refuse_undeclared: refuse_undeclared? })
    }
}
