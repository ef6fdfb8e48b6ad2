//! One request until it is answered: attempts, waits between them, kept connections. Knows no events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::Publisher;
use crate::backoff::Backoff;
use crate::error::Error;
use crate::limits::{ANSWER_BODY_BYTES, PUBLISH_RETRY_BASE, PUBLISH_RETRY_MAX, TOKEN_TIMEOUT};
use crate::transport::{Link, within};

/// What is sent, the same with each attempt. The key makes the hub take it once.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) key: HeaderValue,
    pub(super) body: Bytes,
}

/// Connections that nobody sends over: at most as many as requests may be under way.
#[derive(Default)]
pub(super) struct Idle {
    links: Mutex<Vec<Link>>,
}

impl Idle {
    /// The one that was used last: the others may be closed by the hub in the end.
    fn take(&self) -> Option<Link> {
        let mut links = self.links();
        while let Some(mut link) = links.pop() {
            if link.is_reusable() {
                return Some(link);
            }
        }
        None
    }

    /// Those that the hub has closed go: with few sessions, nobody would come to use them.
    fn keep(&self, link: Link) {
        let mut links = self.links();
        links.retain_mut(Link::is_reusable);
        links.push(link);
    }

    /// Closes all.
    fn clear(&self) {
        self.links().clear();
    }

    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        // Nothing panics while it is held.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher {
    /// Sends until the hub has taken it or refused it. Whoever calls has the turn.
    pub(super) async fn exchange(&self, request: &Keyed) -> Result<Vec<String>, Error> {
        let options = &*self.options;
        let started = Instant::now();
        let mut backoff = Backoff::new(PUBLISH_RETRY_BASE, PUBLISH_RETRY_MAX);
        let (mut refresh, mut refreshed) = (false, false);
        loop {
            let mut kept = false;
            let attempt = async {
                let asking = options.token.get(std::mem::take(&mut refresh));
                let asking = within(TOKEN_TIMEOUT, "a token", asking);
                let token = asking.await??;
                let request = self.request(request, token)?;
                let idle = self.shared.idle.take();
                kept = idle.is_some();
                self.attempt(idle, request).await
            };
            let failure = match attempt.await {
                Ok(ids) => return Ok(ids),
                // One new token, and then that is that.
                Err(error) if error.is_unauthorized() && !refreshed && options.token.can_refresh() => {
                    (refresh, refreshed) = (true, true);
                    continue;
                }
                Err(error) if !error.is_retryable() => return Err(error),
                // The hub may close idle connections at any time, mostly all at once: no failure of the hub's.
                Err(error) if kept && error.is_connection_lost() => {
                    self.shared.idle.clear();
                    continue;
                }
                Err(error) => error,
            };
            let delay = backoff.next_delay(failure.retry_after());
            let elapsed = started.elapsed();
            if elapsed.saturating_add(delay) > options.give_up_after {
                let last = Box::new(failure);
                return Err(Error::GaveUp { attempts: backoff.failures(), elapsed, last });
            }
            options.tell(&failure, delay);
            sleep(delay).await;
        }
    }

    fn request(&self, keyed: &Keyed, token: Option<HeaderValue>) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::post(&keyed.path)
            .header(HOST, self.endpoint.base().authority())
            .header(CONTENT_TYPE, keyed.content_type)
            .header(ACCEPT, "application/json, application/problem+json")
            .header("idempotency-key", &keyed.key);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let unsendable =
            |_| Error::InvalidOption { what: "the session name", reason: "it makes no valid request path" };
        request.body(Full::new(keyed.body.clone())).map_err(unsendable)
    }

    /// One attempt. The connection is kept only if the whole answer was read: it is nobody's but this future's while a
    /// request is under way, so a dropped future closes it.
    async fn attempt(&self, idle: Option<Link>, request: Request<Full<Bytes>>) -> Result<Vec<String>, Error> {
        let mut link = match idle {
            Some(link) => link,
            None => Link::open(self.endpoint.base(), &self.options.network).await?,
        };
        let limit = self.options.request_timeout;
        let answer = within(limit, "the answer to a publish", link.send(request)).await??;
        if !answer.status().is_success() {
            return Err(link.refusal(answer).await);
        }
        let status = answer.status();
        let reading = link.read_all(answer.into_body(), ANSWER_BODY_BYTES);
        let body = within(limit, "the body of an answer", reading).await??;
        self.shared.idle.keep(link);
        read_ids(status, &body)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Published {
    One { id: String },
    Many { ids: Vec<String> },
}

fn read_ids(status: StatusCode, body: &[u8]) -> Result<Vec<String>, Error> {
    match serde_json::from_slice(body) {
        Ok(Published::One { id }) => Ok(vec![id]),
        Ok(Published::Many { ids }) => Ok(ids),
        Err(_) => Err(Error::UnexpectedAnswer(format!("status {status} without the ids of the events"))),
    }
}
