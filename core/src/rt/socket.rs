//! Plain socket calls that do not wait: a listening socket, a look at what has arrived, the end of a connection.
#![allow(unsafe_code)] // recv(2), poll(2) and shutdown(2) on a descriptor that the runtime owns

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// A socket's descriptor as a plain number. Whoever holds one must let go of it before the socket is closed.
pub type Fd = i32;

/// What lies in a socket's receive queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peeked {
    /// Nothing yet; the connection stands.
    Nothing,
    /// At least one byte.
    Bytes,
    /// The peer has closed its side, or the connection is broken.
    Closed,
}

/// Opens a listening socket that shares its port with the other workers' (SO_REUSEPORT), backlog 1024.
///
/// # Errors
/// The system's, for example when the address is in use by another process or a privileged port is asked for.
pub fn listening_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Looks at a socket's receive queue without taking from it and without waiting.
pub fn peek(fd: Fd) -> Peeked {
    let mut byte = 0u8;
    // SAFETY: the buffer is one live byte and its length is given; a stale descriptor yields an error, not harm.
    let got = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    match got {
        0 => Peeked::Closed,
        1.. => Peeked::Bytes,
        _ => match io::Error::last_os_error().kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Peeked::Nothing,
            _ => Peeked::Closed,
        },
    }
}

/// Whether the peer has ended its side, or the connection is broken, also where bytes of it wait to be read.
pub fn has_hung_up(fd: Fd) -> bool {
    let mut asked = libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one live structure is lent for a call that does not wait; a stale descriptor yields an answer, not harm.
    let ready = unsafe { libc::poll(&raw mut asked, 1, 0) };
    ready > 0 && asked.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

/// Ends both directions of a connection; reads and writes in flight complete at once. The descriptor stays open.
pub fn shut_down(fd: Fd) {
    // SAFETY: shutdown(2) takes no memory; an error (already closed by the peer) means there is nothing left to end.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}

/// Ends reading from a connection; a read in flight completes as if the peer had closed, and writes still go out.
pub fn shut_down_reading(fd: Fd) {
    // SAFETY: as in `shut_down`.
    unsafe { libc::shutdown(fd, libc::SHUT_RD) };
}

/// Ends writing to a connection: the peer reads an end after what was sent.
pub(super) fn finish_writing(fd: Fd) {
    // SAFETY: as in `shut_down`.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}
