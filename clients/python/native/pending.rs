//! What is not done yet: a publisher waits for its readers, or a hub stops. Its task polls it when the bell rings; a thread
//! waits for it. Forgetting it gives up the waiting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use watertight::{BatchError, Positions};

use crate::bell::{Bell, Ringer};
use crate::errors;
use crate::process::{OfProcess, outside};
use crate::waiting::{ThreadWaker, wait_for};

/// What becomes of it: where events stand (`None`: it was about no events), or why they were refused.
pub(crate) type Outcome = Result<Option<Positions>, BatchError>;

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Something that is not done yet.
#[pyclass(frozen, module = "watertight_sse._hub")]
pub(crate) struct Pending(Mutex<OfProcess<Option<Work>>>);

impl Pending {
    pub(crate) fn new(work: impl Future<Output = Outcome> + Send + 'static) -> Pending {
        Pending(Mutex::new(OfProcess::new(Some(Box::pin(work)))))
    }

    /// One poll, outside of the interpreter's lock. The work is taken out for it, so that no lock is held meanwhile.
    fn poll_with(&self, py: Python<'_>, waker: &Waker) -> PyResult<Option<Vec<String>>> {
        let work = self.0.lock().get_mut()?.take();
        let mut work =
            work.ok_or_else(|| PyRuntimeError::new_err("this is done, or somebody else waits for it"))?;
        let polled = outside(py, || {
            let polled = work.as_mut().poll(&mut Context::from_waker(waker));
            polled.map(|outcome| outcome.map(|positions| positions.map(ids)))
        })?;
        match polled {
            Poll::Ready(Ok(ids)) => Ok(Some(ids.unwrap_or_default())),
            Poll::Ready(Err(error)) => Err(errors::of_batch(&error)),
            Poll::Pending => {
                *self.0.lock().get_mut()? = Some(work);
                Ok(None)
            }
        }
    }
}

fn ids(positions: Positions) -> Vec<String> {
    positions.iter().map(|position| position.to_string()).collect()
}

#[pymethods]
impl Pending {
    /// The events' ids (none if it is about no events) if it is done; `None` if not: the bell rings with `number` when it
    /// is to be polled again.
    fn poll(&self, py: Python<'_>, bell: &Bell, number: u64) -> PyResult<Option<Py<PyList>>> {
        let done = self.poll_with(py, &Ringer::waker(bell.state()?, number))?;
        done.map(|ids| Ok(PyList::new(py, ids)?.unbind())).transpose()
    }

    /// Waits until it is done, outside of the interpreter's lock. `None`: `timeout` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyList>>> {
        let thread = Arc::new(ThreadWaker::default());
        let waker = Waker::from(Arc::clone(&thread));
        let done = wait_for(py, &thread, timeout, || self.poll_with(py, &waker))?;
        done.map(|ids| Ok(PyList::new(py, ids)?.unbind())).transpose()
    }
}
