//! The fuzz targets for a moment in every test run, on input made of what streams are made of.

use proptest::prelude::*;

use super::*;

/// Pieces of streams, whole and broken, and bytes of any kind.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"data",
        b"event",
        b"id",
        b"retry",
        b"datas",
        b"dat",
        b"events",
        b":",
        b" ",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\r\r",
        b"\0",
        b"0",
        b"9",
        b"42",
        b"99999999999999999999",
        b"\xEF\xBB\xBF",
        b"\xEF",
        b"\xBB",
        b"\xBF",
        b"\xFF",
        b"\xED\xA0\x80",
        b"\xC0\xAF",
        b"\xE2\x98\x83",
        b"\xE2\x98",
        b"\xF0\x9F\x92\xA7",
        b"\xE2\x80\xA8",
        b"\xC2\x85",
        b"\x0B",
        b"\x0C",
        b"\x7F",
        b"data:",
        b"data: ",
        b"id: 1\n",
        b"event:a\n",
        b"message",
    ];
    prop_oneof![
        12 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        2 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => (1usize..2100).prop_map(|length| vec![b'x'; length]),
        1 => (1usize..700).prop_map(|length| "☃".repeat(length).into_bytes()),
    ]
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_parses_the_same_however_it_is_cut_and_as_the_reference_has_it(
        limit in any::<u8>(), cut in any::<u8>(), stream in pieces(),
    ) {
        fuzz_parser(&[&[limit, cut], &stream[..]].concat());
    }

    #[test]
    fn whatever_may_be_an_event_is_read_back_as_it_was(
        type_bytes in 0u8..40, id_bytes in 0u8..40, text in pieces(),
    ) {
        fuzz_roundtrip(&[&[type_bytes, id_bytes], &text[..]].concat());
    }

    #[test]
    fn both_targets_hold_for_bytes_of_any_kind(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_parser(&input);
        fuzz_roundtrip(&input);
    }
}
