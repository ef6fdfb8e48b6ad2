//! Streams that are opened and closed one after the other, from a thread, while something is measured: each leaves
//! a line in the hub's log.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::background::Background;
use super::super::failure::Outcome;
use super::super::hub::subscribe_request;

/// A stream that has no answer by then counts as one without.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two of them: a steady trickle, not load.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    unanswered: AtomicU64,
}

/// They come and go until it is dropped.
pub(super) struct Visitors {
    counts: Arc<Counts>,
    _coming: Background<()>,
}

impl Visitors {
    pub(super) fn begin(address: SocketAddr) -> Outcome<Self> {
        let counts = Arc::new(Counts::default());
        let seen = Arc::clone(&counts);
        let coming = Background::start("visitors", move |stop| {
            while !stop.is_asked() {
                let count = if visit(address).is_ok() { &seen.answered } else { &seen.unanswered };
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        })?;
        Ok(Self { counts, _coming: coming })
    }

    /// Streams that got their answer.
    pub(super) fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// Streams that got none in time.
    pub(super) fn unanswered(&self) -> u64 {
        self.counts.unanswered.load(Ordering::Relaxed)
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
