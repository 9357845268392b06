//! Makes the claims of a token that an issuer's policy would take for somebody: for rehearsals, which ask what would become of a call.
//!
//! Invariant: a specimen is judged by the verifier like any token; nothing here says what it becomes.

use serde_json::{Map, Value, json};

use crate::issuer::IssuerPolicy;
use crate::mapping::When;
use crate::mint::place;
use crate::profile::Trap;

/// Somebody whose token is wanted.
#[derive(Debug, Clone)]
pub struct Wanted<'w> {
    /// The name that the principal's id is to have behind the issuer's.
    pub name: &'w str,
    /// The client, where the token names one.
    pub client: Option<&'w str>,
    /// Roles.
    pub roles: &'w [String],
    /// Groups, without the issuer's name.
    pub groups: &'w [String],
    /// Claims that the token has besides.
    pub claims: &'w Map<String, Value>,
}

impl IssuerPolicy {
    /// The claims of such a token but for `aud`, `iat` and `exp`.
    ///
    /// # Errors
    /// What the tokens of this issuer have no place for: `"name"`, `"client"`, `"roles"`, `"groups"`, or a required claim's `"value"`.
    pub fn specimen(&self, wanted: &Wanted<'_>) -> Result<Value, &'static str> {
        let mut claims = Value::Object(wanted.claims.clone());
        let put = |claims: &mut Value, at: &crate::Pointer, value, what| place(claims, at, value).ok_or(what);
        for required in self.required() {
            let (at, value) = required.parts();
            put(&mut claims, at, value.clone(), "value")?;
        }
        for (at, value) in self.principal().unfill(wanted.name).ok_or("name")? {
            put(&mut claims, at, json!(value), "name")?;
        }
        // Where the name is made of other claims, the subject is there all the same, and says nothing.
        if claims.get("sub").is_none() {
            claims["sub"] = json!(wanted.name);
        }
        if let Some(client) = wanted.client {
            claims[*self.profile().client.first().ok_or("client")?] = json!(client);
        }
        if !wanted.groups.is_empty() {
            put(&mut claims, self.groups().first().ok_or("groups")?.pointer(), json!(wanted.groups), "groups")?;
        }
        match self.roles().first() {
            _ if wanted.roles.is_empty() => {}
            Some(source) => put(&mut claims, source.pointer(), json!(wanted.roles), "roles")?,
            None => wanted.roles.iter().try_for_each(|role| self.earn(&mut claims, role, wanted.name).ok_or("roles"))?,
        }
        self.avoid_traps(&mut claims);
        claims["iss"] = json!(self.issuer());
        Ok(claims)
    }

    /// What the header of such a token says in `typ`.
    pub fn specimen_typ(&self) -> Option<&'static str> {
        self.types().first().and_then(|one| one.typ())
    }

    /// Puts into the claims what a role is granted by.
    fn earn(&self, claims: &mut Value, role: &String, name: &str) -> Option<()> {
        self.grants().iter().filter(|grant| grant.roles.contains(role)).find_map(|grant| match &grant.when {
            When::Principal(_) => grant.holds(claims.as_object()?, name).then_some(()),
            When::Claim { source, any, all } => {
                let mut values = source.values(claims.as_object()?);
                values.extend(any.first().into_iter().chain(all).cloned());
                place(claims, source.pointer(), Value::Array(values))
            }
        })
    }

    fn avoid_traps(&self, claims: &mut Value) {
        for trap in self.profile().traps {
            match *trap {
                Trap::Same(one, other) => claims[other] = claims[one].clone(),
                Trap::Confirmed(_, by) => claims[by] = json!(true),
                Trap::Kind(claim, kinds) => claims[claim] = json!(kinds.first()),
                Trap::MountedByDefault | Trap::SpiffeId => {}
            }
        }
    }
}
