//! Ids: opaque texts that come back unchanged, or not at all.

mod support;

use proptest::prelude::*;
use watertight_core::id::InvalidPosition;
use watertight_core::limits::{ID_TEXT_BYTES_MAX, SEQUENCE_MAX};
use watertight_core::{Epoch, Gap, GapReason, Position};

use crate::support::cases;

fn parse(text: &str) -> Result<Position, InvalidPosition> {
    text.parse()
}

fn position(bits: u64, sequence: u64) -> Position {
    Position { epoch: Epoch::from_bits(bits), sequence }
}

#[test]
fn an_id_is_an_epoch_and_a_sequence() {
    assert_eq!(position(0, 0).to_string(), "000000000000-0");
    assert_eq!(position(33, 7).to_string(), "000000000011-7");
    assert_eq!(position(u64::MAX, SEQUENCE_MAX).to_string(), "zzzzzzzzzzzz-9007199254740991");
}

#[test]
fn threat_41_ids_are_strings_and_sequences_stay_below_2_to_the_53() {
    let last = position(u64::MAX, (1 << 53) - 1);
    let text = last.to_string();
    assert_eq!((parse(&text), text.len()), (Ok(last), ID_TEXT_BYTES_MAX));
    for beyond in ["9007199254740992", "9999999999999999", "10000000000000000", "18446744073709551615"] {
        assert_eq!(parse(&format!("zzzzzzzzzzzz-{beyond}")), Err(InvalidPosition), "{beyond}");
    }
    let gap = Gap { from: Some(last), to: last, missed: Some(1), reason: GapReason::Lagged };
    let json: serde_json::Value = serde_json::from_str(&gap.to_json()).unwrap();
    assert_eq!((json["from"].as_str(), json["to"].as_str()), (Some(&*text), Some(&*text)));
}

#[test]
fn threat_15_whatever_is_not_written_like_an_id_is_no_id() {
    let strange = [
        "",
        "-",
        "-1",
        "0",
        "000000000000",
        "000000000000-",
        "000000000000--1",
        "000000000000-+1",
        "000000000000-01",
        "000000000000-00",
        "000000000000- 1",
        "000000000000-1 ",
        " 000000000000-1",
        "000000000000-1\n",
        "000000000000-1\0",
        "000000000000-0x1",
        "000000000000-1.0",
        "000000000000_1",
        "00000000000-1",
        "0000000000000-1",
        "00000000000O-1",
        "00000000000i-1",
        "00000000000Z-1",
        "00000000000é-1",
        "éééééé-1",
        "000000000000-١",
        "000000000000-99999999999999999999999999999999999999",
    ];
    for text in strange {
        assert_eq!(parse(text), Err(InvalidPosition), "{text:?}");
    }
    assert_eq!(parse(&"0".repeat(1 << 20)), Err(InvalidPosition));
}

#[test]
fn two_lives_of_a_log_do_not_share_an_epoch() {
    let epochs: std::collections::HashSet<_> = (0..1000).map(|_| Epoch::random().unwrap()).collect();
    assert_eq!(epochs.len(), 1000);
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn an_id_comes_back_as_it_went(bits in any::<u64>(), sequence in 0..=SEQUENCE_MAX) {
        let position = position(bits, sequence);
        let text = position.text();
        prop_assert_eq!(text.as_str(), position.to_string());
        prop_assert!(text.as_str().len() <= ID_TEXT_BYTES_MAX);
        prop_assert_eq!(parse(text.as_str()), Ok(position));
        prop_assert_eq!(position.epoch.bits(), bits & ((1 << 60) - 1));
    }

    #[test]
    fn an_id_has_one_text_only(text in "[0-9a-zA-Z]{11,13}-[0-9+ ]{0,18}") {
        if let Ok(position) = parse(&text) {
            prop_assert_eq!(position.to_string(), text);
        }
    }

    #[test]
    fn threat_15_no_text_whatever_is_a_fault(text in "\\PC{0,40}|[0-9a-z]{12}-\\PC{0,20}") {
        if let Ok(position) = parse(&text) {
            prop_assert_eq!(position.to_string(), text);
        }
    }
}
