//! Why a service cannot be sampled: a stable code, and a sentence for people. Neither ever has an address in it.

use std::borrow::Cow;

use serde::Serialize;

/// The kind of a [`SampleError`], stable, written in capitals in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Code {
    /// No connection to the endpoint, or it broke.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The endpoint answered something else than 200; redirects are not followed.
    HttpStatus,
    /// The answer is longer than is read.
    TooLarge,
    /// The answer holds no metrics.
    NotMetrics,
    /// The budget has no room for the answer.
    NoMemory,
    /// The process has ended, or another has its id.
    NoSuchProcess,
    /// The control group is not there.
    NoSuchCgroup,
    /// Files of the kernel may not be read, or are not what they should be.
    Unreadable,
}

/// Why a service cannot be sampled now. The next sample may succeed, whatever the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{detail}")]
pub struct SampleError {
    /// What kind of error it is.
    pub code: Code,
    /// The same for people.
    pub detail: Cow<'static, str>,
}

impl SampleError {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> SampleError {
        SampleError { code, detail: detail.into() }
    }
}
