//! A byte stream to one peer, plain or TLS: reads append to a buffer, writes send a range of one, both give the buffer back.
//!
//! Invariant: a buffer that the kernel works on is owned by the operation, so nothing can touch it meanwhile.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, Splitable};
use monoio::net::TcpStream;

use sluicegate_identity::Certificate;

use super::join::join;
use super::socket::{Fd, finish_writing};
use crate::tls::{ServerTls, TlsStream, Transport};

/// A connected TCP socket on this thread's loop.
pub struct RawStream(TcpStream);

impl RawStream {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(RawStream(stream))
    }

    /// As [`Stream::read`].
    pub async fn read(&mut self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        read_into(&mut self.0, buffer).await
    }

    /// As [`Stream::write`].
    pub async fn write(&mut self, buffer: Vec<u8>, from: usize, to: usize) -> (io::Result<()>, Vec<u8>) {
        write_range(&mut self.0, buffer, from, to).await
    }

    /// Ends writing; reading goes on.
    pub fn finish_writing(&self) {
        finish_writing(self.0.as_raw_fd());
    }
}

/// A connection to one peer.
pub enum Stream {
    /// TCP.
    Plain(RawStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> io::Result<Self> {
        Ok(Stream::Plain(RawStream::new(stream)?))
    }

    /// Connects to `address` with TCP_NODELAY set, and makes the TLS handshake where the transport asks for it.
    ///
    /// # Errors
    /// The system's: refused, unreachable, out of descriptors; or the handshake's.
    pub async fn connect(address: SocketAddr, transport: &Transport) -> io::Result<Self> {
        let raw = RawStream::new(TcpStream::connect_addr(address).await?)?;
        match transport {
            Transport::Plain => Ok(Stream::Plain(raw)),
            Transport::Tls(tls) => Ok(Stream::Tls(Box::new(TlsStream::connect(raw, tls).await?))),
        }
    }

    /// The socket's descriptor, for [`super::peek`] and [`super::shut_down`].
    pub fn fd(&self) -> Fd {
        match self {
            Stream::Plain(raw) => raw.0.as_raw_fd(),
            Stream::Tls(tls) => tls.raw().0.as_raw_fd(),
        }
    }

    /// Appends what arrives to `buffer`, at most its spare capacity, of which there must be some. 0 is the peer's end.
    ///
    /// # Errors
    /// The system's; the buffer comes back in any case, with what it held before.
    pub async fn read(&mut self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        match self {
            Stream::Plain(raw) => raw.read(buffer).await,
            Stream::Tls(tls) => tls.read(buffer).await,
        }
    }

    /// Sends `buffer[from..to]` whole.
    ///
    /// # Errors
    /// The system's; a part may have been sent then.
    pub async fn write(&mut self, buffer: Vec<u8>, from: usize, to: usize) -> (io::Result<()>, Vec<u8>) {
        match self {
            Stream::Plain(raw) => raw.write(buffer, from, to).await,
            Stream::Tls(tls) => tls.write(buffer, from, to).await,
        }
    }

    /// Makes the handshake of a server on a plain stream; a TLS one stays as it is.
    ///
    /// # Errors
    /// As [`TlsStream::accept`].
    pub async fn accept(self, tls: &ServerTls) -> io::Result<Self> {
        match self {
            Stream::Plain(raw) => Ok(Stream::Tls(Box::new(TlsStream::accept(raw, tls).await?))),
            Stream::Tls(_) => Ok(self),
        }
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The certificate that the peer has shown.
    pub fn certificate(&self) -> Option<Certificate> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.certificate(),
        }
    }

    /// Tells the peer that nothing more will be sent; reading goes on.
    pub async fn finish_writing(&mut self) {
        match self {
            Stream::Plain(raw) => raw.finish_writing(),
            Stream::Tls(tls) => tls.finish_writing().await,
        }
    }

    /// Sends all of `out` and makes one read into `into`. On a plain connection both happen at once, so that a peer that answers
    /// before it has read everything cannot block both sides; a TLS session is used by one side at a time, under the deadline.
    ///
    /// # Errors
    /// The connection cannot be used any more.
    pub async fn exchange(self, out: Vec<u8>, into: Vec<u8>) -> io::Result<Exchanged> {
        let to = out.len();
        match self {
            Stream::Plain(RawStream(tcp)) => {
                let (mut reading, mut writing) = tcp.into_split();
                let ((read, into), (sent, out)) =
                    join(read_into(&mut reading, into), write_range(&mut writing, out, 0, to)).await;
                let tcp = reading.reunite(writing).map_err(|_| io::Error::from(io::ErrorKind::Other))?;
                Ok(Exchanged { stream: Stream::Plain(RawStream(tcp)), read, sent, into, out })
            }
            Stream::Tls(mut tls) => {
                let (sent, out) = tls.write(out, 0, to).await;
                let (read, into) = tls.read(into).await;
                Ok(Exchanged { stream: Stream::Tls(tls), read, sent, into, out })
            }
        }
    }
}

/// What [`Stream::exchange`] brings back.
pub struct Exchanged {
    /// The stream, whole again.
    pub stream: Stream,
    /// How the read ended: the bytes appended to `into`.
    pub read: io::Result<usize>,
    /// How the write ended.
    pub sent: io::Result<()>,
    /// The buffer read into.
    pub into: Vec<u8>,
    /// The buffer that was written.
    pub out: Vec<u8>,
}

async fn read_into(stream: &mut impl AsyncReadRent, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
    let (from, to) = (buffer.len(), buffer.capacity());
    debug_assert!(from < to, "a read needs spare capacity");
    let (result, slice) = stream.read(buffer.slice_mut(from..to)).await;
    (result, slice.into_inner())
}

async fn write_range(
    stream: &mut impl AsyncWriteRent,
    mut buffer: Vec<u8>,
    mut from: usize,
    to: usize,
) -> (io::Result<()>, Vec<u8>) {
    while from < to {
        let (result, slice) = stream.write(buffer.slice(from..to)).await;
        buffer = slice.into_inner();
        match result {
            Ok(0) => return (Err(io::Error::from(io::ErrorKind::WriteZero)), buffer),
            Ok(sent) => from += sent,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), buffer),
        }
    }
    (Ok(()), buffer)
}
