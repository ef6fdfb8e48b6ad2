//! A socket that says exactly what a test tells it to, over TCP or TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, SockRef, Socket, Type};

use crate::PATIENCE;
use crate::http::Response;
use crate::transport::Endpoint;

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// `SO_RCVBUF`, bytes: small for a reader that is soon full. The kernel doubles it.
    pub receive_buffer: Option<usize>,
    /// The address to come from: any of 127.0.0.0/8 does.
    pub source: Option<IpAddr>,
    /// `TCP_NODELAY`.
    pub nodelay: bool,
    /// Speak TLS with this, whatever the hub is asked for by default.
    pub tls: Option<Arc<ClientConfig>>,
    /// Connects to the Unix socket at this path, whatever the address is.
    pub unix: Option<PathBuf>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions { receive_buffer: None, source: None, nodelay: true, tls: None, unix: None }
    }
}

impl ConnectOptions {
    /// A reader whose window is as small as the kernel lets it be.
    #[must_use]
    pub fn small_window() -> ConnectOptions {
        ConnectOptions { receive_buffer: Some(2048), ..ConnectOptions::default() }
    }

    /// Comes from this address of 127.0.0.0/8.
    #[must_use]
    pub fn from_address(last: [u8; 3]) -> ConnectOptions {
        let [b, c, d] = last;
        let source = IpAddr::V4(Ipv4Addr::new(127, b, c, d));
        ConnectOptions { source: Some(source), ..ConnectOptions::default() }
    }

