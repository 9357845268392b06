//! The table of standard issuers: what the tokens of each look like, where its claims stand, and what must not be taken for an identity.
//!
//! Invariant: a profile is data; whatever it says is done by the code that does the same for the operator's own settings, and a setting
//! of the operator's takes the place of the profile's.

use crate::algorithm::Algorithm;
use crate::spiffe;

/// What `typ` in a token's header says (RFC 7519 section 5.1, RFC 9068 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// There is no `typ`.
    Absent,
    /// `JWT`.
    Jwt,
    /// `at+jwt`.
    AtJwt,
    /// `JOSE`, which JWT-SVIDs may say.
    Jose,
    /// `secevent+jwt`: a security event (RFC 8417), which is never taken for access.
    SecurityEvent,
}

impl TokenType {
    /// The type of this name, as operators write it: `JWT`, `at+jwt`, `JOSE` in any case, `absent` for none.
    pub fn named(name: &str) -> Option<TokenType> {
        if name == "absent" {
            Some(TokenType::Absent)
        } else {
            TokenType::of_typ(name).filter(|typ| *typ != TokenType::SecurityEvent)
        }
    }

    /// The type that a header's `typ` names. There is none for tokens that are of no use here: `dpop+jwt`,
    /// `oauth-id-jag+jwt`, `logout+jwt`, `token-introspection+jwt` (RFC 8725 section 3.11).
    pub(crate) fn of_typ(typ: &str) -> Option<TokenType> {
        let typ = typ.to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "jwt" => Some(TokenType::Jwt),
            "at+jwt" => Some(TokenType::AtJwt),
            "jose" => Some(TokenType::Jose),
            "secevent+jwt" => Some(TokenType::SecurityEvent),
            _ => None,
        }
    }

    /// What a header says for it.
    #[cfg(any(test, feature = "mint"))]
    pub(crate) fn typ(self) -> Option<&'static str> {
        match self {
            TokenType::Absent => None,
            TokenType::Jwt => Some("JWT"),
            TokenType::AtJwt => Some("at+jwt"),
            TokenType::Jose => Some("JOSE"),
            TokenType::SecurityEvent => Some("secevent+jwt"),
        }
    }
}

/// Something about the tokens of an issuer that looks like an identity, or like access, and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trap {
    /// Two claims must read the same.
    Same(&'static str, &'static str),
    /// If a claim is there, it must be confirmed by another that is `true`.
    Confirmed(&'static str, &'static str),
    /// A claim must be one of these texts; else the token is made for something other than access.
    Kind(&'static str, &'static [&'static str]),
    /// What every pod gets is meant for the cluster's own API: it lives for a year and says when to warn of it.
    MountedByDefault,
    /// The subject is a SPIFFE id of the issuer's trust domain.
    SpiffeId,
}

/// How a program that acts for itself is told from a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// The issuer knows no people.
    Always,
    /// Its subject is its client (RFC 9068 section 2.2).
    SubjectIsClient,
    /// Its tokens have this claim, and people's do not.
    Has(&'static str),
    /// Its tokens lack this claim, and people's do not.
    Lacks(&'static str),
    /// Its subject ends so.
    SubjectEnds(&'static str),
}

/// What an issuer identifier of a kind reads like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identifier {
    Any,
    Okta,
    EntraV2,
    EntraV1,
    Google,
    GitHub,
    Keycloak,
    Auth0,
    TrustDomain,
}

/// A kind of issuer.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    names: &'static [&'static str],
    identifier: Identifier,
    /// What `typ` may be.
    pub(crate) types: &'static [TokenType],
    /// Whether access tokens look like ID tokens here.
    pub(crate) takes_id_tokens: bool,
    /// Whether `iat` may be missing.
    pub(crate) may_lack_iat: bool,
    /// Longest life of a token, in seconds.
    pub(crate) lifetime_max_s: u32,
    /// Algorithms that are not taken although this crate verifies them.
    pub(crate) refused_algorithms: &'static [Algorithm],
    /// Whether all claims but times and audiences are texts, numbers and truth values too.
    writes_texts: bool,
    /// What becomes the principal: a [`Template`](crate::Template).
    pub(crate) principal: &'static str,
    /// Where the client stands: the first of these claims that is there.
    pub(crate) client: &'static [&'static str],
    /// Where the roles stand: a [`Pointer`](crate::Pointer).
    pub(crate) roles: Option<&'static str>,
    /// Where the groups stand: a [`Pointer`](crate::Pointer).
    pub(crate) groups: Option<&'static str>,
    pub(crate) machine: Machine,
    pub(crate) traps: &'static [Trap],
}

