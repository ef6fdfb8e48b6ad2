//! What the hub's surroundings do to it: a machine that is suspended, a log and answers that nobody reads.

use std::time::Duration;

use rustix::process::Signal;

use super::super::super::Bench;
use super::super::super::failure::Outcome;
use super::super::super::hub::Hub;
use super::super::readers::Readers;
use super::super::silent::UnreadAnswers;
use super::super::unread_log;
use super::super::visitors::Visitors;
use super::Neighbour;

/// How long the hub stands still.
const SUSPENDED: Duration = Duration::from_secs(5);

/// The hub was stopped for some seconds; measured from when it goes on.
#[derive(Default)]
pub(super) struct Suspended;

impl Neighbour for Suspended {
    fn name(&self) -> String {
        format!("a suspension of {} s that is over", SUSPENDED.as_secs())
    }

    fn begin(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        let child = hub.child()?;
        child.signal(Signal::STOP)?;
        // Goes on also if it is time to stop.
        let paused = bench.pause(SUSPENDED);
        child.signal(Signal::CONT)?;
        paused
    }

    fn end(&mut self, _: &mut Hub) -> Outcome<Option<String>> {
        Ok(None)
    }
}

/// Nobody reads the log, while streams come and go.
#[derive(Default)]
pub(super) struct UnreadLog(Option<Visitors>);

impl Neighbour for UnreadLog {
    fn name(&self) -> String {
        "a log that nobody reads".into()
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        &unread_log::SETTINGS
    }

    /// They come and go before as well: what they cost is not the log's.
    fn prepare(&mut self, _: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        self.0 = Some(Visitors::begin(hub.address)?);
        Ok(())
    }

    fn begin(&mut self, bench: &Bench, hub: &mut Hub, readers: &mut Readers) -> Outcome<()> {
        hub.child()?.leave_errors_unread(true);
        self.0.as_ref().map_or(Ok(()), |visitors| unread_log::fill(bench, hub, readers, visitors))
    }

    fn end(&mut self, hub: &mut Hub) -> Outcome<Option<String>> {
        hub.child()?.leave_errors_unread(false);
        Ok(self.0.as_ref().map(|visitors| format!("{} streams without an answer", visitors.unanswered())))
    }
}

/// Long-polls whose answers nobody reads.
#[derive(Default)]
pub(super) struct NoReaders(Option<UnreadAnswers>);

impl Neighbour for NoReaders {
    fn name(&self) -> String {
        "500 answers that nobody takes".into()
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        &[("memory_warning_threshold_mb", "30"), ("memory_critical_threshold_mb", "40")]
    }

    fn prepare(&mut self, _: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        UnreadAnswers::prepare(hub.address)
    }

    fn begin(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        self.0 = Some(UnreadAnswers::ask(hub.address, 300, 200)?);
        bench.pause(super::LEAD)
    }

    fn end(&mut self, _: &mut Hub) -> Outcome<Option<String>> {
        self.0 = None;
        Ok(None)
    }
}
