//! The rules of a Watertight hub, without I/O.
//!
//! Nothing in this crate opens a socket, reads a clock, spawns a task or writes a log line. Time is an
//! argument ([`Tick`]), so a test, a model checker or a simulator can drive it at any speed.
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every limit, named, with its unit and its reason |
//! | [`time`] | [`Tick`]: milliseconds that only go forward |
//! | [`id`] | [`Epoch`], [`Position`]: where an event stands in its session's log |
//! | [`frame`] | [`Frame`]: one encoded event, shared by all who read it |
//! | [`log`] | [`Log`]: the bounded ring, and [`Cursor`]: a position in it |
//! | [`gap`] | [`Gap`]: what a subscriber missed, and why |
//! | [`gate`] | [`PublishGate`]: nothing is published once the hub has looked for the last time |
//! | [`session`] | [`Session`]: a named log and who reads it |
//! | [`source`] | [`SourceState`]: what feeds a session by itself: when it runs, waits, is given up |
//! | [`tombstones`] | [`Tombstones`]: that a session was forgotten after its end |
//! | [`registry`] | [`Registry`]: all sessions, striped, bounded |
//! | [`dirty`] | [`DirtyQueue`]: how a publisher tells a pump that a session has news |
//! | [`workplace`] | [`Workplace`]: a pump's state, on which a publisher works too while the pump does not |
//! | [`mailbox`] | the steps of publisher and pump at their shared edge, in the order that matters |
//! | [`access`] | [`Access`]: the right under which streams are open, shared by those of one token |
//! | [`life`] | [`Life`]: what is due for a stream, what ends it, how it ended |
//! | [`wheel`] | [`Wheel`]: the timers of many streams, O(1) each |
//! | [`table`] | [`Table`]: values by number, whose memory follows how many there are |
//! | [`prefetch`] | memory asked for before it is needed |
//! | [`ledger`] | [`Ledger`]: opened, closed and live of each kind of resource |
//! | [`budget`] | [`Budget`]: every byte that can grow, and the [`Ladder`] above its thresholds |

pub mod access;
pub mod budget;
pub mod dirty;
pub mod frame;
pub mod gap;
pub mod gate;
pub mod id;
pub mod ledger;
pub mod life;
pub mod limits;
pub mod log;
pub mod mailbox;
pub mod name;
pub mod prefetch;
pub mod registry;
pub mod session;
pub mod source;
pub mod sync;
pub mod table;
pub mod time;
pub mod tombstones;
pub mod wheel;
pub mod workplace;

pub use access::{
    Access, AccessError, AccessKey, AccessLease, AccessPolicy, AccessRegistry, Answer, Grant, NoAnswer,
    PendingAnswer, Question, Withdrawn,
};
pub use budget::{Budget, Exhausted, Ladder, Observer, Owner, Permit, Rung};
pub use dirty::DirtyQueue;
pub use frame::{Frame, frame_charge};
pub use gap::{Gap, GapReason};
pub use gate::PublishGate;
pub use id::{Epoch, Position};
pub use ledger::{Entry, Kind, Ledger};
pub use life::{CloseReason, ConnectionState, Delivery, Due, End, Finish, Life, Policy};
pub use log::{Cursor, EventCount, Expiry, Log, LogLimits, LogState, Piece, Resume, SessionEnd};
pub use name::{InvalidSessionName, SessionName};
pub use registry::{Registry, RegistryError};
pub use session::{Session, TaskSubscriber};
pub use source::{Attached, SourceInfo, SourcePhase, SourcePolicy, SourceState, SourceView, StartSource};
pub use table::Table;
pub use time::Tick;
pub use tombstones::Tombstones;
pub use wheel::Wheel;
pub use workplace::{Visit, Workplace};
