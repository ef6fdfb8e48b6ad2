//! The cases that clients get wrong, as literal bytes. Each stream stays open: nothing waits for its end.

mod support;

use std::ops::ControlFlow;

use support::{BOM, comment, data_of, event, feed, message, parse};
use watertight_wire::fuzzing::item::OwnedItem;
use watertight_wire::{Item, Limits, Parser};

fn parser() -> Parser {
    Parser::new(Limits::default())
}

#[test]
fn only_the_first_byte_order_mark_is_stripped() {
    assert_eq!(data_of(format!("{BOM}data:1\n\n{BOM}data:2\n\ndata:3\n\n")), ["1", "3"]);
}

#[test]
fn a_second_byte_order_mark_is_part_of_the_field_name() {
    assert_eq!(data_of(format!("{BOM}{BOM}data:1\n\ndata:2\n\n")), ["2"]);
}

#[test]
fn a_byte_order_mark_may_come_in_pieces() {
    let mut parser = parser();
    for piece in [b"\xEF", b"\xBB", b"\xBF"] {
        assert_eq!(feed(&mut parser, piece), []);
    }
    assert_eq!(feed(&mut parser, "data:a\n\n"), [message("a")]);
}

#[test]
fn the_start_of_a_byte_order_mark_that_is_none_stays_content() {
    assert_eq!(data_of(b"\xEF\xBBdata:a\n\ndata:b\n\n"), ["b"]);
    assert_eq!(data_of(b"\xEFdata:a\n\ndata:b\n\n"), ["b"]);
    assert_eq!(data_of(b"\xEF\xBB\n\ndata:b\n\n"), ["b"]);
    assert_eq!(data_of(b"\xEF\xBB:data:a\n\ndata:b\n\n"), ["b"]);
}

#[test]
fn a_byte_order_mark_inside_a_value_is_kept() {
    assert_eq!(data_of(format!("data:a{BOM}b\n\n")), [format!("a{BOM}b")]);
    assert_eq!(data_of(format!("data:{BOM}b\n\n")), [format!("{BOM}b")]);
}

#[test]
fn comments_and_line_ends_of_all_kinds() {
    let long = "x".repeat(2048);
    let wire = format!("data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n");
    assert_eq!(data_of(wire), ["1\n2\n3\n4"]);
}

#[test]
fn a_bare_carriage_return_ends_its_line_at_once() {
    let mut parser = parser();
    assert_eq!(feed(&mut parser, "data:a\r"), []);
    assert_eq!(feed(&mut parser, "\r"), [message("a")]);
    assert_eq!(feed(&mut parser, "data:b\r\r"), [message("b")]);
    assert_eq!(data_of("data:a\r\rdata:b\r\r"), ["a", "b"]);
}

#[test]
fn a_line_end_cut_in_two_is_one_line_end() {
    let mut parser = parser();
    assert_eq!(feed(&mut parser, "data:x\r"), []);
    assert_eq!(feed(&mut parser, "\n\r"), [message("x")]);
    assert_eq!(feed(&mut parser, "\n"), []);
    assert_eq!(feed(&mut parser, "data:y\n\n"), [message("y")]);
}

#[test]
fn a_line_end_cut_in_two_between_lines_of_data() {
    let mut parser = parser();
    assert_eq!(feed(&mut parser, "data:x\r"), []);
    assert_eq!(feed(&mut parser, "\ndata:y\r\n\r\n"), [message("x\ny")]);
}

#[test]
fn data_without_a_colon_is_an_empty_line() {
    assert_eq!(data_of("data:test\r\ndata\ndata:test\r\n\r\n"), ["test\n\ntest"]);
}

#[test]
fn empty_data_is_an_event_and_unfinished_data_is_none() {
    assert_eq!(data_of("data:\n\ndata\ndata\n\ndata:test"), ["", "\n"]);
}

#[test]
fn a_first_line_may_be_empty() {
    assert_eq!(data_of("data:\ndata:x\n\n"), ["\nx"]);
}

#[test]
fn data_may_hold_nul() {
    assert_eq!(data_of("data:\0\n\n"), ["\0"]);
}

#[test]
fn only_exact_field_names_count() {
    let wire = "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n \
                data:32\ndata:4\n\n";
    assert_eq!(data_of(wire), ["\0\n 2\n1\n3\n\n4"]);
}

#[test]
fn other_lines_do_not_divide_data() {
    let wire = "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:c\ndata:test\n\n";
    assert_eq!(data_of(wire), ["test\n\ntest"]);
}

#[test]
fn unknown_fields_are_ignored_before_any_event() {
    assert_eq!(parse("foo: bar\n\ndata:a\n\n").items, [message("a")]);
}

#[test]
fn a_field_called_comment_is_no_comment() {
    assert_eq!(parse("comment: x\ndata:a\n\n").items, [message("a")]);
}

