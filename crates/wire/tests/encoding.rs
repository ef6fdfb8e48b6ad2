//! Events and blocks as the literal bytes they become.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use watertight_wire::limits::MAX_EVENT_ID_BYTES;
use watertight_wire::{Encoder, EventId, EventType, encoded_len, unchunk};

fn id(text: &str) -> EventId<'_> {
    EventId::new(text).unwrap()
}

fn event_type(text: &str) -> EventType {
    EventType::new(text).unwrap()
}

/// One event, without its chunk.
fn encoded(event_type: &EventType, data: &str) -> String {
    let mut encoder = Encoder::new();
    let chunk = encoder.event(event_type, data).finish(id("i"));
    String::from_utf8(unchunk(chunk).to_vec()).unwrap()
}

#[test]
fn an_event_is_one_chunk_of_id_type_and_data() {
    let mut encoder = Encoder::new();
    let chunk = encoder.event(&event_type("tick"), "one").finish(id("e-7"));
    assert_eq!(chunk, b"1f\r\nid: e-7\nevent: tick\ndata: one\n\n\r\n");
}

#[test]
fn the_type_message_is_left_out() {
    for message in [EventType::default(), event_type(""), event_type("message")] {
        assert_eq!(encoded(&message, "x"), "id: i\ndata: x\n\n");
    }
}

#[test]
fn each_line_end_of_any_kind_starts_a_line_of_data() {
    let lines = "id: i\ndata: a\ndata: b\n\n";
    for data in ["a\nb", "a\rb", "a\r\nb"] {
        assert_eq!(encoded(&EventType::default(), data), lines, "{data:?}");
    }
    for data in ["a\n\rb", "a\n\nb", "a\r\rb", "a\r\n\r\nb"] {
        assert_eq!(encoded(&EventType::default(), data), "id: i\ndata: a\ndata: \ndata: b\n\n", "{data:?}");
    }
}

#[test]
fn empty_lines_of_data_are_written() {
    let message = EventType::default();
    assert_eq!(encoded(&message, ""), "id: i\ndata: \n\n");
    assert_eq!(encoded(&message, "\n"), "id: i\ndata: \ndata: \n\n");
    assert_eq!(encoded(&message, "a\n"), "id: i\ndata: a\ndata: \n\n");
    assert_eq!(encoded(&message, "a\r"), "id: i\ndata: a\ndata: \n\n");
    assert_eq!(encoded(&message, "\na"), "id: i\ndata: \ndata: a\n\n");
}

#[test]
fn a_space_at_the_start_of_a_value_is_not_lost() {
    let mut encoder = Encoder::new();
    let chunk = encoder.event(&event_type(" t"), " x\n y").finish(id(" i"));
    assert_eq!(unchunk(chunk), b"id:  i\nevent:  t\ndata:  x\ndata:  y\n\n");
}

#[test]
fn the_length_of_a_chunk_is_known_before_it_is_encoded_for_ids_of_every_length() {
    let mut encoder = Encoder::new();
    for id_bytes in 0..=MAX_EVENT_ID_BYTES {
        let text = "x".repeat(id_bytes);
        // Lengths around those at which the size line gains a digit.
        for data_bytes in [0, 1, 8, 200, 240, 3_900, 4_090, 65_400, 65_530] {
            let data = "y".repeat(data_bytes);
            let promised = encoded_len(&EventType::default(), &data, id_bytes);
            let chunk = encoder.event(&EventType::default(), &data).finish(id(&text));
            assert_eq!(chunk.len(), promised);
            let content = format!("id: {text}\ndata: {data}\n\n");
            assert_eq!(chunk, format!("{:x}\r\n{content}\r\n", content.len()).as_bytes());
        }
    }
}

#[test]
fn the_length_of_a_chunk_is_known_before_it_is_encoded_whatever_its_line_ends() {
    let mut encoder = Encoder::new();
    // Every text of up to six characters that is made of line ends and something else.
    for number in 0..3u32.pow(6) {
        let data: String =
            (0..6).map(|digit| ['x', '\r', '\n'][(number / 3u32.pow(digit) % 3) as usize]).collect();
        for length in 0..=data.len() {
            for event_type in [EventType::default(), event_type("tick")] {
                let promised = encoded_len(&event_type, &data[..length], 1);
                let chunk = encoder.event(&event_type, &data[..length]).finish(id("i"));
                assert_eq!(chunk.len(), promised, "{:?}", &data[..length]);
            }
        }
    }
}

#[test]
fn a_block_holds_what_was_called_for_in_that_order_in_one_chunk() {
    let mut encoder = Encoder::new();
    let opening = encoder.block().retry(3000).id(id("e-0")).comment("watertight").finish();
    assert_eq!(opening, b"22\r\nretry: 3000\nid: e-0\n: watertight\n\n\r\n");
    let closing_event = encoder.block().event(&event_type("error")).data("{}").retry(u64::MAX).finish();
    assert_eq!(unchunk(closing_event), b"event: error\ndata: {}\nretry: 18446744073709551615\n\n");
    let message = encoder.block().event(&EventType::default()).data("a\nb").finish();
    assert_eq!(unchunk(message), b"data: a\ndata: b\n\n");
}

#[test]
fn each_line_of_a_comment_is_a_comment() {
    let mut encoder = Encoder::new();
    let chunk = encoder.block().comment("a\rb\r\nc\n\nd").finish();
    assert_eq!(unchunk(chunk), b": a\n: b\n: c\n: \n: d\n\n");
}

#[test]
fn no_block_is_the_chunk_that_ends_a_body() {
    let mut encoder = Encoder::new();
    assert_eq!(encoder.block().finish(), b"1\r\n\n\r\n");
    assert_eq!(encoder.block().event(&EventType::default()).finish(), b"1\r\n\n\r\n");
}

#[test]
fn nothing_of_an_earlier_event_is_left_in_the_next() {
    let mut encoder = Encoder::new();
    let long_id = "x".repeat(MAX_EVENT_ID_BYTES);
    let _ = encoder.event(&event_type("long"), &"y".repeat(5000)).finish(id(&long_id));
    drop(encoder.event(&event_type("dropped"), "dropped"));
    drop(encoder.block().comment("dropped"));
    let chunk = encoder.event(&EventType::default(), "z").finish(id(""));
    assert_eq!(chunk, b"e\r\nid: \ndata: z\n\n\r\n");
}
