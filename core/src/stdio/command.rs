//! What is run as an upstream, as the configuration says it.
//!
//! Invariant: the environment holds what is named here and a few harmless variables, never the gateway's own.

use std::path::PathBuf;

/// Variables of the gateway's own environment that a child gets too.
pub const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];

/// A program that is an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, as it was found.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables and their values.
    pub environment: Vec<(String, Variable)>,
    /// The directory it starts in.
    pub directory: Option<PathBuf>,
    /// The user that it runs as.
    pub user: Option<User>,
    /// Whether all sessions share one child.
    pub is_shared: bool,
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// This text.
    Text(String),
    /// The credential of this position in the configuration.
    Credential(usize),
}

/// A user of this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
}

impl User {
    /// The user of a name, as a text in the form of `/etc/passwd` has it (passwd(5)).
    pub fn find(passwd: &str, name: &str) -> Option<User> {
        let mut fields = passwd.lines().map(|line| line.split(':')).find_map(|mut fields| {
            let is_it = fields.next() == Some(name);
            is_it.then_some(fields)
        })?;
        let mut number = |skip: usize| fields.nth(skip)?.parse().ok();
        Some(User { uid: number(1)?, gid: number(0)? })
    }
}

impl Command {
    /// What tells this upstream from others where a URL would: the program and its arguments.
    pub fn endpoint(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| format!(" {argument:?}"));
        format!("stdio:{:?}{}", self.program, arguments.collect::<String>())
    }

    /// The credentials that stand in the environment.
    pub fn credentials(&self) -> impl Iterator<Item = usize> {
        self.environment.iter().filter_map(|(_, value)| match value {
            Variable::Credential(index) => Some(*index),
            Variable::Text(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nmcp2:x:7:8::/:/bin/false\nmcp:x:999:998:MCP:/srv:/usr/sbin/nologin\nodd:x:a:1::/:\n";
        assert_eq!(User::find(passwd, "mcp"), Some(User { uid: 999, gid: 998 }));
        assert_eq!((User::find(passwd, "mc"), User::find(passwd, "odd"), User::find(passwd, "")), (None, None, None));
    }
}
