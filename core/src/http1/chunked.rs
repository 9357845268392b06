//! Takes the chunks out of a body (RFC 9112 section 7.1), whatever pieces it arrives in.
//!
//! Invariant: the bytes that come out do not depend on how the input was cut; extensions and trailers are bounded and dropped.

use super::refuse::Refusal;

/// Bounds of what is dropped; the values come from `Limits`.
#[derive(Clone, Copy, Debug)]
pub struct ChunkBounds {
    /// Bytes of one chunk's extension.
    pub extension_bytes_max: usize,
    /// Bytes of the trailer section.
    pub trailer_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8 },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// The state between two pieces of one chunked body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    left: u64,
    dropped: usize,
    bounds: ChunkBounds,
}

impl Decoder {
    /// Stands before the first chunk.
    pub fn new(bounds: ChunkBounds) -> Self {
        Decoder { state: State::Size { digits: 0 }, left: 0, dropped: 0, bounds }
    }

    /// Whether the last chunk and the trailer section have been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads `piece[from..]` and moves the chunks' data to `piece[to..]`, in place (`to <= from`). Returns how far the input
    /// was read and where the data now ends; less than all is read only when the body is done.
    ///
    /// # Errors
    /// Anything but the grammar of RFC 9112 section 7.1, exactly; sizes over 2^40.
    pub fn decode(&mut self, piece: &mut [u8], from: usize, to: usize) -> Result<(usize, usize), Refusal> {
        let (mut read, mut write) = (from, to);
        while read < piece.len() && self.state != State::Done {
            if self.state == State::Data {
                let room = piece.len() - read;
                let take = usize::try_from(self.left).map_or(room, |left| left.min(room));
                piece.copy_within(read..read + take, write);
                read += take;
                write += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let byte = piece[read];
            read += 1;
            self.state = self.step(byte)?;
        }
        Ok((read, write))
    }

    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).ok_or(Refusal::ChunkSize)?;
                self.left = self.left * 16 + u64::from(digit);
                if digits >= 16 || self.left > 1 << 40 {
                    return Err(Refusal::ChunkSize);
                }
                Ok(State::Size { digits: digits + 1 })
            }
            (State::Size { digits: 1.. }, b'\r') => Ok(State::SizeLf),
            (State::Size { digits: 1.. }, b';') => {
                self.dropped = 0;
                Ok(State::Extension)
            }
            (State::Size { .. }, _) => Err(Refusal::ChunkSize),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, b'\n' | 0) => Err(Refusal::ChunkFraming),
            (State::Extension, _) => self.drop_one(self.bounds.extension_bytes_max, State::Extension, Refusal::ChunkExtension),
            (State::SizeLf, b'\n') if self.left > 0 => Ok(State::Data),
            (State::SizeLf, b'\n') => {
                self.dropped = 0;
                Ok(State::TrailerStart)
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0 }),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::Trailer, b'\n' | 0) => Err(Refusal::ChunkFraming),
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::TrailerStart | State::Trailer, _) => {
                self.drop_one(self.bounds.trailer_bytes_max, State::Trailer, Refusal::TrailerTooLong)
            }
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(Refusal::ChunkFraming),
        }
    }

    fn drop_one(&mut self, most: usize, next: State, past: Refusal) -> Result<State, Refusal> {
        self.dropped += 1;
        if self.dropped > most { Err(past) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BOUNDS: ChunkBounds = ChunkBounds { extension_bytes_max: 8, trailer_bytes_max: 16 };

    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Refusal> {
        let mut decoder = Decoder::new(BOUNDS);
        let mut out = Vec::new();
        for piece in pieces {
            let mut piece = piece.to_vec();
            let (_, end) = decoder.decode(&mut piece, 0, 0)?;
            out.extend_from_slice(&piece[..end]);
        }
        Ok((out, decoder.is_done()))
    }

    #[test]
    fn every_cut_gives_the_same_bytes() {
        let text = b"5;a=b\r\nhello\r\n1\r\n \r\n0005\r\nworld\r\n0\r\nX: y\r\n\r\n";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let got = decode(&[&text[..first], &text[first..second], &text[second..]]).unwrap();
                assert_eq!(got, (b"hello world".to_vec(), true), "cuts at {first}, {second}");
            }
        }
    }

    #[test]
    fn what_follows_the_body_is_left_alone() {
        let mut piece = b"1\r\na\r\n0\r\n\r\nPOST".to_vec();
        let mut decoder = Decoder::new(BOUNDS);
        let (read, end) = decoder.decode(&mut piece, 0, 0).unwrap();
        assert_eq!((&piece[..end], &piece[read..]), (&b"a"[..], &b"POST"[..]));
    }

    #[test]
    fn odd_chunks_are_refused() {
        for (text, why) in [
            (&b"\r\n"[..], Refusal::ChunkSize),
            (b"-1\r\n", Refusal::ChunkSize),
            (b"+1\r\n", Refusal::ChunkSize),
            (b"0x1\r\n", Refusal::ChunkSize),
            (b" 1\r\n", Refusal::ChunkSize),
            (b"1 \r\n", Refusal::ChunkSize),
            (b"1\n", Refusal::ChunkSize),
            (b"ffffffffff1\r\n", Refusal::ChunkSize),
            (b"00000000000000000\r\n", Refusal::ChunkSize),
            (b"1\r\nab", Refusal::ChunkFraming),
            (b"1\r\na\n", Refusal::ChunkFraming),
            (b"1;\n", Refusal::ChunkFraming),
            (b"1;123456789\r\n", Refusal::ChunkExtension),
            (b"0\r\n\n", Refusal::ChunkFraming),
            (b"0\r\nX: y\n", Refusal::ChunkFraming),
            (b"0\r\nXXXXXXXX: yyyyyyyyyy\r\n", Refusal::TrailerTooLong),
        ] {
            assert_eq!(decode(&[text]).unwrap_err(), why, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
