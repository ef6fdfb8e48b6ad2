//! Families from lines: what was chosen, merged by name, within limits and charged before it is held.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use watertight_core::{Budget, Exhausted, Owner, Permit};

use super::line::{Bad, Dialect, Line, RawSample};
use crate::limits::{CHARGE_STEP, FAMILIES_MAX, Limits};
use crate::number::finite;
use crate::sample::{BadLine, Families, Family, FamilyType, Sample, Series};

/// What a sample takes in memory beside its text, with its entries in tables that double: bytes. A test compares what is
/// charged with what is allocated.
const SAMPLE_BYTES: usize = 384;

/// The same for each label, and for each family.
const LABEL_BYTES: usize = 64;
const FAMILY_BYTES: usize = 384;

/// JSON around a sample's, a label's and a family's own text, with the longest numbers and reasons: bytes.
const SAMPLE_JSON: usize = 112;
const LABEL_JSON: usize = 6;
const FAMILY_JSON: usize = 64;

/// Which suffixes stand for a family without them, and of which types it is then.
const PARTS: [(&str, &[FamilyType]); 8] = [
    ("_bucket", &[FamilyType::Histogram, FamilyType::GaugeHistogram]),
    ("_count", &[FamilyType::Histogram, FamilyType::Summary]),
    ("_sum", &[FamilyType::Histogram, FamilyType::Summary]),
    ("_gcount", &[FamilyType::GaugeHistogram]),
    ("_gsum", &[FamilyType::GaugeHistogram]),
    ("_total", &[FamilyType::Counter]),
    ("_info", &[FamilyType::Info]),
    ("_created", &[FamilyType::Counter, FamilyType::Histogram, FamilyType::Summary]),
];

/// The names that are kept.
#[derive(Debug)]
pub(crate) struct Chosen(HashSet<String>);

impl Chosen {
    /// None means all.
    pub(crate) fn new(names: Vec<String>) -> Chosen {
        Chosen(names.into_iter().collect())
    }

    fn includes(&self, family: &str, sample: &str) -> bool {
        self.0.is_empty() || self.0.contains(family) || self.0.contains(sample)
    }

    /// Whether a sample of this family can be one that is kept.
    fn may_include(&self, family: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|name| name.starts_with(family))
    }
}

/// What is known of a family.
#[derive(Debug, Default)]
struct Declared {
    kind: Option<FamilyType>,
    help: Option<Arc<str>>,
    /// Where it stands among those that have samples.
    index: Option<usize>,
}

/// Where a series stands, to see when it comes again.
#[derive(Debug, Clone, Copy)]
struct Whereabouts {
    family: usize,
    sample: usize,
    timestamp: Option<f64>,
}

