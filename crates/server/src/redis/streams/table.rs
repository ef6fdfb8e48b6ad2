//! Streams that are read, their feeds, and which server has them. Knows no connection: it says what is to be read, and is told
//! what came.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use watertight_core::{Owner, Permit};

use super::super::backoff::Backoff;
use super::super::ring::{Link, NotTaken, Notice, Ring, RingLimits};
use super::super::servers::Which;
use super::super::{CHANNEL_BYTES_MAX, CONNECTING, FEEDS_MAX, Shared, SubscribeError};
use super::entry_id::EntryId;
use super::position::{Position, StreamInfo, Verdict};
use super::{StreamEntry, StreamStart};

/// How much one reader may leave waiting. More stays at Redis.
const RING: RingLimits = RingLimits { messages_max: 1_024, bytes_max: 4 << 20 };
/// What a feed costs beside its entries and names, bytes.
const FEED_BYTES: usize = 768;
/// How many entries are asked for at once.
pub(super) const READ_COUNT: u64 = 100;
/// With how many of the last entries a feed may begin.
const LAST_MAX: usize = 10_000;
/// How often a quiet stream is looked at: one that was deleted and made anew with lower ids wakes nobody.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many quiet streams are looked at in one round.
const LOOKS_AT_ONCE: usize = 64;
/// How long a feed is not read for which the hub had no memory.
const NO_MEMORY_PAUSE: Duration = Duration::from_millis(250);
/// How soon and how rarely a stream that Redis refuses is asked for again.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

pub(in super::super) type FeedId = u64;

/// A new feed: its stream, its number in it and what waits for it.
pub(in super::super) type Joined = (Arc<str>, FeedId, Arc<Ring<StreamEntry>>);

/// A stream, and the entry after which something new is waited for.
pub(in super::super) type Wait = (Arc<str>, EntryId);

/// The streams. The feeds, the dispatcher and the readers share it.
pub(in super::super) struct Table {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// A stream has no server yet.
    pub(in super::super) changed: Notify,
}

#[derive(Default)]
struct State {
    streams: HashMap<Arc<str>, Stream>,
    /// Servers that have a reader, and what wakes it.
    readers: HashMap<Which, Arc<Notify>>,
    feeds: usize,
    next_id: FeedId,
}

struct Stream {
    feeds: Vec<Feed>,
    /// The server that has it, once that is known.
    server: Option<Which>,
    /// It is to be read now.
    is_ready: bool,
    looked: Instant,
    /// Redis refuses it: when it is asked for again.
    refused: Option<(Backoff, Instant)>,
    /// What newcomers are told until something is known.
    why: Arc<str>,
}

struct Feed {
    id: FeedId,
    ring: Arc<Ring<StreamEntry>>,
    stand: Stand,
    /// What it was told last.
    told: Option<Link>,
    /// There was no memory for it: it is read again after that.
    paused_until: Option<Instant>,
    /// It takes part in the answer that is being read.
    takes_part: bool,
    _permit: Permit,
}

/// Where a feed stands.
enum Stand {
    /// It is to be found out: before so many of the last entries.
    BeforeLast(usize),
    At(Position),
}

/// What is to be asked about one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Job {
    pub(in super::super) key: Arc<str>,
    pub(in super::super) work: Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Work {
    /// Where the last so many entries begin.
    FindLast(usize),
    /// What comes after this.
    ReadAfter(EntryId),
}

impl Table {
    pub(in super::super) fn new(shared: &Arc<Shared>) -> Arc<Table> {
        let (shared, state) = (Arc::clone(shared), Mutex::default());
        Arc::new(Table { shared, state, changed: Notify::new() })
    }

