//! The hub itself.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use watertight::{
    EndOptions, Event, EventType, Hub, HubConfig, PublishError, PublishOptions, Resume, StartError,
    SubscribeOptions, resume,
};

use crate::bell::{Bell, Ringer};
use crate::errors;
use crate::events;
use crate::figures;
use crate::pending::Pending;
use crate::process::{OfProcess, outside};
use crate::reader::{ReadBy, Reader};
use crate::server::PyServer;
use crate::shelf::Shelf;
use crate::waiting::ThreadWaker;

/// A type, a text and a time to live in seconds, as Python hands events in.
type Handed = (String, String, Option<f64>);

/// A hub with its threads. They end when it is closed and its readers are gone.
#[pyclass(frozen, name = "Hub", module = "watertight_sse._hub")]
#[derive(Debug)]
pub(crate) struct PyHub {
    /// `None`: closed.
    hub: Mutex<OfProcess<Option<Hub>>>,
    shelf: Arc<Shelf>,
}

impl PyHub {
    /// A handle, or why there is none any more.
    fn hub(&self) -> PyResult<Hub> {
        let hub = self.hub.lock().get()?.clone().ok_or_else(errors::shutting_down)?;
        self.shelf.tidy(&hub);
        Ok(hub)
    }
}

/// Seconds of Python.
fn seconds(key: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|error| {
        PyValueError::new_err(format!("{key} = {value}: {error}; a number of seconds would do"))
    })
}

fn event(event_type: &str, data: impl Into<Box<str>>, ttl: Option<f64>) -> PyResult<Event> {
    let event_type = EventType::new(event_type).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let ttl = ttl.map(|ttl| seconds("ttl", ttl)).transpose()?;
    Ok(Event { event_type, data: data.into(), ttl })
}

