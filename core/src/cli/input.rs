//! What a command line names to be looked through: files, directories, standard input and audits, handed out in pieces of text.
//!
//! Invariant: memory holds one piece, however long an input is; an input that cannot be read is told of and stops no other.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sluicegate_sink::{Cell, read_rows};

/// Bytes of an input that are read at once where it is passed through.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of an input that must be text for it to be taken for text.
const SAMPLE_BYTES: usize = 8 * 1024;
/// Columns of the audit that hold what callers wrote.
const WRITTEN: [&str; 4] = ["args", "resource", "tool", "jsonrpc_id"];
/// Columns of the audit that tell of a finding.
const TOLD: [&str; 5] = ["kind", "detector", "pointer", "confidence", "hash"];
/// Bytes of a pointer that the audit keeps; one of this length, or a character less, may have been cut.
const POINTER_BYTES_KEPT: usize = 45;

/// A piece of text, and where it stands.
pub(super) struct Piece<'a> {
    /// The input's name.
    pub source: &'a Path,
    /// Number of the input, from 1.
    pub number: usize,
    /// The text.
    pub text: &'a str,
    /// Bytes of the input before it.
    pub offset: u64,
    /// In an audit: the row, from 0, and the column.
    pub cell: Option<(u64, &'static str)>,
}

/// A finding as an audit tells of it.
pub(super) struct Told<'a> {
    /// Number of the input, from 1.
    pub number: usize,
    /// Its type.
    pub kind: &'a str,
    /// The detector that found it.
    pub detector: &'a str,
    /// Where it stood.
    pub pointer: &'a str,
    /// Whether the pointer may have been cut off.
    pub is_cut: bool,
    /// How sure the detector was.
    pub confidence: f32,
    /// The keyed hash of its value; empty where there is none.
    pub hash: &'a str,
}

/// What is done with what inputs hold.
pub(super) trait Look {
    /// Looks at a piece.
    ///
    /// # Errors
    /// Only what makes going on useless, as an output that is closed.
    fn piece(&mut self, piece: &Piece<'_>) -> io::Result<()>;

    /// Takes note of a finding that an audit tells of.
    fn told(&mut self, _told: &Told<'_>) {}
}

/// Something that an input passes through.
pub(super) trait Pass {
    /// Takes the next bytes, which are text in UTF-8; `by_line`: each line stands alone.
    ///
    /// # Errors
    /// Only what makes going on useless, as an output that is closed.
    fn chunk(&mut self, bytes: &[u8], by_line: bool) -> io::Result<()>;

    /// Nothing follows.
    ///
    /// # Errors
    /// As above.
    fn end(&mut self) -> io::Result<()>;
}

/// Reads inputs and keeps account of them.
pub(super) struct Inputs {
    /// Bytes of one piece; a longer input is cut behind the end of a line.
    pub piece_bytes_max: usize,
    /// Whether bytes that are no UTF-8 are read as U+FFFD; otherwise they end the input.
    pub is_lossy: bool,
    /// Inputs that were looked through.
    pub files: usize,
    /// Their bytes; of an audit, those of the cells that were looked at.
    pub bytes: u64,
    /// Files in directories that hold no text.
    pub skipped: usize,
    /// What could not be read, and why.
    pub problems: Vec<String>,
}

/// Why an input could not be looked through.
enum Trouble {
    /// It is the input's fault.
    Input(String),
    /// It is not text.
    NoText,
    /// The looking failed.
    Output(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Input(match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            _ => error.to_string(),
        })
    }
}

impl Inputs {
    /// None yet.
    pub(super) fn new(piece_bytes_max: usize, is_lossy: bool) -> Self {
        Inputs { piece_bytes_max, is_lossy, files: 0, bytes: 0, skipped: 0, problems: Vec::new() }
    }

