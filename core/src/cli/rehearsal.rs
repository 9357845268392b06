//! Judges calls that nobody makes, by the data path's own code, without network, audit or upstream.
//!
//! Invariant: an actor is what the verifier makes of a token of that issuer, so a rehearsal knows no principal that the gateway could not.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_dlp::{Engine, EngineError, Finding};
use sluicegate_identity::mint::SigningKey;
use sluicegate_identity::{Algorithm, IssuerState, KeySet, Principal, Refusal, Verifier, Wanted};

use crate::config::{self, Budget, Config, Direction, PinSetup, Problem};
use crate::control::fetch;
use crate::control::treatments::Treatments;
use crate::keeper;
use crate::mcp::call::Call;
use crate::mcp::envelope::{self, EnvelopeError};
use crate::pin::book::Book;
use crate::pin::pins::{Pins, Unfit};
use crate::policy::budget::Budgets;
use crate::policy::{Decision, Effect, Judged, Policy, Reason};
use crate::proxy::mask::{MaskRoom, Masked};
use crate::rt::now_unix_s;

/// Seconds that the token of an actor is good for.
const LIFETIME_S: u64 = 60;

/// The name of the key that rehearsals sign with.
const KEY_ID: &str = "rehearsal";

/// Who is to make a call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Actor {
    /// The configuration's name for the issuer.
    pub issuer: String,
    /// What the principal's id has behind the issuer's name: the subject, unless the issuer's policy says otherwise.
    pub subject: String,
    /// The token's client, where it has one.
    pub client: Option<String>,
    /// Roles, which are put where the issuer's policy reads roles from, or earned by what it grants them for.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Groups, which are put where the issuer's policy reads groups from.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Scopes that the token has.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Further claims of the token.
    #[serde(default)]
    pub claims: Map<String, Value>,
}

/// Why a rehearsal cannot be held.
#[derive(Debug)]
pub(super) enum RehearsalError {
    /// The configuration has these problems.
    Config(Vec<Problem>),
    /// The system has no randomness, or the scanner refuses its library.
    System(String),
    /// The configuration has no issuer of this name.
    Issuer(String),
    /// The configuration has no upstream of this name.
    Upstream(String),
    /// The issuer's configuration has no place for this.
    NoPlace(&'static str),
    /// The verifier does not take the actor's token.
    Refused(Refusal),
    /// The message cannot be read.
    Json(String),
    /// The message is none of JSON-RPC.
    Envelope(EnvelopeError),
}

impl fmt::Display for RehearsalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RehearsalError::Config(problems) => {
                problems.iter().try_for_each(|problem| writeln!(f, "{problem}"))?;
                write!(
                    f,
                    "{} to mend",
                    if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) }
                )
            }
            RehearsalError::System(what) => f.write_str(what),
            RehearsalError::Issuer(name) => write!(f, "the configuration has no issuer named {name:?}"),
            RehearsalError::Upstream(name) => write!(f, "the configuration has no upstream named {name:?}"),
            RehearsalError::NoPlace(what) => write!(
                f,
                "the issuer's tokens have no place for this {what}: see `roles`, `groups`, `map`, `principal` and `profile` of its table in \
                 the configuration, or give the claims themselves"
            ),
            RehearsalError::Refused(refusal) => write!(f, "the gateway would not take this actor's token: {}", refusal.reason()),
            RehearsalError::Json(error) => write!(f, "the message cannot be taken: {error}"),
            RehearsalError::Envelope(error) => write!(f, "the message cannot be taken: {}", error.detail()),
        }
    }
}

fn system(error: impl fmt::Display) -> RehearsalError {
    RehearsalError::System(error.to_string())
}

/// What becomes of a call.
pub(super) struct Judgement<'r> {
    /// The decision.
    pub decision: Decision<'r>,
    /// What each rule says.
    pub rules: Vec<Judged<'r>>,
    /// What would be found in the request. Empty for a call that is blocked: it is not looked through.
    pub findings: Vec<Finding>,
    /// Whether one of the findings stops the call.
    pub is_stopped: bool,
    /// Why the tool may not be called like this, where the rules would let it.
    pub unfit: Option<Unfit>,
    /// All the scopes that the call takes, where its token lacks one of them.
    pub scopes: Option<String>,
    /// The name of the credential that the call would go on with, where it goes on and needs one.
    pub credential: Option<&'r str>,
    /// The budgets that the call would be taken from, where it goes on. What is left in them only the gateway knows.
    pub budgets: Vec<&'r Budget>,
}

