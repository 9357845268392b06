//! A byte stream to one peer: reads append to a buffer, writes send a range of one, and both give the buffer back.
//!
//! Invariant: a buffer that the kernel works on is owned by the operation, so nothing can touch it meanwhile.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, Splitable};
use monoio::net::TcpStream;

use super::join::join;
use super::socket::{finish_writing, Fd};

/// A connected TCP socket on this thread's loop.
pub struct Stream(TcpStream);

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Stream(stream))
    }

    /// Connects to `address` with TCP_NODELAY set.
    ///
    /// # Errors
    /// The system's: refused, unreachable, out of descriptors.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Stream::plain(TcpStream::connect_addr(address).await?)
    }

    /// The socket's descriptor, for [`super::peek`] and [`super::shut_down`].
    pub fn fd(&self) -> Fd {
        self.0.as_raw_fd()
    }

    /// Appends what arrives to `buffer`, at most its spare capacity, of which there must be some. 0 is the peer's end.
    ///
    /// # Errors
    /// The system's; the buffer comes back in any case, with what it held before.
    pub async fn read(&mut self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        read_into(&mut self.0, buffer).await
    }

    /// Sends `buffer[from..to]` whole.
    ///
    /// # Errors
    /// The system's; a part may have been sent then.
    pub async fn write(&mut self, buffer: Vec<u8>, from: usize, to: usize) -> (io::Result<()>, Vec<u8>) {
        write_range(&mut self.0, buffer, from, to).await
    }

    /// Tells the peer that nothing more will be sent; reading goes on.
    pub fn finish_writing(&mut self) {
        finish_writing(self.fd());
    }

    /// Sends all of `out` and at the same time makes one read into `into`, so that a peer that answers before it has read
    /// everything cannot block both sides.
    pub async fn exchange(self, out: Vec<u8>, into: Vec<u8>) -> io::Result<Exchanged> {
        let to = out.len();
        let (mut reading, mut writing) = self.0.into_split();
        let ((read, into), (sent, _)) =
            join(read_into(&mut reading, into), write_range(&mut writing, out, 0, to)).await;
        let stream = reading.reunite(writing).map_err(|_| io::Error::from(io::ErrorKind::Other))?;
        Ok(Exchanged { stream: Stream(stream), read, sent, into })
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
