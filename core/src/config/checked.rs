//! The configuration after it was checked: every name is resolved, every pattern compiled.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_dlp::{Catalogue, Keyring, Selector};
use sluicegate_identity::IssuerPolicy;
use zeroize::Zeroizing;

use super::check_tls::CheckedTls;
use super::limits::Limits;
use super::network::Network;
use super::problem::Problem;
use super::url::{HttpUrl, Origin};
use crate::approval::notify::signature::WebhookKey;
use crate::approval::request::{Request, Terms};
use crate::approval::slack::people::People;
use crate::approval::store::Database;
use crate::control::key_source::IssuerKeys;
use crate::credential::client::Client;
use crate::credential::placement::Placement;
use crate::credential::source::{Secret, Source};
use crate::pin::book::FirstSight;
use crate::policy::condition::Condition;
use crate::policy::predicate::ArgTest;
use crate::policy::{Glob, Path, Scopes};
use crate::stdio::command::Command;
use crate::tls::{IdentityFiles, Transport};

/// A whole configuration.
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[[issuer]]`
    pub issuers: Vec<Issuer>,
    /// `[keys]`: the directory in which fetched keys are kept for the next start, where there is one.
    pub keys_dir: Option<PathBuf>,
    /// `[[credential]]`
    pub credentials: Vec<Arc<Credential>>,
    /// `[[upstream]]`
    pub upstreams: Vec<Upstream>,
    /// `[[rule]]`
    pub rules: Vec<Rule>,
    /// `[[budget]]`
    pub budgets: Vec<Budget>,
    /// A hash of the rules as they are written, in hexadecimal digits.
    pub revision: String,
    /// `[approval]`
    pub approval: Option<Approval>,
    /// What is looked for: the built-in detectors and those of `[[dlp.detector]]`
    pub catalogue: Arc<Catalogue>,
    /// `[[dlp.rule]]`
    pub dlp_rules: Vec<DlpRule>,
    /// The keys of `[dlp] key`
    pub dlp_keyring: Option<Arc<Keyring>>,
    /// `[pins]`
    pub pins: Option<PinSetup>,
    /// `[revocation]`
    pub revocation: Option<RevocationSetup>,
    /// `[audit]`
    pub audit: Audit,
    /// `[admin]`
    pub admin: Option<Admin>,
    /// `[limits]`
    pub limits: Limits,
    /// What is wrong by what was seen of the upstreams so far; a check fails for it, but the gateway runs
    pub doubts: Vec<Problem>,
    /// What is worth a look, but hinders nothing
    pub warnings: Vec<Problem>,
}

/// Where the gateway listens, and what clients call it.
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What clients use; audiences and metadata derive from it.
    pub public_url: HttpUrl,
    /// Threads of the data path; `None` for one on each available core.
    pub workers: Option<usize>,
    /// TLS towards agents; `None` where something before the gateway speaks it.
    pub tls: Option<CheckedTls>,
    /// The proxies whose word about client certificates is taken.
    pub client_cert_from: Vec<Network>,
}

impl Server {
    /// What stands before all paths of the gateway, as clients see it.
    pub fn base(&self) -> String {
        self.public_url.site()
    }

    /// The path of the endpoint of an upstream.
    pub fn endpoint(&self, upstream: &str) -> String {
        format!("{}/mcp/{upstream}", self.public_url.path.trim_end_matches('/'))
    }

    /// The public URL of the endpoint of an upstream, which is the audience of tokens for it (RFC 8707).
    pub fn resource(&self, upstream: &str) -> String {
        self.base() + &self.endpoint(upstream)
    }
}

/// Somebody whose tokens are taken.
pub struct Issuer {
    /// How they are judged.
    pub policy: IssuerPolicy,
    /// Whether it may be reached without TLS, on loopback only.
    pub allow_insecure_loopback: bool,
    /// Where its keys come from, and how long they count.
    pub keys: IssuerKeys,
    /// Who the gateway is where it asks about opaque tokens.
    pub introspection: Option<Arc<Client>>,
    /// The audience of the security events that it pushes, if it does.
    pub signals: Option<String>,
}

/// A credential: where it comes from, and where in a request it stands.
pub struct Credential {
    /// Its name in the configuration and in records.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Where it stands.
    pub placement: Arc<Placement>,
}

/// An MCP server behind the gateway.
pub struct Upstream {
    /// Its name, which is the end of its endpoint's path.
    pub name: String,
    /// Where it is; for a program where the bridge to it is, once there is one.
    pub url: HttpUrl,
    /// What is run, for one that is a program.
    pub command: Option<Command>,
    /// How it is spoken to.
    pub transport: Transport,
    /// Where the certificate and key are by which the gateway proves to it who it is.
    pub identity: Option<IdentityFiles>,
    /// Index of the credential that calls to it are given, where no rule names another.
    pub credential: Option<usize>,
    /// Indices of all credentials that calls to it can be given.
    pub credentials: Vec<usize>,
    /// The scopes that callers' tokens must have.
    pub scopes: Scopes,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleEffect {
    /// The call is permitted.
    Allow,
    /// The call is permitted, and everything that can be found in it is masked.
    Mask,
    /// The call is held until people have decided about it.
    Approve,
    /// The call is stopped.
    Block,
}

/// Who a rule is about: all that is given must hold.
pub struct Who {
    /// Index of the issuer.
    pub issuer: Option<usize>,
    /// One of these roles.
    pub roles: Option<Vec<String>>,
    /// The principal's id, `issuer:subject`.
    pub principal: Option<Glob>,
    /// One of these groups, each as `issuer:group`.
    pub groups: Option<Vec<String>>,
    /// The client that the token was given to.
    pub client: Option<Glob>,
    /// The subject of the one that acts now for the token's subject (RFC 8693 section 4.1: those before it are told, and decide nothing).
    pub actor: Option<Glob>,
}

/// What a rule is about.
pub struct What {
    /// Whether it covers the upstream of each index.
    pub upstreams: Vec<bool>,
    /// Tools, by name; then only `tools/call` is covered unless `method` is given too.
    pub tool: Option<Glob>,
    /// JSON-RPC methods.
    pub method: Option<Glob>,
}

/// One condition on the arguments.
pub struct ArgPredicate {
    /// Which leaves are looked at.
    pub at: Path,
    /// What they are compared with.
    pub test: ArgTest,
}

/// A rule.
pub struct Rule {
    /// Its name in records and refusals.
    pub id: String,
    /// Who.
    pub who: Who,
    /// What.
    pub what: What,
    /// With which arguments: all of them must hold.
    pub args: Vec<ArgPredicate>,
    /// Under which condition, when all else holds.
    pub when: Option<Condition>,
    /// Then what.
    pub effect: RuleEffect,
    /// Whether it only tells what it would have done.
    pub is_shadow: bool,
    /// Index of the credential that the calls it permits are given in the place of their upstream's own.
    pub credential: Option<usize>,
    /// What it takes to approve a call; given where, and only where, the effect is to hold it.
    pub approve: Option<Terms>,
}

/// How much of what a principal may have, and in which time.
pub struct Budget {
    /// Its id, whom it is about and which calls it counts; a rule that only says so.
    pub scope: Rule,
    /// Seconds of a window. Windows follow each other from the beginning of 1970.
    pub window_s: u64,
    /// Calls in a window.
    pub calls: Option<u64>,
    /// Bytes of answers in a window.
    pub bytes_out: Option<u64>,
    /// Distinct values found in answers in a window.
    pub findings: Option<u64>,
    /// Whether each tool of each upstream has a count of its own, instead of one for all that the budget covers.
    pub each_tool: bool,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the upstream.
    Request,
    /// To the agent.
    Response,
    /// Either.
    Both,
}

/// What is done to findings, where.
pub struct DlpRule {
    /// Which findings.
    pub detect: Vec<Selector>,
    /// In calls to which upstreams.
    pub upstream: Glob,
    /// In calls of which tools; all where it is not given.
    pub tool: Option<Glob>,
    /// In which direction.
    pub direction: Direction,
    /// By which principals; all where it is not given.
    pub principal: Option<Glob>,
    /// What is done, and under which conditions.
    pub does: Done,
}

/// What a rule about findings does.
pub enum Done {
    /// It masks or blocks them.
    Masks(sluicegate_dlp::Rule),
    /// It turns tokens back in what goes to the upstream.
    TurnsBack(Arc<Keyring>),
}

/// How calls are held for people to decide about them.
pub struct Approval {
    /// Where requests and the key that signs decisions are kept.
    pub dir: PathBuf,
    /// The database that keeps requests in the place of a file, where several gateways share them.
    pub database: Option<Database>,
    /// The audience of tokens of those who decide.
    pub audience: String,
    /// How long a call waits for a decision before it is answered that it is pending.
    pub hold: Duration,
    /// Seconds after a denial during which the same call is not asked for again.
    pub cooldown_s: u64,
    /// How people log in to decide on the page; without it there is no page.
    pub login: Option<Arc<Login>>,
    /// `[[approval.notify]]`
    pub notify: Vec<Arc<Notify>>,
    /// `[approval.slack]`
    pub slack: Option<Arc<Slack>>,
}

/// How a notice is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyFormat {
    /// As JSON, for programs.
    Json,
    /// As Block Kit, for an incoming webhook of Slack's.
    Slack,
}

/// Somebody who is told by webhook what becomes of held calls. It has no `Debug`: the URL may be a secret.
pub struct Notify {
    /// Where.
    pub url: Zeroizing<String>,
    /// In which form.
    pub format: NotifyFormat,
    /// What messages are signed with.
    pub key: Option<WebhookKey>,
    /// Requests that these groups decide about; all where it names none.
    pub groups: Vec<String>,
    /// Requests of these rules; all where it names none.
    pub rules: Vec<String>,
    /// The authorities to trust in the place of the public ones, in PEM.
    pub authorities: Option<Vec<u8>>,
}

impl Notify {
    /// Whether they are told of a request.
    pub fn is_told_of(&self, request: &Request) -> bool {
        let (terms, rule) = (&request.terms, &request.call.rule);
        let is_of_a_group = terms.panels().any(|panel| self.groups.contains(&panel.group.to_string()));
        let is_of_a_rule = self.rules.contains(rule) || terms.rules.iter().any(|rule| self.rules.contains(rule));
        (self.groups.is_empty() || is_of_a_group) && (self.rules.is_empty() || is_of_a_rule)
    }
}

/// How people decide in Slack.
pub struct Slack {
    /// What Slack signs with.
    pub signing_secret: Secret,
    /// Who is who.
    pub people: People,
    /// Where Slack takes answers.
    pub answer_origin: Origin,
}

/// How people log in (OpenID Connect Core 1.0 section 3.1).
pub struct Login {
    /// Index of the issuer that says who they are.
    pub issuer: usize,
    /// Its identifier.
    pub issuer_url: String,
    /// The page's own identifier there.
    pub client_id: String,
    /// The page's secret there; `None` for a public client, which PKCE alone protects.
    pub client_secret: Option<Source>,
    /// What the page asks to know of them.
    pub scope: String,
    /// Where people find the admin listener; it has no path.
    pub public_url: HttpUrl,
    /// Seconds without a question after which a session ends.
    pub idle_s: u64,
    /// Seconds after the login at which a session ends at the latest.
    pub session_s: u64,
}

/// How the audit is kept.
pub struct Audit {
    /// Where.
    pub dir: PathBuf,
    /// How long rows wait for a file.
    pub seal_interval: Duration,
    /// Bytes of a spool segment.
    pub segment_bytes: usize,
    /// Fresh segments kept ready for each worker.
    pub segments_spare: usize,
}

/// How tools are pinned.
pub struct PinSetup {
    /// Where the pins are kept, a file an upstream.
    pub dir: PathBuf,
    /// What is done with a tool that was never seen.
    pub first_sight: FirstSight,
    /// Whether arguments that a tool's schema does not declare are refused.
    pub refuse_undeclared: bool,
}

/// Where revocations are kept, and who makes them.
pub struct RevocationSetup {
    /// The directory of the list.
    pub dir: PathBuf,
    /// The audience of tokens of those who revoke over the admin listener.
    pub audience: String,
    /// The role or group that may; nobody where there is none.
    pub group: Option<String>,
}

/// Where operators look in.
pub struct Admin {
    /// The address; loopback only.
    pub listen: SocketAddr,
    /// Where people find it, where that is known: an origin with `https`, or on loopback.
    pub public_url: Option<HttpUrl>,
}

impl Config {
    /// What stands before the id of a request in the address of its page, where there is a page and people can find it.
    pub fn approval_page(&self) -> Option<String> {
        let url = self.admin.as_ref()?.public_url.as_ref()?;
        self.approval.as_ref()?.login.as_ref()?;
        Some(format!("{}/ui/approvals/", url.site()))
    }
}
