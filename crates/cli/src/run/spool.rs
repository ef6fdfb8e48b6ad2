//! The lines of a run on disk: a ring of records in one file, as large as it may be. What was sent stays as long as there is
//! room, because a hub that was restarted has lost it.
//!
//! The file begins with a line of JSON that says where the ring begins and ends, written behind every change: whoever finds
//! the file, also after a crash of this process, can send what is in it. Must not know the hub.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::is_whole;

/// What the file begins with; the ring is behind it.
const HEADER_BYTES: usize = 4096;

/// What it says first, so that no other file is taken for one.
const FORMAT: &str = "watertight spool 1";

/// Records that gather before they are written, unless [`Spool::commit`] is called.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

/// The beginning of the ring is read in pieces of this size to find the end of its first record.
const LOOK_BYTES: usize = 64 * 1024;

/// Where the log of the command belongs, and how far it has come. Offsets count all bytes that ever were in the ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: String,
    pub(super) hub: String,
    pub(super) deployment: String,
    capacity: u64,
    /// The first byte that is still there.
    first: u64,
    /// Everything before it is in the hub's log.
    sent: u64,
    /// Behind the last byte.
    next: u64,
    /// The life of the log that was written to.
    pub(super) epoch: Option<String>,
    /// Lines that went before they were sent, since that was last told in the log.
    lost: u64,
    /// Lines that went, sent or not.
    gone: u64,
    /// How the command ended.
    pub(super) end: Option<End>,
}

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    #[serde(rename = "exitCode")]
    pub(super) exit_code: Option<i32>,
}

/// Records for one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) records: Vec<u8>,
    /// Lines that are missing before them.
    pub(super) lost: u64,
    end: u64,
}

/// The file. Dropping it keeps the file, [`Spool::remove`] does not.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    state: State,
    /// Not written yet; the last bytes before `state.next`.
    gathered: Vec<u8>,
    /// Everything before it is in the hub's log, or in a request under way.
    taken: u64,
    /// The first write that failed.
    failure: Option<io::Error>,
    /// The beginning of the ring as it was last looked at, and where it begins.
    look: (u64, Vec<u8>),
    /// Where the ring begins by what the file says.
    saved_first: u64,
    /// Lines that went before they were sent, in all.
    lost_ever: u64,
}