    /// Connects to the Unix socket at this path.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> ConnectOptions {
        ConnectOptions { unix: Some(path.into()), ..ConnectOptions::default() }
    }

    /// Connects a plain socket. One to a Unix socket comes as a TCP stream, too: what is done to it here, reading, writing and
    /// shutting down, is the same.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn connect_tcp(&self, to: SocketAddr) -> io::Result<TcpStream> {
        if let Some(path) = &self.unix {
            return Ok(OwnedFd::from(UnixStream::connect(path)?).into());
        }
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer {
            // Before connecting: the window's scale is settled by the handshake.
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(source) = self.source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.set_tcp_nodelay(self.nodelay)?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        Ok(socket.into())
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A connection of the test's own.
#[derive(Debug)]
pub struct RawConnection {
    stream: Stream,
    /// Read, but not taken yet.
    buffer: Vec<u8>,
    /// How the socket is set.
    blocks: bool,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn connect(to: impl Into<Endpoint>) -> RawConnection {
        RawConnection::connect_with(to, &ConnectOptions::default()).expect("a connection")
    }

    /// Connects with options.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn connect_with(to: impl Into<Endpoint>, options: &ConnectOptions) -> io::Result<RawConnection> {
        let to = to.into();
        let socket = options.connect_tcp(to.address)?;
        let stream = match options.tls.as_ref().or(to.tls.as_ref().map(|tls| &tls.http1)) {
            None => Stream::Plain(socket),
            Some(config) => {
                let name = ServerName::from(to.address.ip());
                let client = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(client, socket)))
            }
        };
        Ok(RawConnection { stream, buffer: Vec::new(), blocks: true })
    }

    /// The socket underneath.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    /// Sends these bytes, all of them, within [`PATIENCE`].
    ///
    /// # Panics
    /// When the peer does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer takes what is sent");
    }

    /// Sends these bytes to a peer that may refuse them.
    ///
    /// # Errors
    /// What the kernel says: `WouldBlock` when the peer took nothing for [`PATIENCE`].
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.set_blocks(true)?;
        self.socket().set_write_timeout(Some(PATIENCE))?;
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes.as_ref()),
            Stream::Tls(stream) => stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()),
        }
    }

    /// Sends a `GET` with these further header lines, and reads nothing.
    pub fn send_get(&mut self, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: hub\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send(head);
    }

    /// Some bytes: what was read before, or one read that waits until `deadline`. Empty at the end.
    ///
    /// # Errors
    /// What the kernel says; `TimedOut` after the deadline.
    pub fn read_some(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        if !self.buffer.is_empty() {
            return Ok(std::mem::take(&mut self.buffer));
        }
        self.set_blocks(true)?;
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came in time"));
            }
            self.socket().set_read_timeout(Some(left))?;
            match self.read_once(&mut bytes) {
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                // Asked again: the deadline decides.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // A TLS peer that closes without close_notify still closes.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
    }

    /// At most `max` bytes of what is there, without waiting. `None`: nothing is. Empty at the end.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_read(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        if !self.buffer.is_empty() {
            let some = self.buffer.len().min(max);
            return Ok(Some(self.buffer.drain(..some).collect()));
        }
        self.set_blocks(false)?;
        let mut bytes = vec![0; max];
        match self.read_once(&mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                Ok(Some(bytes))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(Vec::new())),
            Err(error) => Err(error),
        }
    }

    fn read_once(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.read(bytes),
            Stream::Tls(stream) => stream.read(bytes),
        }
    }

    fn set_blocks(&mut self, blocks: bool) -> io::Result<()> {
        if self.blocks != blocks {
            self.socket().set_nonblocking(!blocks)?;
            self.blocks = blocks;
        }
        Ok(())
    }

    /// Gives bytes back, to be read again first.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.buffer.splice(..0, bytes.iter().copied());
    }

    /// Reads up to and including `pattern`; what follows stays for the next read.
    ///
    /// # Panics
    /// When the connection ends before, or `within` passes: with what came.
    pub fn read_until(&mut self, pattern: &str, within: Duration) -> String {
        let deadline = Instant::now() + within;
        let mut seen = Vec::new();
        loop {
            if let Some(at) = find(&seen, pattern.as_bytes()) {
                let rest = seen.split_off(at + pattern.len());
                self.unread(&rest);
                return String::from_utf8_lossy(&seen).into_owned();
            }
            let told = || format!("{pattern:?} did not come; this did: {:?}", String::from_utf8_lossy(&seen));
            match self.read_some(deadline) {
                Ok(bytes) if bytes.is_empty() => panic!("{} (then the end)", told()),
                Ok(bytes) => seen.extend_from_slice(&bytes),
                Err(error) => panic!("{} (then {error})", told()),
            }
        }
    }

    /// Reads to the end of the connection (FIN or reset), whatever comes.
    ///
    /// # Panics
    /// When it does not end within `within`: with what came.
    pub fn read_to_end(&mut self, within: Duration) -> Vec<u8> {
        let deadline = Instant::now() + within;
        let mut seen = Vec::new();
        loop {
            match self.read_some(deadline) {
                Ok(bytes) if bytes.is_empty() => return seen,
                Ok(bytes) => seen.extend_from_slice(&bytes),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    panic!("still open after {within:?}; this came: {:?}", String::from_utf8_lossy(&seen))
                }
                Err(_) => return seen,
            }
        }
    }

    /// Asserts that the peer closes within `within`, without or after further bytes, which are returned.
    ///
    /// # Panics
    /// When it does not.
    pub fn expect_closed(&mut self, within: Duration) -> String {
        String::from_utf8_lossy(&self.read_to_end(within)).into_owned()
    }

    /// Reads one whole response to a request of `method`.
    ///
    /// # Panics
    /// When none comes within [`PATIENCE`].
    pub fn read_response(&mut self, method: &str) -> Response {
        Response::read_from(self, method, Instant::now() + PATIENCE).expect("a response")
    }

    /// Says that nothing more will be sent (FIN, inside TLS a close_notify before it); still reads.
    ///
    /// # Panics
    /// When the connection is gone already.
    pub fn half_close(&mut self) {
        self.try_half_close().expect("a connection that is still there");
    }

    /// The same on a connection that may be gone already.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_half_close(&mut self) -> io::Result<()> {
        self.set_blocks(true)?;
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// Ends the connection with a reset (`SO_LINGER` of zero).
    pub fn reset(self) {
        // If the peer was first there is nothing left to reset.
        let _ = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }
}

/// Where `pattern` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