const ANY_TYPE: &[TokenType] = &[TokenType::Absent, TokenType::Jwt, TokenType::AtJwt];
const PLAIN: &[TokenType] = &[TokenType::Absent, TokenType::Jwt];

/// Any issuer of JWTs, as far as the others do not differ from it.
const JWT: Profile = Profile {
    names: &["jwt"],
    identifier: Identifier::Any,
    types: ANY_TYPE,
    takes_id_tokens: false,
    may_lack_iat: false,
    lifetime_max_s: 3600,
    refused_algorithms: &[],
    writes_texts: false,
    principal: "{sub}",
    client: &["client_id", "azp"],
    roles: None,
    groups: None,
    machine: Machine::SubjectIsClient,
    traps: &[],
};

/// All of them; the first is the default.
static PROFILES: [Profile; 13] = [
    JWT,
    Profile { names: &["rfc9068"], types: &[TokenType::AtJwt], ..JWT },
    Profile { names: &["okta"], identifier: Identifier::Okta, client: &["cid"], groups: Some("/groups"), ..JWT },
    Profile {
        names: &["entra-v2"],
        identifier: Identifier::EntraV2,
        types: PLAIN,
        lifetime_max_s: 5400,
        // `sub` is another one for each application; `oid` is the service principal's, or the person's, in the whole tenant.
        principal: "{oid}",
        client: &["azp"],
        roles: Some("/roles"),
        groups: Some("/groups"),
        machine: Machine::Lacks("scp"),
        ..JWT
    },
    Profile {
        names: &["entra-v1"],
        identifier: Identifier::EntraV1,
        types: PLAIN,
        lifetime_max_s: 5400,
        principal: "{oid}",
        client: &["appid"],
        roles: Some("/roles"),
        groups: Some("/groups"),
        machine: Machine::Lacks("scp"),
        ..JWT
    },
    Profile {
        names: &["google"],
        identifier: Identifier::Google,
        types: PLAIN,
        takes_id_tokens: true,
        client: &["azp"],
        machine: Machine::Always,
        // A person's token is made for the client that the person uses; a service account is its own.
        traps: &[Trap::Same("sub", "azp"), Trap::Confirmed("email", "email_verified")],
        ..JWT
    },
    Profile {
        names: &["kubernetes", "eks", "gke", "aks"],
        types: PLAIN,
        client: &[],
        machine: Machine::Always,
        traps: &[Trap::MountedByDefault],
        ..JWT
    },
    Profile {
        names: &["github-actions"],
        identifier: Identifier::GitHub,
        types: PLAIN,
        takes_id_tokens: true,
        writes_texts: true,
        // Names of owners and repositories can be given to others, and the form of `sub` is each repository's own; these numbers stay.
        principal: "{repository_owner_id}/{repository_id}",
        client: &[],
        machine: Machine::Always,
        ..JWT
    },
    Profile {
        names: &["gitlab"],
        types: PLAIN,
        takes_id_tokens: true,
        writes_texts: true,
        principal: "{namespace_id}/{project_id}",
        client: &[],
        machine: Machine::Always,
        ..JWT
    },
    Profile { names: &["aws-sts"], types: PLAIN, takes_id_tokens: true, client: &[], machine: Machine::Always, ..JWT },
    Profile {
        names: &["spiffe-jwt"],
        identifier: Identifier::TrustDomain,
        types: &[TokenType::Absent, TokenType::Jwt, TokenType::Jose],
        may_lack_iat: true,
        refused_algorithms: &[Algorithm::EdDsa],
        client: &[],
        machine: Machine::Always,
        traps: &[Trap::SpiffeId],
        ..JWT
    },
    Profile {
        names: &["keycloak"],
        identifier: Identifier::Keycloak,
        client: &["azp", "client_id"],
        roles: Some("/realm_access/roles"),
        groups: Some("/groups"),
        machine: Machine::Has("client_id"),
        // Its header says JWT for ID tokens too; what a token is for stands in a claim.
        traps: &[Trap::Kind("typ", &["Bearer", "DPoP"])],
        ..JWT
    },
    Profile {
        names: &["auth0"],
        identifier: Identifier::Auth0,
        client: &["azp", "client_id"],
        roles: Some("/permissions"),
        machine: Machine::SubjectEnds("@clients"),
        ..JWT
    },
];

