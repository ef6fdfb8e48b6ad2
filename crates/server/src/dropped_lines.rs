//! How many lines of the log were dropped. The program around the service logs, and knows; the service only
//! shows the count in its figures.

use std::fmt;
use std::sync::Arc;

/// Reads the number of log lines that were dropped so far. Cloning shares the source.
#[derive(Clone, Default)]
pub struct DroppedLines(Option<Arc<dyn Fn() -> u64 + Send + Sync>>);

impl DroppedLines {
    /// Lines counted by `count`. The default counts none: for a program whose log drops nothing.
    pub fn new(count: impl Fn() -> u64 + Send + Sync + 'static) -> DroppedLines {
        DroppedLines(Some(Arc::new(count)))
    }

    /// How many there are so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |count| count())
    }
}

impl fmt::Debug for DroppedLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DroppedLines").field(&self.count()).finish()
    }
}
