//! `GET /metrics`: Prometheus' text format, or OpenMetrics for those who ask for it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::accept::wanted;
use super::query::NoQuery;
use crate::problem::{Problem, internal};
use crate::state::App;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const VARY: (HeaderName, HeaderValue) = (header::VARY, HeaderValue::from_static("Accept"));

/// The figures, rendered on demand from counters: no series is kept per client, session or topic.
pub(crate) async fn metrics(
    State(app): State<App>,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !app.config.enable_metrics {
        return Err(Problem::not_found("NOT_FOUND", "metrics are switched off (enable_metrics)"));
    }
    let figures = app.metrics.render().map_err(internal)?;
    let (content_type, text) =
        if wants_open_metrics(&headers) { (OPEN_METRICS, figures) } else { (TEXT, text_of(&figures)) };
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(([content_type, VARY], text).into_response())
}

/// Whether OpenMetrics is asked for by its name, and rather than plain text.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let open = wanted(headers, "application", "openmetrics-text");
    open.is_named && open.weight > wanted(headers, "text", "plain").weight
}

/// OpenMetrics as text 0.0.4: there a counter's family has the name of its samples, and there are neither units nor
/// an end.
fn text_of(figures: &str) -> String {
    let mut text = String::with_capacity(figures.len());
    let mut lines = figures.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(described) = line.strip_prefix("# HELP ") else {
            push_line(&mut text, line);
            continue;
        };
        // Its type is in the next line.
        let name = described.split(' ').next().unwrap_or_default();
        let is_counter = lines.peek().is_some_and(|next| *next == format!("# TYPE {name} counter"));
        let total = if is_counter { "_total" } else { "" };
        push_line(&mut text, &format!("# HELP {name}{total}{}", &described[name.len()..]));
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    if line == "# EOF" || line.starts_with("# UNIT ") {
        return;
    }
    match line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter")) {
        Some(name) => text.push_str(&format!("# TYPE {name}_total counter")),
        None => text.push_str(line),
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn text_0_0_4_calls_a_counter_by_the_name_of_its_samples_and_has_no_end() {
        let open = "# HELP a_gaps Gaps.\n# TYPE a_gaps counter\na_gaps_total 3\n# HELP a_bytes Bytes.\n\
                    # TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes{owner=\"x\"} 1\n# EOF\n";
        let text = "# HELP a_gaps_total Gaps.\n# TYPE a_gaps_total counter\na_gaps_total 3\n\
                    # HELP a_bytes Bytes.\n# TYPE a_bytes gauge\na_bytes{owner=\"x\"} 1\n";
        assert_eq!(text_of(open), text);
    }
}
