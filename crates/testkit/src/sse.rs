//! The events of one stream, one by one, each with a deadline.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use serde_json::Value;
use watertight_wire::Item;

use crate::PATIENCE;
use crate::decode::{Head, StreamDecoder};
use crate::raw::{ConnectOptions, RawConnection};
use crate::transport::Endpoint;

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The last id in force.
    pub id: String,
    /// `message` if it named none.
    pub event_type: String,
    /// Lines divided by LF.
    pub data: String,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By its last chunk: the server meant it.
    Complete,
    /// The connection was closed in the middle of the body (a body without chunks always ends so).
    Closed,
    /// The connection was reset.
    Reset,
}

/// What a stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SseItem {
    /// An event.
    Event(SseEvent),
    /// A comment; a heartbeat is an empty one.
    Comment(String),
    /// `retry:`, milliseconds.
    Retry(u64),
    /// The end, once and for all.
    End(End),
}

/// The data of a `gap` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// First missing event.
    pub from: Option<String>,
    /// Last missing event.
    pub to: String,
    /// How many are missing.
    pub missed: Option<u64>,
    /// Why.
    pub reason: String,
    /// The id of the `gap` event itself.
    pub id: String,
}

/// The `error` event before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosingEvent {
    /// For people.
    pub error: String,
    /// The stable code.
    pub code: String,
    /// `retry:` that came with it, milliseconds.
    pub retry: Option<u64>,
}

/// Reads one stream.
#[derive(Debug)]
pub struct SseReader {
    connection: RawConnection,
    decoder: StreamDecoder,
    items: VecDeque<SseItem>,
    end: Option<End>,
    last_event_id: String,
    /// The last `retry:` that came, milliseconds; at first that of the opening.
    pub retry: Option<u64>,
}

