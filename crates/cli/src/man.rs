//! `watertight man`: manual pages, made from the same table as `--help`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

use crate::exit;

/// Print the manual page, or write one for each command.
///
/// `watertight man | man -l -` shows it. Packages install all of them: `man watertight-serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write the pages of all commands into this directory, which must exist
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, command: Command) -> ExitCode {
    let made = match &args.directory {
        Some(directory) => clap_mangen::generate_to(command, directory)
            .map_err(|error| format!("{}: {error}", directory.display())),
        None => print(command).map_err(|error| format!("cannot print it: {error}")),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(1, error),
    }
}

fn print(command: Command) -> std::io::Result<()> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&page)?;
    out.flush()
}
