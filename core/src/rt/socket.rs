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

/// Opens listening sockets that share a port among them (SO_REUSEPORT) and with nobody else, backlog 1024 each.
///
/// # Errors
/// The system's, for example when anybody listens on the address already or a privileged port is asked for.
pub fn listening_sockets(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let open = |is_first: bool| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of an earlier process that have ended hold the port for a while otherwise.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_port(!is_first)?;
        socket.bind(&address.into())?;
        // The first is bound alone, so it finds whoever listens, another gateway too; what shares with it from now on is ours.
        socket.set_reuse_port(true)?;
        socket.listen(1024)?;
        Ok(socket.into())
    };
    (0..count).map(|index| open(index == 0)).collect()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn sockets_share_a_port_among_them_and_with_no_other_gateway() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let ours = listening_sockets(address, 3).unwrap();
        assert_eq!(listening_sockets(address, 3).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // Each connection is given to one of them, and by 64 of them each has got some.
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let taken = ours.iter().map(|socket| std::iter::from_fn(|| socket.accept().ok()).count()).collect::<Vec<_>>();
        assert_eq!(taken.iter().sum::<usize>(), clients.len(), "{taken:?}");
        assert!(taken.iter().all(|&count| count > 0), "{taken:?}");
        // One that has stopped listening lets another begin, though its connections have not ended.
        ours.iter().for_each(|socket| shut_down(std::os::fd::AsRawFd::as_raw_fd(socket)));
        drop(ours);
        assert_eq!(listening_sockets(address, 2).unwrap().len(), 2);
        drop(clients);
    }
}
