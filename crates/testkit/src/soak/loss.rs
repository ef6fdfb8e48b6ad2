//! Losing on purpose, to prove that the checker notices.

/// Loses one event in so many, if told to.
#[derive(Debug)]
pub(super) struct Loss {
    one_in: Option<u64>,
    random: fastrand::Rng,
    /// Events that readers got so far.
    pub(super) delivered: u64,
}

impl Loss {
    pub(super) fn new(one_in: Option<u64>, seed: u64) -> Loss {
        Loss { one_in, random: fastrand::Rng::with_seed(seed), delivered: 0 }
    }

    /// Whether this one is lost.
    pub(super) fn loses(&mut self) -> bool {
        self.delivered += 1;
        self.one_in.is_some_and(|one_in| self.random.u64(0..one_in) == 0)
    }
}
