//! Sending beside the command, and the time after its end: how long the hub is waited for, and what is said of what is left.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::collector::Shared;
use super::messages::Messages;
use super::sender::{Sender, Stopped};
use super::signals::Signals;

/// The hub is waited for so long without a word, ...
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// ... and then so long between two of them.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

type Running = Pin<Box<dyn Future<Output = Result<(), Stopped>>>>;

/// A sender under way. Dropping it stops it.
pub(super) struct Sending {
    /// `None` once it has ended.
    running: Option<Running>,
    /// The end of the log is in the hub.
    is_complete: bool,
    shared: Shared,
    messages: Messages,
}

impl Sending {
    pub(super) fn new(sender: Sender, shared: Shared, messages: Messages) -> Self {
        Self { running: Some(Box::pin(sender.run())), is_complete: false, shared, messages }
    }

    /// Sends for as long as it is awaited, and ends when nothing more is to be sent or can be: only once, after that it waits
    /// for ever. Dropping the future is no end.
    pub(super) async fn run(&mut self) {
        let Some(running) = &mut self.running else { return pending().await };
        let result = running.await;
        self.running = None;
        match result {
            Ok(()) => self.is_complete = true,
            Err(Stopped::Refused(error)) => {
                self.messages.warn(format_args!("nothing more is sent: {error}"));
            }
            Err(Stopped::Disk(error)) => {
                self.messages.warn(format_args!("nothing more is sent: cannot read what was kept: {error}"));
            }
        }
    }

    /// Waits for the rest to be sent, then removes the spool, or says what is left in it. `true`: everything is sent.
    pub(super) async fn drain(mut self, limit: Duration, signals: &mut Signals, shared: Shared) -> bool {
        let begun = Instant::now();
        let deadline = begun.checked_add(limit);
        let mut progress = begun + PROGRESS_AFTER;
        while self.running.is_some() {
            let stop_at = deadline.map_or(progress, |deadline| deadline.min(progress));
            tokio::select! {
                biased;
                () = self.run() => {}
                Some(_) = signals.next() => break,
                () = sleep_until(stop_at) => {
                    if deadline.is_some_and(|deadline| deadline <= stop_at) {
                        break;
                    }
                    progress += PROGRESS_INTERVAL;
                    self.tell_progress();
                }
            }
        }
        let Sending { is_complete, messages, running, shared: ours } = self;
        drop((running, ours));
        let Some(mut spool) = shared.into_spool() else { return is_complete };
        match spool.lost_lines() {
            0 => {}
            1 => messages.warn("1 line was dropped before the hub took it; the log says where"),
            lost => messages
                .warn(format_args!("{lost} lines were dropped before the hub took them; the log says where")),
        }
        let path = spool.path().display().to_string();
        if is_complete {
            if let Err(error) = spool.remove() {
                messages.warn(format_args!("cannot remove {path}, which is not needed any more: {error}"));
            }
            return true;
        }
        let left = match spool.unsent_lines() {
            Ok(1) => "1 line".to_owned(),
            Ok(lines) => format!("{lines} lines"),
            Err(error) => format!("an unknown number of lines ({error})"),
        };
        messages.warn(format_args!(
            "{left} and the end of the log were not sent; they are in {path}. To send them: watertight run --resend {path}"
        ));
        false
    }

    fn tell_progress(&self) {
        if let Ok(left) = self.shared.lock().spool.unsent_lines() {
            self.messages.say(format_args!("waiting for the hub: {left} lines are left to send"));
        }
    }
}
