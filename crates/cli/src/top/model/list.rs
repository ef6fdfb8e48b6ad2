//! Rows of a list: which are shown, in which order, and which one is selected.

use std::cmp::Ordering;

use crate::top::answer::Name;
use crate::top::figures::{ConnectionRow, SessionRow};

/// What a list can be ordered by.
pub(in crate::top) trait Sort: Copy + PartialEq + 'static {
    /// All, in the order in which a key goes through them, with their names.
    const ALL: &'static [(Self, &'static str)];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(sort, _)| *sort == self).map_or("", |(_, name)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::top) enum SessionSort {
    Rate,
    Lag,
    Subscribers,
    Events,
    Bytes,
    Idle,
    Name,
}

impl Sort for SessionSort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Rate, "rate"),
        (Self::Lag, "lag"),
        (Self::Subscribers, "subscribers"),
        (Self::Events, "events"),
        (Self::Bytes, "bytes"),
        (Self::Idle, "idle"),
        (Self::Name, "name"),
    ];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::top) enum ConnectionSort {
    Lag,
    Rate,
    Sent,
    Age,
    User,
    Session,
    Id,
}

impl Sort for ConnectionSort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Lag, "lag"),
        (Self::Rate, "rate"),
        (Self::Sent, "sent"),
        (Self::Age, "age"),
        (Self::User, "user"),
        (Self::Session, "session"),
        (Self::Id, "id"),
    ];
}

/// A row of a list.
pub(in crate::top) trait Row {
    type Sort: Sort;

    fn id(&self) -> &Name;

    /// What a filter looks at.
    fn texts(&self) -> Vec<&str>;

    /// Which one is listed first, unless that is reversed: numbers from the greatest, texts in their order.
    fn order(&self, other: &Self, sort: Self::Sort) -> Ordering;
}

impl Row for SessionRow {
    type Sort = SessionSort;

    fn id(&self) -> &Name {
        &self.session.session
    }

    fn texts(&self) -> Vec<&str> {
        vec![self.session.session.as_str(), self.session.state.as_str()]
    }

    fn order(&self, other: &Self, sort: SessionSort) -> Ordering {
        let (one, two) = (&self.session, &other.session);
        match sort {
            SessionSort::Rate => greatest_first(self.rate, other.rate),
            SessionSort::Lag => other.lag.cmp(&self.lag),
            SessionSort::Subscribers => two.subscribers.cmp(&one.subscribers),
            SessionSort::Events => two.events.cmp(&one.events),
            SessionSort::Bytes => two.bytes.cmp(&one.bytes),
            SessionSort::Idle => two.idle_seconds.total_cmp(&one.idle_seconds),
            SessionSort::Name => Ordering::Equal,
        }
    }
}

impl Row for ConnectionRow {
    type Sort = ConnectionSort;

    fn id(&self) -> &Name {
        &self.connection.id
    }

    fn texts(&self) -> Vec<&str> {
        let connection = &self.connection;
        let user = connection.user.as_ref().map_or("", |user| user.as_str());
        vec![connection.id.as_str(), connection.kind.as_str(), connection.session.as_str(), user]
    }

    fn order(&self, other: &Self, sort: ConnectionSort) -> Ordering {
        let (one, two) = (&self.connection, &other.connection);
        match sort {
            ConnectionSort::Lag => two.lag.cmp(&one.lag),
            ConnectionSort::Rate => greatest_first(self.rate, other.rate),
            ConnectionSort::Sent => two.sent.cmp(&one.sent),
            ConnectionSort::Age => two.age_seconds.total_cmp(&one.age_seconds),
            // Whoever has none comes last.
            ConnectionSort::User => (one.user.is_none(), &one.user).cmp(&(two.user.is_none(), &two.user)),
            ConnectionSort::Session => one.session.cmp(&two.session),
            ConnectionSort::Id => Ordering::Equal,
        }
    }
}

fn greatest_first(one: Option<f64>, two: Option<f64>) -> Ordering {
    two.unwrap_or(-1.0).total_cmp(&one.unwrap_or(-1.0))
}

/// What a user has chosen of a list.
#[derive(Debug)]
pub(in crate::top) struct Choice<S> {
    pub(in crate::top) sort: S,
    pub(in crate::top) is_reversed: bool,
    /// The row, and where it was seen last: if it is gone, the one that stands there is selected.
    selected: Option<Name>,
    at: usize,
}

impl<S: Sort> Choice<S> {
    pub(super) fn new(sort: S) -> Self {
        Self { sort, is_reversed: false, selected: None, at: 0 }
    }

    /// Where the selected row stands among those that are shown.
    pub(in crate::top) fn at(&self) -> usize {
        self.at
    }

    /// The rows that a filter leaves, in order. Rows that are equal are ordered by id, so that they stay where they are.
    pub(super) fn arrange<'a, R: Row<Sort = S>>(&self, rows: &'a [R], filter: &str) -> Vec<&'a R> {
        let filter = filter.to_lowercase();
        let has = |row: &&R| row.texts().iter().any(|text| text.to_lowercase().contains(&filter));
        let mut rows: Vec<&R> = rows.iter().filter(|row| filter.is_empty() || has(row)).collect();
        rows.sort_by(|one, two| {
            let order = one.order(two, self.sort).then_with(|| one.id().cmp(two.id()));
            if self.is_reversed { order.reverse() } else { order }
        });
        rows
    }

    /// Orders by what comes next among [`Sort::ALL`], or before.
    pub(super) fn sort_next(&mut self, is_forward: bool) {
        let (at, count) = (S::ALL.iter().position(|(sort, _)| *sort == self.sort).unwrap_or(0), S::ALL.len());
        let next = if is_forward { at + 1 } else { at + count - 1 } % count;
        if let Some((sort, _)) = S::ALL.get(next) {
            (self.sort, self.is_reversed) = (*sort, false);
        }
    }

    /// Selects the row so far from the one that is selected, among these; the first or the last if there is none so far.
    pub(super) fn go(&mut self, ids: &[Name], by: isize) {
        let at = ids.iter().position(|id| Some(id) == self.selected.as_ref()).unwrap_or(self.at);
        self.at = at.saturating_add_signed(by).min(ids.len().saturating_sub(1));
        // The first row is followed only once it was chosen: until then it is whichever comes first.
        if by != 0 || self.selected.is_some() {
            self.selected = ids.get(self.at).cloned();
        }
    }
}
