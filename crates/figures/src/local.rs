//! Figures of this host: read from files of the kernel, compared with the reading before.
//!
//! The kernel makes these files while they are read, in microseconds as a rule. But a group's statistics are summed over
//! all CPUs and children first (milliseconds on a large machine), and `/proc/PID/io` waits for an `exec` of that process,
//! which may itself wait for a file system that does not answer. So readings run on the runtime's threads for blocking
//! work, never on those that serve: one at a time for a sampler, which holds on to it until it has ended.

mod cgroup;
mod machine;
mod process;
mod pseudo;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Code, SampleError};
use crate::limits::Limits;
use crate::number::{Known, Missing, per_second, to_digits};
use crate::sample::{Figures, Local, Whose};
use crate::target::{ProcessId, Surroundings};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// What is read.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Host,
    /// The group's whole path.
    Cgroup(PathBuf),
    Process(ProcessId),
}

/// Whose counters these are: those of two are never compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    Machine,
    /// A group that was removed and made anew has another inode.
    Cgroup(PathBuf, u64),
    /// When the process started.
    Process(u64),
}

/// One reading: figures, and counters that become rates.
#[derive(Debug, Clone)]
struct Reading {
    at: Duration,
    identity: Identity,
    of: Whose,
    cpu_seconds: Known,
    cpu_limit_cores: Known,
    memory_bytes: Known,
    memory_limit_bytes: Known,
    threads: Known,
    fds: Known,
    read_bytes: Known,
    write_bytes: Known,
}

/// Samples the machine, a group or a process.
#[derive(Debug)]
pub(crate) struct LocalSampler {
    what: What,
    time_max: Duration,
    surroundings: Surroundings,
    /// The reading that runs; it outlives the future that began it, so that there is never a second.
    running: Option<JoinHandle<Result<Reading, SampleError>>>,
    before: Option<Reading>,
}

impl LocalSampler {
    pub(crate) fn new(what: What, limits: &Limits, surroundings: Surroundings) -> LocalSampler {
        LocalSampler { what, time_max: limits.time_max, surroundings, running: None, before: None }
    }

    /// When the process started, once it was seen.
    pub(crate) fn process_started(&self) -> Option<u64> {
        match self.what {
            What::Process(process) => process.started,
            _ => None,
        }
    }

    pub(crate) async fn sample(&mut self) -> Result<Local, SampleError> {
        let deadline = Instant::now() + self.time_max;
        // What was left by a sample that was dropped or timed out is old by now.
        if self.running.is_some() {
            let _old = self.ended(deadline).await?;
        }
        let (what, surroundings) = (self.what.clone(), self.surroundings.clone());
        self.running = Some(tokio::task::spawn_blocking(move || read(&what, &surroundings)));
        let reading = self.ended(deadline).await??;
        if let (What::Process(process), Identity::Process(started)) = (&mut self.what, &reading.identity) {
            process.started = Some(*started);
        }
        let figures = figures(self.before.as_ref(), &reading);
        let of = reading.of;
        self.before = Some(reading);
        Ok(Local { of, figures })
    }

    /// Waits for the reading that runs.
    async fn ended(&mut self, deadline: Instant) -> Result<Result<Reading, SampleError>, SampleError> {
        let Some(running) = &mut self.running else {
            return Err(SampleError::new(Code::Unreadable, "no reading runs"));
        };
        let Ok(ended) = timeout_at(deadline, running).await else {
            let detail = format!("the kernel did not answer within {} s", self.time_max.as_secs_f64());
            return Err(SampleError::new(Code::Timeout, detail));
        };
        self.running = None;
        ended
            .map_err(|_| SampleError::new(Code::Unreadable, "the kernel's files are not what they should be"))
    }
}

impl Drop for LocalSampler {
    fn drop(&mut self) {
        // One that has not begun yet never does; one that runs ends with its files.
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn read(what: &What, surroundings: &Surroundings) -> Result<Reading, SampleError> {
    let roots = &surroundings.roots;
    match what {
        What::Host => match cgroup::of_hub(roots) {
            Some(group) => cgroup::read(roots, &group, &surroundings.clock),
            None => Ok(machine::read(roots, &surroundings.clock)),
        },
        What::Cgroup(path) => cgroup::read(roots, path, &surroundings.clock),
        What::Process(process) => process::read(roots, *process, &surroundings.clock),
    }
}

fn figures(before: Option<&Reading>, now: &Reading) -> Figures {
    let is_same = before.is_none_or(|before| before.identity == now.identity);
    let rate = |counter: fn(&Reading) -> Known| match before {
        None => counter(now).and(Err(Missing::FirstSample)),
        Some(_) if !is_same => counter(now).and(Err(Missing::Restarted)),
        Some(before) => per_second(counter(before), counter(now), now.at.saturating_sub(before.at)),
    };
    let cpu_cores = rate(|reading| reading.cpu_seconds);
    Figures([
        ("cpuPercent", percent(cpu_cores, now.cpu_limit_cores)),
        ("cpuCores", cpu_cores.map(|cores| to_digits(cores, 4))),
        ("cpuLimitCores", now.cpu_limit_cores.map(|cores| to_digits(cores, 4))),
        ("memoryBytes", now.memory_bytes),
        ("memoryLimitBytes", now.memory_limit_bytes),
        ("memoryPercent", percent(now.memory_bytes, now.memory_limit_bytes)),
        ("threads", now.threads),
        ("fds", now.fds),
        ("readBytesPerSecond", rate(|reading| reading.read_bytes).map(f64::round)),
        ("writeBytesPerSecond", rate(|reading| reading.write_bytes).map(f64::round)),
    ])
}

fn percent(used: Known, limit: Known) -> Known {
    let (used, limit) = (used?, limit?);
    if limit > 0.0 { Ok(to_digits(100.0 * used / limit, 2)) } else { Err(Missing::NotAvailable) }
}
