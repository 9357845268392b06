//! What the operator says about one issuer, checked once, so that every other file may rely on it.
//!
//! Invariant: what the operator sets takes the place of what the issuer's profile says.

use std::sync::Arc;
use std::{error, fmt};

use crate::bound::Requirement;
use crate::demands::Required;
use crate::mapping::{Grant, Source};
use crate::pointer::Pointer;
use crate::profile::{Profile, TokenType};
use crate::spiffe;
use crate::template::Template;
use crate::{Algorithm, Algorithms, KeySet, PointerError};

/// Longest name of an issuer in the configuration, in bytes.
const NAME_MAX_BYTES: usize = 64;
/// Longest issuer identifier or audience, in bytes.
const IDENTIFIER_MAX_BYTES: usize = 1024;
/// Most audiences one issuer may speak for.
const AUDIENCES_MAX: usize = 256;
/// Most clock difference that may be allowed for, in seconds.
const LEEWAY_MAX_S: u32 = 300;
/// Longest token lifetime that may be allowed, in seconds (two days: cloud platforms issue day-long machine tokens).
const LIFETIME_MAX_S: u32 = 172_800;

/// How the tokens of one issuer are judged.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuerPolicy {
    name: String,
    issuer: String,
    audiences: Vec<String>,
    leeway_s: u32,
    lifetime_max_s: u32,
    roles: Vec<Source>,
    groups: Vec<Source>,
    profile: &'static Profile,
    types: Vec<TokenType>,
    algorithms: Algorithms,
    required: Vec<Required>,
    authorized_parties: Option<Vec<String>>,
    principal: Template,
    grants: Vec<Grant>,
    requirement: Requirement,
    introspects: bool,
}

impl IssuerPolicy {
    /// A policy with 30 s of leeway for any JWT: a longest lifetime of one hour, and no roles or groups.
    ///
    /// `name` is the operator's own name for the issuer and becomes part of every principal's id; `issuer` is compared
    /// byte for byte with `iss`; `audiences` are the resources the issuer may speak for (RFC 8707).
    ///
    /// # Errors
    /// [`IssuerPolicyError`] names the value that is out of bounds.
    pub fn new(name: &str, issuer: &str, audiences: Vec<String>) -> Result<IssuerPolicy, IssuerPolicyError> {
        IssuerPolicy::of_profile(Profile::default_profile(), name, issuer, audiences)
    }

    /// As [`IssuerPolicy::new`], for a standard issuer: all that its profile says is set.
    ///
    /// # Errors
    /// As [`IssuerPolicy::new`].
    pub fn of_profile(
        profile: &'static Profile,
        name: &str,
        issuer: &str,
        audiences: Vec<String>,
    ) -> Result<IssuerPolicy, IssuerPolicyError> {
        if !is_name(name) {
            return Err(IssuerPolicyError::Name);
        }
        if !is_identifier(issuer) {
            return Err(IssuerPolicyError::Issuer);
        }
        if audiences.is_empty() || audiences.len() > AUDIENCES_MAX || !audiences.iter().all(|a| is_identifier(a)) {
            return Err(IssuerPolicyError::Audiences);
        }
        Ok(IssuerPolicy {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            audiences,
            leeway_s: 30,
            lifetime_max_s: profile.lifetime_max_s,
            roles: source(profile.roles)?,
            groups: source(profile.groups)?,
            profile,
            types: profile.types.to_vec(),
            algorithms: algorithms(profile)?,
            required: Vec::new(),
            authorized_parties: None,
            principal: Template::parse(profile.principal).map_err(|_| IssuerPolicyError::Profile)?,
            grants: Vec::new(),
            requirement: Requirement::default(),
            introspects: false,
        })
    }

    /// Sets how far the issuer's clock may be off, in seconds, 0 to 300.
    ///
    /// # Errors
    /// [`IssuerPolicyError::Leeway`] beyond that.
    pub fn with_leeway_s(self, leeway_s: u32) -> Result<IssuerPolicy, IssuerPolicyError> {
        if leeway_s > LEEWAY_MAX_S {
            return Err(IssuerPolicyError::Leeway);
        }
        Ok(IssuerPolicy { leeway_s, ..self })
    }

