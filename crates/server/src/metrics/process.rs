//! Figures of the process, under the names that all Prometheus clients use. Read from `/proc` at each scrape; what cannot
//! be read is left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stat = Stat::read();
        if let Some(seconds) = stat.as_ref().map(|stat| stat.cpu_seconds) {
            let metric = ConstCounter::new(seconds);
            let help = "User and system CPU time, seconds";
            metric.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                metric.metric_type(),
            )?)?;
        }
        let rows = [
            (
                "process_start_time_seconds",
                "When it started, since the Unix epoch",
                stat.and_then(|stat| stat.started),
            ),
            ("process_resident_memory_bytes", "Resident memory", memory(1)),
            ("process_virtual_memory_bytes", "Virtual memory", memory(0)),
            ("process_open_fds", "Open file descriptors", open_files()),
            ("process_max_fds", "Most open file descriptors", max_files()),
            ("process_threads", "Threads", threads()),
        ];
        for (name, help, value) in rows {
            let Some(value) = value else { continue };
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

/// What `/proc/self/stat` says.
struct Stat {
    cpu_seconds: f64,
    /// Seconds since the Unix epoch.
    started: Option<f64>,
}

impl Stat {
    fn read() -> Option<Stat> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses, and may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // proc(5) counts from 1, and the first of these is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = clock_ticks_per_second() as f64;
        let started = field(22).zip(boot_time()).map(|(since_boot, boot)| boot + since_boot / ticks);
        Some(Stat { cpu_seconds: (field(14)? + field(15)?) / ticks, started })
    }
}

fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// A field of `/proc/self/statm`, in bytes.
fn memory(field: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = text.split_whitespace().nth(field)?.parse().ok()?;
    Some(pages * page_size() as f64)
}

/// Newer kernels (6.2) give the number as the size of the directory; reading it takes long where there are many.
fn open_files() -> Option<f64> {
    let counted = fs::metadata("/proc/self/fd").ok()?.len();
    let files = if counted > 0 { counted } else { fs::read_dir("/proc/self/fd").ok()?.count() as u64 };
    Some(files as f64)
}

fn max_files() -> Option<f64> {
    getrlimit(Resource::Nofile).current.map(|limit| limit as f64)
}

fn threads() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}
