//! Running a step: say what, show its output, stop at the first that fails.

use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) type Outcome = Result<(), String>;

/// Runs a command in the project's root, unless it says where.
pub(crate) fn run(name: &str, mut command: Command) -> Outcome {
    println!("xtask: {name}");
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    let status = command.status().map_err(|error| format!("{name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
}

/// The cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Whether a command runs and succeeds; shows nothing.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The project's root: xtask lies right below it.
pub(crate) fn root() -> &'static std::path::Path {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Where tools are compiled that `cargo install` installs: they have crates in common. The book, which is made last, takes it away.
pub(crate) fn tools_build() -> PathBuf {
    target_dir().join("tools/build")
}

/// Where cargo puts what it builds: the tests start the binary, and the tools installed for them, from there.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
