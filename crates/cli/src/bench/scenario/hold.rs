//! Idle subscribers: what each costs the hub in memory.

mod http2;

use std::time::Duration;

use super::super::Bench;
use super::super::failure::{Outcome, While};
use super::super::hub::{Hub, OverTls, subscribe_request};
use super::super::process::allow_connections;
use super::super::report::{Figure, Report};
use super::{TURN, gather};

/// Subscribers that come and go before the measurement: what the hub allocates once is not theirs.
const WARM_UP: usize = 200;

/// Memory must have stood still for this long.
const QUIET: Duration = Duration::from_secs(2);

/// Where it does not, it is read after this long.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The hub's ledger must show all subscribers, or none, within this time.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(30);

/// The most a subscriber over TLS may cost, in bytes.
const TLS_BYTES_MAX: f64 = 6_000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::bench) enum Sessions {
    /// Each subscriber in a session of its own
    Own,
    /// All in one session
    One,
}

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many subscribers
    #[arg(long, short = 'n', default_value_t = 10_000)]
    pub(in crate::bench) subscribers: usize,
    #[arg(long, value_enum, default_value = "own")]
    pub(in crate::bench) sessions: Sessions,
    /// Over HTTP/2: what a connection costs with one stream, and what each further one does
    #[arg(long)]
    pub(in crate::bench) http2: bool,
    /// Streams over each connection with --http2
    #[arg(long, default_value_t = 10, requires = "http2")]
    pub(in crate::bench) streams: usize,
    #[command(flatten)]
    pub(in crate::bench) over: OverTls,
}

impl Args {
    /// What is said of a subscriber over HTTP/1.1, and the most it may cost in bytes.
    fn goal(&self) -> (String, f64) {
        let (what, limit) = match self.sessions {
            Sessions::Own => ("each in a session of its own", 1500.0),
            Sessions::One => ("all in one session", 1000.0),
        };
        let limit = if self.over.tls { TLS_BYTES_MAX } else { limit };
        (format!("bytes per idle subscriber, {what}{}", self.over.suffix()), limit)
    }
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.subscribers as u64)?;
    let mut hub = Hub::obtain_over(bench, args.over.transport(), &[])?;
    if args.http2 {
        return http2::run(bench, args, hub);
    }
    let to = hub.endpoint()?;
    let request = |prefix: &'static str| {
        let sessions = args.sessions;
        move |index: usize| match sessions {
            Sessions::Own => subscribe_request(&format!("{prefix}-{index}"), "", None),
            Sessions::One => subscribe_request(prefix, "", None),
        }
    };
    let before_all = hub.stats()?.live("subscription")?;
    bench.progress.step("warming up");
    drop(gather(bench, to.clone(), WARM_UP, 1, request("warm-up"))?);
    hub.wait_for_live(bench, "subscription", |live| live <= before_all, LEDGER_TIMEOUT)?;
    let before = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, || Ok(()))?;
    let budget_before = hub.stats()?.number("/budget/usedBytes");

    bench.progress.step(format!("{} idle subscribers", args.subscribers));
    let mut crowd = gather(bench, to, args.subscribers, 1, request("hold"))?;
    let all = before_all + args.subscribers as u64;
    let live = hub.wait_for_live(bench, "subscription", |live| live >= all, LEDGER_TIMEOUT)?;
    let keep_reading = || crowd.turn(TURN).during("reading heartbeats");
    let after = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, keep_reading)?;
    let budget_after = hub.stats()?.number("/budget/usedBytes");

    let each = |after: u64, before: u64| (after as f64 - before as f64) / args.subscribers as f64;
    let (name, limit) = args.goal();
    let mut report = Report::new("hold");
    report.figure(Figure::new(name, each(after.resident, before.resident), "B").at_most(limit));
    report.figure(Figure::new(
        "the same, heap and stacks only",
        each(after.anonymous, before.anonymous),
        "B",
    ));
    if let (Some(after), Some(before)) = (budget_after, budget_before) {
        report.figure(Figure::new("charged to the hub's budget for each", each(after, before), "B"));
    }
    if live != all {
        report.notes.push(format!("the ledger shows {live} subscriptions instead of {all}"));
    }
    if crowd.live() != args.subscribers {
        report.notes.push(format!("only {} subscribers are left", crowd.live()));
    }
    report.tally = Some(crowd.tally.clone());
    Ok(report)
}
