//! Streams as bytes, cut in every way, and what is expected of them.
#![allow(dead_code, reason = "each test file uses its part of this")]

use std::ops::ControlFlow;

use watertight_wire::fuzzing::item::{Outcome, OwnedItem};
use watertight_wire::fuzzing::{parse_in_chunks, reference};
use watertight_wire::{Item, Limits, Parser};

pub(crate) const BOM: &str = "\u{FEFF}";

pub(crate) fn event(id: &str, event_type: &str, data: &str) -> OwnedItem {
    OwnedItem::Event { id: id.into(), event_type: event_type.into(), data: data.into() }
}

/// An event of type `message` before any id.
pub(crate) fn message(data: &str) -> OwnedItem {
    event("", "message", data)
}

pub(crate) fn comment(text: &str) -> OwnedItem {
    OwnedItem::Comment(text.into())
}

/// Parses a stream that stays open: whole, in chunks of one and of two bytes, cut anywhere, and with the
/// reference parser. All must come to the same, which is what it gives.
pub(crate) fn parse(wire: impl AsRef<[u8]>) -> Outcome {
    parse_within(wire, Limits::default())
}

/// The same within limits.
pub(crate) fn parse_within(wire: impl AsRef<[u8]>, limits: Limits) -> Outcome {
    let wire = wire.as_ref();
    let whole = parse_in_chunks(wire, limits, |_| wire.len());
    assert_eq!(parse_in_chunks(wire, limits, |_| 1), whole, "byte by byte");
    assert_eq!(parse_in_chunks(wire, limits, |_| 2), whole, "two bytes at a time");
    for seed in 0..32 {
        let anywhere = |at| 1 + scramble(seed * 1_000_003 + at) % 9;
        assert_eq!(parse_in_chunks(wire, limits, anywhere), whole, "cut anywhere, seed {seed}");
    }
    assert_eq!(reference::parse(wire, limits), whole, "the reference parser");
    whole
}

/// The data of the events in a stream that stays open, however it is cut.
pub(crate) fn data_of(wire: impl AsRef<[u8]>) -> Vec<String> {
    let events = parse(wire).items.into_iter().filter_map(|item| match item {
        OwnedItem::Event { data, .. } => Some(data),
        OwnedItem::Comment(_) | OwnedItem::Retry(_) => None,
    });
    events.collect()
}

/// Feeds a chunk and gives what it completed.
pub(crate) fn feed(parser: &mut Parser, chunk: impl AsRef<[u8]>) -> Vec<OwnedItem> {
    let mut items = Vec::new();
    let fed = parser.feed(chunk.as_ref(), &mut |item: Item<'_>| {
        items.push(OwnedItem::from(item));
        ControlFlow::Continue(())
    });
    assert_eq!(fed.map(|fed| fed.consumed), Ok(chunk.as_ref().len()));
    items
}

/// A number that looks random and is always the same.
fn scramble(number: usize) -> usize {
    let mixed = (number as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) as usize >> 33
}
