//! How much memory this process may use, and the thresholds that follow from it where the configuration says `auto`.
//!
//! The limit of the control group counts, or of the group above it, whichever is less: beyond it the kernel kills. Without
//! one it is the memory of the machine.

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{Auto, Config};

const MIB: u64 = 1 << 20;

/// What is assumed where neither a control group nor the machine says how much there is.
const ASSUMED_BYTES: u64 = 1 << 30;

/// The share of the memory at which the hub warns, and at which it sheds load, in percent. The rest is for what the
/// budget does not count: the kernel's socket buffers, stacks, what the allocator holds back.
const WARNING_PERCENT: u64 = 50;
const CRITICAL_PERCENT: u64 = 75;

/// How much memory there is, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) bytes: u64,
    /// `cgroup`, `machine` or `assumed`.
    pub(crate) source: &'static str,
}

impl Available {
    /// Looks below `root`, which is `/` but for tests.
    pub(crate) fn find(root: &Path) -> Available {
        let machine = total_memory(root);
        let group = group_limit(root);
        match (group, machine) {
            // A limit beyond the machine limits nothing.
            (Some(group), machine) if machine.is_none_or(|machine| group < machine) => {
                Available { bytes: group, source: "cgroup" }
            }
            (_, Some(machine)) => Available { bytes: machine, source: "machine" },
            _ => Available { bytes: ASSUMED_BYTES, source: "assumed" },
        }
    }
}

/// `MemTotal` of `/proc/meminfo`.
fn total_memory(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least limit of the process's control groups. Version 2, and the controller of version 1 where that has the memory.
fn group_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = root.join("sys/fs/cgroup");
    let limits = groups.lines().flat_map(|line| {
        // `0::/path`, or `4:memory:/path`.
        let mut parts = line.splitn(3, ':').skip(1);
        match (parts.next(), parts.next()) {
            (Some(""), Some(path)) => limits_above(&mounts, path, &["memory.max", "memory.high"]),
            (Some(controllers), Some(path)) if controllers.split(',').any(|name| name == "memory") => {
                limits_above(&mounts.join("memory"), path, &["memory.limit_in_bytes"])
            }
            _ => Vec::new(),
        }
    });
    limits.min()
}

/// The limits of a group and all above it. In a container the path may be that of the host, of which only the container's
/// own part is mounted: what is not there is passed over, down to the mount itself.
fn limits_above(mount: &Path, path: &str, files: &[&str]) -> Vec<u64> {
    let group: PathBuf = mount.join(path.trim_start_matches('/'));
    let within = group.ancestors().take_while(|folder| folder.starts_with(mount));
    within.flat_map(|folder| files.iter().filter_map(|file| limit_of(&folder.join(file)))).collect()
}

/// The number in a file; `None` for `max`, for what is not there, and for 0, which nobody means.
fn limit_of(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok().filter(|limit| *limit > 0)
}

/// The memory thresholds in force, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thresholds {
    pub(crate) warning: u64,
    pub(crate) critical: u64,
}

/// Settings that do not fit the memory there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} = {value} must be below memory_critical_threshold_mb, which is {critical} by itself: {CRITICAL_PERCENT} % of the \
     {available} MiB of memory there are; set memory_critical_threshold_mb, lower {key}, or give the hub more memory"
)]
pub struct DoesNotFit {
    key: &'static str,
    /// In MiB.
    value: u64,
    critical: u64,
    available: u64,
}

impl Thresholds {
    /// What the configuration says, or what fits the memory there is.
    ///
    /// # Errors
    /// When another setting needs more than what fits.
    pub(crate) fn of(config: &Config, available: Available) -> Result<Thresholds, DoesNotFit> {
        let share = |percent: u64| available.bytes.saturating_mul(percent) / 100;
        let critical = match config.memory_critical_threshold_mb {
            Auto::Given(mebibytes) => mebibytes.saturating_mul(MIB),
            Auto::Auto => share(CRITICAL_PERCENT),
        };
        let warning = match config.memory_warning_threshold_mb {
            Auto::Given(mebibytes) => mebibytes.saturating_mul(MIB),
            // Below a critical threshold that somebody set lower.
            Auto::Auto => {
                share(WARNING_PERCENT).min(critical.saturating_mul(WARNING_PERCENT) / CRITICAL_PERCENT)
            }
        };
        // What is given was compared with what is given when the configuration was read.
        let below = [
            ("memory_warning_threshold_mb", warning),
            ("max_history_bytes_per_session", config.max_history_bytes_per_session as u64),
            ("max_body_bytes", config.max_body_bytes as u64),
        ];
        match below.into_iter().find(|(_, value)| *value >= critical) {
            None => Ok(Thresholds { warning, critical }),
            Some((key, value)) => Err(DoesNotFit {
                key,
                value: value.div_ceil(MIB),
                critical: critical / MIB,
                available: available.bytes / MIB,
            }),
        }
    }
}
