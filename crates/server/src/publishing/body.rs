//! A request's body: bounded in bytes, in time, and charged to the budget while it is held.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use watertight::Budget;
use watertight_core::{Owner, Permit};

use crate::problem::{Problem, unavailable};

/// Bytes charged at a time while a body grows.
const CHARGE_BYTES: usize = 64 * 1024;

/// A body that was read, and its charge.
#[derive(Debug)]
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    _charged: Vec<Permit>,
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
    budget: &Arc<Budget>,
) -> Result<ReadBody, Problem> {
    refuse_encodings(headers)?;
    // Refused before a byte of it is read, if it says so itself.
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limits.max_bytes) {
        return Err(too_large(limits));
    }
    match tokio::time::timeout(limits.timeout, collect(body, limits, budget)).await {
        Ok(read) => read,
        Err(_) => {
            let detail = format!("the body was not complete within {} s", limits.timeout.as_secs_f64());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT", detail))
        }
    }
}

async fn collect(mut body: Body, limits: BodyLimits, budget: &Arc<Budget>) -> Result<ReadBody, Problem> {
    let mut bytes = BytesMut::new();
    let mut charged = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request("MALFORMED_BODY", error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits.max_bytes {
            return Err(too_large(limits));
        }
        while charged.len() * CHARGE_BYTES < bytes.len() + data.len() {
            let permit = budget.try_charge(Owner::Requests, CHARGE_BYTES);
            charged.push(permit.map_err(|error| unavailable("OVERLOADED", error.to_string()))?);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(ReadBody { bytes: bytes.freeze(), _charged: charged })
}

fn too_large(limits: BodyLimits) -> Problem {
    Problem::too_large(limits.code, format!("at most {} bytes are taken here", limits.max_bytes))
}

/// A compressed body could be a bomb; nobody has asked for compression yet.
fn refuse_encodings(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_ENCODING",
            "send the body as it is, without Content-Encoding",
        )),
        _ => Ok(()),
    }
}
