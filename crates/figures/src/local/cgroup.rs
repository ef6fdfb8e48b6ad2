//! A control group (version 2): its figures, and the limits that it and those above it set.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::{Identity, Reading, machine, pseudo};
use crate::error::{Code, SampleError};
use crate::limits::GROUP_DEPTH_MAX;
use crate::number::{Known, Missing};
use crate::sample::Whose;
use crate::target::{Clock, Roots};

/// What limits a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) of: Whose,
    pub(super) cores: Known,
    pub(super) memory_bytes: Known,
}

/// The least limits of a group and all above it; the machine's where none sets any.
pub(super) fn bounds(roots: &Roots, group: &Path) -> Bounds {
    let (cores, memory_bytes) = (machine::cores(&roots.proc), machine::memory(&roots.proc));
    let mut bounds = Bounds { of: Whose::Machine, cores, memory_bytes };
    for group in upwards(roots, group) {
        let own = own_bounds(group);
        for (bound, own) in [(&mut bounds.cores, own.0), (&mut bounds.memory_bytes, own.1)] {
            // A limit beyond the machine limits nothing.
            if let Some(own) = own.filter(|own| bound.is_err() || bound.is_ok_and(|bound| *own < bound)) {
                *bound = Ok(own);
                bounds.of = Whose::Cgroup;
            }
        }
    }
    bounds
}

/// The group whose figures stand for the host: the nearest to the hub that has a limit of its own. `None` where nothing
/// limits the hub but the machine.
pub(super) fn of_hub(roots: &Roots) -> Option<PathBuf> {
    let own = of_process(roots, &pseudo::text(&roots.proc.join("self/cgroup")).ok()?);
    let (cores, memory) = (machine::cores(&roots.proc), machine::memory(&roots.proc));
    let limits =
        |own: Option<f64>, all: Known| own.is_some_and(|own| all.is_err() || all.is_ok_and(|all| own < all));
    let found = upwards(roots, &own).find(|group| {
        let (own_cores, own_memory) = own_bounds(group);
        is_group(group) && (limits(own_cores, cores) || limits(own_memory, memory))
    });
    found.map(Path::to_path_buf)
}

/// The group of a process, from its `cgroup` file. In a container the path may be that of the host, of which only the
/// container's own part is mounted: what is not there is passed over, up to the mount itself.
pub(super) fn of_process(roots: &Roots, file: &str) -> PathBuf {
    let path = file.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let relative = Path::new(path.trim_start_matches('/'));
    if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
        return roots.cgroup.clone();
    }
    roots.cgroup.join(relative)
}

/// A group and those above it, as far as they are mounted.
fn upwards<'a>(roots: &'a Roots, group: &'a Path) -> impl Iterator<Item = &'a Path> {
    group.ancestors().take_while(|above| above.starts_with(&roots.cgroup)).take(GROUP_DEPTH_MAX)
}

fn is_group(path: &Path) -> bool {
    pseudo::is_there(&path.join("cgroup.controllers"))
}

/// What a group itself says: cores, and bytes of memory. `max` is no limit.
fn own_bounds(group: &Path) -> (Option<f64>, Option<f64>) {
    let quota = pseudo::text(&group.join("cpu.max")).ok().and_then(|text| cores_of_quota(&text));
    let set = pseudo::text(&group.join("cpuset.cpus")).ok().and_then(|text| cores_of_set(&text));
    let memory = pseudo::number(&group.join("memory.max")).ok().filter(|bytes| *bytes > 0.0);
    (quota.into_iter().chain(set).reduce(f64::min), memory)
}

/// `50000 100000`: microseconds of CPU time in a period of so many.
fn cores_of_quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let cores = pseudo::first_number(quota)? / pseudo::first_number(period)?;
    (cores.is_finite() && cores > 0.0).then_some(cores)
}

/// `0-3,8`: the CPUs that may be used; empty if nothing is said.
fn cores_of_set(text: &str) -> Option<f64> {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(pseudo::first_number(last)? - pseudo::first_number(first)? + 1.0)
    };
    let cores = text.trim().split(',').map(count).sum::<Option<f64>>()?;
    (cores > 0.0).then_some(cores)
}

pub(super) fn read(roots: &Roots, group: &Path, clock: &Clock) -> Result<Reading, SampleError> {
    let gone = || SampleError::new(Code::NoSuchCgroup, "there is no control group of version 2 at its path");
    let inode = fs::metadata(group).map_err(|_| gone())?.ino();
    if !is_group(group) {
        return Err(gone());
    }
    let bounds = bounds(roots, group);
    let file = |name: &str| pseudo::text(&group.join(name));
    let at = clock();
    let cpu_seconds = file("cpu.stat").and_then(|text| Ok(pseudo::keyed(&text, "usage_usec")? / 1e6));
    let io = file("io.stat");
    let io = |key| io.as_deref().map(|text| sum_of_devices(text, key)).map_err(|why| *why);
    Ok(Reading {
        at,
        identity: Identity::Cgroup(group.to_path_buf(), inode),
        of: bounds.of,
        cpu_seconds,
        cpu_limit_cores: bounds.cores,
        memory_bytes: working_set(group),
        memory_limit_bytes: bounds.memory_bytes,
        threads: pseudo::number(&group.join("pids.current")),
        // It would take a look at every process of the group.
        fds: Err(Missing::NotAvailable),
        read_bytes: io("rbytes="),
        write_bytes: io("wbytes="),
    })
}

/// Memory that the kernel cannot just take back: without the page cache that was not used of late. What the kubelet calls
/// the working set.
fn working_set(group: &Path) -> Known {
    let current = pseudo::number(&group.join("memory.current"))?;
    let inactive = pseudo::keyed(&pseudo::text(&group.join("memory.stat"))?, "inactive_file")?;
    Ok((current - inactive).max(0.0))
}

/// `8:0 rbytes=1 wbytes=2 rios=3 …`, a line per device; no line, no I/O.
fn sum_of_devices(text: &str, key: &str) -> f64 {
    let values = text.split_ascii_whitespace().filter_map(|part| part.strip_prefix(key));
    values.filter_map(pseudo::first_number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(cores_of_quota("max 100000\n"), None);
        assert_eq!(cores_of_quota("50000 100000\n"), Some(0.5));
        assert_eq!(cores_of_quota("50000 0\n"), None);
        assert_eq!(cores_of_set("0-3,8\n"), Some(5.0));
        assert_eq!(cores_of_set("\n"), None);
        assert_eq!(
            sum_of_devices("8:0 rbytes=1 wbytes=2 rios=3\n253:0 rbytes=10 wbytes=20\n", "rbytes="),
            11.0
        );
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_is_the_mount() {
        let roots = Roots::default();
        for file in ["0::/../../other", "12:memory:/a\n", "", "0::/"] {
            assert_eq!(of_process(&roots, file), roots.cgroup, "{file}");
        }
        assert_eq!(of_process(&roots, "1:name=systemd:/x\n0::/a/b\n"), roots.cgroup.join("a/b"));
    }
}
