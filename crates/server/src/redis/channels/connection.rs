//! The task that connects for channels, sends what the table wants and hands out what comes.
//!
//! Answers to SUBSCRIBE come in the order of the commands, and a refusal does not say of which channel: so what was sent is
//! remembered in order until it is answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{info, warn};
use watertight_core::Owner;

use super::super::Shared;
use super::super::backoff::Backoff;
use super::super::keeper::{CONNECT_TIMEOUT, PING_EVERY, RECONNECT, REPLICA, STEADY_AFTER, Said};
use super::super::servers::Which;
use super::super::signed_in::{code_of, connect, shown};
use super::super::wire::{Activity, Reply, Token, WireError, WireReader, WireWriter};
use super::table::{Request, Table};

/// How long a connection without any channel is kept for the next one.
const LINGER: Duration = Duration::from_secs(2);
/// How long nothing may come while an answer is awaited.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// How often it is looked whether that long has passed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many commands may be unanswered.
const UNANSWERED_MAX: usize = 256;
/// How much may be written at once, bytes.
const WRITE_BYTES: usize = 16 * 1024;
/// How long the kind of a message or an answer may be: `subscribe`, `message`.
const WORD_BYTES_MAX: usize = 64;

pub(super) struct Subscriber {
    shared: Arc<Shared>,
    table: Arc<Table>,
    backoff: Backoff,
    said: Said,
}

/// What was sent and is not answered yet.
enum Unanswered {
    Request(Request),
    Ping,
    Role,
    ClusterInfo,
}

/// What both ways of a connection share.
struct Progress {
    unanswered: Mutex<VecDeque<Unanswered>>,
    /// When something came last, or the first of the unanswered was sent.
    activity: Activity,
    /// There is room for commands again.
    answered: Notify,
    /// What ROLE said last.
    role: Mutex<Option<String>>,
}

impl Subscriber {
    pub(super) fn new(shared: Arc<Shared>, table: Arc<Table>) -> Subscriber {
        let backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        Subscriber { shared, table, backoff, said: Said::new("channels") }
    }

    /// Until it is aborted, which closes the connection.
    pub(super) async fn run(mut self) {
        loop {
            while !self.table.is_wanted() {
                self.table.changed.notified().await;
            }
            let (began, ended) = (Instant::now(), self.connection().await);
            if began.elapsed() >= STEADY_AFTER {
                self.backoff.reset();
                self.said.lasted();
            }
            let why = ended.err().unwrap_or_else(|| super::super::CONNECTING.into());
            self.table.lost(&why);
            if self.table.is_wanted() {
                self.said.lost(&self.shared, &why);
                sleep(self.backoff.next()).await;
                self.shared.servers.map_is_wrong(&self.shared).await;
            }
        }
    }

    /// One connection, from connecting to its end. Ends well when no channel is wanted any more.
    async fn connection(&mut self) -> Result<(), Arc<str>> {
        let shared = Arc::clone(&self.shared);
        // For the message that is being read.
        let _permit = shared.budget.charge(Owner::Sources, shared.keep_bytes);
        let server = shared.servers.find(&Which::Main, &shared).await?;
        let (reader, writer, _) = connect(&server, &shared, CONNECT_TIMEOUT).await?;
        self.said.connected(&shared);
        self.table.connected();
        let progress = Progress {
            unanswered: Mutex::default(),
            activity: reader.activity(),
            answered: Notify::new(),
            role: Mutex::default(),
        };
        tokio::select! {
            // What has come first: on a busy machine an answer and the end of waiting for it come at once.
            biased;
            Err(why) = self.read(reader, &progress) => Err(why),
            why = progress.silence() => Err(why),
            ended = self.write(writer, &progress) => ended.map_err(shown),
        }
    }

    /// Sends what the table wants, and questions whether Redis is still there.
    async fn write(&self, mut writer: WireWriter, progress: &Progress) -> Result<(), WireError> {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut idle_since: Option<Instant> = None;
        loop {
            let turn = self.table.next_turn(Instant::now());
            while progress.has_room() && writer.pending_bytes() < WRITE_BYTES {
                let Some(request) = self.table.next_request() else { break };
                match &request {
                    Request::Subscribe(name) => writer.add(&[b"SUBSCRIBE", name.as_bytes()]),
                    Request::Unsubscribe(name) => writer.add(&[b"UNSUBSCRIBE", name.as_bytes()]),
                }
                progress.sent(Unanswered::Request(request));
            }
            if writer.pending_bytes() > 0 {
                writer.flush().await?;
                continue;
            }
            let is_idle = !self.table.is_wanted();
            idle_since = is_idle.then(|| idle_since.unwrap_or_else(Instant::now));
            if idle_since.is_some_and(|since| since.elapsed() >= LINGER) {
                return Ok(());
            }
            let next = idle_since.map(|since| since + LINGER).into_iter().chain(turn).min();
            tokio::select! {
                _ = pings.tick() => self.ping(&mut writer, progress),
                () = self.table.changed.notified() => {}
                () = progress.answered.notified() => {}
                () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
            }
            writer.flush().await?;
        }
    }

    fn ping(&self, writer: &mut WireWriter, progress: &Progress) {
        if !progress.unanswered.lock().is_empty() {
            // That is question enough.
            return;
        }
        writer.add(&[b"PING"]);
        progress.sent(Unanswered::Ping);
        writer.add(&[b"ROLE"]);
        progress.sent(Unanswered::Role);
        if self.shared.servers.is_cluster() {
            writer.add(&[b"CLUSTER", b"INFO"]);
            progress.sent(Unanswered::ClusterInfo);
        }
    }

