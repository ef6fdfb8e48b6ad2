//! A Prometheus endpoint: asked, read as it comes in, and what counts compared with the sample before.

mod history;
mod http;
mod inflate;

pub(crate) use history::History;
pub(crate) use http::Http;

use crate::error::{Code, SampleError};
use crate::exposition::{Chosen, Collector, Lines};
use crate::limits::{Limits, READING_BYTES};
use crate::sample::{BadLine, Families};
use crate::target::{ScrapeUrl, StartError, Surroundings};
use inflate::{Body, Failed};
use watertight_core::{Exhausted, Owner};

/// Scrapes one endpoint.
#[derive(Debug)]
pub(crate) struct Scraper {
    http: Http,
    chosen: Chosen,
    limits: Limits,
    surroundings: Surroundings,
    /// Counters of the last sample; replaced when a sample is complete, so that one which was dropped changes nothing.
    history: History,
}

impl Scraper {
    pub(crate) fn new(
        url: ScrapeUrl,
        families: Vec<String>,
        limits: Limits,
        surroundings: Surroundings,
    ) -> Result<Scraper, StartError> {
        Ok(Scraper {
            http: Http::new(url, limits.time_max)?,
            chosen: Chosen::new(families),
            limits,
            surroundings,
            history: History::default(),
        })
    }

    pub(crate) async fn sample(&mut self) -> Result<Families, SampleError> {
        let budget = &self.surroundings.budget;
        // Given back when this returns or is dropped.
        let _reading = budget
            .try_charge(Owner::Requests, READING_BYTES + self.limits.line_bytes_max)
            .map_err(|Exhausted { .. }| no_memory())?;
        let mut answer = self.http.get(self.limits.bytes_max).await?;
        let at = (self.surroundings.clock)();

        let mut collector = Collector::new(&self.chosen, &self.limits, budget, answer.dialect);
        let mut lines = Lines::new(self.limits.line_bytes_max);
        let mut body = Body::new(answer.is_gzip, self.limits.bytes_max);
        while let Some(piece) = answer.piece().await? {
            body.feed(&piece, |text| lines.feed(text, |line| collector.take(line)))
                .map_err(|failed| self.failed(failed))?;
        }
        body.finish(|text| lines.feed(text, |line| collector.take(line)))
            .map_err(|failed| self.failed(failed))?;
        lines.finish(|line| collector.take(line)).map_err(|Exhausted { .. }| no_memory())?;

        let mut families = collector.finish().map_err(|BadLine { line, detail }| {
            let detail =
                format!("no line of its answer is a metric; the first bad one is line {line}: {detail}");
            SampleError::new(Code::NotMetrics, detail)
        })?;
        self.history =
            self.history.next(&mut families, at, budget).map_err(|Exhausted { .. }| no_memory())?;
        Ok(families)
    }

    fn failed(&self, failed: Failed) -> SampleError {
        match failed {
            Failed::Exhausted => no_memory(),
            Failed::TooLarge => http::too_large(self.limits.bytes_max),
            Failed::Gzip => SampleError::new(Code::NotMetrics, "its answer cannot be decompressed"),
        }
    }
}

fn no_memory() -> SampleError {
    SampleError::new(Code::NoMemory, "there is no memory for its answer")
}
