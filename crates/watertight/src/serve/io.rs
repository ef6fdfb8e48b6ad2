//! What hyper reads from: first what was read ahead, then the stream. It also keeps the head's clock: hyper
//! has one limit for the silence between requests and for the head itself, and these are two things.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Where a connection stands between two requests.
#[derive(Debug, Default)]
struct Phase {
    /// When the first byte of the next head came.
    head_since: Option<Instant>,
    /// A request is being answered.
    answering: bool,
    /// Everything that was written was flushed.
    flushed: bool,
}

/// The clock of a connection's heads. Shared between the stream, the service and the connection's task.
#[derive(Debug, Clone)]
pub(super) struct HeadClock {
    phase: Arc<Mutex<Phase>>,
    timeout: Duration,
}

impl HeadClock {
    fn new(timeout: Duration) -> HeadClock {
        let phase = Phase { flushed: true, ..Phase::default() };
        HeadClock { phase: Arc::new(Mutex::new(phase)), timeout }
    }

    /// A head is complete; the next one is not expected before the answer is given.
    pub(super) fn head_ended(&self) {
        let mut phase = self.phase.lock();
        phase.head_since = None;
        phase.answering = true;
    }

    /// The answer's head was given.
    pub(super) fn answered(&self) {
        self.phase.lock().answering = false;
    }

    /// When the head that is being read must be complete.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.phase.lock().head_since.map(|since| since + self.timeout)
    }

    /// Whether nothing that was written before waits to be sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.phase.lock().flushed
    }

    fn read_some(&self) {
        let mut phase = self.phase.lock();
        if !phase.answering && phase.head_since.is_none() {
            phase.head_since = Some(Instant::now());
        }
    }
}

pin_project! {
    /// The stream of a connection as hyper sees it.
    #[derive(Debug)]
    pub(super) struct HttpIo<S> {
        #[pin]
        stream: S,
        read_ahead: Vec<u8>,
        at: usize,
        clock: HeadClock,
    }
}

impl<S> HttpIo<S> {
    pub(super) fn new(stream: S, read_ahead: Vec<u8>, head_timeout: Duration) -> HttpIo<S> {
        HttpIo { stream, read_ahead, at: 0, clock: HeadClock::new(head_timeout) }
    }

    pub(super) fn clock(&self) -> HeadClock {
        self.clock.clone()
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead> AsyncRead for HttpIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        if *this.at < this.read_ahead.len() {
            let rest = &this.read_ahead[*this.at..];
            let some = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..some]);
            *this.at += some;
            if *this.at == this.read_ahead.len() {
                *this.read_ahead = Vec::new();
                *this.at = 0;
            }
            this.clock.read_some();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = this.stream.poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.clock.read_some();
        }
        read
    }
}

impl<S: AsyncWrite> AsyncWrite for HttpIo<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.clock.phase.lock().flushed = false;
        this.stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.clock.phase.lock().flushed = false;
        this.stream.poll_write_vectored(context, runs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let flushed = this.stream.poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            this.clock.phase.lock().flushed = true;
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(context)
    }
}
