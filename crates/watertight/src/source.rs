//! What feeds a session by itself while somebody watches it: a sampler, a subscription elsewhere, a file.
//!
//! A [`Source`] is started with the first subscriber of its session, shared by all, and stopped a little after the last
//! ([`HubConfig::source_linger`](crate::HubConfig::source_linger)): by dropping its future, wherever that waits. Whatever
//! it holds it holds in values whose drop gives it back. If it fails it is tried again, later each time; three errors
//! in a row, without a success in between, open its breaker: its readers are told `CIRCUIT_OPEN`, and newcomers are
//! refused for a while.
//!
//! ```
//! use std::time::Duration;
//! use watertight::{Event, Feed, Hub, HubConfig, Resume, Source, SourceError, SubscribeOptions};
//!
//! /// Says the time, once a second.
//! struct Clock;
//!
//! impl Source for Clock {
//!     async fn run(&self, feed: Feed) -> Result<(), SourceError> {
//!         loop {
//!             feed.publish(Event::new("tick")).await?;
//!             tokio::time::sleep(Duration::from_secs(1)).await;
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::new(HubConfig::default())?;
//! let watched = hub.subscribe_with("clock", Resume::Live, SubscribeOptions::default().fed_by(Clock))?;
//! # drop(watched);
//! # Ok(()) }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use watertight_core::{Attached, Permit, Position, Session, SourceState, Tick};

use crate::error::PublishError;
use crate::event::Event;
use crate::hub::{EndedSession, HubState, Positions};

/// Feeds a session while somebody watches it.
pub trait Source: Send + Sync + 'static {
    /// Feeds until it comes to its end, or fails. It is dropped where it waits once nobody watches any more, and called
    /// again when somebody comes; what it is to remember in between stands in `self`. That lives as long as the session.
    ///
    /// `Ok`: there is nothing more to come, in this life of the session.
    fn run(&self, feed: Feed) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// A source, shared.
#[derive(Clone)]
pub struct SourceHandle(Arc<dyn Runs>);

/// [`Source`] without a type of its own for its future.
trait Runs: Send + Sync {
    fn run(&self, feed: Feed) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send + '_>>;
}

impl<S: Source> Runs for S {
    fn run(&self, feed: Feed) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send + '_>> {
        Box::pin(Source::run(self, feed))
    }
}

impl SourceHandle {
    /// Shares a source.
    #[must_use]
    pub fn new(source: impl Source) -> SourceHandle {
        SourceHandle(Arc::new(source))
    }

    pub(crate) async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        self.0.run(feed).await
    }
}

impl fmt::Debug for SourceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceHandle")
    }
}

/// Why a source failed. Operators see it; readers do not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(Box<str>);

impl SourceError {
    /// An error with this text. It is logged and shown to operators: no secrets.
    #[must_use]
    pub fn new(why: impl fmt::Display) -> SourceError {
        SourceError(why.to_string().into())
    }
}

impl From<FeedError> for SourceError {
    fn from(error: FeedError) -> SourceError {
        SourceError::new(error)
    }
}

impl From<std::io::Error> for SourceError {
    fn from(error: std::io::Error) -> SourceError {
        SourceError::new(error)
    }
}

/// Why a feed took nothing. Nothing of it is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The session has ended or was forgotten. The source is stopped; this is no error of its own.
    #[error("the session has ended")]
    Ended,
    /// The event, or the batch, was refused.
    #[error(transparent)]
    Refused(#[from] PublishError),
}

/// The session as its source sees it. It is bound to one life of the session: if that ends, nothing is published into the
/// next.
#[derive(Debug)]
pub struct Feed {
    hub: Arc<HubState>,
    session: Arc<Session>,
    feeder: Arc<Feeder>,
}

impl Feed {
    pub(crate) fn new(hub: &Arc<HubState>, session: &Arc<Session>, feeder: &Arc<Feeder>) -> Feed {
        Feed { hub: Arc::clone(hub), session: Arc::clone(session), feeder: Arc::clone(feeder) }
    }

    /// The session's name.
    #[must_use]
    pub fn session(&self) -> &str {
        self.session.name().as_str()
    }

