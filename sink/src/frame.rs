//! How records stand in a segment: length, checksum, kind, sequence, payload.
//!
//! Invariant: a frame is believed only whole; the checksum is seeded with the segment's number, so bytes that an earlier use of
//! the same disk blocks left behind never read as a frame of this segment.

/// Bytes before a payload: length u32, CRC32C u32, kind u8, sequence u64.
pub(crate) const HEAD_BYTES: usize = 17;
/// The longest payload that is believed.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Decision,
    Outcome,
}

/// One frame, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) payload: &'a [u8],
    /// Bytes of the whole frame.
    pub(crate) length: usize,
}

/// Writes a frame into `out`, which must have room for it, and returns its length.
pub(crate) fn write(out: &mut [u8], segment: u64, kind: Kind, seq: u64, payload: &[u8]) -> Option<usize> {
    let length = HEAD_BYTES + payload.len();
    let frame = out.get_mut(..length)?;
    frame[8] = code(kind);
    frame[9..17].copy_from_slice(&seq.to_le_bytes());
    frame[17..].copy_from_slice(payload);
    let crc = checksum(segment, &frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    // The length last: a frame without one is the end of the segment.
    frame[..4].copy_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
    Some(length)
}

/// Reads the frame at the start of `bytes`. `None`: there is none, or not all of it.
pub(crate) fn read(bytes: &[u8], segment: u64) -> Option<Frame<'_>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let body = rest.get(..length.checked_add(HEAD_BYTES - 8)?).filter(|_| length <= PAYLOAD_BYTES_MAX)?;
    if checksum(segment, body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let kind = match body[0] {
        1 => Kind::Decision,
        2 => Kind::Outcome,
        _ => return None,
    };
    let seq = u64::from_le_bytes(*body[1..].first_chunk::<8>()?);
    Some(Frame { kind, seq, payload: &body[9..], length: HEAD_BYTES + length })
}

fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Decision => 1,
        Kind::Outcome => 2,
    }
}

fn checksum(segment: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&segment.to_le_bytes()), body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_flipped_bit_and_no_cut_is_believed() {
        let mut bytes = [0u8; 64];
        let length = write(&mut bytes, 7, Kind::Outcome, 99, b"payload").unwrap();
        let frame = read(&bytes, 7).unwrap();
        assert_eq!((frame.kind, frame.seq, frame.payload, frame.length), (Kind::Outcome, 99, &b"payload"[..], length));
        assert!(read(&bytes, 8).is_none());
        for end in 0..length {
            assert!(read(&bytes[..end], 7).is_none(), "cut at {end}");
        }
        for bit in 0..length * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes, 7).is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn zeros_are_the_end() {
        assert!(read(&[0; 64], 0).is_none());
    }
}
