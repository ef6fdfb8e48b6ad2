//! A stream of events into a session, in batches. Knows no socket.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Sleep, sleep};

use super::exchange::Keyed;
use super::{JSON, Publisher};
use crate::error::Error;
use crate::event::NewEvent;
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, BATCH_LINGER};

type Sending = Pin<Box<dyn Future<Output = Result<Vec<String>, Error>> + Send>>;

/// Publishes what a stream gives, made by [`Publisher::publish_all`]. Await it for all of it, or ask for the ids of one
/// batch after the other with [`PublishAll::next`].
///
/// Events are taken in the order of the stream, none of them twice, however often answers are lost. While a batch is under
/// way the next one gathers, and then the stream is not asked for more: at most two batches are held. When none is under
/// way, an event waits a few milliseconds for others ([`PublishAll::with_linger`]).
///
/// **Cancelling**: whatever of it is held stays in this value, so `(&mut all).await` and [`PublishAll::next`] may be
/// dropped, in `select!` say, and asked again: nothing is lost and nothing doubled. The batch under way makes progress only
/// while it is polled. Dropping the value itself closes the connection of the batch under way, and leaves open whether the
/// hub took that batch; [`PublishAll::into_unsent`] gives everything back that is not known to be taken.
///
/// **Errors**: it stops at the first event that the hub refuses; all before it are taken, none behind it. Whatever the
/// error was, polling it again goes on where it stopped, with the same key: what was taken without our knowing is not
/// taken twice.
#[must_use = "nothing is published before it is polled"]
pub struct PublishAll<S> {
    publisher: Publisher,
    session: String,
    events: Pin<Box<S>>,
    /// The stream has ended.
    ended: bool,
    /// Drawn from the stream and not sent: at most one batch, and what a refused one gave back.
    waiting: VecDeque<NewEvent>,
    waiting_bytes: usize,
    /// How long the first of them goes on waiting for more.
    lingering: Option<Pin<Box<Sleep>>>,
    linger: Duration,
    batch: Option<Batch>,
    /// Events of the next batch: fewer after a refusal, to find who is refused.
    batch_events: usize,
    batch_events_max: usize,
    published: u64,
    last_id: Option<String>,
}

/// A batch that the hub may have taken already.
struct Batch {
    events: Vec<NewEvent>,
    request: Keyed,
    /// `None` before it is sent and after an error: it is sent, again and with its key, when it is polled.
    sending: Option<Sending>,
    /// Whether the hub may have taken it.
    in_doubt: bool,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Events that the hub has taken.
    pub count: u64,
    /// The id of the last of them.
    pub last_id: Option<String>,
}

/// How far it came, and why it stopped there.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {count} events: {error}")]
#[non_exhaustive]
pub struct Stopped {
    /// Events that the hub has taken: so many from the beginning of the stream.
    pub count: u64,
    /// The id of the last of them.
    pub last_id: Option<String>,
    /// Why there are no more.
    #[source]
    pub error: Error,
}

/// What is left of a stream.
#[non_exhaustive]
pub struct Unsent<S> {
    /// Drawn from the stream and not known to be taken, in order.
    pub events: Vec<NewEvent>,
    /// So many of them, from the first, the hub may have taken all the same: all or none.
    pub in_doubt: usize,
    /// What gives the events behind them.
    pub stream: Pin<Box<S>>,
}

impl<S> PublishAll<S> {
    pub(super) fn new(publisher: Publisher, session: &str, events: S) -> Self {
        Self {
            publisher,
            session: session.to_owned(),
            events: Box::pin(events),
            ended: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            lingering: None,
            linger: BATCH_LINGER,
            batch: None,
            batch_events: BATCH_EVENTS_MAX,
            batch_events_max: BATCH_EVENTS_MAX,
            published: 0,
            last_id: None,
        }
    }

    /// How long an event waits for others to go with it while no batch is under way (default 5 ms). Zero: not at all.
    pub fn with_linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Events in one batch (default 500, at least 1). A hub that takes less is sent less.
    pub fn with_batch_events_max(mut self, events: usize) -> Self {
        self.batch_events_max = events.max(1);
        self.batch_events = self.batch_events_max;
        self
    }

    /// Events that the hub has taken so far: so many from the beginning of the stream.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// The id of the last of them.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Gives it up: what was drawn from the stream and is not known to be taken, and the stream.
    pub fn into_unsent(self) -> Unsent<S> {
        let (mut events, in_doubt) = match self.batch {
            Some(batch) => (batch.events, batch.in_doubt),
            None => (Vec::new(), false),
        };
        let in_doubt = if in_doubt { events.len() } else { 0 };
        events.extend(self.waiting);
        Unsent { events, in_doubt, stream: self.events }
    }

    fn stopped(&self, error: Error) -> Stopped {
        Stopped { count: self.published, last_id: self.last_id.clone(), error }
    }

