//! A connection to Redis of the hub's own: what comes is read piece by piece (RESP3), so that a message of 512 MB costs no more
//! memory than the part of it that is kept. The library's connection, which commands go over, holds every answer whole.
//!
//! Not made for being cancelled in the middle of a reply: a connection is dropped with the future that reads it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep, timeout};
use watertight_core::{Budget, Owner, Permit};

use super::payload::Payload;
use crate::outbound::Bytestream;

/// How much is read at once, bytes.
const READ_BYTES: usize = 16 * 1024;
/// What ends a line and a text.
const LINE_END: &[u8] = b"\r\n";
/// How long a line may be: a number, a status, an error.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// How long Redis may take to accept what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a whole reply is kept: of a cluster's map, the largest that is asked for, it is some kilobytes.
const REPLY_PARTS_MAX: usize = 64 * 1024;
const REPLY_TEXT_BYTES_MAX: usize = 1_024;
const REPLY_DEPTH_MAX: u32 = 8;

/// Why a connection cannot be read or written any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    #[error("it closed the connection")]
    Closed,
    #[error("{0}")]
    Io(String),
    #[error("it does not answer")]
    TimedOut,
    /// It is no Redis, or none of a kind that is known.
    #[error("it does not speak as Redis does (RESP3)")]
    Protocol,
}

impl From<std::io::Error> for WireError {
    fn from(error: std::io::Error) -> WireError {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => WireError::Closed,
            _ => WireError::Io(error.to_string()),
        }
    }
}

/// The next piece of what Redis says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// An array or a set of so many replies follows.
    Array(u64),
    /// So many pairs of replies follow.
    Map(u64),
    /// Not an answer: so many replies follow.
    Push(u64),
    Text(Payload),
    Integer(i64),
    /// An error, with its code.
    Error(String),
    Null,
    /// A number with a fraction, or a truth value.
    Other,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Maps are arrays of keys and values in turn.
    Array(Vec<Reply>),
    Text(Bytes),
    Integer(i64),
    Error(String),
    Null,
    Other,
}

impl Reply {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Reply::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(super) fn parts(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(parts) => Some(parts),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Reply::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// When something came last.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    /// From now on it counts as silent.
    pub(super) fn begin(&self) {
        *self.0.lock() = Instant::now();
    }

    /// How long nothing has come.
    pub(super) fn silence(&self) -> Duration {
        self.0.lock().elapsed()
    }

    /// Reads what is awaited, as long as anything of it comes: a large answer may take its time.
    pub(super) async fn watch<T>(
        &self,
        silence_max: Duration,
        reading: impl Future<Output = Result<T, WireError>>,
    ) -> Result<T, WireError> {
        self.begin();
        let silence = async {
            loop {
                let silence = self.silence();
                if silence >= silence_max {
                    return;
                }
                sleep(silence_max - silence).await;
            }
        };
        tokio::select! {
            // What has come first: on a busy machine an answer and the end of waiting for it come at once.
            biased;
            read = reading => read,
            () = silence => Err(WireError::TimedOut),
        }
    }
}

/// What is read from a connection.
pub(super) struct WireReader {
    stream: ReadHalf<Bytestream>,
    buffer: BytesMut,
    activity: Activity,
    /// For the buffer.
    _permit: Permit,
}

/// What is written to a connection.
pub(super) struct WireWriter {
    stream: WriteHalf<Bytestream>,
    buffer: Vec<u8>,
}

/// Both ways of a connection.
pub(super) fn wire(stream: Bytestream, budget: &Arc<Budget>) -> (WireReader, WireWriter) {
    let (read, write) = tokio::io::split(stream);
    let permit = budget.charge(Owner::Sources, 2 * READ_BYTES);
    let activity = Activity(Arc::new(Mutex::new(Instant::now())));
    let buffer = BytesMut::with_capacity(READ_BYTES);
    let reader = WireReader { stream: read, buffer, activity, _permit: permit };
    (reader, WireWriter { stream: write, buffer: Vec::new() })
}

impl WireWriter {
    /// Adds a command to what [`flush`](WireWriter::flush) sends.
    pub(super) fn add(&mut self, words: &[&[u8]]) {
        let header = |buffer: &mut Vec<u8>, kind: u8, count: usize| {
            buffer.push(kind);
            buffer.extend_from_slice(count.to_string().as_bytes());
            buffer.extend_from_slice(b"\r\n");
        };
        header(&mut self.buffer, b'*', words.len());
        for word in words {
            header(&mut self.buffer, b'$', word.len());
            self.buffer.extend_from_slice(word);
            self.buffer.extend_from_slice(b"\r\n");
        }
    }

