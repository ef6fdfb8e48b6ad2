//! Where the generator's connections go, and over what: plain TCP or TLS. Two streams over either, one that blocks
//! and one for an epoll loop. Knows no HTTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as BlockingTcp};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// An address, and what a connection to it offers if it is to speak TLS.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl Endpoint {
    fn client(&self) -> io::Result<Option<Box<ClientConnection>>> {
        let Some(config) = &self.tls else { return Ok(None) };
        let name = ServerName::from(self.address.ip());
        let client = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Some(Box::new(client)))
    }

    /// A stream that blocks, over a socket that is connected.
    pub(super) fn blocking(&self, tcp: BlockingTcp) -> io::Result<Blocking> {
        Ok(match self.client()? {
            None => Blocking::Plain(tcp),
            Some(client) => Blocking::Tls(Box::new(StreamOwned::new(*client, tcp))),
        })
    }

    /// A stream for an epoll loop, over a socket that may still be connecting.
    pub(super) fn wire(&self, tcp: TcpStream) -> io::Result<Wire> {
        Ok(Wire { tcp, tls: self.client()? })
    }
}

/// A stream that blocks. Dropping it closes it.
#[derive(Debug)]
pub(super) enum Blocking {
    Plain(BlockingTcp),
    Tls(Box<StreamOwned<ClientConnection, BlockingTcp>>),
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A stream for an epoll loop that is told of each readiness once. Its socket closes when it is dropped.
#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// What reading a [`Wire`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received {
    /// Bytes there are now; 0 at the end.
    pub(super) count: usize,
    /// Whether the socket had no more when it was read.
    pub(super) is_drained: bool,
}

/// How much longer the bytes that come out may be than those that are read: what TLS had of an earlier record.
const RECORD_BYTES_MAX: usize = 18 * 1024;

impl Wire {
    pub(super) fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Sends bytes that fit any socket's buffer: a short write means that something is wrong. Over TLS they go out
    /// behind the handshake, which is begun here and goes on as answers to it are received.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.tcp.write_all(bytes),
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                flush(tls, &mut self.tcp)
            }
        }
    }

    /// Whether TLS has not come to the end of its handshake.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Sends bytes below TLS, in place of a handshake.
    pub(super) fn send_below(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tcp.write_all(bytes)
    }

    /// Tells the peer that nothing more comes, if TLS has a word for it.
    pub(super) fn say_end(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => {
                tls.send_close_notify();
                flush(tls, &mut self.tcp)
            }
        }
    }

    /// Reads what there is into `into`, by way of `scratch` over TLS; both are larger than [`RECORD_BYTES_MAX`].
    pub(super) fn receive(&mut self, scratch: &mut Vec<u8>, into: &mut [u8]) -> io::Result<Received> {
        let Some(tls) = &mut self.tls else {
            let count = self.tcp.read(into)?;
            return Ok(Received { count, is_drained: count < into.len() });
        };
        let at_once = into.len().saturating_sub(RECORD_BYTES_MAX);
        if scratch.len() < at_once {
            scratch.resize(at_once, 0);
        }
        loop {
            let read = self.tcp.read(&mut scratch[..at_once])?;
            let count = open(tls, &scratch[..read], into)?;
            flush(tls, &mut self.tcp)?;
            // What holds no data was for TLS itself: handshake, tickets.
            if count > 0 || read == 0 || tls.process_new_packets().is_ok_and(|state| state.peer_has_closed())
            {
                return Ok(Received { count, is_drained: read < at_once });
            }
        }
    }
}

/// Takes records apart; answers with the length of the data in them.
fn open(tls: &mut ClientConnection, mut records: &[u8], into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while !records.is_empty() {
        tls.read_tls(&mut records)?;
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let end = filled + state.plaintext_bytes_to_read();
        let Some(room) = into.get_mut(filled..end) else { return Err(io::ErrorKind::InvalidData.into()) };
        tls.reader().read_exact(room)?;
        filled = end;
    }
    Ok(filled)
}

fn flush(tls: &mut ClientConnection, tcp: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(tcp)?;
    }
    Ok(())
}