    /// A feed more.
    pub(in super::super) fn join(&self, key: &str, from: StreamStart) -> Result<Joined, SubscribeError> {
        if key.is_empty() || key.len() > CHANNEL_BYTES_MAX {
            return Err(SubscribeError::Name);
        }
        let mut state = self.state.lock();
        if state.feeds >= FEEDS_MAX {
            return Err(SubscribeError::TooMany);
        }
        let budget = &self.shared.budget;
        let permit = budget.try_charge(Owner::Sources, FEED_BYTES + 2 * key.len())?;
        let id = state.next_id;
        state.next_id += 1;
        state.feeds += 1;
        let key = state.streams.get_key_value(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key));
        let stream = state.streams.entry(Arc::clone(&key)).or_insert_with(Stream::new);
        let ring = Ring::new(RING, budget);
        let stand = match from {
            StreamStart::Last(count) => Stand::BeforeLast(count.min(LAST_MAX)),
            StreamStart::Tail => Stand::BeforeLast(0),
            StreamStart::After(id) => Stand::At(Position::after(id)),
        };
        let mut feed = Feed {
            id,
            ring: Arc::clone(&ring),
            stand,
            told: None,
            paused_until: None,
            takes_part: false,
            _permit: permit,
        };
        feed.tell(Link::Waiting(Arc::clone(&stream.why)));
        stream.feeds.push(feed);
        stream.is_ready = true;
        let server = stream.server.clone();
        state.wake(server.as_ref());
        drop(state);
        self.changed.notify_one();
        Ok((key, id, ring))
    }

    /// A feed less.
    pub(in super::super) fn leave(&self, key: &Arc<str>, id: FeedId) {
        let mut state = self.state.lock();
        state.feeds -= 1;
        let Some(stream) = state.streams.get_mut(key) else { return };
        stream.feeds.retain(|feed| feed.id != id);
        if !stream.feeds.is_empty() {
            return;
        }
        let server = stream.server.take();
        state.streams.remove(key);
        let (len, capacity) = (state.streams.len(), state.streams.capacity());
        if capacity > 64 && capacity > 4 * len {
            state.streams.shrink_to(2 * len);
        }
        state.wake(server.as_ref());
    }

    /// A feed took what waited for it.
    pub(in super::super) fn has_room(&self, key: &Arc<str>) {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(key) else { return };
        stream.is_ready = true;
        let server = stream.server.clone();
        state.wake(server.as_ref());
    }

    /// A stream of which it is not known who has it.
    pub(in super::super) fn without_server(&self) -> Option<Arc<str>> {
        let state = self.state.lock();
        let mut streams = state.streams.iter();
        streams.find(|(_, stream)| stream.server.is_none()).map(|(key, _)| Arc::clone(key))
    }

    /// This server has it. Its reader's wake-up call, if it has none yet and needs to be started.
    pub(in super::super) fn assign(&self, key: &Arc<str>, server: &Which) -> Option<Arc<Notify>> {
        let mut state = self.state.lock();
        let stream = state.streams.get_mut(key)?;
        stream.server = Some(server.clone());
        stream.is_ready = true;
        if let Some(reader) = state.readers.get(server) {
            reader.notify_one();
            return None;
        }
        let wake = Arc::new(Notify::new());
        state.readers.insert(server.clone(), Arc::clone(&wake));
        Some(wake)
    }

    /// The stream is at another server.
    pub(in super::super) fn unassign(&self, key: &Arc<str>) {
        if let Some(stream) = self.state.lock().streams.get_mut(key) {
            stream.server = None;
        }
        self.changed.notify_one();
    }

    /// A reader ends, unless there is something to be read by it.
    pub(in super::super) fn may_end(&self, server: &Which) -> bool {
        let mut state = self.state.lock();
        let is_wanted = state.streams.values().any(|stream| stream.server.as_ref() == Some(server));
        if !is_wanted {
            state.readers.remove(server);
        }
        !is_wanted
    }

    /// The streams of a server.
    pub(in super::super) fn of(&self, server: &Which) -> Vec<Arc<str>> {
        let state = self.state.lock();
        let of_it = state.streams.iter().filter(|(_, stream)| stream.server.as_ref() == Some(server));
        of_it.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// There is no connection to the server of these.
    pub(in super::super) fn lost(&self, server: &Which, why: &Arc<str>) {
        let mut state = self.state.lock();
        for stream in state.streams.values_mut().filter(|stream| stream.server.as_ref() == Some(server)) {
            stream.wait(why);
            stream.is_ready = true;
        }
    }

    /// Nothing can be said about the server of this one.
    pub(in super::super) fn no_server(&self, why: &Arc<str>) {
        let mut state = self.state.lock();
        state
            .streams
            .values_mut()
            .filter(|stream| stream.server.is_none())
            .for_each(|stream| stream.wait(why));
    }

    /// Redis refuses this one.
    pub(in super::super) fn refused(&self, key: &str, why: &Arc<str>) -> bool {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(key) else { return false };
        let is_news = stream.why != *why;
        let mut backoff = match stream.refused.take() {
            Some((backoff, _)) => backoff,
            None => Backoff::new(REFUSED.0, REFUSED.1),
        };
        let again = Instant::now() + backoff.next_at_least_half();
        stream.refused = Some((backoff, again));
        stream.wait(why);
        is_news
    }

    /// What is to be asked now, at most so much. It counts as asked.
    pub(in super::super) fn jobs(&self, server: &Which, most: usize) -> Vec<Job> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let of_it = state.streams.iter_mut().filter(|(_, stream)| stream.server.as_ref() == Some(server));
        let jobs = of_it.filter_map(|(key, stream)| {
            let is_due = match &stream.refused {
                Some((_, again)) => *again <= now,
                None => stream.is_ready,
            };
            let work = is_due.then(|| stream.work(now))??;
            stream.is_ready = false;
            Some(Job { key: Arc::clone(key), work })
        });
        jobs.take(most).collect()
    }

    /// After which entries of which streams something new is waited for.
    pub(in super::super) fn waits(&self, server: &Which) -> Vec<Wait> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let of_it = state.streams.iter_mut().filter(|(_, stream)| stream.server.as_ref() == Some(server));
        let mut looks = 0;
        let waits = of_it.filter(|(_, stream)| stream.refused.is_none()).filter_map(|(key, stream)| {
            if looks < LOOKS_AT_ONCE && now.duration_since(stream.looked) >= LOOK_EVERY {
                looks += 1;
                stream.is_ready = true;
            }
            let with_room = stream.feeds.iter().filter(|feed| feed.has_room(now));
            let after = with_room.filter_map(|feed| match &feed.stand {
                Stand::At(position) => Some(position.waits_after()),
                Stand::BeforeLast(_) => None,
            });
            Some((Arc::clone(key), after.min()?))
        });
        waits.collect()
    }

    /// There is something new in it.
    pub(in super::super) fn ready(&self, key: &str) {
        if let Some(stream) = self.state.lock().streams.get_mut(key) {
            stream.is_ready = true;
        }
    }

    /// Where its last entries begin: how many were found, and the first of them.
    pub(in super::super) fn found_last(
        &self,
        key: &str,
        asked: usize,
        info: Option<&StreamInfo>,
        found: Option<(u64, EntryId)>,
    ) {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(key) else { return };
        stream.works();
        for feed in &mut stream.feeds {
            let Stand::BeforeLast(count) = feed.stand else { continue };
            // Another one may have come since, which wants more or less.
            if count != asked {
                continue;
            }
            feed.stand = Stand::At(match (info, found) {
                (None, _) => Position::START,
                (Some(info), Some((found, first))) if count > 0 => Position::before(first, found, info),
                (Some(info), _) => Position::end(info),
            });
            feed.tell(Link::Reading { interrupted: false });
        }
        stream.is_ready = true;
    }

    /// What is known about a stream whose entries after `after` follow. `None`: it is not there.
    pub(in super::super) fn begin(&self, key: &str, after: EntryId, info: Option<&StreamInfo>) {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(key) else { return };
        stream.works();
        for feed in &mut stream.feeds {
            let Stand::At(position) = &mut feed.stand else { continue };
            let Some(info) = info else {
                position.gone();
                feed.tell(Link::Reading { interrupted: false });
                continue;
            };
            let notice = match position.look(info) {
                Verdict::Whole => None,
                Verdict::Trimmed(count) => Some(Notice::missing(count)),
                Verdict::Anew => Some(Notice::missing(None)),
            };
            // Whoever stands before it did not ask for this: entries in between would be left out.
            feed.takes_part = position.after >= after;
            // What is missing comes first, however soon the feed takes it.
            if let Some(notice) = notice {
                feed.ring.tell(notice);
            }
            feed.tell(Link::Reading { interrupted: false });
        }
    }

    /// One of the entries.
    pub(in super::super) fn entry(&self, key: &str, entry: &StreamEntry, bytes: usize) {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(key) else { return };
        for feed in stream.feeds.iter_mut().filter(|feed| feed.takes_part) {
            let Stand::At(position) = &mut feed.stand else { continue };
            if entry.id <= position.after {
                continue;
            }
            match feed.ring.push_if_room(entry.clone(), bytes) {
                Ok(()) => position.given(entry.id),
                // It is read again from here when there is room.
                Err(NotTaken::Full) => feed.takes_part = false,
                Err(NotTaken::NoMemory) => {
                    feed.takes_part = false;
                    feed.paused_until = Some(Instant::now() + NO_MEMORY_PAUSE);
                }
            }
        }
    }

    /// That were all of this answer: so many.
    pub(in super::super) fn end(&self, key: &str, info: Option<&StreamInfo>, count: u64) {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(key) else { return };
        let (now, has_more) = (Instant::now(), count >= READ_COUNT);
        for feed in &mut stream.feeds {
            let took_part = std::mem::take(&mut feed.takes_part);
            let feed_has_room = feed.has_room(now);
            match (&mut feed.stand, info) {
                (Stand::At(position), Some(info)) if took_part => position.settled(info),
                // It began anew, or came meanwhile, and has what follows still before it.
                (Stand::At(position), Some(info)) if feed_has_room && position.after < info.last => {
                    stream.is_ready = true;
                }
                (Stand::BeforeLast(_), _) => stream.is_ready = true,
                _ => {}
            }
        }
        stream.is_ready |= has_more;
    }
}

