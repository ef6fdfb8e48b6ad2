//! The signature algorithms, and sets of them. A key says which it is for; a token's header only chooses among those.

use std::fmt;

pub use jsonwebtoken::Algorithm;

/// All algorithms, in the order in which they are shown.
pub const ALL: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The algorithm of that name, as in a token's header; `none` is no algorithm.
#[must_use]
pub fn named(name: &str) -> Option<Algorithm> {
    name.parse().ok()
}

/// A set of algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Algorithms(u16);

impl Algorithms {
    /// All of them.
    pub const ANY: Algorithms = Algorithms((1 << ALL.len()) - 1);

    /// Those of a list.
    #[must_use]
    pub fn of(list: &[Algorithm]) -> Algorithms {
        Algorithms(list.iter().fold(0, |set, algorithm| set | bit(*algorithm)))
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & bit(algorithm) != 0
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Algorithms) -> Algorithms {
        Algorithms(self.0 & other.0)
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(self, other: Algorithms) -> Algorithms {
        Algorithms(self.0 | other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One by one, in the order of [`ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }
}

/// An algorithm that a later version of the library knows has no bit: no key is for it.
fn bit(algorithm: Algorithm) -> u16 {
    ALL.iter().position(|known| *known == algorithm).map_or(0, |at| 1 << at)
}

impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, algorithm) in self.iter().enumerate() {
            write!(f, "{}{algorithm:?}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}
