//! The task that reads all streams of one server over one connection.
//!
//! A round asks about the streams of which something is known to be new, each in a transaction of its own. When there is none,
//! it waits for something new in any of them: with one XREAD that blocks for a short time, so that a stream that comes meanwhile
//! is not kept waiting; in a cluster, where one command cannot name keys of several slots, by asking again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;
use watertight_core::Owner;

use super::super::backoff::Backoff;
use super::super::keeper::{CONNECT_TIMEOUT, PING_EVERY, RECONNECT, REPLICA, STEADY_AFTER, Said};
use super::super::servers::{Which, slot_of};
use super::super::signed_in::{ask, code_of, connect, shown};
use super::super::wire::{Reply, WireError, WireReader, WireWriter};
use super::super::{CHANNEL_BYTES_MAX, Shared};
use super::answers::{self, Refused};
use super::table::{Job, READ_COUNT, Table, Wait, Work};

/// How long a connection without any stream is kept for the next one.
const LINGER: Duration = Duration::from_secs(2);
/// How long nothing may come while an answer is awaited.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// How long it is waited for something new, at least and at most: as long as there are streams, milliseconds. It is how long
/// a stream that comes meanwhile waits, and how often Redis is asked.
const WAIT: (usize, usize) = (100, 1_000);
/// How many transactions are sent at once.
const JOBS_AT_ONCE: usize = 64;
/// How many streams one XREAD names.
const KEYS_AT_ONCE: usize = 500;

