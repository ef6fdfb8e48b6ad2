//! The publish of one event, answered at once: from the bytes of a request to those of its answer. What it decides is
//! what `events.rs` decides, in the same order; whatever would have to wait, or is unusual, is left to that.

use std::borrow::Cow;

use watertight::event::EventType;
use watertight::serve::WholeRequest;
use watertight::{Appended, Positions, PublishError, PublishOptions};
use watertight_access::Action;

use super::append::{key_in, reused};
use super::events::{Format, body_limits, expect_public, fingerprint, parse, path_of, session_in};
use super::query::Query;
use crate::access::Caller;
use crate::problem::{Problem, internal, unavailable};
use crate::publishing::body::too_large;
use crate::publishing::events::{Posted, is_array};
use crate::publishing::idempotency::Claim;
use crate::state::App;

/// Fields that change nothing about a publish. One with any other goes the general way, so that no field that is read
/// there is overlooked here.
const IDLE_FIELDS: [&str; 24] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "baggage",
    "cache-control",
    "dnt",
    "forwarded",
    "keep-alive",
    "pragma",
    "priority",
    "sec-fetch-mode",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "user-agent",
    "via",
    "x-correlation-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
];

/// A publish, as far as its head and the first byte of its body say.
pub(crate) struct Publish<'r> {
    session: Cow<'r, str>,
    content_type: &'r [u8],
    authorization: Option<&'r [u8]>,
    key: Option<&'r [u8]>,
    body: &'r [u8],
}

/// Where a publish stands.
pub(crate) struct Published {
    pub(crate) positions: Positions,
    /// What readers may have to be waited for; `None`: an earlier try has put it there.
    pub(crate) appended: Option<Appended>,
}

impl<'r> Publish<'r> {
    /// `None`: the request is something else, or more than one event.
    pub(crate) fn of(request: &WholeRequest<'r>) -> Option<Publish<'r>> {
        let session = session_in(request.target).filter(|_| request.method == "POST")?;
        let session = session.bytes().all(is_of_segment).then_some(session)?;
        let session = percent_encoding::percent_decode_str(session).decode_utf8().ok()?;
        let (mut content_type, mut authorization, mut key) = (None, None, None);
        for (name, value) in request.fields() {
            let place = if name.eq_ignore_ascii_case("content-type") {
                &mut content_type
            } else if name.eq_ignore_ascii_case("authorization") {
                &mut authorization
            } else if name.eq_ignore_ascii_case("idempotency-key") {
                &mut key
            } else if IDLE_FIELDS.iter().any(|idle| idle.eq_ignore_ascii_case(name)) {
                continue;
            } else {
                return None;
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(Publish { session, content_type: content_type?, authorization, key, body: request.body })
    }

    /// Publishes. `None`: not here, and nothing was done but that the user's publish was counted.
    pub(crate) fn answer(&self, app: &App) -> Option<Result<Published, Problem>> {
        let format = Format::of_value(self.content_type).ok()?;
        let is_one = match format {
            Format::Json => !is_array(self.body),
            Format::Text => true,
            Format::Ndjson => false,
        };
        let caller = Caller::at_once(app, self.authorization).filter(|_| is_one)?;
        caller.and_then(|caller| self.publish(app, &caller, format)).transpose()
    }

    /// `None`: an earlier try with its key is still under way.
    fn publish(&self, app: &App, caller: &Caller, format: Format) -> Result<Option<Published>, Problem> {
        expect_public(&self.session)?;
        caller.expect(Action::Publish, path_of(&self.session))?;
        caller.count_publish(app)?;
        let name = app.hub.name(&self.session).map_err(PublishError::from)?;
        let key = self.key.map(key_in).transpose()?;
        let limits = body_limits(app, &format);
        if self.body.len() > limits.max_bytes {
            return Err(too_large(limits));
        }
        let query = Query::default();
        let parsed = parse(app, self.body, format, &query, EventType::default())?;
        let Posted::One(event) = &parsed.posted else {
            return Err(internal("a body of one event was read as several"));
        };
        let claim = match key {
            None => None,
            Some(key) => {
                let fingerprint = fingerprint(app, format, &query, false, self.body);
                let claim = app.keys.claim(&name, key, fingerprint);
                match claim.map_err(|error| unavailable("OVERLOADED", error.to_string()))? {
                    Claim::First(claim) => Some(claim),
                    Claim::Known(positions) => return Ok(Some(Published { positions, appended: None })),
                    Claim::Reused => return Err(reused()),
                    Claim::Later(_) => return Ok(None),
                }
            }
        };
        let appended = app.hub.append_one(&name, event, PublishOptions::default())?;
        let positions = appended.positions();
        if let Some(claim) = claim {
            claim.settle(positions);
        }
        Ok(Some(Published { positions, appended: Some(appended) }))
    }
}

/// What a segment of a path is made of (RFC 3986, section 3.3).
fn is_of_segment(byte: u8) -> bool {
    const OF_SEGMENT: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = matches!(byte as u8,
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\''
                | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@');
            byte += 1;
        }
        table
    };
    OF_SEGMENT[usize::from(byte)]
}
