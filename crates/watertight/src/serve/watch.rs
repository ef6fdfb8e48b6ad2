//! Watches the streams of a connection that are bodies: a body is not polled while its reader stalls, so the
//! connection learns of a stream's end here. Only the stream's [`Life`](watertight_core::Life) decides when
//! that is.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Response;
use parking_lot::Mutex;
use tokio::sync::Notify;
use watertight_core::{CloseReason, End};

use crate::body::StreamHandle;
use crate::hub::Hub;
use crate::subscription::TaskRecord;

/// Streams of one connection. Bounded by the streams a connection may have.
#[derive(Debug, Default)]
struct Watched {
    /// Those that the watch has not taken yet.
    new: Mutex<Vec<Arc<TaskRecord>>>,
    /// All that live.
    all: Mutex<Vec<Weak<TaskRecord>>>,
    came: Notify,
}

/// The watch over one connection.
#[derive(Debug, Clone)]
pub(super) struct StreamWatch {
    closing_grace: Option<Duration>,
    watched: Arc<Watched>,
}

impl StreamWatch {
    /// The watch over an HTTP/1 connection: a stream is its last answer, so after the closing event's grace the
    /// connection is closed.
    pub(super) fn of_http1(hub: &Hub) -> StreamWatch {
        StreamWatch { closing_grace: Some(hub.config().closing_grace), watched: Arc::default() }
    }

    /// The watch over an HTTP/2 connection, which goes on after a stream: each stream is watched by itself.
    pub(super) fn of_http2() -> StreamWatch {
        StreamWatch { closing_grace: None, watched: Arc::default() }
    }

    /// Watches the stream in `response`, if it is one.
    pub(super) fn note<B>(&self, response: &Response<B>) {
        if let Some(record) = record_of(response) {
            let mut all = self.watched.all.lock();
            all.retain(|record| record.strong_count() > 0);
            all.push(Arc::downgrade(&record));
            drop(all);
            if self.closing_grace.is_some() {
                self.watched.new.lock().push(record);
                self.watched.came.notify_one();
            }
        }
    }

    /// Completes when a stream was cut off, or was closed and its reader did not take the closing event in time:
    /// then the connection is to be dropped.
    pub(super) async fn stalled(&self) {
        let mut over = FuturesUnordered::new();
        loop {
            let new: Vec<_> = self.watched.new.lock().drain(..).collect();
            over.extend(new.into_iter().map(|record| must_go(record, self.closing_grace)));
            tokio::select! {
                () = self.watched.came.notified() => {}
                Some(must_go) = over.next(), if !over.is_empty() => {
                    if must_go {
                        return;
                    }
                }
            }
        }
    }
}

impl StreamWatch {
    /// A stream that took nothing has ended, which may be what kept the others from taking anything: they have so long, at
    /// least.
    pub(super) fn prolong(&self, by: Duration) {
        for record in self.watched.all.lock().iter().filter_map(Weak::upgrade) {
            record.prolong(by);
        }
    }

    /// The connection failed. If its peer took nothing for the whole write deadline, its streams were slow.
    pub(super) fn note_failure(&self, error: &hyper::Error) {
        let source =
            std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
        if source.is_some_and(|source| source.kind() == std::io::ErrorKind::TimedOut) {
            for record in self.watched.all.lock().drain(..).filter_map(|record| record.upgrade()) {
                record.end(End::CutOff(CloseReason::SlowConsumer));
            }
        }
    }
}

/// The record of the stream in `response`, if it is one that nobody has taken yet.
pub(super) fn record_of<B>(response: &Response<B>) -> Option<Arc<TaskRecord>> {
    let handle = response.extensions().get::<StreamHandle>()?;
    handle.peek(|subscription| Arc::clone(subscription.record()))
}

/// Waits for a stream's end; `true`: its connection has to be closed too, because its reader takes nothing.
pub(super) async fn must_go(record: Arc<TaskRecord>, closing_grace: Option<Duration>) -> bool {
    let end = record.ended().await;
    drop(record);
    match (end, closing_grace) {
        (End::CutOff(_), _) => true,
        // What was written last may still be on its way. A connection that ends by itself drops this future.
        (End::Closed(_), Some(grace)) => {
            tokio::time::sleep(grace).await;
            true
        }
        _ => false,
    }
}
