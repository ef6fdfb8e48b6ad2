//! One way for lines into the hub: a hub of its own with the viewers of one deployment, and the publisher of its lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::super::Bench;
use super::super::super::crowd::Crowd;
use super::super::super::failure::{Outcome, While, broken};
use super::super::super::http::HttpClient;
use super::super::super::hub::{HOST, Hub};
use super::super::super::publisher::{Outlet, Plan, Publishing, Rate, taken};
use super::super::super::redis::{RedisClient, RedisServer};
use super::super::super::report::Figure;
use super::super::super::sampler::Sampler;
use super::super::side::Spent;
use super::super::{TURN, drain, gather, undelivered};
use super::LOOK_EVERY;

const DEPLOYMENT: &str = "42";

/// The name of its channel, and of its stream.
const CHANNEL: &[u8] = b"deployment:42:logs";

/// `memory_warning_threshold_mb` and `memory_critical_threshold_mb` of each hub.
const MEMORY: [(&str, &str); 2] =
    [("memory_warning_threshold_mb", "48"), ("memory_critical_threshold_mb", "64")];

/// Lines in one request, or in one pipeline to Redis.
const BATCH: usize = 100;

/// Published before the measurement, so that every path was taken once: first one alone, which shows that the hub listens.
const WARM_UP: [u64; 2] = [1, 5_000];

/// How far a publisher that keeps to its viewers may be ahead of the last of them: half of what the hub holds of a channel.
const AHEAD_MAX: u64 = 2_000;

/// Between two looks at how far they are.
const AHEAD_PAUSE: Duration = Duration::from_micros(50);

/// A turn ends with its lines; this is longer than any takes.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(3_600);

/// The hub must have subscribed within this time.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(20);

/// Memory must have stood still for this long before.
const QUIET: Duration = Duration::from_millis(500);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the lines of a log come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `POST /deployments/{id}/logs`.
    Posted,
    /// `PUBLISH`.
    Channel,
    /// `XADD`.
    Stream,
}

impl Source {
    pub(super) fn name(self) -> &'static str {
        match self {
            Source::Posted => "published sessions",
            Source::Channel => "redis_pubsub",
            Source::Stream => "redis_stream",
        }
    }
}

/// How fast lines are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as they are taken: by the hub, which makes a publisher wait for readers, or by Redis.
    FlatOut,
    /// As fast as viewers receive them.
    AsViewersTake,
}

pub(super) struct Way<'a> {
    pub(super) source: Source,
    pub(super) crowd: Crowd,
    hub: Hub,
    redis: &'a RedisServer,
    /// Number of the next line.
    next: u64,
    line_bytes: usize,
    /// Anonymous memory before the first line, in bytes.
    before: u64,
    /// The same at most, in the turns since [`memory`](Way::memory) was asked for.
    peak: u64,
}

/// Memory of a hub while lines came, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    growth: u64,
    peak: u64,
    critical: u64,
}

