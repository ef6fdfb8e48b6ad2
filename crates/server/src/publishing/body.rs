//! A request's body: bounded in bytes, in time, and charged to the budget at what is allocated for it, before it
//! is allocated.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use watertight::Hub;
use watertight_core::{Exhausted, Owner, Permit};

use crate::problem::{Problem, unavailable};

/// Taken at first of what a body says it will be, bytes. More is taken only as it comes: a head that declares
/// megabytes and sends nothing must not hold them.
const FIRST_BYTES: usize = 8 * 1024;
/// Taken at first for a body that does not say how long it will be.
const FIRST_BYTES_UNDECLARED: usize = 4 * 1024;

/// A body that was read, and its charge.
#[derive(Debug)]
pub(crate) struct ReadBody {
    pub(crate) bytes: Vec<u8>,
    /// For `bytes`' capacity; `None` for an empty body.
    _charged: Option<Permit>,
}

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) max_bytes: usize,
    /// The code of the refusal if it is larger.
    pub(crate) code: &'static str,
    pub(crate) timeout: Duration,
}

/// Reads the whole body. Dropping the future gives its charge back.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
    hub: &Hub,
) -> Result<ReadBody, Problem> {
    let declared = declared(headers, limits)?;
    within(limits, collect(body, declared, limits, hub)).await
}

/// Reads the whole body and holds nothing of it; answers with its length.
pub(crate) async fn count(headers: &HeaderMap, body: Body, limits: BodyLimits) -> Result<usize, Problem> {
    declared(headers, limits)?;
    within(limits, length(body, limits)).await
}

/// The length that the body says it has. One that cannot be taken is refused before a byte of it is read.
fn declared(headers: &HeaderMap, limits: BodyLimits) -> Result<Option<usize>, Problem> {
    refuse_encodings(headers)?;
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limits.max_bytes) {
        return Err(too_large(limits));
    }
    Ok(declared)
}

async fn within<T>(
    limits: BodyLimits,
    reading: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(limits.timeout, reading).await {
        Ok(read) => read,
        Err(_) => {
            let detail = format!("the body was not complete within {} s", limits.timeout.as_secs_f64());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT", detail))
        }
    }
}

async fn length(mut body: Body, limits: BodyLimits) -> Result<usize, Problem> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request("MALFORMED_BODY", error.to_string()))?;
        length += frame.data_ref().map_or(0, bytes::Bytes::len);
        if length > limits.max_bytes {
            return Err(too_large(limits));
        }
    }
    Ok(length)
}

async fn collect(
    mut body: Body,
    declared: Option<usize>,
    limits: BodyLimits,
    hub: &Hub,
) -> Result<ReadBody, Problem> {
    let mut read = ReadBody { bytes: Vec::new(), _charged: None };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request("MALFORMED_BODY", error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let needed = read.bytes.len() + data.len();
        if needed > limits.max_bytes {
            return Err(too_large(limits));
        }
        if needed > read.bytes.capacity() {
            let capacity = capacity_for(needed, read.bytes.capacity(), declared, limits.max_bytes);
            read.grow(capacity, hub).map_err(|error| unavailable("OVERLOADED", error.to_string()))?;
        }
        read.bytes.extend_from_slice(&data);
    }
    Ok(read)
}

/// How much is taken when `needed` do not fit `capacity`: twice as much as before, but not beyond what the body
/// says it will be, or may be.
fn capacity_for(needed: usize, capacity: usize, declared: Option<usize>, max_bytes: usize) -> usize {
    let (most, first) = match declared {
        Some(declared) => (declared, FIRST_BYTES),
        None => (max_bytes, FIRST_BYTES_UNDECLARED),
    };
    first.max(2 * capacity).min(most).max(needed)
}

impl ReadBody {
    /// Makes room for `capacity` bytes in all. What was taken before is charged, too, until it is copied.
    fn grow(&mut self, capacity: usize, hub: &Hub) -> Result<(), Exhausted> {
        let charged = hub.charge(Owner::Requests, capacity)?;
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(&self.bytes);
        self.bytes = bytes;
        self._charged = Some(charged);
        Ok(())
    }
}

pub(crate) fn too_large(limits: BodyLimits) -> Problem {
    Problem::too_large(limits.code, format!("at most {} bytes are taken here", limits.max_bytes))
}

/// A compressed body could be a decompression bomb, and compression is not needed so far.
fn refuse_encodings(headers: &HeaderMap) -> Result<(), Problem> {
    let is_plain = all_are(headers, &header::CONTENT_ENCODING, b"identity")
        && all_are(headers, &header::TRANSFER_ENCODING, b"chunked");
    if is_plain {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_ENCODING",
        "send the body as it is, without Content-Encoding and without another Transfer-Encoding than chunked",
    ))
}

/// Whether each item of each field of this name is `only`.
fn all_are(headers: &HeaderMap, name: &HeaderName, only: &[u8]) -> bool {
    let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut items = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    items.all(|item| item.eq_ignore_ascii_case(only))
}

#[cfg(test)]
mod tests {
    use super::capacity_for;

    #[test]
    fn a_body_takes_what_it_declares_once_most_of_it_came_and_never_more() {
        const MIB: usize = 1 << 20;
        assert_eq!(capacity_for(100, 0, Some(100), 8 * MIB), 100, "a small one fits at once");
        assert_eq!(capacity_for(1, 0, Some(8 * MIB), 8 * MIB), 8 * 1024, "a large one shows itself first");
        assert_eq!(capacity_for(5 * MIB, 4 * MIB, Some(8 * MIB), 8 * MIB), 8 * MIB);
        assert_eq!(capacity_for(5 * MIB, 4 * MIB, Some(6 * MIB), 8 * MIB), 6 * MIB, "no more than declared");
        assert_eq!(capacity_for(1, 0, None, 8 * MIB), 4 * 1024);
        assert_eq!(capacity_for(5 * MIB, 4 * MIB, None, 6 * MIB), 6 * MIB, "no more than allowed");
        assert_eq!(capacity_for(MIB, 0, None, 8 * MIB), MIB, "what came has to fit");
    }
}
