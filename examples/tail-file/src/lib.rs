//! A file as a live stream: what a source of one's own looks like.
//!
//! [`TailFile`] is the source. The route gives it to the hub with each subscription; the first one starts it, all share it,
//! and ten seconds after the last has left it is stopped.

mod tail;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use watertight::{
    Gate, Hub, HubConfig, Resume, ServeLimits, Server, StartError, SubscribeError, SubscribeOptions,
    Subscription, resume,
};

pub use self::tail::TailFile;

/// The stream's session.
const SESSION: &str = "tail";
/// Lines of before that a newcomer gets first.
const HISTORY: u32 = 10;
/// Connections in all, and from one address.
const CONNECTIONS_MAX: usize = 10_000;

/// What the routes share.
#[derive(Clone)]
struct App {
    hub: Hub,
    path: Arc<PathBuf>,
}

/// A hub for one session, whose lines stay until newer ones push them out.
///
/// # Errors
/// When the operating system refuses a thread.
pub fn hub() -> Result<Hub, StartError> {
    Hub::new(HubConfig { max_sessions: 1, event_ttl: None, ..HubConfig::default() })
}

/// The application's routes: `GET /tail` streams the file at `path`.
pub fn app(hub: Hub, path: PathBuf) -> Router {
    Router::new().route("/tail", get(watch)).with_state(App { hub, path: Arc::new(path) })
}

/// The stream. Whoever comes back says in `Last-Event-ID` what they saw last, and gets every line since.
async fn watch(State(app): State<App>, headers: HeaderMap) -> Result<Subscription, Refused> {
    let resume = match headers.get("last-event-id") {
        Some(id) => resume::from_last_event_id(id.as_bytes()),
        None => Resume::Last(HISTORY.into()),
    };
    let source = TailFile::new(&*app.path, HISTORY);
    let options = SubscribeOptions::default().fed_by(source);
    app.hub.subscribe_with(SESSION, resume, options).map_err(Refused)
}

/// Why there is no stream: no room, or a file that cannot be read, until the source is tried again.
struct Refused(SubscribeError);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let seconds = match self.0 {
            SubscribeError::SourceBroken { retry_after } => retry_after.as_secs() + 1,
            _ => 3,
        };
        let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
        (StatusCode::SERVICE_UNAVAILABLE, retry_after, format!("{}\n", self.0)).into_response()
    }
}

/// Serves the file at `path` until `stop` completes.
pub async fn serve(hub: Hub, path: PathBuf, listener: TcpListener, stop: impl Future<Output = ()>) {
    let gate = Gate::new(Arc::clone(hub.ledger()), CONNECTIONS_MAX, CONNECTIONS_MAX);
    Server::new(hub.clone(), app(hub, path), gate).limits(ServeLimits::default()).serve(listener, stop).await;
}
