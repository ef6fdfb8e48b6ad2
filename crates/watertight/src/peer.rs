//! Stream sockets before they are a pump's: TCP, or Unix. What only TCP has is left out for Unix: there the kernel itself
//! says that a peer is gone, since both ends are its own.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::HubConfig;
use crate::guarded::{Transport, watch_peer};

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a Unix socket.
    Unix(UnixListener),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(PeerStream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((PeerStream::Tcp(stream), Peer::Address(address)))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((PeerStream::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        Listener::Unix(listener)
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Address(SocketAddr),
    /// A process of this machine, over a Unix socket: whoever its file lets in, mostly a proxy with many callers.
    Unix,
}

impl Peer {
    /// What limits for each address go by. `None`: it has no address. All Unix peers are one caller to what is shared
    /// fairly, and `max_connections_per_address` does not count them.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        self.address().map(|address| address.ip())
    }

    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Peer::Address(address) => Some(address),
            Peer::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) enum PeerStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl PeerStream {
    /// Sets what notices a dead peer, and bounds what the kernel holds for one that stalls.
    pub(crate) fn watch_peer(&self, config: &HubConfig) -> io::Result<()> {
        match (self, config.send_buffer_bytes) {
            (PeerStream::Tcp(stream), _) => watch_peer(stream, config),
            (PeerStream::Unix(stream), Some(bytes)) => SockRef::from(stream).set_send_buffer_size(bytes),
            (PeerStream::Unix(_), None) => Ok(()),
        }
    }

    /// Waits until there is something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            PeerStream::Tcp(stream) => stream.readable().await,
            PeerStream::Unix(stream) => stream.readable().await,
        }
    }
}

impl Transport for PeerStream {
    fn set_kernel_patience(&self, patience: Duration) {
        match self {
            PeerStream::Tcp(stream) => stream.set_kernel_patience(patience),
            PeerStream::Unix(_) => {}
        }
    }

    fn set_hard_close(&self) {
        match self {
            PeerStream::Tcp(stream) => stream.set_hard_close(),
            PeerStream::Unix(_) => {}
        }
    }
}

/// Calls the same method of either stream.
macro_rules! either {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            PeerStream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            PeerStream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for PeerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read(context, buffer))
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored(context, runs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(context))
    }
}
