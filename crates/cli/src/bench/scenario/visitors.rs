//! Streams that are opened and closed one after the other, from a thread, while something is measured: each leaves
//! a line in the hub's log.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::super::failure::{Outcome, While};
use super::super::hub::subscribe_request;

/// A stream that has no answer by then counts as one without.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two of them: a steady trickle, not load.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    unanswered: AtomicU64,
}

/// They come and go until it is dropped.
pub(super) struct Visitors {
    shared: Arc<Shared>,
    /// Taken by `drop`.
    thread: Option<JoinHandle<()>>,
}

impl Visitors {
    pub(super) fn begin(address: SocketAddr) -> Outcome<Self> {
        let shared = Arc::new(Shared::default());
        let work = {
            let shared = shared.clone();
            move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    let count = if visit(address).is_ok() { &shared.answered } else { &shared.unanswered };
                    count.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(PAUSE);
                }
            }
        };
        let thread = Builder::new().name("visitors".into()).spawn(work).during("starting a thread")?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Streams that got their answer.
    pub(super) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Streams that got none in time.
    pub(super) fn unanswered(&self) -> u64 {
        self.shared.unanswered.load(Ordering::Relaxed)
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn visit(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(&subscribe_request("visitors", "", None))?;
    match stream.read(&mut [0; 512])? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
