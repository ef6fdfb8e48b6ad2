//! What every request passes on its way in and every answer on its way out: one service around the routes, so that a
//! request pays for one call and not for a stack of them.

use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower::Service;
use watertight::serve::{AnswerBytes, Answering, Application, Arrival, AtOnce, WholeRequest};

use crate::config::{Config, host_and_port};
use crate::cors::Cors;
use crate::hosts::{KnownHosts, host_of};
use crate::problem::{Problem, internal};
use crate::routes::append::{accepted_body, accepted_head};
use crate::routes::at_once::{Publish, Published};
use crate::state::App;

/// The routes, behind what every request passes: unknown hosts are refused, origins are answered, limits are checked;
/// panics become 500, headers that protect browsers are set on everything, answers are counted. A server asks it
/// without a router in between.
#[derive(Clone)]
pub struct Front {
    routes: Router,
    /// The publish to a session, the call that has to be quick, is answered at once where it can be.
    takes_publishes: bool,
    rules: Arc<Rules>,
}

impl Front {
    pub(crate) fn new(routes: Router, takes_publishes: bool, app: &App) -> Front {
        let mut rules = Rules {
            app: app.clone(),
            known_hosts: KnownHosts::of(&app.config),
            cors: Cors::of(&app.config),
            accepted: Vec::new(),
        };
        let mut accepted = accepted_head();
        rules.complete_head(None, accepted.headers_mut());
        rules.accepted = AnswerBytes::head_of(&accepted);
        Front { routes, takes_publishes, rules: Arc::new(rules) }
    }
}

struct Rules {
    app: App,
    known_hosts: KnownHosts,
    cors: Option<Cors>,
    /// The head of the answer to a publish.
    accepted: Vec<u8>,
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let arrival = Arrival::noted_in(request.extensions());
        Box::pin(self.answer(request, arrival).map(Ok))
    }
}

impl Application for Front {
    fn answer(&self, mut request: Request, arrival: Arrival) -> Answering {
        let rules = Arc::clone(&self.rules);
        // Before anything that a page may set is looked at: a page that is not ours may have given its own name our
        // address.
        if let Some(refused) = rules.known_hosts.refuse(&request) {
            return Box::pin(ready(rules.finish(refused)));
        }
        if let Some(cors) = rules.cors.as_ref().filter(|_| request.method() == Method::OPTIONS) {
            let answer = cors.preflight(request.headers());
            return Box::pin(ready(rules.finish(answer)));
        }
        let origin = rules.cors.as_ref().and_then(|_| request.headers().get(header::ORIGIN).cloned());
        if let Some(refused) = rules.refuse(&request) {
            return Box::pin(ready(rules.finish_for(origin.as_ref(), refused)));
        }
        arrival.note_in(request.extensions_mut());
        // Its future is made here, so that the request is moved once.
        let answer = self.routes.clone().call(request);
        Box::pin(rules.complete(origin, answer.map(|answer| answer.unwrap_or_else(|never| match never {}))))
    }

    fn answer_at_once(&self, request: &WholeRequest<'_>, answer: &mut AnswerBytes) -> AtOnce {
        let rules = &self.rules;
        let is_usual = self.takes_publishes
            && request.target.len() <= rules.app.config.max_uri_bytes
            && rules.known_hosts.knows(request.host);
        let publish = is_usual.then(|| Publish::of(request)).flatten();
        publish.and_then(|publish| rules.publish_at_once(&publish, answer)).unwrap_or(AtOnce::NotHere)
    }
}

impl Rules {
    /// Answers a publish with what its answer waits for. `None`: it goes the general way.
    fn publish_at_once(self: &Arc<Rules>, publish: &Publish<'_>, answer: &mut AnswerBytes) -> Option<AtOnce> {
        let begun = self.app.hub.clock().elapsed();
        let answered = std::panic::catch_unwind(AssertUnwindSafe(|| publish.answer(&self.app)));
        let answered = answered.unwrap_or_else(|panic| Some(Err(panicked(&*panic))));
        let Published { positions, appended } = match answered? {
            Ok(published) => published,
            Err(problem) => {
                let mut response = problem.into_whole_response();
                self.complete_head(None, response.headers_mut());
                self.app.requests.answered(&response);
                answer.write_response(&response);
                return Some(AtOnce::Answered);
            }
        };
        if let Some(position) = positions.first() {
            let id = position.text();
            answer.write(&self.accepted, &accepted_body(id.as_bytes()));
        }
        let Some(appended) = appended.filter(|appended| !appended.is_paced()) else {
            self.published(begun);
            return Some(AtOnce::Answered);
        };
        let rules = Arc::clone(self);
        Some(AtOnce::Later(Box::pin(async move {
            appended.paced().await;
            rules.published(begun);
        })))
    }

