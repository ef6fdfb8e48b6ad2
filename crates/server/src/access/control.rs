//! Revocations and closings that the hubs at one Redis tell each other, so that each holds at all of them within a second.
//!
//! They go through a stream of Redis: whoever was cut off, or has just started, reads there what it has missed. It is bounded in
//! number and forgotten after a time without any. What a hub has to tell while Redis is away waits, bounded too, and is told
//! later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Value;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{error, info, warn};
use watertight::Hub;
use watertight_core::{Budget, Owner, Permit};

use super::revoked::{IdDigest, Which};
use super::{Authorization, wall_time};
use crate::redis::{CommandError, EntryId, Redis, StreamEntry, StreamItem, StreamStart};

/// The stream.
const KEY: &str = "watertight:control";
/// The one field of its entries.
const FIELD: &str = "message";
/// How many entries it has, about.
const ENTRIES_MAX: u32 = 10_000;
/// How long it is kept after the last entry, seconds: longer than tokens live that are revoked.
const KEPT_FOR_SECONDS: u32 = 7 * 24 * 60 * 60;
/// How much may wait to be told.
const WAITING_MAX: usize = 1_024;
/// What a message that waits costs beside its text, bytes.
const MESSAGE_BYTES: usize = 128;
/// How long it waits before it is tried again, the first time and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How many messages are known by number, for those that come twice: an answer of Redis may be lost.
const KNOWN_MAX: usize = 256;
/// Closings so long before this hub started are none of its streams'. Clocks differ by less.
const BEFORE_START: Duration = Duration::from_secs(5);

/// Tells the other hubs. Its task is [`Listener::run`].
#[derive(Debug)]
pub(crate) struct Control {
    budget: Arc<Budget>,
    outbox: mpsc::Sender<Outgoing>,
    /// Which hub this is, at random: its own messages come back to it.
    node: Arc<str>,
}

/// Tells what waits, and carries out what the others tell.
#[derive(Debug)]
pub(crate) struct Listener {
    redis: Redis,
    inbox: mpsc::Receiver<Outgoing>,
    node: Arc<str>,
    started: SystemTime,
}

#[derive(Debug)]
struct Outgoing {
    text: String,
    _permit: Permit,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Message {
    /// Who tells it.
    node: String,
    /// At random: it may come twice.
    number: u64,
    /// When, seconds since 1970.
    at: u64,
    #[serde(flatten)]
    what: Told,
}

/// What all hubs are to do. Times are whole seconds since 1970, as in tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Told {
    /// Refuse the token whose id has this digest.
    RevokeId {
        /// In hexadecimal.
        digest: String,
        /// When it has expired.
        until: Option<u64>,
    },
    /// Refuse the tokens of a user that were issued up to `before`.
    RevokeUser {
        /// The user.
        user: String,
        /// When they were issued at the latest.
        before: u64,
        /// When the last of them has expired.
        until: Option<u64>,
    },
    /// Close the streams of a user.
    Disconnect {
        /// The user.
        user: String,
    },
}

impl Told {
    /// A revocation.
    pub(crate) fn revoke(which: &Which, until: Option<SystemTime>) -> Told {
        // Rather a second too long than too short.
        let until = until.map(|until| seconds(until).saturating_add(1));
        match which {
            Which::Id(id) => Told::RevokeId { digest: id.to_hex(), until },
            Which::User(user, before) => {
                Told::RevokeUser { user: user.to_string(), before: seconds(*before), until }
            }
        }
    }
}

impl Control {
    pub(super) fn new(hub: &Hub, redis: &Redis) -> (Control, Listener) {
        let (outbox, inbox) = mpsc::channel(WAITING_MAX);
        let node: Arc<str> = format!("{:016x}", fastrand::u64(..)).into();
        let listener =
            Listener { redis: redis.clone(), inbox, node: Arc::clone(&node), started: wall_time() };
        (Control { budget: Arc::clone(hub.budget()), outbox, node }, listener)
    }

    /// Tells the other hubs, as soon as Redis takes it. This one has done it already.
    pub(super) fn tell(&self, what: Told) {
        let message = Message {
            node: self.node.to_string(),
            number: fastrand::u64(..),
            at: seconds(wall_time()),
            what,
        };
        let told = serde_json::to_string(&message).map_err(|error| error.to_string()).and_then(|text| {
            let permit = self.budget.try_charge(Owner::Caches, MESSAGE_BYTES + text.len());
            let permit = permit.map_err(|error| error.to_string())?;
            self.outbox.try_send(Outgoing { text, _permit: permit }).map_err(|error| error.to_string())
        });
        if let Err(why) = told {
            error!(%why, "a revocation or closing holds at this hub alone: the others cannot be told");
        }
    }
}