impl Profile {
    /// The profile of this name; `eks`, `gke` and `aks` are `kubernetes` with another issuer.
    pub fn named(name: &str) -> Option<&'static Profile> {
        PROFILES.iter().find(|profile| profile.names.contains(&name))
    }

    /// What counts where none is named: any JWT.
    pub fn default_profile() -> &'static Profile {
        &PROFILES[0]
    }

    /// All names.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().flat_map(|profile| profile.names).copied()
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Longest life of a token where the operator says nothing, in seconds.
    pub fn lifetime_max_s(&self) -> u32 {
        self.lifetime_max_s
    }

    /// Whether its tokens may be silent about when they were issued. Of such a token only what is left of its life is bounded: one
    /// that ends far off is refused now, and taken shortly before its end.
    pub fn may_lack_iat(&self) -> bool {
        self.may_lack_iat
    }

    /// Whether its issuer is a SPIFFE trust domain and not a URL.
    pub fn is_of_trust_domain(&self) -> bool {
        self.identifier == Identifier::TrustDomain
    }

    /// Whether it has roles in a claim of its own.
    pub fn has_roles(&self) -> bool {
        self.roles.is_some()
    }

    /// Whether it has groups in a claim of its own.
    pub fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Whether numbers and truth values stand in its claims as texts, as `"42"` and `"true"`.
    pub fn writes_texts(&self) -> bool {
        self.writes_texts
    }

    /// What is wrong with an issuer identifier of this kind, and what to do; `None` where nothing is.
    pub fn issuer_fault(&self, issuer: &str) -> Option<(&'static str, &'static str)> {
        let path = issuer.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        match self.identifier {
            Identifier::Any => None,
            Identifier::Okta => {
                let is_custom = path.strip_prefix("oauth2/").is_some_and(|id| !id.is_empty() && !id.contains('/'));
                let fault = (
                    "is the issuer of Okta's org authorization server, whose tokens only Okta itself may read",
                    "use a custom authorization server: \"https://ORG.okta.com/oauth2/ID\"",
                );
                (!is_custom).then_some(fault)
            }
            Identifier::EntraV2 => {
                entra(path.strip_suffix("/v2.0"), "write it \"https://login.microsoftonline.com/TENANT-ID/v2.0\"")
            }
            Identifier::EntraV1 => {
                entra(path.strip_suffix('/'), "write it \"https://sts.windows.net/TENANT-ID/\", with the slash")
            }
            Identifier::Google => {
                let fault = ("is not Google's issuer", "write \"https://accounts.google.com\", without a slash behind it");
                (issuer != "https://accounts.google.com").then_some(fault)
            }
            Identifier::GitHub => {
                let is_github = issuer == "https://token.actions.githubusercontent.com"
                    || issuer.starts_with("https://token.actions.githubusercontent.com/")
                    || issuer.ends_with("/_services/token");
                let hint = "write \"https://token.actions.githubusercontent.com\", or for a server of your own \
                            \"https://HOST/_services/token\"";
                (!is_github).then_some(("is not GitHub's issuer", hint))
            }
            Identifier::Keycloak => {
                let realm = path.rsplit_once("realms/").map_or("", |(_, realm)| realm);
                let fault = ("names no realm", "write it \"https://HOST/realms/REALM\"");
                (realm.is_empty() || realm.contains('/')).then_some(fault)
            }
            Identifier::Auth0 => {
                let fault = ("lacks the slash that Auth0's issuer ends with", "write it \"https://TENANT.auth0.com/\"");
                (!issuer.ends_with('/')).then_some(fault)
            }
            Identifier::TrustDomain => {
                let fault = ("is not a SPIFFE trust domain", "write it \"spiffe://TRUST-DOMAIN\", without a path");
                spiffe::trust_domain(issuer).is_none().then_some(fault)
            }
        }
    }
}

/// `tenant` is what stands where the tenant should; `None` where the rest is not as it should be.
fn entra(tenant: Option<&str>, hint: &'static str) -> Option<(&'static str, &'static str)> {
    match tenant {
        None => Some(("is not the issuer of tokens of this version", hint)),
        Some("common" | "organizations" | "consumers") => {
            Some(("stands for many tenants, and no token names it as its issuer", hint))
        }
        Some(tenant) if tenant.is_empty() || tenant.contains('/') => Some(("names no tenant", hint)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
