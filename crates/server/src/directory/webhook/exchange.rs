//! One connection to the webhook: a request, its answer, and whether it can be used again. Limits are on the head and on
//! the body; time limits are the caller's.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use watertight_core::Permit;

use crate::outbound::Bytestream;

/// Longest body of an answer, bytes.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Longest head of an answer, bytes, and how many fields it may have.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

type Driver = Connection<TokioIo<Bytestream>, Full<Bytes>>;

/// A connection. It is driven by whoever uses it.
pub(super) struct ClientConnection {
    requests: SendRequest<Full<Bytes>>,
    /// `None`: it has ended.
    driver: Option<Driver>,
    /// Whether the last answer was read to its end.
    is_at_end: bool,
    /// What it may hold, also while it is idle.
    _permit: Permit,
}

/// An answer. The body is read of 200 only.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection broke before its first byte.
    BeforeAnswer(String),
    /// It broke later, or is not what it should be.
    InAnswer(String),
}

impl ClientConnection {
    /// What a connection may hold, bytes: a head and a body, the same again on their way through hyper, and the buffers of
    /// TLS, which has records of 16 KiB.
    pub(super) const BYTES_MAX: usize = 2 * (HEAD_BYTES_MAX + BODY_BYTES_MAX) + (32 << 10);

    pub(super) async fn over(stream: Bytestream, permit: Permit) -> hyper::Result<ClientConnection> {
        let mut builder = Builder::new();
        builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
        let (requests, driver) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(ClientConnection { requests, driver: Some(driver), is_at_end: true, _permit: permit })
    }

    /// Sends a request and reads its answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answered, Failure> {
        let ClientConnection { requests, driver, is_at_end, _permit } = self;
        *is_at_end = false;
        let mut exchange = pin!(async {
            let before = |error: hyper::Error| match error.is_parse() {
                true => Failure::InAnswer("it is not HTTP, or its head is too large".to_owned()),
                false => Failure::BeforeAnswer(error.to_string()),
            };
            requests.ready().await.map_err(before)?;
            let response = requests.send_request(request).await.map_err(before)?;
            let (head, body) = response.into_parts();
            if head.status != StatusCode::OK {
                return Ok((Answered { status: head.status, body: Bytes::new() }, body.is_end_stream()));
            }
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| {
                Failure::InAnswer(match error.downcast_ref::<LengthLimitError>() {
                    Some(_) => format!("more than {BODY_BYTES_MAX} bytes"),
                    None => format!("its body breaks off: {error}"),
                })
            })?;
            Ok((Answered { status: head.status, body: body.to_bytes() }, true))
        });
        // The connection may end with the answer, whose last bytes are then still to be read.
        let (answered, at_end) = poll_fn(|context| {
            if let Some(connection) = driver
                && Pin::new(connection).poll(context).is_ready()
            {
                *driver = None;
            }
            match exchange.as_mut().poll(context) {
                Poll::Ready(answered) => Poll::Ready(answered),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        *is_at_end = at_end;
        Ok(answered)
    }

    /// Whether the next question can go over it.
    pub(super) fn can_be_kept(&self) -> bool {
        self.driver.is_some() && self.is_at_end && !self.requests.is_closed()
    }
}
