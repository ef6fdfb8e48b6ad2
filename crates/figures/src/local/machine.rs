//! The machine. The files are read key by key: sandboxes and containers (gVisor, LXCFS) leave lines out, for which
//! `procfs` refuses the whole file.

use std::path::Path;

use super::{Identity, Reading, pseudo};
use crate::number::{Known, Missing};
use crate::sample::Whose;
use crate::target::{Clock, Roots};

/// `MemTotal` and its like are in kibibytes, as are the blocks of `/proc/vmstat`.
const KIB: f64 = 1024.0;

/// CPUs that are online.
pub(super) fn cores(proc: &Path) -> Known {
    cores_of(&pseudo::text(&proc.join("stat"))?)
}

/// Memory there is, bytes.
pub(super) fn memory(proc: &Path) -> Known {
    Ok(pseudo::keyed(&pseudo::text(&proc.join("meminfo"))?, "MemTotal")? * KIB)
}

pub(super) fn read(roots: &Roots, clock: &Clock) -> Reading {
    let file = |name: &str| pseudo::text(&roots.proc.join(name));
    let at = clock();
    let stat = file("stat");
    let meminfo = file("meminfo");
    let vmstat = file("vmstat");
    let stat = stat.as_deref().map_err(|why| *why);
    let memory = |key| Ok(pseudo::keyed(meminfo.as_deref().map_err(|why| *why)?, key)? * KIB);
    // What went through the block layer, each block once, however devices stand on one another.
    let blocks = |key| Ok(pseudo::keyed(vmstat.as_deref().map_err(|why| *why)?, key)? * KIB);
    let total = memory("MemTotal");
    Reading {
        at,
        identity: Identity::Machine,
        of: Whose::Machine,
        cpu_seconds: stat.and_then(busy_seconds),
        cpu_limit_cores: stat.and_then(cores_of),
        memory_bytes: memory("MemAvailable").and_then(|available| Ok((total? - available).max(0.0))),
        memory_limit_bytes: total,
        threads: file("loadavg").and_then(|text| threads(&text).ok_or(Missing::NotAvailable)),
        fds: pseudo::number(&roots.proc.join("sys/fs/file-nr")),
        read_bytes: blocks("pgpgin"),
        write_bytes: blocks("pgpgout"),
    }
}

/// Lines `cpu0`, `cpu1`, and so on.
fn cores_of(stat: &str) -> Known {
    let is_cpu = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    };
    match u32::try_from(stat.lines().filter(is_cpu).count()) {
        Ok(0) | Err(_) => Err(Missing::NotAvailable),
        Ok(count) => Ok(f64::from(count)),
    }
}

/// Time in which CPUs were not idle, seconds: user, nice, system, irq, softirq and steal. Guests count as user already.
fn busy_seconds(stat: &str) -> Known {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).ok_or(Missing::NotAvailable)?;
    let ticks: Vec<f64> = line.split_ascii_whitespace().map_while(pseudo::first_number).collect();
    let [user, nice, system, _idle, rest @ ..] = &*ticks else { return Err(Missing::NotAvailable) };
    // The rest begins with iowait, in which a CPU is idle.
    let interrupts: f64 = rest.iter().skip(1).take(3).sum();
    Ok((user + nice + system + interrupts) / ticks_per_second())
}

/// In what unit the kernel counts CPU time.
#[expect(clippy::cast_precision_loss, reason = "it is 100, or 1,000")]
pub(super) fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// `0.20 0.18 0.12 1/80 11206`: of all threads, one runs.
fn threads(loadavg: &str) -> Option<f64> {
    let (_, all) = loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?;
    pseudo::first_number(all)
}
