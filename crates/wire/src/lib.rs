//! `text/event-stream` both ways: encode an event once, parse a stream.
//!
//! No I/O, no clock, no thread, no `unsafe`. What is written here can always be read back: the encoder takes
//! only types that were validated ([`EventType`], [`EventId`]), so a field that injects another cannot be
//! written, and the parser takes any bytes at all, in chunks cut anywhere.
//!
//! The format is the one of the [HTML standard, "Server-sent events"][standard].
//!
//! ```
//! use std::ops::ControlFlow;
//! use watertight_wire::{Encoder, EventId, EventType, Item, Limits, Parser, unchunk};
//!
//! let mut encoder = Encoder::new();
//! let tick = EventType::new("tick")?;
//! let chunk = encoder.event(&tick, "one\ntwo").finish(EventId::new("e-7")?);
//! assert_eq!(chunk, b"29\r\nid: e-7\nevent: tick\ndata: one\ndata: two\n\n\r\n");
//!
//! let mut parser = Parser::new(Limits::default());
//! parser.feed(unchunk(chunk), &mut |item| {
//!     assert_eq!(item, Item::Event { id: "e-7", event_type: "tick", data: "one\ntwo" });
//!     ControlFlow::Continue(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every limit, named, with its unit and its reason |
//! | [`field`] | [`EventType`], [`EventId`]: what may stand in a field; [`InvalidField`]: what may not |
//! | [`chunk`] | the HTTP/1.1 chunk around an event; [`unchunk`]; the chunks that never change |
//! | [`encode`] | [`Encoder`] and [`Draft`]: an event, its id written last |
//! | [`block`] | [`Block`]: `retry`, comments and the other things a hub says beside events |
//! | [`parse`] | [`Parser`]: any bytes in, [`Item`]s out, bounded |
//!
//! [standard]: https://html.spec.whatwg.org/multipage/server-sent-events.html

pub mod block;
pub mod chunk;
pub mod encode;
pub mod field;
#[cfg(any(test, fuzzing, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
pub mod parse;

pub use block::Block;
pub use chunk::{
    HEARTBEAT, HEARTBEAT_CHUNK, LAST_CHUNK, SOURCE_BACK, SOURCE_BACK_CHUNK, WAITING, WAITING_CHUNK, unchunk,
};
pub use encode::{Draft, Encoder, encoded_len};
pub use field::{EventId, EventType, Field, InvalidField, Problem};
pub use limits::{MAX_EVENT_ID_BYTES, MAX_EVENT_TYPE_BYTES};
pub use parse::{Fed, Item, Limits, ParseError, Parser};