    /// Sets the longest `exp - iat` taken, in seconds, 1 to 172800.
    ///
    /// # Errors
    /// [`IssuerPolicyError::Lifetime`] beyond that.
    pub fn with_lifetime_max_s(self, lifetime_max_s: u32) -> Result<IssuerPolicy, IssuerPolicyError> {
        if lifetime_max_s == 0 || lifetime_max_s > LIFETIME_MAX_S {
            return Err(IssuerPolicyError::Lifetime);
        }
        Ok(IssuerPolicy { lifetime_max_s, ..self })
    }

    /// Says where in the claims the roles stand, each the name of one.
    #[must_use]
    pub fn with_roles(self, roles: Pointer) -> IssuerPolicy {
        IssuerPolicy { roles: vec![Source::new(roles, None)], ..self }
    }

    /// Says where in the claims the groups stand.
    #[must_use]
    pub fn with_groups(self, groups: Pointer) -> IssuerPolicy {
        self.with_group_sources(vec![Source::new(groups, None)])
    }

    /// Says where in the claims the groups stand, in several places.
    #[must_use]
    pub fn with_group_sources(self, groups: Vec<Source>) -> IssuerPolicy {
        IssuerPolicy { groups, ..self }
    }

    /// Grants roles by claims in the place of the roles that the profile finds; [`IssuerPolicy::with_roles`], set afterwards, adds to them.
    #[must_use]
    pub fn with_grants(self, grants: Vec<Grant>) -> IssuerPolicy {
        IssuerPolicy { roles: Vec::new(), grants, ..self }
    }

    /// Takes tokens signed with these algorithms only, by their names in RFC 7518 and RFC 8037. The first wrong name is given back.
    ///
    /// # Errors
    /// [`IssuerPolicyError::Algorithms`] where one is not verified by this crate or not taken from this kind of issuer, or there is none.
    pub fn with_algorithm_names<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Result<IssuerPolicy, IssuerPolicyError> {
        let algorithm = |name: &str| Algorithm::named(name).filter(|one| !self.profile.refused_algorithms.contains(one));
        let named: Option<Vec<Algorithm>> = names.into_iter().map(algorithm).collect();
        let algorithms = named.and_then(|named| Algorithms::of(&named)).ok_or(IssuerPolicyError::Algorithms)?;
        Ok(IssuerPolicy { algorithms, ..self })
    }

    /// Takes tokens of these types only.
    #[must_use]
    pub fn with_types(self, types: Vec<TokenType>) -> IssuerPolicy {
        IssuerPolicy { types, ..self }
    }

    /// Takes only tokens whose claims read so, all of them.
    #[must_use]
    pub fn with_required(self, required: Vec<Required>) -> IssuerPolicy {
        IssuerPolicy { required, ..self }
    }

    /// Takes a token for several audiences from these clients only.
    #[must_use]
    pub fn with_authorized_parties(self, parties: Vec<String>) -> IssuerPolicy {
        IssuerPolicy { authorized_parties: Some(parties), ..self }
    }

    /// Names principals by this template.
    #[must_use]
    pub fn with_principal(self, principal: Template) -> IssuerPolicy {
        IssuerPolicy { principal, ..self }
    }

    /// As this policy, but whatever algorithm a key is for: for rehearsals, whose keys nobody else has.
    #[cfg(any(test, feature = "mint"))]
    #[must_use]
    pub fn with_any_algorithm(self) -> IssuerPolicy {
        IssuerPolicy { algorithms: Algorithms::ANY, ..self }
    }

    /// Says which algorithms the issuer signs with; any that is verified at all by default. One RSA algorithm alone is also that of RSA keys
    /// that name none.
    #[must_use]
    pub fn with_algorithms(self, algorithms: Algorithms) -> IssuerPolicy {
        IssuerPolicy { algorithms, ..self }
    }

    /// The algorithms that its tokens may be signed with.
    pub fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    /// Says how the issuer's tokens must be bound to a key of their sender.
    #[must_use]
    pub fn with_requirement(self, requirement: Requirement) -> IssuerPolicy {
        IssuerPolicy { requirement, ..self }
    }

    /// How the issuer's tokens must be bound.
    pub fn requirement(&self) -> Requirement {
        self.requirement
    }

    /// Says that the issuer can be asked about tokens that cannot be read (RFC 7662).
    #[must_use]
    pub fn with_introspection(self) -> IssuerPolicy {
        IssuerPolicy { introspects: true, ..self }
    }

