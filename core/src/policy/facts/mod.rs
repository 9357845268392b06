//! What can be said of a text that is a command in another language: SQL, shell, a URL, a path.
//!
//! Invariant: facts are read from the text alone, in bounded time; where a reader of that language could understand it otherwise, the text is
//! unreadable, and what is unreadable never permits.

#[cfg(test)]
mod corpus;
pub mod path;
pub mod shell;
pub mod sql;
mod sql_functions;
pub mod url;

/// Bytes of a command that is read; a longer one is unreadable.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024;

/// Whether readers differ about a character: it cannot be seen, it is a space to some only, it turns the direction of others, or it passes
/// for a sign of syntax.
fn is_treacherous(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{37e}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{1680}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2018}'..='\u{201f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe54}' | '\u{feff}' | '\u{ff00}'..='\u{ff65}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}
