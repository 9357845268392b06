//! The HTTP face of all children: Streamable HTTP of both eras of MCP on a loopback port.
//!
//! Invariant: nobody reaches a child but who knows the path, which is random and never leaves this process.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use sluicegate_dlp::json::Bounds;
use tokio::sync::oneshot;

use super::line::{Kinds, Line};
use super::reply::{answer, json, listening};
use super::sessions::{NoChild, Sessions};
use crate::config::url::HttpUrl;
use crate::config::{Config, Limits};
use crate::mcp::era::{self, Era};
use crate::mcp::reply::{code, error};

/// Gives the value of the credential of a position and its version, where there is one now.
pub type Values = Arc<dyn Fn(usize) -> Option<(String, u64)> + Send + Sync>;

/// How often sessions are looked through for such as nobody uses.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The version that a client of a shared child gets that names none.
const DEFAULT_VERSION: &str = "2025-11-25";

/// A port for the children of a configuration, where it has any, before anything is started.
pub struct Bridge {
    listener: TcpListener,
    secret: String,
}

/// The thread that serves the port.
pub struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

struct Doors {
    secret: String,
    upstreams: HashMap<String, Sessions>,
    limits: Limits,
}

impl Bridge {
    /// Takes a port, and tells every upstream that is a program its address there. `None`: there is no such upstream.
    ///
    /// # Errors
    /// When the system has no port or no randomness to give.
    pub fn bind(config: &mut Config) -> Result<Option<Bridge>, String> {
        if config.upstreams.iter().all(|upstream| upstream.command.is_none()) {
            return Ok(None);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let mut random = [0u8; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system gives no randomness".to_owned())?;
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.command.is_some()) {
            let url = format!("http://127.0.0.1:{port}/{secret}/{}", upstream.name);
            upstream.url = HttpUrl::parse(&url).map_err(|error| error.to_string())?;
        }
        Ok(Some(Bridge { listener, secret }))
    }

    /// Serves the port on a thread of its own until it is told to stop. `values` gives the credential of a position.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(self, config: &Config, values: &Values) -> Result<Running, String> {
        let programs = config.upstreams.iter().filter_map(|upstream| {
            let command = upstream.command.clone()?;
            Some((
                upstream.name.clone(),
                Sessions::new(upstream.name.clone(), command, config.limits.clone(), Arc::clone(values)),
            ))
        });
        let doors = Arc::new(Doors { secret: self.secret, upstreams: programs.collect(), limits: config.limits.clone() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let (stop, stopped) = oneshot::channel();
        let listener = self.listener;
        let serve = move || runtime.block_on(serve(listener, doors, stopped));
        let thread = std::thread::Builder::new().name("stdio".to_owned()).spawn(serve).map_err(|error| error.to_string())?;
        Ok(Running { stop, thread })
    }
}

impl Running {
    /// Ends all children, and waits until they have ended. Whether the thread ended well.
    pub fn stop(self) -> bool {
        // An error means that it has ended already.
        let _ = self.stop.send(());
        self.thread.join().is_ok()
    }
}

async fn serve(listener: TcpListener, doors: Arc<Doors>, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the servers' processes cannot be reached"),
    };
    let route = post(receive).get(listen).delete(end);
    let router = Router::new().route("/{secret}/{upstream}", route).with_state(Arc::clone(&doors));
    let sweeping = async {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        loop {
            every.tick().await;
            doors.upstreams.values().for_each(Sessions::sweep);
        }
    };
    tokio::select! {
        served = axum::serve(listener, router) => tracing::error!(?served, "the servers' processes cannot be reached any more"),
        () = sweeping => {}
        _ = stopped => {}
    }
    for sessions in doors.upstreams.values() {
        sessions.close().await;
    }
}

impl Doors {
    fn open(&self, secret: &str, upstream: &str) -> Option<&Sessions> {
        let is_ours = aws_lc_rs::constant_time::verify_slices_are_equal(secret.as_bytes(), self.secret.as_bytes()).is_ok();
        self.upstreams.get(upstream).filter(|_| is_ours)
    }
}

fn session(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION).and_then(|id| id.to_str().ok())
}

