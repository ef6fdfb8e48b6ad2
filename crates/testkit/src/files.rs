//! The limit on open files of the test's own process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files as far as it goes, and returns it.
///
/// # Panics
/// When it stays below `needed`: says what to do.
pub fn raise_open_files(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may go up to the hard one");
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(now >= needed, "this test opens {needed} files and may open {now}: raise `ulimit -Hn`");
    now
}
