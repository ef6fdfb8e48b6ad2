//! What a hub answers, as far as the page shows it. Whoever answers may be anybody: lists have a greatest length and names
//! too, so what is kept is bounded by more than the length of an answer.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Rows of a list that are asked for; a hub gives no more in one answer.
pub(super) const ROWS_MAX: usize = 1000;

/// Kinds of resources; a hub has nine.
const KINDS_MAX: usize = 64;

/// Bytes of a name that are kept. A hub allows 256, unless it is told otherwise.
const NAME_BYTES_MAX: usize = 1024;

/// `GET /stats`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    pub(super) total_sessions: u64,
    pub(super) total_events: u64,
    pub(super) total_subscribers: u64,
    pub(super) metrics: Counters,
    pub(super) ledger: Ledger,
    pub(super) budget: Budget,
    pub(super) process: Process,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counters {
    pub(super) events_published: u64,
    pub(super) events_delivered: u64,
    pub(super) events_shed: u64,
    pub(super) gaps: u64,
    pub(super) slow_consumers: u64,
    pub(super) connections_refused: u64,
    pub(super) pump_restarts: u64,
    pub(super) keeper_restarts: u64,
    pub(super) source_errors: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Counts {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) live: u64,
}

impl Counts {
    /// Whether all that was opened is closed or live.
    pub(super) fn adds_up(self) -> bool {
        self.opened.checked_sub(self.closed) == Some(self.live)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Budget {
    pub(super) used_bytes: u64,
    pub(super) observed_bytes: u64,
    pub(super) warning_bytes: u64,
    pub(super) critical_bytes: u64,
    /// The rung of the ladder.
    pub(super) level: Name,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    pub(super) pid: u64,
    pub(super) uptime_seconds: f64,
    pub(super) version: Name,
}

/// A page of `GET /sessions`.
#[derive(Debug, Deserialize)]
pub(super) struct Sessions {
    pub(super) sessions: Rows<Session>,
    pub(super) total: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    pub(super) session: Name,
    pub(super) state: Name,
    pub(super) subscribers: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) newest: Name,
    pub(super) idle_seconds: f64,
    pub(super) source: Option<Source>,
}

/// A page of `GET /connections`.
#[derive(Debug, Deserialize)]
pub(super) struct Connections {
    pub(super) connections: Rows<Connection>,
    pub(super) total: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection {
    pub(super) id: Name,
    pub(super) kind: Name,
    pub(super) user: Option<Name>,
    pub(super) session: Name,
    pub(super) age_seconds: f64,
    pub(super) sent: u64,
    pub(super) lag: u64,
    pub(super) stalled: bool,
    pub(super) source: Option<Source>,
}

/// What feeds a session.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Source {
    pub(super) state: Name,
}

/// What is wrong, in the body of a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) code: Option<Name>,
    pub(super) title: Option<Name>,
    pub(super) detail: Option<Name>,
}

/// A text of which only the beginning is kept if it is longer than any that a hub gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(NAME_BYTES_MAX)].to_owned())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name::from(text))
            }
        }
        from.deserialize_str(Text)
    }
}

/// A list of at most [`ROWS_MAX`] rows.
#[derive(Debug)]
pub(super) struct Rows<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Rows<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {ROWS_MAX} rows")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows<T>, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = list.next_element()? {
                    if rows.len() == ROWS_MAX {
                        return Err(A::Error::invalid_length(ROWS_MAX + 1, &self));
                    }
                    rows.push(row);
                }
                Ok(Rows(rows))
            }
        }
        from.deserialize_seq(List(PhantomData))
    }
}

/// Every resource by kind, in the hub's order.
#[derive(Debug, Clone)]
pub(super) struct Ledger(pub(super) Vec<(Name, Counts)>);

impl<'de> Deserialize<'de> for Ledger {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Kinds;
        impl<'de> Visitor<'de> for Kinds {
            type Value = Ledger;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {KINDS_MAX} kinds of resources")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ledger, A::Error> {
                let mut kinds = Vec::new();
                while let Some(kind) = map.next_entry()? {
                    if kinds.len() == KINDS_MAX {
                        return Err(A::Error::invalid_length(KINDS_MAX + 1, &self));
                    }
                    kinds.push(kind);
                }
                Ok(Ledger(kinds))
            }
        }
        from.deserialize_map(Kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_longer_than_was_asked_for_is_refused() {
        let rows = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(serde_json::from_str::<Rows<u8>>(&rows(ROWS_MAX)).unwrap().0.len(), ROWS_MAX);
        assert!(serde_json::from_str::<Rows<u8>>(&rows(ROWS_MAX + 1)).is_err());
    }

    #[test]
    fn a_ledger_of_more_kinds_than_there_can_be_is_refused() {
        let ledger = |count: usize| {
            let kind = |number| format!(r#""k{number}":{{"opened":1,"closed":0,"live":1}}"#);
            format!("{{{}}}", (0..count).map(kind).collect::<Vec<_>>().join(","))
        };
        assert_eq!(serde_json::from_str::<Ledger>(&ledger(KINDS_MAX)).unwrap().0.len(), KINDS_MAX);
        assert!(serde_json::from_str::<Ledger>(&ledger(KINDS_MAX + 1)).is_err());
    }

    #[test]
    fn of_an_endless_name_only_the_beginning_is_kept() {
        let name: Name = serde_json::from_str(&format!("\"{}\"", "ü".repeat(100_000))).unwrap();
        assert_eq!(name.as_str(), "ü".repeat(NAME_BYTES_MAX / 2));
    }

    #[test]
    fn a_ledger_adds_up_only_if_all_that_is_not_closed_is_live() {
        let adds_up = |opened, closed, live| Counts { opened, closed, live }.adds_up();
        assert!(adds_up(5, 3, 2) && adds_up(0, 0, 0));
        assert!(!adds_up(5, 3, 1) && !adds_up(5, 6, 0) && !adds_up(0, 1, u64::MAX));
    }
}