#[pymethods]
impl PyHub {
    /// Starts the threads. Raises `ValueError` for a figure that makes no sense, `OSError` if there is no room for a
    /// thread.
    #[new]
    #[pyo3(signature = (*, max_queue_size, max_history_per_session, event_ttl, session_ttl, cleanup_interval,
        max_subscriber_idle_time, memory_warning_bytes, memory_critical_bytes))]
    #[expect(clippy::too_many_arguments, reason = "named, in Python")]
    fn new(
        py: Python<'_>,
        max_queue_size: usize,
        max_history_per_session: usize,
        event_ttl: Option<f64>,
        session_ttl: f64,
        cleanup_interval: f64,
        max_subscriber_idle_time: f64,
        memory_warning_bytes: usize,
        memory_critical_bytes: usize,
    ) -> PyResult<PyHub> {
        events::find_classes(py)?;
        errors::find_class(py)?;
        let config = HubConfig {
            max_queue_size,
            max_history_per_session,
            event_ttl: event_ttl.map(|ttl| seconds("event_ttl", ttl)).transpose()?,
            session_ttl: seconds("session_ttl", session_ttl)?,
            cleanup_interval: seconds("cleanup_interval", cleanup_interval)?,
            max_subscriber_idle_time: seconds("max_subscriber_idle_time", max_subscriber_idle_time)?,
            memory_warning_bytes,
            memory_critical_bytes,
            ..HubConfig::default()
        };
        let hub = outside(py, || Hub::new(config))?.map_err(|error| match error {
            StartError::Config(error) => PyValueError::new_err(error.to_string()),
            StartError::Io(error) => {
                PyOSError::new_err((error.raw_os_error(), format!("no threads: {error}")))
            }
        })?;
        Ok(PyHub { hub: Mutex::new(OfProcess::new(Some(hub))), shelf: Arc::default() })
    }

    /// Appends an event. Its id, and what is to be waited for so that readers are not outrun.
    #[pyo3(signature = (session, event_type, data, ttl=None, reopen=false))]
    fn publish(
        &self,
        py: Python<'_>,
        session: &str,
        event_type: &str,
        data: &str,
        ttl: Option<f64>,
        reopen: bool,
    ) -> PyResult<(String, Option<Pending>)> {
        let (hub, event) = (self.hub()?, event(event_type, data, ttl)?);
        let options = PublishOptions { reopen, epoch: None };
        let (appended, is_paced) = outside(py, || {
            let name = hub.name(session).map_err(PublishError::from)?;
            let appended = hub.append_one(&name, &event, options)?;
            let is_paced = appended.is_paced();
            Ok((appended, is_paced))
        })?
        .map_err(|error| errors::of_publish(&error))?;
        let id = appended.positions().first().map(|position| position.to_string()).unwrap_or_default();
        let pending = (!is_paced).then(|| Pending::new(async move { Ok(Some(appended.paced().await)) }));
        Ok((id, pending))
    }

    /// Events in order, all or none, once they fit behind what readers have not read; then waits for readers.
    #[pyo3(signature = (session, events, reopen=false))]
    fn publish_batch(&self, session: String, events: Vec<Handed>, reopen: bool) -> PyResult<Pending> {
        let hub = self.hub()?;
        let events = events.into_iter().map(|(event_type, data, ttl)| event(&event_type, data, ttl));
        let events = events.collect::<PyResult<Vec<Event>>>()?;
        let options = PublishOptions { reopen, epoch: None };
        Ok(Pending::new(async move {
            let appended = hub.append_batch_with(&session, &events, options).await?;
            drop(events);
            Ok(Some(appended.paced().await))
        }))
    }

    /// Ends a session, after a last event if one is given; `keep`: for how many seconds its history is kept. The id of
    /// its last event.
    #[pyo3(signature = (session, last=None, keep=None))]
    fn end(
        &self,
        py: Python<'_>,
        session: &str,
        last: Option<Handed>,
        keep: Option<f64>,
    ) -> PyResult<String> {
        let hub = self.hub()?;
        let last = last.map(|(event_type, data, ttl)| event(&event_type, data, ttl)).transpose()?;
        let keep = keep.map(|keep| seconds("keep", keep)).transpose()?;
        let options = EndOptions { event: last, keep };
        let ended = outside(py, || hub.end_session(session, &options))?;
        Ok(ended.map_err(|error| errors::of_publish(&error))?.last.to_string())
    }

    /// Subscribes: to what comes after the id `after`, or with a `replay` (`all`, or a number), or to what comes from now
    /// on. With a bell it is a task's, without one a thread's.
    #[pyo3(signature = (session, after=None, replay=None, bell=None, number=0))]
    fn subscribe(
        &self,
        session: &str,
        after: Option<&str>,
        replay: Option<&str>,
        bell: Option<&Bell>,
        number: u64,
    ) -> PyResult<Reader> {
        let hub = self.hub()?;
        let resume = match (after, replay) {
            (Some(id), _) => resume::from_last_event_id(id.as_bytes()),
            (None, Some(replay)) => resume::from_replay(replay).ok_or_else(|| {
                PyValueError::new_err(format!("replay = {replay:?}: \"all\" or a number of events would do"))
            })?,
            (None, None) => Resume::Live,
        };
        let by = match bell {
            Some(bell) => ReadBy::Task(Ringer::waker(bell.state()?, number)),
            None => ReadBy::Thread(Arc::new(ThreadWaker::default())),
        };
        let subscription = hub.subscribe_with(session, resume, SubscribeOptions::default());
        let subscription = subscription.map_err(|error| errors::of_subscribe(&error))?;
        Ok(Reader::new(&hub, subscription, &self.shelf, by))
    }

    /// The figures now, and what the ledger and the budget say.
    fn stats(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        figures::of(py, &self.hub()?)
    }

    /// One whole cleanup pass, now.
    fn clean_up(&self, py: Python<'_>) -> PyResult<()> {
        let hub = self.hub()?;
        outside(py, || hub.clean_up())?;
        self.shelf.tidy(&hub);
        Ok(())
    }

    /// Opens the accept loop with these settings, which are the hub program's: `listen` and what is about requests,
    /// tokens and pages.
    fn serve(&self, py: Python<'_>, settings: Vec<(String, String)>) -> PyResult<PyServer> {
        PyServer::open(py, self.hub()?, &settings)
    }

    /// Stops it: no newcomers, no more events; readers read what there is and are told, those who do not after `grace`
    /// seconds at the latest.
    fn stop(&self, grace: f64) -> PyResult<Pending> {
        let (hub, grace) = (self.hub()?, seconds("grace", grace)?);
        Ok(Pending::new(async move {
            hub.shutdown(grace).await;
            Ok(None)
        }))
    }

    /// Whether it is another process's: this one is a child of it.
    #[getter]
    fn is_of_the_parent(&self) -> bool {
        self.hub.lock().get().is_err()
    }

    /// Lets go of it: its threads end. Again, or of the parent's: nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut hub = self.hub.lock().here_mut().and_then(Option::take);
        // Where nobody may leave the interpreter any more, it is dropped here: its threads never come to Python.
        let _ = outside(py, || drop(hub.take()));
        drop(hub);
        Ok(())
    }
}
