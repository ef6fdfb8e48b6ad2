//! A reader: a stream or long-polls over some protocol, fast, slow or stopped, whose every word is checked.

use std::time::Instant;

use serde_json::Value;
use watertight_wire::Item;

use super::history::History;
use super::line::{Answer, Came, Line, Protocol, Request, Target};
use super::loss::Loss;
use super::model::Model;
use super::sequence::{Ask, Sequence};
use crate::{End, Gap, SseEvent, StreamDecoder};

/// Bytes that an eager reader takes at once.
const EAGER: usize = 64 * 1024;

/// How fast a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Whatever is there.
    Eager,
    /// So many bytes each time, through a small window.
    Slow(usize),
    /// Nothing.
    Stopped,
}

/// How events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Stream(Protocol),
    Poll(Protocol),
}

/// What is allowed in this run beside what always is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Streams end by their age.
    pub(super) has_max_age: bool,
    /// Memory is short: newcomers may be refused and laggards be closed.
    pub(super) is_short: bool,
}

#[derive(Debug)]
enum At {
    Away,
    Stream { line: Line, decoder: Box<StreamDecoder>, closing: Option<String> },
    Poll(Answer),
}

/// What a reader is told with while it reads.
pub(super) struct World<'w> {
    pub(super) model: &'w mut Model,
    pub(super) loss: &'w mut Loss,
    pub(super) terms: Terms,
    pub(super) now: Instant,
}

/// One reader.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) sequence: Sequence,
    pub(super) delivery: Delivery,
    pub(super) history: History,
    pace: Pace,
    /// It was slow at some time since it came: the hub may have ended it for that.
    was_slow: bool,
    /// It was told that its session ended: it may come as a newcomer, or with its old id.
    pub(super) was_ended: bool,
    at: At,
}