#[test]
fn one_space_after_the_colon_is_removed_and_nothing_else() {
    assert_eq!(data_of("data:\ttest\rdata: \ndata:test\n\n"), ["\ttest\n\ntest"]);
    assert_eq!(data_of("data:  a \n\n"), [" a "]);
}

#[test]
fn a_type_counts_for_its_own_block_only() {
    assert_eq!(parse("event: \ndata:x\n\n").items, [message("x")]);
    assert_eq!(parse("event\ndata:x\n\n").items, [message("x")]);
    assert_eq!(parse("event:a\n\ndata:x\n\n").items, [message("x")]);
}

#[test]
fn a_type_does_not_outlive_its_event() {
    let wire = "event:test\ndata:x\n\ndata:x\n\n";
    assert_eq!(parse(wire).items, [event("", "test", "x"), message("x")]);
}

#[test]
fn the_last_type_of_a_block_counts() {
    assert_eq!(parse("event:a\nevent:b\ndata:x\n\n").items, [event("", "b", "x")]);
    assert_eq!(parse("event:a\nevent\ndata:x\n\n").items, [message("x")]);
}

#[test]
fn an_id_stays_in_force_until_the_next() {
    let outcome = parse("id: 1\ndata: 1\n\ndata: 2\n\nid: 2\ndata:3\n\ndata:4\n\n");
    let expected = [("1", "1"), ("1", "2"), ("2", "3"), ("2", "4")];
    assert_eq!(outcome.items, expected.map(|(id, data)| event(id, "message", data)));
    assert_eq!(outcome.last_event_id, "2");
}

#[test]
fn an_empty_id_clears_the_last_one() {
    for bare in ["id:", "id", "id: "] {
        let outcome = parse(format!("id: 1\ndata:1\n\n{bare}\ndata:2\n\ndata:3\n\n"));
        let expected = [("1", "1"), ("", "2"), ("", "3")];
        assert_eq!(outcome.items, expected.map(|(id, data)| event(id, "message", data)));
        assert_eq!(outcome.last_event_id, "");
    }
}

#[test]
fn an_id_with_nul_is_no_id() {
    for id in [" x\0y", "\0\0", "x\0", "\0x", " \0", "\0"] {
        let outcome = parse(format!("id:1\ndata:0\n\nid:{id}\ndata:h\n\n"));
        assert_eq!(outcome.items, [event("1", "message", "0"), event("1", "message", "h")], "{id:?}");
        assert_eq!(outcome.last_event_id, "1");
    }
    assert_eq!(parse("id:1\nid:2\0\ndata:x\n\n").items, [event("1", "message", "x")]);
}

#[test]
fn an_id_without_data_counts_once_its_block_is_over() {
    let outcome = parse("id:9\n\n");
    assert_eq!((outcome.items, outcome.last_event_id.as_str()), (vec![], "9"));
    assert_eq!(parse("id:9\n").last_event_id, "");
}

#[test]
fn the_last_id_outlives_connections() {
    let mut parser = parser();
    assert_eq!(feed(&mut parser, "id:7\ndata:a\n\n"), [event("7", "message", "a")]);
    parser.reset_for_reconnect();
    assert_eq!(parser.last_event_id(), "7");
    assert_eq!(feed(&mut parser, "data:b\n\n"), [event("7", "message", "b")]);
    parser.reset_for_reconnect();
    assert_eq!(parser.last_event_id(), "7");
}

#[test]
fn a_connection_starts_afresh_but_for_the_last_id() {
    let mut parser = parser();
    assert_eq!(feed(&mut parser, format!("{BOM}event:a\ndata:x\nid:1\ndata:y\r")), []);
    parser.reset_for_reconnect();
    // Neither the type nor the data, nor the byte order mark's place, nor the carriage return is left.
    assert_eq!(feed(&mut parser, format!("{BOM}data:b\n\n")), [message("b")]);
    parser.reset_for_reconnect();
    assert_eq!(feed(&mut parser, "\ndata:c\n\n"), [message("c")]);
}

#[test]
fn a_last_id_can_be_brought_along() {
    let mut parser = parser();
    parser.set_last_event_id("from before");
    assert_eq!(feed(&mut parser, "data:b\n\n"), [event("from before", "message", "b")]);
}

#[test]
fn an_unfinished_event_is_dropped_with_its_id() {
    let mut parser = parser();
    assert_eq!(feed(&mut parser, "id:a\ndata:x\n\nid:b\ndata:y"), [event("a", "message", "x")]);
    assert_eq!(parser.last_event_id(), "a");
    parser.reset_for_reconnect();
    assert_eq!(parser.last_event_id(), "a");
    assert_eq!(feed(&mut parser, "\n\ndata:z\n\n"), [event("a", "message", "z")]);
}

#[test]
fn an_id_may_be_any_text() {
    assert_eq!(parse("id:é☃\ndata:x\n\n").last_event_id, "é☃");
    assert_eq!(parse("id:a\u{1}\u{7f}b\n\n").last_event_id, "a\u{1}\u{7f}b");
    let long = "x".repeat(4096);
    assert_eq!(parse(format!("id:{long}\n\n")).last_event_id, long);
}

