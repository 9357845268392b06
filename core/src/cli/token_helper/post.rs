//! The gateway's side: sends a message over streamable HTTP and hands on what comes back.
//!
//! Invariant: a request is answered once, by the gateway or by an error that says why it is not; a refused token is replaced once a message.

use reqwest::Response;
use reqwest::header::HeaderValue;

use super::bridge::Bridge;
use super::message::{Heard, Message};
use super::purse::Bearer;
use crate::credential::remote::ObtainError;
use crate::http1::sse;
use crate::mcp::reply::{self, code};

/// Why a message has no answer.
pub enum Failure {
    /// No token could be had.
    Token(ObtainError),
    /// The gateway could not be reached, or broke off.
    Network(reqwest::Error),
    /// It answered with this status, and nothing that is an answer.
    Status(u16),
    /// Its answer is longer than the bound.
    TooLong,
    /// Its answer ended before the answer to the request had come.
    BrokeOff,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Token(error) => write!(f, "no token: {error}"),
            Failure::Network(error) if error.is_connect() => f.write_str("the gateway cannot be connected to"),
            Failure::Network(_) => f.write_str("the connection to the gateway broke"),
            Failure::Status(status) => write!(f, "the gateway answered with status {status}"),
            Failure::TooLong => f.write_str("the gateway's answer is longer than this program takes"),
            Failure::BrokeOff => f.write_str("the gateway's answer ended too early"),
        }
    }
}

impl Failure {
    /// The error that the client is answered with.
    fn code(&self) -> i32 {
        match self {
            Failure::Token(_) | Failure::Status(401) => code::UNIDENTIFIED,
            Failure::Status(403) => code::DENIED,
            Failure::Network(_) => code::UNAVAILABLE,
            Failure::Status(_) | Failure::TooLong | Failure::BrokeOff => code::UPSTREAM,
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Failure::Network(error.without_url())
    }
}

impl Bridge {
    /// Brings a message to the gateway and its answer, where it has one, to the client. What goes wrong is told to whoever can do something
    /// about it: the client of a request, and people of anything else.
    pub async fn carry(&self, message: &Message, text: Vec<u8>) {
        if let Err(failure) = self.try_carry(message, text).await {
            match &message.id {
                Some(id) => self.say(reply::error(Some(id.as_bytes()), failure.code(), &failure.to_string())).await,
                None => eprintln!("sluicegate token-helper: {}: {failure}", message.method),
            }
        }
    }

    async fn try_carry(&self, message: &Message, text: Vec<u8>) -> Result<(), Failure> {
        let response = self.post(message, text).await?;
        if message.method == "initialize"
            && let Some(session) = response.headers().get("mcp-session-id")
        {
            self.session.borrow_mut().id = Some(session.clone());
        }
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_stream = kind.to_ascii_lowercase().starts_with("text/event-stream");
        let Some(id) = &message.id else {
            return if response.status().is_success() { Ok(()) } else { Err(Failure::Status(status)) };
        };
        if is_stream {
            return self.relay(message, response).await;
        }
        let body = self.read(response).await?;
        match Heard::read(&body) {
            Some(heard) if heard.answers(id) => {
                self.learn(message, &heard);
                self.say(body).await;
                Ok(())
            }
            // A refusal of HTTP's may come before anybody has read the message's id.
            Some(heard) if status >= 400 && heard.error().is_some() => {
                let error = heard.error().unwrap_or("{}");
                self.say(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}").into_bytes()).await;
                Ok(())
            }
            _ => Err(Failure::Status(status)),
        }
    }

