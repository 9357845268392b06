//! A file of zeros, mapped, into which one worker writes frames.
//!
//! Invariant: the file's blocks are on the disk before it is mapped, so a store can never meet a full disk; what was stored is
//! in the page cache and outlives the process.
#![allow(unsafe_code)] // mapping a file: see `create`

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use memmap2::MmapMut;

use crate::frame::{self, Kind};

/// Bytes before the first frame: magic, version, core, number, boot.
pub(crate) const HEADER_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"SLGSPOOL";
const VERSION: u16 = 1;

/// The owner writes, the group may read, others may not: masked parameters are still somebody's business.
pub(crate) const FILE_MODE: u32 = 0o640;
/// The same for directories.
pub(crate) const DIR_MODE: u32 = 0o750;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) core: u16,
    pub(crate) number: u64,
    pub(crate) boot: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0u8; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.core.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.boot.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` for anything that is not one of this version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let is_ours = bytes[..8] == *MAGIC && bytes[8..10] == VERSION.to_le_bytes();
        let is_whole = crc32c::crc32c(&bytes[..28]).to_le_bytes() == bytes[28..];
        (is_ours && is_whole).then_some(Header {
            core: u16::from_le_bytes(*bytes[10..].first_chunk()?),
            number: u64::from_le_bytes(*bytes[12..].first_chunk()?),
            boot: u64::from_le_bytes(*bytes[20..].first_chunk()?),
        })
    }
}

/// A mapped segment.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    map: MmapMut,
    at: usize,
}

/// The name of a segment's file.
pub(crate) fn file_name(header: &Header) -> String {
    format!("{:016x}-{:03}-{:08}.seg", header.boot, header.core, header.number)
}

impl Segment {
    /// Makes a segment of `bytes` bytes in `dir`.
    ///
    /// # Errors
    /// The system's: no room on the disk, no right to write.
    pub(crate) fn create(dir: &Path, header: Header, bytes: usize) -> io::Result<Segment> {
        let path = dir.join(file_name(&header));
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(&path)?;
        let written = fill(&mut file, &header, bytes);
        if let Err(error) = written {
            drop(file);
            // What could not be made whole is of no use; an error here leaves a file of zeros that recovery removes.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        // SAFETY: the file was just made by us under a name that nobody else uses (the directory is locked), it keeps its length,
        // and only this process maps it for writing; the sink reads it through its own descriptor.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Segment { path, header, map, at: HEADER_BYTES })
    }

    /// Bytes still free.
    pub(crate) fn room(&self) -> usize {
        self.map.len() - self.at
    }

    /// Appends a frame. `false`: there is no room.
    pub(crate) fn append(&mut self, kind: Kind, seq: u64, payload: &[u8]) -> bool {
        let number = self.header.number;
        match self.map.get_mut(self.at..).and_then(|room| frame::write(room, number, kind, seq, payload)) {
            Some(length) => {
                self.at += length;
                true
            }
            None => false,
        }
    }
}

/// Zeros that are really written: a hole would be filled later, when there may be no room.
fn fill(file: &mut File, header: &Header, bytes: usize) -> io::Result<()> {
    let zeros = vec![0u8; 1 << 20];
    file.write_all(&header.encode())?;
    let mut left = bytes.saturating_sub(HEADER_BYTES);
    while left > 0 {
        let count = left.min(zeros.len());
        file.write_all(&zeros[..count])?;
        left -= count;
    }
    file.sync_all()
}
