//! From the spool to the hub, one request after the other. Must not know where lines come from, nor wait for them.
//!
//! The first batch begins the log, those behind it name the life of the log that they belong to. A hub that has lost the log
//! refuses them with `EPOCH_CHANGED`; then everything that is still in the spool is sent again, with the same numbers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use watertight_client::{Error, LogLines, Publisher};

use super::clock::Now;
use super::collector::Shared;
use super::messages::Messages;
use super::record::{self, RECORD_BYTES_MIN};
use super::spool::{Batch, End};

/// Records of one request, at most.
const BATCH_RECORDS_MAX: usize = 400;

/// And bytes, unless one record alone has more.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// While the command is silent, the hub is asked this often whether it still has the log.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// Between two tries with a token that the hub does not take: whoever renews the file needs a moment.
const TOKEN_PAUSE: Duration = Duration::from_secs(5);

/// Sends until the end of the log is in the hub, or the hub has refused for good.
pub(super) struct Sender {
    publisher: Publisher,
    deployment: String,
    shared: Shared,
    messages: Messages,
    /// How long lines gather before they are sent.
    flush: Duration,
    /// A token that is refused may be renewed.
    token_is_renewed: bool,
    records_max: usize,
    bytes_max: usize,
    record_bytes_max: usize,
    is_out: Arc<AtomicBool>,
}

/// Why nothing more is sent.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The hub will not take it later either.
    Refused(Error),
    /// The spool cannot be read.
    Disk(io::Error),
}

/// How requests are made.
pub(super) struct SenderOptions {
    pub(super) flush: Duration,
    pub(super) token_is_renewed: bool,
    pub(super) record_bytes_max: usize,
}

impl Sender {
    pub(super) fn new(
        publisher: Publisher,
        shared: Shared,
        messages: Messages,
        options: &SenderOptions,
    ) -> Self {
        let (deployment, kept) = {
            let collector = shared.lock();
            (collector.spool.state().deployment.clone(), collector.spool.path().display().to_string())
        };
        let is_out = Arc::new(AtomicBool::new(false));
        // An outage is told once, not with each attempt: this is between the lines of a build.
        let (told, teller) = (Arc::clone(&is_out), messages.clone());
        let publisher = publisher.with_give_up_after(Duration::MAX).with_retry_observer(move |error, _| {
            if !told.swap(true, Ordering::Relaxed) {
                teller.say(format_args!("{error}; lines are kept in {kept} until the hub takes them"));
            }
        });
        Self {
            publisher,
            deployment,
            shared,
            messages,
            flush: options.flush,
            token_is_renewed: options.token_is_renewed,
            records_max: BATCH_RECORDS_MAX,
            bytes_max: BATCH_BYTES_MAX,
            record_bytes_max: options.record_bytes_max,
            is_out,
        }
    }

