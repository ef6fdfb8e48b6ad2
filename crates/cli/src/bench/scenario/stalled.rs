//! Subscribers that never read, beside others that do: nobody else may notice, and the hub must end them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::super::Bench;
use super::super::crowd::Crowd;
use super::super::failure::{Outcome, While};
use super::super::histogram::Histogram;
use super::super::http::HttpClient;
use super::super::hub::{Hub, subscribe_request};
use super::super::process::allow_connections;
use super::super::publisher::{HubOutlet, Plan, Publishing, Rate, parse_rate};
use super::super::report::{Figure, Report};
use super::super::sampler::Sampler;
use super::{gather, receive, undelivered};

const SESSION: &str = "stalled";

/// The kernel doubles it and takes no less.
const RECEIVE_BUFFER_BYTES: usize = 1024;

/// The hub's write deadline is 30 s: all must be ended within twice that.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// Pace at which publishing goes on until the stalled ones are ended.
const TRICKLE_PER_SECOND: u32 = 20;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many subscribers in all
    #[arg(long, short = 'n', default_value_t = 1000)]
    pub(in crate::bench) subscribers: usize,
    /// How many of them never read
    #[arg(long, short = 'm', default_value_t = 200)]
    pub(in crate::bench) stalled: usize,
    /// Events per second, or `max`
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    pub(in crate::bench) rate: Rate,
    /// How long to publish in each part, in seconds
    #[arg(long, default_value_t = 10)]
    pub(in crate::bench) seconds: u64,
    /// Length of each event's data, in bytes
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) data_bytes: usize,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.subscribers as u64)?;
    let good = args.subscribers.saturating_sub(args.stalled).max(1);
    let mut hub = Hub::obtain(bench, &[])?;
    let before_all = hub.stats()?.live("subscription")?;
    bench.progress.step(format!("{good} subscribers that read"));
    let crowd = gather(bench, hub.address, good, 1, |_| subscribe_request(SESSION, "", None))?;
    let mut readers = Readers { crowd, address: hub.address, data_bytes: args.data_bytes, next: 1 };
    let lasting = Duration::from_secs(args.seconds);
    readers.publish(bench, args.rate, Duration::from_secs(1))?;

    bench.progress.step("publishing to them alone");
    let alone = readers.publish(bench, args.rate, lasting)?;
    let before = hub.process.memory()?;
    bench.progress.step(format!("{} subscribers that never read", args.stalled));
    let sampler = Sampler::watch(hub.process)?;
    let stalled = stall(hub.address, args.stalled)?;
    let all = before_all + args.subscribers as u64;
    hub.wait_for_live(bench, "subscription", |live| live >= all, END_TIMEOUT)?;
    bench.progress.step("publishing to all");
    let beside = readers.publish(bench, args.rate, lasting)?;
    bench.progress.step("waiting until the hub ends those that never read");
    let began = bench.clock.now();
    let wanted = before_all + good as u64;
    let mut live = hub.stats()?.live("subscription")?;
    while live > wanted && bench.clock.now() < began + END_TIMEOUT {
        readers.publish(bench, Rate::PerSecond(TRICKLE_PER_SECOND), Duration::from_millis(500))?;
        live = hub.stats()?.live("subscription")?;
    }
    let waited = bench.clock.now() - began;
    let peak = sampler.peak();
    drop(stalled);
    bench.progress.step("publishing to those that read, once more");
    let after = readers.publish(bench, args.rate, lasting)?;

    let mut without = alone.clone();
    without.merge(&after);
    let p99 = |latency: &Histogram| latency.quantile(0.99) as f64 / 1000.0;
    let mut report = Report::new("stalled");
    let ratio = p99(&beside) / p99(&without).max(0.001);
    let name = format!("p99 of {good} readers beside {} that never read, over that without", args.stalled);
    report.figure(Figure::new(name, ratio, "x").at_most(1.2));
    report.figure(Figure::new("their p99 without", p99(&without), "ms"));
    report.figure(Figure::new("their p99 beside", p99(&beside), "ms"));
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut memory = Figure::new("memory of the hub at most, beside them", mebibytes(peak.resident), "MiB");
    memory.at_most = hub.stats()?.number("/budget/criticalBytes").map(mebibytes);
    report.figure(memory);
    let growth = mebibytes(peak.resident) - mebibytes(before.resident);
    report.figure(Figure::new("growth of it", growth, "MiB"));
    let left = live.saturating_sub(wanted);
    report.figure(Figure::new("never read, and not ended by the hub", left as f64, "").at_most(0.0));
    report.figure(Figure::new("time until all were ended, after the load", waited.as_secs_f64(), "s"));
    report.notes.push(format!(
        "p99 before, beside, after: {:.2} {:.2} {:.2} ms",
        p99(&alone),
        p99(&beside),
        p99(&after)
    ));
    let gaps = readers.crowd.tally.gaps as f64;
    report.figure(Figure::new("gaps told to subscribers that keep reading", gaps, "").at_most(0.0));
    report.undelivered = undelivered(&readers.crowd, readers.next - 1);
    report.tally = Some(readers.crowd.tally.clone());
    Ok(report)
}

/// Those that read.
struct Readers {
    crowd: Crowd,
    address: SocketAddr,
    data_bytes: usize,
    next: u64,
}

impl Readers {
    /// Publishes and receives; answers with the latencies.
    fn publish(&mut self, bench: &Bench, rate: Rate, lasting: Duration) -> Outcome<Histogram> {
        self.crowd.latency = Histogram::default();
        let outlet = HubOutlet::new(HttpClient::connect(self.address)?, SESSION);
        let plan = Plan { rate, lasting, data_bytes: self.data_bytes, batch: 100, first: self.next };
        let publishing = Publishing::start(bench.clock, outlet, plan)?;
        self.next += receive(bench, &mut self.crowd, publishing, self.next)?;
        Ok(std::mem::take(&mut self.crowd.latency))
    }
}

/// Subscribes with tiny receive buffers, and never reads.
fn stall(address: SocketAddr, count: usize) -> Outcome<Vec<TcpStream>> {
    let one = || -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.connect(&address.into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(&subscribe_request(SESSION, "", None))?;
        Ok(stream)
    };
    (0..count).map(|_| one().during("connecting")).collect()
}