    /// Whether the session has no history yet, in this life of it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.session.head() == 1
    }

    /// From now on newcomers can replay at least so many events, in this life of the session, however many
    /// [`HubConfig::max_history_per_session`](crate::HubConfig::max_history_per_session) says; as far as
    /// `max_history_bytes_per_session` and the events' time to live allow.
    pub fn keep_history(&self, events: usize) {
        self.session.with_log(|log| log.keep_at_least(events));
    }

    /// Publishes an event, and waits until readers are near enough. This is a success: errors in a row begin anew.
    ///
    /// Dropping the future before it returns gives up the waiting; the event is in the log or not.
    ///
    /// # Errors
    /// When the session has ended, or the event is refused.
    pub async fn publish(&self, event: Event) -> Result<Position, FeedError> {
        let positions = self.publish_batch(std::slice::from_ref(&event)).await?;
        positions.first().ok_or(FeedError::Ended)
    }

    /// The same for several, all or none.
    ///
    /// # Errors
    /// As [`Feed::publish`].
    pub async fn publish_batch(&self, events: &[Event]) -> Result<Positions, FeedError> {
        let fed = self.append_batch(events).await?;
        Ok(fed.paced().await)
    }

    /// Appends events, all or none, as [`Feed::publish_batch`] does, but does not wait for readers afterwards: for that see
    /// [`Fed::paced`]. It returns in the very moment in which the events are in the log, so that a source which notes there
    /// how far it has come is never dropped between the two.
    ///
    /// # Errors
    /// As [`Feed::publish`].
    pub async fn append_batch(&self, events: &[Event]) -> Result<Fed<'_>, FeedError> {
        let (positions, begun) = self.hub.feed(&self.session, events).await?;
        self.succeeded();
        Ok(Fed { feed: self, positions, begun })
    }

    /// Says that events may be missing here, or that so many are: readers get a gap of the reason `source`.
    ///
    /// # Errors
    /// When the session has ended, or there is no memory for it.
    pub fn gap(&self, missed: Option<u64>) -> Result<(), FeedError> {
        self.hub.feed_gap(&self.session, missed)
    }

    /// Ends the session, after a last event if one is given: nothing comes between the two. Of a session that has ended the
    /// first end stands.
    ///
    /// # Errors
    /// When the event is refused; then it has not ended.
    pub fn end(&self, last: Option<Event>) -> Result<EndedSession, FeedError> {
        self.hub.end_fed(&self.session, last.as_ref())
    }

    /// What it feeds from does not answer: readers get a comment, `: waiting for source`, until it does. This is no error:
    /// the source goes on, and is not given up. `why` is for operators.
    pub fn waiting(&self, why: &str) {
        if self.feeder.state.waits(self.hub.clock.now(), why) {
            tracing::warn!(session = self.session(), why, "a source waits");
            self.hub.announce(&self.session);
        }
    }

    /// What it feeds from answers. Errors in a row begin anew.
    pub fn succeeded(&self) {
        if self.feeder.state.succeeded(self.hub.clock.now()) {
            tracing::info!(session = self.session(), "a source is back");
            self.hub.announce(&self.session);
        }
    }
}

/// Events that are in their log, whose source has not yet waited for readers.
#[derive(Debug)]
#[must_use = "a source that does not wait for readers outruns them"]
pub struct Fed<'a> {
    feed: &'a Feed,
    positions: Positions,
    begun: Tick,
}

impl Fed<'_> {
    /// Where they stand.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// Waits until readers are near enough. Dropping the future gives up the waiting, not the events.
    pub async fn paced(self) -> Positions {
        self.feed.hub.pace(&self.feed.session, self.begun).await;
        self.positions
    }
}

/// What is attached to a session that has a source.
#[derive(Debug)]
pub(crate) struct Feeder {
    pub(crate) state: SourceState,
    pub(crate) source: SourceHandle,
    pub(crate) _permit: Permit,
}

impl Attached for Feeder {
    fn state(&self) -> &SourceState {
        &self.state
    }
}

/// What readers are to be told of their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceNews {
    Waiting,
    Back,
    Broken,
}

impl SourceNews {
    /// What is new since a reader was told the version `told`; that is told from here on.
    pub(crate) fn since(session: &Session, told: &mut u64) -> Option<SourceNews> {
        let state = session.attached()?.state();
        if state.version() == *told {
            return None;
        }
        let view = state.view();
        *told = view.version;
        Some(match (view.is_broken, view.is_waiting) {
            (true, _) => SourceNews::Broken,
            (false, true) => SourceNews::Waiting,
            (false, false) => SourceNews::Back,
        })
    }
}
