//! The machine, groups and processes: those that are really there, and trees of files like the kernel's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use serde_json::{Value, json as object};
use support::{Around, PATIENCE, Tree, eventually, json, poll_times};
use watertight_figures::{ProcessId, Sampler, Surroundings, Target};

const TWO: Duration = Duration::from_secs(2);

fn process(id: u32) -> Target {
    Target::Process(ProcessId { id, started: None })
}

async fn sample(sampler: &mut Sampler) -> Value {
    json(&sampler.sample().await)
}

/// A sampler with the real clock.
fn real(target: Target) -> Sampler {
    let around = Around::new();
    #[expect(clippy::disallowed_methods, reason = "the real machine goes by the real clock")]
    let start = Instant::now();
    let surroundings =
        Surroundings { roots: around.roots, clock: Arc::new(move || start.elapsed()), budget: around.budget };
    Sampler::new(target, around.limits, surroundings).expect("a target")
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Running {
    fn new() -> Running {
        Running(Command::new("sleep").arg("1000").spawn().expect("sleep is everywhere"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _status = self.0.wait();
    }
}

fn number(sample: &Value, name: &str) -> f64 {
    sample["figures"][name].as_f64().unwrap_or_else(|| panic!("{name} in {sample}"))
}

#[tokio::test]
async fn the_real_machine_has_all_figures_from_the_second_sample_on() {
    let mut sampler = real(Target::Host);
    let first = sample(&mut sampler).await;
    assert_eq!((&first["source"], &first["error"]), (&object!("host"), &Value::Null));
    assert!(matches!(first["of"].as_str(), Some("machine" | "cgroup")), "{first}");
    for rate in ["cpuPercent", "cpuCores", "readBytesPerSecond", "writeBytesPerSecond"] {
        assert_eq!(
            (&first["figures"][rate], &first["missing"][rate]),
            (&Value::Null, &object!("first_sample"))
        );
    }
    let second = sample(&mut sampler).await;
    assert!(number(&second, "memoryBytes") > 1e6 && number(&second, "threads") > 0.0, "{second}");
    assert!(number(&second, "memoryBytes") < number(&second, "memoryLimitBytes"), "{second}");
    assert!(number(&second, "cpuLimitCores") > 0.0 && number(&second, "cpuCores") >= 0.0, "{second}");
    assert!(number(&second, "readBytesPerSecond") >= 0.0, "{second}");
}

#[tokio::test]
async fn a_real_process_that_works_shows_it() {
    #[expect(clippy::disallowed_methods, reason = "work is measured in real time")]
    let start = Instant::now();
    let mut sampler = real(process(std::process::id()));
    let first = sample(&mut sampler).await;
    assert!(number(&first, "memoryBytes") > 1e6 && number(&first, "threads") >= 1.0, "{first}");
    let open = fs::read_dir("/proc/self/fd").expect("proc").count();
    assert!((number(&first, "fds") - f64::from(u32::try_from(open).expect("few"))).abs() < 20.0, "{first}");
    // However many others use the machine: until this process has had so much of it.
    let used = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(time).expect("a duration")
    };
    let before = used();
    while used() - before < Duration::from_millis(100) {
        std::hint::spin_loop();
    }
    let second = sample(&mut sampler).await;
    // The kernel counts in steps of 10 ms.
    let seconds = number(&second, "cpuCores") * start.elapsed().as_secs_f64();
    assert!(seconds > 0.075, "{seconds} s in {second}");
    assert!(number(&second, "writeBytesPerSecond") >= 0.0, "{second}");
}

#[tokio::test]
async fn a_real_process_that_ends_is_no_process_even_before_it_is_waited_for() {
    let mut child = Running::new();
    let id = child.0.id();
    let mut sampler = real(process(id));
    assert_eq!(sample(&mut sampler).await["error"], Value::Null);
    child.0.kill().expect("it runs");
    let expected = object!({"code": "NO_SUCH_PROCESS", "detail": format!("no process has the id {id}")});
    let mut last = Value::Null;
    for _ in 0..1_000 {
        last = sample(&mut sampler).await;
        if last["error"] != Value::Null {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(last, object!({"source": "process", "error": expected}));
    drop(child);
    assert_eq!(sample(&mut sampler).await["error"]["code"], "NO_SUCH_PROCESS");
}

#[test]
fn what_the_hub_may_not_read_is_null_with_a_reason() {
    // Threads that read are nobody's, as far as this test may say so.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::thread::Uid::from_raw(65_534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("root may");
            }
        })
        .build()
        .expect("a runtime");
    let found = runtime.block_on(async { sample(&mut real(process(1))).await });
    assert_eq!(found["error"], Value::Null, "{found}");
    for name in ["fds", "readBytesPerSecond", "writeBytesPerSecond"] {
        assert_eq!(
            (&found["figures"][name], &found["missing"][name]),
            (&Value::Null, &object!("no_permission")),
            "{found}"
        );
    }
    assert!(number(&found, "memoryBytes") > 0.0, "{found}");
}

#[tokio::test]
async fn the_machines_figures_are_what_the_kernel_says() {
    let tree = Tree::machine();
    let around = tree.around();
    let mut sampler = around.sampler(Target::Host);
    let first = sample(&mut sampler).await;
    let rates = ["cpuCores", "cpuPercent", "readBytesPerSecond", "writeBytesPerSecond"];
    let missing: serde_json::Map<String, Value> =
        rates.iter().map(|name| ((*name).to_string(), object!("first_sample"))).collect();
    assert_eq!(first["missing"], Value::Object(missing));

    // 100 ticks in two seconds are half a core of four.
    around.clock.advance(TWO);
    tree.cpu(1_000 + rustix::param::clock_ticks_per_second());
    tree.write("proc/vmstat", "pgpgin 1004\npgpgout 2000\n");
    let expected = object!({"source": "host", "of": "machine", "error": null, "missing": {}, "figures": {
        "cpuPercent": 12.5, "cpuCores": 0.5, "cpuLimitCores": 4,
        "memoryBytes": 2_u64 << 30, "memoryLimitBytes": 8_u64 << 30, "memoryPercent": 25,
        "threads": 80, "fds": 1216, "readBytesPerSecond": 2048, "writeBytesPerSecond": 0}});
    assert_eq!(sample(&mut sampler).await, expected);
}

#[tokio::test]
async fn a_hub_in_a_container_of_512_mb_and_one_cpu_says_whose_figures_these_are() {
    let tree = Tree::container();
    let around = tree.around();
    let mut sampler = around.sampler(Target::Host);
    let first = sample(&mut sampler).await;
    assert_eq!(first["figures"]["cpuPercent"], Value::Null);

    around.clock.advance(TWO);
    tree.write("cgroup/cpu.stat", "usage_usec 101000000\n");
    tree.write("cgroup/io.stat", "8:0 rbytes=3000 wbytes=10\n8:16 rbytes=500 wbytes=25\n");
    let expected = object!({"source": "host", "of": "cgroup", "error": null,
    "missing": {"fds": "not_available"}, "figures": {
        "cpuPercent": 50, "cpuCores": 0.5, "cpuLimitCores": 1,
        "memoryBytes": 100 << 20, "memoryLimitBytes": 512 << 20, "memoryPercent": 19.53,
        "threads": 7, "fds": null, "readBytesPerSecond": 1000, "writeBytesPerSecond": 10}});
    assert_eq!(sample(&mut sampler).await, expected);
}

#[tokio::test]
async fn a_hub_whose_group_is_named_as_on_the_host_finds_the_containers() {
    let tree = Tree::container();
    tree.write("proc/self/cgroup", "0::/system.slice/docker-0123.scope\n");
    let found = sample(&mut tree.around().sampler(Target::Host)).await;
    assert_eq!(
        (&found["of"], &found["figures"]["memoryLimitBytes"]),
        (&object!("cgroup"), &object!(512 << 20))
    );
}

#[tokio::test]
async fn a_group_that_limits_nothing_leaves_the_figures_to_the_machine() {
    let tree = Tree::machine();
    tree.write("proc/self/cgroup", "0::/system.slice/hub.service\n");
    tree.group("system.slice", 1, 1_000, 0);
    tree.group("system.slice/hub.service", 1, 1_000, 0);
    // More than the machine has.
    tree.write("cgroup/system.slice/memory.max", "99999999999\n");
    tree.write("cgroup/system.slice/cpu.max", "800000 100000\n");
    let found = sample(&mut tree.around().sampler(Target::Host)).await;
    assert_eq!((&found["of"], &found["figures"]["cpuLimitCores"]), (&object!("machine"), &object!(4)));
}

#[tokio::test]
async fn the_nearest_group_with_a_limit_stands_for_the_host() {
    let tree = Tree::machine();
    tree.write("proc/self/cgroup", "0::/pod/container/hub\n");
    tree.group("pod", 1, 3_000, 0);
    tree.group("pod/container", 1, 2_000, 0);
    tree.group("pod/container/hub", 1, 1_000, 0);
    tree.write("cgroup/pod/memory.max", "1048576\n");
    tree.write("cgroup/pod/container/cpuset.cpus", "0-1\n");
    let found = sample(&mut tree.around().sampler(Target::Host)).await;
    assert_eq!(found["of"], "cgroup");
    assert_eq!(number(&found, "memoryBytes"), 2_000.0);
    assert_eq!((number(&found, "cpuLimitCores"), number(&found, "memoryLimitBytes")), (2.0, 1_048_576.0));
}

#[tokio::test]
async fn limits_of_a_group_are_the_least_of_its_own_and_those_above() {
    let tree = Tree::machine();
    tree.group("a", 1, 1, 0);
    tree.group("a/b", 1, 1, 0);
    let around = tree.around();
    let mut sampler = around.sampler(Target::Cgroup("a/b".into()));
    let found = sample(&mut sampler).await;
    assert_eq!((&found["of"], number(&found, "cpuLimitCores")), (&object!("machine"), 4.0));
    assert_eq!(number(&found, "memoryLimitBytes"), f64::from(8 << 10) * 1_048_576.0);
    tree.write("cgroup/a/cpu.max", "150000 100000\n");
    tree.write("cgroup/a/memory.max", "4096\n");
    tree.write("cgroup/a/b/cpu.max", "200000 100000\n");
    tree.write("cgroup/a/b/memory.max", "2048\n");
    let found = sample(&mut sampler).await;
    assert_eq!((&found["source"], &found["of"]), (&object!("cgroup"), &object!("cgroup")));
    assert_eq!((number(&found, "cpuLimitCores"), number(&found, "memoryLimitBytes")), (1.5, 2_048.0));
}

#[tokio::test]
async fn counters_of_a_group_that_restart_have_no_rate_once() {
    let tree = Tree::machine();
    tree.group("a", 5_000_000, 1, 0);
    let around = tree.around();
    let mut sampler = around.sampler(Target::Cgroup("/a".into()));
    sample(&mut sampler).await;
    around.clock.advance(TWO);
    tree.group("a", 4_000_000, 1, 0);
    let fell = sample(&mut sampler).await;
    assert_eq!(
        (&fell["figures"]["cpuCores"], &fell["missing"]["cpuCores"]),
        (&Value::Null, &object!("restarted"))
    );
    assert_eq!(fell["missing"]["cpuPercent"], "restarted");

    // A group that was made anew, and has counted further already.
    around.clock.advance(TWO);
    tree.group("new", 9_000_000, 1, 0);
    fs::rename(tree.path("cgroup/a"), tree.path("cgroup/old")).expect("a folder");
    fs::rename(tree.path("cgroup/new"), tree.path("cgroup/a")).expect("a folder");
    let anew = sample(&mut sampler).await;
    assert_eq!(anew["missing"]["cpuCores"], "restarted");
    assert_eq!(anew["missing"]["readBytesPerSecond"], "restarted");

    around.clock.advance(TWO);
    tree.write("cgroup/a/cpu.stat", "usage_usec 10000000\n");
    assert_eq!(number(&sample(&mut sampler).await, "cpuCores"), 0.5);
}

#[tokio::test]
async fn a_group_that_disappears_says_so_and_comes_back() {
    let tree = Tree::machine();
    tree.group("a", 1, 1, 0);
    let around = tree.around();
    let mut sampler = around.sampler(Target::Cgroup(tree.path("cgroup/a")));
    assert_eq!(sample(&mut sampler).await["error"], Value::Null);
    fs::rename(tree.path("cgroup/a"), tree.path("cgroup/b")).expect("a folder");
    let detail = "there is no control group of version 2 at its path";
    let expected = object!({"source": "cgroup", "error": {"code": "NO_SUCH_CGROUP", "detail": detail}});
    assert_eq!(sample(&mut sampler).await, expected);
    fs::rename(tree.path("cgroup/b"), tree.path("cgroup/a")).expect("a folder");
    assert_eq!(sample(&mut sampler).await["error"], Value::Null);
}

#[tokio::test]
async fn a_group_without_a_controller_has_null_for_its_figures() {
    let tree = Tree::machine();
    tree.write("cgroup/a/cgroup.controllers", "\n");
    tree.write("cgroup/a/cpu.stat", "usage_usec five\n");
    let found = sample(&mut tree.around().sampler(Target::Cgroup("a".into()))).await;
    for name in ["cpuCores", "cpuPercent", "memoryBytes", "memoryPercent", "threads", "readBytesPerSecond"] {
        assert_eq!(
            (&found["figures"][name], &found["missing"][name]),
            (&Value::Null, &object!("not_available"))
        );
    }
}

#[tokio::test]
async fn an_id_that_was_given_to_another_process_never_shows_that_ones_figures() {
    let tree = Tree::machine();
    tree.process(42, 100, 7_000);
    let around = tree.around();
    let mut sampler = around.sampler(process(42));
    assert_eq!(sampler.process_started(), None);
    let first = sample(&mut sampler).await;
    assert_eq!((number(&first, "threads"), number(&first, "fds")), (3.0, 2.0));
    assert_eq!(sampler.process_started(), Some(7_000));

    around.clock.advance(TWO);
    tree.process(42, 200, 7_000);
    assert!(number(&sample(&mut sampler).await, "cpuCores") > 0.0);

    tree.process(42, 300, 9_000);
    let detail = "the process with the id 42 has ended, and another has its id";
    let expected = object!({"source": "process", "error": {"code": "NO_SUCH_PROCESS", "detail": detail}});
    for _ in 0..2 {
        assert_eq!(sample(&mut sampler).await, expected);
    }
    let again = ProcessId { id: 42, started: sampler.process_started() };
    assert_eq!(sample(&mut around.sampler(Target::Process(again))).await, expected);
}

#[tokio::test]
async fn limits_of_a_process_are_those_of_its_group() {
    let tree = Tree::machine();
    tree.process(42, 100, 7_000);
    tree.write("proc/42/cgroup", "0::/a\n");
    tree.group("a", 1, 1, 0);
    let mut sampler = tree.around().sampler(process(42));
    assert_eq!(sample(&mut sampler).await["of"], "machine");
    tree.write("cgroup/a/memory.max", "2097152\n");
    let found = sample(&mut sampler).await;
    let pages = 256.0 * f64::from(u32::try_from(rustix::param::page_size()).expect("small"));
    assert_eq!((&found["of"], number(&found, "memoryBytes")), (&object!("cgroup"), pages));
    assert_eq!(number(&found, "memoryPercent"), 100.0 * pages / 2_097_152.0);
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_told() {
    let tree = Tree::machine();
    let mut sampler = tree.around().sampler(process(42));
    for stat in ["", "42", "(", ")(", "42 (a)", "42 (a) S 1 2 x"] {
        tree.write("proc/42/stat", stat);
        assert_eq!(sample(&mut sampler).await["error"]["code"], "UNREADABLE", "{stat:?}");
    }
    for file in ["stat", "meminfo", "vmstat", "loadavg", "sys/fs/file-nr", "self/cgroup"] {
        tree.write(&format!("proc/{file}"), "cpu \u{0} é cpu0\nMemTotal:\npgpgin -1\n1 2 3 4");
    }
    let found = sample(&mut tree.around().sampler(Target::Host)).await;
    let figures = found["figures"].as_object().expect("figures");
    assert!(figures.values().all(Value::is_null), "{found}");
}

/// A file whose reader waits until this is dropped; who opens it then finds a file with this text.
struct Hanging<'a> {
    tree: &'a Tree,
    path: &'static str,
    text: &'static str,
}

impl<'a> Hanging<'a> {
    fn new(tree: &'a Tree, path: &'static str, text: &'static str) -> Hanging<'a> {
        fs::remove_file(tree.path(path)).expect("a file");
        mknodat(CWD, tree.path(path), FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
        Hanging { tree, path, text }
    }

    /// Whether somebody waits.
    fn is_read(&self) -> bool {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        open(self.tree.path(self.path), flags, Mode::empty()).is_ok()
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        let path = self.tree.path(self.path);
        let waiting = open(&path, OFlags::RDWR, Mode::empty()).expect("a FIFO");
        self.tree.write("new", self.text);
        fs::rename(self.tree.path("new"), path).expect("a file");
        // The end of what is read.
        drop(waiting);
    }
}

#[test]
fn a_file_that_hangs_costs_one_thread_and_no_more_than_the_time() {
    let threads = Arc::new(AtomicUsize::new(0));
    let counted = threads.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .expect("a runtime");
    let tree = Tree::machine();
    let mut around = tree.around();
    around.limits.time_max = Duration::from_millis(20);
    let mut sampler = around.sampler(Target::Host);
    let hanging = Hanging::new(&tree, "proc/vmstat", "pgpgin 1\npgpgout 1\n");
    let mut samples = Vec::new();
    for _ in 0..5 {
        samples.push(runtime.block_on(sample(&mut sampler)));
    }
    drop(hanging);
    let detail = "the kernel did not answer within 0.02 s";
    let expected = object!({"source": "host", "error": {"code": "TIMEOUT", "detail": detail}});
    assert_eq!(samples, vec![expected; 5]);
    assert_eq!(threads.load(Ordering::SeqCst), 1);
    runtime.block_on(async {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if sample(&mut sampler).await["error"] == Value::Null {
                return;
            }
        }
        panic!("it never came back");
    });
}

#[tokio::test]
async fn a_sample_that_is_dropped_at_any_await_leaves_nothing_and_the_next_one_works() {
    let tree = Tree::machine();
    let around = tree.around();
    let mut sampler = around.sampler(Target::Host);
    sample(&mut sampler).await;
    for polls in 0..4 {
        let _dropped = poll_times(sampler.sample(), polls).await;
        around.clock.advance(TWO);
        let next = sample(&mut sampler).await;
        assert_eq!(
            (&next["error"], &next["figures"]["cpuCores"]),
            (&Value::Null, &object!(0)),
            "{polls} polls"
        );
    }
    assert_eq!(around.budget.used(), 0);
}

#[tokio::test]
async fn a_reading_that_was_left_is_never_taken_for_a_new_one() {
    let tree = Tree::machine();
    let around = tree.around();
    let mut sampler = around.sampler(Target::Host);
    sample(&mut sampler).await;
    // It has read the time of the CPUs when it waits.
    let hanging = Hanging::new(&tree, "proc/vmstat", "pgpgin 1000\npgpgout 2000\n");
    assert!(poll_times(sampler.sample(), 1).await.is_none());
    eventually("it waits", || hanging.is_read()).await;
    around.clock.advance(TWO);
    tree.cpu(1_000 + 2 * rustix::param::clock_ticks_per_second());
    drop(hanging);
    assert_eq!(number(&sample(&mut sampler).await, "cpuCores"), 1.0);
}
