//! Signals while the page stands in the terminal: none may leave the terminal as the page needs it.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end, by the signal of this number.
    End(u8),
    /// To stop until continued.
    Suspend,
    /// We are continued: others may have changed the terminal.
    Continued,
    Resized,
}

/// Those that end a process unless it does something else.
const ENDING: [u8; 4] = [1, 2, 3, 15];

pub(super) struct Signals(Vec<(Asked, Signal)>);

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        let raw = |number: u8| SignalKind::from_raw(i32::from(number));
        let mut listened = Vec::new();
        for number in ENDING {
            listened.push((Asked::End(number), signal(raw(number))?));
        }
        listened
            .push((Asked::Suspend, signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?));
        listened
            .push((Asked::Continued, signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?));
        listened.push((Asked::Resized, signal(SignalKind::window_change())?));
        Ok(Self(listened))
    }

    /// The next one. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Asked {
        poll_fn(|context| {
            for (asked, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*asked);
                }
            }
            Poll::Pending
        })
        .await
    }
}
