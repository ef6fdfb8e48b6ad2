//! From a body to events: JSON (one or an array), NDJSON, plain text. Charged while they are held.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use watertight::event::EventType;
use watertight::{Event, Hub};
use watertight_core::{Owner, Permit};

use crate::problem::{Problem, unavailable};

/// A TTL above this is no TTL: a hundred years, in seconds.
const TTL_SECONDS_MAX: f64 = 100.0 * 365.0 * 86_400.0;

/// The shortest event that a body can hold, bytes: `{"data":1}`.
const SHORTEST_EVENT: usize = 10;
/// What an event costs beside its text while it is parsed and held: twice in a vector that may be half empty, and
/// the allocations of its type and its data.
const EVENT_BYTES: usize = 2 * (size_of::<JsonEvent<'_>>() + size_of::<Event>()) + 2 * 16;

/// The events of a body, and their charge.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) posted: Posted,
    _charged: Permit,
}

impl Parsed {
    /// Charges what up to `max_events` of a body of `bytes` can come to, parses them, and gives back what they do
    /// not need.
    pub(crate) fn charged(
        hub: &Hub,
        bytes: usize,
        max_events: usize,
        parse: impl FnOnce() -> Result<Posted, Problem>,
    ) -> Result<Parsed, Problem> {
        let charged = hub.charge(Owner::Requests, bytes + max_events * EVENT_BYTES);
        let mut charged = charged.map_err(|error| unavailable("OVERLOADED", error.to_string()))?;
        let posted = parse()?;
        let text = |event: &Event| event.data.len() + event.event_type.as_str().len();
        let held: usize = posted.events().iter().map(|event| EVENT_BYTES + text(event)).sum();
        drop(charged.split(charged.bytes().saturating_sub(held)));
        Ok(Parsed { posted, _charged: charged })
    }
}

/// How many events a body of `bytes` can hold.
pub(crate) fn most_events(bytes: usize) -> usize {
    bytes / SHORTEST_EVENT + 1
}

/// Whether a JSON body is an array of events.
pub(crate) fn is_array(bytes: &[u8]) -> bool {
    unmarked(bytes).iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// What a body held.
#[derive(Debug)]
pub(crate) enum Posted {
    /// One event: answered with its id.
    One(Event),
    /// Several: answered with their ids.
    Many(Vec<Event>),
}

impl Posted {
    pub(crate) fn events(&self) -> &[Event] {
        match self {
            Posted::One(event) => std::slice::from_ref(event),
            Posted::Many(events) => events,
        }
    }
}

/// An event as JSON. `data` may be any JSON and is carried as its text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEvent<'a> {
    #[serde(rename = "type", borrow, default)]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    ttl: Option<f64>,
}

/// Takes an object and nothing else: serde alone would also take an array of the fields' values.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// The end of a session as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEnd<'a> {
    #[serde(borrow, default)]
    event: Option<Object<JsonEvent<'a>>>,
    #[serde(default)]
    keep: Option<f64>,
}

/// The end of a session as it was posted, and its charge.
#[derive(Debug, Default)]
pub(crate) struct PostedEnd {
    pub(crate) event: Option<Event>,
    /// Seconds; not checked.
    pub(crate) keep: Option<f64>,
    _charged: Option<Permit>,
}

impl PostedEnd {
    /// Charges what a body can come to, and parses it.
    pub(crate) fn charged(hub: &Hub, bytes: &[u8]) -> Result<PostedEnd, Problem> {
        let charged = hub.charge(Owner::Requests, bytes.len() + EVENT_BYTES);
        let charged = charged.map_err(|error| unavailable("OVERLOADED", error.to_string()))?;
        let Object(JsonEnd { event, keep }) = serde_json::from_slice(bytes).map_err(|error| {
            malformed_as("an end is {\"event\"?: {\"type\"?, \"data\", \"ttl\"?}, \"keep\"?}", error)
        })?;
        let event = event.map(|Object(event)| event.into_event()).transpose()?;
        Ok(PostedEnd { event, keep, _charged: Some(charged) })
    }
}

