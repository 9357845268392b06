//! The store that several gateways share: a PostgreSQL database.
//!
//! Invariant: everything from `begin` to `commit` is one transaction under one lock of the database, so changes have one order, and a
//! change is seen by whoever begins after it. A server that does not answer in time is an error, never a wait.

mod tls;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls, Row};
use zeroize::Zeroizing;

use super::{Store, StoreError, failed};
use crate::approval::request::{Request, State};
use crate::credential::source;

/// Names the lock under which everything is changed; others who use the database take another number.
const LOCK: i64 = i64::from_be_bytes(*b"sluicegt");
/// Rows that are read; a database that has more is not ours alone.
const ROWS_MAX: i64 = 10_000;
/// Bytes of a request as it is stored; one that is longer was not written here.
const ROW_BYTES_MAX: i32 = 16 * 1024 * 1024;
/// Bytes of the file with the password.
const PASSWORD_BYTES_MAX: usize = 4096;
/// How often a gateway says that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Ends the server's work by itself where the client is gone, keeps what is committed through a crash, and waits for the lock.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SET LOCAL synchronous_commit = on; \
     SET LOCAL statement_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'; ";
/// The tables; their names are ours in whichever schema the connection's role looks first.
const TABLES: &str = "CREATE TABLE IF NOT EXISTS sluicegate_approvals (id text PRIMARY KEY, seq bigint NOT NULL UNIQUE, request text NOT NULL); \
     CREATE SEQUENCE IF NOT EXISTS sluicegate_approvals_seq OWNED BY sluicegate_approvals.seq; \
     CREATE TABLE IF NOT EXISTS sluicegate_gateways (name text PRIMARY KEY, seen timestamptz NOT NULL); \
     CREATE TABLE IF NOT EXISTS sluicegate_tasks (id text PRIMARY KEY, sealed bytea NOT NULL); \
     CREATE TABLE IF NOT EXISTS sluicegate_meta (name text PRIMARY KEY, value text NOT NULL)";
const CHANGED: &str = "SELECT seq, CASE WHEN octet_length(request) <= $2 THEN request END \
     FROM sluicegate_approvals WHERE seq > $1 ORDER BY seq LIMIT $3";
const PUT: &str = "INSERT INTO sluicegate_approvals (id, seq, request) VALUES ($1, nextval('sluicegate_approvals_seq'), $2) \
     ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, request = excluded.request RETURNING seq";
const REMOVE: &str = "DELETE FROM sluicegate_approvals WHERE id = $1";
const PUT_TASK: &str = "INSERT INTO sluicegate_tasks (id, sealed) VALUES ($1, $2) \
     ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed";
const TASK: &str = "SELECT sealed FROM sluicegate_tasks WHERE id = $1 AND octet_length(sealed) <= $2";
const REMOVE_TASK: &str = "DELETE FROM sluicegate_tasks WHERE id = $1";
const LIVE: &str = "INSERT INTO sluicegate_gateways (name, seen) VALUES ($1, clock_timestamp()) \
     ON CONFLICT (name) DO UPDATE SET seen = excluded.seen";
const FORGET_DEAD: &str = "DELETE FROM sluicegate_gateways WHERE seen < clock_timestamp() - interval '1 day'";
const ALIVE: &str = "SELECT name FROM sluicegate_gateways WHERE seen > clock_timestamp() - interval '15 seconds'";
const KEY: &str = "INSERT INTO sluicegate_meta (name, value) VALUES ('decision-key', $1) \
     ON CONFLICT (name) DO UPDATE SET value = sluicegate_meta.value RETURNING value";

/// Where a database is, and how it is spoken to.
#[derive(Clone)]
pub struct Database {
    /// Host, port, database, role; no password.
    pub config: Config,
    /// The file with the role's password, read at each connection, so that it can be changed.
    pub password_file: Option<PathBuf>,
    /// How TLS is spoken; without it the connection stays on this machine.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// How long the server may take for anything.
    pub time_max: Duration,
}

