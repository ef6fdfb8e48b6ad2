//! What a stream is asked to be, as JSON. A field that is `null` is a field that is not there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use watertight_client::{Error, Subscriber};

use super::callbacks::Callbacks;

/// The largest event taken, in bytes: the contract has messages that are larger than a hub's.
const EVENT_BYTES_MAX: usize = 16 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params {
    stream_url: String,
    callback_url: String,
    #[serde(rename = "tag")]
    _tag: Option<String>,
    initial_delay_ms: Option<u64>,
    read_timeout_ms: Option<u64>,
    last_event_id: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    method: Option<String>,
    body: Option<String>,
}

impl Params {
    /// # Errors
    /// What is wrong, for whoever sent it.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    /// # Errors
    /// As [`Params::parse`].
    pub(super) fn build(self) -> Result<(Subscriber, Callbacks), String> {
        let callbacks = Callbacks::to(&self.callback_url)?;
        let subscriber = self.subscriber().map_err(|error| error.to_string())?;
        Ok((subscriber, callbacks))
    }

    fn subscriber(self) -> Result<Subscriber, Error> {
        let mut subscriber =
            Subscriber::from_url(&self.stream_url)?.with_comments().with_max_event_bytes(EVENT_BYTES_MAX);
        if let Some(delay) = self.initial_delay_ms {
            subscriber = subscriber.with_retry_base(Duration::from_millis(delay));
        }
        if let Some(limit) = self.read_timeout_ms {
            subscriber = subscriber.with_read_timeout(Duration::from_millis(limit));
        }
        if let Some(id) = &self.last_event_id {
            subscriber = subscriber.with_last_event_id(id)?;
        }
        for (name, value) in self.headers.unwrap_or_default() {
            subscriber = subscriber.with_header(&name, &value)?;
        }
        if self.method.is_some() || self.body.is_some() {
            let method = self.method.unwrap_or_else(|| "GET".to_owned());
            subscriber = subscriber.with_request(&method, self.body.unwrap_or_default())?;
        }
        Ok(subscriber)
    }
}
