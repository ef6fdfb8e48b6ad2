//! Logs of deployments: lines at full speed from a channel and from a stream of a real Redis, and as published sessions, in
//! turns, each with the same viewers. Every line is counted at every viewer.

mod way;

use std::time::Duration;

use super::super::Bench;
use super::super::failure::Outcome;
use super::super::process::allow_connections;
use super::super::redis::RedisServer;
use super::super::report::{Figure, Report};
use super::super::tally::Tally;
use super::side::Spent;
use way::{Pace, Source, Way};

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many viewers each log has
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) viewers: u64,
    /// Lines in each turn
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) lines: u64,
    /// Turns of each log
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) rounds: u64,
    /// Length of each line, in bytes
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) line_bytes: usize,
}

/// One turn of each log.
struct Round {
    posted: Spent,
    channel: Spent,
    stream: Spent,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(3 * args.viewers)?;
    bench.progress.step("starting redis-server");
    let redis = RedisServer::start(bench.clock)?;
    let open = |source| Way::open(bench, source, &redis, args.viewers as usize, args.line_bytes);
    let mut posted = open(Source::Posted)?;
    let mut channel = open(Source::Channel)?;
    let mut stream = open(Source::Stream)?;
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        bench.progress.step(format!("round {round} of {}", args.rounds));
        rounds.push(Round {
            posted: posted.turn(bench, args.lines, Pace::FlatOut)?,
            channel: channel.turn(bench, args.lines, Pace::AsViewersTake)?,
            stream: stream.turn(bench, args.lines, Pace::FlatOut)?,
        });
    }
    let kept_up = channel.crowd.tally.clone();
    let memory = [posted.memory()?, channel.memory()?, stream.memory()?];
    bench.progress.step("flooding the channel");
    channel.turn(bench, args.lines, Pace::FlatOut)?;

    let mut report = Report::new("logs");
    costs(&mut report, args, &rounds);
    let sources = [Source::Posted, Source::Channel, Source::Stream].map(Source::name);
    let gaps = [posted.crowd.tally.gaps, kept_up.gaps, stream.crowd.tally.gaps];
    for (name, gaps) in sources.into_iter().zip(gaps) {
        report.figure(Figure::new(format!("gaps told to viewers, {name}"), gaps as f64, "").at_most(0.0));
    }
    for (name, memory) in sources.into_iter().zip(memory) {
        report.figures.extend(memory.figures(name));
    }
    report.figures.extend(channel.memory()?.figures("redis_pubsub faster than viewers take it"));
    flood(&mut report, args, &channel.crowd.tally, &kept_up);
    let ways = [posted, channel, stream];
    report.undelivered = ways.iter().map(Way::undelivered).sum();
    let mut tally = Tally::default();
    ways.iter().for_each(|way| tally.merge(&way.crowd.tally));
    report.tally = Some(tally);
    Ok(report)
}

/// What a delivered line cost, and how that compares with published sessions.
fn costs(report: &mut Report, args: &Args, rounds: &[Round]) {
    let sum = |part: fn(&Round) -> &Spent| rounds.iter().map(part).sum::<Spent>();
    let posted = sum(|round| &round.posted);
    let channel = sum(|round| &round.channel);
    let stream = sum(|round| &round.stream);
    let viewers = args.viewers;
    for (source, spent) in [(Source::Channel, &channel), (Source::Stream, &stream)] {
        let name = format!("CPU per delivered line over that of published sessions, {}", source.name());
        report.figure(Figure::new(name, spent.cost() / posted.cost(), "x").at_most(1.1));
    }
    let all = [(Source::Posted, &posted), (Source::Channel, &channel), (Source::Stream, &stream)];
    for (source, spent) in all {
        let what = format!("{}, {viewers} viewers", source.name());
        report.figure(Figure::new(format!("CPU us per delivered line, {what}"), spent.cost(), "us"));
        let lines = spent.per_second() / viewers as f64;
        report.figure(Figure::new(format!("lines per second, {what}"), lines, "/s"));
    }
    let ratios = |part: fn(&Round) -> &Spent| {
        let ratio = |round: &Round| format!("{:.2}", part(round).cost() / round.posted.cost());
        rounds.iter().map(ratio).collect::<Vec<_>>().join(" ")
    };
    report.notes.push(format!(
        "ratio of each round: {} of a channel, {} of a stream",
        ratios(|round| &round.channel),
        ratios(|round| &round.stream)
    ));
}

/// What became of lines that came faster than viewers take them: Redis does not wait, so the oldest go, and a gap says so.
fn flood(report: &mut Report, args: &Args, after: &Tally, before: &Tally) {
    let expected = (args.viewers * args.lines).max(1) as f64;
    let missed = (after.missed - before.missed) as f64;
    report.figure(Figure::new(
        "lines told to be missing, redis_pubsub faster than viewers take it",
        100.0 * missed / expected,
        "%",
    ));
    let gaps = (after.gaps - before.gaps) as f64;
    report.figure(Figure::new("gaps told to viewers meanwhile", gaps, ""));
}

/// Between two looks at whether Redis has what it is to have.
const LOOK_EVERY: Duration = Duration::from_millis(20);
