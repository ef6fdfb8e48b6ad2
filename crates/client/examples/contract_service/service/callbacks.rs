//! Telling: messages as JSON, each to its own number, one after the other.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use serde::Serialize;
use tokio::time::timeout;
use watertight_client::{Error, Event, HyperTransport, Transport};

/// A message must be taken within this time, or it is left.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// What is told.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Message {
    Event {
        event: EventMessage,
    },
    Comment {
        comment: String,
    },
    /// The text twice: the documents of the tests have it in `comment`, their code in `error`.
    Error {
        error: String,
        comment: String,
    },
}

#[derive(Serialize)]
pub(super) struct EventMessage {
    #[serde(rename = "type")]
    event_type: String,
    data: String,
    id: String,
}

impl Message {
    pub(super) fn event(event: Event) -> Self {
        let Event { id, event_type, data, .. } = event;
        Self::Event { event: EventMessage { event_type, data, id } }
    }

    pub(super) fn error(text: String) -> Self {
        Self::Error { error: text.clone(), comment: text }
    }
}

/// Where messages go, and the number of the last one.
pub(super) struct Callbacks {
    base: String,
    last: u64,
    transport: HyperTransport,
}

impl Callbacks {
    /// # Errors
    /// If the URL is none, for whoever sent it.
    pub(super) fn to(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("callbackUrl: {error}"))?;
        if uri.scheme().is_none() || uri.authority().is_none() {
            return Err("callbackUrl: it must be absolute".to_owned());
        }
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { base, last: 0, transport: HyperTransport::default() })
    }

    /// Posts one message, and returns once it was answered. One that cannot be delivered is left: the tests
    /// are gone then.
    pub(super) async fn post(&mut self, message: &Message) {
        self.last += 1;
        match timeout(CALLBACK_TIMEOUT, self.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("contract service: message {} of {}: {error}", self.last, self.base),
            Err(_) => eprintln!("contract service: message {} of {}: timed out", self.last, self.base),
        }
    }

    async fn send(&self, message: &Message) -> Result<(), Error> {
        let json = serde_json::to_vec(message).map_err(Error::Json)?;
        let mut request = Request::new(Bytes::from(json));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{}/{}", self.base, self.last).parse().map_err(Error::transport)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut body = self.transport.open(request).await?.into_body();
        while let Some(read) = poll_fn(|context| body.as_mut().poll_next(context)).await {
            read?;
        }
        Ok(())
    }
}