impl Stream {
    fn new() -> Stream {
        Stream {
            feeds: Vec::new(),
            server: None,
            is_ready: true,
            looked: Instant::now(),
            refused: None,
            why: CONNECTING.into(),
        }
    }

    /// The next thing to ask, if any of its feeds needs it.
    fn work(&self, now: Instant) -> Option<Work> {
        let find = self.feeds.iter().find_map(|feed| match feed.stand {
            Stand::BeforeLast(count) => Some(Work::FindLast(count)),
            Stand::At(_) => None,
        });
        find.or_else(|| {
            let with_room = self.feeds.iter().filter(|feed| feed.has_room(now));
            let after = with_room.filter_map(|feed| match &feed.stand {
                Stand::At(position) => Some(position.after),
                Stand::BeforeLast(_) => None,
            });
            after.min().map(Work::ReadAfter)
        })
    }

    /// It is being read.
    fn works(&mut self) {
        self.refused = None;
        self.looked = Instant::now();
        self.why = CONNECTING.into();
    }

    fn wait(&mut self, why: &Arc<str>) {
        self.why = Arc::clone(why);
        self.feeds.iter_mut().for_each(|feed| feed.tell(Link::Waiting(Arc::clone(why))));
    }
}

impl Feed {
    /// Whether it may be read for it.
    fn has_room(&self, now: Instant) -> bool {
        self.paused_until.is_none_or(|until| until <= now) && self.ring.may_be_filled()
    }

    /// Tells it how its connection stands, if that is news.
    fn tell(&mut self, link: Link) {
        if self.told.as_ref() != Some(&link) {
            self.ring.tell(Notice::link(link.clone()));
            self.told = Some(link);
        }
    }
}

impl State {
    fn wake(&self, server: Option<&Which>) {
        if let Some(reader) = server.and_then(|server| self.readers.get(server)) {
            reader.notify_one();
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let mut f = f.debug_struct("Table");
        f.field("streams", &state.streams.len()).field("feeds", &state.feeds).finish()
    }
}
