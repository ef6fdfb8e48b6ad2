//! Where the memory is found, with a root directory of the test's own, and what follows from it.

use tempfile::TempDir;

use super::*;

const GIB: u64 = 1 << 30;

/// A root directory with these files.
fn root(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (name, text) in files {
        let file = root.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    root
}

fn found(files: &[(&str, &str)]) -> (u64, &'static str) {
    let root = root(files);
    let available = Available::find(root.path());
    (available.bytes, available.source)
}

/// A machine of 16 GiB.
const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         1000 kB\n");

#[test]
fn a_container_has_what_its_own_mount_says() {
    let container = [MACHINE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "536870912\n")];
    assert_eq!(found(&container), (GIB / 2, "cgroup"));
    // Without a namespace of its own it sees the host's path, which is not mounted.
    let host_path =
        [MACHINE, ("proc/self/cgroup", "0::/docker/abc\n"), ("sys/fs/cgroup/memory.max", "536870912\n")];
    assert_eq!(found(&host_path), (GIB / 2, "cgroup"));
}

#[test]
fn the_least_limit_of_the_groups_above_counts() {
    let service = [
        MACHINE,
        ("proc/self/cgroup", "0::/system.slice/watertight.service\n"),
        ("sys/fs/cgroup/system.slice/watertight.service/memory.max", "2147483648\n"),
        ("sys/fs/cgroup/system.slice/watertight.service/memory.high", "max\n"),
        ("sys/fs/cgroup/system.slice/memory.max", "1073741824\n"),
    ];
    assert_eq!(found(&service), (GIB, "cgroup"));
    let throttled = [
        MACHINE,
        ("proc/self/cgroup", "0::/a\n"),
        ("sys/fs/cgroup/a/memory.max", "2147483648\n"),
        ("sys/fs/cgroup/a/memory.high", "1073741824\n"),
    ];
    assert_eq!(found(&throttled), (GIB, "cgroup"));
}

#[test]
fn without_a_limit_the_machine_counts_and_without_both_a_gibibyte_is_assumed() {
    let unlimited = [MACHINE, ("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")];
    assert_eq!(found(&unlimited), (16 * GIB, "machine"));
    let beyond =
        [MACHINE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "9223372036854771712\n")];
    assert_eq!(found(&beyond), (16 * GIB, "machine"));
    assert_eq!(found(&[MACHINE]), (16 * GIB, "machine"));
    assert_eq!(found(&[]), (GIB, "assumed"));
}

#[test]
fn the_memory_controller_of_version_1_counts_too() {
    let old = [
        MACHINE,
        ("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n"),
        ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "536870912\n"),
    ];
    assert_eq!(found(&old), (GIB / 2, "cgroup"));
}

fn thresholds(warning: Auto<u64>, critical: Auto<u64>, mebibytes: u64) -> Result<[u64; 2], String> {
    let config = Config {
        memory_warning_threshold_mb: warning,
        memory_critical_threshold_mb: critical,
        ..Config::default()
    };
    let available = Available { bytes: mebibytes * MIB, source: "cgroup" };
    let found = Thresholds::of(&config, available).map_err(|error| error.to_string())?;
    Ok([found.warning, found.critical].map(|bytes| bytes.div_ceil(MIB)))
}

#[test]
fn automatic_thresholds_are_half_and_three_quarters_of_the_memory() {
    use Auto::{Auto as A, Given};
    assert_eq!(thresholds(A, A, 512), Ok([256, 384]));
    assert_eq!(thresholds(A, A, 16_384), Ok([8_192, 12_288]));
    assert_eq!(thresholds(Given(100), A, 512), Ok([100, 384]));
    assert_eq!(thresholds(A, Given(450), 512), Ok([256, 450]));
    assert_eq!(thresholds(A, Given(150), 512), Ok([100, 150]), "in the same proportion");
    assert_eq!(thresholds(Given(500), Given(1_000), 512), Ok([500, 1_000]), "what is given holds");
}

#[test]
fn a_setting_that_does_not_fit_the_memory_is_named_with_what_would_do() {
    let error = thresholds(Auto::Given(384), Auto::Auto, 512).unwrap_err();
    assert_eq!(
        error,
        "memory_warning_threshold_mb = 384 must be below memory_critical_threshold_mb, which is 384 by itself: 75 % of the \
         512 MiB of memory there are; set memory_critical_threshold_mb, lower memory_warning_threshold_mb, or give the hub \
         more memory"
    );
    let error = thresholds(Auto::Auto, Auto::Auto, 10).unwrap_err();
    assert!(error.starts_with("max_history_bytes_per_session = 8 must be below"), "{error}");
}