/// A connection to the database.
pub struct PostgresStore {
    // The connection's task runs while something is asked of it, and ends with it.
    runtime: Runtime,
    client: Client,
    time_max: Duration,
    gateway: String,
    /// The newest row that was seen.
    seen: i64,
    alive: HashSet<String>,
    /// When this gateway said last that it is there.
    said: Option<Instant>,
}

impl PostgresStore {
    /// Connects, and makes the tables where there are none. `gateway` names this process; `key` is the public half of what signs decisions,
    /// which has to be the same for all who share the database.
    ///
    /// # Errors
    /// The database cannot be used, or other gateways sign with another key.
    pub fn open(database: &Database, gateway: &str, key: &str) -> Result<PostgresStore, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let mut config = database.config.clone();
        if let Some(path) = &database.password_file {
            config.password(password(path)?.as_slice());
        }
        let client = in_time(&runtime, database.time_max, connect(&config, database.tls.clone()))?;
        let (gateway, alive) = (gateway.to_owned(), HashSet::new());
        let mut store = PostgresStore { runtime, client, time_max: database.time_max, gateway, seen: 0, alive, said: None };
        store.prepare(key)?;
        Ok(store)
    }

    /// Makes the tables, and learns with which key the others sign.
    fn prepare(&mut self, key: &str) -> Result<(), StoreError> {
        self.execute(&format!("{BEGIN} SELECT pg_advisory_xact_lock({LOCK}); {TABLES}"))?;
        let rows = self.rows(self.client.query_typed(KEY, &[(&key, Type::TEXT)]))?;
        let used: String = one(&rows)?;
        self.execute("COMMIT")?;
        if used == key {
            return Ok(());
        }
        Err(failed(
            "the gateways that share it sign decisions with another key: copy the file `decision-key` of one of them to the `dir` \
             of all, and delete the row 'decision-key' of sluicegate_meta if it is of none of them",
        ))
    }

    fn execute(&self, statements: &str) -> Result<(), StoreError> {
        in_time(&self.runtime, self.time_max, async { self.client.batch_execute(statements).await.map_err(told) })
    }

    fn rows(&self, asked: impl Future<Output = Result<Vec<Row>, tokio_postgres::Error>>) -> Result<Vec<Row>, StoreError> {
        in_time(&self.runtime, self.time_max, async { asked.await.map_err(told) })
    }

    /// Says that this gateway is there, and learns which others are.
    fn live(&mut self) -> Result<(), StoreError> {
        if self.said.is_some_and(|said| said.elapsed() < SIGN_OF_LIFE) {
            return Ok(());
        }
        self.rows(self.client.query_typed(LIVE, &[(&self.gateway, Type::TEXT)]))?;
        self.rows(self.client.query_typed(FORGET_DEAD, &[]))?;
        self.learn_alive()?;
        self.said = Some(Instant::now());
        Ok(())
    }

    fn learn_alive(&mut self) -> Result<(), StoreError> {
        let rows = self.rows(self.client.query_typed(ALIVE, &[]))?;
        self.alive = rows.iter().map(|row| row.try_get(0).map_err(told)).collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl Store for PostgresStore {
    fn begin(&mut self) -> Result<Vec<Request>, StoreError> {
        self.execute(&format!("{BEGIN} SELECT pg_advisory_xact_lock({LOCK})"))?;
        self.live()?;
        let asked = [(&self.seen as _, Type::INT8), (&ROW_BYTES_MAX as _, Type::INT4), (&ROWS_MAX as _, Type::INT8)];
        let rows = self.rows(self.client.query_typed(CHANGED, &asked))?;
        if i64::try_from(rows.len()).is_ok_and(|count| count >= ROWS_MAX) {
            return Err(failed("it holds more requests than gateways make"));
        }
        let mut changed = Vec::with_capacity(rows.len());
        for row in &rows {
            let text: Option<&str> = row.try_get(1).map_err(told)?;
            let text = text.ok_or_else(|| failed("a request in it is longer than any that was written"))?;
            changed.push(serde_json::from_str::<Request>(text).map_err(failed)?);
            self.seen = row.try_get(0).map_err(told)?;
        }
        // Who runs a call has said before that it is there, which it may have begun to be since the last look.
        let is_new = |request: &Request| request.state == State::Executing && !self.alive.contains(&request.runner);
        if changed.iter().any(is_new) {
            self.learn_alive()?;
        }
        Ok(changed)
    }

    fn put(&mut self, request: &Request) -> Result<(), StoreError> {
        let json = serde_json::to_string(request).map_err(failed)?;
        let rows = self.rows(self.client.query_typed(PUT, &[(&request.id, Type::TEXT), (&json, Type::TEXT)]))?;
        // What is put here need not be read again.
        self.seen = one(&rows)?;
        Ok(())
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), StoreError> {
        for id in ids {
            self.rows(self.client.query_typed(REMOVE, &[(id, Type::TEXT)]))?;
            self.remove_task(id)?;
        }
        Ok(())
    }

    fn put_task(&mut self, id: &str, sealed: &[u8]) -> Result<(), StoreError> {
        self.rows(self.client.query_typed(PUT_TASK, &[(&id, Type::TEXT), (&sealed, Type::BYTEA)])).map(drop)
    }

    fn task(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.rows(self.client.query_typed(TASK, &[(&id, Type::TEXT), (&ROW_BYTES_MAX, Type::INT4)]))?;
        rows.first().map(|row| row.try_get(0).map_err(told)).transpose()
    }

    fn remove_task(&mut self, id: &str) -> Result<(), StoreError> {
        self.rows(self.client.query_typed(REMOVE_TASK, &[(&id, Type::TEXT)])).map(drop)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.execute("COMMIT")
    }

    fn is_alive(&self, gateway: &str) -> bool {
        self.alive.contains(gateway)
    }
}

fn in_time<T>(runtime: &Runtime, time_max: Duration, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| failed(format_args!("the database does not answer within {} ms", time_max.as_millis()));
    runtime.block_on(async { tokio::time::timeout(time_max, work).await }).map_err(late)?
}

async fn connect(config: &Config, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Client, StoreError> {
    // Where a connection has ended, its client says so to whoever asks next.
    Ok(match tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls::Connector(tls)).await.map_err(told)?;
            tokio::spawn(connection);
            client
        }
        None => {
            let (client, connection) = config.connect(NoTls).await.map_err(told)?;
            tokio::spawn(connection);
            client
        }
    })
}

