//! A source that follows a file, as `tail -F` does.
//!
//! What every source is about stands in [`TailFile::run`]: it may be dropped wherever it waits, so nothing is half done
//! at an `.await`, and what it must remember afterwards stands in `self`.

use std::io::{ErrorKind, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use watertight::{Event, Feed, Source, SourceError};

/// How often the file is looked at. A poll is one `open` and one `stat`: it works on every file system, and costs nothing
/// while nobody watches.
const POLL: Duration = Duration::from_millis(200);
/// What is read at once, bytes. A longer line is sent in parts.
const PART_BYTES: usize = 64 * 1024;
/// Lines that are published at once, at most.
const BATCH_MAX: usize = 100;

/// Follows the file of a path: whole lines, one event each.
pub struct TailFile {
    path: PathBuf,
    history: u32,
    /// How far it has come, kept while nobody watches; it lives as long as the session does.
    mark: Mutex<Option<Mark>>,
}

/// A place in a file.
#[derive(Clone, Copy)]
struct Mark {
    file: FileId,
    offset: u64,
}

/// Which file it is: a path may lead to another one at any time. With its birth, since the numbers of deleted files are
/// given again.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

impl TailFile {
    /// Follows `path`, beginning with its last `history` lines.
    pub fn new(path: impl Into<PathBuf>, history: u32) -> TailFile {
        TailFile { path: path.into(), history, mark: Mutex::new(None) }
    }

    fn mark(&self) -> Option<Mark> {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_mark(&self, mark: Mark) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
    }

    /// Publishes what is new since the mark.
    async fn poll(&self, feed: &Feed) -> Result<(), SourceError> {
        let mut file = match File::open(&self.path).await {
            // No error: it is written anew in a moment, or tomorrow. Readers are told that we wait.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                feed.waiting("the file is not there");
                return Ok(());
            }
            opened => opened?,
        };
        let found = file.metadata().await?;
        let id = FileId { device: found.dev(), inode: found.ino(), born: found.created().ok() };
        let mut mark = match self.mark() {
            Some(mark) if mark.file == id && mark.offset <= found.len() => mark,
            // Replaced or truncated: of what stood behind the mark, nobody knows how much we have not seen.
            Some(_) => {
                feed.gap(None)?;
                Mark { file: id, offset: 0 }
            }
            None => Mark { file: id, offset: self.beginning(&mut file, found.len()).await? },
        };
        self.set_mark(mark);
        file.seek(SeekFrom::Start(mark.offset)).await?;
        let mut part = Vec::with_capacity(PART_BYTES);
        loop {
            let missing = PART_BYTES - part.len();
            (&mut file).take(missing as u64).read_to_end(&mut part).await?;
            let (events, used) = whole_lines(&part);
            if events.is_empty() {
                // Not before it was read: a success sets the count of errors back.
                feed.succeeded();
                return Ok(());
            }
            // The events are in the log when this returns, and the mark is set before anything else is waited for: wherever
            // we are dropped, nothing is published twice, and nothing is left out.
            let fed = feed.append_batch(&events).await?;
            mark.offset += used as u64;
            self.set_mark(mark);
            part.drain(..used);
            // Not faster than those who read: this is what keeps memory bounded.
            fed.paced().await;
        }
    }

    /// Where the last lines begin that are history.
    async fn beginning(&self, file: &mut File, len: u64) -> Result<u64, SourceError> {
        let from = len.saturating_sub(PART_BYTES as u64);
        file.seek(SeekFrom::Start(from)).await?;
        let mut part = Vec::with_capacity(PART_BYTES);
        file.take(PART_BYTES as u64).read_to_end(&mut part).await?;
        let ends: Vec<_> = (0..part.len()).filter(|at| part[*at] == b'\n').collect();
        let begin = match ends.len().checked_sub(self.history as usize + 1) {
            Some(before) => ends[before] + 1,
            None if from == 0 => 0,
            // Its first line began earlier.
            None => ends.first().map_or(0, |end| end + 1),
        };
        Ok(from + begin as u64)
    }
}

impl Source for TailFile {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        loop {
            self.poll(&feed).await?;
            tokio::time::sleep(POLL).await;
        }
    }
}

/// An event for each whole line, and how many bytes they are. Bytes are looked for, not characters: a character that is
/// half written belongs to a line that has no end yet.
fn whole_lines(part: &[u8]) -> (Vec<Event>, usize) {
    let (mut events, mut used) = (Vec::new(), 0);
    for line in part.split_inclusive(|byte| *byte == b'\n').take(BATCH_MAX) {
        let line = match line.strip_suffix(b"\n") {
            Some(text) => {
                used += line.len();
                text.strip_suffix(b"\r").unwrap_or(text)
            }
            // No end in all that is read at once: a part of it, as far as its characters are whole.
            None if events.is_empty() && line.len() >= PART_BYTES => {
                used = line.len() - begun_character(line);
                &line[..used]
            }
            None => break,
        };
        events.push(Event::new(String::from_utf8_lossy(line)));
    }
    (events, used)
}

/// How many bytes at the end belong to a character that is not whole.
fn begun_character(bytes: &[u8]) -> usize {
    let begins = (1..=3).find(|back| bytes.len() >= *back && bytes[bytes.len() - back] & 0xC0 != 0x80);
    let begins = begins.filter(|back| {
        let size = match bytes[bytes.len() - back] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        size > *back
    });
    begins.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(part: &[u8]) -> (Vec<String>, usize) {
        let (events, used) = whole_lines(part);
        (events.iter().map(|event| event.data.to_string()).collect(), used)
    }

    #[test]
    fn a_line_without_its_end_waits_for_it() {
        assert_eq!(lines(b"a\r\n\nb\nhalf"), (vec!["a".into(), String::new(), "b".into()], 6));
        assert_eq!(lines("\u{e4}".as_bytes()), (vec![], 0));
    }

    #[test]
    fn a_line_that_is_too_long_is_sent_in_parts_of_whole_characters() {
        for (character, size) in [("a", 1), ("\u{e4}", 2), ("\u{20ac}", 3), ("\u{1f30a}", 4)] {
            for shift in 0..4 {
                let text = "x".repeat(shift) + &character.repeat(PART_BYTES);
                let (parts, used) = lines(&text.as_bytes()[..PART_BYTES]);
                assert_eq!(parts.concat(), text[..used], "{character} {shift}");
                assert!(used > PART_BYTES - size, "{character} {shift}: {used}");
            }
        }
    }

    #[test]
    fn no_more_lines_are_taken_at_once_than_a_batch_holds() {
        let (parts, used) = lines(&b"\n".repeat(1000));
        assert_eq!((parts.len(), used), (BATCH_MAX, BATCH_MAX));
    }
}
