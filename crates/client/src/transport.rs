//! How requests reach a server: a trait with one method, and the connection over TCP or a Unix socket that implements it.
//!
//! Must not know events, retries or cursors.

mod hyper;
mod link;
mod network;
pub(crate) mod tls;
pub(crate) mod unix;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};

use crate::error::Error;

pub use self::hyper::HyperTransport;
pub(crate) use self::link::{Link, within};
pub(crate) use self::network::Network;
pub use self::unix::unix_socket;

/// The bytes of an answer as they come. Its end is the end of the answer; dropping it closes the socket.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A request under way. Dropping it closes the socket, connected or not.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// Sends requests. The default speaks HTTP/1.1 over TCP, with TLS for `https`; a test or an application with
/// a network of its own gives another with [`Subscriber::with_transport`](crate::Subscriber::with_transport).
///
/// Redirects, credentials, time limits and retries are not its business: one call is one request.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request, over a connection of its own, and gives the head of its answer. Nothing happens
    /// before the future is polled, and nothing goes on once it, or the body it gave, is dropped.
    ///
    /// The request's URI is absolute. An [`Error::transport`] is tried again.
    fn open(&self, request: Request<Bytes>) -> Answering;
}
