//! Checks upstreams that are programs: what is run, as whom, where and with what in its environment.
//!
//! Invariant: a program that is accepted is there and can be run; a credential goes into its environment and nowhere else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::check::Checker;
use super::checked::{Credential, Rule, Upstream};
use super::raw::{RawConfig, RawUpstream, RawVariable, Text};
use crate::credential::placement::Placement;
use crate::stdio::command::{Command, User, Variable};

/// Arguments of a program, and variables of its environment.
const WORDS_MAX: usize = 256;
/// Bytes of one of them.
const WORD_BYTES_MAX: usize = 16 * 1024;

impl Checker<'_, '_> {
    /// The program of an upstream that has one.
    pub(super) fn command(&mut self, raw: &RawUpstream, key: &str) -> Option<Command> {
        let words = raw.command.as_ref()?;
        self.stands_beside(raw, key);
        let (first, arguments) = match words.get_ref().split_first() {
            Some((first, arguments)) if arguments.len() <= WORDS_MAX && !first.get_ref().is_empty() => (first, arguments),
            Some(_) | None => {
                let hint = "write the program and its arguments, at most 256, like [\"mcp-server-git\", \"--repository\", \"/srv/repo\"]";
                self.problems.add(words.span(), format!("{key}.command"), "is no command", hint);
                return None;
            }
        };
        let is_word = |text: &Text| text.get_ref().len() <= WORD_BYTES_MAX && !text.get_ref().contains('\0');
        if let Some(odd) = words.get_ref().iter().find(|word| !is_word(word)) {
            self.problems.add(odd.span(), format!("{key}.command"), "is too long or holds a NUL", "use at most 16 KiB of text");
            return None;
        }
        let program = self.program(first, &format!("{key}.command"));
        let environment = self.environment(raw, key);
        let directory = match &raw.cwd {
            Some(cwd) => self.directory(cwd, &format!("{key}.cwd")).map(Some),
            None => Some(None),
        };
        let user = match &raw.user {
            Some(user) => self.user(user, &format!("{key}.user")).map(Some),
            None => Some(None),
        };
        Some(Command {
            program: program?,
            arguments: arguments.iter().map(|argument| argument.get_ref().clone()).collect(),
            environment: environment?,
            directory: directory?,
            user: user?,
            is_shared: raw.share,
        })
    }

    /// Reports credentials that stand in another place than where they are wanted: in a request, or in a program's environment.
    pub(super) fn credentials_fit(
        &mut self,
        raw: &RawConfig,
        credentials: &[Arc<Credential>],
        upstreams: &[Upstream],
        rules: &[Rule],
    ) {
        let named = |name: &Text| credentials.iter().find(|credential| credential.name == *name.get_ref());
        let is_for_programs = |credential: &Credential| *credential.placement == Placement::Environment;
        let mut in_environments = Vec::new();
        for (at, upstream) in raw.upstream.iter().enumerate() {
            for (name, variable) in &upstream.env {
                let Some(credential) = RawVariable::credential(variable) else { continue };
                let Some(found) = named(&credential) else { continue };
                in_environments.push(found.name.as_str());
                let (message, hint) = match (is_for_programs(found), found.source.is_of_caller()) {
                    (true, false) => continue,
                    (true, true) => ("is another for each caller", "a program's environment needs one from another source"),
                    (false, _) => ("stands in requests", "remove `header`, `basic` or `query` from it, or use another"),
                };
                let key = format!("upstream[{}].env.{name}", at + 1);
                self.problems.add(credential.span(), key, message, hint);
            }
        }
        const HINT: &str = "add `header = \"Authorization\"` and `prefix = \"Bearer \"`, or `basic = { user = \"…\" }`; or put it into the `env` of a program";
        for (at, credential) in raw.credential.iter().enumerate() {
            let is_nowhere = named(&credential.name).is_some_and(|found| is_for_programs(found));
            if is_nowhere && !in_environments.contains(&credential.name.get_ref().as_str()) {
                let key = format!("credential[{}]", at + 1);
                self.problems.add(credential.name.span(), key, "has no place in a request", HINT);
            }
        }
        let in_both = |name: &Text| in_environments.contains(&name.get_ref().as_str());
        for (at, upstream) in raw.upstream.iter().enumerate() {
            if let Some(name) = upstream.credential.as_ref().filter(|name| in_both(name)) {
                let hint = "a program's credential has no place in a request; use another";
                self.problems.add(name.span(), format!("upstream[{}].credential", at + 1), "is for programs", hint);
            }
        }
        for (at, written) in raw.rule.iter().map(Spanned::get_ref).enumerate() {
            let Some(name) = &written.credential else { continue };
            let rule = rules.iter().find(|rule| rule.id == *written.id.get_ref());
            let covered = rule.map(|rule| upstreams.iter().zip(&rule.what.upstreams)).into_iter().flatten();
            let reaches_program = covered.into_iter().any(|(upstream, covered)| *covered && upstream.command.is_some());
            if reaches_program || in_both(name) {
                let hint = "a program is given its credentials when it starts: `env = { NAME = { credential = \"…\" } }`";
                self.problems.add(name.span(), format!("rule[{}].credential", at + 1), "would go to a program", hint);
            }
        }
    }

