//! `watertight bench`: a load generator that counts every delivery, and reads what the hub costs from the kernel.
//!
//! Each scenario starts a hub of its own (this very executable) or measures one that runs. Subscribers live in
//! an epoll loop, not in tasks, so that the generator stays small beside what it measures. It knows the hub by
//! its HTTP API only.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | `scenario` | what is measured: hold, fanout, scatter, churn, stalled, storm, stats, tokens, unread, access, logs, unread-log, neighbours, all |
//! | `http2_crowd` | many idle streams over HTTP/2 |
//! | `crowd`, `scan`, `tally` | many subscribers; reading their streams; counting what arrived |
//! | `publisher`, `floor`, `scatter_floor` | numbered events at a pace or flat out; the raw floors to compare with |
//! | `hub`, `child`, `http`, `http2` | the server under measurement |
//! | `endpoint`, `certificate` | where connections go, plain or over TLS |
//! | `redis` | a Redis beside it |
//! | `cores` | cores of their own for servers that take turns |
//! | `process`, `sampler`, `histogram` | what the kernel says of it; latencies |
//! | `background` | work on a thread of its own, beside what is measured |
//! | `report`, `progress` | figures out, on standard output; what is going on, on standard error |

mod background;
mod certificate;
mod child;
mod clock;
mod cores;
mod crowd;
mod endpoint;
mod failure;
mod floor;
mod histogram;
mod http;
mod http2;
mod http2_crowd;
mod hub;
mod interrupt;
mod process;
mod progress;
mod publisher;
mod redis;
mod report;
mod sampler;
mod scan;
mod scatter_floor;
mod scenario;
mod tally;

use std::process::ExitCode;
use std::time::Duration;

use crate::exit;

use clock::Clock;
use failure::{Failure, Outcome};
use interrupt::{EX_INTERRUPTED, Interrupt};
use progress::Progress;
use report::Report;
use scenario::{
    access, all, churn, fanout, hold, logs, neighbours, scatter, stalled, stats, storm, tokens, unread,
    unread_log,
};

/// The longest sleep without a look at whether to stop.
const PAUSE_SLICE: Duration = Duration::from_millis(50);

/// Options of `watertight bench`.
#[derive(clap::Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    options: Options,
}

/// Options of all scenarios.
#[derive(clap::Args, Debug)]
struct Options {
    /// Measure the hub at http://HOST:PORT instead of starting one
    #[arg(long, global = true)]
    url: Option<String>,
    /// Its process id (default: what its GET /stats says)
    #[arg(long, global = true, requires = "url")]
    pid: Option<u32>,
    /// A setting for the hub that is started, as in its configuration file
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = hub::parse_setting)]
    set: Vec<(String, String)>,
    /// One JSON object on standard output instead of tables
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Scenario {
    /// Idle subscribers: what each costs in memory
    Hold(hold::Args),
    /// Many subscribers of one session: CPU time per delivery, and latency
    Fanout(fanout::Args),
    /// Many sessions with one subscriber each: CPU time per publish with its delivery, and latency
    Scatter(scatter::Args),
    /// Connections that come and go in every bad manner: what is left behind
    Churn(churn::Args),
    /// Subscribers that never read, beside others that do
    Stalled(stalled::Args),
    /// Many that come back at once, each with a history to replay
    Storm(storm::Args),
    /// GET /stats with very many sessions
    Stats(stats::Args),
    /// Verifying tokens: CPU time for each algorithm, without a hub
    Tokens(tokens::Args),
    /// Answers that nobody takes: what they do to the hub's memory, and how long they are kept
    Unread(unread::Args),
    /// Streams under tokens beside anonymous ones: memory, connects, asking again
    Access(access::Args),
    /// Logs of deployments from Redis beside published ones: every line at every viewer, CPU time, memory
    Logs(logs::Args),
    /// The hub's log in a pipe that nobody reads
    UnreadLog(unread_log::Args),
    /// Steady readers while something bad happens beside them
    Neighbours(neighbours::Args),
    /// All figures, each with what it must reach
    All(all::Args),
    /// The raw floor: sends what it is told to each of its connections
    #[command(hide = true)]
    FloorServer,
    /// The raw floor of scatter: sends each event to the one subscriber of its session
    #[command(hide = true)]
    ScatterFloorServer,
}

