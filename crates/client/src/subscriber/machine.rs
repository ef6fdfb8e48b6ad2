//! How a subscriber moves from one phase to the next. Every way out of a connection comes through `lost`.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Subscriber;
use super::phase::{Asked, End, LongPoll, Phase};
use crate::attempt::{self, Opened, Polled};
use crate::error::Error;
use crate::event::{Item, Status};
use crate::fallback::{Next, StreamFailure, Way};
use crate::limits::{HEALTHY_AFTER, POLL_GRACE, POLL_PAUSE, POLL_WAIT};
use crate::plan::Manner;
use crate::stream::Read;

/// How a subscriber is over after a closing event with this code; `None`: it comes back.
fn end_after(code: &str) -> Option<End> {
    match code {
        // All of the session was delivered before: to come back would begin another one.
        "SESSION_ENDED" => Some(End::Ended),
        // The right to read was taken away: no token of the same source has it.
        "TOKEN_REVOKED" | "FORBIDDEN" => Some(End::Failed),
        _ => None,
    }
}

type Told = Option<Result<Item, Error>>;

impl Subscriber {
    /// Moves until there is something to tell, or something to wait for.
    pub(super) fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Told> {
        loop {
            let told = match &mut self.phase {
                Phase::Over(_) => return Poll::Ready(None),
                Phase::Waiting(wait) => {
                    ready!(wait.poll(&*self.plan.clock, context));
                    self.begin()
                }
                Phase::Opening(opening) => {
                    let opened = ready!(opening.as_mut().poll(context));
                    Some(self.opened(opened))
                }
                Phase::Open(stream) => {
                    let reading = self.reading;
                    let read = ready!(stream.poll_read(context, reading, &mut self.parser, &mut self.cursor));
                    self.read(read)
                }
                Phase::Polling(LongPoll { answering, asked }) => {
                    let polled = ready!(answering.as_mut().poll(context));
                    let asked = *asked;
                    self.polled(polled, asked)
                }
                Phase::Delivering(answer, asked) => {
                    let asked = *asked;
                    match answer.next_item(&mut self.cursor, self.plan.max_event_bytes) {
                        Some(Err(error)) => Some(self.fail(error)),
                        Some(item) => Some(item),
                        None => self.delivered(asked),
                    }
                }
            };
            if let Some(Ok(Item::Status(Status::ClosingEvent { code, .. }))) = &told
                && let Some(end) = end_after(code)
            {
                self.phase = Phase::Over(end);
            }
            if told.is_some() {
                return Poll::Ready(told);
            }
        }
    }

    /// Forgets failures, not the position.
    pub(super) fn begin_anew(&mut self) {
        self.backoff.reset();
        self.attempts = 0;
        self.retries = 0;
    }

    /// Sends the next request.
    fn begin(&mut self) -> Told {
        let plan = Arc::clone(&self.plan);
        let now = plan.clock.now();
        self.parser.reset_for_reconnect();
        self.parser.set_last_event_id(self.cursor.id());
        // Between long-polls that work there is nothing to tell.
        let quiet = self.way == Way::Poll && self.fallback.is_polling();
        match self.way {
            Way::Stream => {
                let ask = plan.ask(&self.cursor, Manner::Stream);
                self.phase = Phase::Opening(Box::pin(attempt::open(plan, ask)));
            }
            Way::Poll => {
                // The first one is to be answered at once: it tells whether this way works.
                let wait = if quiet { POLL_WAIT } else { Duration::ZERO };
                let ask = plan.ask(&self.cursor, Manner::Poll { wait });
                let answering = Box::pin(attempt::poll(plan, ask, wait + POLL_GRACE));
                self.phase = Phase::Polling(LongPoll { answering, asked: Asked { at: now, wait } });
            }
        }
        if quiet {
            return None;
        }
        if self.attempts == 0 {
            self.trying_since = now;
        }
        self.attempts = self.attempts.saturating_add(1);
        Some(Ok(Item::Status(Status::Connecting { attempt: self.attempts })))
    }

    fn opened(&mut self, opened: Result<Opened, Error>) -> Result<Item, Error> {
        match opened {
            Ok(Opened::Stream(stream)) => {
                self.phase = Phase::Open(stream);
                Ok(Item::Status(Status::Open))
            }
            Ok(Opened::NoContent) => Ok(self.stopped()),
            Err(error) => {
                let next = self.stream_failed(&error);
                self.lost(error, next)
            }
        }
    }

