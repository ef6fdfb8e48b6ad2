//! Sockets that a service manager made and gives to the hub (`sd_listen_fds(3)`): they outlive it, so that nobody is
//! refused while it is started again.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};
use watertight::Listener;

use super::{Opened, addresses};
use crate::config::{Config, ListenAddress};

/// Sockets that may be given.
const GIVEN_MAX: usize = 16;

/// Why sockets that were given are not used.
#[derive(Debug, thiserror::Error)]
#[error("a socket that was given (LISTEN_FDS) cannot be used: {0}")]
pub struct GivenError(String);

impl GivenError {
    fn of(number: usize, wrong: impl std::fmt::Display) -> GivenError {
        GivenError(format!("number {}: {wrong}", number + 1))
    }
}

/// The sockets that were given, as the environment names them.
#[derive(Debug, Default)]
pub struct GivenSockets {
    sockets: Vec<(String, Standard)>,
}

#[derive(Debug)]
enum Standard {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// Those for everybody, and those for operators.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) public: Vec<Opened>,
    pub(crate) admin: Vec<Opened>,
}

impl GivenSockets {
    /// Takes what `LISTEN_FDS` says, if it is meant for this process (`LISTEN_PID`). To be called once, before there are
    /// other threads.
    ///
    /// # Errors
    /// When there are too many, or one is no socket that listens.
    pub fn take() -> Result<GivenSockets, GivenError> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let names = variable("LISTEN_FDNAMES");
        let count = variable("LISTEN_FDS").parse::<usize>().unwrap_or_default();
        if count > GIVEN_MAX {
            return Err(GivenError(format!("there are {count}, and there may be {GIVEN_MAX}")));
        }
        let mut given = ListenFd::from_env();
        let mut names = names.split(':');
        let mut sockets = Vec::new();
        for number in 0..given.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let socket = take_one(&mut given, number).map_err(|error| GivenError::of(number, error))?;
            sockets.push((name, socket));
        }
        Ok(GivenSockets { sockets })
    }

    /// Sorts them by their names: `admin`, or for everybody. From then on the configuration says where they listen.
    pub(crate) fn sort(self, config: &mut Config) -> Result<Sorted, GivenError> {
        let mut sorted = Sorted::default();
        let is_open = !config.insecure_open && !config.needs_tokens();
        for (number, (name, socket)) in self.sockets.into_iter().enumerate() {
            let opened = socket.open().map_err(|error| GivenError::of(number, error))?;
            let address = opened.address();
            if is_open && !address.is_local() {
                let wrong = format!(
                    "{address} is no loopback address, and the hub needs no tokens; see insecure_open"
                );
                return Err(GivenError::of(number, wrong));
            }
            match (name.as_str(), config.tls_cert.is_some()) {
                ("http", true) => {
                    return Err(GivenError::of(number, "named http, but tls_cert is set: https"));
                }
                ("https", false) => {
                    return Err(GivenError::of(number, "named https, but there is no tls_cert"));
                }
                ("admin", _) => sorted.admin.push(opened),
                _ => sorted.public.push(opened),
            }
        }
        if !sorted.public.is_empty() {
            config.listen = Cow::Owned(addresses(&sorted.public));
        }
        if let Some(first) = sorted.admin.first() {
            config.admin_listen = Some(first.address().clone());
        }
        Ok(sorted)
    }
}

fn take_one(given: &mut ListenFd, number: usize) -> io::Result<Standard> {
    let taken = match given.take_unix_listener(number) {
        Ok(taken) => taken.map(Standard::Unix),
        // Of another kind: this says which it is not.
        Err(_) => given.take_tcp_listener(number)?.map(Standard::Tcp),
    };
    taken.ok_or_else(|| io::Error::other("it is gone"))
}

impl Standard {
    fn open(self) -> io::Result<Opened> {
        let (listener, address) = match self {
            Standard::Tcp(socket) => {
                prepare(&socket)?;
                let address = ListenAddress::Tcp(socket.local_addr()?);
                (Listener::Tcp(TcpListener::from_std(socket)?), address)
            }
            Standard::Unix(socket) => {
                prepare(&socket)?;
                let path = socket.local_addr()?.as_pathname().map(ToOwned::to_owned);
                let address = ListenAddress::Unix(path.unwrap_or_default());
                (Listener::Unix(UnixListener::from_std(socket)?), address)
            }
        };
        Ok(Opened { listener, address, file: None })
    }
}

fn prepare(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if !socket.is_listener()? {
        return Err(io::Error::other("it does not listen: Accept=no"));
    }
    socket.set_nonblocking(true)
}