impl Reader {
    pub(super) fn new(session: &str, delivery: Delivery, pace: Pace) -> Reader {
        let mut history = History::default();
        history.say(format!("a reader of {session}: {delivery:?}, {pace:?}"));
        Reader {
            sequence: Sequence::new(session),
            delivery,
            history,
            pace,
            was_slow: false,
            was_ended: false,
            at: At::Away,
        }
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self.at, At::Away)
    }

    pub(super) fn paces(&mut self, pace: Pace) {
        if self.pace != pace {
            self.history.say(format!("reads on: {pace:?}"));
            self.was_slow |= pace != Pace::Eager;
            self.pace = pace;
        }
    }

    /// Comes, or comes back.
    pub(super) fn come(&mut self, to: &Target, ask: Ask, model: &Model) {
        let (protocol, accept, mut query) = match self.delivery {
            Delivery::Stream(protocol) => (protocol, "text/event-stream", vec![]),
            Delivery::Poll(protocol) => {
                (protocol, "application/json", vec!["wait=0.5".into(), "limit=60".into()])
            }
        };
        let mut header = None;
        match &ask {
            Ask::Live => {}
            Ask::All => query.push("replay=all".to_owned()),
            Ask::Last(count) => query.push(format!("replay={count}")),
            Ask::After(id) => header = Some(("last-event-id", id.clone())),
        }
        let path = format!("/sessions/{}/events?{}", self.sequence.session, query.join("&"));
        let mut request = Request::get(path.trim_end_matches('?').to_owned(), accept);
        request.headers.extend(header);
        self.history.say(format!("asks for {ask:?}"));
        self.was_slow = self.pace != Pace::Eager;
        self.was_ended = false;
        let is_small = matches!(self.pace, Pace::Slow(_));
        let Ok(line) = Line::open(to, protocol, &request, is_small, None) else {
            self.history.say("does not get through");
            return;
        };
        self.sequence.asks(ask, model);
        self.at = match self.delivery {
            Delivery::Poll(_) => At::Poll(Answer::over(line, "GET")),
            Delivery::Stream(_) => {
                let decoder =
                    if line.is_http2() { StreamDecoder::of_body() } else { StreamDecoder::default() };
                At::Stream { line, decoder: Box::new(decoder), closing: None }
            }
        };
    }

    /// Leaves, with a reset or by closing.
    pub(super) fn leave(&mut self, with_reset: bool) {
        self.history.say(if with_reset { "leaves with a reset" } else { "leaves" });
        self.sequence.gives_up();
        match std::mem::replace(&mut self.at, At::Away) {
            At::Away => {}
            At::Stream { line, .. } => line.leave(with_reset),
            At::Poll(answer) => answer.leave(with_reset),
        }
    }

    /// Reads what is there. Whether anything was.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&mut self, world: &mut World<'_>) -> Result<bool, String> {
        let max = match self.pace {
            Pace::Eager => EAGER,
            Pace::Slow(bytes) => bytes,
            Pace::Stopped => return Ok(false),
        };
        match std::mem::replace(&mut self.at, At::Away) {
            At::Away => Ok(false),
            At::Poll(mut answer) => match answer.read() {
                None => {
                    self.at = At::Poll(answer);
                    Ok(false)
                }
                Some(Ok((status, body))) => self.polled(status, &body, world).map(|()| true),
                Some(Err(error)) => {
                    self.lost(&format!("a poll without an answer: {error}"), world.terms).map(|()| true)
                }
            },
            At::Stream { mut line, mut decoder, mut closing } => match line.read(max) {
                Came::Nothing => {
                    self.at = At::Stream { line, decoder, closing };
                    Ok(false)
                }
                Came::Bytes(bytes) => {
                    self.take(&mut decoder, &bytes, &mut closing, world)?;
                    let status = line.status().or(decoder.head().map(|head| head.status));
                    if status.is_some_and(|status| status != 200) {
                        return self.refused(status, world.terms).map(|()| true);
                    }
                    if decoder.is_over() {
                        return self.ended(End::Complete, closing, world.terms).map(|()| true);
                    }
                    self.at = At::Stream { line, decoder, closing };
                    Ok(true)
                }
                Came::End(end) => {
                    if line.status().is_some_and(|status| status != 200) {
                        return self.refused(line.status(), world.terms).map(|()| true);
                    }
                    self.history.say(format!("the connection ends: {}", line.error()));
                    self.ended(end, closing, world.terms).map(|()| true)
                }
            },
        }
    }

    /// Bytes of a stream, or of a refusal.
    fn take(
        &mut self,
        decoder: &mut StreamDecoder,
        bytes: &[u8],
        closing: &mut Option<String>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // Byte by byte up to the opening's id: it is no item, and what follows may have one of its own.
            let some = if self.sequence.is_unanswered() { 1 } else { rest.len() };
            let mut events = Vec::new();
            decoder.feed(&rest[..some], &mut |item| {
                if let Item::Event { id, event_type, data } = item {
                    let (id, event_type, data) = (id.to_owned(), event_type.to_owned(), data.to_owned());
                    events.push(SseEvent { id, event_type, data });
                }
            });
            rest = &rest[some..];
            if decoder.head().is_some_and(|head| head.status != 200) {
                return Ok(());
            }
            if events.is_empty() && self.sequence.is_unanswered() && !decoder.last_event_id().is_empty() {
                let start = super::position::Position::parse(decoder.last_event_id())?;
                self.history.say(format!("opened at {start}"));
                self.sequence.starts(start, world.model)?;
            }
            for event in events {
                if closing.is_some() {
                    return Err(format!("after the closing event came {event:?}"));
                }
                if event.event_type == "error" {
                    *closing = Some(self.closed(&event.data, world)?);
                } else if event.event_type == "gap" {
                    self.gap(&Gap::of(&event), world)?;
                } else {
                    self.event(&event, world)?;
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &SseEvent, world: &mut World<'_>) -> Result<(), String> {
        if world.loss.loses() {
            self.history.say(format!("event {} is lost on purpose", event.id));
            return Ok(());
        }
        self.history.event(&event.id);
        self.sequence.event(&event.id, &event.event_type, &event.data, world.model)
    }

    fn gap(&mut self, gap: &Gap, world: &mut World<'_>) -> Result<(), String> {
        let Gap { from, to, missed, reason, .. } = gap;
        self.history.say(format!("gap from {from:?} to {to}, {missed:?} missed, {reason}"));
        self.sequence.gap(gap, world.model, world.now)
    }

    /// A closing event, or a poll's `end`. Its code.
    fn closed(&mut self, data: &str, world: &mut World<'_>) -> Result<String, String> {
        let json: Value =
            serde_json::from_str(data).map_err(|error| format!("a closing event: {error}: {data}"))?;
        let code = json["code"]
            .as_str()
            .ok_or_else(|| format!("a closing event without a code: {data}"))?
            .to_owned();
        self.history.say(format!("is told {code}"));
        world.model.note_told(&code);
        self.was_ended |= code == "SESSION_ENDED";
        let is_allowed = match code.as_str() {
            "SESSION_ENDED" => {
                self.sequence.session_ended(world.model)?;
                true
            }
            "SLOW_CONSUMER" => self.was_slow || world.terms.is_short,
            "OVERLOADED" => world.terms.is_short,
            "TIMEOUT" => world.terms.has_max_age,
            _ => false,
        };
        if is_allowed { Ok(code) } else { Err(format!("nothing gave a reason for {code}")) }
    }

    /// The end of a stream.
    fn ended(&mut self, end: End, closing: Option<String>, terms: Terms) -> Result<(), String> {
        match closing {
            // A body without chunks ends with its connection.
            Some(_) if end == End::Complete || self.delivery == Delivery::Stream(Protocol::Http10) => {
                self.history.say("the stream ends");
                self.sequence.gives_up();
                Ok(())
            }
            Some(code) => self.lost(&format!("after {code} the stream ended with {end:?}"), terms),
            None => self.lost(&format!("the stream ended with {end:?} and without a closing event"), terms),
        }
    }

    /// An end that only a slow reader may have, or one that is behind while memory is short.
    fn lost(&mut self, what: &str, terms: Terms) -> Result<(), String> {
        self.history.say(what);
        self.sequence.gives_up();
        if self.was_slow || terms.is_short {
            Ok(())
        } else {
            Err(format!("{what}, although its reader reads"))
        }
    }

    fn refused(&mut self, status: Option<u16>, terms: Terms) -> Result<(), String> {
        self.history.say(format!("is refused with {status:?}"));
        self.sequence.gives_up();
        if status == Some(503) && terms.is_short {
            Ok(())
        } else {
            Err(format!("a reader is refused with {status:?}"))
        }
    }

    /// The answer to a long-poll.
    fn polled(&mut self, status: u16, body: &[u8], world: &mut World<'_>) -> Result<(), String> {
        if status != 200 {
            return self.refused(Some(status), world.terms);
        }
        let answer: Value =
            serde_json::from_slice(body).map_err(|error| format!("a poll's answer: {error}"))?;
        let text = |value: &Value, key: &str| {
            value[key]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("a poll's answer has no {key}: {value}"))
        };
        if !answer["gap"].is_null() {
            let gap = &answer["gap"];
            let to = text(gap, "to")?;
            let gap = Gap {
                from: gap["from"].as_str().map(str::to_owned),
                id: to.clone(),
                to,
                missed: gap["missed"].as_u64(),
                reason: text(gap, "reason")?,
            };
            self.gap(&gap, world)?;
        }
        for event in answer["events"].as_array().ok_or("a poll's answer has no events")? {
            let (id, event_type, data) = (text(event, "id")?, text(event, "type")?, text(event, "data")?);
            self.event(&SseEvent { id, event_type, data }, world)?;
        }
        let next = text(&answer, "next")?;
        if self.sequence.is_unanswered() {
            self.sequence.starts(super::position::Position::parse(&next)?, world.model)?;
        } else if self.sequence.last().map(ToString::to_string) != Some(next.clone()) {
            return Err(format!("a poll goes on at {next}, and what it brought ends elsewhere"));
        }
        if !answer["end"].is_null() {
            self.closed(&answer["end"].to_string(), world)?;
        }
        Ok(())
    }
}