/// What every scenario works with.
struct Bench {
    clock: Clock,
    options: Options,
    progress: Progress,
    interrupt: Interrupt,
}

impl Bench {
    /// Fails if it is time to stop.
    fn check(&self) -> Outcome<()> {
        if self.interrupt.is_seen() { Err(Failure::Interrupted) } else { Ok(()) }
    }

    /// Sleeps, unless it is time to stop.
    fn pause(&self, duration: Duration) -> Outcome<()> {
        let end = self.clock.now() + duration;
        loop {
            self.check()?;
            let now = self.clock.now();
            if now >= end {
                return Ok(());
            }
            std::thread::sleep(PAUSE_SLICE.min(end - now));
        }
    }
}

/// Measures. Exit code 0; 1 if anything was lost in silence, doubled or reordered, or could not be measured
/// (a figure that misses its target is told, but no error); 64 if the options cannot work; 130 after a signal.
pub(crate) fn run(args: BenchArgs) -> ExitCode {
    let BenchArgs { scenario, options } = args;
    let floor = match scenario {
        Scenario::FloorServer => Some(floor::serve()),
        Scenario::ScatterFloorServer => Some(scatter_floor::serve()),
        _ => None,
    };
    match floor {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => return fail(&Failure::from(error)),
        None => {}
    }
    let clock = Clock::start();
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&error.into()),
    };
    let bench = Bench { clock, options, progress: Progress::new(clock), interrupt };
    let outcome = measure(&bench, &scenario);
    bench.progress.done();
    match outcome {
        Ok(reports) => {
            print(&reports, bench.options.json, matches!(scenario, Scenario::All(_)));
            if reports.iter().all(Report::is_exact) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => fail(&failure),
    }
}

fn measure(bench: &Bench, scenario: &Scenario) -> Outcome<Vec<Report>> {
    let report = match scenario {
        Scenario::All(args) => return all::run(bench, args),
        Scenario::Hold(args) => hold::run(bench, args),
        Scenario::Fanout(args) => fanout::run(bench, args),
        Scenario::Scatter(args) => scatter::run(bench, args),
        Scenario::Churn(args) => churn::run(bench, args),
        Scenario::Stalled(args) => stalled::run(bench, args),
        Scenario::Storm(args) => storm::run(bench, args),
        Scenario::Stats(args) => stats::run(bench, args),
        Scenario::Tokens(args) => tokens::run(bench, args),
        Scenario::Access(args) => access::run(bench, args),
        Scenario::Unread(args) => unread::run(bench, args),
        Scenario::Logs(args) => logs::run(bench, args),
        Scenario::UnreadLog(args) => unread_log::run(bench, args),
        Scenario::Neighbours(args) => neighbours::run(bench, args),
        Scenario::FloorServer | Scenario::ScatterFloorServer => Ok(Report::default()),
    };
    Ok(vec![report?])
}

fn print(reports: &[Report], json: bool, all: bool) {
    if json {
        let values: Vec<_> = reports.iter().map(Report::to_json).collect();
        match values.as_slice() {
            [only] if !all => println!("{only}"),
            _ => println!("{}", serde_json::json!({ "scenarios": values })),
        }
    } else {
        reports.iter().for_each(|report| print!("{}", report.to_text()));
        if all {
            print!("{}", all::summary(reports));
        }
    }
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("bench: {failure}");
    ExitCode::from(match failure {
        Failure::Interrupted => EX_INTERRUPTED,
        Failure::Usage(_) => exit::USAGE,
        Failure::Broken(_) => 1,
    })
}
