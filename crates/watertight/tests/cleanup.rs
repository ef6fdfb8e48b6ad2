//! What the log says of a cleanup pass that takes long.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::support::{TestHub, eventually};
use watertight::{Event, HubConfig};

/// The log of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(lines).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cleans up while time goes on by steps of this length; how long the pass took by the hub's clock, milliseconds.
fn clean_up_while_time_goes_on(hub: &TestHub, step: Duration) -> u64 {
    let is_done = AtomicBool::new(false);
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            hub.advance(step);
            tell.send(()).unwrap();
            while !is_done.load(Ordering::SeqCst) {
                hub.advance(step);
            }
        });
        told.recv().unwrap();
        hub.clean_up();
        is_done.store(true, Ordering::SeqCst);
    });
    hub.counters().last_cleanup_ms.load(Ordering::Relaxed)
}

#[test]
fn a_cleanup_that_takes_more_than_a_second_is_a_warning_with_what_it_freed() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let hub = TestHub::new(HubConfig { session_ttl: Duration::from_secs(1 << 30), ..HubConfig::default() });
    let publish = || {
        for number in 0..3 {
            let event = Event::new(number.to_string()).with_ttl(Duration::from_millis(1));
            hub.publish_now("s", &event).unwrap();
        }
        log.take();
    };
    publish();
    hub.advance(Duration::from_secs(1));
    hub.clean_up();
    let quick = log.take();
    assert!(quick.contains("cleaned up") && quick.contains("events=3 "), "{quick}");
    // The log is the whole process's.
    let is_slow = |line: &&str| line.contains("cleanup took long") && line.contains("events=3 ");
    assert_eq!(quick.lines().find(is_slow), None, "{quick}");

    let mut slow = String::new();
    // Until a step falls into the pass itself.
    eventually("a pass takes long", || {
        publish();
        let took_ms = clean_up_while_time_goes_on(&hub, Duration::from_secs(2));
        slow = log.take();
        took_ms > 1000
    });
    let line = slow.lines().find(is_slow).expect("a warning");
    let took_ms = hub.counters().last_cleanup_ms.load(Ordering::Relaxed);
    for part in [" WARN ", "events=3 ", "sessions=0", &format!("took_ms={took_ms} ")] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}
