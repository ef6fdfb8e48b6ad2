//! Which channels are wanted, which are held at Redis, and who gets their messages. Knows no connection: it says what is to be
//! sent, and is told what came.
//!
//! A channel has one command under way at most. Whatever changes meanwhile is looked at again when its answer has come: so a
//! feed that comes while UNSUBSCRIBE is under way is subscribed after it, and never in between.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use watertight_core::{Entry, Kind, Owner, Permit};

use super::super::backoff::Backoff;
use super::super::payload::Payload;
use super::super::ring::{Link, Notice, Ring, RingLimits};
use super::super::{CHANNEL_BYTES_MAX, FEEDS_MAX, Shared, SubscribeError};

/// How much of a channel one reader may leave waiting: some seconds of a fast log.
const RING: RingLimits = RingLimits { messages_max: 4_096, bytes_max: 4 << 20 };
/// What a feed costs beside its messages and names, bytes.
const FEED_BYTES: usize = 512;
/// How soon and how rarely a channel that Redis refuses is asked for again.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

pub(in super::super) type FeedId = u64;

/// A new feed: its channel, its number in it and what waits for it.
pub(in super::super) type Joined = (Arc<str>, FeedId, Arc<Ring<Payload>>);

/// The channels. The feeds and the subscriber share it.
pub(in super::super) struct Table {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// There is something to be sent, or a first feed.
    pub(in super::super) changed: Notify,
}

struct State {
    channels: HashMap<Arc<str>, Channel>,
    /// Channels that are to be looked at; each stands here once at most.
    unsettled: VecDeque<Arc<str>>,
    /// Why there is no connection; `None`: there is one.
    down: Option<Arc<str>>,
    feeds: usize,
    next_id: FeedId,
}

#[derive(Default)]
struct Channel {
    feeds: Vec<Feed>,
    held: Held,
    is_unsettled: bool,
}

struct Feed {
    id: FeedId,
    ring: Arc<Ring<Payload>>,
    /// It has been told that it is subscribed.
    was_reading: bool,
    /// Why nothing comes, as it was told last.
    told: Option<Arc<str>>,
    _permit: Permit,
}

/// How a channel stands at Redis. An entry of the ledger is held for as long as Redis may hold a subscription.
#[derive(Default)]
enum Held {
    #[default]
    No,
    Subscribing(Entry),
    Yes(Entry),
    Unsubscribing {
        _entry: Entry,
    },
    /// Redis does not give it; it is asked for again later.
    Refused {
        why: Arc<str>,
        backoff: Backoff,
        again: Instant,
    },
    /// The same, being asked for again.
    AskingAgain {
        backoff: Backoff,
        _entry: Entry,
    },
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Request {
    Subscribe(Arc<str>),
    Unsubscribe(Arc<str>),
}

impl Table {
    pub(in super::super) fn new(shared: &Arc<Shared>) -> Arc<Table> {
        let state = State {
            channels: HashMap::new(),
            unsettled: VecDeque::new(),
            down: Some(super::super::CONNECTING.into()),
            feeds: 0,
            next_id: 0,
        };
        Arc::new(Table { shared: Arc::clone(shared), state: Mutex::new(state), changed: Notify::new() })
    }

    /// A feed more.
    pub(in super::super) fn join(&self, name: &str) -> Result<Joined, SubscribeError> {
        if name.is_empty() || name.len() > CHANNEL_BYTES_MAX {
            return Err(SubscribeError::Name);
        }
        let mut state = self.state.lock();
        if state.feeds >= FEEDS_MAX {
            return Err(SubscribeError::TooMany);
        }
        let budget = &self.shared.budget;
        let permit = budget.try_charge(Owner::Sources, FEED_BYTES + 2 * name.len())?;
        let id = state.next_id;
        state.next_id += 1;
        state.feeds += 1;
        let name =
            state.channels.get_key_value(name).map_or_else(|| name.into(), |(name, _)| Arc::clone(name));
        let down = state.down.clone();
        let channel = state.channels.entry(Arc::clone(&name)).or_default();
        let ring = Ring::new(RING, budget);
        let link = match (&channel.held, down) {
            (_, Some(why)) => Some(Link::Waiting(why)),
            (Held::Yes(_), None) => Some(Link::Reading { interrupted: false }),
            (Held::Refused { why, .. }, None) => Some(Link::Waiting(Arc::clone(why))),
            // It is told when the answer comes.
            _ => None,
        };
        let was_reading = matches!(link, Some(Link::Reading { .. }));
        let told = match &link {
            Some(Link::Waiting(why)) => Some(Arc::clone(why)),
            _ => None,
        };
        if let Some(link) = link {
            ring.tell(Notice::link(link));
        }
        channel.feeds.push(Feed { id, ring: Arc::clone(&ring), was_reading, told, _permit: permit });
        state.unsettle(&name);
        drop(state);
        self.changed.notify_one();
        Ok((name, id, ring))
    }

