//! What a text of shell runs: the commands, where every word of them is literal.
//!
//! Invariant: a text is `static` only if each of its commands is words as they stand, joined by `;`, `&&`, `||`, `|` or line ends, and no
//! command runs another that its words name. Whatever else a shell could do with the text makes it `dynamic`.

use super::{COMMAND_BYTES_MAX, is_treacherous};

/// Whether what a text runs can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// All commands are known.
    Static,
    /// Something is only known when it runs: an expansion, a redirection, a script.
    Dynamic,
}

impl Class {
    /// Both, by the names that rules use.
    pub const NAMED: [(&'static str, Class); 2] = [("static", Class::Static), ("dynamic", Class::Dynamic)];
}

/// What a text runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether that is all.
    pub class: Class,
    /// The commands, each with its words joined by single spaces, quotes removed. Empty for a dynamic text.
    pub commands: Vec<String>,
}

/// Commands that run others, which their words or their input name; interpreters; and what changes the shell itself. By their last name
/// if they are called by a path.
const WRAPPERS: &str = "
. alias ash awk bash batch bind builtin busybox bun chroot cmd command compgen complete coproc csh dash declare deno doas docker at crontab ed
emacs enable env eval ex exec expect export fc find fish flock gawk gdb hash if ionice irb java julia kubectl ksh less let local lua luajit make mapfile
mawk more mount nawk nc ncat netcat nice nix-shell node nodejs nohup nsenter nsjail open osascript parallel perl php pip pkexec podman powershell
printf pwsh python python2 python3 read readarray readonly rlwrap rsh rsync ruby run-parts runuser rvim sash scp screen script sed set setpriv setsid
sftp sg sh shopt socat source sshpass ssh start-stop-daemon stdbuf strace su sudo systemd-run tar taskset tcl tclsh tcsh telnet test time timeout
tmux toybox trap type typeset ulimit umask unalias unset unshare unzip vi view vim vimdiff watch wget wish xargs xdg-open xonsh yash zip zsh npx npm
pnpm yarn uv uvx pipx cargo go gcc cc git-shell rbash script sqlite3 psql mysql mongo redis-cli curl dd tee
";

/// Words that begin something else than a command.
const RESERVED: &str = "! [[ case coproc do done elif else esac fi for function if in select then time until while { }";

/// Reads a text.
pub fn read(text: &str) -> Facts {
    let dynamic = Facts { class: Class::Dynamic, commands: Vec::new() };
    if text.len() > COMMAND_BYTES_MAX || text.chars().any(is_treacherous) {
        return dynamic;
    }
    let Some(commands) = commands(text) else { return dynamic };
    if commands.is_empty() || !commands.iter().all(|command| is_plain(command)) {
        return dynamic;
    }
    let line = |command: &Vec<Word>| command.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    Facts { class: Class::Static, commands: commands.iter().map(line).collect() }
}

/// A word after the removal of its quotes.
struct Word {
    text: String,
    is_quoted: bool,
}

/// Whether a command of this name makes any line dynamic: it runs others, or is no command but a word of the shell.
pub fn is_always_dynamic(name: &str) -> bool {
    let is_in = |list: &str, name: &str| list.split_ascii_whitespace().any(|one| one == name);
    let last = name.rsplit('/').next().unwrap_or_default();
    // `python3.12` is `python`.
    let bare = last.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    is_in(RESERVED, name) || is_in(WRAPPERS, last) || is_in(WRAPPERS, bare)
}

/// Whether a command's words run only what its first names.
fn is_plain(command: &[Word]) -> bool {
    let Some(name) = command.first() else { return false };
    // Nobody quotes a part of a command's name but to hide it; `a=b` sets a variable.
    !name.is_quoted
        && !name.text.contains('=')
        && !name.text.is_empty()
        && !name.text.ends_with('/')
        && name.text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/+-".contains(&b))
        && !is_always_dynamic(&name.text)
}

/// The commands of a text; `None` where there is anything else in it.
fn commands(text: &str) -> Option<Vec<Vec<Word>>> {
    let mut commands = vec![Vec::new()];
    let mut chars = text.chars().peekable();
    // Behind `&&`, `||` and `|` a command has to follow.
    let mut is_awaited = false;
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' => {
                chars.next();
            }
            ';' | '\n' | '&' | '|' => {
                chars.next();
                let is_double = chars.next_if_eq(&c).is_some();
                let is_empty = commands.last().is_none_or(Vec::is_empty);
                match (c, is_double) {
                    ('\n', _) => {}
                    (';', false) | ('&' | '|', true) | ('|', false) if !is_empty => {}
                    _ => return None,
                }
                is_awaited = matches!(c, '&' | '|') || is_awaited && is_empty;
                if !is_empty {
                    commands.push(Vec::new());
                }
            }
            _ => {
                is_awaited = false;
                commands.last_mut()?.push(word(&mut chars)?);
            }
        }
    }
    commands.retain(|command| !command.is_empty());
    (!is_awaited).then_some(commands)
}

/// One word, up to what ends it; `None` where any of it is not literal.
fn word(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Word> {
    let mut word = Word { text: String::new(), is_quoted: false };
    let mut is_start = true;
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\n' | ';' | '&' | '|' => break,
            '\'' => {
                chars.next();
                word.is_quoted = true;
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.text.push(c),
                    }
                }
            }
            '"' => {
                chars.next();
                word.is_quoted = true;
                double_quoted(chars, &mut word.text)?;
            }
            '\\' => {
                chars.next();
                word.is_quoted = true;
                // A line end behind a backslash joins lines.
                word.text.push(chars.next().filter(|&c| c != '\n')?);
            }
            // Expansions of every kind, redirections, groups, comments, history.
            '$' | '`' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | ']' | '{' | '}' | '!' | '^' | '~' => return None,
            '#' if is_start => return None,
            c => {
                chars.next();
                word.text.push(c);
            }
        }
        is_start = false;
    }
    Some(word)
}

fn double_quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, text: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '$' | '`' | '!' => return None,
            '\\' => match chars.next()? {
                c @ ('"' | '\\') => text.push(c),
                // It stays before any other, and shells differ about some.
                _ => return None,
            },
            c => text.push(c),
        }
    }
}