async fn receive(
    State(doors): State<Arc<Doors>>,
    Path((secret, upstream)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(sessions) = doors.open(&secret, &upstream) else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(body) = to_bytes(body, doors.limits.stdio_message_bytes_max).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (depth_max, nodes_max) = (doors.limits.json_depth_max, doors.limits.json_nodes_max);
    let Some(line) = Line::read(&body, &Bounds { depth_max, nodes_max, refuse_duplicates: true }) else {
        return json(StatusCode::BAD_REQUEST, error(None, code::INVALID_REQUEST, "This is not one JSON-RPC message."));
    };
    let era = era::of_header(headers.get(VERSION).map(HeaderValue::as_bytes));
    handle(sessions, line, era, session(&headers), &body).await.unwrap_or_else(refuse)
}

async fn handle(sessions: &Sessions, line: Line, era: Era, session: Option<&str>, body: &[u8]) -> Result<Response, NoChild> {
    let id = line.id().unwrap_or(b"null").to_vec();
    let session = session.filter(|_| era == Era::Legacy);
    let child = match (&line.kind, session, era) {
        (Kinds::Request(method), None, Era::Legacy) if method == "initialize" => return begin(sessions, &line, id, body).await,
        (_, Some(session), _) => sessions.of(session)?,
        (_, None, Era::Modern) => sessions.common()?,
        (_, None, Era::Legacy) => {
            let text = error(Some(&id), code::INVALID_REQUEST, "A request without a session begins one with initialize.");
            return Ok(json(StatusCode::BAD_REQUEST, text));
        }
    };
    if let Kinds::Request(_) = line.kind {
        let asked = child.ask(&line, session).await.map_err(|_| NoChild::NoSession)?;
        return Ok(answer(asked, era, id).await);
    }
    child.tell(line, session).await.map_err(|_| NoChild::NoSession)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Begins a legacy session.
async fn begin(sessions: &Sessions, line: &Line, id: Vec<u8>, body: &[u8]) -> Result<Response, NoChild> {
    let (session, child) = sessions.begin()?;
    let mut response = if sessions.is_shared() {
        let asked: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let version = asked["params"]["protocolVersion"].as_str().unwrap_or(DEFAULT_VERSION);
        let result = sessions.initialized(&child, version).await.ok_or(NoChild::NotStarted)?;
        json(StatusCode::OK, [b"{\"jsonrpc\":\"2.0\",\"id\":", id.as_slice(), b",\"result\":", &result, b"}"].concat())
    } else {
        let asked = child.ask(line, Some(&session)).await.map_err(|_| NoChild::NotStarted)?;
        answer(asked, Era::Legacy, id).await
    };
    if response.status() != StatusCode::OK {
        sessions.end(&session);
    } else if let Ok(id) = HeaderValue::from_str(&session) {
        response.headers_mut().insert(SESSION, id);
    }
    Ok(response)
}

async fn listen(
    State(doors): State<Arc<Doors>>,
    Path((secret, upstream)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(sessions) = doors.open(&secret, &upstream) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(session) = session(&headers) else { return StatusCode::METHOD_NOT_ALLOWED.into_response() };
    match sessions.of(session).and_then(|child| child.listen().map_err(|_| NoChild::NoSession)) {
        Ok(events) => listening(events),
        Err(refused) => refuse(refused),
    }
}

async fn end(State(doors): State<Arc<Doors>>, Path((secret, upstream)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(sessions) = doors.open(&secret, &upstream) else { return StatusCode::NOT_FOUND.into_response() };
    let is_ended = session(&headers).is_some_and(|session| sessions.end(session));
    if is_ended { StatusCode::OK } else { StatusCode::NOT_FOUND }.into_response()
}

fn refuse(refused: NoChild) -> Response {
    let (status, code, detail) = match refused {
        NoChild::NoSession => (StatusCode::NOT_FOUND, code::SESSION, "There is no such session; begin one with initialize."),
        NoChild::Full => (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, "As many sessions of this server run as may run."),
        NoChild::NotStarted => (StatusCode::BAD_GATEWAY, code::UNAVAILABLE, "The server cannot be started now."),
        NoChild::NoCredential => (
            StatusCode::SERVICE_UNAVAILABLE,
            code::UNAVAILABLE,
            "The server is not started, for its credential is not there yet.",
        ),
    };
    json(status, error(None, code, detail))
}
