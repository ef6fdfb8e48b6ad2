//! The hub's own blocks on the wire: opening, gap, closing event. Each is one chunk, ready to be written.

use std::time::Duration;

use watertight_core::{CloseReason, Gap, Position};
use watertight_wire::{Encoder, EventType};

use crate::hub::id_of;

/// What a stream begins with: a comment that makes proxies and clients see it open, when to come back, and
/// where it stands, so that a client can resume even before its first event. If a gap comes first, it tells the
/// position: a client that is cut off before it has received the gap must not resume behind it.
pub(crate) fn opening(encoder: &mut Encoder, retry: Duration, start: Position, gap: Option<&Gap>) -> Vec<u8> {
    let retry_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
    let block = encoder.block().comment("watertight").retry(retry_ms);
    match gap {
        None => block.id(id_of(&start.text())).finish().to_vec(),
        Some(_) => block.finish().to_vec(),
    }
}

/// A `gap` event. Its id is the position after the gap: resuming from it repeats nothing.
pub(crate) fn gap_block<'a>(encoder: &'a mut Encoder, gap: &Gap) -> &'a [u8] {
    let text = gap.to.text();
    encoder.block().id(id_of(&text)).event(&event_type("gap")).data(&gap.to_json()).finish()
}

/// Why the hub closes a stream, and when to come back if that makes sense.
pub(crate) fn closing_event(encoder: &mut Encoder, reason: CloseReason, retry: Duration) -> &[u8] {
    let retry_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
    let block = encoder.block().event(&event_type("error")).data(&reason.to_json());
    if reason.may_return() { block.retry(retry_ms).finish() } else { block.finish() }
}

#[expect(clippy::expect_used, reason = "two literals without line breaks")]
fn event_type(name: &'static str) -> EventType {
    EventType::new(name).expect("a literal without line breaks")
}
