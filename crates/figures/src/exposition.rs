//! Prometheus text (0.0.4 and 1.0.0) and OpenMetrics, read as it comes in. Each line stands for itself: a bad one is
//! counted and costs nothing else. What is held is the line that is not complete yet, and what was chosen.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

mod collect;
mod line;
mod lines;

pub(crate) use collect::{Chosen, Collector};
pub(crate) use line::Dialect;
pub(crate) use lines::Lines;
