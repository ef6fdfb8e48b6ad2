//! What `GET /stats` said at one instant.

use std::collections::BTreeMap;

use serde_json::Value;

/// One row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Ever opened.
    pub opened: u64,
    /// Closed again.
    pub closed: u64,
    /// Open now.
    pub live: u64,
}

/// The ledger that the hub shows: counts by kind of resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger(BTreeMap<String, Counts>);

impl Ledger {
    /// Open resources of a kind (`connection`, `subscription`, `session`, `source`, `timer`,
    /// `redisSubscription`, `task`, `request`).
    #[must_use]
    pub fn live(&self, kind: &str) -> u64 {
        self.counts(kind).live
    }

    /// The row of a kind.
    ///
    /// # Panics
    /// When there is no such kind.
    #[must_use]
    pub fn counts(&self, kind: &str) -> Counts {
        *self.0.get(kind).unwrap_or_else(|| panic!("the ledger knows no {kind}: {self:?}"))
    }

    /// All kinds with what is live.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Counts)> {
        self.0.iter().map(|(kind, counts)| (kind.as_str(), *counts))
    }

    /// Whether in every row `opened - closed = live`. The hub counts the three apart.
    ///
    /// # Errors
    /// The first row in which it is not so.
    pub fn check(&self) -> Result<(), String> {
        let adds_up = |counts: &Counts| counts.opened.checked_sub(counts.closed) == Some(counts.live);
        match self.iter().find(|(_, counts)| !adds_up(counts)) {
            None => Ok(()),
            Some((kind, counts)) => Err(format!("the ledger does not add up: {kind}: {counts:?}")),
        }
    }

    /// Asserts that in every row `opened - closed = live`.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_adds_up(&self) {
        if let Err(wrong) = self.check() {
            panic!("{wrong}");
        }
    }
}

/// Everything `/stats` said.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats(Value);

impl Stats {
    /// From the answer's body.
    #[must_use]
    pub fn new(value: Value) -> Stats {
        Stats(value)
    }

    /// The answer itself.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// A number by its path: `stats.number("metrics.gaps")`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn number(&self, path: &str) -> u64 {
        let found = path.split('.').try_fold(&self.0, |value, key| value.get(key));
        found.and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {path} in {}", self.0))
    }

    /// The ledger.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let rows = self.0["ledger"].as_object().expect("a ledger");
        let number = |row: &Value, key: &str| row[key].as_u64().expect("a count");
        let counts = |row: &Value| Counts {
            opened: number(row, "opened"),
            closed: number(row, "closed"),
            live: number(row, "live"),
        };
        Ledger(rows.iter().map(|(kind, row)| (kind.clone(), counts(row))).collect())
    }

    /// Open resources of a kind.
    #[must_use]
    pub fn live(&self, kind: &str) -> u64 {
        self.ledger().live(kind)
    }

    /// Bytes charged to the budget, by owner.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<String, u64> {
        let owners = self.0["budget"]["owners"].as_object().expect("a budget");
        owners.iter().map(|(owner, bytes)| (owner.clone(), bytes.as_u64().expect("bytes"))).collect()
    }

    /// Bytes charged to the budget, those of the request that asks included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.number("budget.usedBytes")
    }

    /// Bytes charged for anything but connections and requests.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        self.used_bytes() - self.request_bytes()
    }

    /// Bytes charged for connections and requests, those of the request that asks included.
    #[must_use]
    pub fn request_bytes(&self) -> u64 {
        self.number("budget.owners.requests")
    }
}