    /// How much would be sent now, bytes.
    pub(super) fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    pub(super) async fn flush(&mut self) -> Result<(), WireError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE_TIMEOUT, async {
            self.stream.write_all(&self.buffer).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| WireError::TimedOut)??;
        self.buffer.clear();
        self.buffer.shrink_to(READ_BYTES);
        Ok(())
    }
}

impl WireReader {
    /// When something came last.
    pub(super) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// The next piece. Of a longer text the first `keep_bytes` are kept.
    pub(super) async fn token(&mut self, keep_bytes: usize) -> Result<Token, WireError> {
        loop {
            let length = self.line().await?;
            let head = head_of(&self.buffer[..length])?;
            self.buffer.advance(length + LINE_END.len());
            match head {
                Head::Whole(token) => return Ok(token),
                Head::Text(count) => return Ok(Token::Text(self.text(count, keep_bytes).await?)),
                Head::LongError(count) => {
                    let text = self.text(count, LINE_BYTES_MAX).await?;
                    return Ok(Token::Error(String::from_utf8_lossy(&text.bytes).into_owned()));
                }
                Head::About(pairs) => {
                    for _ in 0..pairs.saturating_mul(2) {
                        Box::pin(self.skip()).await?;
                    }
                }
            }
        }
    }

    /// Reads a reply and keeps nothing of it.
    pub(super) async fn skip(&mut self) -> Result<(), WireError> {
        let first = self.token(0).await?;
        self.skip_rest(&first).await
    }

    /// The same of one whose first piece has been read.
    pub(super) async fn skip_rest(&mut self, first: &Token) -> Result<(), WireError> {
        let mut left = parts_of(first);
        while left > 0 {
            let token = self.token(0).await?;
            left = (left - 1).saturating_add(parts_of(&token));
        }
        Ok(())
    }

    /// A whole reply, of which no text is long and no list endless.
    pub(super) async fn reply(&mut self) -> Result<Reply, WireError> {
        let first = self.token(REPLY_TEXT_BYTES_MAX).await?;
        self.reply_from(first).await
    }

    /// The same of one whose first piece has been read.
    pub(super) async fn reply_from(&mut self, first: Token) -> Result<Reply, WireError> {
        let mut parts_left = REPLY_PARTS_MAX;
        self.reply_rest(first, &mut parts_left, REPLY_DEPTH_MAX).await
    }

    async fn reply_rest(
        &mut self,
        first: Token,
        parts_left: &mut usize,
        depth_left: u32,
    ) -> Result<Reply, WireError> {
        let parts = parts_of(&first);
        Ok(match first {
            Token::Text(text) => Reply::Text(text.bytes),
            Token::Integer(number) => Reply::Integer(number),
            Token::Error(error) => Reply::Error(error),
            Token::Null => Reply::Null,
            Token::Other => Reply::Other,
            Token::Array(_) | Token::Map(_) | Token::Push(_) => {
                let count = usize::try_from(parts).map_err(|_| WireError::Protocol)?;
                *parts_left = parts_left.checked_sub(count).ok_or(WireError::Protocol)?;
                let depth_left = depth_left.checked_sub(1).ok_or(WireError::Protocol)?;
                let mut replies = Vec::with_capacity(count);
                for _ in 0..count {
                    let token = self.token(REPLY_TEXT_BYTES_MAX).await?;
                    replies.push(Box::pin(self.reply_rest(token, parts_left, depth_left)).await?);
                }
                Reply::Array(replies)
            }
        })
    }