    fn published(&self, begun: Duration) {
        self.app.requests.published(self.app.hub.clock().elapsed().saturating_sub(begun));
        self.app.requests.answered_with(StatusCode::ACCEPTED);
    }

    /// Refuses invalid requests before any route sees them: targets that are too long, pages that may not change
    /// anything, bodies where none belongs.
    fn refuse(&self, request: &Request) -> Option<Response> {
        let config = &self.app.config;
        let uri_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if uri_bytes > config.max_uri_bytes {
            let detail = format!("a target may have at most {} bytes", config.max_uri_bytes);
            let problem = Problem::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", detail);
            return Some(problem.into_response());
        }
        if is_forged(request, config) {
            let detail = "a page of this origin may not change anything here; cors_origins is the list of those that may";
            let problem = Problem::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", detail);
            return Some(problem.into_response());
        }
        let is_bodiless = matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE);
        if is_bodiless && has_body(request) {
            let problem = Problem::bad_request("BODY_NOT_ALLOWED", "this request takes no body");
            let mut response = problem.into_response();
            // A body behind a GET may be meant as a second request (request smuggling): do not read on.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Some(response);
        }
        None
    }

    /// Waits for an answer, through panics, and completes it.
    async fn complete(
        self: Arc<Rules>,
        origin: Option<HeaderValue>,
        answer: impl Future<Output = Response>,
    ) -> Response {
        let answer = AssertUnwindSafe(answer).catch_unwind().await;
        let answer = answer.unwrap_or_else(|panic| panicked(&*panic).into_response());
        self.finish_for(origin.as_ref(), answer)
    }

    /// Completes an answer that the page of this origin may read, if it is allowed to, and counts it.
    fn finish_for(&self, origin: Option<&HeaderValue>, mut answer: Response) -> Response {
        self.complete_head(origin, answer.headers_mut());
        self.app.requests.answered(&answer);
        answer
    }

    /// Completes an answer that no page of another origin is to read, and counts it.
    fn finish(&self, mut answer: Response) -> Response {
        protect(answer.headers_mut());
        self.app.requests.answered(&answer);
        answer
    }

    fn complete_head(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if let Some(cors) = &self.cors {
            cors.grant(origin, headers);
        }
        protect(headers);
    }
}

/// A handler that panicked: its guards ran while the stack was unwound, its requester learns that it failed.
fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    internal(format!("a handler panicked: {text}"))
}

/// What protects browsers, on every answer.
fn protect(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Whether a browser sends this for a page of somebody else: such a page cannot read the answer, but without
/// this it could publish and delete. Programs send no `Origin`; our own page has our host in it, or the browser
/// itself says that it is ours: behind a proxy that changes the host only the browser knows.
fn is_forged(request: &Request, config: &Config) -> bool {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| changes) else { return false };
    // A page that came in clear may be somebody else's on the way: it is no page of a hub that speaks TLS.
    let is_in_clear = config.tls_cert.is_some() && !origin.as_bytes().starts_with(b"https://");
    let is_ours = is_said_to_be_ours(headers) || (!is_in_clear && is_of_host(origin, host_of(request)));
    !is_ours && !config.cors_origins.allows(origin.as_bytes())
}

/// `Sec-Fetch-Site` is set by the browser, and no page can set it (<https://www.w3.org/TR/fetch-metadata/>).
fn is_said_to_be_ours(headers: &HeaderMap) -> bool {
    let site = headers.get(HeaderName::from_static("sec-fetch-site")).map(HeaderValue::as_bytes);
    matches!(site, Some(b"same-origin" | b"none"))
}

/// Whether an origin is that of this host; a port that is not given is the scheme's own.
fn is_of_host(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let (Some((scheme, authority)), Some(host)) = (origin, host) else { return false };
    let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    let (Ok((page, page_port)), Ok((host, host_port))) = (host_and_port(authority), host_and_port(host))
    else {
        return false;
    };
    page.eq_ignore_ascii_case(host) && page_port.unwrap_or(default) == host_port.unwrap_or(default)
}

/// A length of nothing is no body, however many zeros it is written with.
fn has_body(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let is_some = |length: &[u8]| length.iter().any(|digit| *digit != b'0');
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(is_some)
}