    /// Reads messages and answers, until the connection ends or is of no use.
    async fn read(&self, mut reader: WireReader, progress: &Progress) -> Result<(), Arc<str>> {
        loop {
            let token = reader.token(WORD_BYTES_MAX).await.map_err(shown)?;
            match token {
                Token::Push(parts) => self.push(&mut reader, parts, progress).await.map_err(shown)?,
                first => self.answer(&mut reader, first, progress).await?,
            }
        }
    }

    /// A message, or the answer to SUBSCRIBE or UNSUBSCRIBE.
    async fn push(&self, reader: &mut WireReader, parts: u64, progress: &Progress) -> Result<(), WireError> {
        let kind = reader.token(WORD_BYTES_MAX).await?;
        let kind = match &kind {
            Token::Text(kind) if parts == 3 => &*kind.bytes,
            _ => b"",
        };
        if !matches!(kind, b"message" | b"subscribe" | b"unsubscribe") {
            for _ in 1..parts {
                reader.skip().await?;
            }
            return Ok(());
        }
        let Token::Text(name) = reader.token(super::super::CHANNEL_BYTES_MAX).await? else {
            return Err(WireError::Protocol);
        };
        let name = std::str::from_utf8(&name.bytes).map_err(|_| WireError::Protocol)?;
        if kind == b"message" {
            let Token::Text(message) = reader.token(self.shared.keep_bytes).await? else {
                return Err(WireError::Protocol);
            };
            self.table.message(name, &message);
            return Ok(());
        }
        reader.skip().await?;
        match (kind, progress.next_answered()) {
            (b"subscribe", Some(Unanswered::Request(Request::Subscribe(asked)))) if *asked == *name => {
                self.table.subscribed(name);
            }
            (_, Some(Unanswered::Request(Request::Unsubscribe(asked)))) if *asked == *name => {
                self.table.unsubscribed(name);
            }
            _ => return Err(WireError::Protocol),
        }
        Ok(())
    }

    /// What is no push: the answer to a question, or a refusal.
    async fn answer(
        &self,
        reader: &mut WireReader,
        first: Token,
        progress: &Progress,
    ) -> Result<(), Arc<str>> {
        let reply = reader.reply_from(first).await.map_err(shown)?;
        let asked = progress.next_answered().ok_or_else(|| shown(WireError::Protocol))?;
        match (asked, reply) {
            (Unanswered::Request(Request::Subscribe(name)), Reply::Error(error)) => {
                let why: Arc<str> = refusal(&name, &error).into();
                warn!(redis = self.shared.target().shown, %why, "a channel of Redis cannot be subscribed");
                self.table.refused(&name, &why);
            }
            (Unanswered::Request(Request::Unsubscribe(_)), Reply::Error(error)) => {
                // The subscription would stay: the connection goes instead, and all with it.
                return Err(format!("it refuses UNSUBSCRIBE ({})", code_of(&error)).into());
            }
            (Unanswered::Request(_), _) => return Err(shown(WireError::Protocol)),
            // Whatever it answers, it answers: a user may be forbidden to ask.
            (_, Reply::Error(_)) | (Unanswered::Ping, _) => {}
            (Unanswered::Role, reply) => self.role(&reply, progress)?,
            (Unanswered::ClusterInfo, reply) => {
                // One that is cut off from the others would go on, and bring nothing of what they publish.
                if reply.text().is_some_and(|info| info.contains("cluster_state:fail")) {
                    return Err("that server is cut off from its cluster".into());
                }
            }
        }
        Ok(())
    }

    fn role(&self, reply: &Reply, progress: &Progress) -> Result<(), Arc<str>> {
        let Some(role) = reply.parts().and_then(|parts| parts.first()?.text()) else { return Ok(()) };
        let is_replica = role == "slave";
        if is_replica && self.shared.servers.wants_master() {
            return Err(REPLICA.into());
        }
        let before = progress.role.lock().replace(role.to_owned());
        let is_news = before.as_deref().is_some_and(|before| before != role);
        let redis = &self.shared.target().shown;
        match (is_replica, is_news) {
            (true, _) if before.as_deref() != Some(role) => {
                info!(redis, "channels are read from a replica of Redis: it has what its master publishes");
            }
            (false, true) => info!(redis, "the replica of Redis that channels are read from is a master now"),
            _ => {}
        }
        Ok(())
    }
}

impl Progress {
    fn has_room(&self) -> bool {
        self.unanswered.lock().len() < UNANSWERED_MAX
    }

    fn sent(&self, what: Unanswered) {
        let mut unanswered = self.unanswered.lock();
        if unanswered.is_empty() {
            self.activity.begin();
        }
        unanswered.push_back(what);
    }

    fn next_answered(&self) -> Option<Unanswered> {
        let next = self.unanswered.lock().pop_front();
        self.answered.notify_one();
        next
    }

    /// Waits until nothing has come for too long although something should.
    async fn silence(&self) -> Arc<str> {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let is_waiting = !self.unanswered.lock().is_empty();
            if is_waiting && self.activity.silence() >= SILENCE_MAX {
                return shown(WireError::TimedOut);
            }
        }
    }
}

/// Why Redis does not give a channel, and what would help.
fn refusal(channel: &str, error: &str) -> String {
    match code_of(error) {
        "NOPERM" => format!(
            "Redis forbids channel {channel} to the user of redis_url (NOPERM); allow it: ACL SETUSER NAME +subscribe \
             +unsubscribe &{channel}"
        ),
        "NOAUTH" => format!("Redis does not give channel {channel}: redis_url has no password (NOAUTH)"),
        code => format!("Redis does not give channel {channel} ({code})"),
    }
}