/// An error of the database with its cause, which its own text leaves out.
fn told(error: tokio_postgres::Error) -> StoreError {
    match std::error::Error::source(&error) {
        Some(cause) => failed(format_args!("{error}: {cause}")),
        None => failed(error),
    }
}

fn one<'r, T: tokio_postgres::types::FromSql<'r>>(rows: &'r [Row]) -> Result<T, StoreError> {
    let row = rows.first().ok_or_else(|| failed("it answers with no row"))?;
    row.try_get(0).map_err(told)
}

/// The password in a file that nobody else may read.
fn password(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut read = source::read_private(path).map_err(|error| failed(format_args!("{}: {error}", path.display())))?;
    if read.len() > PASSWORD_BYTES_MAX {
        return Err(failed(format_args!("{}: is longer than a password", path.display())));
    }
    while matches!(read.last(), Some(b'\n' | b'\r')) {
        read.pop();
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_password_that_others_may_read_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter 2\r\n").unwrap();
        let read_with = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            password(&path)
        };
        assert_eq!(read_with(0o600).unwrap().as_slice(), b"hunter 2");
        assert!(read_with(0o644).is_err_and(|error| error.to_string().contains("0644")));
        std::fs::write(&path, "x".repeat(PASSWORD_BYTES_MAX + 1)).unwrap();
        assert!(read_with(0o600).is_err());
    }
}
