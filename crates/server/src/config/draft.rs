//! A configuration while it is being put together: what holds so far, where each value came from,
//! and everything found wrong on the way.
//!
//! Sources offer their values in rising order of precedence. A value that is refused stays refused
//! even if a later source overrides it: the configuration is taken whole or not at all.

use super::error::{ConfigError, Origin, Problem};
use super::kind::Raw;
use super::limits::{Config, SETTINGS};
use super::relations::RELATIONS;
use super::setting::row_of;
use super::{Loaded, Origins};

/// Where all names are listed, for a name that resembles none of them.
pub(super) const SEE_HELP: &str = "`watertight serve --help` lists every setting";

pub(super) struct Draft {
    config: Config,
    /// One for each row of the table.
    origins: Vec<Origin>,
    /// The rows of which some value was refused.
    refused: Vec<bool>,
    problems: Vec<Problem>,
    /// A source could not be read, so its values are unknown: relations are not checked.
    pub(super) blind: bool,
}

impl Draft {
    pub(super) fn new() -> Draft {
        Draft {
            config: Config::DEFAULT,
            origins: vec![Origin::Default; SETTINGS.len()],
            refused: vec![false; SETTINGS.len()],
            problems: Vec::new(),
            blind: false,
        }
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Takes a value for the row `at`, or notes why not. `written` is how it is repeated then.
    pub(super) fn offer(&mut self, at: usize, origin: Origin, raw: &Raw, written: &str) {
        match (SETTINGS[at].set)(&mut self.config, raw) {
            Ok(()) => self.origins[at] = origin,
            Err(refusal) => {
                self.refuse(at);
                self.problems.push(Problem {
                    origin,
                    mistake: refusal.mistake,
                    key: Some(SETTINGS[at].key.to_owned()),
                    value: SETTINGS[at].repeated(written),
                    wrong: refusal.wrong,
                    advice: Some(refusal.advice),
                });
            }
        }
    }

    /// Notes that the row `at` was given a value that is refused.
    pub(super) fn refuse(&mut self, at: usize) {
        self.refused[at] = true;
    }

    /// Checks the relations between settings and closes the draft.
    pub(super) fn finish(mut self) -> Result<Loaded, ConfigError> {
        let taken = |key: &str| row_of(key).is_some_and(|at| !self.refused[at]);
        for relation in RELATIONS {
            let known = !self.blind && relation.keys.iter().all(|key| taken(key));
            if known && !relation.holds(&self.config) {
                self.problems.push(relation.broken(&self.config, &self.origins));
            }
        }
        if self.problems.is_empty() {
            Ok(Loaded { config: self.config, origins: Origins(self.origins) })
        } else {
            Err(ConfigError::new(self.problems))
        }
    }
}