    /// Whether the issuer can be asked about tokens that cannot be read.
    pub fn introspects(&self) -> bool {
        self.introspects
    }

    /// The operator's name for the issuer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The issuer identifier, as `iss` must read.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The resources this issuer may speak for.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Allowed clock difference in seconds.
    pub fn leeway_s(&self) -> u32 {
        self.leeway_s
    }

    /// Longest `exp - iat` in seconds.
    pub fn lifetime_max_s(&self) -> u32 {
        self.lifetime_max_s
    }

    /// Where the roles stand.
    pub(crate) fn roles(&self) -> &[Source] {
        &self.roles
    }

    /// Where the groups stand.
    pub(crate) fn groups(&self) -> &[Source] {
        &self.groups
    }

    /// Which roles are granted by claims.
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// What kind of issuer it is.
    pub fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// The SPIFFE trust domain that its tokens are of, where it is one.
    pub(crate) fn trust_domain(&self) -> Option<&str> {
        spiffe::trust_domain(&self.issuer).filter(|_| self.profile.is_of_trust_domain())
    }

    /// Which types its tokens may have.
    pub(crate) fn types(&self) -> &[TokenType] {
        &self.types
    }

    /// What its claims must read.
    pub(crate) fn required(&self) -> &[Required] {
        &self.required
    }

    /// Which clients may use a token for several audiences; `None` for all.
    pub(crate) fn authorized_parties(&self) -> Option<&[String]> {
        self.authorized_parties.as_deref()
    }

    /// How principals are named.
    pub fn principal(&self) -> &Template {
        &self.principal
    }
}

/// All that are verified but those that the profile does not take.
fn algorithms(profile: &Profile) -> Result<Algorithms, IssuerPolicyError> {
    let taken: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(|one| !profile.refused_algorithms.contains(one)).collect();
    Algorithms::of(&taken).ok_or(IssuerPolicyError::Profile)
}

fn source(pointer: Option<&str>) -> Result<Vec<Source>, IssuerPolicyError> {
    let of = |pointer: &str| -> Result<Source, PointerError> { Ok(Source::new(Pointer::parse(pointer)?, None)) };
    pointer.map(of).transpose().map(|source| source.into_iter().collect()).map_err(|_| IssuerPolicyError::Profile)
}

/// Whether a text can be the operator's name for an issuer.
pub(crate) fn is_name(name: &str) -> bool {
    let name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(name_byte)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= IDENTIFIER_MAX_BYTES && !text.chars().any(char::is_control)
}

/// One issuer as a verifier sees it: its policy and the keys it is known to have.
#[derive(Debug, Clone)]
pub struct IssuerState {
    /// How its tokens are judged.
    pub policy: IssuerPolicy,
    /// Its keys; `None` until the first fetch succeeded, and again once they are too stale.
    pub keys: Option<Arc<KeySet>>,
}

/// Which value of an issuer's policy is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerPolicyError {
    /// The name is not 1 to 64 letters, digits, `-`, `_` or `.`.
    Name,
    /// The issuer identifier is empty, longer than 1024 bytes or has control characters.
    Issuer,
    /// There are no audiences or more than 256, or one is empty, longer than 1024 bytes or has control characters.
    Audiences,
    /// The leeway is more than 300 s.
    Leeway,
    /// The longest lifetime is not within 1 to 172800 s.
    Lifetime,
    /// No algorithm is named, or one that is not taken from such an issuer.
    Algorithms,
    /// The profile's own table is wrong; a test reads all of it.
    Profile,
}

impl fmt::Display for IssuerPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IssuerPolicyError::Name => "name: 1 to 64 letters, digits, \"-\", \"_\" or \".\"",
            IssuerPolicyError::Issuer => "issuer: 1 to 1024 bytes without control characters",
            IssuerPolicyError::Audiences => "audiences: 1 to 256 of them, each 1 to 1024 bytes without control characters",
            IssuerPolicyError::Leeway => "leeway: at most 300 seconds",
            IssuerPolicyError::Lifetime => "longest lifetime: 1 second to 48 hours",
            IssuerPolicyError::Algorithms => "algorithms: those for public keys that this gateway verifies and the profile takes",
            IssuerPolicyError::Profile => "the profile cannot be read",
        })
    }
}

impl error::Error for IssuerPolicyError {}