    fn stream_failed(&mut self, error: &Error) -> Next {
        let failure = StreamFailure {
            is_held_back: matches!(error, Error::TimedOut { .. }),
            has_retry_after: error.retry_after().is_some(),
        };
        self.fallback.stream_failed(failure, self.plan.clock.now())
    }

    fn read(&mut self, read: Result<Read, Error>) -> Told {
        let Phase::Open(stream) = &self.phase else { return None };
        match read {
            Ok(Read::Item(item)) => return Some(Ok(item)),
            Ok(Read::Retry(base)) => self.backoff.set_base(base),
            Ok(Read::Heard) => {}
            Err(error) => {
                // First bytes and then silence are no stream: somebody on the way keeps the rest.
                let is_silence = matches!(error, Error::TimedOut { .. });
                let worked = stream.held(HEALTHY_AFTER) || (stream.has_spoken() && !is_silence);
                if stream.got_somewhere(HEALTHY_AFTER) {
                    self.begin_anew();
                }
                let next = if worked { self.fallback.stream_worked() } else { self.stream_failed(&error) };
                return Some(self.lost(error, next));
            }
        }
        None
    }

    fn polled(&mut self, polled: Result<Polled, Error>, asked: Asked) -> Told {
        match polled {
            Ok(Polled::Answer(answer)) => {
                let news = !self.fallback.is_polling();
                self.way = self.fallback.poll_answered(self.plan.clock.now()).way;
                self.begin_anew();
                self.phase = Phase::Delivering(Box::new(answer), asked);
                news.then_some(Ok(Item::Status(Status::Polling)))
            }
            Ok(Polled::NoContent) => Some(Ok(self.stopped())),
            Ok(Polled::NotUnderstood) => {
                let next = self.fallback.poll_not_understood(self.plan.clock.now());
                Some(self.lost(Error::UnexpectedAnswer("long-poll is not understood".to_owned()), next))
            }
            Err(error) => {
                let next = self.fallback.poll_failed();
                Some(self.lost(error, next))
            }
        }
    }

    /// All of an answer was delivered: ask again, but not in a tight loop if the answer was none.
    fn delivered(&mut self, asked: Asked) -> Told {
        let Phase::Delivering(answer, _) = &self.phase else { return None };
        let now = self.plan.clock.now();
        if answer.has_ended() {
            return Some(self.lost(Error::StreamEnded, Next { way: self.way, at_once: false }));
        }
        let quick = now.saturating_sub(asked.at) < POLL_PAUSE && !asked.wait.is_zero();
        let pause = quick && !answer.is_fruitful();
        self.phase = if pause { Phase::waiting(now + POLL_PAUSE) } else { Phase::at_once() };
        None
    }

    /// A connection or an attempt is lost: wait and come back, or end if that cannot help. What was held of
    /// it is dropped here.
    fn lost(&mut self, error: Error, next: Next) -> Result<Item, Error> {
        // What no hub says in an answer may still be said by a stream.
        let not_understood = self.way == Way::Poll && matches!(error, Error::UnexpectedAnswer(_));
        if !error.is_retryable() && !not_understood {
            return self.fail(error);
        }
        self.way = next.way;
        if next.at_once {
            self.phase = Phase::at_once();
            return Ok(Item::Status(Status::Polling));
        }
        let now = self.plan.clock.now();
        if self.max_retries.is_some_and(|max| self.retries >= max) {
            let (attempts, elapsed) = (self.attempts, now.saturating_sub(self.trying_since));
            return self.fail(Error::GaveUp { attempts, elapsed, last: Box::new(error) });
        }
        self.retries = self.retries.saturating_add(1);
        let delay = self.backoff.next_delay(error.retry_after());
        self.phase = Phase::waiting(now.saturating_add(delay));
        Ok(Item::Status(Status::Waiting { delay, reason: error.to_string() }))
    }

    fn fail<T>(&mut self, error: Error) -> Result<T, Error> {
        self.phase = Phase::Over(End::Failed);
        Err(error)
    }

    fn stopped(&mut self) -> Item {
        self.phase = Phase::Over(End::Stopped);
        Item::Status(Status::Stopped)
    }
}
