//! Accepts connections on one listening socket.
//!
//! Invariant: one task owns the listener and awaits `accept` to its end; it is stopped by shutting the socket down, because a
//! dropped accept could leave a connection open that nobody serves.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use monoio::net::TcpListener;

use super::socket::Fd;
use super::stream::Stream;

/// A listening socket on this thread's loop.
pub struct Listener(TcpListener);

impl Listener {
    /// Takes over a socket from [`super::listening_sockets`].
    ///
    /// # Errors
    /// The system's, when the loop cannot register it.
    pub fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(socket).map(Listener)
    }

    /// The socket's descriptor, for the shutdown that ends `accept`.
    pub fn fd(&self) -> Fd {
        self.0.as_raw_fd()
    }

    /// The next connection, with TCP_NODELAY set, and the peer's address.
    ///
    /// # Errors
    /// The system's: `EMFILE` and its kin pass by, `EINVAL` says that the socket was shut down.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((Stream::plain(stream)?, peer))
    }
}