    /// Looks through everything that the paths name; `-` is standard input, directories are gone through to their ends.
    ///
    /// # Errors
    /// Those of `look`.
    pub(super) fn look_through(&mut self, paths: &[PathBuf], look: &mut impl Look) -> io::Result<()> {
        for path in paths {
            if path.as_os_str() == "-" {
                let read = self.text(Path::new("-"), &mut io::stdin().lock(), false, look);
                self.account(Path::new("-"), read, true)?;
                continue;
            }
            // The directories that are still to be gone through. Links are not followed, so that there is no going round.
            let mut open = vec![(path.clone(), true)];
            while let Some((path, is_named)) = open.pop() {
                let is_dir = if is_named { path.is_dir() } else { fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) };
                if is_dir {
                    match entries(&path) {
                        Ok(entries) => open.extend(entries.into_iter().rev().map(|entry| (entry, false))),
                        Err(error) => self.account(&path, Err(error.into()), true)?,
                    }
                    continue;
                }
                let is_file = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
                if is_named || is_file {
                    let read = self.file(&path, look);
                    self.account(&path, read, is_named)?;
                }
            }
        }
        Ok(())
    }

    /// Looks through the sealed files of an audit's directory.
    ///
    /// # Errors
    /// Those of `look`.
    pub(super) fn look_through_audit(&mut self, dir: &Path, look: &mut impl Look) -> io::Result<()> {
        let mut found = Vec::new();
        for table in ["calls", "findings"] {
            match sluicegate_sink::table_files(dir, table) {
                Ok(files) => found.extend(files),
                Err(error) => self.account(dir, Err(error.into()), true)?,
            }
        }
        if found.is_empty() && self.problems.is_empty() {
            let message = "holds no sealed file of an audit; name the directory in which `calls` lies".to_owned();
            self.account(dir, Err(Trouble::Input(message)), true)?;
        }
        self.look_through(&found, look)
    }

    /// Passes one file or, as `-`, standard input through, each part as soon as it was read.
    ///
    /// # Errors
    /// Those of `pass`.
    pub(super) fn pass_through(&mut self, path: &Path, pass: &mut impl Pass) -> io::Result<()> {
        let by_line = is_of_lines(path);
        let read = match path.as_os_str() == "-" {
            true => self.chunks(&mut io::stdin().lock(), by_line, pass),
            false => File::open(path).map_err(Trouble::from).and_then(|mut file| self.chunks(&mut file, by_line, pass)),
        };
        self.account(path, read, true)
    }

