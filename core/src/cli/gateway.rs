//! Asks the admin listener of a running gateway, for the subcommands that do.
//!
//! Invariant: the token goes to the named host only, by TLS or on loopback, and is never shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::config::url::HttpUrl;
use crate::credential::source;
use crate::inert::inert;

/// Time for a whole question.
const TOTAL_TIME: Duration = Duration::from_secs(30);
/// Bytes of an answer; a list of long calls is long.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Which gateway, and who asks.
#[derive(Args)]
pub(super) struct GatewayArguments {
    /// The gateway's admin listener, as http://127.0.0.1:9090
    #[arg(long, value_name = "URL")]
    url: String,
    /// A file of mode 0600 with a token for the audience of what is asked
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

/// What is done with a resource.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    /// It is looked at.
    Get,
    /// It is changed, or made.
    Post,
    /// It is taken away.
    Delete,
}

impl GatewayArguments {
    /// Names a gateway as the arguments do.
    pub(super) fn new(url: String, token_file: PathBuf) -> Self {
        GatewayArguments { url, token_file }
    }

    /// Asks for a path, which begins with a slash, and returns the JSON of the answer.
    pub(super) fn ask(&self, verb: Verb, path: &str, body: Option<Value>) -> Result<Value, String> {
        let url = HttpUrl::parse(&self.url).map_err(|error| format!("--url: {error}"))?;
        if !url.origin.is_tls && !url.origin.is_loopback() {
            return Err("--url: would send the token without TLS; use https://, or a loopback address".into());
        }
        let secret = source::from_file(&self.token_file).map_err(|error| format!("--token-file: {error}; {}", error.hint()))?;
        let token = std::str::from_utf8(secret.bytes()).map_err(|_| "--token-file: is not a token".to_owned())?;
        let target = format!("{}{path}", self.url.trim_end_matches('/'));
        let failed = |error: reqwest::Error| format!("{}: {}", self.url, error.without_url());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TOTAL_TIME).no_proxy();
            let client = client.build().map_err(failed)?;
            let request = match verb {
                Verb::Get => client.get(&target),
                Verb::Post => client.post(&target),
                Verb::Delete => client.delete(&target),
            };
            let request = if let Some(body) = &body { request.json(body) } else { request };
            let mut answer = request.bearer_auth(token).send().await.map_err(failed)?;
            let (status, mut bytes) = (answer.status(), Vec::new());
            while let Some(piece) = answer.chunk().await.map_err(failed)? {
                bytes.extend_from_slice(&piece);
                if bytes.len() > ANSWER_BYTES_MAX {
                    return Err("the answer is longer than 256 MiB".into());
                }
            }
            let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if status.is_success() { Ok(answer) } else { Err(format!("{}: {}", status.as_u16(), text(&answer, "error"))) }
        })
    }
}

/// An answer as people read it.
pub(super) fn pretty(answer: &Value) -> String {
    let mut text = serde_json::to_string_pretty(answer).unwrap_or_default();
    text.push('\n');
    text
}

/// A member's text, made inert here too: the gateway that answers may be another than one believes.
pub(super) fn text(answer: &Value, name: &str) -> String {
    match &answer[name] {
        Value::String(text) => inert(text),
        Value::Null => String::new(),
        other => inert(&other.to_string()),
    }
}
