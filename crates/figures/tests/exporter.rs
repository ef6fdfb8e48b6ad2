//! The real exporter of a Linux machine, started by this test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Around, json, prometheus};
use watertight_testkit::free_address;

const PROGRAM: &str = "prometheus-node-exporter";

struct Running(Child);

impl Running {
    fn new(address: SocketAddr) -> Running {
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        Running(child.unwrap_or_else(|error| {
            panic!(
                "cannot start {PROGRAM} ({error}): the package `{PROGRAM}` has it, and `cargo xtask setup` installs it"
            )
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _status = self.0.wait();
    }
}

#[tokio::test]
async fn the_real_node_exporter_is_read_whole_and_its_counters_become_rates() {
    let around = Around::new();
    let started = || {
        let address = free_address();
        (Running::new(address), around.sampler(prometheus(&format!("http://{address}/metrics"))))
    };
    let (mut exporter, mut sampler) = started();
    let mut ended = 0;
    let mut first = Value::Null;
    for _ in 0..2_000 {
        first = json(&sampler.sample().await);
        if first["error"] == Value::Null {
            break;
        }
        if let Some(status) = exporter.0.try_wait().expect("a child") {
            // Somebody else may have taken its port before it did.
            ended += 1;
            assert!(ended < 5, "it ended: {status}");
            (exporter, sampler) = started();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        (&first["error"], &first["badLines"], &first["truncated"]),
        (&Value::Null, &0.into(), &0.into())
    );
    let families = first["families"].as_array().expect("families");
    assert!(families.len() > 100, "{} families", families.len());

    around.clock.advance(Duration::from_secs(1));
    let second = json(&sampler.sample().await);
    let family = |name: &str| {
        let mut families = second["families"].as_array().expect("families").iter();
        families.find(|family| family["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let cpu = family("node_cpu_seconds_total");
    assert_eq!(cpu["type"], "counter");
    assert!(!cpu["help"].as_str().expect("text").is_empty());
    assert_eq!(cpu["samples"][0]["labels"]["cpu"], "0");
    assert!(cpu["samples"][0]["perSecond"].is_number(), "{cpu}");
    assert_eq!(family("node_memory_MemTotal_bytes")["type"], "gauge");
    assert_eq!(family("node_memory_MemTotal_bytes")["samples"][0].get("perSecond"), None);
    // Parts of a summary stand under it.
    let parts = family("go_gc_duration_seconds");
    let names: Vec<&str> = parts["samples"]
        .as_array()
        .expect("samples")
        .iter()
        .filter_map(|sample| sample["name"].as_str())
        .collect();
    assert!(names.ends_with(&["go_gc_duration_seconds_sum", "go_gc_duration_seconds_count"]), "{names:?}");
}
