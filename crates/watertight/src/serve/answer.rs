//! The body of every answer, as hyper gets it: in bounded pieces, each tracked until the peer has taken its
//! last byte.
//!
//! hyper and h2 queue what a body gives them, and forget the body once it has ended. So no more than a few
//! pieces are given at a time, and a body does not end before its last piece was taken: an answer that is not
//! read can be seen, and what it holds stays charged until then.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

/// The largest piece that is given at a time.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
/// Given and not yet taken, at most.
const GIVEN_BYTES_MAX: usize = 2 * PIECE_BYTES;

/// Marks an answer whose body makes its pieces one by one, as they are taken: such a one holds no more than two
/// pieces, however long it is. Belongs into the response's extensions.
#[derive(Debug, Clone, Copy)]
pub struct MadeInPieces;

impl MadeInPieces {
    /// The largest piece such a body may make, bytes.
    pub const PIECE_BYTES: usize = PIECE_BYTES;

    /// What such an answer of `bytes` holds at most.
    pub(super) fn held(bytes: u64) -> u64 {
        bytes.min(GIVEN_BYTES_MAX as u64)
    }
}

/// How far an answer was taken. Shared by the body, its pieces and who watches them; dropped with the last.
#[derive(Debug)]
pub(super) struct Taken<G> {
    /// Given to hyper, and not taken by the peer's socket yet.
    given: AtomicUsize,
    /// Bytes taken so far.
    taken: AtomicU64,
    /// When it was made, and how many milliseconds after that something was taken last, or given while nothing waited.
    made: Instant,
    moved_ms: AtomicU64,
    /// Wakes the body when something was taken.
    body: AtomicWaker,
    /// What the answer holds until its last byte was taken.
    guards: G,
}

impl<G> Taken<G> {
    pub(super) fn new(guards: G) -> Arc<Taken<G>> {
        Arc::new(Taken {
            given: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            made: Instant::now(),
            moved_ms: AtomicU64::new(0),
            body: AtomicWaker::new(),
            guards,
        })
    }
}

impl<G> Taken<G> {
    /// What the answer holds.
    pub(super) fn guards(&self) -> &G {
        &self.guards
    }

    /// How much was taken so far, while something waits to be taken.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        let waits = self.given.load(Ordering::Acquire) > 0;
        waits.then(|| self.taken.load(Ordering::Relaxed))
    }

    /// For how long nothing was taken of what waits.
    pub(super) fn waits_for(&self) -> Duration {
        let moved = self.made + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed));
        Instant::now().saturating_duration_since(moved)
    }

    fn moved(&self) {
        let after = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(after, Ordering::Relaxed);
    }

    fn gave(&self, bytes: usize) {
        if self.given.fetch_add(bytes, Ordering::AcqRel) == 0 {
            self.moved();
        }
    }

    fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.moved();
        self.given.fetch_sub(bytes, Ordering::AcqRel);
        self.body.wake();
    }

    /// Ready when not more than `most` bytes are given and not taken.
    fn poll_at_most(&self, most: usize, context: &mut Context<'_>) -> Poll<()> {
        if self.given.load(Ordering::Acquire) <= most {
            return Poll::Ready(());
        }
        // Register before looking again: what is taken in between wakes us.
        self.body.register(context.waker());
        if self.given.load(Ordering::Acquire) <= most { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A piece of an answer: counted as taken byte by byte, as it is written.
#[derive(Debug)]
pub(super) struct AnswerPiece<G> {
    bytes: Bytes,
    taken: Arc<Taken<G>>,
}

impl<G> Buf for AnswerPiece<G> {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.taken.took(count);
    }
}

impl<G> Drop for AnswerPiece<G> {
    fn drop(&mut self) {
        let rest = self.bytes.len();
        if rest > 0 {
            self.taken.took(rest);
        }
    }
}

/// A body that gives its bytes piece by piece and ends when the last was taken.
#[derive(Debug)]
pub(super) struct AnswerBody<G> {
    body: Body,
    /// Come from the body and not given yet.
    rest: Bytes,
    /// The body has said that it is over.
    is_over: bool,
    taken: Arc<Taken<G>>,
}

impl<G> AnswerBody<G> {
    pub(super) fn new(body: Body, taken: Arc<Taken<G>>) -> AnswerBody<G> {
        AnswerBody { is_over: body.is_end_stream(), body, rest: Bytes::new(), taken }
    }

    fn piece(&mut self) -> Option<AnswerPiece<G>> {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        (!bytes.is_empty()).then(|| {
            self.taken.gave(bytes.len());
            AnswerPiece { bytes, taken: Arc::clone(&self.taken) }
        })
    }
}

impl<G> HttpBody for AnswerBody<G> {
    type Data = AnswerPiece<G>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        let this = &mut *self;
        loop {
            let most = if this.is_over && this.rest.is_empty() { 0 } else { GIVEN_BYTES_MAX - PIECE_BYTES };
            std::task::ready!(this.taken.poll_at_most(most, context));
            if let Some(piece) = this.piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
                // Trailers are not used here; a body of ours cannot fail.
                Some(Ok(frame)) => this.rest = frame.into_data().unwrap_or_default(),
                Some(Err(_)) | None => this.is_over = true,
            }
            this.is_over |= this.body.is_end_stream();
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.rest.is_empty() && self.taken.given.load(Ordering::Acquire) == 0
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(exact) = hint.exact() {
            hint.set_exact(exact + rest);
        } else {
            hint = SizeHint::new();
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(body: &mut AnswerBody<()>) -> Poll<Option<AnswerPiece<()>>> {
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        polled.map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap()))
    }

    fn answer(bytes: usize) -> (AnswerBody<()>, Arc<Taken<()>>) {
        let taken = Taken::new(());
        (AnswerBody::new(Body::from(vec![b'x'; bytes]), Arc::clone(&taken)), taken)
    }

    #[test]
    fn no_more_than_two_pieces_are_out_and_the_end_comes_when_the_last_byte_was_taken() {
        let (mut body, taken) = answer(3 * PIECE_BYTES);
        let Poll::Ready(Some(mut first)) = poll(&mut body) else { panic!("a piece") };
        let Poll::Ready(Some(second)) = poll(&mut body) else { panic!("a piece") };
        assert!(poll(&mut body).is_pending());
        first.advance(1);
        assert_eq!(taken.waiting_since(), Some(1), "each byte counts");
        assert!(poll(&mut body).is_pending());
        drop(first);
        let Poll::Ready(Some(third)) = poll(&mut body) else { panic!("a piece") };
        drop(second);
        assert!(poll(&mut body).is_pending() && !body.is_end_stream(), "the last piece is not taken yet");
        drop(third);
        assert!(matches!(poll(&mut body), Poll::Ready(None)) && body.is_end_stream());
        assert_eq!(
            (taken.waiting_since(), taken.taken.load(Ordering::Relaxed)),
            (None, 3 * PIECE_BYTES as u64)
        );
    }

    #[test]
    fn the_length_is_known_before_and_an_empty_body_has_ended() {
        let (body, _) = answer(5);
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
        let (body, _) = answer(0);
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    }
}
