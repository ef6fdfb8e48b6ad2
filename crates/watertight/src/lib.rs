//! An SSE hub that cannot leak, as a library.
//!
//! ```no_run
//! use watertight::{Event, Hub, HubConfig, Resume};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::new(HubConfig::default())?;
//! let subscription = hub.subscribe("demo", Resume::Live)?; // a `Stream`, and an HTTP response
//! hub.publish("demo", Event::new("hello")).await?;
//! # drop(subscription);
//! # Ok(()) }
//! ```
//!
//! Three guarantees: no silent loss (a [`Gap`] names what is missing, before anything newer), bounded memory
//! (a [`Budget`] holds every byte that can grow), everything comes back (a [`Ledger`] counts every resource).
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`hub`] | [`Hub`]: publish, subscribe, stats, cleanup, shutdown |
//! | [`subscription`] | [`Subscription`]: the guard that holds a cursor, a `Stream` |
//! | `shard` | the pumps: threads that own sockets |
//! | [`source`] | what feeds a session while somebody watches it: [`Source`], [`Feed`] |
//! | `testing` | for tests, with the feature of that name: holds a [`Source`] to what it promises |
//! | [`access`] | the right to streams: whose, until when, asked again while they are open |
//! | [`body`] | a subscription as an HTTP body |
//! | `peer` | a connection before a pump has it: TCP or a Unix socket |
//! | [`serve`] | the accept loop, with a time limit for each phase |
//! | `tls` | one TLS connection as a state machine, for the accept loop and for the pumps |
//! | [`guarded`] | [`GuardedListener`], for applications that use `axum::serve` |
//! | [`gate`] | how many connections there may be |
//! | [`config`], [`event`], [`error`], [`clock`] | what they say |

pub mod access;
pub mod body;
pub mod clock;
pub mod config;
pub mod error;
pub mod event;
pub mod gate;
pub mod guarded;
pub mod hub;
#[cfg(feature = "axum")]
mod peer;
pub mod resume;
#[cfg(feature = "axum")]
pub mod serve;
mod shard;
pub mod source;
mod stall;
pub mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod wire;

pub use watertight_core::log::ReadLimit;
pub use watertight_core::{
    Access, AccessError, AccessKey, Answer, Budget, CloseReason, Epoch, Gap, GapReason, Ledger, NoAnswer,
    PendingAnswer, Policy, Position, Question, Resume, Rung, Session, SessionEnd, SessionName, SourceInfo,
    SourcePhase, Tick, Withdrawn,
};

pub use self::access::AccessOptions;
pub use self::body::{SseBody, StreamHandle};
pub use self::clock::Clock;
pub use self::config::HubConfig;
pub use self::error::{BatchError, PublishError, StartError, SubscribeError};
pub use self::event::{Event, EventType, Message, Received};
pub use self::gate::Gate;
pub use self::guarded::GuardedListener;
pub use self::hub::{
    AccessCounts, Appended, EndOptions, EndedSession, Hub, Positions, PublishOptions, Stats, SubscribeOptions,
};
#[cfg(feature = "axum")]
pub use self::peer::Listener;
#[cfg(feature = "axum")]
pub use self::serve::{ServeLimits, Server};
pub use self::shard::{ConnectionId, ConnectionInfo, ConnectionScanPoint};
pub use self::source::{Fed, Feed, FeedError, Source, SourceError, SourceHandle};
pub use self::subscription::Subscription;