    /// A feed less.
    pub(in super::super) fn leave(&self, name: &Arc<str>, id: FeedId) {
        let mut state = self.state.lock();
        state.feeds -= 1;
        if let Some(channel) = state.channels.get_mut(name) {
            channel.feeds.retain(|feed| feed.id != id);
            state.unsettle(name);
        }
        if state.down.is_some() {
            // Nobody else would look at it before there is a connection.
            while state.settle_one(&self.shared).is_some() {}
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Whether anybody wants a channel, or one is still held.
    pub(in super::super) fn is_wanted(&self) -> bool {
        !self.state.lock().channels.is_empty()
    }

    /// What is to be sent next, if anything. It counts as sent.
    pub(in super::super) fn next_request(&self) -> Option<Request> {
        self.state.lock().settle_one(&self.shared)
    }

    /// There is a connection, on which nothing is subscribed.
    pub(in super::super) fn connected(&self) {
        let mut state = self.state.lock();
        state.down = None;
        let names: Vec<Arc<str>> = state.channels.keys().cloned().collect();
        names.iter().for_each(|name| state.unsettle(name));
    }

    /// The connection is lost, or was not made.
    pub(in super::super) fn lost(&self, why: &Arc<str>) {
        let mut state = self.state.lock();
        for channel in state.channels.values_mut() {
            // Those that were refused keep their turn: a reconnect is no reason to ask at once.
            if !matches!(channel.held, Held::Refused { .. }) {
                channel.held = Held::No;
            }
            channel.feeds.iter_mut().for_each(|feed| feed.wait(why));
        }
        state.channels.retain(|_, channel| !channel.feeds.is_empty());
        state.unsettled.clear();
        state.channels.values_mut().for_each(|channel| channel.is_unsettled = false);
        state.down = Some(Arc::clone(why));
        let (len, capacity) = (state.channels.len(), state.channels.capacity());
        if capacity > 4 * len {
            state.channels.shrink_to(2 * len);
        }
    }

    /// Redis says that it is subscribed.
    pub(in super::super) fn subscribed(&self, name: &str) {
        self.answered(name, |channel| {
            channel.held = match std::mem::take(&mut channel.held) {
                Held::Subscribing(entry) | Held::AskingAgain { _entry: entry, .. } => Held::Yes(entry),
                other => other,
            };
            for feed in &mut channel.feeds {
                let interrupted = std::mem::replace(&mut feed.was_reading, true);
                feed.told = None;
                feed.ring.tell(Notice::link(Link::Reading { interrupted }));
            }
        });
    }

    /// Redis says that it is no longer subscribed.
    pub(in super::super) fn unsubscribed(&self, name: &str) {
        self.answered(name, |channel| channel.held = Held::No);
    }

    /// Redis refuses to subscribe.
    pub(in super::super) fn refused(&self, name: &str, why: &Arc<str>) {
        self.answered(name, |channel| {
            let mut backoff = match std::mem::take(&mut channel.held) {
                Held::AskingAgain { backoff, .. } => backoff,
                _ => Backoff::new(REFUSED.0, REFUSED.1),
            };
            let again = Instant::now() + backoff.next_at_least_half();
            channel.held = Held::Refused { why: Arc::clone(why), backoff, again };
            channel.feeds.iter_mut().for_each(|feed| feed.wait(why));
        });
    }

    fn answered(&self, name: &str, change: impl FnOnce(&mut Channel)) {
        let mut state = self.state.lock();
        let Some((name, _)) = state.channels.get_key_value(name) else { return };
        let name = Arc::clone(name);
        state.channels.get_mut(&name).map(change);
        state.unsettle(&name);
        drop(state);
        self.changed.notify_one();
    }

    /// A message came.
    pub(in super::super) fn message(&self, name: &str, message: &Payload) {
        let state = self.state.lock();
        let feeds = state.channels.get(name).map_or(&[][..], |channel| &channel.feeds);
        for feed in feeds {
            feed.ring.push_newest(message.clone(), message.bytes.len());
        }
    }

    /// When the next channel that was refused is to be asked for again; those whose time has come are taken up.
    pub(in super::super) fn next_turn(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        let mut next: Option<Instant> = None;
        let mut due = Vec::new();
        for (name, channel) in &state.channels {
            match channel.held {
                Held::Refused { again, .. } if again <= now => due.push(Arc::clone(name)),
                Held::Refused { again, .. } => next = Some(next.map_or(again, |next| next.min(again))),
                _ => {}
            }
        }
        due.iter().for_each(|name| state.unsettle(name));
        next
    }
}

impl Feed {
    /// Tells it why nothing comes, if that is news.
    fn wait(&mut self, why: &Arc<str>) {
        if self.told.as_ref() != Some(why) {
            self.ring.tell(Notice::link(Link::Waiting(Arc::clone(why))));
            self.told = Some(Arc::clone(why));
        }
    }
}

impl State {
    fn unsettle(&mut self, name: &Arc<str>) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        if !std::mem::replace(&mut channel.is_unsettled, true) {
            self.unsettled.push_back(Arc::clone(name));
        }
    }

    /// Looks at channels until one needs a command.
    fn settle_one(&mut self, shared: &Shared) -> Option<Request> {
        while let Some(name) = self.unsettled.pop_front() {
            let is_up = self.down.is_none();
            let Some(channel) = self.channels.get_mut(&name) else { continue };
            channel.is_unsettled = false;
            let is_wanted = !channel.feeds.is_empty();
            let entry = || shared.ledger.open(Kind::RedisSubscription);
            channel.held = match (std::mem::take(&mut channel.held), is_wanted) {
                (Held::No, true) if is_up => {
                    channel.held = Held::Subscribing(entry());
                    return Some(Request::Subscribe(name));
                }
                (Held::Refused { backoff, again, .. }, true) if is_up && again <= Instant::now() => {
                    channel.held = Held::AskingAgain { backoff, _entry: entry() };
                    return Some(Request::Subscribe(name));
                }
                (Held::Yes(entry), false) => {
                    channel.held = Held::Unsubscribing { _entry: entry };
                    return Some(Request::Unsubscribe(name));
                }
                (Held::No | Held::Refused { .. }, false) => {
                    self.channels.remove(&name);
                    continue;
                }
                (held, _) => held,
            };
        }
        None
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let mut f = f.debug_struct("Table");
        f.field("channels", &state.channels.len()).field("feeds", &state.feeds).finish()
    }
}