pub(super) struct Reader {
    shared: Arc<Shared>,
    table: Arc<Table>,
    server: Which,
    /// There is something to be asked.
    wake: Arc<Notify>,
    backoff: Backoff,
    said: Said,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, table: Arc<Table>, server: Which, wake: Arc<Notify>) -> Reader {
        let backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        Reader { shared, table, server, wake, backoff, said: Said::new("streams") }
    }

    /// Until no stream is read from this server, or it is aborted; both close the connection.
    pub(super) async fn run(mut self) {
        while !self.table.may_end(&self.server) {
            let began = Instant::now();
            let Err(why) = self.connection().await else { continue };
            if began.elapsed() >= STEADY_AFTER {
                self.backoff.reset();
                self.said.lasted();
            }
            self.said.lost(&self.shared, &why);
            self.table.lost(&self.server, &why);
            sleep(self.backoff.next()).await;
            self.look_elsewhere().await;
        }
    }

    /// Gives up streams that are at another server of the cluster by now.
    async fn look_elsewhere(&self) {
        let servers = &self.shared.servers;
        if !servers.is_cluster() {
            return;
        }
        servers.map_is_wrong(&self.shared).await;
        for key in self.table.of(&self.server) {
            let found = servers.of_key(key.as_bytes(), &self.shared).await;
            if found.is_ok_and(|found| found != self.server) {
                self.table.unassign(&key);
            }
        }
    }

    /// One connection, from connecting to its end. Ends well when there has been no stream for a while.
    async fn connection(&mut self) -> Result<(), Arc<str>> {
        let shared = Arc::clone(&self.shared);
        // For the entry that is being read.
        let _permit = shared.budget.charge(Owner::Sources, shared.keep_bytes);
        let server = shared.servers.find(&self.server, &shared).await?;
        let (mut reader, mut writer, _) = connect(&server, &shared, CONNECT_TIMEOUT).await?;
        let mut role_asked: Option<Instant> = None;
        let mut idle_since: Option<Instant> = None;
        loop {
            if shared.servers.wants_master() && role_asked.is_none_or(|at| at.elapsed() >= PING_EVERY) {
                role_asked = Some(Instant::now());
                let answer = answered(ask(&mut reader, &mut writer, &[b"ROLE"])).await?;
                if answer.parts().and_then(|parts| parts.first()?.text()) == Some("slave") {
                    return Err(REPLICA.into());
                }
            }
            if idle_since.is_none() && role_asked.is_none_or(|at| at.elapsed() < PING_EVERY) {
                self.said.connected_once(&shared);
            }
            let jobs = self.table.jobs(&self.server, JOBS_AT_ONCE);
            if !jobs.is_empty() {
                idle_since = None;
                self.work(jobs, &mut reader, &mut writer).await?;
                continue;
            }
            let waits = self.table.waits(&self.server);
            if !waits.is_empty() {
                idle_since = None;
                self.wait(&waits, &mut reader, &mut writer).await?;
                continue;
            }
            let is_idle = self.table.of(&self.server).is_empty();
            idle_since = is_idle.then(|| idle_since.unwrap_or_else(Instant::now));
            if idle_since.is_some_and(|since| since.elapsed() >= LINGER) {
                return Ok(());
            }
            // Readers are slow or refused, or there are none. Whatever it answers, it answers.
            answered(ask(&mut reader, &mut writer, &[b"PING"])).await?;
            self.pause(WAIT.1).await;
        }
    }

    async fn pause(&self, milliseconds: usize) {
        let most = Duration::from_millis(milliseconds as u64);
        // At its end it is looked again, whether something was said or not.
        let _ = timeout(most, self.wake.notified()).await;
    }

    /// Asks about these streams and takes the answers.
    async fn work(
        &self,
        jobs: Vec<Job>,
        reader: &mut WireReader,
        writer: &mut WireWriter,
    ) -> Result<(), Arc<str>> {
        for Job { key, work } in &jobs {
            writer.add(&[b"MULTI"]);
            writer.add(&[b"XINFO", b"STREAM", key.as_bytes()]);
            match work {
                Work::FindLast(count) => {
                    let count = (*count).max(1).to_string();
                    writer.add(&[b"XREVRANGE", key.as_bytes(), b"+", b"-", b"COUNT", count.as_bytes()]);
                }
                Work::ReadAfter(after) => {
                    let (count, after) = (READ_COUNT.to_string(), after.to_string());
                    let after = after.as_bytes();
                    writer.add(&[b"XREAD", b"COUNT", count.as_bytes(), b"STREAMS", key.as_bytes(), after]);
                }
            }
            writer.add(&[b"EXEC"]);
        }
        writer.flush().await.map_err(shown)?;
        let mut has_moved = false;
        for job in &jobs {
            let activity = reader.activity();
            let taken = activity.watch(SILENCE_MAX, self.take(job, reader)).await;
            if let Err(Refused(error)) = taken.map_err(shown)? {
                if matches!(code_of(&error), "MOVED" | "ASK" | "CLUSTERDOWN")
                    && self.shared.servers.is_cluster()
                {
                    has_moved = true;
                    continue;
                }
                let why: Arc<str> = refusal(&job.key, job.work, &error).into();
                if self.table.refused(&job.key, &why) {
                    warn!(redis = self.shared.target().shown, %why, "a stream of Redis cannot be read");
                }
            }
        }
        if has_moved {
            jobs.iter().for_each(|job| self.table.ready(&job.key));
            self.look_elsewhere().await;
        }
        Ok(())
    }

    async fn take(&self, job: &Job, reader: &mut WireReader) -> Result<Result<(), Refused>, WireError> {
        let refused = answers::queued(reader, 3).await?;
        let aborted = answers::executed(reader, 2).await?;
        if let Some(refused) = refused.or(aborted) {
            return Ok(Err(refused));
        }
        let info = answers::info(reader).await?;
        match job.work {
            Work::FindLast(count) => {
                let found = answers::last_ids(reader).await?;
                match (info, found) {
                    (Ok(info), Ok(found)) => self.table.found_last(&job.key, count, info.as_ref(), found),
                    (Err(refused), _) | (_, Err(refused)) => return Ok(Err(refused)),
                }
            }
            Work::ReadAfter(after) => {
                if let Ok(info) = &info {
                    self.table.begin(&job.key, after, info.as_ref());
                }
                let read = answers::entries(reader, &job.key, &self.table, self.shared.keep_bytes).await?;
                match (info, read) {
                    (Ok(info), Ok(count)) => self.table.end(&job.key, info.as_ref(), count),
                    (Err(refused), _) | (_, Err(refused)) => return Ok(Err(refused)),
                }
            }
        }
        Ok(Ok(()))
    }

    /// Waits for something new in any of these streams, not for long.
    async fn wait(
        &self,
        waits: &[Wait],
        reader: &mut WireReader,
        writer: &mut WireWriter,
    ) -> Result<(), Arc<str>> {
        let mut groups: BTreeMap<(u16, usize), Vec<&Wait>> = BTreeMap::new();
        for (n, wait) in waits.iter().enumerate() {
            let is_cluster = self.shared.servers.is_cluster();
            let slot = if is_cluster { slot_of(wait.0.as_bytes()) } else { 0 };
            groups.entry((slot, n / KEYS_AT_ONCE)).or_default().push(wait);
        }
        let most = waits.len().clamp(WAIT.0, WAIT.1);
        let block = (groups.len() == 1).then(|| most.to_string());
        for group in groups.values() {
            let after: Vec<String> = group.iter().map(|(_, after)| after.to_string()).collect();
            let mut words: Vec<&[u8]> = vec![b"XREAD", b"COUNT", b"1"];
            if let Some(block) = &block {
                words.extend([b"BLOCK", block.as_bytes()]);
            }
            words.push(b"STREAMS");
            words.extend(group.iter().map(|(key, _)| key.as_bytes()));
            words.extend(after.iter().map(|after| after.as_bytes()));
            writer.add(&words);
        }
        writer.flush().await.map_err(shown)?;
        let mut is_news = false;
        for group in groups.values() {
            let activity = reader.activity();
            let mut news = |key: &str| {
                is_news = true;
                self.table.ready(key);
            };
            let naming = answers::names(reader, &mut news, CHANNEL_BYTES_MAX);
            let named = activity.watch(SILENCE_MAX, naming).await.map_err(shown)?;
            if named.is_err() {
                // One of them is the reason; asked alone, each says whether it is.
                group.iter().for_each(|(key, _)| news(key));
            }
        }
        if !is_news && block.is_none() {
            self.pause(most).await;
        }
        Ok(())
    }
}

async fn answered(asking: impl Future<Output = Result<Reply, WireError>>) -> Result<Reply, Arc<str>> {
    timeout(SILENCE_MAX, asking).await.unwrap_or(Err(WireError::TimedOut)).map_err(shown)
}

/// Why Redis does not give a stream, and what would help.
fn refusal(key: &str, work: Work, error: &str) -> String {
    match code_of(error) {
        "NOPERM" => format!(
            "Redis forbids stream {key} to the user of redis_url (NOPERM); allow it: ACL SETUSER NAME +xread +xrevrange \
             +xinfo|stream +multi +exec ~{key}"
        ),
        "WRONGTYPE" => format!("{key} in Redis is no stream (WRONGTYPE)"),
        "NOAUTH" => format!("Redis does not give stream {key}: redis_url has no password (NOAUTH)"),
        code => {
            let what = match work {
                Work::FindLast(_) => "XREVRANGE",
                Work::ReadAfter(_) => "XREAD",
            };
            format!("Redis refuses {what} of {key} ({code})")
        }
    }
}