impl JsonEvent<'_> {
    fn into_event(self) -> Result<Event, Problem> {
        let event = Event::of_type(event_type(self.event_type.as_deref())?, self.data.get());
        Ok(match self.ttl {
            Some(seconds) => event.with_ttl(ttl(seconds)?),
            None => event,
        })
    }
}

/// A type as a publisher names it; none is `message`.
pub(crate) fn event_type(text: Option<&str>) -> Result<EventType, Problem> {
    EventType::new(text.unwrap_or_default())
        .map_err(|error| Problem::bad_request("INVALID_EVENT_TYPE", error.to_string()))
}

/// A time to live in seconds.
pub(crate) fn ttl(seconds: f64) -> Result<Duration, Problem> {
    if seconds > 0.0 && seconds <= TTL_SECONDS_MAX {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Problem::bad_request("INVALID_TTL", "ttl is a number of seconds above zero"))
}

/// What some programs write before a text in UTF-8, and what is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text without the mark that it may begin with.
fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// `application/json`: one event, or an array of at most `max_events`.
pub(crate) fn from_json(bytes: &[u8], max_events: usize) -> Result<Posted, Problem> {
    let bytes = unmarked(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    if !is_array(bytes) {
        let Object(event) = Object::<JsonEvent<'_>>::deserialize(&mut reader).map_err(malformed)?;
        reader.end().map_err(malformed)?;
        return Ok(Posted::One(event.into_event()?));
    }
    let events = AtMost(max_events).deserialize(&mut reader).map_err(|error| {
        if error.to_string().starts_with(TOO_MANY) { too_many(max_events) } else { malformed(error) }
    })?;
    reader.end().map_err(malformed)?;
    let events = events.into_iter().enumerate();
    let events = events.map(|(index, event)| event.into_event().map_err(|problem| problem.at(index)));
    Ok(Posted::Many(events.collect::<Result<_, _>>()?))
}

/// What stands between the line feeds of a body, without the mark that it may begin with.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = unmarked(bytes);
    let ends = memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]);
    ends.scan(0, |start, end| Some(&bytes[std::mem::replace(start, end + 1)..end]))
}

/// `application/x-ndjson`: one event per line; empty lines are passed over.
pub(crate) fn from_ndjson(bytes: &[u8], max_events: usize) -> Result<Posted, Problem> {
    let mut events = Vec::new();
    for line in lines(bytes).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let index = events.len();
        if index == max_events {
            return Err(too_many(max_events));
        }
        let Object::<JsonEvent<'_>>(event) =
            serde_json::from_slice(line).map_err(|error| malformed(error).at(index))?;
        events.push(event.into_event().map_err(|problem| problem.at(index))?);
    }
    Ok(Posted::Many(events))
}

/// `text/plain`: the body is the data.
pub(crate) fn from_text(bytes: &[u8], event_type: EventType) -> Result<Posted, Problem> {
    let text = str::from_utf8(bytes)
        .map_err(|error| Problem::bad_request("MALFORMED_BODY", format!("the text is not UTF-8: {error}")))?;
    Ok(Posted::One(Event::of_type(event_type, text)))
}

fn malformed(error: serde_json::Error) -> Problem {
    malformed_as("an event is {\"type\"?, \"data\", \"ttl\"?}", error)
}

fn malformed_as(expected: &str, error: serde_json::Error) -> Problem {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => Problem::bad_request("MALFORMED_BODY", format!("{expected}: {error}")),
        _ => Problem::bad_request("MALFORMED_JSON", error.to_string()),
    }
}

pub(crate) fn too_many(max_events: usize) -> Problem {
    Problem::too_large("TOO_MANY_EVENTS", format!("at most {max_events} events are taken at once"))
}

const TOO_MANY: &str = "too many events";

/// Reads an array and stops at the limit, before the rest is held.
struct AtMost(usize);

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = Vec<JsonEvent<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost {
    type Value = Vec<JsonEvent<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {} events", self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(Object(event)) = sequence.next_element()? {
            if events.len() == self.0 {
                return Err(A::Error::custom(TOO_MANY));
            }
            events.push(event);
        }
        Ok(events)
    }
}
