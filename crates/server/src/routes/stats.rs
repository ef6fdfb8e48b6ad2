//! `/stats`: the hub's figures as JSON, now or once a second.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method};
use serde_json::Value;
use watertight::serve::InFlight;
use watertight::{Resume, SourceHandle};

use super::events::{READ_PARAMETERS, Request, Stream, resume_of};
use super::query::{NoQuery, Query};
use super::services::is_sampled;
use crate::access::{Needs, Onlooker};
use crate::figures::{Latency, figures};
use crate::problem::Problem;
use crate::resource::FIGURES_SESSION;
use crate::sources::stats::StatsSource;
use crate::state::App;

/// `GET /stats`: the figures at this instant.
pub(crate) async fn stats(State(app): State<App>, _: NoQuery) -> Json<Value> {
    Json(figures(&app, &Latency::of(&app)))
}

/// `GET /stats/stream`: the same once a second, sampled once for all who watch.
pub(crate) async fn watch(
    State(app): State<App>,
    Onlooker(caller): Onlooker,
    method: Method,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.expect_only(&READ_PARAMETERS)?;
    let resume = match resume_of(&headers, &query)? {
        Some(resume) => resume,
        // The sample that others have just been given comes at once; where nobody watches, a new one is made.
        None if is_sampled(&app, FIGURES_SESSION) => Resume::Last(1),
        None => Resume::Live,
    };
    let stream = Stream {
        needs: Needs::Admin,
        session: FIGURES_SESSION.to_owned(),
        resources: Vec::new(),
        policy: Some(Arc::clone(&app.stats_policy)),
        source: Some(SourceHandle::new(StatsSource::new(&app))),
        resume,
    };
    let request = Request { caller, method, query, in_flight: in_flight.map(|it| it.0), headers };
    stream.answer(&app, request).await
}
