//! The model checker: readers and publishers of every kind at random against the real hub, and a model of what
//! was acknowledged that every reader's sequence is held against.
//!
//! What it checks: each reader's sequence is contiguous but for the gaps that it is told, whose bounds, numbers
//! and reasons can be; nothing is doubled, reordered, or another session's; all readers, streams and long-polls
//! alike, see the same event under the same id; an acknowledged event is seen, or told of in a gap, by every
//! reader that was there; what was refused is never seen; a retry with a key gives the same ids and one copy; a
//! session's end comes after all of its events; and at the end of each round every reader has caught up, and
//! the ledger, the descriptors and the charged bytes are back.
//!
//! | file | what it holds |
//! |---|---|
//! | `setting` | a hub with limits drawn at random |
//! | `round` | the random actions against it; `round/settle`: the end, when all must be back |
//! | `reader`, `publisher` | who acts; `line`: their connections |
//! | `sequence` | what one reader was told, and what must come next |
//! | `model` | what was published and acknowledged, and where each event stands |
//! | `message`, `position` | events that name themselves; ids taken apart |
//! | `known` | faults of the hub that are passed over until they are mended |
//! | `history`, `loss` | for the message of a failure; losing on purpose |

mod history;
mod line;
mod loss;
mod message;
mod model;
mod options;
mod position;
mod publisher;
mod reader;
mod round;
mod sequence;
mod setting;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::round::Round;

pub use self::options::Options;

/// Actions between two looks at the clock for progress.
const CHUNK: u64 = 200;
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Rounds that were settled.
    pub rounds: u64,
    /// Actions.
    pub steps: u64,
    /// Events that were published and acknowledged.
    pub acknowledged: u64,
    /// Events that readers got.
    pub delivered: u64,
    /// Gaps by their reason, and ends by their code, that readers were told of.
    pub told: BTreeMap<String, u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { rounds, steps, acknowledged, delivered, told } = self;
        write!(
            f,
            "{rounds} rounds, {steps} steps, {acknowledged} events acknowledged, {delivered} delivered"
        )?;
        told.iter().try_for_each(|(what, count)| write!(f, ", {count} {what}"))
    }
}

/// What was found, with all that is needed to find it again.
#[derive(Debug)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The round, and the action in it.
    pub at: (u64, u64),
    /// What is wrong.
    pub what: String,
    /// What is known around it: the hub's settings, the reader's history, the hub's log.
    pub context: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, at: (round, step), what, context } = self;
        write!(f, "seed {seed}, round {round}, step {step}: {what}\n{context}")
    }
}

impl std::error::Error for Failure {}

/// Something is wrong, with a reader if it is its.
#[derive(Debug)]
struct Trouble {
    reader: Option<usize>,
    what: String,
}

impl Trouble {
    fn of(what: String) -> Trouble {
        Trouble { reader: None, what }
    }
}

/// Runs the checker against the hub at `binary` until its time or its rounds are over, or `stop` is set.
///
/// # Errors
/// The first thing that is wrong.
pub fn run(binary: &Path, options: &Options, stop: &AtomicBool) -> Result<Summary, Failure> {
    let until = options.seconds.map(|seconds| now() + Duration::from_secs(seconds));
    let is_over = |round: u64| {
        let is_late = until.is_some_and(|until| now() >= until);
        is_late || options.rounds.is_some_and(|rounds| round >= rounds) || stop.load(Ordering::SeqCst)
    };
    let mut summary = Summary::default();
    let mut number = 0;
    while !is_over(number) {
        let mut round = Round::new(binary, options, number);
        eprintln!("soak: seed {}, round {number}: {:?}", options.seed, round.setting());
        let outcome = play(&mut round, options, until, stop);
        summary.steps += round.step;
        summary.delivered += round.delivered();
        summary.acknowledged += round.model.acknowledged_events;
        for (what, count) in &round.model.told {
            *summary.told.entry(what.clone()).or_default() += count;
        }
        if let Err(trouble) = outcome {
            let reader =
                trouble.reader.map(|reader| format!("reader {reader}, {}\n", round.describe(reader)));
            let log = round.fail();
            let context =
                format!("{:?}\n{}the hub's log:\n{log}", round.setting(), reader.unwrap_or_default());
            return Err(Failure {
                seed: options.seed,
                at: (number, round.step),
                what: trouble.what,
                context,
            });
        }
        summary.rounds += 1;
        number += 1;
        eprintln!("soak: settled; {summary}");
    }
    Ok(summary)
}

/// One round with its settling.
fn play(
    round: &mut Round,
    options: &Options,
    until: Option<Instant>,
    stop: &AtomicBool,
) -> Result<(), Trouble> {
    let mut told = now();
    while round.step < options.steps
        && !stop.load(Ordering::SeqCst)
        && until.is_none_or(|until| now() < until)
    {
        round.run((round.step + CHUNK).min(options.steps), until, stop)?;
        if told.elapsed() >= PROGRESS {
            told = now();
            eprintln!("soak: step {}, {} events delivered", round.step, round.delivered());
        }
    }
    round.settle()
}

#[allow(clippy::disallowed_methods, reason = "the checker measures real time")]
fn now() -> Instant {
    Instant::now()
}
