//! The socket of an adopted connection: TCP, or Unix. Eight bytes, since each delivery reads them.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// A socket that does not block.
#[derive(Debug)]
pub(crate) enum PeerSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl PeerSocket {
    /// How long the kernel waits for acknowledgements. A Unix peer needs none: what was written is with it.
    pub(super) fn set_kernel_patience(&self, patience: Duration) {
        if let PeerSocket::Tcp(socket) = self {
            // A kernel without the option still has the hub's deadlines.
            let _ = SockRef::from(socket).set_tcp_user_timeout(Some(patience));
        }
    }

    /// Makes closing throw unsent bytes away, in the kernel too. Between Unix sockets none are unsent.
    pub(super) fn set_hard_close(&self) {
        if let PeerSocket::Tcp(socket) = self {
            // The socket is closed right after; if the option cannot be set it closes gently instead.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsFd for PeerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            PeerSocket::Tcp(socket) => socket.as_fd(),
            PeerSocket::Unix(socket) => socket.as_fd(),
        }
    }
}

impl Read for &PeerSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            PeerSocket::Tcp(socket) => (&*socket).read(buffer),
            PeerSocket::Unix(socket) => (&*socket).read(buffer),
        }
    }
}

impl Write for &PeerSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            PeerSocket::Tcp(socket) => (&*socket).write(bytes),
            PeerSocket::Unix(socket) => (&*socket).write(bytes),
        }
    }

    fn write_vectored(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            PeerSocket::Tcp(socket) => (&*socket).write_vectored(runs),
            PeerSocket::Unix(socket) => (&*socket).write_vectored(runs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for PeerSocket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            PeerSocket::Tcp(socket) => socket.register(registry, token, interests),
            PeerSocket::Unix(socket) => socket.register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            PeerSocket::Tcp(socket) => socket.reregister(registry, token, interests),
            PeerSocket::Unix(socket) => socket.reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            PeerSocket::Tcp(socket) => socket.deregister(registry),
            PeerSocket::Unix(socket) => socket.deregister(registry),
        }
    }
}
