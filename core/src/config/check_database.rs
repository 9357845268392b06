//! Checks where the database of approvals is, and how it is spoken to.
//!
//! Invariant: no password stands in the configuration, and none and no request travels in the clear beyond this machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config as Connection;
use tokio_postgres::config::{Host, SslMode};
use toml::Spanned;

use super::check::{CA_HINT, Checker, read};
use super::limits::Limits;
use super::raw::{RawApproval, Text};
use crate::approval::store::Database;
use crate::credential::source;
use crate::tls;

impl Checker<'_, '_> {
    /// The database, where one is named; `None` too where it is named wrongly, which is reported.
    pub(super) fn database(&mut self, raw: &RawApproval, limits: &Limits) -> Option<Database> {
        let Some(store) = &raw.store else {
            let orphan = raw.store_password_file.as_ref().map(|text| (text, "store_password_file"));
            if let Some((text, key)) = orphan.or(raw.store_ca.as_ref().map(|text| (text, "store_ca"))) {
                let hint = "add `store = \"postgres://…\"`, or remove it";
                self.problems.add(text.span(), format!("approval.{key}"), "is for a database, and none is named", hint);
            }
            return None;
        };
        let config = self.connection(store)?;
        let stays_here = config.get_hosts().iter().all(is_here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let speaks_tls = match config.get_ssl_mode() {
            // Nobody listens between two ends of one machine; a server there seldom has a certificate that names it.
            SslMode::Prefer => !stays_here,
            mode => mode != SslMode::Disable,
        };
        if !speaks_tls && !stays_here {
            let hint = "remove `sslmode=disable`; the server needs a certificate, whose authority `store_ca` names";
            self.problems.add(store.span(), "approval.store", "would be spoken to in the clear over a network", hint);
        }
        let tls = self.database_tls(raw.store_ca.as_ref(), speaks_tls)?;
        let password_file = raw.store_password_file.as_ref().map(|file| self.dir.join(file.get_ref()));
        let read_password = password_file.as_deref().map(source::read_private);
        if let Some((Err(error), file)) = read_password.zip(raw.store_password_file.as_ref()) {
            self.problems.add(file.span(), "approval.store_password_file", format!("cannot be used: {error}"), error.hint());
        }
        let mode = if speaks_tls { SslMode::Require } else { SslMode::Disable };
        let time_max = Duration::from_millis(limits.approval_store_time_max_ms);
        let mut config = config;
        config.ssl_mode(mode).connect_timeout(time_max).application_name("sluicegate");
        Some(Database { config, password_file, tls, time_max })
    }

    fn connection(&mut self, store: &Text) -> Option<Connection> {
        let hint = "write \"postgres://role@host:5432/database\"";
        let url = store.get_ref();
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            self.problems.add(store.span(), "approval.store", "is not the URL of a PostgreSQL database", hint);
            return None;
        }
        let config: Connection = match url.parse() {
            Ok(config) => config,
            Err(error) => {
                // Its text says what is wrong with which parameter, and no value.
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                let message = format!("is not the URL of a PostgreSQL database: {cause}");
                self.problems.add(store.span(), "approval.store", message, hint);
                return None;
            }
        };
        if config.get_password().is_some() {
            let hint = "put it into a file, and name that in `store_password_file`";
            self.problems.add(store.span(), "approval.store", "holds a password", hint);
            return None;
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            self.problems.add(store.span(), "approval.store", "names no host", hint);
            return None;
        }
        Some(config)
    }

    fn database_tls(&mut self, ca: Option<&Spanned<String>>, speaks_tls: bool) -> Option<Option<Arc<rustls::ClientConfig>>> {
        let Some(ca) = ca else {
            return if speaks_tls { tls::client_config(None).ok().map(|config| Some(Arc::new(config))) } else { Some(None) };
        };
        let message = match read(&self.dir.join(ca.get_ref())) {
            _ if !speaks_tls => "is for TLS, and a database on this machine is spoken to without it".to_owned(),
            Ok(Some(pem)) => match tls::client_config(Some(pem.as_bytes())) {
                Ok(config) => return Some(Some(Arc::new(config))),
                Err(error) => error.to_string(),
            },
            Ok(None) => "is longer than 4 MiB".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let hint = if speaks_tls { CA_HINT } else { "remove it, or add `?sslmode=require` to `store`" };
        self.problems.add(ca.span(), "approval.store_ca", message, hint);
        None
    }
}

/// Whether what is sent there stays on this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}
