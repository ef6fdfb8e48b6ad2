//! What a server answers to a reader, taken apart piece by piece: no more than one entry is held at a time.

use bytes::Bytes;

use super::super::payload::Payload;
use super::super::wire::{Reply, Token, WireError, WireReader};
use super::entry_id::EntryId;
use super::position::StreamInfo;
use super::{StreamEntry, Table};

/// How many fields of an entry are kept.
const FIELDS_MAX: u64 = 1_024;
/// What a field costs beside its bytes.
const FIELD_BYTES: usize = size_of::<(Payload, Payload)>();
/// How long a name of XINFO or an id may be.
const WORD_BYTES_MAX: usize = 64;

/// Why a stream cannot be read: the error as Redis says it.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// The answers to MULTI and to what is queued behind it: whatever is refused is said.
pub(super) async fn queued(reader: &mut WireReader, count: usize) -> Result<Option<Refused>, WireError> {
    let mut refused = None;
    for _ in 0..count {
        if let Reply::Error(error) = reader.reply().await? {
            refused.get_or_insert(Refused(error));
        }
    }
    Ok(refused)
}

/// The head of what EXEC answers, of which `parts` are expected.
pub(super) async fn executed(reader: &mut WireReader, parts: u64) -> Result<Option<Refused>, WireError> {
    match reader.token(WORD_BYTES_MAX).await? {
        Token::Array(count) if count == parts => Ok(None),
        Token::Error(error) => Ok(Some(Refused(error))),
        _ => Err(WireError::Protocol),
    }
}

/// What XINFO STREAM answers; `None`: there is no such stream.
pub(super) async fn info(reader: &mut WireReader) -> Result<Result<Option<StreamInfo>, Refused>, WireError> {
    let pairs = match reader.token(WORD_BYTES_MAX).await? {
        Token::Map(pairs) => pairs,
        Token::Error(error) if error.contains("no such key") => return Ok(Ok(None)),
        Token::Error(error) => return Ok(Err(Refused(error))),
        _ => return Err(WireError::Protocol),
    };
    let (mut length, mut last, mut first, mut added) = (None, None, None, None);
    let mut deleted = EntryId::START;
    for _ in 0..pairs {
        let Token::Text(name) = reader.token(WORD_BYTES_MAX).await? else {
            return Err(WireError::Protocol);
        };
        match &*name.bytes {
            b"length" => length = number(reader).await?,
            b"entries-added" => added = number(reader).await?,
            b"last-generated-id" => last = id(reader).await?,
            b"max-deleted-entry-id" => deleted = id(reader).await?.unwrap_or_default(),
            // Before Redis 7 it is known from the entry alone.
            b"first-entry" => first = first_entry(reader).await?,
            _ => reader.skip().await?,
        }
    }
    let (Some(length), Some(last)) = (length, last) else { return Err(WireError::Protocol) };
    Ok(Ok(Some(StreamInfo { length, first: first.unwrap_or_default(), last, added, deleted })))
}

/// What XREVRANGE answers: how many entries, and the id of the last one that it names.
pub(super) async fn last_ids(
    reader: &mut WireReader,
) -> Result<Result<Option<(u64, EntryId)>, Refused>, WireError> {
    let count = match reader.token(WORD_BYTES_MAX).await? {
        Token::Array(count) => count,
        Token::Null => 0,
        Token::Error(error) => return Ok(Err(Refused(error))),
        _ => return Err(WireError::Protocol),
    };
    let mut last = None;
    for _ in 0..count {
        let Token::Array(2) = reader.token(WORD_BYTES_MAX).await? else { return Err(WireError::Protocol) };
        last = id(reader).await?;
        reader.skip().await?;
    }
    Ok(Ok(last.map(|last| (count, last))))
}

