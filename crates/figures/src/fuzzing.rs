//! What the fuzz target runs, also run by ordinary tests: not part of the crate's interface.
//!
//! Takes any bytes at all and panics where a promise is broken.

use std::sync::Arc;

use watertight_core::Budget;

use crate::exposition::{Chosen, Collector, Dialect, Lines};
use crate::{BadLine, Body, Families, Limits, SampleError, ServiceSample, Source};

/// Small, so that every limit is met.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        samples_max: 50,
        json_bytes_max: 4 << 10,
        line_bytes_max: 512,
        labels_max: 8,
        ..Limits::default()
    }
}

/// An answer's families, read in pieces of `step` bytes.
///
/// # Errors
/// As in a sample: the first bad line of an answer that holds no metric.
pub fn read(
    text: &[u8],
    is_openmetrics: bool,
    chosen: &[&str],
    limits: &Limits,
    budget: &Arc<Budget>,
    step: usize,
) -> Result<Families, BadLine> {
    let dialect = if is_openmetrics { Dialect::OpenMetrics } else { Dialect::Text };
    let chosen = Chosen::new(chosen.iter().map(ToString::to_string).collect());
    let mut collector = Collector::new(&chosen, limits, budget, dialect);
    let mut lines = Lines::new(limits.line_bytes_max);
    let no_memory = |_| BadLine { line: 0, detail: "no memory".to_string() };
    for piece in text.chunks(step.max(1)) {
        lines.feed(piece, |line| collector.take(line)).map_err(no_memory)?;
    }
    lines.finish(|line| collector.take(line)).map_err(no_memory)?;
    collector.finish()
}

/// Checks that any bytes are read the same however they are cut, within limits, become JSON of bounded length, and that
/// all is given back.
///
/// The first byte chooses format and cut; the rest is the answer.
///
/// # Panics
/// Where one of these is broken.
pub fn fuzz_exposition(input: &[u8]) {
    let [how, text @ ..] = input else { return };
    let is_openmetrics = how % 2 == 1;
    let limits = limits();
    let budget = Budget::new(usize::MAX / 4, usize::MAX / 2);
    let json_of = |step: usize| {
        let read = read(text, is_openmetrics, &[], &limits, &budget, step);
        let read = read.map(|families| {
            let samples: usize = families.families.iter().map(|family| family.samples.len()).sum();
            assert!(samples <= limits.samples_max, "{samples} samples");
            let json = serialized(families);
            // Beside the families: the names of the members, and the first bad line.
            assert!(json.len() <= limits.json_bytes_max + 512, "{} bytes of JSON", json.len());
            assert!(!json.contains('\n'), "one line of JSON");
            json
        });
        assert_eq!(budget.used(), 0, "all is given back");
        read
    };
    let whole = json_of(text.len());
    assert_eq!(json_of(1), whole, "byte by byte");
    assert_eq!(json_of(1 + usize::from(*how)), whole, "in pieces");
}

fn serialized(families: Families) -> String {
    let outcome: Result<Body, SampleError> = Ok(Body::Prometheus(families));
    let sample = ServiceSample { source: Source::Prometheus, outcome };
    // A map with a key that is no text would be an error; there is none.
    serde_json::to_string(&sample).unwrap_or_else(|error| format!("\n{error}"))
}
