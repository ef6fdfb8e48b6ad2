//! Reading a head before hyper is there: into a small buffer of our own that is charged as it grows. So slow
//! and silent peers hold neither hyper's buffers nor a request's permit, however many they are.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::charge::{Allowance, Charge};
use super::http1::Deadline;
use super::io::HeadEnd;

/// What an HTTP/2 peer with prior knowledge begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes read at a time, on the stack.
const READ_BYTES: usize = 2048;
/// The buffer's first size; doubled as it fills.
const BUFFER_BYTES_MIN: usize = 512;

/// Which protocol the peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Why no head was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error("the peer left: {0}")]
    Left(#[from] io::Error),
    #[error("the peer asked nothing")]
    Silent,
    #[error("the head took too long")]
    Slow,
    #[error("the memory budget has no room for the head")]
    NoRoom,
}

impl HeadError {
    /// The reason that logs show.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            HeadError::Left(_) => "peer_closed",
            HeadError::Silent | HeadError::Slow => "head_timeout",
            HeadError::NoRoom => "no_room",
        }
    }
}

/// Bytes of a peer that are not parsed yet, from the first byte of a head on.
#[derive(Debug, Default)]
pub(super) struct HeadBuffer {
    bytes: Vec<u8>,
    end: HeadEnd,
    /// Bytes among which the end was looked for.
    seen: usize,
    /// For the buffer's capacity.
    charge: Option<Charge>,
}

/// How long a head may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadPatience {
    /// To its first byte.
    pub(super) first_byte: Duration,
    /// From its first byte to its last.
    pub(super) head: Duration,
}

impl HeadBuffer {
    /// A buffer that begins with bytes that were read before.
    pub(super) fn with(bytes: Vec<u8>) -> HeadBuffer {
        HeadBuffer { bytes, ..HeadBuffer::default() }
    }

    /// What was read.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes a request out; what is behind it is the beginning of the next.
    pub(super) fn consume(&mut self, length: usize) {
        self.bytes.drain(..length);
        (self.end, self.seen) = (HeadEnd::default(), 0);
    }

    /// Reads until there are `length` bytes in all. `false`: they do not come in time, or not at all.
    pub(super) async fn fill_to<S>(
        &mut self,
        length: usize,
        stream: &mut S,
        patience: Duration,
        allowance: &Allowance,
        shared: &Shared,
    ) -> bool
    where
        S: AsyncRead + Unpin,
    {
        let deadline = Instant::now() + patience;
        while self.bytes.len() < length {
            let read = std::future::poll_fn(|context| self.poll_some(stream, allowance, shared, context));
            if !matches!(timeout_at(deadline, read).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// What was read; whoever has it now charges it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Reads until the head is complete, or as large as a head may be: then hyper refuses it with its own
    /// answer. `timer`: of the connection, set when bytes have to be waited for, and left set behind that.
    pub(super) async fn fill<S>(
        &mut self,
        stream: &mut S,
        patience: HeadPatience,
        timer: &mut Deadline,
        (allowance, shared): (&Allowance, &Shared),
    ) -> Result<Protocol, HeadError>
    where
        S: AsyncRead + Unpin,
    {
        self.reserve(0, allowance, shared)?;
        let (mut deadline, mut has_begun) = (None, false);
        loop {
            if let Some(protocol) = self.complete(shared.limits.max_head_bytes) {
                return Ok(protocol);
            }
            // Empty lines are taken away by now: they are no beginning, and prolong nothing.
            if !has_begun && !self.bytes.is_empty() {
                (deadline, has_begun) = (None, true);
            }
            let late = || if has_begun { HeadError::Slow } else { HeadError::Silent };
            // Whoever sends without a pause is never waited for.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(late());
            }
            let patience = if has_begun { patience.head } else { patience.first_byte };
            std::future::poll_fn(|context| {
                if let Poll::Ready(read) = self.poll_some(stream, allowance, shared, context) {
                    return Poll::Ready(read);
                }
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
                timer.poll(Some(deadline), context).map(|()| Err(late()))
            })
            .await?;
        }
    }

    /// Which protocol this is, once that and the head are known.
    fn complete(&mut self, max_bytes: usize) -> Option<Protocol> {
        if self.seen == 0 && matches!(self.bytes.first(), Some(b'\r' | b'\n')) {
            // Empty lines before a request are skipped (RFC 9112, section 2.2).
            let blank = self.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.bytes.drain(..blank);
        }
        let some = self.bytes.len().min(PREFACE.len());
        if some > 0 && self.bytes[..some] == PREFACE[..some] {
            return (some == PREFACE.len()).then_some(Protocol::Http2);
        }
        let is_complete = self.end.find(&self.bytes[self.seen..]).is_some();
        self.seen = self.bytes.len();
        (is_complete || self.bytes.len() >= max_bytes).then_some(Protocol::Http1)
    }

    fn poll_some<S>(
        &mut self,
        stream: &mut S,
        allowance: &Allowance,
        shared: &Shared,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), HeadError>>
    where
        S: AsyncRead + Unpin,
    {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        if read.is_empty() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        }
        self.reserve(read.len(), allowance, shared)?;
        self.bytes.extend_from_slice(read);
        Poll::Ready(Ok(()))
    }

    /// Charges and makes room for so many more bytes.
    fn reserve(&mut self, more: usize, allowance: &Allowance, shared: &Shared) -> Result<(), HeadError> {
        let needed = self.bytes.len() + more;
        let is_charged = self.charge.is_some() || self.bytes.capacity() == 0;
        if needed <= self.bytes.capacity() && is_charged {
            return Ok(());
        }
        let capacity = needed.max(BUFFER_BYTES_MIN).next_power_of_two().max(self.bytes.capacity());
        // Charged for the new buffer before the old one is freed: both exist while bytes are copied.
        let charge = allowance.charge(shared, capacity).ok_or(HeadError::NoRoom)?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        self.charge = Some(charge);
        Ok(())
    }
}
