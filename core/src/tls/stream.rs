//! A TLS session over a stream: plaintext in and out, records in between.
//!
//! Invariant: an end without `close_notify` is an error, so a truncated reply cannot pass for a whole one.

use std::io::{self, Read, Write};

use rustls::ClientConnection;

use super::ClientTls;
use crate::rt::RawStream;

/// Bytes read from the network at once: a full record with its framing.
const RECORD_BYTES: usize = 18 * 1024;

/// A session with an upstream.
pub struct TlsStream {
    raw: RawStream,
    session: ClientConnection,
    /// Ciphertext that has arrived and was not taken by the session.
    arrived: Vec<u8>,
}

impl TlsStream {
    /// Makes the handshake on a connected stream.
    ///
    /// # Errors
    /// The upstream is not who it must be, or the connection ended.
    pub async fn connect(raw: RawStream, tls: &ClientTls) -> io::Result<Self> {
        let session = tls.session().map_err(io::Error::other)?;
        let mut stream = TlsStream { raw, session, arrived: Vec::with_capacity(RECORD_BYTES) };
        while stream.session.is_handshaking() {
            stream.flush().await?;
            if stream.session.is_handshaking() && stream.receive().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        stream.flush().await?;
        Ok(stream)
    }

    /// The connection under the session.
    pub fn raw(&self) -> &RawStream {
        &self.raw
    }

    /// As [`crate::rt::Stream::read`].
    pub async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        loop {
            let from = buffer.len();
            let room = buffer.capacity() - from;
            buffer.resize(from + room, 0);
            let got = self.session.reader().read(&mut buffer[from..]);
            buffer.truncate(from + got.as_ref().copied().unwrap_or(0));
            match got {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                got => return (got, buffer),
            }
            let received = match self.flush().await {
                Ok(()) => self.receive().await,
                Err(error) => Err(error),
            };
            if let Err(error) = received {
                return (Err(error), buffer);
            }
        }
    }

    /// As [`crate::rt::Stream::write`].
    pub async fn write(&mut self, buffer: Vec<u8>, from: usize, to: usize) -> (io::Result<()>, Vec<u8>) {
        let mut at = from;
        while at < to {
            match self.session.writer().write(&buffer[at..to]) {
                Ok(taken) => at += taken,
                Err(error) => return (Err(error), buffer),
            }
            if let Err(error) = self.flush().await {
                return (Err(error), buffer);
            }
        }
        (Ok(()), buffer)
    }

    /// Sends all records that are ready, in one write.
    async fn flush(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut out)?;
        }
        let to = out.len();
        if to == 0 { Ok(()) } else { self.raw.write(out, 0, to).await.0 }
    }

    /// Reads ciphertext once and hands it to the session.
    async fn receive(&mut self) -> io::Result<usize> {
        let mut arrived = std::mem::take(&mut self.arrived);
        arrived.reserve(RECORD_BYTES);
        let (got, arrived) = self.raw.read(arrived).await;
        self.arrived = arrived;
        let got = got?;
        let mut left = self.arrived.as_slice();
        if got == 0 {
            // Tells the session of the end, so that its reader reports whether it came properly.
            self.session.read_tls(&mut io::empty())?;
        }
        while !left.is_empty() {
            if self.session.read_tls(&mut left)? == 0 {
                break;
            }
            self.session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let taken = self.arrived.len() - left.len();
        self.arrived.drain(..taken);
        Ok(got)
    }
}
