//! What subcommands print: `println!`, `print!` and `eprintln!` that take a closed pipe for what it is.
//!
//! Invariant: whoever stops reading (`| head`) changes neither what is done nor the exit status; a disk that is full does.
//!
//! The macros stand in for those of the standard library, which panic, in every module that is declared behind this one.

use std::fmt::Arguments;
use std::io::{self, Write};

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::print::write(&mut std::io::stdout().lock(), format_args!($($text)*)) };
}

macro_rules! println {
    () => { print!("\n") };
    ($($text:tt)*) => { print!("{}\n", format_args!($($text)*)) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::print::write(&mut std::io::stderr().lock(), format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes a text; ends the process with exit status 1 where it cannot be written though somebody reads.
pub(super) fn write(out: &mut impl Write, text: Arguments<'_>) {
    match out.write_fmt(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            // There may be nothing left to say it to.
            let _ = writeln!(io::stderr(), "sluicegate: cannot write: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}
