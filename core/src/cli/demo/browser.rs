//! A browser without scripts for one person: cookies by host, redirects, links and forms.
//!
//! Invariant: it goes only where a page, a form or a redirect leads, and gives up after a few redirects.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Url;
use url::form_urlencoded;

use super::story::{Wrong, check};

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 10;

/// A page as it came.
pub(super) struct Shown {
    pub(super) status: u16,
    pub(super) text: String,
    url: Url,
}

impl Shown {
    /// What stands between two texts, HTML's `&amp;` read.
    pub(super) fn between(&self, before: &str, after: &str) -> Result<String, Wrong> {
        let found = self.text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        let found = found.map(|(found, _)| found.replace("&amp;", "&"));
        found.ok_or_else(|| Wrong(format!("{before:?} is not on the page {}: {}", self.url, self.text)))
    }
}

/// One person's browser.
pub(super) struct Browser {
    http: reqwest::Client,
    /// The `Cookie` pairs of each host, by name.
    cookies: HashMap<String, HashMap<String, String>>,
}

impl Browser {
    pub(super) fn new() -> Result<Self, Wrong> {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Browser { http, cookies: HashMap::new() })
    }

    /// Opens an address.
    pub(super) async fn open(&mut self, address: &str) -> Result<Shown, Wrong> {
        self.ask(parse(address)?, None).await
    }

    /// Follows a link of a page, which may be relative.
    pub(super) async fn follow(&mut self, from: &Shown, link: &str) -> Result<Shown, Wrong> {
        self.ask(from.url.join(link).map_err(|error| Wrong(error.to_string()))?, None).await
    }

    /// Sends a page's form to `action`, with the hidden `csrf` that the page has.
    pub(super) async fn send(&mut self, from: &Shown, action: &str, fields: &[(&str, &str)]) -> Result<Shown, Wrong> {
        let csrf = from.between("name=\"csrf\" value=\"", "\"")?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &csrf).extend_pairs(fields);
        let to = from.url.join(action).map_err(|error| Wrong(error.to_string()))?;
        self.ask(to, Some((form.finish(), from.url.origin().ascii_serialization()))).await
    }

    async fn ask(&mut self, mut url: Url, mut form: Option<(String, String)>) -> Result<Shown, Wrong> {
        for _ in 0..REDIRECTS_MAX {
            let host = url.host_str().unwrap_or_default().to_owned();
            let mut request = match form.take() {
                Some((body, origin)) => {
                    let kind = ("Content-Type", "application/x-www-form-urlencoded");
                    self.http.post(url.clone()).header(kind.0, kind.1).header("Origin", origin).body(body)
                }
                None => self.http.get(url.clone()),
            };
            let own = self.cookies.entry(host).or_default();
            if !own.is_empty() {
                let pairs: Vec<String> = own.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request = request.header("Cookie", pairs.join("; "));
            }
            let response = request.send().await?;
            let set = response.headers().get_all("set-cookie").iter().filter_map(|field| field.to_str().ok());
            for (pair, attributes) in set.filter_map(|cookie| cookie.split_once(';')) {
                let Some((name, value)) = pair.split_once('=') else { continue };
                if attributes.contains("Max-Age=0") {
                    own.remove(name);
                } else {
                    own.insert(name.to_owned(), value.to_owned());
                }
            }
            let location = response.headers().get("location").and_then(|to| to.to_str().ok()).map(str::to_owned);
            match location.filter(|_| response.status().is_redirection()) {
                Some(to) => url = url.join(&to).map_err(|error| Wrong(error.to_string()))?,
                None => return Ok(Shown { status: response.status().as_u16(), text: response.text().await?, url }),
            }
        }
        Err(Wrong(format!("{url} redirects without end")))
    }

    /// Signs in on the page of approvals as somebody the demo's issuer knows.
    pub(super) async fn sign_in(&mut self, page: &str, person: &str) -> Result<Shown, Wrong> {
        let asked = self.open(&format!("{page}/ui/login")).await?;
        let links =
            asked.text.split("href=\"").filter_map(|rest| rest.split_once('"')).map(|(link, _)| link.replace("&amp;", "&"));
        let link = links.into_iter().find(|link| link.ends_with(&format!("&as={person}")));
        let link = link.ok_or_else(|| Wrong(format!("{person} is not on the issuer's page: {}", asked.text)))?;
        let shown = self.follow(&asked, &link).await?;
        check(shown.status == 200 && shown.text.contains(&format!("dev:{person}</b>")), || shown.text.clone())?;
        Ok(shown)
    }
}

fn parse(address: &str) -> Result<Url, Wrong> {
    Url::parse(address).map_err(|error| Wrong(format!("{address}: {error}")))
}