impl Spool {
    /// Makes the file, which only its user may read.
    pub(super) fn create(dir: &Path, hub: &str, deployment: &str, capacity: u64) -> io::Result<Self> {
        let readable: String = deployment
            .chars()
            .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
            .take(40)
            .collect();
        let path = dir.join(format!("watertight-run-{readable}-{:016x}.spool", fastrand::u64(..)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        file.lock()?;
        let state = State {
            format: FORMAT.to_owned(),
            hub: hub.to_owned(),
            deployment: deployment.to_owned(),
            capacity,
            first: 0,
            sent: 0,
            next: 0,
            epoch: None,
            lost: 0,
            gone: 0,
            end: None,
        };
        let spool = Self {
            path,
            file,
            state,
            gathered: Vec::new(),
            taken: 0,
            failure: None,
            look: (0, Vec::new()),
            saved_first: 0,
            lost_ever: 0,
        };
        // Whoever cannot write is told before the command starts, and leaves nothing.
        spool.write_header().inspect_err(|_| drop(fs::remove_file(&spool.path)))?;
        Ok(spool)
    }

    /// Opens a file that was left.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("its `watertight run` has not ended"),
        })?;
        let mut header = [0; HEADER_BYTES];
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        file.read_exact_at(&mut header, 0).map_err(|_| invalid("it is no spool of `watertight run`"))?;
        let state: State =
            serde_json::from_slice(&header).map_err(|_| invalid("it is no spool of `watertight run`"))?;
        if state.format != FORMAT {
            return Err(invalid("it is no spool of this version of `watertight run`"));
        }
        let is_sound = state.first <= state.sent
            && state.sent <= state.next
            && state.next - state.first <= state.capacity
            && state.capacity <= i64::MAX as u64 / 2;
        if !is_sound {
            return Err(invalid("its beginning is damaged"));
        }
        let taken = state.sent;
        Ok(Self {
            path: path.to_owned(),
            file,
            state,
            gathered: Vec::new(),
            taken,
            failure: None,
            look: (0, Vec::new()),
            saved_first: 0,
            lost_ever: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Adds a record, with its line feed. The oldest go for it where there is no room.
    pub(super) fn append(&mut self, record: &[u8]) {
        let bytes = record.len() as u64;
        let added = if bytes > self.state.capacity {
            Err(io::Error::other("a line is longer than the spool"))
        } else {
            self.make_room(bytes)
        };
        if let Err(error) = added {
            self.lose(record, error);
            return;
        }
        self.gathered.extend_from_slice(record);
        self.state.next += bytes;
        if self.gathered.len() >= GATHERED_BYTES_MAX {
            self.write_gathered();
        }
    }

    /// Writes what was added.
    pub(super) fn commit(&mut self) {
        self.write_gathered();
        self.save();
    }

    /// The same, if something was. `false`: nothing was.
    pub(super) fn commit_if_changed(&mut self) -> bool {
        let is_changed = !self.gathered.is_empty();
        if is_changed {
            self.commit();
        }
        is_changed
    }

    /// The command has ended.
    pub(super) fn end(&mut self, end: End) {
        self.state.end = Some(end);
        self.commit();
    }

    /// Why lines could not be kept, the first time only.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.state.next - self.taken
    }

    /// Whether there is something to tell the log.
    pub(super) fn has_work(&self) -> bool {
        self.waiting_bytes() > 0 || self.state.lost > 0
    }

    /// The next records that were not sent: as many as fit, at least one. They count as taken until [`Spool::sent`] or
    /// [`Spool::again`].
    pub(super) fn batch(&mut self, records_max: usize, bytes_max: usize) -> io::Result<Batch> {
        self.write_gathered();
        let waiting = usize::try_from(self.waiting_bytes()).unwrap_or(usize::MAX);
        let mut records = self.read(self.taken, waiting.min(bytes_max))?;
        let mut ends = memchr::memchr_iter(b'\n', &records).take(records_max);
        let mut end = ends.next();
        if let Some(last) = ends.last() {
            end = Some(last);
        }
        if end.is_none() && waiting > 0 {
            // The first one alone is longer.
            records = self.record_at(self.taken)?;
            end = records.len().checked_sub(1);
        }
        records.truncate(end.map_or(0, |end| end + 1));
        self.taken += records.len() as u64;
        Ok(Batch { records, lost: self.state.lost, end: self.taken })
    }

    /// The hub has taken a batch into this life of the log.
    pub(super) fn sent(&mut self, batch: &Batch, epoch: Option<&str>) {
        self.state.sent = self.state.sent.max(batch.end);
        self.state.lost = self.state.lost.saturating_sub(batch.lost);
        if let Some(epoch) = epoch {
            self.state.epoch = Some(epoch.to_owned());
        }
        self.save();
    }

    /// A batch that was not taken is to be sent again, perhaps in other pieces.
    pub(super) fn put_back(&mut self) {
        self.taken = self.state.sent;
    }

    /// The hub has lost the log: everything that is still here is to be sent again. Returns how many lines are not here any
    /// more.
    pub(super) fn again(&mut self) -> u64 {
        self.state.sent = self.state.first;
        self.taken = self.state.first;
        self.state.lost = self.state.gone;
        self.state.epoch = None;
        self.save();
        self.state.gone
    }

    /// Whole lines that the hub has not taken.
    pub(super) fn unsent_lines(&mut self) -> io::Result<u64> {
        self.write_gathered();
        let (mut at, mut lines) = (self.state.sent, 0);
        while at < self.state.next {
            let record = self.record_at(at)?;
            lines += u64::from(is_whole(&record));
            at += record.len() as u64;
        }
        Ok(lines)
    }

    /// Lines that went before they were sent, since this process began.
    pub(super) fn lost_lines(&self) -> u64 {
        self.lost_ever
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    /// Lets the oldest records go until so many more bytes fit.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        while self.state.next - self.state.first + bytes > self.state.capacity {
            if self.state.next - self.gathered.len() as u64 <= self.state.first {
                self.write_gathered();
            }
            let record = self.record_at(self.state.first)?;
            let line = u64::from(is_whole(&record));
            self.state.first += record.len() as u64;
            self.state.gone += line;
            if self.state.first > self.taken {
                self.state.lost += line;
                self.lost_ever += line;
            }
            self.state.sent = self.state.sent.max(self.state.first);
            self.taken = self.taken.max(self.state.first);
        }
        Ok(())
    }

