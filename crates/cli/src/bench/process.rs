//! What the kernel says of a process: CPU time, memory, open files. Reads `/proc`; must not know whose it is.

use std::time::Duration;
use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};

use super::failure::{Failure, Outcome, While, broken};

/// `/proc/PID/stat` counts in these on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// Open files that the generator needs beside its connections.
const FILES_BESIDE: u64 = 64;

/// The lowest priority there is.
const NICENESS: i32 = 19;

/// The calling thread gives way to whatever is measured: in the field, it would run on a machine of its own.
pub(super) fn give_way() -> io::Result<()> {
    Ok(setpriority_process(None, NICENESS)?)
}

/// A process that is watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) pid: u32,
}

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// All of it, code and files included.
    pub(super) resident: u64,
    /// Heap and stacks.
    pub(super) anonymous: u64,
}

impl Process {
    /// CPU time used so far by all threads, in user space and in the kernel. Each of two figures may be short: that of the
    /// process by up to two ticks of 10 ms, that of its threads by those which have ended.
    pub(super) fn cpu(self) -> Outcome<Duration> {
        Ok(self.cpu_in_ticks()?.max(self.cpu_of_threads()))
    }

    fn cpu_in_ticks(self) -> Outcome<Duration> {
        let text = self.read("stat")?;
        // The name in parentheses may hold anything; what follows it is plain.
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
        let mut ticks = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
        match (ticks.next(), ticks.next()) {
            (Some(user), Some(system)) => {
                Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
            }
            _ => broken(format!("/proc/{}/stat has no CPU times", self.pid)),
        }
    }

    /// To the nanosecond; zero where the kernel does not count (`CONFIG_SCHED_INFO`), and without those that have ended or
    /// end meanwhile.
    fn cpu_of_threads(self) -> Duration {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return Duration::ZERO };
        let spent = threads.flatten().filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(spent.sum())
    }

    pub(super) fn memory(self) -> Outcome<Memory> {
        let text = self.read("status")?;
        let bytes = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
        };
        match (bytes("VmRSS"), bytes("RssAnon")) {
            (Some(resident), Some(anonymous)) => Ok(Memory { resident, anonymous }),
            _ => broken(format!("/proc/{}/status has no memory figures", self.pid)),
        }
    }

    /// Open files.
    pub(super) fn files(self) -> Outcome<u64> {
        let path = format!("/proc/{}/fd", self.pid);
        Ok(fs::read_dir(&path).during(&format!("reading {path}"))?.count() as u64)
    }

    fn read(self, name: &str) -> Outcome<String> {
        let path = format!("/proc/{}/{name}", self.pid);
        fs::read_to_string(&path).during(&format!("reading {path}"))
    }
}

/// Raises this process's limit on open files as far as it goes (children inherit it), and refuses if that does
/// not suffice for so many connections.
pub(super) fn allow_connections(count: u64) -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).during("raising the limit on open files")?;
    }
    match limit.maximum {
        Some(maximum) if count + FILES_BESIDE > maximum => Err(Failure::Usage(format!(
            "{count} connections need {} open files, but the hard limit is {maximum} (ulimit -Hn)",
            count + FILES_BESIDE
        ))),
        _ => Ok(()),
    }
}

/// How many files this process may have open.
pub(super) fn files_allowed() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    #[test]
    fn a_process_has_memory_time_and_files() {
        let this = Process { pid: std::process::id() };
        let memory = this.memory().unwrap();
        assert!(memory.resident >= memory.anonymous && memory.anonymous > 0, "{memory:?}");
        assert!(this.files().unwrap() >= 3);
        this.cpu().unwrap();
        assert!(Process { pid: u32::MAX }.cpu().is_err());
    }

    /// Ends with the test, however that ends.
    struct Busy(Child);

    impl Drop for Busy {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    #[test]
    fn the_time_of_the_threads_is_that_of_the_process_but_for_a_few_ticks() {
        let busy = Busy(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let process = Process { pid: busy.0.id() };
        let tick = Duration::from_millis(1000 / TICKS_PER_SECOND);
        while process.cpu_in_ticks().unwrap() < 20 * tick {
            std::thread::yield_now();
        }
        let before = process.cpu_in_ticks().unwrap();
        let threads = process.cpu_of_threads();
        let after = process.cpu_in_ticks().unwrap();
        if !fs::exists("/proc/self/schedstat").unwrap() {
            return assert_eq!(threads, Duration::ZERO, "what the kernel does not count is nothing");
        }
        // Both round, and a thread that runs is only brought up to date now and then.
        assert!(before <= threads + 4 * tick, "{before:?} {threads:?}");
        assert!(threads <= after + 4 * tick, "{threads:?} {after:?}");
    }
}
