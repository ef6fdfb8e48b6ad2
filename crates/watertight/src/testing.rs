//! For tests of what is built on this library: [`SourceCheck`], which holds a [`Source`] to all that it promises.
//!
//! With the feature `testing`, which belongs among the `[dev-dependencies]`:
//!
//! ```toml
//! [dev-dependencies]
//! watertight = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```
//! use tokio::sync::broadcast::{Sender, error::RecvError};
//! use watertight::testing::SourceCheck;
//! use watertight::{Event, Feed, Source, SourceError};
//!
//! /// Passes on what is sent to a channel.
//! struct Passes(Sender<String>);
//!
//! impl Source for Passes {
//!     async fn run(&self, feed: Feed) -> Result<(), SourceError> {
//!         let mut lines = self.0.subscribe();
//!         loop {
//!             match lines.recv().await {
//!                 Ok(line) => drop(feed.publish(Event::new(line)).await?),
//!                 Err(RecvError::Lagged(missed)) => feed.gap(Some(missed))?,
//!                 Err(RecvError::Closed) => return Err(SourceError::new("nobody sends any more")),
//!             }
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let sender = Sender::new(16);
//! let (for_source, for_leaves) = (sender.clone(), sender.clone());
//! SourceCheck::of(move || Passes(for_source.clone()))
//!     .stirred_by({
//!         let mut count = 0;
//!         move || {
//!             count += 1;
//!             drop(sender.send(format!("news {count}")));
//!         }
//!     })
//!     .leaves(move || for_leaves.receiver_count() == 0)
//!     .says_everything_once()
//!     .run()
//!     .await;
//! # }
//! ```

mod check_hub;
mod checks;
mod promise;
mod reader;
mod watched;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub use self::promise::{BrokenPromise, Promise};
use crate::source::Source;

/// How long a check waits for one thing unless told otherwise: longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a source anew.
type Made<S> = Box<dyn Fn() -> S + Send>;

/// What stands around a source, as its author tells it.
struct Around {
    stirs: Option<Box<dyn FnMut() + Send>>,
    has_left: Box<dyn Fn() -> bool + Send>,
    breaks: Option<Box<dyn FnMut(bool) + Send>>,
    says_once: bool,
    patience: Duration,
}

impl Around {
    fn stir(&mut self) {
        if let Some(stirs) = &mut self.stirs {
            stirs();
        }
    }
}

/// Checks a [`Source`] on a hub of its own: that it
///
/// - starts with its first subscriber and not before, serves all of them with one run, and stops after the last;
/// - can be dropped at every await: nothing of it is left then, no task and nothing that
///   [`leaves`](SourceCheck::leaves) knows of, and it can be run again;
/// - can be run again after an error and after a panic, and takes nobody else along;
/// - stops at once when its session ends;
/// - tells its readers when what it feeds from is broken, and goes on when that is mended
///   ([`broken_by`](SourceCheck::broken_by)).
///
/// It is for sources that go on for as long as somebody watches, so none that comes to an end by itself. Sources run on a
/// runtime that the check makes for them, so that one that holds up its thread is found out. The closures given here
/// are called on another thread, outside of any runtime. It takes as long as about twenty events, and some hundredths of a
/// second for each await; more if a promise is not kept.
#[must_use = "nothing is checked before `run`"]
pub struct SourceCheck<S> {
    make: Made<S>,
    around: Around,
}

impl<S> fmt::Debug for SourceCheck<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceCheck")
    }
}

impl<S: Source> SourceCheck<S> {
    /// Checks what `make` makes; it is made anew for each check.
    pub fn of(make: impl Fn() -> S + Send + 'static) -> SourceCheck<S> {
        let around = Around {
            stirs: None,
            has_left: Box::new(|| true),
            breaks: None,
            says_once: false,
            patience: PATIENCE,
        };
        SourceCheck { make: Box::new(make), around }
    }

    /// Gives it something to say. Called whenever an event is to come, and again every 100 ms until it has. Not needed by
    /// a source that speaks by itself.
    pub fn stirred_by(mut self, stirs: impl FnMut() + Send + 'static) -> SourceCheck<S> {
        self.around.stirs = Some(Box::new(stirs));
        self
    }

    /// Whether nothing of it is left: no open file, connection or subscription. Asked again until it holds, since
    /// some things close behind the scenes. Tasks that it spawned are counted without this.
    pub fn leaves(mut self, has_left: impl Fn() -> bool + Send + 'static) -> SourceCheck<S> {
        self.around.has_left = Box::new(has_left);
        self
    }

    /// Breaks what it feeds from (`true`), and mends it (`false`).
    pub fn broken_by(mut self, breaks: impl FnMut(bool) + Send + 'static) -> SourceCheck<S> {
        self.around.breaks = Some(Box::new(breaks));
        self
    }

    /// Each call of [`stirred_by`](SourceCheck::stirred_by) gives it something else to say, so an event that comes twice in
    /// its session is a broken promise: also after it was dropped at an await and run again.
    pub fn says_everything_once(mut self) -> SourceCheck<S> {
        self.around.says_once = true;
        self
    }

    /// How long to wait for one thing before the promise counts as broken: 10 s unless said otherwise. Time in which the
    /// machine stands still counts little.
    pub fn patience(mut self, patience: Duration) -> SourceCheck<S> {
        self.around.patience = patience;
        self
    }

    /// Runs all checks. Dropping the future ends the one under way.
    ///
    /// # Panics
    /// When a promise is not kept, with which it is and what was seen instead; or when one of the closures panics.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    pub async fn run(self) {
        if let Err(broken) = self.verdict().await {
            panic!("{broken}");
        }
    }

    /// The same for those who want to go on from there.
    ///
    /// # Errors
    /// The first promise that is not kept.
    ///
    /// # Panics
    /// When one of the closures panics, or the operating system refuses a thread.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub async fn verdict(self) -> Result<(), BrokenPromise> {
        let SourceCheck { make, around } = self;
        let given_up = Arc::new(AtomicBool::new(false));
        let (ends, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("source-check".to_owned()).spawn({
            let given_up = Arc::clone(&given_up);
            move || {
                // Dropped when the thread ends, whichever way.
                let _ends = ends;
                checks::all(make, around, given_up)
            }
        });
        let mut checking = CheckThread { thread: Some(thread.expect("a thread")), given_up };
        // Nothing is ever sent.
        let _ = ended.await;
        let outcome = checking.thread.take().expect("nobody else takes it").join();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The thread of the checks. Dropping it gives them up, and waits for their end.
struct CheckThread {
    thread: Option<JoinHandle<Result<(), BrokenPromise>>>,
    given_up: Arc<AtomicBool>,
}

impl Drop for CheckThread {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // The outcome, or a panic of a closure, is of interest to nobody any more.
            let _ = thread.join();
        }
    }
}