/// What XREAD answers of the stream `key`, given to the table. How many there were.
pub(super) async fn entries(
    reader: &mut WireReader,
    key: &str,
    table: &Table,
    keep_bytes: usize,
) -> Result<Result<u64, Refused>, WireError> {
    match reader.token(WORD_BYTES_MAX).await? {
        Token::Map(1) => {}
        Token::Null | Token::Map(0) => return Ok(Ok(0)),
        Token::Error(error) => return Ok(Err(Refused(error))),
        _ => return Err(WireError::Protocol),
    }
    // Its name.
    reader.skip().await?;
    let Token::Array(count) = reader.token(WORD_BYTES_MAX).await? else { return Err(WireError::Protocol) };
    for _ in 0..count {
        let Token::Array(2) = reader.token(WORD_BYTES_MAX).await? else { return Err(WireError::Protocol) };
        let id = id(reader).await?.ok_or(WireError::Protocol)?;
        let (entry, bytes) = entry(reader, id, keep_bytes).await?;
        table.entry(key, &entry, bytes);
    }
    Ok(Ok(count))
}

/// The names of the streams that XREAD has something of.
pub(super) async fn names(
    reader: &mut WireReader,
    mut each: impl FnMut(&str),
    name_bytes_max: usize,
) -> Result<Result<(), Refused>, WireError> {
    let streams = match reader.token(WORD_BYTES_MAX).await? {
        Token::Map(streams) => streams,
        Token::Null => 0,
        Token::Error(error) => return Ok(Err(Refused(error))),
        _ => return Err(WireError::Protocol),
    };
    for _ in 0..streams {
        let Token::Text(name) = reader.token(name_bytes_max).await? else { return Err(WireError::Protocol) };
        each(std::str::from_utf8(&name.bytes).map_err(|_| WireError::Protocol)?);
        reader.skip().await?;
    }
    Ok(Ok(()))
}

/// The fields of an entry, and what it costs: the first `keep_bytes` of them all.
async fn entry(
    reader: &mut WireReader,
    id: EntryId,
    keep_bytes: usize,
) -> Result<(StreamEntry, usize), WireError> {
    let words = match reader.token(WORD_BYTES_MAX).await? {
        Token::Array(words) => words,
        // Deleted, and named all the same by some servers.
        Token::Null => 0,
        _ => return Err(WireError::Protocol),
    };
    let kept = (words / 2).min(FIELDS_MAX);
    let mut left = keep_bytes;
    let mut fields = Vec::with_capacity(usize::try_from(kept.min(64)).unwrap_or_default());
    let mut fields_left_out = words / 2 - kept;
    for _ in 0..kept {
        if left == 0 {
            fields_left_out += 1;
            reader.skip().await?;
            reader.skip().await?;
            continue;
        }
        let name = word(reader, &mut left).await?;
        let value = word(reader, &mut left).await?;
        fields.push((name, value));
    }
    for _ in 2 * kept..words {
        reader.skip().await?;
    }
    fields.shrink_to_fit();
    let bytes = keep_bytes - left + fields.len() * FIELD_BYTES;
    Ok((StreamEntry { id, fields, fields_left_out }, bytes))
}

async fn word(reader: &mut WireReader, left: &mut usize) -> Result<Payload, WireError> {
    match reader.token(*left).await? {
        Token::Text(word) => {
            *left -= word.bytes.len();
            Ok(word)
        }
        first => {
            // No field is anything else.
            reader.skip_rest(&first).await?;
            Ok(Payload { bytes: Bytes::new(), whole_bytes: 0 })
        }
    }
}

async fn id(reader: &mut WireReader) -> Result<Option<EntryId>, WireError> {
    let Token::Text(text) = reader.token(WORD_BYTES_MAX).await? else { return Err(WireError::Protocol) };
    let text = std::str::from_utf8(&text.bytes).map_err(|_| WireError::Protocol)?;
    text.parse().map(Some).map_err(|_| WireError::Protocol)
}

async fn number(reader: &mut WireReader) -> Result<Option<u64>, WireError> {
    match reader.token(WORD_BYTES_MAX).await? {
        Token::Integer(number) => Ok(u64::try_from(number).ok()),
        _ => Err(WireError::Protocol),
    }
}

async fn first_entry(reader: &mut WireReader) -> Result<Option<EntryId>, WireError> {
    match reader.token(WORD_BYTES_MAX).await? {
        Token::Array(2) => {
            let first = id(reader).await?;
            reader.skip().await?;
            Ok(first)
        }
        Token::Null => Ok(None),
        _ => Err(WireError::Protocol),
    }
}
