//! How a connection comes about: directly, through a proxy or over a Unix socket, with or without TLS. Knows requests only
//! as far as a proxy has to be asked for a tunnel.

use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::tls::{Io, Tls};
use super::unix;
use crate::clock;
use crate::error::{Error, ProxyProblem};
use crate::limits::{CONNECT_TIMEOUT, READ_BUFFER_BYTES};
use crate::proxy::{Proxies, Proxy};
use crate::url::Url;

/// Whom connections trust, and what they go over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    pub(crate) tls: Tls,
    pub(crate) proxies: Proxies,
    /// Where `http://localhost` is, if it is a Unix socket: no proxy stands before it.
    pub(crate) socket: Option<Arc<Path>>,
}

/// A connection to a server, as far as requests over it can tell.
pub(super) struct Connected {
    pub(super) io: Io,
    /// The proxy that reads the requests and passes them on. None at the end of a tunnel: the server reads them.
    pub(super) forward: Option<Proxy>,
}

impl Network {
    /// The proxy that there is for `url`.
    ///
    /// # Errors
    /// [`Error::Proxy`] if there should be one and it cannot be used.
    pub(super) fn proxy(&self, url: &Url) -> Result<Option<&Proxy>, Error> {
        if self.socket(url).is_some() { Ok(None) } else { self.proxies.choose(url) }
    }

    /// The Unix socket that stands for the origin of `url`.
    fn socket(&self, url: &Url) -> Option<&Path> {
        let is_meant = !url.is_tls() && url.address() == ("localhost", 80);
        self.socket.as_deref().filter(|_| is_meant)
    }

    /// Connects to where `url` is, over TLS if it says so: plain requests are read by the proxy there is, and for `https`
    /// it is asked for a tunnel, through which it sees nothing. Unbounded in time.
    pub(super) async fn connect(&self, url: &Url) -> Result<Connected, Error> {
        if let Some(path) = self.socket(url) {
            let failed = |source| Error::Connect { address: unix::shown(path), source };
            return Ok(Connected { io: unix::connect(path).await.map_err(failed)?, forward: None });
        }
        let (host, port) = url.address();
        let Some(proxy) = self.proxy(url)? else {
            let failed = |source| Error::Connect { address: url.host_and_port(), source };
            let io = tcp(host, port).await.map_err(failed)?;
            let io = if url.is_tls() { self.tls.connect(io, host).await? } else { io };
            return Ok(Connected { io, forward: None });
        };
        let io = self.reach(proxy).await?;
        if !url.is_tls() {
            return Ok(Connected { io, forward: Some(proxy.clone()) });
        }
        let io = tunnel(io, proxy, url).await?;
        Ok(Connected { io: self.tls.connect(io, host).await?, forward: None })
    }

    /// Connects to the proxy itself.
    async fn reach(&self, proxy: &Proxy) -> Result<Io, Error> {
        let (host, port) = proxy.url().address();
        let unreachable = |source| proxy.error(ProxyProblem::Unreachable(source));
        let io = tcp(host, port).await.map_err(unreachable)?;
        if !proxy.url().is_tls() {
            return Ok(io);
        }
        match self.tls.connect(io, host).await {
            Err(Error::Connect { source, .. }) => Err(unreachable(source)),
            other => other,
        }
    }
}

/// Tries the addresses of a host, one after the other. Each has a share of the time: one that swallows packets
/// must not keep the others from being tried. The last share is for what comes after the connection.
async fn tcp(host: &str, port: u16) -> io::Result<Io> {
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    let share = match addresses.len() {
        0 | 1 => CONNECT_TIMEOUT,
        several => CONNECT_TIMEOUT / u32::try_from(several).unwrap_or(u32::MAX).saturating_add(1),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for the answer to the one before. Without it they are only slower.
                stream.set_nodelay(true).ok();
                return Ok(Io::from_plain(stream));
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(last)
}

/// Asks the proxy for a tunnel (RFC 9110, section 9.3.6). Only this request shows it who we are.
async fn tunnel(io: Io, proxy: &Proxy, url: &Url) -> Result<Io, Error> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| proxy.error(ProxyProblem::Broken(error));
    let request = connect_request(proxy, url).map_err(|error| broken(error.into()))?;
    let (mut sender, mut driver) = Builder::new()
        .max_buf_size(READ_BUFFER_BYTES)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| broken(error.into()))?;
    let answer: Response<Incoming> = {
        let mut answer = pin!(sender.send_request(request));
        let mut over = false;
        poll_fn(|context| {
            if let Poll::Ready(output) = answer.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            // Its error, if any, reaches the answer. What comes behind the answer is left in its hands.
            over = over || driver.poll_without_shutdown(context).is_ready();
            answer.as_mut().poll(context)
        })
        .await
        .map_err(|error| broken(error.into()))?
    };
    if !answer.status().is_success() {
        return Err(proxy.error(ProxyProblem::refused(answer.status(), answer.headers(), clock::wall())));
    }
    let parts = driver.into_parts();
    if !parts.read_buf.is_empty() {
        // We speak first in TLS: whatever this is, the server did not say it.
        return Err(broken("bytes follow its answer to CONNECT".into()));
    }
    Ok(parts.io.into_inner())
}

fn connect_request(proxy: &Proxy, url: &Url) -> Result<Request<Full<Bytes>>, http::Error> {
    let target = url.host_and_port();
    let host = HeaderValue::from_str(&target)?;
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::try_from(target)?;
    request.headers_mut().insert(HOST, host);
    proxy.authorize(request.headers_mut());
    Ok(request)
}
