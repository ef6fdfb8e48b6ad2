//! The one way in: a target, sampled once per interval by whoever owns the sampler.

use std::fmt;

use crate::limits::{CHOSEN_MAX, Limits};
use crate::local::{LocalSampler, What};
use crate::sample::{Body, ServiceSample, Source};
use crate::scrape::Scraper;
use crate::target::{StartError, Surroundings, Target, below_mount};

/// Samples one target, and keeps what rates need between two samples: at most [`Limits::samples_max`] counters, charged
/// to the budget.
///
/// Dropping it closes the connection to its endpoint; one that is just being opened, a name that is being resolved, and
/// a reading of the kernel's files end by themselves: the first within [`Limits::time_max`], the others with the answer
/// of the machine's resolver or kernel, on one of the runtime's threads for blocking work.
pub struct Sampler {
    source: Source,
    kind: Kind,
}

enum Kind {
    Local(Box<LocalSampler>),
    Prometheus(Box<Scraper>),
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Sampler {
    /// A sampler, which has sampled nothing yet.
    ///
    /// # Errors
    /// When the target cannot be one. Whether it is there, the samples say.
    pub fn new(target: Target, limits: Limits, surroundings: Surroundings) -> Result<Sampler, StartError> {
        check(&limits)?;
        let local = |what| Kind::Local(Box::new(LocalSampler::new(what, &limits, surroundings.clone())));
        let (source, kind) = match target {
            Target::Host => (Source::Host, local(What::Host)),
            Target::Cgroup(path) => {
                let path = below_mount(&surroundings.roots.cgroup, &path)?;
                (Source::Cgroup, local(What::Cgroup(path)))
            }
            Target::Process(process) if process.id == 0 => return Err(StartError::NotAProcess),
            Target::Process(process) => (Source::Process, local(What::Process(process))),
            Target::Prometheus { families, .. } if families.len() > CHOSEN_MAX => {
                return Err(StartError::TooManyFamilies(families.len()));
            }
            Target::Prometheus { url, families } => {
                let scraper = Scraper::new(url, families, limits, surroundings)?;
                (Source::Prometheus, Kind::Prometheus(Box::new(scraper)))
            }
        };
        Ok(Sampler { source, kind })
    }

    /// Samples now, within [`Limits::time_max`].
    ///
    /// Dropping the future gives back all that it took: a request under way is closed with its connection, the budget's
    /// bytes are free. The next sample is as if it had not been asked for; it waits for a reading of the kernel's files that
    /// has not ended. Runs on tokio, with I/O and time.
    pub async fn sample(&mut self) -> ServiceSample {
        let outcome = match &mut self.kind {
            Kind::Local(local) => local.sample().await.map(|local| Body::Local(Box::new(local))),
            Kind::Prometheus(scraper) => scraper.sample().await.map(Body::Prometheus),
        };
        ServiceSample { source: self.source, outcome }
    }

    /// When the process that is sampled started, clock ticks after boot: for [`ProcessId::started`] of another sampler,
    /// so that it never takes a later process of the same id for this one. `None` before the first sample that found it,
    /// and for every other target.
    ///
    /// [`ProcessId::started`]: crate::ProcessId::started
    #[must_use]
    pub fn process_started(&self) -> Option<u64> {
        match &self.kind {
            Kind::Local(local) => local.process_started(),
            Kind::Prometheus(_) => None,
        }
    }
}

fn check(limits: &Limits) -> Result<(), StartError> {
    let zero = [
        ("the time of a sample", limits.time_max.is_zero()),
        ("the bytes of an answer", limits.bytes_max == 0),
        ("the samples of a service", limits.samples_max == 0),
        ("the bytes of JSON of a service", limits.json_bytes_max == 0),
        ("the bytes of a line", limits.line_bytes_max == 0),
        ("the labels of a sample", limits.labels_max == 0),
    ];
    zero.into_iter().find(|(_, is_zero)| *is_zero).map_or(Ok(()), |(name, _)| Err(StartError::Zero(name)))
}