    /// Reports what is for an upstream with a URL, and what is for programs where there is none.
    pub(super) fn stands_beside(&mut self, raw: &RawUpstream, key: &str) {
        let of_urls = [
            ("url", &raw.url),
            ("ca", &raw.ca),
            ("client_cert", &raw.client_cert),
            ("client_key", &raw.client_key),
            ("credential", &raw.credential),
        ];
        let of_programs = [("cwd", &raw.cwd), ("user", &raw.user)];
        let (odd, other) = if raw.command.is_some() { (&of_urls[..], "command") } else { (&of_programs[..], "url") };
        for (field, text) in odd.iter().filter_map(|(field, text)| Some((field, text.as_ref()?))) {
            let hint = match *field {
                "credential" => "put it into the program's environment: `env = { NAME = { credential = \"…\" } }`",
                "url" => "keep one of the two",
                _ => "remove it",
            };
            self.problems.add(text.span(), format!("{key}.{field}"), format!("stands beside `{other}`"), hint);
        }
        if let (None, Some((_, value))) = (&raw.command, raw.env.first_key_value()) {
            self.problems.add(value.span(), format!("{key}.env"), "stands beside `url`", "remove it");
        }
    }

    fn program(&mut self, text: &Text, key: &str) -> Option<PathBuf> {
        let name = Path::new(text.get_ref());
        let candidates: Vec<PathBuf> = if name.components().count() > 1 || name.is_absolute() {
            vec![self.dir.join(name)]
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(name)).collect()
        };
        let is_program = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        };
        let found = candidates.into_iter().find(is_program);
        if found.is_none() {
            let hint = "give its path, or the name of a program that is on PATH";
            self.problems.add(text.span(), key, "is no program that can be run", hint);
        }
        found
    }

    fn environment(&mut self, raw: &RawUpstream, key: &str) -> Option<Vec<(String, Variable)>> {
        let (mut variables, mut is_good) = (Vec::new(), raw.env.len() <= WORDS_MAX);
        for (name, value) in &raw.env {
            let key = format!("{key}.env.{name}");
            let is_name = !name.is_empty() && !name.contains(['=', '\0']) && name.len() <= WORD_BYTES_MAX;
            let made = match (value.get_ref(), RawVariable::credential(value)) {
                _ if !is_name => None,
                (RawVariable::Text(text), _) if !text.contains('\0') && text.len() <= WORD_BYTES_MAX => {
                    Some(Variable::Text(text.clone()))
                }
                (_, Some(credential)) => match self.credential_named(&credential, &key) {
                    Some(index) => Some(Variable::Credential(index)),
                    None => {
                        is_good = false;
                        continue;
                    }
                },
                _ => None,
            };
            match made {
                Some(variable) => variables.push((name.clone(), variable)),
                None => {
                    is_good = false;
                    self.problems.add(value.span(), key, "is no variable", "use a name without `=`, and at most 16 KiB of text");
                }
            }
        }
        is_good.then_some(variables)
    }

    fn directory(&mut self, text: &Text, key: &str) -> Option<PathBuf> {
        let path = self.dir.join(text.get_ref());
        if path.is_dir() {
            return Some(path);
        }
        self.problems.add(text.span(), key, "is no directory", "name one that is there");
        None
    }

    fn user(&mut self, text: &Text, key: &str) -> Option<User> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = User::find(&passwd, text.get_ref());
        match found {
            None => self.problems.add(text.span(), key, "is no user of this system", "name one that /etc/passwd has"),
            Some(user) => {
                let own = rustix::process::geteuid();
                if !own.is_root() && own.as_raw() != user.uid {
                    let hint = "start the gateway as root, or remove `user`: the program then runs as the gateway's own user";
                    self.problems.add(text.span(), key, "cannot be become by this user", hint);
                    return None;
                }
            }
        }
        found
    }
}