impl<'a> Way<'a> {
    /// Starts a hub, gathers viewers, and has every path taken once.
    pub(super) fn open(
        bench: &Bench,
        source: Source,
        redis: &'a RedisServer,
        viewers: usize,
        line_bytes: usize,
    ) -> Outcome<Self> {
        let url = redis.url();
        let mut settings = MEMORY.to_vec();
        if source != Source::Posted {
            settings.extend([("logs_source", source.name()), ("redis_url", &url)]);
        }
        let hub = Hub::obtain(bench, &settings)?;
        hub.child()?;
        bench.progress.step(format!("{viewers} viewers, {}", source.name()));
        let crowd = gather(bench, hub.address, viewers, 1, |_| watch_request())?;
        let mut way = Self { source, crowd, hub, redis, next: 1, line_bytes, before: 0, peak: 0 };
        if source == Source::Channel {
            way.wait_for_subscription(bench)?;
        }
        for lines in WARM_UP {
            way.turn(bench, lines, Pace::AsViewersTake)?;
        }
        let crowd = &mut way.crowd;
        let idle = || crowd.turn(Duration::ZERO).during("receiving");
        way.before = way.hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, idle)?.anonymous;
        way.peak = 0;
        Ok(way)
    }

    /// Waits until Redis says that the hub has subscribed.
    fn wait_for_subscription(&self, bench: &Bench) -> Outcome<()> {
        let (mut redis, deadline) = (self.redis.client()?, bench.clock.now() + SUBSCRIBE_TIMEOUT);
        while redis.ask(&[b"PUBSUB", b"NUMSUB", CHANNEL])? != "1" {
            if bench.clock.now() > deadline {
                return broken(format!("the hub did not subscribe within {SUBSCRIBE_TIMEOUT:?}"));
            }
            bench.pause(LOOK_EVERY)?;
        }
        Ok(())
    }

    /// Publishes so many lines and receives all of them; answers with what that took of the hub.
    pub(super) fn turn(&mut self, bench: &Bench, lines: u64, pace: Pace) -> Outcome<Spent> {
        let (cpu, started) = (self.hub.process.cpu()?, bench.clock.now());
        let deliveries = self.crowd.tally.deliveries;
        let sampler = Sampler::watch(self.hub.process)?;
        let plan = Plan {
            rate: Rate::Max,
            lasting: AS_LONG_AS_IT_TAKES,
            events_max: lines,
            data_bytes: self.line_bytes,
            batch: BATCH,
            first: self.next,
            gives_way: false,
        };
        let seen = Arc::new(AtomicU64::new(self.next));
        let outlet = Paced {
            outlet: self.outlet()?,
            next: self.next,
            ahead_max: if pace == Pace::FlatOut { u64::MAX } else { AHEAD_MAX },
            seen: Arc::clone(&seen),
        };
        let publishing = Publishing::start(bench.clock, outlet, plan)?;
        // Dropped before it: a publisher that nobody receives from any more waits for nobody.
        let seen = SeenGuard(seen);
        while !publishing.is_finished() {
            self.crowd.turn(TURN).during("receiving")?;
            seen.0.store(self.crowd.lowest().unwrap_or(u64::MAX), Ordering::Relaxed);
            bench.check()?;
            bench.progress.at(|| format!("{} delivered", self.crowd.tally.deliveries));
        }
        drop(seen);
        self.next += publishing.join()?;
        drain(bench, &mut self.crowd, self.next - 1)?;
        self.peak = self.peak.max(sampler.peak().anonymous);
        Ok(Spent {
            cpu: self.hub.process.cpu()?.saturating_sub(cpu),
            elapsed: bench.clock.now() - started,
            deliveries: self.crowd.tally.deliveries - deliveries,
        })
    }

    fn outlet(&self) -> Outcome<LineOutlet> {
        Ok(match self.source {
            Source::Posted => LineOutlet::Posted(HttpClient::connect(self.hub.address)?),
            Source::Channel => LineOutlet::Channel(self.redis.client()?),
            Source::Stream => LineOutlet::Stream(self.redis.client()?),
        })
    }

    /// Deliveries that neither came nor were announced as missing.
    pub(super) fn undelivered(&self) -> u64 {
        undelivered(&self.crowd, self.next - 1)
    }

    /// Memory of the hub in the turns since this was asked for last.
    pub(super) fn memory(&mut self) -> Outcome<Growth> {
        let Some(critical) = self.hub.stats()?.number("/budget/criticalBytes") else {
            return broken("GET /stats has no budget.criticalBytes");
        };
        let peak = std::mem::take(&mut self.peak);
        Ok(Growth { growth: peak.saturating_sub(self.before), peak, critical })
    }
}

impl Growth {
    /// What it is of the critical threshold, and how much of it came with the lines.
    pub(super) fn figures(self, what: &str) -> [Figure; 2] {
        let over = self.peak as f64 / self.critical as f64;
        let growth = self.growth as f64 / f64::from(1 << 20);
        [
            Figure::new(format!("memory at most over the critical threshold, {what}"), over, "x")
                .at_most(1.25),
            Figure::new(format!("growth of memory, {what}"), growth, "MiB"),
        ]
    }
}

/// The head of a stream of the log.
fn watch_request() -> Vec<u8> {
    format!("GET /deployments/{DEPLOYMENT}/logs/stream HTTP/1.1\r\nhost: {HOST}\r\naccept: text/event-stream\r\n\r\n")
        .into_bytes()
}

/// Lets a publisher go on whatever viewers have.
struct SeenGuard(Arc<AtomicU64>);

impl Drop for SeenGuard {
    fn drop(&mut self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

/// Keeps within some distance of the last viewer.
struct Paced {
    outlet: LineOutlet,
    next: u64,
    ahead_max: u64,
    /// What the last of the viewers waits for.
    seen: Arc<AtomicU64>,
}

impl Outlet for Paced {
    fn offer(&mut self, data: &[String]) -> Outcome<Option<Duration>> {
        while self.next.saturating_sub(self.seen.load(Ordering::Relaxed)) > self.ahead_max {
            std::thread::sleep(AHEAD_PAUSE);
        }
        let refused = self.outlet.offer(data)?;
        if refused.is_none() {
            self.next += data.len() as u64;
        }
        Ok(refused)
    }
}

/// Where lines go.
enum LineOutlet {
    Posted(HttpClient),
    Channel(RedisClient),
    Stream(RedisClient),
}

impl LineOutlet {
    fn offer(&mut self, lines: &[String]) -> Outcome<Option<Duration>> {
        let (redis, is_stream) = match self {
            Self::Posted(hub) => {
                let path = format!("/deployments/{DEPLOYMENT}/logs");
                return taken(&hub.post(&path, "text/plain", lines.join("\n").as_bytes())?);
            }
            Self::Channel(redis) => (redis, false),
            Self::Stream(redis) => (redis, true),
        };
        for line in lines {
            if is_stream {
                redis.add(&[b"XADD", CHANNEL, b"*", b"line", line.as_bytes()]);
            } else {
                redis.add(&[b"PUBLISH", CHANNEL, line.as_bytes()]);
            }
        }
        redis.send().map(|_| None)
    }
}
