//! A configuration while it is being put together: what holds so far, where each value came from,
//! and everything found wrong on the way.
//!
//! Sources offer their values in rising order of precedence. A value that is refused stays refused
//! even if a later source overrides it: the configuration is taken whole or not at all.

use super::choice::Choice as _;
use super::declared::Table;
use super::directory::DirectoryKind;
use super::error::{ConfigError, Mistake, Origin, Problem};
use super::kind::Raw;
use super::limits::{Config, SETTINGS};
use super::relations::RELATIONS;
use super::setting::row_of;
use super::tables::TableOrigins;
use super::{Loaded, Origins};
use crate::resource::ResourceId;

/// Where all names are listed, for a name that resembles none of them.
pub(super) const SEE_HELP: &str = "`watertight serve --help` lists every setting";

pub(super) struct Draft {
    config: Config,
    /// One for each row of the table.
    origins: Vec<Origin>,
    /// Where each declared table stands.
    tables: TableOrigins,
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
            tables: TableOrigins::new(),
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

    /// Takes a table of the file.
    pub(super) fn declare<T: Table>(&mut self, id: &ResourceId, table: T, origin: Origin) {
        T::all(&mut self.config.declared).insert(id.clone(), table);
        self.tables.insert((T::NAME, id.clone()), origin);
    }

    /// Tables that say whose a deployment or a service is mean nothing where somebody else is asked for it.
    fn check_tables(&mut self) {
        let directory = self.config.directory;
        if directory == DirectoryKind::Config {
            return;
        }
        let declared = &self.config.declared;
        let deployment = declared.deployments.keys().next().map(|id| ("deployments", id));
        let owned = declared.services.iter().find(|(_, service)| service.owner.is_some());
        let Some((table, id)) = deployment.or(owned.map(|(id, _)| ("services", id))) else { return };
        let key = format!("{table}.{}", id.as_str());
        let Some(origin) = self.tables.get(&(table, id.clone())) else { return };
        self.problems.push(Problem {
            origin: origin.clone(),
            mistake: Mistake::Conflict,
            key: Some(key),
            value: None,
            wrong: format!(
                "does not go with directory = \"{}\": nobody would ask the file",
                directory.word()
            ),
            advice: Some("leave the table out, or set directory = \"config\"".to_owned()),
        });
    }

    /// Notes that the row `at` was given a value that is refused.
    pub(super) fn refuse(&mut self, at: usize) {
        self.refused[at] = true;
    }

    /// Checks the relations between settings and closes the draft.
    pub(super) fn finish(mut self) -> Result<Loaded, ConfigError> {
        let refused = std::mem::take(&mut self.refused);
        let taken = |key: &str| row_of(key).is_some_and(|at| !refused[at]);
        for relation in RELATIONS {
            let known = !self.blind && relation.keys.iter().all(|key| taken(key));
            if known && !relation.holds(&self.config) {
                self.problems.push(relation.broken(&self.config, &self.origins));
            }
        }
        if !self.blind && taken("directory") {
            self.check_tables();
        }
        if self.problems.is_empty() {
            let origins = Origins { settings: self.origins, tables: self.tables };
            Ok(Loaded { config: self.config, origins, file: None })
        } else {
            Err(ConfigError::new(self.problems))
        }
    }
}
