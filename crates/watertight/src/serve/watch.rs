//! Watches the streams of a connection that are bodies: a body is not polled while its reader stalls, so no
//! timer in it can end it. This one is beside it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::Response;
use parking_lot::Mutex;
use tokio::sync::Notify;
use watertight_core::CloseReason;

use crate::body::StreamHandle;
use crate::hub::Hub;
use crate::subscription::TaskRecord;

/// Streams of one connection. Bounded by the streams a connection may have.
#[derive(Debug, Default)]
struct Watched {
    streams: Mutex<Vec<Weak<TaskRecord>>>,
    came: Notify,
}

/// The watch over one connection.
#[derive(Debug, Clone)]
pub(super) struct StreamWatch {
    hub: Hub,
    watched: Arc<Watched>,
}

impl StreamWatch {
    pub(super) fn new(hub: &Hub) -> StreamWatch {
        StreamWatch { hub: hub.clone(), watched: Arc::default() }
    }

    /// Watches the stream in `response`, if it is one.
    pub(super) fn note<B>(&self, response: &Response<B>) {
        let Some(handle) = response.extensions().get::<StreamHandle>() else { return };
        let record = handle.peek(|subscription| Arc::downgrade(subscription.record()));
        if let Some(record) = record {
            let mut streams = self.watched.streams.lock();
            streams.retain(|stream| stream.strong_count() > 0);
            streams.push(record);
            self.watched.came.notify_one();
        }
    }

    /// Completes when a stream has had something to read for the whole write deadline and did not read it:
    /// the connection is to be dropped. Sleeps until the first stream comes.
    pub(super) async fn stalled(&self) {
        self.watched.came.notified().await;
        let deadline = self.hub.config().write_deadline;
        let look_every = (deadline / 8).max(Duration::from_millis(50));
        let mut suspected = false;
        loop {
            tokio::time::sleep(look_every).await;
            let stalls = self.find_stalled(deadline).is_some();
            // Twice in a row: after a pause of the whole process everybody looks stalled until they had a turn.
            if stalls && suspected {
                self.end_stalled(deadline);
                return;
            }
            suspected = stalls;
        }
    }

    /// Notes that the connection failed; a stream that waited for its peer all the write deadline was slow.
    pub(super) fn note_failure(&self, error: &hyper::Error) {
        let source =
            std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
        if source.is_some_and(|source| source.kind() == std::io::ErrorKind::TimedOut) {
            self.end_stalled(Duration::ZERO);
        }
    }

    fn find_stalled(&self, deadline: Duration) -> Option<Arc<TaskRecord>> {
        let now = self.hub.clock().now();
        let mut streams = self.watched.streams.lock();
        streams.retain(|stream| stream.strong_count() > 0);
        streams.iter().filter_map(Weak::upgrade).find(|stream| stream.is_stalled(now, deadline))
    }

    fn end_stalled(&self, deadline: Duration) {
        if let Some(stream) = self.find_stalled(deadline)
            && stream.close(CloseReason::SlowConsumer)
        {
            self.hub.counters().slow_consumers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