#[test]
fn retry_takes_digits_only() {
    assert_eq!(parse("retry:03000\n").items, [OwnedItem::Retry(3000)]);
    assert_eq!(parse("retry: 1234\r").items, [OwnedItem::Retry(1234)]);
    let bad = [
        ":1000x", ":+1", ":-1", ":1.5", ":1e3", ":0x10", ":1_000", ":１２", ":", "", ": ", ":  1", ": 1 ",
        ":1\0", ":\t1", ":1:",
    ];
    for value in bad {
        assert_eq!(parse(format!("retry{value}\n\n")).items, [], "{value:?}");
    }
}

#[test]
fn retry_never_overflows() {
    assert_eq!(parse("retry:0\n").items, [OwnedItem::Retry(0)]);
    assert_eq!(parse("retry:99999999999\n").items, [OwnedItem::Retry(99_999_999_999)]);
    assert_eq!(parse("retry:18446744073709551615\n").items, [OwnedItem::Retry(u64::MAX)]);
    assert_eq!(parse("retry:18446744073709551616\n").items, [OwnedItem::Retry(u64::MAX)]);
    assert_eq!(parse(format!("retry:{}\n", "9".repeat(30))).items, [OwnedItem::Retry(u64::MAX)]);
    assert_eq!(parse(format!("retry:{}\n", "9".repeat(30) + "x")).items, []);
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_the_stream_goes_on() {
    assert_eq!(data_of(b"data:a\xFFb\n\ndata:c\n\n"), ["a\u{FFFD}b", "c"]);
    assert_eq!(parse(b":\xFF\ndata:c\n\n").items, [comment("\u{FFFD}"), message("c")]);
    let truncated_overlong_surrogate: [(&[u8], &str); 4] = [
        (b"\xE2\x98", "\u{FFFD}"),
        (b"\xF0\x9F\x92", "\u{FFFD}"),
        (b"\xC0\xAF", "\u{FFFD}\u{FFFD}"),
        (b"\xED\xA0\x80", "\u{FFFD}\u{FFFD}\u{FFFD}"),
    ];
    for (bytes, text) in truncated_overlong_surrogate {
        let wire = [b"data:", bytes, b"\ndata:", bytes, b"x\n\ndata:c\n\n"].concat();
        assert_eq!(data_of(wire), [format!("{text}\n{text}x"), "c".to_owned()], "{bytes:x?}");
        let wire = [b"event:", bytes, b"\nid:", bytes, b"\ndata\n\n"].concat();
        assert_eq!(parse(wire).items, [event(text, text, "")], "{bytes:x?}");
    }
}

#[test]
fn characters_cut_in_pieces_stay_whole() {
    assert_eq!(data_of("data:☃💧é\n\n"), ["☃💧é"]);
    assert_eq!(parse("id:☃\nevent:💧\ndata:é\n\n").items, [event("☃", "💧", "é")]);
}

#[test]
fn only_carriage_return_and_line_feed_end_lines() {
    let text = "a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\u{1c}g";
    assert_eq!(data_of(format!("data:{text}\n\n")), [text]);
}

#[test]
fn only_the_first_colon_divides() {
    assert_eq!(data_of("data:a:b: c\n\n"), ["a:b: c"]);
}

#[test]
fn names_with_a_meaning_elsewhere_have_none_here() {
    assert_eq!(parse("__proto__: x\nconstructor: y\ntoString\n\ndata:a\n\n").items, [message("a")]);
}

#[test]
fn what_the_end_leaves_unfinished_is_dropped() {
    assert_eq!(data_of("data:x\n"), [""; 0]);
    assert_eq!(data_of("data:x"), [""; 0]);
    assert_eq!(data_of("data:x\n\r"), ["x"]);
}

#[test]
fn events_of_one_chunk_keep_their_order() {
    let wire: String = (0..100).map(|number| format!("data:{number}\n\n")).collect();
    assert_eq!(data_of(wire), (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn nothing_is_delivered_after_the_sink_stopped() {
    let wire: String = (0..100).map(|number| format!("data:{number}\r\n\r\n")).collect();
    let mut parser = parser();
    let mut delivered = Vec::new();
    let fed = parser.feed(wire.as_bytes(), &mut |item: Item<'_>| {
        delivered.push(OwnedItem::from(item));
        ControlFlow::Break(())
    });
    assert_eq!(delivered, [message("0")]);
    let fed = fed.unwrap();
    assert!(fed.stopped);
    // What follows the event, but for the line feed that belongs to its last line end, is where it goes on.
    assert_eq!(&wire[fed.consumed..][..7], "\ndata:1");
    assert_eq!(feed(&mut parser, &wire[fed.consumed..]).len(), 99);
}

#[test]
fn comments_are_delivered_as_they_stand_behind_their_colon() {
    assert_eq!(parse(": watertight\n:x\n:  y\n:\n").items, [" watertight", "x", "  y", ""].map(comment));
}