    fn chunks(&mut self, reader: &mut impl Read, by_line: bool, pass: &mut impl Pass) -> Result<(), Trouble> {
        let mut chunk = vec![0; CHUNK_BYTES];
        // Bytes at the start of the chunk of a character that was cut.
        let (mut cut, mut offset) = (0, 0u64);
        loop {
            let read = match reader.read(&mut chunk[cut..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let there = &chunk[..cut + read];
            if offset == 0 && !is_text(there, read > 0, false) {
                return Err(Trouble::NoText);
            }
            let (text, is_broken) = match std::str::from_utf8(there) {
                Ok(text) => (text.len(), false),
                Err(error) => (error.valid_up_to(), error.error_len().is_some() || read == 0),
            };
            pass.chunk(&there[..text], by_line).map_err(Trouble::Output)?;
            offset += text as u64;
            if is_broken || read == 0 {
                pass.end().map_err(Trouble::Output)?;
                let message = || format!("is no UTF-8 at byte {offset}; what stands before it was looked through");
                return if is_broken { Err(Trouble::Input(message())) } else { Ok(()) };
            }
            cut = cut + read - text;
            chunk.copy_within(text..text + cut, 0);
        }
    }

    fn account(&mut self, path: &Path, read: Result<(), Trouble>, is_named: bool) -> io::Result<()> {
        match read {
            Ok(()) => {}
            Err(Trouble::Output(error)) => return Err(error),
            Err(Trouble::NoText) if !is_named => self.skipped += 1,
            Err(Trouble::NoText) => self.problems.push(format!("{}: is no text in UTF-8", path.display())),
            Err(Trouble::Input(message)) => self.problems.push(format!("{}: {message}", path.display())),
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, look: &mut impl Look) -> Result<(), Trouble> {
        if is_parquet(path) {
            return self.parquet(path, look);
        }
        let mut reader = BufReader::with_capacity(64 * 1024, File::open(path)?);
        self.text(path, &mut reader, is_of_lines(path), look)
    }

    /// Text in pieces that end where a line does; `by_line`: each line is a piece of its own.
    fn text(&mut self, path: &Path, reader: &mut impl BufRead, by_line: bool, look: &mut impl Look) -> Result<(), Trouble> {
        let (mut piece, mut offset, mut is_first) = (Vec::new(), 0u64, true);
        loop {
            let room = self.piece_bytes_max.saturating_sub(piece.len()) as u64;
            let mut limited = reader.by_ref().take(room);
            let read = if by_line { limited.read_until(b'\n', &mut piece)? } else { limited.read_to_end(&mut piece)? };
            let is_full = piece.len() >= self.piece_bytes_max;
            if is_first && !is_text(&piece, is_full, self.is_lossy) {
                return Err(Trouble::NoText);
            }
            if is_first {
                self.files += 1;
                is_first = false;
            }
            if read == 0 && piece.is_empty() {
                return Ok(());
            }
            let end = if is_full { cut(&piece, by_line) } else { piece.len() };
            let rest = piece.split_off(end);
            self.hand(path, &piece, offset, look)?;
            offset += end as u64;
            self.bytes += end as u64;
            piece = rest;
        }
    }

    fn hand(&self, path: &Path, bytes: &[u8], offset: u64, look: &mut impl Look) -> Result<(), Trouble> {
        let lossy;
        let (text, broken) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(_) if self.is_lossy => {
                lossy = String::from_utf8_lossy(bytes);
                (&*lossy, None)
            }
            Err(error) => (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(), Some(error.valid_up_to())),
        };
        let piece = Piece { source: path, number: self.files, text, offset, cell: None };
        look.piece(&piece).map_err(Trouble::Output)?;
        match broken {
            None => Ok(()),
            Some(at) => {
                let at = offset + at as u64;
                Err(Trouble::Input(format!("is no UTF-8 at byte {at}; what stands before it was looked through")))
            }
        }
    }

    /// A file of an audit: what callers wrote, and what was found.
    fn parquet(&mut self, path: &Path, look: &mut impl Look) -> Result<(), Trouble> {
        let columns: Vec<&str> = WRITTEN.iter().chain(&TOLD).copied().collect();
        self.files += 1;
        let (number, mut row, mut bytes, mut failed) = (self.files, 0u64, 0u64, None);
        let known = read_rows(path, &columns, |cells| {
            let (written, told) = cells.split_at(WRITTEN.len());
            for (cell, column) in written.iter().zip(WRITTEN) {
                let text = cell.text();
                if !text.is_empty() && failed.is_none() {
                    bytes += text.len() as u64;
                    let piece = Piece { source: path, number, text, offset: 0, cell: Some((row, column)) };
                    failed = look.piece(&piece).err();
                }
            }
            if let [Cell::Text(kind), detector, pointer, Cell::Number(confidence), hash] = told {
                let (detector, pointer, confidence) = (detector.text(), pointer.text(), *confidence);
                let is_cut = pointer.len() >= POINTER_BYTES_KEPT;
                look.told(&Told { number, kind, detector, pointer, is_cut, confidence, hash: hash.text() });
            }
            row += 1;
        })
        .map_err(|error| Trouble::Input(format!("cannot be read as Parquet: {error}")))?;
        if let Some(error) = failed {
            return Err(Trouble::Output(error));
        }
        if known == 0 {
            return Err(Trouble::Input("has no column of an audit".to_owned()));
        }
        self.bytes += bytes;
        Ok(())
    }
}

/// Whether a file's name says that each of its lines stands alone.
fn is_of_lines(path: &Path) -> bool {
    path.extension().is_some_and(|is| is == "jsonl" || is == "ndjson")
}

/// Whether a file's name says that it is one of an audit.
pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|is| is == "parquet")
}

