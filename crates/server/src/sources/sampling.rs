//! Sampling several services side by side, so that a slow one never delays the others: each has a sampler of its own, and
//! what it brings late stands in the next event.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use serde_json::value::RawValue;
use watertight::Tick;
use watertight_figures::{Limits, Sampler, ServiceSample, Surroundings};

use super::services::{Table, target};
use crate::config::Service;
use crate::resource::ResourceId;

/// A sample that was made this long before its event says so.
const WORTH_SAYING: Duration = Duration::from_millis(1_000);

/// One service as an event shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<f64>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum What<'a> {
    Sample(&'a ServiceSample),
    Error { error: Error },
}

/// Why there is no sample.
#[derive(Debug, Serialize)]
struct Error {
    code: Code,
    detail: String,
}

/// Codes beside those of samples themselves.
#[derive(Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Code {
    NoSource,
    NoSuchService,
    Slow,
    TooLarge,
}

impl What<'_> {
    fn error(code: Code, detail: impl Into<String>) -> What<'static> {
        What::Error { error: Error { code, detail: detail.into() } }
    }
}

/// One service that is sampled.
#[derive(Debug)]
struct SampledService {
    /// As it was declared when its sampler was made.
    service: Service,
    /// `None` while it samples, and if there is nothing to sample.
    sampler: Option<Sampler>,
    /// Why there is no sampler.
    wrong: Option<Wrong>,
    /// When it began to sample; `None` if it does not.
    since: Option<Tick>,
    /// The last sample that no event has shown, and when it was made.
    fresh: Option<(ServiceSample, Tick)>,
}

/// Why a service has no sampler.
#[derive(Debug, Clone)]
enum Wrong {
    NoSource,
    Unusable(String),
}

type Pending = Pin<Box<dyn Future<Output = (ResourceId, Service, Sampler, ServiceSample)> + Send>>;

/// The services of one stream. Dropping it ends what is under way.
pub(super) struct Sampling {
    ids: Box<[ResourceId]>,
    limits: Limits,
    surroundings: Surroundings,
    /// Of processes that were sampled before, when they started.
    pub(super) started: BTreeMap<ResourceId, (usize, u64)>,
    services: BTreeMap<ResourceId, SampledService>,
    under_way: FuturesUnordered<Pending>,
    samples: u64,
}

impl Sampling {
    pub(super) fn new(
        ids: &[ResourceId],
        limits: Limits,
        surroundings: Surroundings,
        started: BTreeMap<ResourceId, (usize, u64)>,
    ) -> Sampling {
        Sampling {
            ids: ids.into(),
            limits,
            surroundings,
            started,
            services: BTreeMap::new(),
            under_way: FuturesUnordered::new(),
            samples: 0,
        }
    }

    /// Samples that were begun since this was asked last.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.samples)
    }

    /// Begins to sample every service that is declared and is not being sampled.
    pub(super) fn begin(&mut self, table: &Table, now: Tick) {
        for id in &self.ids {
            let Some(service) = table.get(id) else {
                // What is under way for it brings nothing any more.
                self.services.remove(id);
                continue;
            };
            if self.services.get(id).is_none_or(|sampled| sampled.service != *service) {
                let made = self.sampler(id, service);
                self.services.insert(id.clone(), made);
            }
            let Some(sampled) = self.services.get_mut(id) else { continue };
            let Some(mut sampler) = sampled.sampler.take() else { continue };
            sampled.since = Some(now);
            self.samples += 1;
            let (id, service) = (id.clone(), service.clone());
            self.under_way.push(Box::pin(async move {
                let sample = sampler.sample().await;
                (id, service, sampler, sample)
            }));
        }
    }

    fn sampler(&self, id: &ResourceId, service: &Service) -> SampledService {
        let started = self.started.get(id).filter(|(pid, _)| service.pid == Some(*pid)).map(|(_, at)| *at);
        let made = target(service, started).and_then(|target| {
            let make = |target| Sampler::new(target, self.limits.clone(), self.surroundings.clone());
            target.map(make).transpose()
        });
        let (sampler, wrong) = match made {
            Ok(Some(sampler)) => (Some(sampler), None),
            Ok(None) => (None, Some(Wrong::NoSource)),
            Err(error) => (None, Some(Wrong::Unusable(format!("its source {error}")))),
        };
        SampledService { service: service.clone(), sampler, wrong, since: None, fresh: None }
    }

    /// Takes the next sample that comes; `false`: none is under way. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, now: impl Fn() -> Tick) -> bool {
        let Some((id, service, sampler, sample)) = self.under_way.next().await else { return false };
        // Declared anew, or no longer, meanwhile: its sampler goes.
        if let Some(sampled) = self.services.get_mut(&id)
            && sampled.service == service
            && sampled.sampler.is_none()
        {
            if let Some((pid, started)) = service.pid.zip(sampler.process_started()) {
                self.started.insert(id, (pid, started));
            }
            (sampled.sampler, sampled.since) = (Some(sampler), None);
            sampled.fresh = Some((sample, now()));
        }
        true
    }

    /// Whether anything is under way.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// All services as they are now, each as JSON of at most about `bytes_max` in all: the largest make room for the rest.
    pub(super) fn show(&mut self, now: Tick, bytes_max: usize) -> Vec<Box<RawValue>> {
        let mut shown: Vec<(&ResourceId, Box<RawValue>)> =
            self.ids.iter().map(|id| (id, json(id, self.services.get(id), now))).collect();
        for sampled in self.services.values_mut() {
            sampled.fresh = None;
        }
        let mut total: usize = shown.iter().map(|(_, json)| json.get().len() + 1).sum();
        while total > bytes_max
            && let Some((id, largest)) = shown.iter_mut().max_by_key(|(_, json)| json.get().len())
        {
            let before = largest.get().len();
            let detail = "its figures do not fit an event: choose families, or raise max_event_bytes";
            *largest = to_json(&Shown {
                id: id.as_str(),
                age_seconds: None,
                what: What::error(Code::TooLarge, detail),
            });
            let after = largest.get().len();
            if after >= before {
                break;
            }
            total -= before - after;
        }
        shown.into_iter().map(|(_, json)| json).collect()
    }
}

fn json(id: &ResourceId, sampled: Option<&SampledService>, now: Tick) -> Box<RawValue> {
    let show = |age_seconds, what| to_json(&Shown { id: id.as_str(), age_seconds, what });
    let Some(sampled) = sampled else {
        return show(None, What::error(Code::NoSuchService, "it is not declared any more"));
    };
    match (&sampled.fresh, &sampled.wrong, sampled.since) {
        (Some((sample, made)), ..) => {
            let age = now.since(*made);
            show((age >= WORTH_SAYING).then_some(age.as_secs_f64()), What::Sample(sample))
        }
        (None, Some(Wrong::NoSource), _) => {
            show(None, What::error(Code::NoSource, "no source of figures is declared for it"))
        }
        (None, Some(Wrong::Unusable(why)), _) => show(None, What::error(Code::NoSource, why.clone())),
        (None, None, since) => {
            let seconds = since.map_or(0.0, |since| now.since(since).as_secs_f64());
            show(None, What::error(Code::Slow, format!("no answer for {seconds:.1} s so far")))
        }
    }
}

fn to_json(shown: &Shown<'_>) -> Box<RawValue> {
    // Numbers that JSON does not have were replaced before; nothing else can fail.
    serde_json::value::to_raw_value(shown).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