    fn lose(&mut self, record: &[u8], error: io::Error) {
        let line = u64::from(is_whole(record));
        self.state.gone += line;
        self.state.lost += line;
        self.lost_ever += line;
        self.failure.get_or_insert(error);
    }

    /// A record, from where it begins.
    fn record_at(&mut self, at: u64) -> io::Result<Vec<u8>> {
        let (from, look) = &self.look;
        let seen = at.checked_sub(*from).and_then(|skip| look.get(usize::try_from(skip).ok()?..));
        if let Some(end) = seen.and_then(|seen| memchr::memchr(b'\n', seen).map(|end| seen[..=end].to_vec()))
        {
            return Ok(end);
        }
        let there = usize::try_from(self.written() - at).unwrap_or(usize::MAX);
        let mut size = LOOK_BYTES;
        loop {
            let look = self.read(at, there.min(size))?;
            if let Some(end) = memchr::memchr(b'\n', &look) {
                let record = look[..=end].to_vec();
                self.look = (at, look);
                return Ok(record);
            }
            if size >= there {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the spool is damaged"));
            }
            size = size.saturating_mul(4);
        }
    }

    /// Where what was written ends.
    fn written(&self) -> u64 {
        self.state.next - self.gathered.len() as u64
    }

    fn read(&self, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        let (head, tail) = read.split_at_mut(self.before_seam(from, bytes));
        self.file.read_exact_at(head, self.place(from))?;
        self.file.read_exact_at(tail, HEADER_BYTES as u64)?;
        Ok(read)
    }

    fn write_gathered(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        if self.saved_first < self.state.first {
            // What is written over must not be what the file says that there is.
            self.save();
        }
        let from = self.written();
        let (head, tail) = self.gathered.split_at(self.before_seam(from, self.gathered.len()));
        let written = self
            .file
            .write_all_at(head, self.place(from))
            .and_then(|()| self.file.write_all_at(tail, HEADER_BYTES as u64));
        let gathered = std::mem::take(&mut self.gathered);
        if let Err(error) = written {
            self.state.next = from;
            let mut error = Some(error);
            for record in gathered.split_inclusive(|byte| *byte == b'\n') {
                self.lose(record, error.take().unwrap_or_else(|| io::ErrorKind::StorageFull.into()));
            }
        }
        self.gathered = gathered;
        self.gathered.clear();
    }

    /// How many of so many bytes lie before the end of the file, where the ring goes on at its beginning.
    fn before_seam(&self, from: u64, bytes: usize) -> usize {
        let room = self.state.capacity - from % self.state.capacity;
        bytes.min(usize::try_from(room).unwrap_or(usize::MAX))
    }

    fn place(&self, at: u64) -> u64 {
        HEADER_BYTES as u64 + at % self.state.capacity
    }

    /// Keeps the beginning of the file true; if that fails, the lines are sent all the same as long as this process runs.
    fn save(&mut self) {
        match self.write_header() {
            Ok(()) => self.saved_first = self.state.first,
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }

    fn write_header(&self) -> io::Result<()> {
        let mut state = self.state.clone();
        state.next = self.written();
        let mut header = serde_json::to_vec(&state)?;
        if header.len() >= HEADER_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the hub's URL is too long"));
        }
        header.resize(HEADER_BYTES - 1, b' ');
        header.push(b'\n');
        self.file.write_all_at(&header, 0)
    }
}