    /// Runs until the end is sent. Dropping the future leaves open whether the hub took the last batch; its lines are in
    /// the spool.
    ///
    /// # Errors
    /// When nothing more can be sent; the lines are in the spool.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        loop {
            let (has_lines, end, epoch) = {
                let collector = self.shared.lock();
                let spool = &collector.spool;
                (spool.has_work(), spool.state().end, spool.state().epoch.clone())
            };
            match (has_lines, end, epoch) {
                (true, None, epoch) => {
                    self.gather().await;
                    self.send_lines(epoch).await?;
                }
                (true, Some(_), epoch) => self.send_lines(epoch).await?,
                (false, Some(_), None) => self.send_silence().await?,
                (false, Some(end), Some(epoch)) => {
                    if self.send_end(end, &epoch).await? {
                        return Ok(());
                    }
                }
                (false, None, Some(epoch)) => {
                    if timeout(PROBE_INTERVAL, self.shared.changed()).await.is_err() {
                        self.probe(&epoch).await?;
                    }
                }
                (false, None, None) => self.shared.changed().await,
            }
        }
    }

    /// Waits until there is enough for a request, the command has ended, or the first line has waited for long enough.
    async fn gather(&self) {
        let deadline = Instant::now() + self.flush;
        loop {
            let is_enough = {
                let collector = self.shared.lock();
                let spool = &collector.spool;
                spool.waiting_bytes() >= self.bytes_max as u64 || spool.state().end.is_some()
            };
            if is_enough || timeout_at(deadline, self.shared.changed()).await.is_err() {
                return;
            }
        }
    }

    async fn send_lines(&mut self, epoch: Option<String>) -> Result<(), Stopped> {
        let batch =
            self.shared.lock().spool.batch(self.records_max, self.bytes_max).map_err(Stopped::Disk)?;
        let lines = LogLines::ndjson(self.body(&batch).into());
        let lines = match &epoch {
            Some(epoch) => lines.with_epoch(epoch),
            None => lines.with_reopen(),
        };
        match self.send(&lines).await {
            Ok(ids) => {
                let found = ids.first().and_then(|id| id.rsplit_once('-'));
                if let (None, Some((_, sequence))) = (&epoch, found) {
                    self.look_at_first(sequence);
                }
                let found = epoch.or_else(|| found.map(|(epoch, _)| epoch.to_owned()));
                self.shared.lock().spool.sent(&batch, found.as_deref());
                Ok(())
            }
            Err(error) if is_too_large(&error) && self.lower(&batch, &error) => {
                self.shared.lock().spool.put_back();
                Ok(())
            }
            Err(error) => self.begin_again(error),
        }
    }

    /// The records of a batch, those that are too long made shorter, behind a mark where lines are missing.
    fn body(&self, batch: &Batch) -> Vec<u8> {
        let mut body = Vec::with_capacity(batch.records.len());
        if batch.lost > 0 {
            record::missing(batch.lost, Now::read().wall_ms, &mut body);
        }
        for record in batch.records.split_inclusive(|byte| *byte == b'\n') {
            let short = (record.len() > self.record_bytes_max)
                .then(|| record::shorten(record, self.record_bytes_max))
                .flatten();
            body.extend_from_slice(short.as_deref().unwrap_or(record));
        }
        body
    }

    /// The command printed nothing: a log that had ended begins anew all the same.
    async fn send_silence(&mut self) -> Result<(), Stopped> {
        let mut body = Vec::new();
        record::silent(Now::read().wall_ms, &mut body);
        match self.send(&LogLines::ndjson(body.into()).with_reopen()).await {
            Ok(ids) => {
                let epoch = ids.first().and_then(|id| id.rsplit_once('-')).map(|(epoch, _)| epoch);
                let mut collector = self.shared.lock();
                let nothing = collector.spool.batch(0, 0).map_err(Stopped::Disk)?;
                collector.spool.sent(&nothing, epoch);
                Ok(())
            }
            Err(error) => Err(Stopped::Refused(error)),
        }
    }

    /// `true`: the end is in the log.
    async fn send_end(&mut self, end: End, epoch: &str) -> Result<bool, Stopped> {
        let lines = LogLines::default().with_epoch(epoch).with_end(end.exit_code);
        match self.send(&lines).await {
            Ok(_) => Ok(true),
            Err(error) => self.begin_again(error).map(|()| false),
        }
    }

    /// Asks whether the hub still has the log.
    async fn probe(&mut self, epoch: &str) -> Result<(), Stopped> {
        match self.send(&LogLines::default().with_epoch(epoch)).await {
            Ok(_) => Ok(()),
            Err(error) => self.begin_again(error),
        }
    }

    /// If the hub has lost the log, everything is to be sent again.
    fn begin_again(&mut self, error: Error) -> Result<(), Stopped> {
        if error.code() != Some("EPOCH_CHANGED") {
            return Err(Stopped::Refused(error));
        }
        match self.shared.lock().spool.again() {
            0 => self.messages.say("the hub has lost the log; all lines are sent again"),
            gone => self.messages.warn(format_args!(
                "the hub has lost the log; all lines are sent again but for the oldest, which the spool has no room for: {gone}"
            )),
        }
        Ok(())
    }

    /// Sends until the hub has answered; with a token that may be renewed, also after it was refused.
    async fn send(&mut self, lines: &LogLines) -> Result<Vec<String>, Error> {
        let feed = self.publisher.feed(&self.deployment, lines)?;
        loop {
            match self.publisher.send_feed(&feed).await {
                Err(error) if self.token_is_renewed && is_unauthorized(&error) => {
                    if !self.is_out.swap(true, Ordering::Relaxed) {
                        self.messages.warn(format_args!(
                            "{error}; the token file is read again until it holds another"
                        ));
                    }
                    sleep(TOKEN_PAUSE).await;
                }
                answer => {
                    if self.is_out.swap(false, Ordering::Relaxed) {
                        self.messages.say("the hub answers again");
                    }
                    return answer;
                }
            }
        }
    }

    /// The hub takes less than was thought. `false`: it cannot be made to fit.
    fn lower(&mut self, batch: &Batch, error: &Error) -> bool {
        let longest =
            batch.records.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        let count = memchr::memchr_iter(b'\n', &batch.records).count();
        if count > 1 && error.code() != Some("EVENT_TOO_LARGE") {
            self.records_max = (count / 2).max(1);
            self.bytes_max = (batch.records.len() / 2).max(1);
            return true;
        }
        let shorter = longest.min(self.record_bytes_max) / 2;
        if shorter < RECORD_BYTES_MIN {
            return false;
        }
        self.record_bytes_max = shorter;
        self.shared.lock().lower(shorter);
        self.messages.say(format_args!("the hub takes lines of {shorter} bytes only; longer ones are cut"));
        true
    }

    /// Whoever wrote the log before did not end it.
    fn look_at_first(&self, sequence: &str) {
        if sequence != "1" {
            self.messages.warn(format_args!(
                "the log of deployment {} has lines already and had not ended: this command's lines follow them",
                self.deployment
            ));
        }
    }
}

fn is_unauthorized(error: &Error) -> bool {
    matches!(error, Error::Refused(problem) if problem.status == 401)
}

/// Whether it is refused for its size: by the hub, or by a proxy before it.
fn is_too_large(error: &Error) -> bool {
    matches!(error, Error::Refused(problem) if problem.status == 413)
}
