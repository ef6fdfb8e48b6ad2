//! A listener for applications that use `axum::serve` (or another server): connections are counted, dead peers
//! are noticed, and the write deadline holds even while the body is not polled.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::config::HubConfig;
use crate::gate::{ConnectionGuard, Gate};
use crate::stall::Stall;

/// First pause after the operating system refused a socket; doubled up to [`ACCEPT_PAUSE_MAX`].
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Sets what notices a dead peer: keepalive on a silent line, a limit on unacknowledged bytes on a busy one. And
/// bounds what the kernel holds for a reader that stalls.
///
/// # Errors
/// When the operating system refuses an option that it knows.
pub fn watch_peer(stream: &TcpStream, config: &HubConfig) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let first = config.heartbeat_interval.min(Duration::from_secs(10)).max(Duration::from_secs(1));
    let keepalive =
        TcpKeepalive::new().with_time(first).with_interval(Duration::from_secs(5)).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    if let Some(bytes) = config.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.set_tcp_user_timeout(Some(config.half_open_timeout))
}

/// Accepts the next connection. Running out of descriptors or memory pauses accepting and never ends it.
pub(crate) async fn accept<T, A>(next: impl Fn() -> A) -> T
where
    A: Future<Output = io::Result<T>>,
{
    let mut pause = ACCEPT_PAUSE_MIN;
    loop {
        match next().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                warn!(%error, pause_ms = pause.as_millis() as u64, "cannot accept a connection, pausing");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}

/// Errors of a connection that was gone before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A listener whose connections are counted by a [`Gate`] and watched.
#[derive(Debug)]
pub struct GuardedListener {
    listener: TcpListener,
    gate: Gate,
    config: HubConfig,
}

impl GuardedListener {
    /// Guards `listener` with a hub's figures.
    #[must_use]
    pub fn new(listener: TcpListener, gate: Gate, config: HubConfig) -> GuardedListener {
        GuardedListener { listener, gate, config }
    }

    /// The next connection that the gate lets in; the others are closed.
    pub async fn accept(&mut self) -> (GuardedStream<TcpStream>, SocketAddr) {
        loop {
            let (stream, peer) = accept(|| self.listener.accept()).await;
            let Ok(guard) = self.gate.admit(peer.ip()) else { continue };
            if watch_peer(&stream, &self.config).is_ok() {
                let stream =
                    GuardedStream::new(stream, self.config.write_deadline, self.config.half_open_timeout)
                        .holding(guard);
                return (stream, peer);
            }
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(feature = "axum")]
impl axum::serve::Listener for GuardedListener {
    type Io = GuardedStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        GuardedListener::accept(self).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        GuardedListener::local_addr(self)
    }
}

pin_project! {
    /// A stream with a write deadline: if the peer accepts no byte of what waits for it for that long, writing
    /// fails with `TimedOut` (after a pause of the whole process the socket is tried once more before). The timer belongs to the stream, so it fires whoever polls or does not poll the
    /// body behind it.
    #[derive(Debug)]
    pub struct GuardedStream<S>
    where
        S: Transport,
    {
        #[pin]
        inner: S,
        deadlines: (Duration, Duration),
        // Armed while a write waits; allocated only then.
        stalled: Option<Stall>,
        guard: Option<ConnectionGuard>,
    }
}

impl<S: Transport> GuardedStream<S> {
    /// Guards `inner`.
    /// `write_deadline`: how long the peer may accept nothing; `half_open`: how long it may acknowledge nothing
    /// on a line that is not full.
    pub fn new(inner: S, write_deadline: Duration, half_open: Duration) -> GuardedStream<S> {
        GuardedStream { inner, deadlines: (write_deadline, half_open), stalled: None, guard: None }
    }

    /// Keeps the connection counted for as long as the stream lives.
    #[must_use]
    pub fn holding(mut self, guard: ConnectionGuard) -> GuardedStream<S> {
        self.guard = Some(guard);
        self
    }

    /// The stream itself.
    pub(crate) fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream itself and its guard of the gate.
    pub fn into_parts(self) -> (S, Option<ConnectionGuard>) {
        (self.inner, self.guard)
    }
}

/// What can be written to under guard.
pub trait Transport: AsyncWrite {
    /// Sets how long the kernel waits for acknowledgements, where there is a kernel behind it. A line that is
    /// full gets longer than one that is not: a reader that stalls is not dead, and the write deadline has to
    /// come first.
    fn set_kernel_patience(&self, _patience: Duration) {}

    /// Makes closing throw unsent bytes away, in the kernel too.
    fn set_hard_close(&self) {}
}

impl Transport for TcpStream {
    fn set_kernel_patience(&self, patience: Duration) {
        // A kernel without the option still has the write deadline.
        let _ = SockRef::from(self).set_tcp_user_timeout(Some(patience));
    }

    fn set_hard_close(&self) {
        // If it cannot be set the connection closes gently instead.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Transport for tokio::io::DuplexStream {}

/// Lets a write through, or arms the deadline while it waits.
fn guard_write<T, S: Transport>(
    inner: &S,
    wrote: Poll<io::Result<T>>,
    stalled: &mut Option<Stall>,
    (deadline, half_open): (Duration, Duration),
    context: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    const MARGIN: Duration = Duration::from_secs(5);
    if wrote.is_ready() {
        if stalled.take().is_some() {
            inner.set_kernel_patience(half_open);
        }
        return wrote;
    }
    let timer = stalled.get_or_insert_with(|| {
        inner.set_kernel_patience(deadline + MARGIN);
        Stall::begin(deadline)
    });
    match timer.poll_over(context) {
        Poll::Ready(()) => {
            // The peer does not read what waits, so there is no use in sending it.
            inner.set_hard_close();
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer accepts no bytes")))
        }
        Poll::Pending => Poll::Pending,
    }
}

impl<S: AsyncRead + Transport> AsyncRead for GuardedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().inner.poll_read(context, buffer)
    }
}

impl<S: Transport> AsyncWrite for GuardedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        let wrote = this.inner.as_mut().poll_write(context, bytes);
        guard_write(&*this.inner, wrote, this.stalled, *this.deadlines, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        let wrote = this.inner.as_mut().poll_write_vectored(context, runs);
        guard_write(&*this.inner, wrote, this.stalled, *this.deadlines, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        let flushed = this.inner.as_mut().poll_flush(context);
        guard_write(&*this.inner, flushed, this.stalled, *this.deadlines, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        let shut = this.inner.as_mut().poll_shutdown(context);
        guard_write(&*this.inner, shut, this.stalled, *this.deadlines, context)
    }
}
