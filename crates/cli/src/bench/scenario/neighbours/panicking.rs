//! A pump that panics again and again, while the readers of the other pumps go on. Needs a hub with the feature
//! `testing`, whose first pump panics at SIGUSR2.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::super::super::Bench;
use super::super::super::background::Background;
use super::super::super::endpoint::Blocking;
use super::super::super::failure::{Outcome, While, broken};
use super::super::super::hub::{Hub, subscribe_request};
use super::super::super::process::{Process, give_way};
use super::super::readers::Readers;
use super::super::silent;
use super::Neighbour;

/// Between two panics. The pump's restarts are delayed by up to a second themselves.
const EVERY: Duration = Duration::from_millis(250);

/// Readers that connect after each panic. They are shared out among the pumps, so that the one that panics always has
/// some to lose.
const NEWCOMERS: usize = 10;

/// All readers of a pump end within this time after its panic.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// The first pump, panicking.
#[derive(Default)]
pub(super) struct Panicking(Option<Background<Outcome<u64>>>);

impl Neighbour for Panicking {
    fn name(&self) -> String {
        "a pump that panics".into()
    }

    /// One panic takes the readers that share the pump with it: what is measured are the others.
    fn prepare(&mut self, bench: &Bench, hub: &mut Hub, readers: &mut Readers) -> Outcome<()> {
        let all = readers.crowd.live();
        panic_once(hub.process)?;
        let deadline = bench.clock.now() + END_TIMEOUT;
        while readers.crowd.live() == all
            || hub.stats()?.live("connection")? > readers.crowd.live() as u64 + 1
        {
            if bench.clock.now() > deadline {
                return broken("no pump panicked: the hub needs the feature `testing`");
            }
            readers.crowd.turn(EVERY).during("waiting for readers to end")?;
            bench.check()?;
        }
        if readers.crowd.live() == 0 {
            return broken("all readers were on the pump that panicked: this needs two pumps");
        }
        readers.crowd.forget_ended();
        Ok(())
    }

    fn begin(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        let (process, address) = (hub.process, hub.address);
        self.0 = Some(Background::start("panics", move |stop| {
            give_way()?;
            let mut panics = 0;
            while !stop.is_asked() {
                // Those of the last round that are still there leave.
                let _newcomers = newcomers(address)?;
                panic_once(process)?;
                panics += 1;
                std::thread::sleep(EVERY);
            }
            Ok(panics)
        })?);
        bench.pause(super::LEAD)
    }

    fn end(&mut self, hub: &mut Hub) -> Outcome<Option<String>> {
        let panics = match self.0.take() {
            Some(panicking) => panicking.stop()??,
            None => 0,
        };
        let restarts = hub.stats()?.number("/metrics/pumpRestarts").unwrap_or(0);
        Ok(Some(format!("{panics} panics were asked for, the hub has restarted pumps {restarts} times")))
    }
}

fn newcomers(address: SocketAddr) -> Outcome<Vec<Blocking>> {
    let request = subscribe_request("short-lived", "", None);
    (0..NEWCOMERS).map(|_| silent::ask(address, &request)).collect()
}

fn panic_once(hub: Process) -> Outcome<()> {
    match i32::try_from(hub.pid).ok().and_then(Pid::from_raw) {
        Some(pid) => kill_process(pid, Signal::USR2).during("sending SIGUSR2"),
        None => broken(format!("{} is no process id", hub.pid)),
    }
}
