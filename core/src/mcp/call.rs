//! One message of a client as policy sees it.
//!
//! Invariant: a name is read only where every reader would read the same one.

use std::borrow::Cow;

use sluicegate_dlp::json::{Kind, Value};

use super::envelope::Message;

/// What kind of exchange a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// A JSON-RPC request: an answer with its id is awaited.
    Request,
    /// A JSON-RPC notification or response: the upstream only accepts it.
    OneWay,
    /// A legacy GET: a stream of what the server has to say.
    Stream,
    /// A legacy DELETE: the end of a session.
    End,
}

/// A message as policy sees it.
pub struct Call<'a> {
    /// What kind of exchange it is.
    pub exchange: Exchange,
    /// Its id, where it has one.
    pub id: Option<Value<'a>>,
    /// The method; empty for an answer.
    pub method: Cow<'a, str>,
    /// `params`, where given.
    pub params: Option<Value<'a>>,
}

impl<'a> Call<'a> {
    /// The call that a message makes.
    pub fn of(message: Message<'a>) -> Self {
        match message {
            Message::Request { id, method, params } => Call { exchange: Exchange::Request, id: Some(id), method, params },
            Message::Notification { method, params } => Call { exchange: Exchange::OneWay, id: None, method, params },
            Message::Response { id, .. } => Call { exchange: Exchange::OneWay, id, method: Cow::Borrowed(""), params: None },
        }
    }

    /// A member that names something; `None` where the upstream could read another name than we do.
    fn text(&self, member: &str) -> Option<Cow<'a, str>> {
        let names = |value: &Value<'a>| value.kind() == Kind::String && !value.has_lone_surrogate();
        self.params?.get(member).filter(names).map(Value::text)
    }

    /// The tool of a `tools/call`, or the prompt of a `prompts/get`.
    pub fn tool(&self) -> Option<Cow<'a, str>> {
        matches!(&*self.method, "tools/call" | "prompts/get").then(|| self.text("name")).flatten()
    }

    /// The tool of a `tools/call`, whether or not it is to be answered.
    pub fn tool_called(&self) -> Option<Cow<'a, str>> {
        if self.method == "tools/call" { self.tool() } else { None }
    }

    /// The resource, where the call names one.
    pub fn resource(&self) -> Option<Cow<'a, str>> {
        self.text("uri")
    }

    /// Whether its answer is a tool's result.
    pub fn is_tool_call(&self) -> bool {
        self.exchange == Exchange::Request && self.method == "tools/call"
    }

    /// `params.arguments`, where given.
    pub fn arguments(&self) -> Option<Value<'a>> {
        self.params?.get("arguments")
    }

    /// Whether it answers a question of the server.
    pub fn is_answer(&self) -> bool {
        self.exchange == Exchange::OneWay && self.method.is_empty()
    }
}
