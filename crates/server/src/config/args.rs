//! The command line flags: one for each setting, and `--config`.
//!
//! Values are taken as they stand; what they mean is decided with all other sources in
//! [`super::load`](super::load()), so that a flag is refused in the same words as a line of the file.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, builder::ValueParser};

use super::limits::{Config, SETTINGS};
use super::secret::HIDDEN;
use super::setting::{NAMES, Setting, row_of};

/// The id of the flag that names the file; no key has this name.
const CONFIG: &str = "config";

/// What the command line says about the configuration. Flatten it into a command:
/// `#[command(flatten)] config: ConfigArgs`. The ids of its arguments are `config` and the keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConfigArgs {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// The flags that were given: the row in the table and the values, in the table's order.
    given: Vec<(usize, Vec<OsString>)>,
}

impl ConfigArgs {
    /// As if `--config path` were the whole command line.
    pub fn file(path: impl AsRef<Path>) -> ConfigArgs {
        ConfigArgs { config: Some(path.as_ref().to_owned()), given: Vec::new() }
    }

    /// As if `--key value` stood on the command line as well. A key that does not exist is ignored
    /// and gives `false`.
    pub fn set(&mut self, key: &str, value: impl AsRef<OsStr>) -> bool {
        let Some(at) = row_of(key) else { return false };
        let value = vec![value.as_ref().to_owned()];
        match self.given.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(there) => self.given[there].1 = value,
            Err(here) => self.given.insert(here, (at, value)),
        }
        true
    }

    /// The flags that were given, with their row in the table.
    pub(super) fn given(&self) -> impl Iterator<Item = (usize, &[OsString])> {
        self.given.iter().map(|(at, values)| (*at, values.as_slice()))
    }
}

/// Without what may be a secret.
impl fmt::Debug for ConfigArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ConfigArgs");
        shown.field(CONFIG, &self.config);
        for (at, values) in &self.given {
            let setting = &SETTINGS[*at];
            if setting.is_confidential {
                shown.field(setting.key, &HIDDEN);
            } else {
                shown.field(setting.key, values);
            }
        }
        shown.finish()
    }
}

impl FromArgMatches for ConfigArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ConfigArgs, clap::Error> {
        let mut args = ConfigArgs::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        if let Some(path) = matches.get_one::<PathBuf>(CONFIG) {
            self.config = Some(path.clone());
        }
        for (at, setting) in SETTINGS.iter().enumerate() {
            if let Some(values) = matches.get_many::<OsString>(setting.key) {
                self.given.retain(|(given, _)| *given != at);
                self.given.push((at, values.cloned().collect()));
            }
        }
        self.given.sort_by_key(|(at, _)| *at);
        Ok(())
    }
}

impl clap::Args for ConfigArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The TOML file with settings [env: WATERTIGHT_CONFIG]")
            .help_heading("Configuration");
        SETTINGS
            .iter()
            .enumerate()
            .map(|(at, setting)| flag(at, setting))
            .fold(command.arg(file), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        ConfigArgs::augment_args(command)
    }
}

fn flag(at: usize, setting: &'static Setting) -> Arg {
    let default = match (setting.plain)(&Config::DEFAULT).text() {
        text if text.is_empty() => "none".to_owned(),
        text => text,
    };
    let short = format!("{} [default: {default}]", setting.about());
    let advice = setting.form.advice(setting.bounds.as_ref());
    let advice = advice.strip_prefix("use ").unwrap_or(&advice);
    let long = format!("{short}\n\nTakes {advice}. [env: {}]", NAMES[at].variable);
    let arg = Arg::new(setting.key)
        .long(NAMES[at].flag.as_str())
        .value_name(setting.form.value_name)
        .value_parser(ValueParser::os_string())
        // So that `--retry -1` is refused by its bounds, not as an unknown flag.
        .allow_negative_numbers(true)
        .help(short)
        .long_help(long)
        .help_heading(setting.section);
    if setting.is_switch() {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else if setting.is_list() {
        arg.action(ArgAction::Append)
    } else {
        arg
    }
}
