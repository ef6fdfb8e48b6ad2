//! What a token grants: the claim `watertight`, compiled once and kept small, since every stream of a token shares it.

pub mod pattern;

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{object, present};
use crate::limits::{PATH_BYTES_MAX, PATTERNS_MAX};
pub use pattern::{InvalidPattern, Pattern};

/// What somebody wants to do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read events: `subscribe`.
    Subscribe,
    /// Write events: `publish`.
    Publish,
}

impl Action {
    /// The member of the claim that lists its patterns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Action::Subscribe => "subscribe",
            Action::Publish => "publish",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a claim `watertight` is refused. Says nothing of what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrants {
    /// It is no object, or has a member twice.
    #[error("the claim `watertight` is no object with each member once")]
    NoObject,
    /// A list is something else.
    #[error("`{0}` in the claim `watertight` is no list of texts")]
    NoList(Action),
    /// `admin` is something else.
    #[error("`admin` in the claim `watertight` is neither true nor false")]
    NoSwitch,
    /// There are too many patterns.
    #[error("`{0}` in the claim `watertight` has more than {PATTERNS_MAX} patterns")]
    TooMany(Action),
    /// A pattern is none.
    #[error("pattern {number} of `{action}` in the claim `watertight` {why}")]
    Pattern {
        /// The list it stands in.
        action: Action,
        /// Its number in the list, from 1.
        number: usize,
        /// What is wrong with it.
        why: InvalidPattern,
    },
}

/// What a token grants. A token without the claim grants nothing. `admin` is for the operator's calls alone: it lets
/// nobody subscribe or publish.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// The patterns, those of `subscribe` first, each followed by a line feed: no pattern has one in it. One
    /// allocation, because a hub may hold the grants of ten thousand tokens.
    text: Box<str>,
    /// Where those of `publish` begin.
    publish_at: u32,
    admin: bool,
}

/// The claim as it came. Unknown members are ignored: they may belong to a later version.
#[derive(Deserialize)]
struct Claim<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    subscribe: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    publish: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    admin: Option<&'a RawValue>,
}

impl Grants {
    /// Grants made of patterns.
    ///
    /// # Errors
    /// When there are too many patterns in a list, or one is none.
    pub fn new<S: AsRef<str>>(subscribe: &[S], publish: &[S], admin: bool) -> Result<Grants, InvalidGrants> {
        let mut text = String::new();
        append(&mut text, Action::Subscribe, subscribe)?;
        // Both lists together have at most 2 x 64 patterns of 257 bytes.
        let publish_at = u32::try_from(text.len()).map_err(|_| InvalidGrants::TooMany(Action::Subscribe))?;
        append(&mut text, Action::Publish, publish)?;
        Ok(Grants { text: text.into_boxed_str(), publish_at, admin })
    }

    /// Reads the claim's JSON.
    ///
    /// # Errors
    /// When a member has a wrong type, there are too many patterns, or one is none.
    pub fn from_json(claim: &str) -> Result<Grants, InvalidGrants> {
        let claim: Claim<'_> = object(claim.as_bytes()).ok_or(InvalidGrants::NoObject)?;
        let subscribe = list(Action::Subscribe, claim.subscribe)?;
        let publish = list(Action::Publish, claim.publish)?;
        let admin = match claim.admin {
            None => false,
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| InvalidGrants::NoSwitch)?,
        };
        Grants::new(&subscribe, &publish, admin)
    }

    /// Whether `action` is granted on `path`: `sessions/NAME`, `deployments/42/logs`, `services/metrics`, with names
    /// decoded as they are used.
    ///
    /// A path in which a segment is empty, `.` or `..` is granted to nobody: a proxy and the hub may read it
    /// differently. Takes time proportional to the number of patterns times the length of the path.
    #[must_use]
    pub fn allows(&self, action: Action, path: &str) -> bool {
        is_plain(path) && self.patterns(action).any(|pattern| pattern.matches(path))
    }

    /// Whether the operator's calls are granted: lists, closing, ending, revoking.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether nothing is granted at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.admin
    }

    /// The patterns for an action, in the order of the claim.
    pub fn patterns(&self, action: Action) -> impl Iterator<Item = Pattern<'_>> {
        let (subscribe, publish) = self.text.split_at(self.publish_at as usize);
        let text = match action {
            Action::Subscribe => subscribe,
            Action::Publish => publish,
        };
        text.split_terminator('\n').map(Pattern::checked)
    }

    /// Bytes it holds on the heap: what whoever keeps it charges to the budget.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.text.len()
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |action| self.patterns(action).map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>();
        f.debug_struct("Grants")
            .field("subscribe", &list(Action::Subscribe))
            .field("publish", &list(Action::Publish))
            .field("admin", &self.admin)
            .finish()
    }
}

/// Whether a path can be read in one way only.
fn is_plain(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX && path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

fn list(action: Action, raw: Option<&RawValue>) -> Result<Vec<String>, InvalidGrants> {
    raw.map_or(Ok(Vec::new()), |raw| {
        serde_json::from_str(raw.get()).map_err(|_| InvalidGrants::NoList(action))
    })
}

fn append<S: AsRef<str>>(text: &mut String, action: Action, patterns: &[S]) -> Result<(), InvalidGrants> {
    if patterns.len() > PATTERNS_MAX {
        return Err(InvalidGrants::TooMany(action));
    }
    for (at, pattern) in patterns.iter().enumerate() {
        let pattern = Pattern::new(pattern.as_ref()).map_err(|why| InvalidGrants::Pattern {
            action,
            number: at + 1,
            why,
        })?;
        text.push_str(pattern.as_str());
        text.push('\n');
    }
    Ok(())
}
