//! One HTTP/1.1 connection, driven by whoever waits on it: no task of its own, so dropping it closes the
//! socket at once and nothing is left. Knows nothing of events or retries.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::error::{Error, Problem};
use crate::limits::{CONNECT_TIMEOUT, ERROR_BODY_BYTES, READ_BUFFER_BYTES};

type Driver = Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection to the hub. Owned by a publisher or a subscriber; the socket closes when it is dropped.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// hyper's state machine, which must be polled whenever something is awaited; `None` once it has ended.
    driver: Option<Pin<Box<Driver>>>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Connect`] or [`Error::TimedOut`]. Dropping the future gives the half-made connection up.
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let (host, port) = endpoint.address();
        let stream = within(CONNECT_TIMEOUT, "a connection", TcpStream::connect((host, port)))
            .await?
            .map_err(|source| Error::Connect { address: format!("{host}:{port}"), source })?;
        // Small requests must not wait for the answer to the one before. Without it they are only slower.
        stream.set_nodelay(true).ok();
        let (sender, driver) = Builder::new()
            .max_buf_size(READ_BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Error::Transport)?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    /// Sends one request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`Error::Transport`] if the connection breaks. Dropping the future leaves the connection in the middle
    /// of a request: drop it as well.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let answer = self.sender.send_request(request);
        drive(&mut self.driver, answer).await.map_err(Error::Transport)
    }

    /// The next bytes of a body, `None` at its end. Dropping the future loses nothing.
    pub(crate) async fn read(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Error> {
        loop {
            match drive(&mut self.driver, body.frame()).await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Error::Transport(error)),
                // Trailers carry nothing of ours.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// A whole body of at most `limit` bytes.
    pub(crate) async fn read_all(&mut self, body: Incoming, limit: usize) -> Result<Bytes, Error> {
        let whole = drive(&mut self.driver, Limited::new(body, limit).collect()).await;
        match whole {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(Error::Transport(*error)),
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
        refused(head.status, &head.headers, &body)
    }

    /// Whether another request may be sent over it.
    pub(crate) fn is_reusable(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }
}

fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    if status.is_client_error() || status.is_server_error() {
        return Error::Refused(Problem::read(status, headers, body));
    }
    let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
    Error::UnexpectedAnswer(match to {
        Some(to) => format!("status {status} to `{to}` (redirects are not followed)"),
        None => format!("status {status}"),
    })
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
async fn drive<F: Future>(driver: &mut Option<Pin<Box<Driver>>>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        if let Some(running) = driver {
            if running.as_mut().poll(context).is_ready() {
                // Its error, if any, reaches the future that waits on it.
                *driver = None;
            }
            return future.as_mut().poll(context);
        }
        Poll::Pending
    })
    .await
}
