//! An HTTP proxy as companies have them: tunnels by `CONNECT`, plain requests in absolute form, a user and a password.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::acceptor::Acceptor;

/// Longest head it reads, bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The proxy. Dropping it closes everything and waits for its threads.
#[derive(Debug)]
pub struct HttpProxy {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The `Proxy-Authorization` that is wanted, if any is.
    wanted: Mutex<Option<String>>,
    /// The answer to everything, instead of what was asked for.
    refusal: Mutex<Option<String>>,
    /// Hosts and ports that only this proxy knows.
    routes: Mutex<HashMap<String, SocketAddr>>,
    /// The heads of all requests that it could read.
    heads: Mutex<Vec<String>>,
}

impl HttpProxy {
    /// Listens on a free port of loopback and lets everybody through.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start() -> HttpProxy {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        HttpProxy { acceptor: Acceptor::start(move |client| serve(&theirs, client)), shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Lets pass only who sends this `Proxy-Authorization`; others are answered with 407.
    pub fn want(&self, authorization: &str) {
        *self.shared.wanted.lock().unwrap() = Some(authorization.to_owned());
    }

    /// Answers every request with this status line and these headers, each ended by CRLF; `None`: no longer.
    pub fn refuse(&self, answer: Option<&str>) {
        *self.shared.refusal.lock().unwrap() = answer.map(str::to_owned);
    }

    /// Connects to `address` where `host_and_port` is asked for, a name that need not exist.
    pub fn route(&self, host_and_port: &str, address: SocketAddr) {
        self.shared.routes.lock().unwrap().insert(host_and_port.to_owned(), address);
    }

    /// The heads of all requests that it could read: of a tunnel, only the `CONNECT`.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// The first lines of those heads.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.heads().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// Connections of clients open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.acceptor.open()
    }

    /// Ends every connection there is.
    pub fn cut(&self) {
        self.acceptor.cut();
    }
}

/// One client: requests to one server, or one tunnel.
fn serve(shared: &Shared, client: &TcpStream) -> io::Result<()> {
    let mut read = Vec::new();
    let Some((head, body)) = request(client, &mut read)? else { return Ok(()) };
    if let Some(answer) = refusal(shared, &head) {
        return (&*client)
            .write_all(format!("{answer}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes());
    }
    let Some((method, target)) = target(&head) else { return Ok(()) };
    let is_tunnel = method == "CONNECT";
    let (authority, path) = if is_tunnel { (target, "") } else { split(target) };
    let server = connect(shared, authority)?;
    std::thread::scope(|scope| {
        if is_tunnel {
            (&*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        } else {
            pass_on(&server, &head, path, &body)?;
        }
        scope.spawn(|| {
            copy(&server, client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let passing = if is_tunnel {
            (&server).write_all(&read).map(|()| copy(client, &server))
        } else {
            more(shared, client, &server, authority, &mut read)
        };
        // Ends the other direction.
        let _ = server.shutdown(Shutdown::Both);
        passing
    })
}

/// Further requests over the same connection, to the same server.
fn more(
    shared: &Shared,
    client: &TcpStream,
    server: &TcpStream,
    authority: &str,
    read: &mut Vec<u8>,
) -> io::Result<()> {
    while let Some((head, body)) = request(client, read)? {
        match target(&head).map(|(_, target)| split(target)) {
            Some((known, path)) if known == authority && refusal(shared, &head).is_none() => {
                pass_on(server, &head, path, &body)?;
            }
            _ => break,
        }
    }
    Ok(())
}

/// The answer to whom it does not let through. Keeps the head.
fn refusal(shared: &Shared, head: &str) -> Option<String> {
    shared.heads.lock().unwrap().push(head.to_owned());
    let refusal = shared.refusal.lock().unwrap().clone();
    let wanted = shared.wanted.lock().unwrap().clone();
    refusal.or_else(|| {
        let wanted = wanted.filter(|wanted| value(head, "proxy-authorization") != Some(wanted))?;
        let scheme = wanted.split(' ').next().unwrap_or_default();
        Some(format!("HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: {scheme}\r\n"))
    })
}

fn connect(shared: &Shared, authority: &str) -> io::Result<TcpStream> {
    let route = shared.routes.lock().unwrap().get(authority).copied();
    let server = match route {
        Some(address) => TcpStream::connect(address)?,
        None if authority.contains(':') => TcpStream::connect(authority)?,
        None => TcpStream::connect((authority, 80))?,
    };
    server.set_nodelay(true)?;
    Ok(server)
}

/// A request as its server wants it: with a path, and without what is for the proxy.
fn pass_on(mut server: &TcpStream, head: &str, path: &str, body: &[u8]) -> io::Result<()> {
    let method = head.split(' ').next().unwrap_or_default();
    let headers = head.lines().skip(1).filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"));
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nvia: 1.1 testkit\r\n").into_bytes();
    for line in headers {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    server.write_all(&bytes)
}

/// The head of the next request, without its empty line, and its body; `None` at the end.
fn request(mut client: &TcpStream, read: &mut Vec<u8>) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut scratch = [0; 16 * 1024];
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let length = value(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if read.len() >= end + 4 + length {
                let body = read[end + 4..end + 4 + length].to_vec();
                read.drain(..end + 4 + length);
                return Ok(Some((head, body)));
            }
        } else if read.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
        match client.read(&mut scratch)? {
            0 => return Ok(None),
            count => read.extend_from_slice(&scratch[..count]),
        }
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // Either side may break off.
    let _ = io::copy(&mut from, &mut to);
}

/// Method and target of a request.
fn target(head: &str) -> Option<(&str, &str)> {
    let mut words = head.lines().next()?.split(' ');
    Some((words.next()?, words.next()?))
}

/// Host and port, and path, of a target in absolute form.
fn split(target: &str) -> (&str, &str) {
    let rest = target.strip_prefix("http://").unwrap_or(target);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// A header's value.
fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
