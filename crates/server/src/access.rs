//! Authorization: the token of a request, what it grants, and the right under which a stream stays open.
//!
//! [`Caller`](caller::Caller) is the one way in for routes: it verifies the token before a handler runs. A hub without
//! keys is open: every caller may do everything. Knows the hub and the directory; knows no route.
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | `setup` | the verifier that the configuration describes, and reading its keys again |
//! | `presented` | where a request's token is: header, cookie, query |
//! | `caller` | who sends a request, and what that grants |
//! | `rights` | the right under which a stream is open |
//! | `question` | how it is asked again while the stream is open |
//! | `revoked` | tokens that were revoked |
//! | `control` | revocations and closings that hubs tell each other through Redis |
//! | `rates` | how often a user may come |

pub(crate) mod caller;
pub(crate) mod control;
mod presented;
mod question;
mod rates;
pub(crate) mod revoked;
mod rights;
mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use watertight::Hub;
use watertight_access::Verifier;

pub(crate) use self::caller::{Admin, Caller, Onlooker, sha256};
use self::control::{Control, Told};
pub(crate) use self::presented::QUERY_PARAMETER;
use self::rates::Rates;
use self::revoked::Revocations;
pub(crate) use self::rights::Needs;
pub use self::setup::AccessStartError;
pub(crate) use self::setup::TokenKeys;
use crate::config::Config;
use crate::directory::Directory;
use crate::redis::Redis;

/// What decides what each caller is allowed.
pub(crate) struct Authorization {
    /// `None`: the hub is open.
    pub(crate) tokens: Option<Tokens>,
    pub(crate) directory: Directory,
    /// Other hubs, with tokens and Redis.
    control: Option<Control>,
    hub: Hub,
}

/// What a hub with keys has beside an open one.
pub(crate) struct Tokens {
    pub(crate) verifier: Verifier,
    pub(crate) revoked: Revocations,
    connects: Rates,
    publishes: Rates,
    cookie: Option<String>,
    in_query: bool,
    pub(crate) counts: Counts,
}

/// Requests by what became of their token.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    accepted: AtomicU64,
    missing: AtomicU64,
    refused: AtomicU64,
    unavailable: AtomicU64,
}

impl Counts {
    /// Each with its name in the label.
    pub(crate) fn all(&self) -> [(&'static str, u64); 4] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("accepted", read(&self.accepted)),
            ("missing", read(&self.missing)),
            ("refused", read(&self.refused)),
            ("unavailable", read(&self.unavailable)),
        ]
    }
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization").field("is_open", &self.tokens.is_none()).finish_non_exhaustive()
    }
}

impl Authorization {
    /// What the configuration describes. Reads keys, but asks nobody. With Redis there is a listener to run: it carries out
    /// what other hubs tell.
    ///
    /// # Errors
    /// When a key or an address is of no use.
    pub(crate) fn open(
        hub: &Hub,
        config: &Arc<Config>,
        directory: Directory,
        redis: Option<&Redis>,
    ) -> Result<(Arc<Authorization>, Option<control::Listener>), AccessStartError> {
        let tokens = setup::verifier(hub, config)?.map(|verifier| Tokens {
            verifier,
            revoked: Revocations::new(hub, config.max_revocations),
            connects: Rates::new(hub, config.max_connects_per_user),
            publishes: Rates::new(hub, config.max_publishes_per_user),
            cookie: config.token_cookie.clone(),
            in_query: config.token_in_query,
            counts: Counts::default(),
        });
        // Without tokens nobody has a name, and nothing can be revoked.
        let redis = redis.filter(|_| tokens.is_some());
        let (control, listener) = redis.map(|redis| Control::new(hub, redis)).unzip();
        Ok((Arc::new(Authorization { tokens, directory, control, hub: hub.clone() }), listener))
    }

    /// That of an open hub.
    pub(crate) fn anybody(hub: &Hub, directory: Directory) -> Authorization {
        Authorization { tokens: None, directory, control: None, hub: hub.clone() }
    }

    /// Has the other hubs do what this one has done. They do it as soon as Redis can be reached.
    pub(crate) fn tell_others(&self, what: impl FnOnce() -> Told) {
        if let Some(control) = &self.control {
            control.tell(what());
        }
    }

    /// Whether tokens may come in the query.
    pub(crate) fn reads_query(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| tokens.in_query)
    }

    /// Lets go of what has had its time.
    pub(crate) fn sweep(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.revoked.sweep(wall_time());
            tokens.connects.sweep();
            tokens.publishes.sweep();
        }
    }
}

/// Wall time: for the times of tokens.
#[expect(clippy::disallowed_methods, reason = "times of tokens are wall time")]
pub(crate) fn wall_time() -> SystemTime {
    SystemTime::now()
}