impl Judgement<'_> {
    /// What becomes of the call.
    pub fn effect(&self) -> Effect {
        if self.is_stopped || self.unfit.is_some() { Effect::Block } else { self.decision.effect }
    }
}

/// A configuration set up to judge calls.
pub(super) struct Rehearsal {
    config: Config,
    policy: Policy,
    verifier: Verifier,
    key: SigningKey,
    treatments: Vec<Treatments>,
    pins: Option<Pins>,
    budgets: Budgets,
    room: MaskRoom,
}

impl Rehearsal {
    /// Sets up the configuration in a file.
    pub fn open(path: &Path) -> Result<Self, RehearsalError> {
        let mut config = config::load(path).map_err(RehearsalError::Config)?;
        let policy = Policy::compile(&mut config);
        let key = SigningKey::generate(Algorithm::EdDsa, KEY_ID).map_err(system)?;
        let (keys, _) = KeySet::parse(&SigningKey::jwks(&[&key])).map_err(system)?;
        let keys = Arc::new(keys);
        // Who somebody is does not hang on what the issuer signs with.
        let state = |issuer: &config::Issuer| {
            let policy = issuer.policy.clone().with_any_algorithm();
            IssuerState { policy, keys: Some(Arc::clone(&keys)) }
        };
        let verifier = Verifier::new(config.issuers.iter().map(state).collect(), 1);
        let treatments = (0..config.upstreams.len()).map(|index| Treatments::of_upstream(&config, index)).collect();
        let engine = Engine::with(Arc::clone(&config.catalogue)).map_err(|error: EngineError| system(error))?;
        let room = MaskRoom::new(Arc::new(engine)).map_err(system)?;
        let pins = config.pins.as_ref().map(|setup| pins(&config, setup)).transpose().map_err(system)?;
        let budgets = Budgets::new(std::mem::take(&mut config.budgets), config.limits.budget_meters_max);
        Ok(Rehearsal { config, policy, verifier, key, treatments, pins, budgets, room })
    }

    /// The index of an upstream.
    pub fn upstream(&self, name: &str) -> Result<usize, RehearsalError> {
        let found = self.config.upstreams.iter().position(|upstream| upstream.name == name);
        found.ok_or_else(|| RehearsalError::Upstream(name.to_owned()))
    }

    /// The principal that the gateway makes of an actor who comes to this upstream.
    pub fn principal(&self, actor: &Actor, upstream: usize) -> Result<Principal, RehearsalError> {
        let issuer = self.config.issuers.iter().map(|issuer| &issuer.policy).find(|issuer| issuer.name() == actor.issuer);
        let issuer = issuer.ok_or_else(|| RehearsalError::Issuer(actor.issuer.clone()))?;
        let (now, audience) = (now_unix_s(), self.audience(upstream));
        let wanted = Wanted {
            name: &actor.subject,
            client: actor.client.as_deref(),
            roles: &actor.roles,
            groups: &actor.groups,
            claims: &actor.claims,
        };
        let mut claims = issuer.specimen(&wanted).map_err(RehearsalError::NoPlace)?;
        let expires = now + LIFETIME_S.min(u64::from(issuer.lifetime_max_s()));
        if !actor.scopes.is_empty() {
            claims["scope"] = json!(actor.scopes.join(" "));
        }
        for (name, value) in [("aud", json!(audience)), ("iat", json!(now)), ("exp", json!(expires))] {
            claims[name] = value;
        }
        let mut header = json!({ "alg": self.key.alg(), "kid": KEY_ID });
        if let Some(typ) = issuer.specimen_typ() {
            header["typ"] = json!(typ);
        }
        let token = self.key.sign_with(&header, &claims).map_err(system)?;
        self.verifier.verify(token.as_bytes(), &audience, now).map_err(RehearsalError::Refused)
    }

