//! A browser without scripts and without a window: keeps cookies, follows redirects, reads and sends forms.
//!
//! Invariant: what it sends of itself is what a browser sends; a test that wants something else says so.

use std::collections::BTreeMap;

use crate::client::{Connection, Reply};

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 12;

/// A browser with the cookies that it was given.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Redirects to addresses that begin so are not followed; empty for none.
    pub stops_before: String,
    /// By host, as browsers do: ports do not count.
    pub cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// What it was given at an address.
#[derive(Clone, Debug)]
pub struct Page {
    /// The address.
    pub url: String,
    /// The answer.
    pub reply: Reply,
}

/// The scheme and authority of an address, its host, its port, and its path.
fn apart(url: &str) -> (&str, &str, u16, &str) {
    let rest = url.strip_prefix("http://").expect("an http address");
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').expect("a port");
    let origin = &url[.."http://".len() + authority.len()];
    (origin, host, port.parse().unwrap(), &url[origin.len()..])
}

/// Text in a form or query.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Fields as a form.
pub fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
}

impl Page {
    /// The value of a hidden field of its forms.
    pub fn hidden(&self, name: &str) -> Option<String> {
        let field = self.reply.body.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
        Some(field.split('"').next()?.to_owned())
    }

    /// Where its last form is sent.
    pub fn action(&self) -> String {
        let action = self.reply.body.rsplit("action=\"").next().and_then(|rest| rest.split('"').next()).expect("a form");
        if action.starts_with('/') { format!("{}{action}", apart(&self.url).0) } else { action.to_owned() }
    }
}

impl Browser {
    /// Asks once, with further fields of the head; redirects are not followed.
    pub fn ask(&mut self, method: &str, url: &str, fields: &[(&str, &str)], body: &str) -> Reply {
        let (origin, host, port, path) = apart(url);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", &origin["http://".len()..]);
        let cookies: Vec<String> =
            self.cookies.get(host).into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        fields.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let mut connection = Connection::open(port);
        connection.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let reply = connection.reply().expect("a reply");
        self.keep(host, &reply);
        reply
    }

    fn keep(&mut self, host: &str, reply: &Reply) {
        let kept = self.cookies.entry(host.to_owned()).or_default();
        for line in reply.head.lines() {
            let field = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            let Some((_, value)) = field else { continue };
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            let attributes = attributes.to_ascii_lowercase();
            if attributes.contains("max-age=0") || attributes.contains("1970") {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Goes to an address and on to wherever that leads.
    pub fn go(&mut self, url: &str) -> Page {
        let reply = self.ask("GET", url, &[], "");
        self.follow(url, reply)
    }

    /// Sends a form from the page that it stands on, and goes on to wherever that leads.
    pub fn send(&mut self, from: &Page, url: &str, fields: &[(&str, &str)]) -> Page {
        let reply = self.post(apart(&from.url).0, url, &form(fields));
        self.follow(url, reply)
    }

    /// Sends a form as a page of this origin does; redirects are not followed.
    pub fn post(&mut self, origin: &str, url: &str, body: &str) -> Reply {
        self.ask("POST", url, &[("Origin", origin), ("Content-Type", "application/x-www-form-urlencoded")], body)
    }

    fn follow(&mut self, url: &str, mut reply: Reply) -> Page {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS_MAX {
            let Some(to) = reply.field("location").filter(|_| matches!(reply.status, 302 | 303)) else { break };
            url = if to.starts_with('/') { format!("{}{to}", apart(&url).0) } else { to.to_owned() };
            if !self.stops_before.is_empty() && url.starts_with(&self.stops_before) {
                break;
            }
            reply = self.ask("GET", &url, &[], "");
        }
        Page { url, reply }
    }
}
