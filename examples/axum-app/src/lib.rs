//! A clock that ticks for everybody who watches: what an application with live streams looks like.
//!
//! The hub is the application's state. A route answers with a subscription, a task publishes, and either
//! [`serve`] or [`serve_plain`] puts it on a socket. Nothing here keeps a list of clients.

mod members;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use watertight::{
    AccessError, Event, EventType, Gate, GuardedListener, Hub, PublishError, Resume, ServeLimits, Server,
    SubscribeError, resume,
};

/// The one stream of this application. An application with a stream per user or per order makes the name from
/// what it knows of them, never from what they send.
const CLOCK: &str = "clock";

/// Connections in all, and from one address. Behind a proxy all come from one address.
const CONNECTIONS_MAX: usize = 10_000;

/// How long readers have to take their closing event when the application stops.
const GRACE: Duration = Duration::from_secs(10);

/// The application's routes.
pub fn app(hub: Hub) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/clock", get(watch))
        .route("/say", post(say))
        .with_state(hub.clone())
        .merge(members::routes(hub))
}

async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

/// The stream. A browser that comes back says in `Last-Event-ID` what it saw last, and gets everything since.
async fn watch(State(hub): State<Hub>, headers: HeaderMap) -> Result<Response, Refused> {
    let resume = match headers.get("last-event-id") {
        Some(id) => resume::from_last_event_id(id.as_bytes()),
        None => Resume::Live,
    };
    Ok(hub.subscribe(CLOCK, resume)?.into_response())
}

/// Whatever is posted is said to everybody.
async fn say(State(hub): State<Hub>, text: String) -> Result<String, Refused> {
    let said = EventType::new("said").map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    let position = hub.publish(CLOCK, Event::of_type(said, text)).await?;
    Ok(format!("{position}\n"))
}

/// Why a request is refused.
struct Refused(StatusCode, String);

impl From<SubscribeError> for Refused {
    fn from(error: SubscribeError) -> Refused {
        // The session's name is ours, so what is left is a lack of room.
        Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Refused {
        Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<PublishError> for Refused {
    fn from(error: PublishError) -> Refused {
        let status = match error {
            PublishError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refused(status, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let retry_after = (self.0 == StatusCode::SERVICE_UNAVAILABLE).then_some([(header::RETRY_AFTER, "3")]);
        (self.0, retry_after, self.1).into_response()
    }
}

/// Publishes a tick every so often, until it is dropped.
pub async fn tick(hub: Hub, every: Duration) {
    let mut interval = interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 0_u64.. {
        interval.tick().await;
        // Refused while the hub stops, or above its memory threshold: the next tick comes anyway.
        let _ = hub.publish(CLOCK, Event::new(count.to_string())).await;
    }
}

/// Serves by Watertight's own accept loop until `stop` completes: a time limit for each phase of a request,
/// and streams on plain HTTP/1.1 that cost about a kilobyte each.
pub async fn serve(hub: Hub, listener: TcpListener, stop: impl Future<Output = ()>) {
    let limits = ServeLimits { shutdown_grace: GRACE, ..ServeLimits::default() };
    let gate = Gate::new(Arc::clone(hub.ledger()), CONNECTIONS_MAX, CONNECTIONS_MAX);
    Server::new(hub.clone(), app(hub), gate).limits(limits).serve(listener, stop).await;
}

/// Serves by `axum::serve` until `stop` completes. Connections are counted and dead peers noticed all the
/// same; each stream keeps hyper's buffers, and there is no time limit for a request's head.
///
/// # Errors
/// As `axum::serve`.
pub async fn serve_plain(
    hub: Hub,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let gate = Gate::new(Arc::clone(hub.ledger()), CONNECTIONS_MAX, CONNECTIONS_MAX);
    let listener = GuardedListener::new(listener, gate, hub.config().clone());
    axum::serve(listener, app(hub.clone()))
        .with_graceful_shutdown(async move {
            stop.await;
            // axum waits for all answers to end, and a stream has no end of its own.
            hub.shutdown(GRACE).await;
        })
        .await
}

/// The snippets of documents are compiled here: of all packages this one knows the most of what they use.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../../../docs/sources.md")]
    struct Sources;
}
