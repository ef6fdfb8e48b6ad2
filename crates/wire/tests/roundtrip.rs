//! What is encoded is read back as it was: any type, any id, any data.

mod support;

use proptest::prelude::*;
use support::{comment, event, parse};
use watertight_wire::fuzzing::item::OwnedItem;
use watertight_wire::fuzzing::with_line_feeds;
use watertight_wire::limits::MAX_COMMENT_BYTES;
use watertight_wire::{Encoder, EventId, EventType, unchunk};

/// A text that may stand in a field: no ASCII controls, everything else.
fn field(longest: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..longest).prop_map(|characters| {
        characters.into_iter().filter(|character| !character.is_ascii_control()).collect::<String>()
    })
}

/// Data with more line ends, spaces and NULs in it than chance would put there.
fn data() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => any::<String>(),
        2 => proptest::sample::select(vec!["\n", "\r", "\r\n", " ", ":", "\0", "\u{FEFF}", "data: ", "id: 1", "\u{2028}"])
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_is_read_back_as_it_was(event_type in field(60), id in field(30), data in data()) {
        let mut encoder = Encoder::new();
        let event_type = EventType::new(&event_type).unwrap();
        let chunk = encoder.event(&event_type, &data).finish(EventId::new(&id).unwrap());
        let outcome = parse(unchunk(chunk));
        prop_assert_eq!(outcome.items, [event(&id, event_type.as_str(), &with_line_feeds(&data))]);
        prop_assert_eq!(outcome.last_event_id, id);
    }

    #[test]
    fn events_of_one_encoder_follow_each_other_without_a_seam(
        events in proptest::collection::vec((field(20), field(20), data()), 0..8),
    ) {
        let mut encoder = Encoder::new();
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (event_type, id, data) in &events {
            let event_type = EventType::new(event_type).unwrap();
            let chunk = encoder.event(&event_type, data).finish(EventId::new(id).unwrap());
            stream.extend_from_slice(unchunk(chunk));
            expected.push(event(id, event_type.as_str(), &with_line_feeds(data)));
        }
        prop_assert_eq!(parse(stream).items, expected);
    }

    #[test]
    fn a_block_is_read_back_as_it_was(id in field(30), text in data(), wait_ms in any::<u64>()) {
        prop_assume!(text.len() < MAX_COMMENT_BYTES);
        let mut encoder = Encoder::new();
        let chunk = encoder.block().comment(&text).retry(wait_ms).id(EventId::new(&id).unwrap()).finish();
        let outcome = parse(unchunk(chunk));
        let mut expected: Vec<_> = with_line_feeds(&text).split('\n').map(|line| comment(&format!(" {line}"))).collect();
        expected.push(OwnedItem::Retry(wait_ms));
        prop_assert_eq!(outcome.items, expected);
        prop_assert_eq!(outcome.last_event_id, id);
    }

    #[test]
    fn an_event_never_outgrows_what_it_is_written_as(event_type in field(60), id in field(30), data in data()) {
        let mut encoder = Encoder::new();
        let event_type = EventType::new(&event_type).unwrap();
        let chunk = encoder.event(&event_type, &data).finish(EventId::new(&id).unwrap());
        let limits = watertight_wire::Limits { max_event_bytes: unchunk(chunk).len() };
        prop_assert_eq!(support::parse_within(unchunk(chunk), limits).error, None);
    }
}
