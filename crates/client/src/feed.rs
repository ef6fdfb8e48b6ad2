//! What goes to a deployment's log: lines, its end, and which life of the log they are meant for. Knows no socket.

use bytes::Bytes;
use http::HeaderValue;

/// Lines for a deployment's log, sent with [`Publisher::feed`](crate::Publisher::feed).
#[derive(Debug, Clone, Default)]
pub struct LogLines {
    pub(crate) ndjson: Bytes,
    reopen: bool,
    epoch: Option<String>,
    /// The end behind them, and what the command returned, if it was one.
    end: Option<Option<i32>>,
}

impl LogLines {
    /// Lines that are JSON texts already, one a line.
    #[must_use]
    pub fn ndjson(lines: Bytes) -> Self {
        Self { ndjson: lines, ..Self::default() }
    }

    /// If the log has ended, it begins anew.
    #[must_use]
    pub fn with_reopen(mut self) -> Self {
        self.reopen = true;
        self
    }

    /// Only for this life of the log: the part before the dash of the ids that were answered. The hub refuses them with
    /// `EPOCH_CHANGED` if the log is another.
    #[must_use]
    pub fn with_epoch(mut self, epoch: &str) -> Self {
        self.epoch = Some(epoch.to_owned());
        self
    }

    /// The log is over behind them.
    #[must_use]
    pub fn with_end(mut self, exit_code: Option<i32>) -> Self {
        self.end = Some(exit_code);
        self
    }

    pub(crate) fn query(&self) -> [(&'static str, Option<String>); 4] {
        let yes = |is: bool| is.then(|| "true".to_owned());
        [
            ("reopen", yes(self.reopen)),
            ("epoch", self.epoch.clone()),
            ("end", yes(self.end.is_some())),
            ("exit_code", self.end.flatten().map(|code| code.to_string())),
        ]
    }
}

/// One request to a deployment's log, with a key of its own.
#[derive(Debug, Clone)]
pub struct Feed {
    pub(crate) path: String,
    pub(crate) lines: Bytes,
    pub(crate) key: HeaderValue,
}
