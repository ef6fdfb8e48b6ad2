//! `GET /services/metrics/stream`: figures of the caller's services, sampled once for all who watch the same.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use futures_util::future::join_all;
use http::{HeaderMap, Method};
use watertight::serve::InFlight;
use watertight::{Resume, SourceHandle, SourcePhase};
use watertight_access::Action;

use super::events::{READ_PARAMETERS, Request, Stream, resume_of};
use super::query::{Query, invalid};
use crate::access::{Caller, Needs};
use crate::config::DirectoryKind;
use crate::directory::Answer;
use crate::problem::{Problem, unavailable};
use crate::resource::{Resource, ResourceId};
use crate::sources::metrics::MetricsSource;
use crate::state::App;

/// What tokens call it.
const PATH: &str = "services/metrics";
/// How many services one stream may be of.
const SERVICES_MAX: usize = 256;
/// The limits of `?interval=`, seconds.
const INTERVALS: std::ops::RangeInclusive<f64> = 1.0..=3600.0;

/// `GET /services/metrics/stream`
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.expect(Action::Subscribe, PATH)?;
    let mut known = READ_PARAMETERS.to_vec();
    known.extend(["interval", "service"]);
    query.expect_only(&known)?;
    let interval = interval_of(&app, &query)?;
    let ids = match query.text("service")? {
        Some(names) => named(&app, names)?,
        None => all_of(&app, &caller).await?,
    };
    let session = session_of(&ids, interval);
    let resume = match resume_of(&headers, &query)? {
        Some(resume) => resume,
        // The sample that others have just been given comes at once; where nobody watches, a new one is made.
        None if is_sampled(&app, &session) => Resume::Last(1),
        None => Resume::Live,
    };
    let source = MetricsSource::new(&app.hub, &app.sampled, &ids, interval);
    let stream = Stream {
        needs: Needs::Subscribe(PATH.to_owned()),
        session,
        resources: ids.into_iter().map(Resource::service).collect(),
        policy: Some(Arc::clone(&app.metrics_policy)),
        source: Some(SourceHandle::new(source)),
        resume,
    };
    let request = Request { caller, method, query, in_flight: in_flight.map(|it| it.0), headers };
    stream.answer(&app, request).await
}

fn interval_of(app: &App, query: &Query) -> Result<Duration, Problem> {
    let expected = "a number of seconds from 1 to 3600";
    match query.parse::<f64>("interval", expected)? {
        None => Ok(app.config.metrics_interval),
        // To the millisecond: who asks for the same shares the samples.
        Some(seconds) if INTERVALS.contains(&seconds) => {
            Ok(Duration::from_millis((seconds * 1000.0).round() as u64))
        }
        Some(_) => Err(invalid("interval", expected)),
    }
}

/// The services that are named, each once, in order. Whose they are is asked later.
fn named(app: &App, names: &str) -> Result<Vec<ResourceId>, Problem> {
    let mut ids = Vec::new();
    let table = app.sampled.services.now();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let id = ResourceId::new(name);
        let id = id.map_err(|error| Problem::bad_request("INVALID_SERVICE", error.to_string()))?;
        if !table.contains_key(&id) {
            return Err(no_service(&Resource::service(id).to_string()));
        }
        if ids.len() == SERVICES_MAX {
            return Err(too_many());
        }
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    if ids.is_empty() { Err(invalid("service", "names of services, separated by commas")) } else { Ok(ids) }
}

/// All services that belong to the caller.
async fn all_of(app: &App, caller: &Caller) -> Result<Vec<ResourceId>, Problem> {
    let table = app.sampled.services.now();
    let Some(user) = caller.user() else {
        let ids: Vec<_> = table.keys().cloned().collect();
        return if ids.len() > SERVICES_MAX { Err(too_many()) } else { Ok(ids) };
    };
    // The file knows whose all are; anybody else is asked about each.
    let is_file = app.config.directory == DirectoryKind::Config;
    if !is_file && table.len() > SERVICES_MAX {
        return Err(too_many());
    }
    let may_be_theirs = |owner: Option<&str>| !is_file || owner.is_some_and(|owner| *owner == **user);
    let resources: Vec<_> = table
        .iter()
        .filter(|(_, service)| may_be_theirs(service.owner.as_deref()))
        .map(|(id, _)| Resource::service(id.clone()))
        .collect();
    let ask = |resource| app.directory().owns(user, resource, Action::Subscribe);
    let answers = join_all(resources.iter().map(ask)).await;
    let mut ids = Vec::new();
    for (resource, answer) in resources.into_iter().zip(answers) {
        match answer {
            Ok(Answer::Allowed) => ids.push(resource.id),
            Ok(Answer::Denied | Answer::Unknown) => {}
            Err(error) => {
                tracing::debug!(%error, "the directory gives no answer");
                let detail = "whose the services are cannot be told at the moment";
                return Err(unavailable("DIRECTORY_UNAVAILABLE", detail));
            }
        }
    }
    match ids.len() {
        0 => Err(no_service("service that belongs to you")),
        1..=SERVICES_MAX => Ok(ids),
        _ => Err(too_many()),
    }
}

fn no_service(which: &str) -> Problem {
    Problem::not_found("RESOURCE_NOT_FOUND", format!("there is no {which}"))
}

fn too_many() -> Problem {
    let detail = format!("a stream is of {SERVICES_MAX} services at most: name those with ?service=A,B");
    Problem::bad_request("INVALID_PARAMETER", detail)
}

/// The session of these services at this interval: a digest, so that the name is short however many they are.
fn session_of(ids: &[ResourceId], interval: Duration) -> String {
    let mut text = interval.as_millis().to_string();
    for id in ids {
        // No id has a slash in it: no two sets are written alike.
        text.push('/');
        text.push_str(id.as_str());
    }
    let mut name = format!("{PATH}/");
    for byte in &crate::access::sha256(text.as_bytes())[..16] {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Whether somebody watches this session, so that its last sample is a moment old at most.
pub(super) fn is_sampled(app: &App, session: &str) -> bool {
    let phase = |session: Arc<watertight::Session>| session.attached().map(|it| it.state().info().phase);
    app.hub.session(session).and_then(phase) == Some(SourcePhase::Running)
}