    /// The principal that the gateway makes of a token, whose issuer is asked for its keys.
    pub fn bearer(&self, token: &str, upstream: usize) -> Result<Principal, RehearsalError> {
        let (now, audience) = (now_unix_s(), self.audience(upstream));
        let states = |keys: Option<(usize, KeySet)>| {
            let mut states: Vec<_> = self.config.issuers.iter().map(state_without_keys).collect();
            if let Some((issuer, keys)) = keys {
                states[issuer].keys = Some(Arc::new(keys));
            }
            Verifier::new(states, 1)
        };
        match states(None).verify(token.as_bytes(), &audience, now) {
            Err(Refusal::KeysNotYetKnown { issuer }) => {
                let keys = keys_of(&self.config.issuers[issuer], &self.config.limits)?;
                states(Some((issuer, keys))).verify(token.as_bytes(), &audience, now).map_err(RehearsalError::Refused)
            }
            taken => taken.map_err(RehearsalError::Refused),
        }
    }

    fn audience(&self, upstream: usize) -> String {
        self.config.upstreams.get(upstream).map_or_else(String::new, |upstream| self.config.server.resource(&upstream.name))
    }

    /// What the rules decide about a JSON-RPC message of this principal to this upstream, whatever scopes its token has.
    pub fn decide_by_rules(&self, who: &Principal, upstream: usize, message: &[u8]) -> Result<Decision<'_>, RehearsalError> {
        let tape = self.parse(message)?;
        Ok(self.policy.decide_call_by_rules(who, upstream, &call(&tape, message)?))
    }

    fn parse(&self, message: &[u8]) -> Result<Tape, RehearsalError> {
        let limits = &self.config.limits;
        let bounds = Bounds { depth_max: limits.json_depth_max, nodes_max: limits.json_nodes_max, refuse_duplicates: true };
        let mut tape = Tape::new();
        tape.parse(message, &bounds).map_err(|error| RehearsalError::Json(error.to_string()))?;
        Ok(tape)
    }

    /// Judges a JSON-RPC message of this principal to this upstream.
    pub fn judge(&mut self, who: &Principal, upstream: usize, message: &[u8]) -> Result<Judgement<'_>, RehearsalError> {
        let tape = self.parse(message)?;
        let call = call(&tape, message)?;
        let decision = self.policy.decide_call(who, upstream, &call);
        let rules = self.policy.explain(who, upstream, &call);
        let (mut findings, mut is_stopped) = (Vec::new(), false);
        if decision.effect != Effect::Block
            && let Some(treatments) = self.treatments.get(upstream)
        {
            let treatment = treatments.of(Direction::Request, call.tool().as_deref(), who.id(), decision.masks);
            is_stopped = self.room.mask_message(&tape, message, &treatment, None, &mut findings) == Masked::Blocked;
        }
        let unfit = self.pins.as_ref().filter(|_| decision.effect != Effect::Block && !is_stopped);
        let unfit = unfit.and_then(|pins| pins.unfit_call(upstream, &call));
        let goes_on = decision.effect != Effect::Block && !is_stopped && unfit.is_none();
        let own = self.config.upstreams.get(upstream).and_then(|upstream| upstream.credential);
        let chosen = decision.credential.or(own).filter(|_| goes_on);
        let credential = chosen.and_then(|index| self.config.credentials.get(index)).map(|credential| credential.name.as_str());
        let lacks = decision.reason == Reason::InsufficientScope;
        let scopes = lacks.then(|| self.policy.lacking_scopes(who, upstream, call.tool_called().as_deref())).flatten();
        let budgets = if goes_on { self.budgets.charged(who, upstream, &call) } else { Vec::new() };
        Ok(Judgement { decision, rules, findings, is_stopped, unfit, scopes, credential, budgets })
    }
}

/// The pins as they stand in their files now.
fn pins(config: &Config, setup: &PinSetup) -> std::io::Result<Pins> {
    let look = |upstream: &config::Upstream| keeper::look(&setup.dir, &upstream.name);
    let books: Vec<Book> = config.upstreams.iter().map(look).collect::<Result<_, _>>()?;
    Ok(Pins::new(&books, setup.first_sight, setup.refuse_undeclared))
}

fn call<'a>(tape: &'a Tape, message: &'a [u8]) -> Result<Call<'a>, RehearsalError> {
    envelope::read(tape.root(message)).map(Call::of).map_err(RehearsalError::Envelope)
}

fn state_without_keys(issuer: &config::Issuer) -> IssuerState {
    IssuerState { policy: issuer.policy.clone(), keys: None }
}

/// The keys of an issuer, from wherever the configuration says.
pub(super) fn keys_of(issuer: &config::Issuer, limits: &config::Limits) -> Result<KeySet, RehearsalError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    runtime.block_on(fetch::once(&issuer.keys.source, limits)).map_err(system)
}