impl Listener {
    /// Until it is dropped.
    pub(crate) async fn run(self, access: Arc<Authorization>) {
        let Listener { redis, inbox, node, started } = self;
        tokio::join!(tell_others(&redis, inbox), listen(&redis, &node, started, &access));
    }
}

/// Tells one after the other, each until Redis has taken it.
async fn tell_others(redis: &Redis, mut inbox: mpsc::Receiver<Outgoing>) {
    let mut add = redis::cmd("XADD");
    add.arg(KEY).arg("MAXLEN").arg("~").arg(ENTRIES_MAX).arg("*").arg(FIELD);
    let mut expire = redis::cmd("EXPIRE");
    expire.arg(KEY).arg(KEPT_FOR_SECONDS);
    while let Some(message) = inbox.recv().await {
        let mut add = add.clone();
        add.arg(&message.text);
        // An answer that did not come may be a command that was carried out: others know messages by their number.
        for command in [&add, &expire] {
            until_done(redis, command).await;
        }
    }
}

async fn until_done(redis: &Redis, command: &redis::Cmd) {
    let mut wait = AGAIN.0;
    let mut is_said = false;
    loop {
        let why = match redis.command(command).await {
            Ok(Value::ServerError(error)) => error.code().to_owned(),
            Ok(_) => return,
            Err(CommandError::TimedOut) => "it does not answer".to_owned(),
            Err(CommandError::Unavailable(why)) => why.to_string(),
            Err(CommandError::Refused(code)) if code == "NOPERM" => {
                format!("it forbids it (NOPERM); allow it: ACL SETUSER NAME +xadd +expire ~{KEY}")
            }
            Err(CommandError::Refused(code)) => code,
        };
        if !std::mem::replace(&mut is_said, true) {
            warn!(%why, "other hubs are told of a revocation or closing later: Redis does not take it");
        }
        sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        wait = (2 * wait).min(AGAIN.1);
    }
}

/// Carries out what others tell, from the first entry that Redis still has.
async fn listen(redis: &Redis, node: &str, started: SystemTime, access: &Authorization) {
    let mut feed = loop {
        match redis.streams().open(KEY, StreamStart::After(EntryId::START)) {
            Ok(feed) => break feed,
            Err(error) => {
                error!(%error, "what other hubs tell cannot be read yet");
                sleep(AGAIN.1).await;
            }
        }
    };
    let mut known: VecDeque<u64> = VecDeque::with_capacity(KNOWN_MAX);
    let mut has_read = false;
    loop {
        match feed.next().await {
            StreamItem::Entry(entry) => {
                has_read = true;
                let Some(message) = message_of(&entry) else {
                    warn!(id = %entry.id, key = KEY, "an entry of another hub is not understood");
                    continue;
                };
                if message.node == node || known.contains(&message.number) {
                    continue;
                }
                if known.len() == KNOWN_MAX {
                    known.pop_front();
                }
                known.push_back(message.number);
                carry_out(access, &message, started);
            }
            // What is older than the stream is at the beginning of any.
            StreamItem::Missing(count) if has_read => {
                warn!(?count, key = KEY, "what other hubs told may be missing: revocations hold there only");
            }
            StreamItem::Missing(_) | StreamItem::Reading | StreamItem::Waiting(_) => {}
        }
    }
}

fn message_of(entry: &StreamEntry) -> Option<Message> {
    let (_, value) = entry.fields.iter().find(|(name, _)| name.bytes == FIELD)?;
    serde_json::from_slice(&value.bytes).ok()
}

fn carry_out(access: &Authorization, message: &Message, started: SystemTime) {
    let until = |until: &Option<u64>| until.and_then(time);
    let which = match &message.what {
        Told::Disconnect { user } => {
            let is_old = time(message.at).is_none_or(|at| at + BEFORE_START < started);
            if !is_old {
                let closed = access.disconnect_user(user);
                info!(closed = closed.streams, "streams of a user were closed, as another hub told");
            }
            return;
        }
        Told::RevokeId { digest, until: end } => {
            IdDigest::from_hex(digest).map(|digest| (Which::Id(digest), until(end)))
        }
        Told::RevokeUser { user, before, until: end } => {
            time(*before).map(|before| (Which::User(user.as_str().into(), before), until(end)))
        }
    };
    let (Some(tokens), Some((which, until))) = (&access.tokens, which) else {
        warn!(key = KEY, "a revocation of another hub is not understood");
        return;
    };
    if until.is_some_and(|until| until < started) {
        // Its tokens have expired.
        return;
    }
    match access.revoke(tokens, &which, until) {
        Ok(closed) => {
            info!(closed = closed.streams, by = which.name(), "tokens were revoked, as another hub told")
        }
        Err(full) => error!(error = %full, "a revocation of another hub does not hold here"),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
