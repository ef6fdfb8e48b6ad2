//! From the hub's frames to Python's events. Each is text as it is on the wire, so that a route of any framework can write
//! it, with its fields beside it.
//!
//! An event is made once for all readers of its session that are in this process, not once for each: [`Recent`] keeps the
//! last ones for those who come a little later. It is there while the session has readers, bounded, and charged.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use watertight::{Budget, CloseReason, Gap, Session};
use watertight_core::{Frame, Owner, Permit, Piece};
use watertight_wire::{Item, Limits, Parser};

/// Events of a session that are kept for its other readers: as far as those are apart where they keep up.
const RECENT_EVENTS_MAX: usize = 1024;

/// Their bytes.
const RECENT_BYTES_MAX: usize = 1024 * 1024;

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
pub(crate) fn cost(frame: &Frame) -> usize {
    2 * frame.event().len() + EVENT_OVERHEAD_BYTES
}

/// Python's object for what a reader has taken, and what it takes of memory of its own.
pub(crate) fn object(py: Python<'_>, taken: &Taken, recent: &RecentLease) -> PyResult<(Py<PyAny>, usize)> {
    match taken {
        Taken::Piece(Piece::Event(sequence, frame)) => recent.event(py, *sequence, frame),
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

/// A session in one of its lives.
type Key = (Box<str>, u64);

/// The recent events of all sessions that have readers here.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<HashMap<Key, Arc<Recent>>>);

#[derive(Debug)]
struct Slot {
    event: Py<PyAny>,
    permit: Permit,
}

/// Side by side from `first` on.
#[derive(Debug, Default)]
struct Slots {
    first: u64,
    slots: VecDeque<Option<Slot>>,
    bytes: usize,
}

/// The recent events of one session.
#[derive(Debug)]
struct Recent {
    slots: Mutex<Slots>,
    budget: Arc<Budget>,
}

/// A reader's part in them; they go with the last.
#[derive(Debug)]
pub(crate) struct RecentLease {
    recent: Arc<Recent>,
    key: Key,
    shelf: Arc<Shelf>,
}

impl Shelf {
    pub(crate) fn lease(
        self: &Arc<Self>,
        session: &Session,
        epoch: u64,
        budget: &Arc<Budget>,
    ) -> RecentLease {
        let key: Key = (session.name().as_str().into(), epoch);
        let made = || Arc::new(Recent { slots: Mutex::default(), budget: Arc::clone(budget) });
        let recent = Arc::clone(self.0.lock().entry(key.clone()).or_insert_with(made));
        RecentLease { recent, key, shelf: Arc::clone(self) }
    }
}

impl Drop for RecentLease {
    fn drop(&mut self) {
        let mut shelf = self.shelf.0.lock();
        // The shelf's own, and this one.
        let last = (Arc::strong_count(&self.recent) <= 2).then(|| shelf.remove(&self.key));
        drop(shelf);
        // Python's objects, outside of the lock.
        drop(last);
    }
}

impl RecentLease {
    /// What the hub's bytes are charged to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.recent.budget
    }

    fn event(&self, py: Python<'_>, sequence: u64, frame: &Frame) -> PyResult<(Py<PyAny>, usize)> {
        let is_shared = Arc::strong_count(&self.recent) > 2;
        if !is_shared {
            return Ok((of_frame(py, frame)?, cost(frame)));
        }
        if let Some(event) = self.recent.find(py, sequence) {
            return Ok((event, 0));
        }
        // No lock is held while Python's code runs.
        let event = of_frame(py, frame)?;
        if cost(frame) > RECENT_BYTES_MAX {
            return Ok((event, cost(frame)));
        }
        self.recent.keep(py, sequence, &event, cost(frame));
        Ok((event, 0))
    }
}

impl Recent {
    fn find(&self, py: Python<'_>, sequence: u64) -> Option<Py<PyAny>> {
        let slots = self.slots.lock();
        let slot = slots.slots.get(slots.index_of(sequence)?)?.as_ref()?;
        Some(slot.event.clone_ref(py))
    }

    /// Keeps an event, if it is not older than those that are kept.
    fn keep(&self, py: Python<'_>, sequence: u64, event: &Py<PyAny>, bytes: usize) {
        let permit = self.budget.charge(Owner::Caches, bytes);
        let slot = Slot { event: event.clone_ref(py), permit };
        let gone = self.slots.lock().put(sequence, slot);
        // Python's objects, outside of the lock.
        drop(gone);
    }
}

impl Slots {
    fn index_of(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.first)?).ok()
    }

    /// What goes instead.
    fn put(&mut self, sequence: u64, slot: Slot) -> VecDeque<Option<Slot>> {
        let mut gone = VecDeque::new();
        let end = self.first + self.slots.len() as u64;
        if self.slots.is_empty() || sequence >= end + RECENT_EVENTS_MAX as u64 {
            gone = std::mem::take(&mut self.slots);
            (self.first, self.bytes) = (sequence, 0);
        }
        let Some(index) = self.index_of(sequence) else {
            gone.push_back(Some(slot));
            return gone;
        };
        while self.slots.len() <= index {
            self.slots.push_back(None);
        }
        self.bytes += slot.permit.bytes();
        if let Some(place) = self.slots.get_mut(index) {
            let before = place.replace(slot);
            self.bytes -= before.as_ref().map_or(0, |before| before.permit.bytes());
            gone.push_back(before);
        }
        while self.slots.len() > RECENT_EVENTS_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.slots.pop_front() else { break };
            self.first += 1;
            self.bytes -= oldest.as_ref().map_or(0, |oldest| oldest.permit.bytes());
            gone.push_back(oldest);
        }
        gone
    }
}