    /// Takes the next batch out of what waits.
    fn next_batch(&mut self) -> Result<Batch, Error> {
        let path = self.publisher.endpoint.events_path(&self.session, &[])?;
        let (mut count, mut bytes) = (0, 0);
        for event in self.waiting.iter().take(self.batch_events) {
            bytes += event.size();
            if count > 0 && bytes > BATCH_BYTES_MAX {
                break;
            }
            count += 1;
        }
        let body =
            serde_json::to_vec(&self.waiting.range(..count).collect::<Vec<_>>()).map_err(Error::Json)?;
        let events: Vec<_> = self.waiting.drain(..count).collect();
        self.waiting_bytes -= events.iter().map(NewEvent::size).sum::<usize>();
        if self.waiting.is_empty() {
            self.lingering = None;
        }
        let key = self.publisher.shared.keys.next_key();
        let request = Keyed { path, content_type: JSON, key, body: body.into() };
        Ok(Batch { events, request, sending: None, in_doubt: true })
    }

    /// Puts a batch that was refused back where it was, first in line.
    fn give_back(&mut self, batch: Batch) {
        for event in batch.events.into_iter().rev() {
            self.waiting_bytes += event.size();
            self.waiting.push_front(event);
        }
    }

    /// What follows from the answer. `None`: it goes on.
    fn answered(
        &mut self,
        batch: Batch,
        answer: Result<Vec<String>, Error>,
    ) -> Option<Result<Vec<String>, Stopped>> {
        let failure = match answer {
            Ok(ids) if ids.len() == batch.events.len() => {
                self.published += ids.len() as u64;
                self.last_id = ids.last().cloned();
                self.batch_events = self.batch_events.saturating_mul(2).min(self.batch_events_max);
                return Some(Ok(ids));
            }
            Ok(_) => Error::UnexpectedAnswer("not one id for each event".to_owned()),
            Err(error) => error,
        };
        // About what is in it. Anything else, a token that is refused, says nothing about earlier attempts, whose answers
        // may be lost: only with the key that it has it may be sent again.
        let is_about_events =
            matches!(&failure, Error::Refused(problem) if matches!(problem.status, 400 | 413 | 422));
        if is_about_events && batch.events.len() > 1 {
            // All or none is taken: those before the one that is refused are still to get in.
            self.batch_events = batch.events.len() / 2;
            self.give_back(batch);
            return None;
        }
        self.batch = Some(Batch { sending: None, in_doubt: !is_about_events, ..batch });
        Some(Err(self.stopped(failure)))
    }
}

impl<S: Stream<Item = NewEvent>> PublishAll<S> {
    /// The ids of the next batch that the hub has taken, as soon as it has. `None` once all of the stream is. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// [`Stopped`]: how far it came, and why. Asking again goes on from there.
    pub async fn next(&mut self) -> Option<Result<Vec<String>, Stopped>> {
        std::future::poll_fn(|context| self.poll_batch(context)).await
    }

    /// Draws events while there is room for them.
    fn gather(&mut self, context: &mut Context<'_>) {
        let room =
            |all: &Self| all.waiting.len() < all.batch_events_max && all.waiting_bytes < BATCH_BYTES_MAX;
        while !self.ended && room(self) {
            match self.events.as_mut().poll_next(context) {
                Poll::Pending => return,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(event)) => {
                    if self.waiting.is_empty() {
                        self.lingering = Some(Box::pin(sleep(self.linger)));
                    }
                    self.waiting_bytes += event.size();
                    self.waiting.push_back(event);
                }
            }
        }
    }

    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<String>, Stopped>>> {
        loop {
            self.gather(context);
            if let Some(batch) = &mut self.batch {
                let publisher = &self.publisher;
                let request = &batch.request;
                let sending = batch.sending.get_or_insert_with(|| {
                    let (publisher, request) = (publisher.clone(), request.clone());
                    Box::pin(async move { publisher.send_keyed(&request).await })
                });
                let answer = ready!(sending.as_mut().poll(context));
                let Some(batch) = self.batch.take() else { continue };
                match self.answered(batch, answer) {
                    Some(item) => return Poll::Ready(Some(item)),
                    None => continue,
                }
            }
            if self.waiting.is_empty() {
                return if self.ended { Poll::Ready(None) } else { Poll::Pending };
            }
            let is_full = self.waiting.len() >= self.batch_events || self.waiting_bytes >= BATCH_BYTES_MAX;
            if !is_full
                && !self.ended
                && let Some(lingering) = &mut self.lingering
            {
                ready!(lingering.as_mut().poll(context));
                // It must not be polled again.
                self.lingering = None;
            }
            match self.next_batch() {
                Ok(batch) => self.batch = Some(batch),
                Err(error) => return Poll::Ready(Some(Err(self.stopped(error)))),
            }
        }
    }
}

impl<S: Stream<Item = NewEvent>> Future for PublishAll<S> {
    type Output = Result<Published, Stopped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let all = self.get_mut();
        while let Some(batch) = ready!(all.poll_batch(context)) {
            batch?;
        }
        Poll::Ready(Ok(Published { count: all.published, last_id: all.last_id.clone() }))
    }
}

impl<S> fmt::Debug for PublishAll<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishAll")
            .field("publisher", &self.publisher)
            .field("published", &self.published)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Unsent<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, in_doubt, .. } = self;
        f.debug_struct("Unsent")
            .field("events", &events.len())
            .field("in_doubt", in_doubt)
            .finish_non_exhaustive()
    }
}