impl SseReader {
    /// Opens the stream at `path` and waits for its head and its opening block.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn open(to: impl Into<Endpoint>, path: &str, headers: &[(&str, &str)]) -> SseReader {
        SseReader::open_with(to, path, headers, &ConnectOptions::default()).expect("a stream")
    }

    /// The same with options for the socket.
    ///
    /// # Errors
    /// What the connection met before the head was there; `ConnectionRefused` when the head is no 200 with
    /// `text/event-stream`.
    ///
    /// # Panics
    /// When the head does not come within [`PATIENCE`].
    pub fn open_with(
        to: impl Into<Endpoint>,
        path: &str,
        headers: &[(&str, &str)],
        options: &ConnectOptions,
    ) -> io::Result<SseReader> {
        let mut connection = RawConnection::connect_with(to, options)?;
        connection.send_get(path, headers);
        SseReader::over(connection)
    }

    /// The same on a hub that is about full: connections of a moment ago may be just going.
    ///
    /// # Panics
    /// When there is no room within [`PATIENCE`].
    #[must_use]
    pub fn open_when_there_is_room(
        to: impl Into<Endpoint>,
        path: &str,
        options: &ConnectOptions,
    ) -> SseReader {
        let to = to.into();
        let open = || match SseReader::open_with(&to, path, &[], options) {
            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => Err(refused.to_string()),
            other => Ok(other.expect("a stream")),
        };
        crate::eventually::wait_until("room for a stream", PATIENCE, open, Result::is_ok).expect("it is open")
    }

    /// Reads the stream of a request that was sent on `connection`.
    ///
    /// # Errors
    /// What the connection met before the head was there.
    ///
    /// # Panics
    /// As [`SseReader::open_with`].
    pub fn over(connection: RawConnection) -> io::Result<SseReader> {
        let decoder = StreamDecoder::default();
        let mut reader = SseReader {
            connection,
            decoder,
            items: VecDeque::new(),
            end: None,
            last_event_id: String::new(),
            retry: None,
        };
        let deadline = Instant::now() + PATIENCE;
        reader.take_opening(deadline)?;
        Ok(reader)
    }

    /// A comment, `retry:` and an id: what every stream begins with.
    fn take_opening(&mut self, deadline: Instant) -> io::Result<()> {
        while self.last_event_id.is_empty() {
            let bytes = self.connection.read_some(deadline)?;
            if bytes.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed in the opening"));
            }
            if let Err(refused) = self.take(&bytes) {
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, refused));
            }
        }
        let opening: Vec<_> = self.items.drain(..2).collect();
        let [SseItem::Comment(_), SseItem::Retry(retry)] = opening[..] else {
            panic!("the stream begins with {opening:?}")
        };
        self.retry = Some(retry);
        Ok(())
    }

    /// The response's head.
    ///
    /// # Panics
    /// Never: a reader exists once the head is there.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.decoder.head().unwrap()
    }

    /// The id that a client coming back would send: that of the last event that was taken from this reader
    /// (more may have been read ahead), at first that of the opening.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The socket underneath.
    pub fn connection(&mut self) -> &mut RawConnection {
        &mut self.connection
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        self.connection.reset();
    }

    /// What comes next, or `None` after `within`. Repeats the end once it has come.
    pub fn try_next(&mut self, within: Duration) -> Option<SseItem> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(item) = self.items.pop_front() {
                match &item {
                    SseItem::Retry(ms) => self.retry = Some(*ms),
                    SseItem::Event(event) => self.last_event_id.clone_from(&event.id),
                    SseItem::Comment(_) | SseItem::End(_) => {}
                }
                return Some(item);
            }
            if let Some(end) = self.end {
                return Some(SseItem::End(end));
            }
            match self.connection.read_some(deadline) {
                Ok(bytes) if bytes.is_empty() => self.end = Some(End::Closed),
                Ok(bytes) => self.take(&bytes).expect("it was a stream"),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return None,
                Err(_) => self.end = Some(End::Reset),
            }
        }
    }

    /// What comes next.
    ///
    /// # Panics
    /// When nothing comes within [`PATIENCE`].
    pub fn next_item(&mut self) -> SseItem {
        self.try_next(PATIENCE).expect("something comes on the stream")
    }

    /// The next event; comments and `retry:` are passed over.
    ///
    /// # Panics
    /// When the stream ends, or none comes within [`PATIENCE`].
    pub fn next_event(&mut self) -> SseEvent {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.try_next(left) {
                Some(SseItem::Event(event)) => return event,
                Some(SseItem::End(end)) => panic!("the stream ended ({end:?}) where an event was expected"),
                Some(_) => {}
                None => panic!("no event within {PATIENCE:?}"),
            }
        }
    }

    /// The data of the next `count` events.
    pub fn next_data(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next_event().data).collect()
    }

    /// Events up to the end, gaps and the closing event among them, and how it ended.
    pub fn rest(&mut self) -> (Vec<SseEvent>, End) {
        let mut events = Vec::new();
        loop {
            match self.next_item() {
                SseItem::Event(event) => events.push(event),
                SseItem::End(end) => return (events, end),
                SseItem::Comment(_) | SseItem::Retry(_) => {}
            }
        }
    }

    /// Asserts that the next event is a `gap`, and returns it.
    ///
    /// # Panics
    /// When it is not.
    pub fn expect_gap(&mut self) -> Gap {
        Gap::of(&self.next_event())
    }

    /// Asserts that the stream gets a closing event with `code` and then ends by its last chunk, and returns it.
    ///
    /// # Panics
    /// When it does otherwise.
    pub fn expect_closing_event(&mut self, code: &str) -> ClosingEvent {
        self.retry = None;
        let event = self.next_event();
        assert_eq!(event.event_type, "error", "{event:?}");
        let data: Value = serde_json::from_str(&event.data).expect("a closing event is JSON");
        let text = |key: &str| data[key].as_str().expect("a text").to_owned();
        let (error, said) = (text("error"), text("code"));
        assert_eq!(said, code, "{event:?}");
        let end = loop {
            match self.next_item() {
                SseItem::End(end) => break end,
                SseItem::Event(event) => panic!("an event after the closing event: {event:?}"),
                SseItem::Comment(_) | SseItem::Retry(_) => {}
            }
        };
        assert_eq!(end, End::Complete, "after the closing event the body ends");
        ClosingEvent { error, code: said, retry: self.retry }
    }

    /// Asserts that the stream is open and silent for `time`, heartbeats aside.
    ///
    /// # Panics
    /// When something comes.
    pub fn expect_silence(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            match self.try_next(until.saturating_duration_since(Instant::now())) {
                None => return,
                Some(SseItem::Comment(_) | SseItem::Retry(_)) => {}
                Some(item) => panic!("silence was expected, this came: {item:?}"),
            }
        }
    }

    /// Takes bytes that came. `Err`: the answer is no stream.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        // Byte by byte up to the opening's id: it is no item, and what follows may have one of its own.
        while self.last_event_id.is_empty() && !bytes.is_empty() {
            self.feed(&bytes[..1])?;
            bytes = &bytes[1..];
            self.last_event_id.push_str(self.decoder.last_event_id());
        }
        self.feed(bytes)
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let items = &mut self.items;
        self.decoder.feed(bytes, &mut |item| items.push_back(SseItem::of(item)));
        if let Some(head) = self.decoder.head() {
            let is_stream = head.header("content-type") == Some("text/event-stream");
            if head.status != 200 || !is_stream {
                return Err(format!("no stream: {head:?}"));
            }
        }
        assert_eq!(self.decoder.surplus, 0, "bytes after the last chunk");
        if self.decoder.is_over() {
            self.end = Some(End::Complete);
        }
        Ok(())
    }
}

impl SseItem {
    fn of(item: Item<'_>) -> SseItem {
        match item {
            Item::Event { id, event_type, data } => SseItem::Event(SseEvent {
                id: id.to_owned(),
                event_type: event_type.to_owned(),
                data: data.to_owned(),
            }),
            Item::Comment(text) => SseItem::Comment(text.to_owned()),
            Item::Retry(ms) => SseItem::Retry(ms),
        }
    }
}

impl Gap {
    /// The gap that an event tells of.
    ///
    /// # Panics
    /// When it tells of none, or not in the promised form.
    #[must_use]
    pub fn of(event: &SseEvent) -> Gap {
        assert_eq!(event.event_type, "gap", "{event:?}");
        let data: Value = serde_json::from_str(&event.data).expect("a gap is JSON");
        let keys: Vec<&str> = data.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["from", "missed", "reason", "to"], "{event:?}");
        Gap {
            from: data["from"].as_str().map(str::to_owned),
            to: data["to"].as_str().expect("to").to_owned(),
            missed: data["missed"].as_u64(),
            reason: data["reason"].as_str().expect("reason").to_owned(),
            id: event.id.clone(),
        }
    }
}
