//! One HTTP/1.1 connection, driven by whoever waits on it: no task of its own, so dropping it closes the
//! socket at once and nothing is left. Knows nothing of events or retries.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::network::{Connected, Network};
use super::tls::Io;
use crate::clock;
use crate::error::{Error, Problem, ProxyProblem};
use crate::limits::{CONNECT_TIMEOUT, ERROR_BODY_BYTES, READ_BUFFER_BYTES};
use crate::proxy::Proxy;
use crate::url::Url;

type Driver = Connection<TokioIo<Io>, Full<Bytes>>;

/// A connection to a server. Owned by a publisher or by the body of an answer; the socket closes when it is
/// dropped.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// hyper's state machine, which must be polled whenever something is awaited; `None` once it has ended.
    driver: Option<Pin<Box<Driver>>>,
    /// Scheme, host and port of the server.
    origin: String,
    /// Who reads the requests on the way, if anybody does.
    forward: Option<Proxy>,
}

impl Link {
    /// Connects, over TLS if the URL says so, through the proxy that there is for it.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Proxy`] or [`Error::TimedOut`]. Dropping the future gives the half-made connection up.
    pub(crate) async fn open(url: &Url, network: &Network) -> Result<Self, Error> {
        let phase =
            if network.proxy(url)?.is_some() { "a connection through the proxy" } else { "a connection" };
        let Connected { io, forward } = within(CONNECT_TIMEOUT, phase, network.connect(url)).await??;
        let (sender, driver) = Builder::new()
            .max_buf_size(READ_BUFFER_BYTES)
            .handshake(TokioIo::new(io))
            .await
            .map_err(Error::transport)?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), origin: url.origin(), forward })
    }

    /// Sends one request, whose target is a path, and waits for the head of its answer.
    ///
    /// # Errors
    /// [`Error::Transport`] if the connection breaks; [`Error::Proxy`] if a proxy does not let us pass. Dropping the future
    /// leaves the connection in the middle of a request: drop it as well.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        if let Some(proxy) = &self.forward {
            // The whole URL: a proxy has to know where to go (RFC 9112, section 3.2.2).
            let target = format!("{}{}", self.origin, request.uri());
            *request.uri_mut() = Uri::try_from(target).map_err(Error::transport)?;
            proxy.authorize(request.headers_mut());
        }
        let mut answer = pin!(self.sender.send_request(request));
        let answer =
            poll_fn(|context| drive(&mut self.driver, context, |context| answer.as_mut().poll(context)))
                .await
                .map_err(Error::transport)?;
        match &self.forward {
            // No server says this status, only a proxy does.
            Some(proxy) if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let problem = ProxyProblem::refused(answer.status(), answer.headers(), clock::wall());
                Err(proxy.error(problem))
            }
            _ => Ok(answer),
        }
    }

    /// The next bytes of a body, `None` at its end.
    pub(crate) fn poll_read(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let mut body = Pin::new(&mut *body);
            let polled = drive(&mut self.driver, context, |context| body.as_mut().poll_frame(context));
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Error::transport(error)))),
                // Trailers carry nothing of ours.
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }

    /// A whole body of at most `limit` bytes.
    pub(crate) async fn read_all(&mut self, body: Incoming, limit: usize) -> Result<Bytes, Error> {
        let mut whole = pin!(Limited::new(body, limit).collect());
        let whole =
            poll_fn(|context| drive(&mut self.driver, context, |context| whole.as_mut().poll(context))).await;
        match whole {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(Error::transport(*error)),
                Err(_) => Err(Error::UnexpectedAnswer(format!("a body of more than {limit} bytes"))),
            },
        }
    }

    /// Turns a refusal into its error, reading as much of its body as a problem document needs.
    pub(crate) async fn refusal(&mut self, answer: Response<Incoming>) -> Error {
        let (head, body) = answer.into_parts();
        let body = match timeout(CONNECT_TIMEOUT, self.read_all(body, ERROR_BODY_BYTES)).await {
            Ok(Ok(body)) => body,
            // The status alone says enough.
            _ => Bytes::new(),
        };
        Problem::error(head.status, &head.headers, &body, clock::wall())
    }

    /// Whether another request may be sent over it: looks whether the server has closed it meanwhile.
    pub(crate) fn is_reusable(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        if self.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(&mut context).is_ready()) {
            self.driver = None;
        }
        self.driver.is_some() && !self.sender.is_closed()
    }
}

/// Bounds `future` in time; the error names what was waited for.
pub(crate) async fn within<F: Future>(
    after: Duration,
    phase: &'static str,
    future: F,
) -> Result<F::Output, Error> {
    timeout(after, future).await.map_err(|_| Error::TimedOut { phase, after })
}

/// Polls hyper's state machine along with what is waited for.
fn drive<T>(
    driver: &mut Option<Pin<Box<Driver>>>,
    context: &mut Context<'_>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    if let Poll::Ready(output) = poll(context) {
        return Poll::Ready(output);
    }
    let Some(running) = driver else { return Poll::Pending };
    if running.as_mut().poll(context).is_ready() {
        // Its error, if any, reaches the future that waits on it.
        *driver = None;
    }
    poll(context)
}
