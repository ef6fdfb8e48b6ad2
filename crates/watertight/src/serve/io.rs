//! What hyper reads from and writes to: first the bytes read ahead, then the stream. What it does beside that depends
//! on the connection's phase (`phase.rs`).
//!
//! hyper notices that a peer has left only while its own buffer is empty. So on HTTP/1 it is given no byte
//! behind a head before it asks for more, and what comes while a stream goes on is read and thrown away here. A peer
//! that has sent its whole request and closed its side waits for the answer: that end is kept back until then.
//!
//! What hyper cannot read it answers by itself, without a body. Such an answer is not written: ours is
//! (`refusal.rs`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::phase::HeadClock;

/// Bytes a peer may send behind its request for a stream before it is cut off, as on a pump's socket.
const THROWN_AWAY_MAX: usize = 64 * 1024;

/// Scratch space for what is thrown away.
const DISCARD_BYTES: usize = 1024;

/// Finds where a head ends: at an empty line (RFC 9112, section 2.2: a bare LF ends a line too).
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    line_is_empty: bool,
}

impl HeadEnd {
    /// How many of these bytes belong to the head that is being read, if it ends among them.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut line = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.see(&bytes[line..end]);
            line = end + 1;
            if std::mem::replace(&mut self.line_is_empty, true) {
                self.line_is_empty = false;
                return Some(line);
            }
        }
        self.see(&bytes[line..]);
        None
    }

    /// A part of a line, without its end.
    fn see(&mut self, part: &[u8]) {
        self.line_is_empty &= part.iter().all(|byte| *byte == b'\r');
    }

    /// How many of these bytes belong to the head that is being read: all, unless it ends among them.
    fn cut(&mut self, bytes: &[u8]) -> usize {
        self.find(bytes).unwrap_or(bytes.len())
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
        // Only on HTTP/1.
        head_end: Option<HeadEnd>,
        thrown_away: usize,
    }
}

impl<S> HttpIo<S> {
    pub(super) fn new(stream: S, read_ahead: Vec<u8>, head_timeout: Duration) -> HttpIo<S> {
        let clock = HeadClock::new(head_timeout);
        HttpIo { stream, read_ahead, at: 0, clock, head_end: None, thrown_away: 0 }
    }

    /// Gives one head at a time: for HTTP/1.
    pub(super) fn by_heads(mut self) -> HttpIo<S> {
        self.head_end = Some(HeadEnd::default());
        self
    }

    pub(super) fn clock(&self) -> HeadClock {
        self.clock.clone()
    }

    /// The stream, and what was read of it but not given yet.
    pub(super) fn into_parts(mut self) -> (S, Vec<u8>) {
        self.read_ahead.drain(..self.at);
        (self.stream, self.read_ahead)
    }
}

impl<S: AsyncRead> HttpIo<S> {
    /// Reads from what was read ahead, or else from the stream.
    fn poll_source(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        if *this.at >= this.read_ahead.len() {
            return this.stream.poll_read(context, buffer);
        }
        let rest = &this.read_ahead[*this.at..];
        let some = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..some]);
        *this.at += some;
        if *this.at == this.read_ahead.len() {
            *this.read_ahead = Vec::new();
            *this.at = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what comes; ready when the peer has left, or has sent too much.
    fn poll_discard(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; DISCARD_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            std::task::ready!(self.as_mut().poll_source(context, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            let this = self.as_mut().project();
            *this.thrown_away += read;
            this.clock.received(read);
            if *this.thrown_away > THROWN_AWAY_MAX {
                return Poll::Ready(Err(io::Error::other("the peer kept talking behind its request")));
            }
        }
    }
}

impl<S: AsyncRead> AsyncRead for HttpIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.clock.is_streaming() {
            return self.poll_discard(context);
        }
        let before = buffer.filled().len();
        let read = self.as_mut().poll_source(context, buffer);
        let this = self.project();
        if buffer.filled().len() > before {
            this.clock.read_some();
        } else if matches!(read, Poll::Ready(Ok(())))
            && buffer.remaining() > 0
            && this.head_end.is_some()
            && this.clock.keeps_end_back(context)
        {
            return Poll::Pending;
        }
        if let Some(head_end) = this.head_end
            && !this.clock.is_answering()
        {
            let head = before + head_end.cut(&buffer.filled()[before..]);
            if head < buffer.filled().len() {
                // Bounded by hyper's buffer, which it does not fill now.
                this.read_ahead.splice(..*this.at, buffer.filled()[head..].iter().copied());
                *this.at = 0;
                buffer.set_filled(head);
            }
        }
        read
    }
}

impl<S: AsyncWrite> AsyncWrite for HttpIo<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        if this.head_end.is_some() && !this.clock.writes(&[io::IoSlice::new(bytes)]) {
            return Poll::Ready(Ok(bytes.len()));
        }
        this.stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        if this.head_end.is_some() && !this.clock.writes(runs) {
            return Poll::Ready(Ok(runs.iter().map(|run| run.len()).sum()));
        }
        this.stream.poll_write_vectored(context, runs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let flushed = this.stream.poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            this.clock.flushed();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        // Our refusal is still to be written.
        if this.clock.refused().is_some() {
            return Poll::Ready(Ok(()));
        }
        this.stream.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const TWO: &[u8] = b"GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\nHost: b\n\nrest";

    async fn read(io: &mut HttpIo<&[u8]>) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        let count = io.read(&mut bytes).await.unwrap();
        bytes.truncate(count);
        bytes
    }

    #[tokio::test]
    async fn no_byte_behind_a_head_is_given_before_more_is_asked_for_however_it_arrives() {
        for cut in 0..TWO.len() {
            let (ahead, rest) = TWO.split_at(cut);
            let mut io = HttpIo::new(rest, ahead.to_vec(), Duration::from_secs(1)).by_heads();
            for head in [&TWO[..30], &TWO[30..57]] {
                let mut seen = Vec::new();
                while seen.len() < head.len() {
                    seen.extend(read(&mut io).await);
                }
                assert_eq!(seen, head, "cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn what_belongs_to_the_answered_request_is_given_whole() {
        let mut io = HttpIo::new(TWO, Vec::new(), Duration::from_secs(1)).by_heads();
        assert_eq!(read(&mut io).await, TWO[..30]);
        let _asked = io.clock().head_ended();
        assert_eq!(read(&mut io).await, TWO[30..], "it may be a body");
    }

    #[tokio::test]
    async fn while_a_stream_goes_on_only_the_end_is_seen_and_no_more_than_so_much_is_read() {
        let mut io = HttpIo::new(TWO, TWO.to_vec(), Duration::from_secs(1)).by_heads();
        io.clock().streams(None);
        assert_eq!(read(&mut io).await, b"");
        let too_much = vec![b'x'; THROWN_AWAY_MAX + 1];
        let mut io = HttpIo::new(too_much.as_slice(), Vec::new(), Duration::from_secs(1)).by_heads();
        io.clock().streams(None);
        assert!(io.read(&mut [0; 256]).await.is_err());
    }
}
