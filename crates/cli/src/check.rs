//! `watertight check`: is this configuration one, and what does it say?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use watertight_server::config::{ConfigArgs, ConfigError, load};

use crate::exit;

/// Check a configuration and print what holds, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The TOML file to check; without one, the environment and the defaults
    #[arg(value_name = "CONFIG")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let config_args = args.file.as_ref().map(ConfigArgs::file).unwrap_or_default();
    match load(&config_args, std::env::vars_os()) {
        Ok(loaded) => {
            let report = if args.json {
                match serde_json::to_string_pretty(&loaded) {
                    Ok(json) => json + "\n",
                    Err(error) => return exit::failed(1, error),
                }
            } else {
                loaded.report()
            };
            // A reader that closes early has seen enough.
            let _ = std::io::stdout().write_all(report.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) if args.json => {
            let json = serde_json::to_string_pretty(&error).unwrap_or_else(|_| error.to_string());
            let _ = writeln!(std::io::stdout(), "{json}");
            ExitCode::from(ConfigError::EXIT_CODE)
        }
        Err(error) => exit::failed(ConfigError::EXIT_CODE, error),
    }
}
