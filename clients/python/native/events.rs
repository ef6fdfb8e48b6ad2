//! From the hub's frames to Python's events. Each is text as it is on the wire, so that a route of any framework can write
//! it, with its fields beside it. An event is made once for all readers of its session (`shelf.rs`).

use std::ops::ControlFlow;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use watertight::{CloseReason, Gap};
use watertight_core::{Frame, Piece};
use watertight_wire::{Item, Limits, Parser};

use crate::shelf::Lease;

/// What an event of Python takes beside its text, which is there twice: on the wire, and its data.
const EVENT_OVERHEAD_BYTES: usize = 360;

static EVENT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static GAP: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static END: PyOnceLock<Py<PyType>> = PyOnceLock::new();

const MODULE: &str = "watertight_sse.hub._events";
const EVENT_NAME: &str = "QueueEvent";
const GAP_NAME: &str = "QueueGap";
const END_NAME: &str = "QueueEnd";

/// What a reader is given next.
#[derive(Debug)]
pub(crate) enum Taken {
    Piece(Piece),
    /// The hub ends the stream; when to come back, in milliseconds.
    End(CloseReason, u64),
}

/// What an event takes in Python, bytes, at most.
fn cost(frame: &Frame) -> usize {
    2 * frame.event().len() + EVENT_OVERHEAD_BYTES
}

/// Python's object for what a reader has taken, and what it takes of memory of its own.
pub(crate) fn object(py: Python<'_>, taken: &Taken, lease: &Lease) -> PyResult<(Py<PyAny>, usize)> {
    match taken {
        Taken::Piece(Piece::Event(sequence, frame)) => {
            lease.event(py, *sequence, || Ok((of_frame(py, frame)?, cost(frame))))
        }
        Taken::Piece(Piece::Gap(gap)) => Ok((of_gap(py, gap)?, 0)),
        Taken::End(reason, retry_ms) => Ok((of_end(py, *reason, *retry_ms)?, 0)),
    }
}

fn of_frame(py: Python<'_>, frame: &Frame) -> PyResult<Py<PyAny>> {
    let created_at = frame.created_at().as_secs_f64();
    // The hub's own encoder wrote it: it is UTF-8.
    let wire = String::from_utf8_lossy(frame.event());
    let mut made = None;
    let mut parser = Parser::new(Limits { max_event_bytes: frame.event().len() + 1 });
    let parsed = parser.feed(frame.event(), &mut |item| {
        if let Item::Event { id, event_type, data } = item {
            made = Some(
                Fields { id, event_type, data, created_at: Some(created_at) }
                    .object(py, &EVENT, EVENT_NAME, &wire),
            );
        }
        ControlFlow::Continue(())
    });
    match made {
        Some(made) => Ok(made?.unbind()),
        None => {
            Err(pyo3::exceptions::PyRuntimeError::new_err(format!("a frame without an event: {parsed:?}")))
        }
    }
}

/// What all of them have. Made without running any code of Python's: a thread that runs such code can lose the
/// interpreter's lock there, and is ended where it stands if the interpreter ends meanwhile, with native frames below it.
struct Fields<'a> {
    id: &'a str,
    event_type: &'a str,
    data: &'a str,
    created_at: Option<f64>,
}

impl Fields<'_> {
    fn object<'py>(
        &self,
        py: Python<'py>,
        class: &PyOnceLock<Py<PyType>>,
        name: &str,
        wire: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let object = class.import(py, MODULE, name)?.call1((wire,))?;
        object.setattr(intern!(py, "id"), self.id)?;
        object.setattr(intern!(py, "type"), self.event_type)?;
        object.setattr(intern!(py, "data"), self.data)?;
        object.setattr(intern!(py, "created_at"), self.created_at)?;
        Ok(object)
    }
}

fn of_gap(py: Python<'_>, gap: &Gap) -> PyResult<Py<PyAny>> {
    let json = gap.to_json();
    let (first, last) = (gap.from.map(|from| from.to_string()), gap.to.to_string());
    let wire = format!("id: {last}\nevent: gap\ndata: {json}\n\n");
    let fields = Fields { id: &last, event_type: "gap", data: &json, created_at: None };
    let object = fields.object(py, &GAP, GAP_NAME, &wire)?;
    object.setattr(intern!(py, "first"), first)?;
    object.setattr(intern!(py, "last"), &last)?;
    object.setattr(intern!(py, "missed"), gap.missed)?;
    object.setattr(intern!(py, "reason"), gap.reason.name())?;
    Ok(object.unbind())
}

fn of_end(py: Python<'_>, reason: CloseReason, retry_ms: u64) -> PyResult<Py<PyAny>> {
    let json = reason.to_json();
    let retry = if reason.may_return() { format!("retry: {retry_ms}\n") } else { String::new() };
    let wire = format!("event: error\ndata: {json}\n{retry}\n");
    let fields = Fields { id: "", event_type: "error", data: &json, created_at: None };
    let object = fields.object(py, &END, END_NAME, &wire)?;
    object.setattr(intern!(py, "code"), reason.code())?;
    object.setattr(intern!(py, "message"), reason.message())?;
    object.setattr(intern!(py, "can_return"), reason.may_return())?;
    Ok(object.unbind())
}

/// Looks for the classes now: later, no code of Python's is to run.
pub(crate) fn find_classes(py: Python<'_>) -> PyResult<()> {
    EVENT.import(py, MODULE, EVENT_NAME)?;
    GAP.import(py, MODULE, GAP_NAME)?;
    END.import(py, MODULE, END_NAME)?;
    Ok(())
}