    /// Sends a message, once more with a new token where the first is refused, and once with more scopes where these are lacking.
    async fn post(&self, message: &Message, text: Vec<u8>) -> Result<Response, Failure> {
        let text = bytes::Bytes::from(text);
        let mut bearer = self.purse.token().await.map_err(Failure::Token)?;
        let (mut is_replaced, mut is_widened) = (false, false);
        loop {
            let response = self.request(message, &bearer).body(text.clone()).send().await?;
            match response.status().as_u16() {
                401 if !is_replaced => {
                    is_replaced = true;
                    bearer = self.purse.replace(&bearer).await.map_err(Failure::Token)?;
                }
                403 if !is_widened => {
                    is_widened = true;
                    let Some(scope) = response.headers().get("www-authenticate").and_then(lacking_scope) else {
                        return Ok(response);
                    };
                    match self.purse.widen(&scope).await {
                        Ok(Some(wider)) => bearer = wider,
                        // What the gateway says is more to the point than that the server does not give more.
                        Ok(None) | Err(_) => return Ok(response),
                    }
                }
                _ => return Ok(response),
            }
        }
    }

    fn request(&self, message: &Message, bearer: &Bearer) -> reqwest::RequestBuilder {
        let mut request = self
            .http
            .post(self.url.clone())
            .header("Authorization", bearer.field.clone())
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream");
        for (name, value) in message.mirrored() {
            request = request.header(name, value);
        }
        if message.version.is_none() && message.method != "initialize" {
            request = self.session.borrow().add_to(request);
        }
        request
    }

    /// Hands on the events of an answer until it ends.
    async fn relay(&self, message: &Message, response: Response) -> Result<(), Failure> {
        let mut is_answered = message.id.is_none();
        let ended = self
            .events(response, async |_, data| {
                if let (Some(id), Some(heard)) = (&message.id, Heard::read(&data))
                    && heard.answers(id)
                {
                    is_answered = true;
                    self.learn(message, &heard);
                }
                self.say(data).await;
            })
            .await;
        // Once the request is answered, nobody waits for how the stream ends.
        if is_answered { Ok(()) } else { ended.and(Err(Failure::BrokeOff)) }
    }

    /// Calls `each` with the bytes of each event and its data, for those that have any.
    pub async fn events(&self, mut response: Response, mut each: impl AsyncFnMut(&[u8], Vec<u8>)) -> Result<(), Failure> {
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let chunk = response.chunk().await?;
            let is_end = chunk.is_none();
            buffer.extend_from_slice(chunk.as_deref().unwrap_or_default());
            while let Some(event) = sse::next_event(&buffer, is_end) {
                let lines: Vec<&[u8]> = event.data.iter().filter_map(|line| buffer.get(line.clone())).collect();
                let data = lines.join(&b'\n');
                if !data.trim_ascii().is_empty() {
                    each(buffer.get(..event.length).unwrap_or_default(), data).await;
                }
                buffer.drain(..event.length);
            }
            if is_end {
                return Ok(());
            }
            if buffer.len() > self.limits.sse_event_bytes_max {
                return Err(Failure::TooLong);
            }
        }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.limits.response_body_bytes_max {
                return Err(Failure::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Remembers which version of the protocol the answer to `initialize` settles.
    fn learn(&self, message: &Message, heard: &Heard<'_>) {
        if message.method == "initialize" {
            self.session.borrow_mut().version = heard.version().and_then(|version| HeaderValue::from_str(version).ok());
        }
    }
}

/// The scopes that a challenge asks for (RFC 6750 section 3.1); `None` where it is about something else.
fn lacking_scope(challenge: &HeaderValue) -> Option<String> {
    let text = challenge.to_str().ok()?;
    if !text.contains("error=\"insufficient_scope\"") {
        return None;
    }
    let (_, rest) = text.split_once(" scope=\"")?;
    rest.split_once('"').map(|(scope, _)| scope.to_owned()).filter(|scope| !scope.contains('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r80_the_scopes_of_a_challenge_are_read() {
        let scope = |text: &'static str| lacking_scope(&HeaderValue::from_static(text));
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"a b\", resource_metadata=\"https://g/\"";
        assert_eq!(scope(challenge).as_deref(), Some("a b"));
        assert_eq!(scope("Bearer error=\"invalid_token\", scope=\"a b\""), None);
        assert_eq!(scope("Bearer error=\"insufficient_scope\""), None);
    }
}