/// The entries of a directory, sorted by name.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    // A file of the audit under a hidden name was never finished.
    paths.retain(|path| !(path.extension().is_some_and(|is| is == "tmp") && is_hidden(path)));
    paths.sort();
    Ok(paths)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether an input begins like text: without a zero byte and, unless other bytes are read all the same, in UTF-8 up to where a
/// character may be cut, by the sample or by the end of a piece that is full.
fn is_text(piece: &[u8], is_full: bool, is_lossy: bool) -> bool {
    let sample = &piece[..piece.len().min(SAMPLE_BYTES)];
    let is_cut = |error: std::str::Utf8Error| error.error_len().is_none() && (is_full || sample.len() < piece.len());
    !sample.contains(&0) && (is_lossy || std::str::from_utf8(sample).err().is_none_or(is_cut))
}

/// Where a full piece ends: behind its last line, or at least between two characters. Never at its start.
fn cut(piece: &[u8], by_line: bool) -> usize {
    if let Some(line) = memchr::memrchr(b'\n', piece).filter(|_| !by_line) {
        return line + 1;
    }
    let back = piece.iter().rev().take(3).take_while(|&&b| b & 0xc0 == 0x80).count();
    let begins = piece.len().checked_sub(back + 1).filter(|&at| at > 0 && piece[at] >= 0xc0);
    begins.unwrap_or(piece.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Pieces as they came: input, offset, text.
    #[derive(Default)]
    struct Seen(Vec<(PathBuf, u64, String)>);

    impl Look for Seen {
        fn piece(&mut self, piece: &Piece<'_>) -> io::Result<()> {
            self.0.push((piece.source.to_owned(), piece.offset, piece.text.to_owned()));
            Ok(())
        }
    }

    fn look(inputs: &mut Inputs, paths: &[PathBuf]) -> Seen {
        let mut seen = Seen::default();
        inputs.look_through(paths, &mut seen).unwrap();
        seen
    }

    #[test]
    fn a_long_input_comes_in_pieces_that_make_it_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text = format!("one\ntwo three\n{}\nüüü\nlast", "é".repeat(40));
        fs::write(&path, &text).unwrap();
        for most in [4, 5, 7, 16, 31, 1000] {
            let mut inputs = Inputs::new(most, false);
            let pieces = look(&mut inputs, std::slice::from_ref(&path)).0;
            assert_eq!(pieces.iter().map(|(.., text)| text.as_str()).collect::<String>(), text, "{most}");
            let mut offset = 0;
            for (_, at, piece) in &pieces {
                assert!(*at == offset && piece.len() <= most && !piece.is_empty(), "{most}: {piece:?} at {at}");
                offset += piece.len() as u64;
            }
            assert_eq!((inputs.files, inputs.bytes, inputs.problems.len()), (1, text.len() as u64, 0));
        }
        let pieces = look(&mut Inputs::new(16, false), &[path]).0;
        assert_eq!(pieces[0].2, "one\ntwo three\n", "a piece ends behind a line");
    }

    /// What passed through, and how often something did.
    #[derive(Default)]
    struct Passed(Vec<u8>, usize, bool);

    impl Pass for Passed {
        fn chunk(&mut self, bytes: &[u8], _: bool) -> io::Result<()> {
            assert!(std::str::from_utf8(bytes).is_ok() && !self.2);
            self.0.extend_from_slice(bytes);
            self.1 += 1;
            Ok(())
        }

        fn end(&mut self) -> io::Result<()> {
            self.2 = true;
            Ok(())
        }
    }

    /// Gives out a text a few bytes at a time.
    struct Slowly<'t>(std::slice::Chunks<'t, u8>);

    impl Read for Slowly<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.next().unwrap_or_default();
            to[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn characters_pass_through_whole() {
        let pass = |text: &[u8], size: usize| {
            let (mut inputs, mut passed) = (Inputs::new(1, false), Passed::default());
            let read = inputs.chunks(&mut Slowly(text.chunks(size)), false, &mut passed);
            inputs.account(Path::new("x"), read, true).unwrap();
            (passed, inputs.problems)
        };
        let text = "aé中😀\n".repeat(50);
        for size in [1, 2, 3, 5, 7, 1000] {
            let (passed, problems) = pass(text.as_bytes(), size);
            assert_eq!((String::from_utf8(passed.0).unwrap(), passed.2, problems.len()), (text.clone(), true, 0), "{size}");
            assert!(passed.1 >= text.len() / size);
            let (passed, problems) = pass(b"caf\xc3\xa9 \xff more", size.clamp(4, 6));
            assert_eq!((passed.0.as_slice(), passed.2), ("caf\u{e9} ".as_bytes(), true), "{size}");
            assert_eq!(problems, ["x: is no UTF-8 at byte 6; what stands before it was looked through"]);
            let (passed, problems) = pass(b"ab\xc3", size);
            assert!(passed.0 == b"ab" && problems[0].contains("at byte 2"), "{problems:?}");
        }
        assert_eq!(pass(b"a\0b", 9).1, ["x: is no text in UTF-8"]);
        let (passed, problems) = pass(b"", 1);
        assert!(passed.0.is_empty() && passed.2 && problems.is_empty());
    }

    #[test]
    fn lines_of_jsonl_are_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calls.jsonl");
        fs::write(&path, "{\"a\":1}\n\n{\"b\":2}").unwrap();
        let pieces: Vec<_> = look(&mut Inputs::new(100, true), &[path]).0.into_iter().map(|(_, at, text)| (at, text)).collect();
        assert_eq!(pieces, [(0, "{\"a\":1}\n".to_owned()), (8, "\n".to_owned()), (9, "{\"b\":2}".to_owned())]);
    }

    #[test]
    fn directories_are_gone_through_and_bad_inputs_stop_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("sub/deep")).unwrap();
        fs::write(at("a.txt"), "a").unwrap();
        fs::write(at("sub/deep/b.txt"), "b").unwrap();
        fs::write(at("sub/c.bin"), b"c\0d").unwrap();
        fs::write(at("sub/latin"), b"caf\xe9").unwrap();
        fs::write(at("sub/d.parquet"), "no Parquet").unwrap();
        fs::write(at("empty"), "").unwrap();
        std::os::unix::fs::symlink(dir.path(), at("sub/loop")).unwrap();
        let mut inputs = Inputs::new(100, false);
        let seen = look(&mut inputs, &[at("none"), dir.path().to_owned(), at("sub/c.bin")]);
        assert_eq!(seen.0.iter().map(|(.., text)| text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((inputs.files, inputs.skipped), (4, 2), "{:?}", inputs.problems);
        let said = |text: &str| inputs.problems.iter().any(|problem| problem.contains(text));
        assert!(said("none: no such file") && said("d.parquet: cannot be read as Parquet") && said("c.bin: is no text in UTF-8"));
        assert_eq!(inputs.problems.len(), 3);
        let lossy = look(&mut Inputs::new(100, true), &[at("sub/latin")]);
        assert_eq!(lossy.0[0].2, "caf\u{fffd}");
        fs::write(at("late"), [vec![b'x'; SAMPLE_BYTES + 5], b"\xff y".to_vec()].concat()).unwrap();
        let mut inputs = Inputs::new(1 << 20, false);
        assert_eq!(look(&mut inputs, &[at("late")]).0[0].2.len(), SAMPLE_BYTES + 5);
        assert!(inputs.problems[0].ends_with("late: is no UTF-8 at byte 8197; what stands before it was looked through"));
    }
}
