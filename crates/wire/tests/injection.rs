//! Nothing that a publisher chooses can write a field, an event or a chunk of its own.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod support;

use support::{comment, event, message, parse};
use watertight_wire::fuzzing::with_line_feeds;
use watertight_wire::{Encoder, EventId, EventType, Field, InvalidField, Problem, unchunk};

/// Texts that have injected fields through other encoders, each with a line end or a NUL in it.
const PAYLOADS: [&str; 16] = [
    "x\ndata: injected",
    "x\rdata: injected",
    "x\r\ndata: injected",
    "x\n\ndata: injected\n\n",
    "x\r\rdata: injected\r\r",
    "x\r\n\r\ndata: injected\r\n\r\n",
    "x\nevent: admin\ndata: injected",
    "x\rid: injected",
    "x\nid",
    "x\nretry: 0",
    "x\n: comment",
    "x\n",
    "x\r",
    "\r",
    "x\0y",
    "x\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
];

/// What a stream says for an event of type `message` with this data.
fn said(data: &str) -> Vec<watertight_wire::fuzzing::item::OwnedItem> {
    let mut encoder = Encoder::new();
    let chunk = encoder.event(&EventType::default(), data).finish(EventId::new("").unwrap());
    parse(unchunk(chunk)).items
}

#[test]
fn threat_13_a_line_end_or_nul_in_a_type_or_id_is_refused() {
    for payload in PAYLOADS {
        let refused = EventType::new(payload).unwrap_err();
        assert_eq!(refused.field, Field::EventType, "{payload:?}");
        assert!(matches!(refused.problem, Problem::ControlCharacter { .. }), "{payload:?}");
        let refused = EventId::new(payload).unwrap_err();
        assert_eq!(refused.field, Field::EventId, "{payload:?}");
        assert!(matches!(refused.problem, Problem::ControlCharacter { .. }), "{payload:?}");
    }
}

#[test]
fn threat_13_the_refusal_names_the_first_control_character_and_its_place() {
    let problem = Problem::ControlCharacter { character: '\r', at: 3 };
    assert_eq!(EventId::new("☃\r\n"), Err(InvalidField { field: Field::EventId, problem }));
}

#[test]
fn threat_13_every_ascii_control_is_refused_wherever_it_stands() {
    let controls = (0..0x20u8).chain([0x7F]).map(char::from);
    for control in controls {
        for text in
            [format!("{control}"), format!("{control}a"), format!("a{control}b"), format!("a{control}")]
        {
            assert!(EventType::new(&text).is_err(), "{text:?}");
            assert!(EventId::new(&text).is_err(), "{text:?}");
        }
    }
}

#[test]
fn threat_13_every_other_character_is_taken_and_read_back() {
    let mut encoder = Encoder::new();
    let beyond = ['\u{10000}', '\u{1F4A7}', '\u{E0001}', '\u{10FFFF}'];
    let characters = ('\0'..='\u{FFFF}').chain(beyond).filter(|character| !character.is_ascii_control());
    // Many in one text: 65,000 events would take long.
    let texts: Vec<String> =
        characters.collect::<Vec<_>>().chunks(40).map(|characters| characters.iter().collect()).collect();
    for text in texts {
        let event_type = EventType::new(&text).unwrap();
        let chunk = encoder.event(&event_type, &text).finish(EventId::new(&text).unwrap());
        assert_eq!(parse(unchunk(chunk)).items, [event(&text, &text, &text)]);
    }
}

#[test]
fn threat_13_separators_and_c1_controls_end_no_line() {
    for character in ['\u{2028}', '\u{2029}', '\u{85}', '\u{80}', '\u{9F}', '\u{9B}'] {
        let text = format!("a{character}data: injected");
        let mut encoder = Encoder::new();
        let event_type = EventType::new(&text).unwrap();
        let chunk = encoder.event(&event_type, &text).finish(EventId::new(&text).unwrap());
        assert_eq!(parse(unchunk(chunk)).items, [event(&text, &text, &text)]);
        let chunk = encoder.block().comment(&text).finish();
        assert_eq!(parse(unchunk(chunk)).items, [comment(&format!(" {text}"))]);
    }
}

#[test]
fn threat_13_data_stays_the_data_of_one_event() {
    for payload in PAYLOADS {
        assert_eq!(said(payload), [message(&with_line_feeds(payload))], "{payload:?}");
    }
}

#[test]
fn threat_13_data_with_a_bare_carriage_return_is_divided_into_lines() {
    let mut encoder = Encoder::new();
    let chunk =
        encoder.event(&EventType::default(), "a\revent: admin\r\rb").finish(EventId::new("1").unwrap());
    assert_eq!(unchunk(chunk), b"id: 1\ndata: a\ndata: event: admin\ndata: \ndata: b\n\n");
}

#[test]
fn threat_13_a_comment_stays_a_comment() {
    for payload in PAYLOADS {
        let mut encoder = Encoder::new();
        let chunk = encoder.block().comment(payload).finish();
        let lines = with_line_feeds(payload);
        assert_eq!(
            parse(unchunk(chunk)).items,
            lines.split('\n').map(|line| comment(&format!(" {line}"))).collect::<Vec<_>>()
        );
    }
}

#[test]
fn threat_13_data_cannot_end_its_chunk() {
    for payload in PAYLOADS {
        let mut encoder = Encoder::new();
        let chunk = encoder.event(&EventType::default(), payload).finish(EventId::new("1").unwrap()).to_vec();
        // Read as a peer does: a size line, as many bytes, a line end, and nothing after it.
        let text = String::from_utf8(chunk).unwrap();
        let (size, content) = text.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        assert_eq!(content.len(), size + 2, "{payload:?}");
        assert!(content.ends_with("\n\n\r\n"), "{payload:?}");
        assert!(!content[..size].contains('\r'), "{payload:?}");
    }
}
