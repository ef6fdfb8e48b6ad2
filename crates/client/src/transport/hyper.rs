//! The transport that comes with the client: one TCP connection per request, HTTP/1.1 by hyper.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::header::HOST;
use http::{Request, Uri};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{Answering, Body, Link, Network, Transport};
use crate::error::Error;
use crate::url::Url;

/// The default [`Transport`]: connects anew for each request over TCP, with TLS for `https`, and closes with the
/// body. Goes through the proxies that `http_proxy`, `https_proxy` and `all_proxy` name, as they were when it was made.
/// Public so that another can stand on it.
#[derive(Debug, Clone, Default)]
pub struct HyperTransport {
    network: Network,
}

impl HyperTransport {
    pub(crate) fn new(network: Network) -> Self {
        Self { network }
    }

    /// Sends what is for `http://localhost` over the Unix socket at this path, through no proxy.
    #[must_use]
    pub fn with_unix_socket(mut self, path: impl AsRef<Path>) -> Self {
        self.network.socket = Some(path.as_ref().into());
        self
    }

    /// Whom to trust, and how to prove who asks, for `https`. The default trusts whom the machine trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls_config(mut self, config: &rustls::ClientConfig) -> Self {
        self.network.tls = super::tls::Tls::new(config);
        self
    }
}

impl Transport for HyperTransport {
    fn open(&self, request: Request<Bytes>) -> Answering {
        let network = self.network.clone();
        Box::pin(async move {
            let url = Url::parse(&request.uri().to_string())?;
            let mut link = Link::open(&url, &network).await?;
            let answer = link.send(origin_form(request, &url)?).await?;
            let (head, body) = answer.into_parts();
            let body: Body = Box::pin(LinkBody { link, body });
            Ok(http::Response::from_parts(head, body))
        })
    }
}

/// The request as it stands on a connection to its own server: path only, and a `Host`.
fn origin_form(request: Request<Bytes>, url: &Url) -> Result<Request<Full<Bytes>>, Error> {
    let (mut head, body) = request.into_parts();
    head.uri = Uri::try_from(url.path()).map_err(|_| Error::InvalidOption {
        what: "the session name",
        reason: "it makes no valid request path",
    })?;
    head.headers.insert(HOST, url.authority());
    Ok(Request::from_parts(head, Full::new(body)))
}

/// A body together with the connection that it comes over.
struct LinkBody {
    link: Link,
    body: Incoming,
}

impl Stream for LinkBody {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let LinkBody { link, body } = self.get_mut();
        link.poll_read(body, context)
    }
}
