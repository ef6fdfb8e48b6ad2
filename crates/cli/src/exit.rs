//! How a command ends: exit codes, and the small runtime of those that are clients.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

/// The command line or the configuration is wrong (`EX_USAGE` of sysexits.h).
pub(crate) const USAGE: u8 = 64;

/// Prints what clap has to say: help and version are no errors.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if standard error is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Prints an error and gives the code.
pub(crate) fn failed(code: u8, error: impl std::fmt::Display) -> ExitCode {
    let _ = std::io::stderr().write_all(last_line(error).as_bytes());
    ExitCode::from(code)
}

/// Why a command ends, as a line.
pub(crate) fn last_line(error: impl std::fmt::Display) -> String {
    format!("watertight: {error}\n")
}

/// Runs a client command on a runtime of one thread.
pub(crate) fn on_runtime(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(command);
            // Standard input may be in the middle of a read that nobody can interrupt.
            runtime.shutdown_background();
            code
        }
        Err(error) => failed(1, format!("cannot start a runtime: {error}")),
    }
}
