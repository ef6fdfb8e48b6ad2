//! What the fuzz targets run, also run by ordinary tests: not part of the crate's interface.
//!
//! Each function takes any bytes at all and panics where a promise is broken.

pub mod item;
pub mod reference;

use std::ops::ControlFlow;

use crate::{Encoder, EventId, EventType, Item, Limits, ParseError, Parser, encoded_len, unchunk};
use item::{Outcome, OwnedItem};

/// Checks that a stream parses the same however it is cut, and as the reference parser has it.
///
/// The first byte chooses the limit, the second how the stream is cut; the rest is the stream.
pub fn fuzz_parser(input: &[u8]) {
    let [limit, cut, stream @ ..] = input else { return };
    // A quarter of all runs meet a limit soon, the others hardly ever.
    let max_event_bytes = if *limit < 64 { usize::from(*limit) } else { 1 << 20 };
    let limits = Limits { max_event_bytes };

    let expected = reference::parse(stream, limits);
    assert_eq!(parse_in_chunks(stream, limits, |_| stream.len()), expected, "whole");
    assert_eq!(parse_in_chunks(stream, limits, |_| 1), expected, "byte by byte");
    assert_eq!(parse_in_chunks(stream, limits, |_| 2), expected, "two bytes at a time");
    let cut = usize::from(*cut);
    assert_eq!(parse_in_chunks(stream, limits, |at| 1 + (at * 31 + cut) % 13), expected, "cut {cut}");
    assert_eq!(parse_stopping_at_each_item(stream, limits), expected, "stopped at each item");
}

/// Checks that whatever may be an event is read back as it was, from a chunk of the size it says, and that
/// what may not be one is refused for a reason.
///
/// The first two bytes are lengths: of the type, and of the id. The rest is type, id, and data.
pub fn fuzz_roundtrip(input: &[u8]) {
    let [type_bytes, id_bytes, rest @ ..] = input else { return };
    let (event_type, rest) = rest.split_at(rest.len().min(usize::from(*type_bytes)));
    let (id, data) = rest.split_at(rest.len().min(usize::from(*id_bytes)));
    let event_type = String::from_utf8_lossy(event_type);
    let id = String::from_utf8_lossy(id);
    let data = String::from_utf8_lossy(data);

    let harmless = |text: &str, limit| text.len() <= limit && !text.chars().any(|c| c.is_ascii_control());
    let valid_type = EventType::new(&event_type);
    let valid_id = EventId::new(&id);
    assert_eq!(valid_type.is_ok(), harmless(&event_type, crate::MAX_EVENT_TYPE_BYTES));
    assert_eq!(valid_id.is_ok(), harmless(&id, crate::MAX_EVENT_ID_BYTES));
    if let (Ok(event_type), Ok(id)) = (valid_type, valid_id) {
        check_event(&event_type, id, &data);
        check_block(&event_type, id, &data);
    }
}

/// Encodes and parses one event.
fn check_event(event_type: &EventType, id: EventId<'_>, data: &str) {
    let mut encoder = Encoder::new();
    let promised = encoded_len(event_type, data, id.as_str().len());
    let chunk = encoder.event(event_type, data).finish(id);
    assert_eq!(chunk.len(), promised, "the promised length");
    let event = OwnedItem::Event {
        id: id.as_str().to_owned(),
        event_type: event_type.as_str().to_owned(),
        data: with_line_feeds(data),
    };
    assert_eq!(parse_chunk(chunk), [event]);
}

/// Encodes and parses a block of everything a block may hold; `text` is its data and its comment.
fn check_block(event_type: &EventType, id: EventId<'_>, text: &str) {
    let mut encoder = Encoder::new();
    let wait_ms = text.len() as u64;
    let chunk = encoder.block().retry(wait_ms).comment(text).id(id).event(event_type).data(text).finish();
    let text = with_line_feeds(text);
    let mut expected = vec![OwnedItem::Retry(wait_ms)];
    expected.extend(
        text.split('\n')
            .map(|line| OwnedItem::Comment(reference::cut_comment(format!(" {line}").as_bytes()))),
    );
    expected.push(OwnedItem::Event {
        id: id.as_str().to_owned(),
        event_type: event_type.as_str().to_owned(),
        data: text,
    });
    assert_eq!(parse_chunk(chunk), expected);
}

/// Checks the chunk around a block, and parses the block.
fn parse_chunk(chunk: &[u8]) -> Vec<OwnedItem> {
    let content = unchunk(chunk);
    let mut rebuilt = format!("{:x}\r\n", content.len()).into_bytes();
    rebuilt.extend_from_slice(content);
    rebuilt.extend_from_slice(b"\r\n");
    assert_eq!(chunk, rebuilt, "the chunk says its size");
    assert!(content.ends_with(b"\n\n"), "the block ends with a blank line");

    let limits = Limits { max_event_bytes: content.len() };
    let outcome = parse_in_chunks(content, limits, |_| content.len());
    assert_eq!(outcome.error, None, "an event is not larger than what it is written as");
    outcome.items
}

/// Feeds the stream in chunks whose size `size_at` tells from their position.
pub fn parse_in_chunks(stream: &[u8], limits: Limits, size_at: impl Fn(usize) -> usize) -> Outcome {
    let mut parser = Parser::new(limits);
    let mut items = Vec::new();
    let mut at = 0;
    let mut error = None;
    while at < stream.len() && error.is_none() {
        let end = stream.len().min(at + size_at(at));
        let fed = parser.feed(&stream[at..end], &mut |item: Item<'_>| {
            items.push(OwnedItem::from(item));
            ControlFlow::Continue(())
        });
        assert!(fed.is_err() || fed.is_ok_and(|fed| fed.consumed == end - at && !fed.stopped));
        error = fed.err();
        at = end;
    }
    outcome(parser, items, error)
}

/// Breaks at each item and goes on with what is left.
fn parse_stopping_at_each_item(stream: &[u8], limits: Limits) -> Outcome {
    let mut parser = Parser::new(limits);
    let mut items = Vec::new();
    let mut rest = stream;
    let error = loop {
        let before = items.len();
        let fed = parser.feed(rest, &mut |item: Item<'_>| {
            items.push(OwnedItem::from(item));
            ControlFlow::Break(())
        });
        match fed {
            Err(error) => break Some(error),
            Ok(fed) => {
                assert_eq!(items.len() - before, usize::from(fed.stopped), "one item, or all was consumed");
                rest = &rest[fed.consumed..];
                if !fed.stopped {
                    assert!(rest.is_empty());
                    break None;
                }
            }
        }
    };
    outcome(parser, items, error)
}

fn outcome(mut parser: Parser, items: Vec<OwnedItem>, error: Option<ParseError>) -> Outcome {
    if error.is_some() {
        let mut delivered = 0;
        let again = parser.feed(b"data:x\n\n", &mut |_: Item<'_>| {
            delivered += 1;
            ControlFlow::Continue(())
        });
        assert_eq!((again.err(), delivered), (error, 0), "no more input after an error");
    }
    Outcome { items, error, last_event_id: parser.last_event_id().to_owned() }
}

/// The data as a client reads it: CR, LF and CRLF each become LF.
#[must_use]
pub fn with_line_feeds(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests;