    async fn text(&mut self, count: u64, keep_bytes: usize) -> Result<Payload, WireError> {
        let keep = usize::try_from(count).unwrap_or(usize::MAX).min(keep_bytes);
        // Memory of its own: a short text must not hold the whole buffer. It grows as bytes come.
        let mut kept = Vec::with_capacity(keep.min(READ_BYTES));
        let mut left = count;
        while left > 0 {
            self.fill(1).await?;
            let some = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            kept.extend_from_slice(&self.buffer[..some.min(keep - kept.len())]);
            self.buffer.advance(some);
            left -= some as u64;
        }
        self.fill(LINE_END.len()).await?;
        if !self.buffer.starts_with(LINE_END) {
            return Err(WireError::Protocol);
        }
        self.buffer.advance(LINE_END.len());
        kept.shrink_to_fit();
        Ok(Payload { bytes: kept.into(), whole_bytes: count })
    }

    /// Reads until the buffer begins with a whole line. Returns how long it is without its end.
    async fn line(&mut self) -> Result<usize, WireError> {
        let mut seen = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer[seen..], LINE_END) {
                return Ok(seen + at);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(WireError::Protocol);
            }
            // The line break may be cut in two.
            let have = self.buffer.len();
            seen = have.saturating_sub(1);
            self.fill(have + 1).await?;
        }
    }

    /// Reads until there are so many bytes, no more than [`READ_BYTES`].
    async fn fill(&mut self, bytes: usize) -> Result<(), WireError> {
        while self.buffer.len() < bytes {
            self.buffer.reserve(READ_BYTES);
            let limit = READ_BYTES as u64;
            let read = (&mut self.stream).take(limit).read_buf(&mut self.buffer).await?;
            if read == 0 {
                return Err(WireError::Closed);
            }
            self.activity.begin();
        }
        Ok(())
    }
}

/// What a line says of the piece that begins with it. Most lines are lengths: nothing is allocated for those.
enum Head {
    /// It is all of it.
    Whole(Token),
    /// A text of so many bytes follows.
    Text(u64),
    /// An error of more than a line follows, of so many bytes.
    LongError(u64),
    /// So many pairs follow about the reply behind them; nobody here asks for those.
    About(u64),
}

fn head_of(line: &[u8]) -> Result<Head, WireError> {
    let (kind, rest) = line.split_first().ok_or(WireError::Protocol)?;
    let rest = std::str::from_utf8(rest).map_err(|_| WireError::Protocol)?;
    Ok(Head::Whole(match kind {
        b'+' => Token::Text(whole(rest.as_bytes())),
        b'(' | b',' | b'#' => Token::Other,
        b'-' => Token::Error(rest.to_owned()),
        b':' => Token::Integer(rest.parse().map_err(|_| WireError::Protocol)?),
        b'_' => Token::Null,
        b'$' | b'*' if rest == "-1" => Token::Null,
        b'$' | b'=' => return Ok(Head::Text(count(rest)?)),
        b'!' => return Ok(Head::LongError(count(rest)?)),
        b'*' | b'~' => Token::Array(count(rest)?),
        b'%' => Token::Map(count(rest)?),
        b'>' => Token::Push(count(rest)?),
        b'|' => return Ok(Head::About(count(rest)?)),
        _ => return Err(WireError::Protocol),
    }))
}

/// How many replies follow this piece and belong to it.
fn parts_of(token: &Token) -> u64 {
    match token {
        Token::Array(count) | Token::Push(count) => *count,
        Token::Map(pairs) => pairs.saturating_mul(2),
        _ => 0,
    }
}

fn whole(bytes: &[u8]) -> Payload {
    Payload { bytes: Bytes::copy_from_slice(bytes), whole_bytes: bytes.len() as u64 }
}

fn count(digits: &str) -> Result<u64, WireError> {
    digits.parse().map_err(|_| WireError::Protocol)
}
