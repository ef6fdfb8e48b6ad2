//! Errors of the hub as Python's, with the codes that the HTTP API has for them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use watertight::{AccessError, BatchError, PublishError, SubscribeError};

static HUB_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

const MODULE: &str = "watertight_sse.hub._errors";

/// Looks for the class now: later, no code of Python's is to run (see `events.rs`).
pub(crate) fn find_class(py: Python<'_>) -> PyResult<()> {
    HUB_ERROR.import(py, MODULE, "HubError").map(drop)
}

/// A `watertight_sse.hub.HubError`. Its class has no code of its own to make it.
pub(crate) fn hub_error(code: &'static str, can_retry: bool, detail: impl Into<String>) -> PyErr {
    let detail = detail.into();
    Python::attach(|py| match HUB_ERROR.import(py, MODULE, "HubError") {
        Ok(class) => match class.call1((detail, code, can_retry)) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        },
        Err(error) => error,
    })
}

/// Nothing is done any more.
pub(crate) fn shutting_down() -> PyErr {
    hub_error("SHUTTING_DOWN", false, "the hub is shutting down")
}

/// Nobody leaves the interpreter any more.
pub(crate) fn process_ends() -> PyErr {
    hub_error(
        "SHUTTING_DOWN",
        false,
        "the process ends: its hub ends with its main thread, before other threads do",
    )
}

pub(crate) fn of_publish(error: &PublishError) -> PyErr {
    let (code, can_retry) = match error {
        PublishError::Name(_) => ("INVALID_SESSION_NAME", false),
        PublishError::TooLarge { .. } => ("EVENT_TOO_LARGE", false),
        PublishError::BatchTooLarge { .. } => ("BATCH_TOO_LARGE", false),
        PublishError::Reserved(_) => ("RESERVED_EVENT_TYPE", false),
        PublishError::Sessions(_) => ("TOO_MANY_SESSIONS", true),
        PublishError::Memory(_) => ("OVERLOADED", true),
        PublishError::SessionEnded => ("SESSION_ENDED", false),
        PublishError::EpochChanged { .. } => ("EPOCH_CHANGED", false),
        PublishError::ShuttingDown => ("SHUTTING_DOWN", false),
        PublishError::Randomness(_) => ("INTERNAL", false),
    };
    hub_error(code, can_retry, error.to_string())
}

pub(crate) fn of_batch(error: &BatchError) -> PyErr {
    match error.index {
        None => of_publish(&error.error),
        Some(index) => {
            let raised = of_publish(&error.error);
            Python::attach(|py| {
                // Which of the events it was. An exception takes any attribute.
                let _ = raised.value(py).setattr("index", index);
            });
            raised
        }
    }
}

pub(crate) fn of_subscribe(error: &SubscribeError) -> PyErr {
    let (code, can_retry) = match error {
        SubscribeError::Name(_) => ("INVALID_SESSION_NAME", false),
        SubscribeError::Sessions(_) => ("TOO_MANY_SESSIONS", true),
        SubscribeError::Access(AccessError::TooManyStreams(_)) => ("TOO_MANY_STREAMS", true),
        SubscribeError::Memory(_) | SubscribeError::Overloaded | SubscribeError::Access(_) => {
            ("OVERLOADED", true)
        }
        SubscribeError::SourceBroken { .. } => ("CIRCUIT_OPEN", true),
        SubscribeError::ShuttingDown => ("SHUTTING_DOWN", false),
        SubscribeError::Randomness(_) => ("INTERNAL", false),
    };
    hub_error(code, can_retry, error.to_string())
}
