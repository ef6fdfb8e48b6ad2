//! What a service's figures are: the machine, a control group, a process, or a Prometheus endpoint, sampled within
//! limits.
//!
//! One [`Sampler`] per target; its owner calls [`Sampler::sample`] once per interval and gets a [`ServiceSample`],
//! which serializes to what a metrics event says about one service. **This crate knows no hub, no session, no event and
//! no configuration, starts no task of its own, and reads no clock but the one it is given.** What a figure means is in
//! the crate's README.
//!
//! A sample never fails as a whole and never takes longer than [`Limits::time_max`]: what cannot be known is `null` with
//! a reason ([`Missing`]), and a service that cannot be sampled is a [`SampleError`] in the sample.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use watertight_core::Budget;
//! # use watertight_figures::{Limits, Roots, Sampler, StartError, Surroundings, Target};
//! # async fn example(clock: watertight_figures::Clock, budget: Arc<Budget>) -> Result<(), Box<dyn std::error::Error>> {
//! let surroundings = Surroundings { roots: Roots::default(), clock, budget };
//! let mut host = Sampler::new(Target::Host, Limits::default(), surroundings)?;
//! let sample = host.sample().await;
//! println!("{}", serde_json::to_string(&sample)?);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`target`] | [`Target`], [`ScrapeUrl`], [`Surroundings`]: what is sampled, where files are, clock and budget |
//! | [`limits`] | [`Limits`], and every limit that is no setting |
//! | [`sampler`] | [`Sampler`]: the one way in |
//! | [`sample`] | [`ServiceSample`] and what is in it |
//! | [`error`] | [`SampleError`]: why a service cannot be sampled; its [`Code`] |
//! | `number` | numbers in JSON: rounding, [`Missing`], rates |
//! | `local` | readings of files of the kernel: `machine`, `cgroup`, `process`, and `pseudo` (bounded reads) |
//! | `scrape` | a Prometheus endpoint: the request (`http`), its body (`inflate`), rates (`history`) |
//! | `exposition` | Prometheus text and OpenMetrics: `lines`, `line` (one of them), `collect` (families) |
//!
//! # Why the parser is our own
//!
//! A bad line must cost itself and be counted, all that is valid must be read, and what is held must be bounded. Those on
//! crates.io were read for that (November 2026):
//!
//! - `prometheus-parse` 0.2.5 and `prometheus-scrape` 0.1.1 (its ancestor) match lines with regular expressions: names are
//!   `\w+` (no `:`, nothing quoted), a `}` or a `,` in a label's value breaks the labels, escapes stay as they are, what
//!   does not match is dropped without a word, and all is held in maps without a limit. The latter panics where a
//!   histogram's label has no `=`.
//! - `openmetrics-parser` 0.5.1 has quoted names and exemplars, by a grammar of the whole text: one bad line, a blank at a
//!   line's end, a tab between two values or no line feed at the end refuses all of it. It is LGPL, which
//!   `deny.toml` excludes.
//! - `prom2jsonrs` 0.1.0 panics on a line or a type that it does not know.
//! - `prometheus-parser` 0.4 parses queries.
//!
//! So [`exposition`](self) is a parser of one line at a time, fuzzed (`fuzz/`), below a collector with limits.

pub mod error;
mod exposition;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
mod local;
mod number;
pub mod sample;
pub mod sampler;
mod scrape;
pub mod target;

pub use error::{Code, SampleError};
pub use limits::Limits;
pub use number::Missing;
pub use sample::{
    BadLine, Body, Families, Family, FamilyType, Figures, Local, Sample, ServiceSample, Source, Whose,
};
pub use sampler::Sampler;
pub use target::{Clock, ProcessId, Roots, ScrapeUrl, StartError, Surroundings, Target};
