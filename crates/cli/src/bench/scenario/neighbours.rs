//! Steady readers while something bad happens beside them: their p99 over that of the same run while nothing does,
//! and the hub's memory over its critical threshold. Each kind of neighbour has a hub of its own. Threads of neighbours
//! run at the lowest priority: in the field they would be on other machines, and what is measured is the hub.
//!
//! # Layout
//!
//! | module | which neighbours |
//! |---|---|
//! | `outside` | a suspended hub, a log and answers that nobody reads |
//! | `load` | publishers and peers that want everything |
//! | `crowded` | calls that look at a session of very many sockets |
//! | `panicking` | a pump that panics; only in a build with the feature `testing` |

mod crowded;
mod load;
mod outside;
#[cfg(feature = "testing")]
mod panicking;

use std::time::Duration;

use super::super::Bench;
use super::super::failure::{Failure, Outcome};
use super::super::hub::Hub;
use super::super::process::allow_connections;
use super::super::publisher::Rate;
use super::super::report::{Figure, Report};
use super::super::sampler::Sampler;
use super::readers::{Readers, median};

/// How long a neighbour is at work before it is measured what it does.
const LEAD: Duration = Duration::from_millis(500);

/// Open files that the largest neighbour needs beside the readers.
const FILES: u64 = 2000;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many subscribers keep reading
    #[arg(long, short = 'n', default_value_t = 100)]
    pub(in crate::bench) subscribers: usize,
    /// Events per second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::bench) rate: u32,
    /// How long to publish in each part, in seconds
    #[arg(long, default_value_t = 10)]
    pub(in crate::bench) seconds: u64,
    /// Sockets of the session that is looked at (fewer if the limit on open files is lower)
    #[arg(long, default_value_t = 10_000)]
    pub(in crate::bench) sockets: u64,
    /// Only neighbours with this word in their name
    #[arg(long)]
    pub(in crate::bench) only: Option<String>,
}

/// Something bad that can happen beside readers.
trait Neighbour {
    /// What it is, after "beside".
    fn name(&self) -> String;

    /// Settings of the hub it needs.
    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// What is there already while nothing bad happens.
    fn prepare(&mut self, _: &Bench, _: &mut Hub, _: &mut Readers) -> Outcome<()> {
        Ok(())
    }

    /// Begins, and goes on until [`Neighbour::end`].
    fn begin(&mut self, bench: &Bench, hub: &mut Hub, readers: &mut Readers) -> Outcome<()>;

    /// Ends; answers with what is worth knowing of it.
    fn end(&mut self, hub: &mut Hub) -> Outcome<Option<String>>;
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.subscribers as u64 + FILES)?;
    let mut neighbours: Vec<Box<dyn Neighbour>> = vec![
        Box::<outside::Suspended>::default(),
        Box::<outside::UnreadLog>::default(),
        Box::<outside::NoReaders>::default(),
        Box::<load::FullBudget>::default(),
        Box::<load::HostilePeer>::default(),
        Box::new(crowded::Lists::new(args.sockets)),
        Box::new(crowded::Waiting::new(args.sockets)),
        #[cfg(feature = "testing")]
        Box::<panicking::Panicking>::default(),
    ];
    if let Some(word) = &args.only {
        neighbours.retain(|neighbour| neighbour.name().contains(word.as_str()));
    }
    let mut report = Report::new("neighbours");
    // Each is gone before the next begins.
    for mut neighbour in neighbours {
        let name = neighbour.name();
        // One that cannot be measured takes nothing from the others.
        match measure(bench, args, neighbour.as_mut(), &mut report) {
            Err(Failure::Broken(failure)) => {
                let before = report.failure.take().map_or(String::new(), |failure| failure + "; ");
                report.failure = Some(format!("{before}beside {name}: {failure}"));
            }
            other => other?,
        }
    }
    Ok(report)
}

fn measure(bench: &Bench, args: &Args, neighbour: &mut dyn Neighbour, report: &mut Report) -> Outcome<()> {
    let name = neighbour.name();
    let mut hub = Hub::obtain(bench, neighbour.settings())?;
    let rate = Rate::PerSecond(args.rate);
    let mut readers = Readers::gather(bench, hub.address, args.subscribers, "steady", 100)?;
    readers.publish(bench, rate, LEAD)?;
    neighbour.prepare(bench, &mut hub, &mut readers)?;
    bench.progress.step(format!("publishing before {name}"));
    let mut quiet = readers.slices(bench, rate, args.seconds)?;
    let sampler = Sampler::watch(hub.process)?;
    bench.progress.step(format!("publishing beside {name}"));
    neighbour.begin(bench, &mut hub, &mut readers)?;
    let beside = readers.slices(bench, rate, args.seconds)?;
    let peak = sampler.peak();
    let told = neighbour.end(&mut hub)?;
    bench.progress.step(format!("publishing after {name}"));
    readers.publish(bench, rate, LEAD)?;
    quiet.extend(readers.slices(bench, rate, args.seconds)?);

    let (quiet, beside) = (median(quiet), median(beside));
    let ratio = beside / quiet.max(0.001);
    report.figure(Figure::new(format!("p99 beside {name}, over the quiet one"), ratio, "x").at_most(1.2));
    if let Some(critical) = hub.stats()?.number("/budget/criticalBytes") {
        let memory = peak.anonymous as f64 / critical as f64;
        let name = format!("memory beside {name}, over the critical threshold");
        report.figure(Figure::new(name, memory, "x").at_most(1.25));
    }
    report.notes.push(format!(
        "{name}: p99 {beside:.2} ms, quiet {quiet:.2} ms{}",
        told.map_or(String::new(), |told| format!("; {told}"))
    ));
    report.undelivered += readers.undelivered();
    match &mut report.tally {
        Some(tally) => tally.merge(&readers.crowd.tally),
        none => *none = Some(readers.crowd.tally.clone()),
    }
    Ok(())
}
