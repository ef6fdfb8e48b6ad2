//! Where a connection stands: whether a head is being read and since when, whether a request waits for its answer,
//! what was flushed. Shared between the stream (`io.rs`), the service and the connection's task.
//!
//! It times the head, because hyper has only one limit for the silence between requests and for the head, and these
//! are two deadlines here.

use std::io::IoSlice;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::subscription::TaskRecord;

#[derive(Debug, Default)]
struct Phase {
    /// When the first byte of the next head came.
    head_since: Option<Instant>,
    /// A request is being answered.
    answering: bool,
    /// The answer is a stream: whatever the peer sends from now on is ignored.
    streaming: bool,
    stream: Option<Weak<TaskRecord>>,
    /// Everything that was written was flushed.
    flushed: bool,
    /// Requests whose answer was not taken whole.
    asked: usize,
    /// An answer of ours may still be in hyper's buffer.
    owes: bool,
    /// What hyper answered by itself to what it could not read.
    refused: Option<StatusCode>,
    /// The request waits for something that may never come: its peer's end is its own.
    waits: bool,
    /// The peer has closed its side, and hyper was not told.
    end_is_kept_back: bool,
    /// It has to be told: the body is not complete.
    end_is_due: bool,
    /// Wakes hyper to read again, and whoever waits for the body.
    reader: Option<Waker>,
    body: Option<Waker>,
}

/// The clock of a connection's heads, and its phase. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct HeadClock {
    phase: Arc<Mutex<Phase>>,
    timeout: Duration,
}

/// A request that waits for its answer, until the last byte of that was taken.
#[derive(Debug)]
pub(super) struct Asked(HeadClock);

impl HeadClock {
    pub(super) fn new(timeout: Duration) -> HeadClock {
        let phase = Phase { flushed: true, ..Phase::default() };
        HeadClock { phase: Arc::new(Mutex::new(phase)), timeout }
    }

    /// A head is complete; the next one is not expected before the answer is given.
    pub(super) fn head_ended(&self) -> Asked {
        let mut phase = self.phase.lock();
        phase.head_since = None;
        phase.answering = true;
        phase.asked += 1;
        phase.owes = true;
        Asked(self.clone())
    }

    /// The answer's head was given.
    pub(super) fn answered(&self) {
        self.phase.lock().answering = false;
    }

    /// The answer is a stream, and the connection's last. Its record counts what the peer still sends.
    pub(super) fn streams(&self, record: Option<Arc<TaskRecord>>) {
        let mut phase = self.phase.lock();
        phase.streaming = true;
        phase.stream = record.as_ref().map(Arc::downgrade);
        wake(&mut phase.reader);
    }

    /// The request waits from now on, or no longer, for something that may never come: then a peer that has closed
    /// its side has left.
    pub(super) fn waits(&self, waits: bool) {
        let mut phase = self.phase.lock();
        phase.waits = waits;
        wake(&mut phase.reader);
    }

    /// The peer sent so many bytes behind its request.
    pub(super) fn received(&self, bytes: usize) {
        let stream = self.phase.lock().stream.as_ref().and_then(Weak::upgrade);
        if let Some(stream) = stream {
            stream.with_life(|life| life.received(bytes));
        }
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.phase.lock().streaming
    }

    pub(super) fn is_answering(&self) -> bool {
        self.phase.lock().answering
    }

    /// When the head that is being read must be complete.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.phase.lock().head_since.map(|since| since + self.timeout)
    }

    /// Whether nothing that was written before waits to be sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.phase.lock().flushed
    }

    /// What hyper answered by itself, and was not written.
    pub(super) fn refused(&self) -> Option<StatusCode> {
        self.phase.lock().refused
    }

    /// Bytes of the peer were given to hyper.
    pub(super) fn read_some(&self) {
        let mut phase = self.phase.lock();
        if !phase.answering && phase.head_since.is_none() {
            phase.head_since = Some(Instant::now());
        }
    }

    /// hyper writes. `false`: nobody has asked, so this is its own answer to what it cannot read, and is not to be
    /// written.
    pub(super) fn writes(&self, runs: &[IoSlice<'_>]) -> bool {
        let mut phase = self.phase.lock();
        if phase.asked > 0 || phase.owes {
            phase.flushed = false;
            return true;
        }
        // Its status line is "HTTP/1.1 400 Bad Request".
        let line = runs.iter().find(|run| !run.is_empty()).and_then(|run| run.get(9..12));
        let status = line.and_then(|digits| StatusCode::from_bytes(digits).ok());
        phase.refused = phase.refused.or(status).or(Some(StatusCode::BAD_REQUEST));
        false
    }

    /// Everything that hyper had was written.
    pub(super) fn flushed(&self) {
        let mut phase = self.phase.lock();
        phase.flushed = true;
        phase.owes = phase.asked > 0;
    }

    /// The peer has closed its side. `true`: it may have sent all it had to, and waits for the answer; hyper, which
    /// would give the connection up, is told when the answer was taken, or when more of the body is asked for.
    pub(super) fn keeps_end_back(&self, context: &Context<'_>) -> bool {
        let mut phase = self.phase.lock();
        if phase.asked == 0 || phase.streaming || phase.waits || phase.end_is_due {
            return false;
        }
        phase.end_is_kept_back = true;
        phase.reader = Some(context.waker().clone());
        wake(&mut phase.body);
        true
    }

    /// There is no more of a body that is not complete. It is waited for, unless nothing more can come.
    pub(super) fn body_waits(&self, context: &Context<'_>) {
        let mut phase = self.phase.lock();
        if phase.end_is_kept_back {
            phase.end_is_due = true;
            wake(&mut phase.reader);
        } else {
            phase.body = Some(context.waker().clone());
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut phase = self.0.phase.lock();
        phase.asked -= 1;
        wake(&mut phase.reader);
    }
}
