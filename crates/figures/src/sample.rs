//! What one sample of one service says, as it stands in a metrics event: all but the service's `id`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use watertight_core::Permit;

use crate::error::SampleError;
use crate::number::{Known, Missing, Number, to_six};

/// What kind of target it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// [`Target::Host`](crate::Target::Host)
    Host,
    /// [`Target::Cgroup`](crate::Target::Cgroup)
    Cgroup,
    /// [`Target::Process`](crate::Target::Process)
    Process,
    /// [`Target::Prometheus`](crate::Target::Prometheus)
    Prometheus,
}

/// One sample of one service.
#[derive(Debug)]
pub struct ServiceSample {
    /// What kind of target it is.
    pub source: Source,
    /// What was found, or why nothing was.
    pub outcome: Result<Body, SampleError>,
}

/// What was found.
#[derive(Debug)]
pub enum Body {
    /// Figures of this host.
    Local(Box<Local>),
    /// Families of an endpoint.
    Prometheus(Families),
}

impl Serialize for ServiceSample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// All members; those of the body that is not there are left out.
        #[derive(Serialize)]
        struct Members<'a> {
            source: Source,
            error: Option<&'a SampleError>,
            #[serde(flatten)]
            local: Option<&'a Local>,
            #[serde(flatten)]
            families: Option<&'a Families>,
        }
        let mut members =
            Members { source: self.source, error: self.outcome.as_ref().err(), local: None, families: None };
        match &self.outcome {
            Ok(Body::Local(local)) => members.local = Some(local),
            Ok(Body::Prometheus(families)) => members.families = Some(families),
            Err(_) => {}
        }
        members.serialize(serializer)
    }
}

/// Whose limits these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The machine's.
    Machine,
    /// A control group's.
    Cgroup,
}

/// Figures of the machine, a group or a process.
#[derive(Debug, Serialize)]
pub struct Local {
    /// Whose limits these are.
    pub of: Whose,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Figures by their names in JSON: each is there, as a number or `null`; a `null` has its reason in `missing`.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures(pub(crate) [(&'static str, Known); 10]);

impl Figures {
    /// A figure, or why it is not known. `None` for a name that is no figure.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Result<f64, Missing>> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures: BTreeMap<_, _> =
            self.0.iter().map(|(name, value)| (name, value.ok().map(Number))).collect();
        let missing: BTreeMap<_, _> =
            self.0.iter().filter_map(|(name, value)| Some((name, value.err()?))).collect();
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("figures", &figures)?;
        map.serialize_entry("missing", &missing)?;
        map.end()
    }
}

/// What an endpoint says. It is charged to the budget until it is dropped.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Families {
    /// The families chosen, in the order of the answer.
    pub families: Vec<Family>,
    /// Samples that were chosen and did not fit [`Limits`](crate::Limits).
    pub truncated: u64,
    /// Lines that are not what the format allows. Nothing else was lost with them.
    pub bad_lines: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad_line: Option<BadLine>,
    #[serde(skip)]
    pub(crate) charged: Vec<Permit>,
}

/// A line that is not what the format allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub detail: String,
}

/// What a family's samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FamilyType {
    /// Only rises, or begins again.
    Counter,
    /// Any number.
    Gauge,
    /// Counters by buckets, their sum and count.
    Histogram,
    /// Gauges by buckets (OpenMetrics).
    GaugeHistogram,
    /// Quantiles, with sum and count.
    Summary,
    /// Constant labels (OpenMetrics).
    Info,
    /// Flags (OpenMetrics).
    StateSet,
    /// Not said.
    Untyped,
}

/// Samples that belong together.
#[derive(Debug, Serialize)]
pub struct Family {
    /// Its name.
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// What its samples are.
    #[serde(rename = "type")]
    pub kind: FamilyType,
    /// What it says about itself; empty if nothing.
    #[serde(serialize_with = "text")]
    pub help: Arc<str>,
    /// Its samples.
    pub samples: Vec<Sample>,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// A name and labels, which together are one series of values.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Series {
    /// The sample's name.
    pub name: Box<str>,
    /// Labels and their values, by name.
    pub labels: Box<[(Box<str>, Box<str>)]>,
}

/// One value of a family.
#[derive(Debug)]
pub struct Sample {
    /// Whose value it is.
    pub series: Arc<Series>,
    /// The value, or why JSON has none for it.
    pub value: Result<f64, Missing>,
    /// What it gained per second, for what counts; `None` for everything else.
    pub per_second: Option<Result<f64, Missing>>,
}

/// Labels as a JSON object.
struct Labels<'a>(&'a [(Box<str>, Box<str>)]);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.series.name)?;
        map.serialize_entry("labels", &Labels(&self.series.labels))?;
        map.serialize_entry("value", &self.value.ok().map(Number))?;
        if let Some(per_second) = self.per_second {
            map.serialize_entry("perSecond", &per_second.ok().map(|rate| Number(to_six(rate))))?;
        }
        // One reason is enough: where there is no value, there is no rate for the same reason.
        if let Some(why) = self.value.err().or_else(|| self.per_second.and_then(Result::err)) {
            map.serialize_entry("missing", &why)?;
        }
        map.end()
    }
}
