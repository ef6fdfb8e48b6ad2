//! A gap: what a subscriber missed, and why. It reaches the subscriber before anything newer.

use std::fmt::Write as _;

use crate::id::Position;

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// Their time to live ended.
    Expired,
    /// They were pushed out of the history, by count, by bytes or under memory pressure.
    Evicted,
    /// The subscriber fell further behind than a live subscriber may.
    Lagged,
    /// The id is of another life of the log (or of another log); what came between is not known.
    Epoch,
    /// The id was never given out.
    UnknownId,
    /// What feeds the session may have missed something: it was cut off from where its events come from, or they
    /// came faster than it could take them.
    Source,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [GapReason; 6] = [
        GapReason::Expired,
        GapReason::Evicted,
        GapReason::Lagged,
        GapReason::Epoch,
        GapReason::UnknownId,
        GapReason::Source,
    ];

    /// The reason's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GapReason::Expired => "expired",
            GapReason::Evicted => "evicted",
            GapReason::Lagged => "lagged",
            GapReason::Epoch => "epoch",
            GapReason::UnknownId => "unknown_id",
            GapReason::Source => "source",
        }
    }
}

/// What a subscriber missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First missing event; the subscriber's own id if the hub cannot tell (reason `epoch`); `None` if that id
    /// was no id at all. What a source missed never had an id here: the gap has one of its own (reason `source`).
    pub from: Option<Position>,
    /// Last missing event, or the position before what follows. Resuming from it repeats nothing.
    pub to: Position,
    /// How many events are missing, where that is known.
    pub missed: Option<u64>,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// The gap as JSON: `{"from","to","missed","reason"}`, the data of a `gap` event.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(128);
        json.push_str("{\"from\":");
        // Positions and reasons are made of [0-9a-z_-]: nothing in them needs escaping. Writing to a String
        // cannot fail.
        match self.from {
            Some(from) => drop(write!(json, "\"{from}\"")),
            None => json.push_str("null"),
        }
        let _ = write!(json, ",\"to\":\"{}\",\"missed\":", self.to);
        match self.missed {
            Some(missed) => drop(write!(json, "{missed}")),
            None => json.push_str("null"),
        }
        let _ = write!(json, ",\"reason\":\"{}\"}}", self.reason.name());
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Epoch;

    fn position(sequence: u64) -> Position {
        Position { epoch: Epoch::from_bits(1), sequence }
    }

    #[test]
    fn a_gap_says_from_where_to_where_how_many_and_why() {
        let gap =
            Gap { from: Some(position(4)), to: position(15), missed: Some(12), reason: GapReason::Evicted };
        let json = r#"{"from":"000000000001-4","to":"000000000001-15","missed":12,"reason":"evicted"}"#;
        assert_eq!(gap.to_json(), json);
    }

    #[test]
    fn a_gap_of_which_nothing_is_known_says_so_with_null() {
        let gap = Gap { from: None, to: position(0), missed: None, reason: GapReason::UnknownId };
        let json = r#"{"from":null,"to":"000000000001-0","missed":null,"reason":"unknown_id"}"#;
        assert_eq!(gap.to_json(), json);
    }

    #[test]
    fn every_gap_is_valid_json_and_its_reasons_are_stable() {
        let reasons = [
            (GapReason::Expired, "expired"),
            (GapReason::Evicted, "evicted"),
            (GapReason::Lagged, "lagged"),
            (GapReason::Epoch, "epoch"),
            (GapReason::UnknownId, "unknown_id"),
            (GapReason::Source, "source"),
        ];
        assert_eq!(reasons.map(|(reason, _)| reason), GapReason::ALL);
        for (reason, name) in reasons {
            for (from, missed) in [(None, None), (Some(position(1)), Some(u64::MAX >> 11))] {
                let gap = Gap { from, to: position(9), missed, reason };
                let json: serde_json::Value = serde_json::from_str(&gap.to_json()).unwrap();
                let expected = serde_json::json!({
                    "from": from.map(|from| from.to_string()),
                    "to": "000000000001-9",
                    "missed": missed,
                    "reason": name,
                });
                assert_eq!(json, expected);
            }
        }
    }
}
