//! The configuration as it stands in the file; nothing is checked here but its shape.

use std::collections::BTreeMap;

use serde::Deserialize;
use sluicegate_dlp::written::Written;
use toml::Spanned;

use super::limits::RawLimits;
pub(super) use super::raw_issuer::{
    RawCertificateIssuer, RawGrant, RawIntrospection, RawIssuer, RawKeys, RawMap, RawServerTls, RawSource,
};

pub(super) type Text = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub version: Spanned<i64>,
    pub server: RawServer,
    #[serde(default)]
    pub issuer: Vec<RawIssuer>,
    pub keys: Option<RawKeys>,
    #[serde(default)]
    pub certificate_issuer: Vec<RawCertificateIssuer>,
    #[serde(default)]
    pub credential: Vec<RawCredential>,
    #[serde(default)]
    pub upstream: Vec<RawUpstream>,
    #[serde(default)]
    pub rule: Vec<Spanned<RawRule>>,
    #[serde(default)]
    pub budget: Vec<Spanned<RawBudget>>,
    #[serde(default)]
    pub dlp: RawDlp,
    pub pins: Option<RawPins>,
    pub revocation: Option<RawRevocation>,
    pub approval: Option<Spanned<RawApproval>>,
    pub audit: RawAudit,
    pub admin: Option<RawAdmin>,
    #[serde(default)]
    pub limits: RawLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    pub listen: Text,
    pub public_url: Text,
    pub workers: Option<Spanned<i64>>,
    pub tls: Option<Spanned<RawServerTls>>,
    pub client_cert_from: Option<Spanned<Vec<Text>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCredential {
    pub name: Text,
    pub file: Option<Text>,
    pub env: Option<Text>,
    pub systemd: Option<Text>,
    pub vault: Option<Spanned<RawVault>>,
    pub oauth: Option<Spanned<RawOAuth>>,
    pub exchange: Option<Spanned<RawExchange>>,
    pub jwt: Option<Spanned<RawJwt>>,
    pub header: Option<Text>,
    pub prefix: Option<Text>,
    pub basic: Option<RawBasic>,
    pub query: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBasic {
    pub user: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVault {
    pub address: Text,
    pub namespace: Option<Text>,
    pub mount: Option<Text>,
    pub path: Text,
    pub field: Text,
    pub auth: Spanned<RawVaultAuth>,
    pub refresh_s: Option<Spanned<i64>>,
    pub ca: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVaultAuth {
    pub token_file: Option<Text>,
    pub kubernetes: Option<RawKubernetes>,
    pub approle: Option<RawAppRole>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKubernetes {
    pub role: Text,
    pub mount: Option<Text>,
    pub jwt_file: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAppRole {
    pub role_id: Text,
    pub secret_id_file: Text,
    pub mount: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOAuth {
    pub token_endpoint: Option<Text>,
    pub issuer: Option<Text>,
    pub client_id: Text,
    pub client_secret_file: Option<Text>,
    pub private_key_file: Option<Text>,
    pub key_id: Option<Text>,
    pub scope: Option<Text>,
    pub resource: Option<Text>,
    pub ca: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExchange {
    pub token_endpoint: Option<Text>,
    pub issuer: Option<Text>,
    pub client_id: Text,
    pub client_secret_file: Option<Text>,
    pub private_key_file: Option<Text>,
    pub key_id: Option<Text>,
    pub audience: Option<Text>,
    pub resource: Option<Text>,
    pub scope: Option<Text>,
    pub actor: Option<RawActor>,
    pub id_jag: Option<Spanned<RawIdJag>>,
    pub ca: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdJag {
    pub token_endpoint: Option<Text>,
    pub issuer: Option<Text>,
    pub client_id: Text,
    pub client_secret_file: Option<Text>,
    pub private_key_file: Option<Text>,
    pub key_id: Option<Text>,
    pub ca: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawActor {
    pub scope: Option<Text>,
    pub resource: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJwt {
    pub private_key_file: Text,
    pub key_id: Option<Text>,
    pub issuer: Text,
    pub subject: Option<Text>,
    pub subject_from: Option<Text>,
    pub audience: Text,
    pub life_s: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpstream {
    pub name: Text,
    pub url: Option<Text>,
    pub ca: Option<Text>,
    pub client_cert: Option<Text>,
    pub client_key: Option<Text>,
    pub credential: Option<Text>,
    pub command: Option<Spanned<Vec<Text>>>,
    #[serde(default)]
    pub env: BTreeMap<String, Spanned<RawVariable>>,
    pub cwd: Option<Text>,
    pub user: Option<Text>,
    #[serde(default)]
    pub share: bool,
    pub scopes: Option<Spanned<Vec<Text>>>,
    #[serde(default)]
    pub tool_scopes: Vec<Spanned<RawToolScopes>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawToolScopes {
    pub tool: Text,
    pub scopes: Spanned<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text, or { credential = \"…\" }")]
pub(super) enum RawVariable {
    Text(String),
    Credential(RawReference),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReference {
    pub credential: String,
}

impl RawVariable {
    /// The name of the credential that it is, at the place of the variable.
    pub(super) fn credential(variable: &Spanned<RawVariable>) -> Option<Text> {
        match variable.get_ref() {
            RawVariable::Text(_) => None,
            RawVariable::Credential(RawReference { credential }) => Some(Spanned::new(variable.span(), credential.clone())),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub id: Text,
    #[serde(default)]
    pub who: RawWho,
    #[serde(default)]
    pub what: RawWhat,
    #[serde(default)]
    pub args: Vec<Spanned<RawArg>>,
    pub when: Option<Text>,
    pub mode: Option<Text>,
    pub effect: Text,
    pub credential: Option<Text>,
    pub approve: Option<Spanned<RawApprove>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApprove {
    pub group: Text,
    pub quorum: Option<Spanned<i64>>,
    pub ttl_s: Option<Spanned<i64>>,
    pub use_ttl_s: Option<Spanned<i64>>,
    pub window_s: Option<Spanned<i64>>,
    pub break_glass: Option<Text>,
    #[serde(default)]
    pub allow_machine_approver: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBudget {
    pub id: Text,
    #[serde(default)]
    pub who: RawWho,
    #[serde(default)]
    pub what: RawWhat,
    pub window_s: Spanned<i64>,
    pub calls: Option<Spanned<i64>>,
    pub bytes_out: Option<Spanned<i64>>,
    pub findings: Option<Spanned<i64>>,
    #[serde(default)]
    pub each_tool: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWho {
    pub issuer: Option<Text>,
    pub roles: Option<Spanned<Vec<String>>>,
    pub principal: Option<Text>,
    pub groups: Option<Spanned<Vec<Text>>>,
    pub client: Option<Text>,
    pub actor: Option<Text>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWhat {
    pub upstream: Option<Text>,
    pub tool: Option<Text>,
    pub method: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArg {
    pub at: Text,
    pub literal: Option<toml::Value>,
    pub glob: Option<Text>,
    pub regex: Option<Text>,
    #[serde(rename = "in")]
    pub one_of: Option<Spanned<Vec<toml::Value>>>,
    pub range: Option<Spanned<RawRange>>,
    pub sql: Option<Spanned<RawSql>>,
    pub shell: Option<Spanned<RawShell>>,
    pub url: Option<Spanned<RawUrl>>,
    pub path: Option<Spanned<RawPath>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRange {
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub or_unreadable: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSql {
    pub dialect: Text,
    pub class: Option<Spanned<Vec<Text>>>,
    pub verbs: Option<Spanned<Vec<Text>>>,
    pub tables: Option<Spanned<Vec<Text>>>,
    pub functions: Option<Spanned<Vec<Text>>>,
    pub or_unreadable: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShell {
    pub class: Option<Spanned<Vec<Text>>>,
    pub commands: Option<Spanned<Vec<Text>>>,
    pub or_unreadable: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUrl {
    pub scheme: Option<Spanned<Vec<Text>>>,
    pub host: Option<Spanned<Vec<Text>>>,
    pub port: Option<Spanned<Vec<u16>>>,
    pub or_unreadable: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPath {
    pub under: Spanned<Vec<Text>>,
    pub or_unreadable: Option<Spanned<bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDlp {
    pub key: Option<Spanned<RawSecret>>,
    #[serde(default)]
    pub detector: Vec<Written>,
    #[serde(default)]
    pub rule: Vec<Spanned<RawDlpRule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDlpRule {
    pub detect: Option<Spanned<Vec<Text>>>,
    #[serde(rename = "where", default)]
    pub place: RawPlace,
    pub operator: Option<Text>,
    pub keep: Option<Spanned<i64>>,
    pub numbers: Option<Text>,
    pub scope: Option<Text>,
    pub confidence_min: Option<Spanned<f64>>,
    #[serde(default)]
    pub allow: Vec<String>,
    pub detokenize: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    pub file: Option<Text>,
    pub env: Option<Text>,
}

impl RawSecret {
    /// The one key that is given, and its value; `None` where it is none or both.
    pub(super) fn place(&self) -> Option<(&'static str, &Text)> {
        match (&self.file, &self.env) {
            (Some(file), None) => Some(("file", file)),
            (None, Some(name)) => Some(("env", name)),
            _ => None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlace {
    pub upstream: Option<Text>,
    pub tool: Option<Text>,
    pub principal: Option<Text>,
    pub direction: Option<Text>,
    pub pointer: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApproval {
    pub dir: Text,
    pub store: Option<Text>,
    pub store_password_file: Option<Text>,
    pub store_ca: Option<Text>,
    pub audience: Option<Text>,
    pub hold_s: Option<Spanned<i64>>,
    pub cooldown_s: Option<Spanned<i64>>,
    pub login: Option<Spanned<RawLogin>>,
    #[serde(default)]
    pub notify: Vec<Spanned<RawNotify>>,
    pub slack: Option<Spanned<RawSlack>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    pub url: Option<Text>,
    pub url_secret: Option<Spanned<RawSecret>>,
    pub format: Option<Text>,
    pub secret: Option<Spanned<RawSecret>>,
    pub groups: Option<Spanned<Vec<Text>>>,
    pub rules: Option<Spanned<Vec<Text>>>,
    pub ca: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSlack {
    pub signing_secret: Spanned<RawSecret>,
    pub answer_origin: Option<Text>,
    #[serde(default)]
    pub user: Vec<RawSlackUser>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSlackUser {
    pub team: Text,
    pub user: Text,
    pub issuer: Text,
    pub subject: Text,
    pub groups: Spanned<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogin {
    pub issuer: Text,
    pub client_id: Text,
    pub client_secret: Option<Spanned<RawSecret>>,
    pub scope: Option<Text>,
    pub idle_s: Option<Spanned<i64>>,
    pub session_s: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    pub dir: Text,
    pub seal_interval_s: Option<Spanned<i64>>,
    pub segment_bytes: Option<Spanned<i64>>,
    pub segments_spare: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPins {
    pub dir: Text,
    pub first_sight: Option<Text>,
    pub undeclared_arguments: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRevocation {
    pub dir: Text,
    pub group: Option<Text>,
    pub audience: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub listen: Text,
    pub public_url: Option<Text>,
}
