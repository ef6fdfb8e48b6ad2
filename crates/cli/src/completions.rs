//! `watertight completions SHELL`: what a shell needs to complete our commands and flags.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use crate::exit;

/// Print the completions for a shell.
///
/// Packages install them. Otherwise: for bash, `source <(watertight completions bash)` in ~/.bashrc; for zsh, the output
/// as `_watertight` in a directory of $fpath; for fish, as ~/.config/fish/completions/watertight.fish.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "watertight", &mut script);
    let mut out = std::io::stdout().lock();
    match out.write_all(&script).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(1, format!("cannot print them: {error}")),
    }
}
