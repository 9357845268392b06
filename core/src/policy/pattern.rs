//! Patterns over what commands name: relations and functions of SQL, commands of a shell.
//!
//! Invariant: to permit, a pattern takes only what it spells out, part by part; to stop, it takes whatever the server or the shell could
//! resolve to the same thing.

use super::Glob;
use super::predicate::Polarity;

/// A pattern over names of SQL with their parts, as `schema.name`.
pub struct NamePattern {
    /// One pattern for each part, for a wildcard takes no dot.
    parts: Vec<Glob>,
    /// Whether it is a star and nothing else, which takes every name.
    is_any: bool,
    /// All of it in small letters; its stars take dots.
    wide: Glob,
}

impl NamePattern {
    /// Takes a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        NamePattern {
            parts: pattern.split('.').map(Glob::new).collect(),
            is_any: Glob::new(pattern).is_any(),
            wide: Glob::new(&pattern.to_lowercase()),
        }
    }

    /// Whether it takes a name. To permit, it has as many parts as the name. To stop, it need not say what stands in front (the database, the
    /// schema), and letters are the same in both sizes, as they are to some servers.
    pub fn takes(&self, name: &str, polarity: Polarity) -> bool {
        match polarity {
            Polarity::Permits => {
                let parts = name.split('.');
                self.is_any
                    || parts.clone().count() == self.parts.len() && parts.zip(&self.parts).all(|(part, glob)| glob.matches(part))
            }
            Polarity::Stops => {
                let name = name.to_lowercase();
                let behind = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
                std::iter::once(name.as_str()).chain(behind).any(|tail| self.wide.matches(tail))
            }
        }
    }
}

/// A pattern over commands, their words joined by single spaces.
pub struct CommandPattern {
    exact: Glob,
    /// In small letters.
    wide: Glob,
}

impl CommandPattern {
    /// Takes a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        CommandPattern { exact: Glob::new(pattern), wide: Glob::new(&pattern.to_lowercase()) }
    }

    /// Whether it takes a command. To stop, the command may be called by a path, and letters are the same in both sizes, as they are to some
    /// file systems.
    pub fn takes(&self, command: &str, polarity: Polarity) -> bool {
        if self.exact.matches(command) {
            return true;
        }
        if polarity == Polarity::Permits {
            return false;
        }
        let command = command.to_lowercase();
        let name = command.split(' ').next().unwrap_or_default();
        let by_path = name.rfind('/').map(|slash| &command[slash + 1..]);
        std::iter::once(command.as_str()).chain(by_path).any(|command| self.wide.matches(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r100_a_name_is_permitted_part_by_part() {
        for (pattern, name, permits, stops) in [
            ("sales.*", "sales.orders", true, true),
            ("sales.*", "sales.hr.salaries", false, true),
            ("sales.*", "sales..orders", false, true),
            ("sales.*", "sales.server.database.orders", false, true),
            ("sales.*.*", "sales.hr.salaries", true, true),
            ("sales.*", "\"sales.hr\"", false, false),
            ("sales.?rders", "sales.orders", true, true),
            ("*", "sales.hr.salaries", true, true),
            ("s*s", "salaries", true, true),
            ("s*s", "sales.salaries", false, true),
            ("products", "sales.products", false, true),
            ("hr.*", "db.hr.salaries", false, true),
            ("hr.salaries", "HR.Salaries", false, true),
            ("hr.salaries", "hr.salaries_old", false, false),
            ("hr.*", "chr.salaries", false, false),
        ] {
            let pattern_of = NamePattern::new(pattern);
            assert_eq!(pattern_of.takes(name, Polarity::Permits), permits, "{pattern} permits {name}");
            assert_eq!(pattern_of.takes(name, Polarity::Stops), stops, "{pattern} stops {name}");
        }
    }

    #[test]
    fn a_command_is_stopped_by_whatever_path_it_is_called() {
        for (pattern, command, permits, stops) in [
            ("rm *", "rm x", true, true),
            ("rm *", "/bin/rm x", false, true),
            ("rm *", "./rm x", false, true),
            ("rm *", "RM x", false, true),
            ("rm *", "echo /rm x", false, false),
            ("/bin/rm *", "/bin/rm x", true, true),
            ("/bin/rm *", "rm x", false, false),
            ("rm", "/bin/rm", false, true),
        ] {
            let pattern_of = CommandPattern::new(pattern);
            assert_eq!(pattern_of.takes(command, Polarity::Permits), permits, "{pattern} permits {command}");
            assert_eq!(pattern_of.takes(command, Polarity::Stops), stops, "{pattern} stops {command}");
        }
    }
}