/// Collects one answer.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    chosen: &'a Chosen,
    limits: &'a Limits,
    budget: &'a Arc<Budget>,
    dialect: Dialect,
    declared: HashMap<Arc<str>, Declared>,
    series: HashMap<Arc<Series>, Whereabouts>,
    found: Families,
    line: u64,
    /// Samples that were read, chosen or not.
    samples_read: u64,
    json_bytes: usize,
    held_bytes: usize,
    is_ended: bool,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(
        chosen: &'a Chosen,
        limits: &'a Limits,
        budget: &'a Arc<Budget>,
        dialect: Dialect,
    ) -> Collector<'a> {
        Collector {
            chosen,
            limits,
            budget,
            dialect,
            declared: HashMap::new(),
            series: HashMap::new(),
            found: Families::default(),
            line: 0,
            samples_read: 0,
            json_bytes: 0,
            held_bytes: 0,
            is_ended: false,
        }
    }

    /// Takes a line; `None` is one that was too long.
    ///
    /// # Errors
    /// When the budget has no room. A bad line is counted and is no error.
    pub(crate) fn take(&mut self, line: Option<&[u8]>) -> Result<(), Exhausted> {
        self.line += 1;
        let line = line.ok_or(Bad::TooLong(self.limits.line_bytes_max));
        let line = line.and_then(|line| Line::parse(line, self.dialect, self.limits.labels_max));
        let taken = match line {
            Ok(Line::Nothing) => Ok(()),
            _ if self.is_ended => Err(Bad::BehindEof),
            Ok(Line::Eof) => {
                self.is_ended = true;
                Ok(())
            }
            Ok(Line::Help(family, help)) => self.help(&family, &help)?,
            Ok(Line::Type(family, kind)) => self.kind(&family, kind)?,
            Ok(Line::Sample(sample)) => self.sample(sample)?,
            Err(bad) => Err(bad),
        };
        if let Err(bad) = taken {
            self.bad(bad);
        }
        Ok(())
    }

    /// What was collected; an error if there were lines and none was a metric's.
    pub(crate) fn finish(mut self) -> Result<Families, BadLine> {
        if self.dialect == Dialect::OpenMetrics && !self.is_ended {
            self.line += 1;
            self.bad(Bad::NoEof);
        }
        match self.found.first_bad_line.take() {
            Some(first) if self.samples_read == 0 => Err(first),
            first => {
                self.found.first_bad_line = first;
                Ok(self.found)
            }
        }
    }

    fn bad(&mut self, bad: Bad) {
        self.found.bad_lines += 1;
        let line = self.line;
        self.found.first_bad_line.get_or_insert_with(|| BadLine { line, detail: bad.to_string() });
    }

    /// Charges bytes that are about to be held.
    fn hold(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.held_bytes += bytes;
        while self.held_bytes > self.found.charged.len() * CHARGE_STEP {
            let permit: Permit = self.budget.try_charge(Owner::Sources, CHARGE_STEP)?;
            self.found.charged.push(permit);
        }
        Ok(())
    }

    /// The family of this name, remembered if it can matter and there is room.
    fn declared(&mut self, family: &str) -> Result<Option<(Arc<str>, &mut Declared)>, Exhausted> {
        let known = self.declared.get_key_value(family).map(|(name, _)| name.clone());
        let name = match known {
            Some(name) => name,
            None if self.declared.len() == FAMILIES_MAX => return Ok(None),
            None => {
                self.hold(FAMILY_BYTES + family.len())?;
                Arc::from(family)
            }
        };
        Ok(Some((name.clone(), self.declared.entry(name).or_default())))
    }

    fn help(&mut self, family: &str, help: &str) -> Result<Result<(), Bad>, Exhausted> {
        if !self.chosen.may_include(family) {
            return Ok(Ok(()));
        }
        let known = self.declared.get(family);
        if let Some(before) = known.and_then(|declared| declared.help.as_ref()) {
            return Ok(if **before == *help { Ok(()) } else { Err(Bad::Declared) });
        }
        // One that comes behind samples is part of the JSON at once, if it fits.
        let json = known.and_then(|declared| declared.index).map_or(0, |_| json_len(help));
        if self.json_bytes + json > self.limits.json_bytes_max {
            return Ok(Ok(()));
        }
        self.hold(help.len())?;
        let Some((_, declared)) = self.declared(family)? else { return Ok(Ok(())) };
        let help: Arc<str> = Arc::from(help);
        declared.help = Some(help.clone());
        let index = declared.index;
        if let Some(family) = index.and_then(|index| self.found.families.get_mut(index)) {
            family.help = help;
        }
        self.json_bytes += json;
        Ok(Ok(()))
    }

    fn kind(&mut self, family: &str, kind: FamilyType) -> Result<Result<(), Bad>, Exhausted> {
        if !self.chosen.may_include(family) {
            return Ok(Ok(()));
        }
        let Some((_, declared)) = self.declared(family)? else { return Ok(Ok(())) };
        if let Some(before) = declared.kind {
            return Ok(if before == kind { Ok(()) } else { Err(Bad::Declared) });
        }
        declared.kind = Some(kind);
        let index = declared.index;
        if let Some(family) = index.and_then(|index| self.found.families.get_mut(index)) {
            family.kind = kind;
        }
        Ok(Ok(()))
    }

    /// The family that a sample stands under.
    fn family_of<'n>(&self, sample: &'n str) -> &'n str {
        let kind_of = |family: &str| self.declared.get(family).and_then(|declared| declared.kind);
        if kind_of(sample).is_some() {
            return sample;
        }
        let base = PARTS.iter().find_map(|(suffix, kinds)| {
            let base = sample.strip_suffix(suffix)?;
            kinds.contains(&kind_of(base)?).then_some(base)
        });
        base.unwrap_or(sample)
    }

    fn sample(&mut self, raw: RawSample<'_>) -> Result<Result<(), Bad>, Exhausted> {
        self.samples_read += 1;
        let family = self.family_of(&raw.name).to_string();
        if !self.chosen.includes(&family, &raw.name) {
            return Ok(Ok(()));
        }
        let labels = raw.labels.iter().map(|(name, value)| LABEL_BYTES + name.len() + value.len());
        let bytes = SAMPLE_BYTES + raw.name.len() + labels.sum::<usize>();
        self.hold(bytes)?;
        let kept = self.keep(&raw, &family)?;
        if kept != Ok(true) {
            self.held_bytes -= bytes;
        }
        Ok(kept.map(|_| ()))
    }

    /// Keeps a sample if it is new and there is room; whether it did.
    fn keep(&mut self, raw: &RawSample<'_>, family: &str) -> Result<Result<bool, Bad>, Exhausted> {
        let series = Arc::new(series_of(raw));
        if let Some(before) = self.series.get(&series).copied() {
            return Ok(self.again(raw, series, before).map(|()| false));
        }
        let index = self.room(family, sample_json(raw))?;
        let Some((index, family)) =
            index.and_then(|index| Some((index, self.found.families.get_mut(index)?)))
        else {
            self.found.truncated += 1;
            return Ok(Ok(false));
        };
        let sample = family.samples.len();
        let whereabouts = Whereabouts { family: index, sample, timestamp: raw.timestamp };
        family.samples.push(Sample { series: series.clone(), value: finite(raw.value), per_second: None });
        self.series.insert(series, whereabouts);
        Ok(Ok(true))
    }

    /// A series may come again with a later timestamp: the latest counts.
    fn again(&mut self, raw: &RawSample<'_>, series: Arc<Series>, before: Whereabouts) -> Result<(), Bad> {
        let is_later = matches!((before.timestamp, raw.timestamp), (Some(then), Some(now)) if now > then);
        let family = self.found.families.get_mut(before.family);
        let sample = family.and_then(|family| family.samples.get_mut(before.sample));
        match sample.filter(|_| is_later) {
            Some(sample) => {
                sample.value = finite(raw.value);
                self.series.insert(series, Whereabouts { timestamp: raw.timestamp, ..before });
                Ok(())
            }
            None => Err(Bad::SeriesTwice),
        }
    }

    /// Where the family stands, if one more sample of `json` bytes fits.
    fn room(&mut self, family: &str, json: usize) -> Result<Option<usize>, Exhausted> {
        if self.series.len() == self.limits.samples_max {
            return Ok(None);
        }
        let stands = self.found.families.len();
        let json_left = self.limits.json_bytes_max.saturating_sub(self.json_bytes);
        let Some((name, declared)) = self.declared(family)? else { return Ok(None) };
        let help = declared.help.clone().unwrap_or_default();
        let head = match declared.index {
            Some(_) => 0,
            None => FAMILY_JSON + json_len(&name) + json_len(&help),
        };
        if head + json > json_left {
            return Ok(None);
        }
        let kind = declared.kind.unwrap_or(FamilyType::Untyped);
        let index = *declared.index.get_or_insert(stands);
        if index == stands {
            self.found.families.push(Family { name, kind, help, samples: Vec::new() });
        }
        self.json_bytes += head + json;
        Ok(Some(index))
    }
}

fn series_of(raw: &RawSample<'_>) -> Series {
    let boxed = |text: &Cow<'_, str>| Box::<str>::from(&**text);
    Series {
        name: boxed(&raw.name),
        labels: raw.labels.iter().map(|(name, value)| (boxed(name), boxed(value))).collect(),
    }
}

fn sample_json(raw: &RawSample<'_>) -> usize {
    let labels = raw.labels.iter().map(|(name, value)| LABEL_JSON + json_len(name) + json_len(value));
    SAMPLE_JSON + json_len(&raw.name) + labels.sum::<usize>()
}

/// How long a text is in JSON, without the quotation marks.
fn json_len(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
            0..=31 => 6,
            _ => 1,
        })
        .sum()
}
