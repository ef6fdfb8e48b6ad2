//! The sockets that the hub listens at: TCP and Unix, made here or given by a service manager.

mod given;
mod unix;

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use watertight::Listener;

pub use self::given::{GivenError, GivenSockets};
use self::unix::UnixFile;
use crate::config::{Config, ListenAddress};

/// Connections the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Opened {
    listener: Listener,
    address: ListenAddress,
    /// Removes the file of a socket that was made here.
    file: Option<UnixFile>,
}

/// Where each listens.
pub(crate) fn addresses(opened: &[Opened]) -> Vec<ListenAddress> {
    opened.iter().map(|opened| opened.address.clone()).collect()
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another address with {flag}")]
pub struct ListenError {
    address: ListenAddress,
    /// What sets it.
    flag: &'static str,
    source: io::Error,
}

impl Opened {
    /// Begins to listen at each of the addresses, which `flag` sets.
    pub(crate) fn all(
        addresses: &[ListenAddress],
        config: &Config,
        flag: &'static str,
    ) -> Result<Vec<Opened>, ListenError> {
        let open = |address: &ListenAddress| match address {
            ListenAddress::Tcp(address) => tcp(*address),
            ListenAddress::Unix(path) => {
                let (socket, file) = unix::bind(path, config.listen_unix_mode, BACKLOG)?;
                let listener = Listener::Unix(UnixListener::from_std(socket.into())?);
                Ok(Opened { listener, address: address.clone(), file: Some(file) })
            }
        };
        let named = |address: &ListenAddress| {
            open(address).map_err(|source| ListenError { address: address.clone(), flag, source })
        };
        addresses.iter().map(named).collect()
    }

    /// Where it listens: the port that was free, if it was to take one.
    pub(crate) fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// What is served, and what is to be kept meanwhile.
    pub(crate) fn into_parts(self) -> (Listener, Option<UnixFile>) {
        (self.listener, self.file)
    }
}

fn tcp(address: SocketAddr) -> io::Result<Opened> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = ListenAddress::Tcp(listener.local_addr()?);
    Ok(Opened { listener: Listener::Tcp(listener), address, file: None })
}
