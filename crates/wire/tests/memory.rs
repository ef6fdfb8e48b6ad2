//! What the parser and the encoder hold, counted at the allocator: bounded, and given back.

mod support;

use std::ops::ControlFlow;

use allocation_counter::measure;
use support::{feed, message, parse_within};
use watertight_wire::limits::{KEPT_BUFFER_BYTES, KEPT_FIELD_BYTES, MAX_COMMENT_BYTES};
use watertight_wire::{Encoder, EventId, EventType, Item, Limits, ParseError, Parser, encoded_len};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a parser keeps between events at most: the buffer of data, those of three fields, the last id.
const KEPT_BETWEEN_EVENTS: usize = KEPT_BUFFER_BYTES + 4 * KEPT_FIELD_BYTES;

fn ignore(_: Item<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn within(max_event_bytes: usize) -> Parser {
    Parser::new(Limits { max_event_bytes })
}

#[test]
fn a_long_line_in_small_chunks_takes_linear_time() {
    // Were each chunk to look at what came before it, this would look at 8 * 10^11 bytes, and not end.
    let mut parser = within(10 * MIB);
    feed(&mut parser, "data:");
    for _ in 0..10 * MIB / 64 {
        feed(&mut parser, [b'x'; 64]);
    }
    assert_eq!(feed(&mut parser, "\n\n"), [message(&"x".repeat(10 * MIB))]);
}

#[test]
fn an_event_at_its_limit_is_delivered_and_one_above_is_refused() {
    let limits = Limits { max_event_bytes: 100 };
    let fields = ["data:", "data: ", "data:\ndata:", "event:", "id:", "id:1\nevent:2\ndata:3\ndata:"];
    let counted = [0, 0, 1, 0, 0, 4];
    for (field, counted) in fields.into_iter().zip(counted) {
        let fits = format!("{field}{}", "x".repeat(100 - counted));
        assert_eq!(parse_within(format!("{fits}\n\n"), limits).error, None, "{field:?}");
        let refused = Some(ParseError::TooLarge { limit: 100 });
        assert_eq!(parse_within(format!("{fits}x\n\n"), limits).error, refused, "{field:?}");
        // Also before its line is over: memory does not wait for a line end.
        assert_eq!(parse_within(format!("{fits}x"), limits).error, refused, "{field:?}");
    }
}

#[test]
fn an_event_of_many_lines_is_refused_above_the_limit() {
    let limits = Limits { max_event_bytes: 100 };
    assert_eq!(parse_within("data\n".repeat(101) + "\n", limits).error, None);
    let refused = Some(ParseError::TooLarge { limit: 100 });
    assert_eq!(parse_within("data\n".repeat(102), limits).error, refused);
}

#[test]
fn the_error_says_the_limit() {
    let error = within(10).feed(b"data:12345678901", &mut ignore).unwrap_err();
    assert_eq!(error.to_string(), "event of the stream is larger than the limit of 10 bytes");
}

#[test]
fn after_an_event_too_large_nothing_is_kept_and_nothing_more_is_taken() {
    let mut parser = within(MIB);
    let refused = Err(ParseError::TooLarge { limit: MIB });
    feed(&mut parser, "id:1\n\ndata:");
    feed(&mut parser, vec![b'x'; MIB]);
    assert!(parser.kept_bytes() >= MIB);
    assert_eq!(parser.feed(b"x", &mut ignore), refused);
    assert!(parser.kept_bytes() <= KEPT_FIELD_BYTES);
    let measured = measure(|| {
        for more in [&b"\n\ndata:small\n\n"[..], b"", &[b'x'; 4096]] {
            assert_eq!(parser.feed(more, &mut |_| unreachable!()), refused);
        }
    });
    assert_eq!(measured.count_total, 0);

    parser.reset_for_reconnect();
    assert_eq!(feed(&mut parser, "data:small\n\n"), [support::event("1", "message", "small")]);
}

#[test]
fn events_before_one_too_large_are_delivered() {
    let outcome = parse_within("data:a\n\ndata:b\n\ndata:12345\n\ndata:c\n\n", Limits { max_event_bytes: 4 });
    assert_eq!(outcome.items, [message("a"), message("b")]);
    assert_eq!(outcome.error, Some(ParseError::TooLarge { limit: 4 }));
}

#[test]
fn many_small_events_in_one_chunk_larger_than_the_limit_are_all_delivered() {
    let wire = "id:1\nevent:a\ndata:x\n\n".repeat(10_000);
    let outcome = parse_within(wire, Limits { max_event_bytes: 16 });
    assert_eq!((outcome.items.len(), outcome.error), (10_000, None));
}

#[test]
fn a_comment_or_unknown_field_of_a_gibibyte_is_discarded_as_it_comes() {
    for start in [":", ": ", "foo:", "a field with a long name and no colon"] {
        let mut parser = within(KIB);
        let chunk = vec![b'x'; 64 * KIB];
        let measured = measure(|| {
            assert!(parser.feed(start.as_bytes(), &mut ignore).is_ok());
            for _ in 0..1024 * MIB / chunk.len() {
                assert!(parser.feed(&chunk, &mut ignore).is_ok());
            }
        });
        assert!(measured.bytes_total <= 2 * MAX_COMMENT_BYTES as u64, "{start:?}: {measured:?}");
        assert_eq!(feed(&mut parser, "\ndata:a\n\n").last(), Some(&message("a")));
    }
}

#[test]
fn a_long_comment_is_cut_between_characters() {
    for (character, kept) in [("x", 1024), ("é", 1024), ("☃", 1023), ("💧", 1024)] {
        let outcome = parse_within(format!(":{}\n", character.repeat(2000)), Limits::default());
        assert_eq!(outcome.items, [support::comment(&character.repeat(kept / character.len()))]);
    }
    let whole = "x".repeat(MAX_COMMENT_BYTES);
    assert_eq!(parse_within(format!(":{whole}\n"), Limits::default()).items, [support::comment(&whole)]);
}

#[test]
fn only_the_comment_that_is_too_long_is_cut() {
    let long = "x".repeat(MAX_COMMENT_BYTES);
    let wire = [b":", long.as_bytes(), b"x\n:\xE2\x98\n"].concat();
    let outcome = parse_within(wire, Limits::default());
    assert_eq!(outcome.items, [support::comment(&long), support::comment("\u{FFFD}")]);
}

#[test]
fn the_buffer_of_data_grows_in_few_steps_and_never_beyond_the_limit() {
    const LIMIT: usize = MIB + 1;
    let mut parser = within(LIMIT);
    let measured = measure(|| {
        assert!(parser.feed(b"data:", &mut ignore).is_ok());
        for _ in 0..LIMIT {
            assert!(parser.feed(b"x", &mut ignore).is_ok());
        }
    });
    assert_eq!(parser.kept_bytes(), LIMIT);
    // From 64 bytes to a MiB in doublings, and the last byte.
    assert!(measured.count_total <= 16, "{measured:?}");
}

#[test]
fn bare_line_ends_are_no_events_and_allocate_nothing() {
    for line_end in ["\n", "\r", "\r\n"] {
        let wire = line_end.repeat(1_000_000);
        let mut parser = within(KIB);
        let measured = measure(|| {
            let fed = parser.feed(wire.as_bytes(), &mut |_| unreachable!());
            assert!(fed.is_ok());
        });
        assert_eq!((measured.count_total, parser.kept_bytes()), (0, 0));
    }
}

#[test]
fn events_allocate_nothing_once_the_buffers_are_warm() {
    let wire = "id: 12\nevent: tick\ndata: some text\ndata: some more\nretry: 5\n: comment\n\n".repeat(100);
    let mut parser = within(KIB);
    assert!(parser.feed(wire.as_bytes(), &mut ignore).is_ok());
    let measured = measure(|| assert!(parser.feed(wire.as_bytes(), &mut ignore).is_ok()));
    assert_eq!(measured.count_total, 0);
}

#[test]
fn a_parser_never_holds_more_than_twice_its_limit() {
    const LIMIT: usize = MIB;
    let long = "x".repeat(LIMIT - 10);
    let half = "x".repeat(LIMIT / 2 - 10);
    let quarter = "x".repeat(LIMIT / 4 - 10);
    let blocks = [
        format!("data:{long}"),
        format!("event:{long}\nevent:\nid:{long}\nid:\ndata:{long}"),
        format!("event:{half}\nid:{half}"),
        format!("id:{quarter}\nevent:{quarter}\ndata:{quarter}\nevent:{quarter}"),
    ];
    for block in &blocks {
        let mut parser = within(LIMIT);
        for piece in block.as_bytes().chunks(1000) {
            feed(&mut parser, piece);
            assert!(parser.kept_bytes() <= 2 * LIMIT + KEPT_BETWEEN_EVENTS);
        }
        // An id that is over stays in force, so replace it before looking.
        feed(&mut parser, "\n\nid:\ndata:\n\n");
        assert!(parser.kept_bytes() <= KEPT_BETWEEN_EVENTS, "kept {} bytes", parser.kept_bytes());
    }
}

#[test]
fn an_encoder_allocates_nothing_once_it_is_warm() {
    let mut encoder = Encoder::new();
    let tick = EventType::new("tick").unwrap();
    let data = "line\n".repeat(1000);
    let mut encode = || {
        let length = encoder.event(&tick, &data).finish(EventId::new("e-1").unwrap()).len();
        length + encoder.block().retry(3000).comment("still here").finish().len()
    };
    encode();
    assert_eq!(measure(|| assert!(encode() > 11_000)).count_total, 0);
}

#[test]
fn an_encoder_gives_back_what_a_large_event_needed() {
    let mut encoder = Encoder::new();
    let large = "x".repeat(MIB);
    let _ = encoder.event(&EventType::default(), &large).finish(EventId::new("1").unwrap());
    assert!(encoder.kept_bytes() >= MIB);
    let _ = encoder.event(&EventType::default(), "small").finish(EventId::new("2").unwrap());
    assert!(encoder.kept_bytes() <= KEPT_BUFFER_BYTES);

    let _ = encoder.block().data(&large).finish();
    encoder.shrink();
    assert!(encoder.kept_bytes() <= KEPT_BUFFER_BYTES);
    let chunk = encoder.event(&EventType::default(), "after").finish(EventId::new("3").unwrap());
    assert_eq!(chunk, b"13\r\nid: 3\ndata: after\n\n\r\n");
}

#[test]
fn data_of_nothing_but_line_ends_costs_seven_bytes_each() {
    let mut encoder = Encoder::new();
    let empty = encoded_len(&EventType::default(), "", 1);
    let lines = 256 * KIB;
    let chunk = encoder.event(&EventType::default(), &"\n".repeat(lines)).finish(EventId::new("1").unwrap());
    // And a size line of six digits instead of one.
    assert_eq!(chunk.len(), empty + 7 * lines + 5);
}
