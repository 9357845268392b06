//! Who somebody in Slack is here.
//!
//! Invariant: only whom the configuration names is anybody; a workspace and a user of it are one person.

use std::collections::HashMap;

use crate::approval::request::{Approver, Identity, Method};

/// A person as the configuration names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who they are.
    pub identity: Identity,
    /// Their roles and groups.
    pub groups: Vec<String>,
}

/// The people of Slack, by workspace and user.
#[derive(Debug, Default)]
pub struct People(HashMap<(String, String), Person>);

impl People {
    /// Adds somebody. False: that user of that workspace is somebody already, and stays so.
    pub fn add(&mut self, team: &str, user: &str, person: Person) -> bool {
        let key = (team.to_owned(), user.to_owned());
        let is_new = !self.0.contains_key(&key);
        if is_new {
            self.0.insert(key, person);
        }
        is_new
    }

    /// Somebody as one who decides. They are no machine: Slack takes a button's press from people only.
    pub fn find(&self, team: &str, user: &str) -> Option<Approver> {
        let person = self.0.get(&(team.to_owned(), user.to_owned()))?;
        Some(Approver { identity: person.identity.clone(), client: None, names: person.groups.clone(), method: Method::Slack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::tests::identity;

    #[test]
    fn r123_a_user_of_another_workspace_is_somebody_else() {
        let mut people = People::default();
        let ann = Person { identity: identity("ann"), groups: vec!["dba".into()] };
        assert!(people.add("T1", "U1", ann.clone()));
        assert!(!people.add("T1", "U1", Person { identity: identity("bob"), ..ann }));
        let found = people.find("T1", "U1");
        assert!(found.is_some_and(|who| who.identity == identity("ann") && who.method == Method::Slack && !who.is_machine()));
        assert!(people.find("T2", "U1").is_none() && people.find("T1", "U2").is_none());
    }
}
