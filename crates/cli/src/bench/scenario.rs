//! What is measured, one module each, and what several of them share: a crowd that is gathered, a round of
//! publishing that is received to its end.

pub(super) mod access;
pub(super) mod all;
pub(super) mod churn;
pub(super) mod fanout;
pub(super) mod hold;
pub(super) mod logs;
pub(super) mod neighbours;
mod readers;
pub(super) mod scatter;
mod side;
mod silent;
pub(super) mod stalled;
pub(super) mod stats;
pub(super) mod storm;
pub(super) mod tokens;
pub(super) mod unread;
pub(super) mod unread_log;
mod visitors;

use std::time::Duration;

use super::Bench;
use super::crowd::Crowd;
use super::endpoint::Endpoint;
use super::failure::{Outcome, While, broken};
use super::publisher::Publishing;

/// Subscriptions that wait for their answer at once: below any listen backlog.
const GATHER_WINDOW: usize = 256;

/// All of a crowd must be answered within this time after the last progress.
const GATHER_TIMEOUT: Duration = Duration::from_secs(30);

/// After this long without a delivery nothing more is coming.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest wait of one turn of a crowd.
const TURN: Duration = Duration::from_millis(20);

/// Between two looks at whether everybody has everything.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Opens `count` subscriptions, and waits until the hub has answered each with a stream.
fn gather(
    bench: &Bench,
    to: impl Into<Endpoint>,
    count: usize,
    first: u64,
    mut request: impl FnMut(usize) -> Vec<u8>,
) -> Outcome<Crowd> {
    let to = to.into();
    let mut crowd = Crowd::new(bench.clock).during("making an epoll")?;
    let mut opened = 0;
    let mut progress_at = bench.clock.now();
    let mut asked = 0;
    while asked < count || crowd.pending() > 0 {
        while asked < count && crowd.pending() < GATHER_WINDOW {
            crowd.subscribe(&to, request(asked), first).during("connecting")?;
            asked += 1;
        }
        crowd.turn(TURN).during("waiting for subscribers")?;
        bench.check()?;
        bench.progress.at(|| format!("{} of {count} subscribers", crowd.tally.opened));
        if crowd.tally.opened > opened {
            opened = crowd.tally.opened;
            progress_at = bench.clock.now();
        } else if bench.clock.now() > progress_at + GATHER_TIMEOUT {
            break;
        }
    }
    if crowd.tally.opened != count as u64 || crowd.tally.ended > 0 {
        let tally = &crowd.tally;
        return broken(format!(
            "of {count} subscribers {} got a stream, {} were cut off, refused: {:?}, closing events: {:?}",
            tally.opened, tally.ended, tally.refused, tally.closing_events
        ));
    }
    Ok(crowd)
}

/// Receives until the publisher is done and everybody has got everything, or nothing more comes; answers with
/// the number of events published.
fn receive(bench: &Bench, crowd: &mut Crowd, publishing: Publishing, first: u64) -> Outcome<u64> {
    while !publishing.is_finished() {
        crowd.turn(TURN).during("receiving")?;
        bench.check()?;
        bench
            .progress
            .at(|| format!("{} published, {} delivered", publishing.published(), crowd.tally.deliveries));
    }
    let published = publishing.join()?;
    drain(bench, crowd, (first + published).saturating_sub(1))?;
    Ok(published)
}

/// Receives until everybody has the event `last`, or nothing more comes.
fn drain(bench: &Bench, crowd: &mut Crowd, last: u64) -> Outcome<()> {
    let mut delivered = crowd.tally.deliveries;
    let mut progress_at = bench.clock.now();
    let mut looked_at = Duration::ZERO;
    loop {
        let now = bench.clock.now();
        if now >= looked_at + LOOK_EVERY {
            looked_at = now;
            if crowd.behind(last) == 0 || now > progress_at + DRAIN_TIMEOUT {
                return Ok(());
            }
        }
        crowd.turn(LOOK_EVERY).during("receiving")?;
        bench.check()?;
        bench.progress.at(|| format!("{} delivered", crowd.tally.deliveries));
        if crowd.tally.deliveries > delivered {
            delivered = crowd.tally.deliveries;
            progress_at = now;
        }
    }
}

/// Deliveries that neither came nor were announced as missing, if each of the crowd was to see `events`.
fn undelivered(crowd: &Crowd, events: u64) -> u64 {
    let tally = &crowd.tally;
    (tally.opened * events).saturating_sub(tally.deliveries + tally.missed + tally.lost)
}
