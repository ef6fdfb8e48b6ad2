//! What rates need between two samples of an endpoint: its counters, and when they were read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use watertight_core::{Budget, Exhausted, Owner, Permit};

use crate::number::{Known, Missing, per_second};
use crate::sample::{Families, Family, FamilyType, Series};

/// What a counter takes in a table that doubles, bytes, beside its text.
const COUNTER_BYTES: usize = 256;
const LABEL_BYTES: usize = 64;

/// Counters of one sample; no more than the sample had.
#[derive(Debug, Default)]
pub(crate) struct History {
    at: Duration,
    counters: HashMap<Arc<Series>, Known>,
    /// Charged apart from the sample, which lives shorter.
    _charged: Option<Permit>,
}

impl History {
    /// Fills in the rates since this sample, and keeps the counters of the new one.
    pub(crate) fn next(
        &self,
        found: &mut Families,
        at: Duration,
        budget: &Arc<Budget>,
    ) -> Result<History, Exhausted> {
        let counting = |family: &Family| {
            let bytes = family.samples.iter().filter(|sample| counts(family, &sample.series.name));
            bytes.map(|sample| bytes_of(&sample.series)).sum::<usize>()
        };
        let charged = budget.try_charge(Owner::Sources, found.families.iter().map(counting).sum())?;
        let elapsed = at.saturating_sub(self.at);
        let mut counters = HashMap::new();
        for family in &mut found.families {
            let mut samples = std::mem::take(&mut family.samples);
            for sample in samples.iter_mut().filter(|sample| counts(family, &sample.series.name)) {
                let before = self.counters.get(&sample.series).copied();
                let before = before.unwrap_or(Err(Missing::FirstSample));
                sample.per_second = Some(per_second(before, sample.value, elapsed));
                counters.insert(sample.series.clone(), sample.value);
            }
            family.samples = samples;
        }
        Ok(History { at, counters, _charged: Some(charged) })
    }
}

fn bytes_of(series: &Series) -> usize {
    let labels = series.labels.iter().map(|(name, value)| LABEL_BYTES + name.len() + value.len());
    COUNTER_BYTES + series.name.len() + labels.sum::<usize>()
}

/// Whether a sample only rises, or begins again.
fn counts(family: &Family, sample: &str) -> bool {
    let is_part =
        |parts: &[&str]| sample.strip_prefix(&*family.name).is_some_and(|part| parts.contains(&part));
    match family.kind {
        FamilyType::Counter => !is_part(&["_created"]),
        FamilyType::Histogram => is_part(&["_bucket", "_sum", "_count"]),
        FamilyType::Summary => is_part(&["_sum", "_count"]),
        _ => false,
    }
}
