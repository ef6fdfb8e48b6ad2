//! The body of a request on HTTP/1. It tells the connection when more of it is waited for: a peer that has closed its
//! side then has left; if its request is complete it only waits for the answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::phase::HeadClock;

/// A body that is not complete yet.
#[derive(Debug)]
pub(super) struct AwaitedBody {
    pub(super) body: Incoming,
    pub(super) clock: HeadClock,
}

impl Body for AwaitedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() {
            self.clock.body_waits(context);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
