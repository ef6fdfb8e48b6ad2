//! A subscription that Python reads, in pieces: what has come since is taken in one call, up to a limit.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use watertight::{CloseReason, Hub, ReadLimit, Subscription};
use watertight_core::{Owner, Permit, Piece};

use crate::events::{Taken, object};
use crate::process::OfProcess;
use crate::shelf::{Lease, Shelf};
use crate::waiting::{ThreadWaker, wait_for};

/// What one call takes at most, but one event always: so much is given out and not read yet, where a reader stalls.
const TAKEN_MAX: ReadLimit = ReadLimit { events: 64, bytes: 64 * 1024 };

/// Who reads.
#[derive(Debug)]
pub(crate) enum ReadBy {
    /// A task: this wakes its loop.
    Task(Waker),
    /// A thread, in [`Reader::wait`].
    Thread(Arc<ThreadWaker>),
}

#[derive(Debug)]
struct Open {
    subscription: Subscription,
    /// What was there when it was opened, of which nothing was given out yet.
    first: Option<Piece>,
    lease: Arc<Lease>,
    /// For what was given out by the last call, and may not have been read yet.
    given_out: Option<Permit>,
}

#[derive(Debug)]
struct State {
    /// `None`: over; everything was given back.
    open: Option<Open>,
    /// Why the hub ended it.
    reason: Option<CloseReason>,
    /// The base of when to come back.
    retry: Duration,
}

/// A cursor in a session's log. Closing it gives everything back, and so does forgetting it.
#[pyclass(frozen, module = "watertight_sse._hub")]
#[derive(Debug)]
pub(crate) struct Reader {
    /// Locked for as long as it takes to look at the log; never while Python's code runs.
    state: Mutex<OfProcess<State>>,
    waker: Waker,
    thread: Option<Arc<ThreadWaker>>,
    start: String,
    has_gap: bool,
}

impl Reader {
    /// It counts as a reader from here on: publishers wait for it, although Python has asked for nothing yet.
    pub(crate) fn new(hub: &Hub, mut subscription: Subscription, shelf: &Arc<Shelf>, by: ReadBy) -> Reader {
        let start = subscription.start().to_string();
        let has_gap = subscription.gaps().next().is_some();
        let lease = Arc::new(shelf.lease(subscription.session(), subscription.start(), hub.budget()));
        let (waker, thread) = match by {
            ReadBy::Task(waker) => (waker, None),
            ReadBy::Thread(thread) => (Waker::from(Arc::clone(&thread)), Some(thread)),
        };
        // If it has ended, that is told again when it is asked.
        let first = match subscription.poll_piece(&mut Context::from_waker(&waker)) {
            Poll::Ready(piece) => piece.ok(),
            Poll::Pending => None,
        };
        let open = Some(Open { subscription, first, lease, given_out: None });
        let state = State { open, reason: None, retry: hub.config().retry };
        Reader { state: Mutex::new(OfProcess::new(state)), waker, thread, start, has_gap }
    }

    /// What is there, as Python's objects; `None`: it is over, and everything was given out before.
    fn look(&self, py: Python<'_>) -> PyResult<Option<Vec<Py<PyAny>>>> {
        let (taken, lease, over) = {
            let mut state = self.state.lock();
            let state = state.get_mut()?;
            let Some(open) = &mut state.open else { return Ok(None) };
            open.given_out = None;
            let lease = Arc::clone(&open.lease);
            let mut pieces: Vec<Piece> = open.first.take().into_iter().collect();
            let mut context = Context::from_waker(&self.waker);
            let polled = open.subscription.poll_pieces(&mut context, TAKEN_MAX, &mut pieces);
            let mut taken: Vec<Taken> = pieces.into_iter().map(Taken::Piece).collect();
            let mut over = None;
            if let Poll::Ready(Err(reason)) = polled {
                state.reason = Some(reason);
                taken.push(Taken::End(reason, jittered_ms(state.retry)));
                over = state.open.take();
            }
            (taken, lease, over)
        };
        drop(over);
        let mut objects = Vec::with_capacity(taken.len());
        let mut own_bytes = 0;
        for taken in &taken {
            let (object, bytes) = object(py, taken, &lease)?;
            objects.push(object);
            own_bytes += bytes;
        }
        self.charge(own_bytes)?;
        Ok(Some(objects))
    }

    /// Charges what was given out.
    fn charge(&self, bytes: usize) -> PyResult<()> {
        if bytes > 0
            && let Some(open) = &mut self.state.lock().get_mut()?.open
        {
            open.given_out = Some(open.lease.budget().charge(Owner::Subscribers, bytes));
        }
        Ok(())
    }
}

/// 50 to 150 % of the base: those who are cut off together do not come back together.
fn jittered_ms(base: Duration) -> u64 {
    let base = u64::try_from(base.as_millis()).unwrap_or(u64::MAX);
    base / 2 + fastrand::u64(0..=base)
}

#[pymethods]
impl Reader {
    /// What has come since: events, gaps, and as the last why the hub ended it. Empty: nothing yet (whoever reads is
    /// woken), or it is over.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let objects = self.look(py)?.unwrap_or_default();
        Ok(PyList::new(py, objects)?.unbind())
    }

    /// The same, waiting for something outside of the interpreter's lock. Empty: `timeout` seconds have passed, or it is
    /// over. For readers of threads only.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyList>> {
        let thread = self.thread.as_ref();
        let thread =
            thread.ok_or_else(|| PyRuntimeError::new_err("this reader is a task's, not a thread's"))?;
        let found = wait_for(py, thread, timeout, || {
            Ok(match self.look(py)? {
                None => Some(Vec::new()),
                Some(objects) if objects.is_empty() => None,
                Some(objects) => Some(objects),
            })
        })?;
        Ok(PyList::new(py, found.unwrap_or_default())?.unbind())
    }

    /// Gives everything back, and wakes whoever waits. Again, or of the parent's: nothing.
    fn close(&self) -> PyResult<()> {
        let Some(open) = self.state.lock().here_mut().map(|state| state.open.take()) else { return Ok(()) };
        let was_open = open.is_some();
        drop(open);
        if was_open {
            self.waker.wake_by_ref();
        }
        Ok(())
    }

    /// Whether there will be no more.
    #[getter]
    fn is_over(&self) -> PyResult<bool> {
        Ok(self.state.lock().get()?.open.is_none())
    }

    /// The code of why the hub ended it; `None`: it has not.
    #[getter]
    fn code(&self) -> PyResult<Option<&'static str>> {
        Ok(self.state.lock().get()?.reason.map(CloseReason::code))
    }

    /// The position at which it began.
    #[getter]
    fn start(&self) -> &str {
        &self.start
    }

    /// What a stream of it begins with: when to come back, and where it stands, so that a client can resume before its
    /// first event. If a gap comes first, that tells the position.
    fn opening(&self) -> PyResult<String> {
        let retry_ms = jittered_ms(self.state.lock().get()?.retry);
        Ok(match self.has_gap {
            true => format!(": watertight\nretry: {retry_ms}\n\n"),
            false => format!(": watertight\nretry: {retry_ms}\nid: {}\n\n", self.start),
        })
    }
}
