//! A TLS session over a stream: plaintext in and out, records in between.
//!
//! Invariant: where a message may end with its connection, as a reply does, an end without `close_notify` is an error, so a cut one
//! cannot pass for a whole one; a request says itself where it ends.

use std::io::{self, Read, Write};

use rustls::{Connection, ServerConnection};
use sluicegate_identity::Certificate;

use super::{ClientTls, ServerTls};
use crate::rt::RawStream;

/// Bytes read from the network at once: a full record with its framing.
const RECORD_BYTES: usize = 18 * 1024;
/// Bytes read at once from a client unless the read before has filled its buffer, so that an idle connection holds little.
const CLIENT_BYTES: usize = 4 * 1024;

/// A session with one peer.
pub struct TlsStream {
    raw: RawStream,
    session: Connection,
    /// Ciphertext that has arrived and was not taken by the session.
    arrived: Vec<u8>,
    /// How much is read from the network at once.
    room: usize,
    /// Ciphertext on its way out; kept while there is more to send, so that a record costs no allocation.
    leaving: Vec<u8>,
}

impl TlsStream {
    /// Makes the handshake on a connected stream.
    ///
    /// # Errors
    /// The upstream is not who it must be, or the connection ended.
    pub async fn connect(raw: RawStream, tls: &ClientTls) -> io::Result<Self> {
        let session = Connection::Client(tls.session().map_err(io::Error::other)?);
        let mut stream = TlsStream { raw, session, arrived: Vec::new(), room: RECORD_BYTES, leaving: Vec::new() };
        stream.shake_hands().await?;
        Ok(stream)
    }

    /// Makes the handshake on an accepted stream.
    ///
    /// # Errors
    /// What came is not TLS, or not TLS that is spoken here, or the client's certificate is not taken, or the connection ended. The
    /// client was told by an alert, where it can be told.
    pub async fn accept(raw: RawStream, tls: &ServerTls) -> io::Result<Self> {
        let session = Connection::Server(ServerConnection::new(tls.config()).map_err(io::Error::other)?);
        let mut stream = TlsStream { raw, session, arrived: Vec::new(), room: CLIENT_BYTES, leaving: Vec::new() };
        if let Err(error) = stream.shake_hands().await {
            // The alert that says why.
            let _ = stream.flush().await;
            stream.raw.finish_writing();
            return Err(error);
        }
        Ok(stream)
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.flush().await?;
            if self.session.is_handshaking() && self.receive().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.flush().await
    }

    /// The certificate that the peer has shown in the handshake, or in the one that this session resumes.
    pub fn certificate(&self) -> Option<Certificate> {
        Certificate::read(self.session.peer_certificates()?.to_vec())
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
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.is_server() => return (Ok(0), buffer),
                got => return (got, buffer),
            }
            let received = match self.flush().await {
                Ok(()) => self.receive().await,
                Err(error) => Err(error),
            };
            if let Err(error) = received {
                // The alert that says why, where it is the peer's fault.
                let _ = self.flush().await;
                return (Err(error), buffer);
            }
        }
    }

    fn is_server(&self) -> bool {
        matches!(self.session, Connection::Server(_))
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

    /// Tells the peer that nothing more will be sent.
    pub async fn finish_writing(&mut self) {
        self.session.send_close_notify();
        // A peer that has gone needs no word.
        let _ = self.flush().await;
        self.raw.finish_writing();
    }

    /// Sends all records that are ready, in one write.
    async fn flush(&mut self) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.leaving);
        while self.session.wants_write() {
            self.session.write_tls(&mut out)?;
        }
        let to = out.len();
        if to == 0 {
            self.leaving = out;
            return Ok(());
        }
        let (sent, mut out) = self.raw.write(out, 0, to).await;
        out.clear();
        self.leaving = out;
        sent
    }

    /// Hands ciphertext to the session; reads once from the network where there is none. 0 is the connection's end.
    async fn receive(&mut self) -> io::Result<usize> {
        if self.arrived.is_empty() {
            let mut arrived = std::mem::take(&mut self.arrived);
            if self.is_server() {
                // This wait may be a long one, and there may be many of them.
                arrived.shrink_to(self.room);
                self.leaving.shrink_to(CLIENT_BYTES);
            }
            arrived.reserve(self.room);
            let (got, arrived) = self.raw.read(arrived).await;
            self.arrived = arrived;
            if self.is_server() {
                self.room = if *got.as_ref().unwrap_or(&0) >= self.room { RECORD_BYTES } else { CLIENT_BYTES };
            }
            got?;
            if self.arrived.is_empty() {
                // Tells the session of the end, so that its reader reports whether it came properly.
                self.session.read_tls(&mut io::empty())?;
                return Ok(0);
            }
        }
        let mut left = self.arrived.as_slice();
        // The session holds a bounded amount of plaintext: once there is some, it is read before more is handed over.
        while !left.is_empty() && self.session.wants_read() {
            if self.session.read_tls(&mut left)? == 0 {
                break;
            }
            self.session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let taken = self.arrived.len() - left.len();
        if taken == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.arrived.drain(..taken);
        Ok(taken)
    }
}
