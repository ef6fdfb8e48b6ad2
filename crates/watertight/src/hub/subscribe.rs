//! Subscribing: a position first, everything else after.

use std::sync::Arc;

use watertight_core::limits::SUBSCRIBER_OVERHEAD_BYTES;
use watertight_core::{Access, Delivery, Kind, Life, LogState, Owner, Policy, Resume, Rung};

use super::{Hub, HubState};
use crate::error::SubscribeError;
use crate::source::{Source, SourceHandle};
use crate::subscription::{Holdings, Membership, Subscription};

/// What is known about a subscriber beside its position.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// The right under which it is open, with whose it is; `None`: nobody asked for one.
    pub access: Option<Arc<Access>>,
    /// A policy of its own, with what it streams; the hub's for session streams if not said.
    pub policy: Option<Arc<Policy>>,
    /// What feeds the session while somebody watches it. The first that is given for a session stays its source.
    pub source: Option<SourceHandle>,
}

impl SubscribeOptions {
    /// Under this right.
    #[must_use]
    pub fn under(access: Arc<Access>) -> SubscribeOptions {
        SubscribeOptions { access: Some(access), ..SubscribeOptions::default() }
    }

    /// The same, with what feeds the session.
    #[must_use]
    pub fn fed_by(mut self, source: impl Source) -> SubscribeOptions {
        self.source = Some(SourceHandle::new(source));
        self
    }
}

impl Hub {
    /// Subscribes to a session, from `resume` on. Nothing is lost, doubled or reordered between what is
    /// replayed and what is live: both are the same cursor. Dropping the subscription gives everything back. Of a
    /// session that has ended it reads what is kept, and then its end.
    ///
    /// # Errors
    /// When the hub takes no newcomers, or the session cannot be had.
    ///
    /// # Panics
    /// Outside of a tokio runtime, if the session has a source: that runs there.
    pub fn subscribe(&self, session: &str, resume: Resume) -> Result<Subscription, SubscribeError> {
        self.subscribe_with(session, resume, SubscribeOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Hub::subscribe`].
    pub fn subscribe_with(
        &self,
        session: &str,
        resume: Resume,
        options: SubscribeOptions,
    ) -> Result<Subscription, SubscribeError> {
        let name = self.name(session)?;
        self.state.admit()?;
        let permit = self.state.charge(Owner::Subscribers, SUBSCRIBER_OVERHEAD_BYTES, None)?;
        let lease = options.access.as_ref().map(Access::lease).transpose()?;
        let policy = options.policy.unwrap_or_else(|| Arc::clone(&self.state.session_policy));
        let now = self.state.clock.now();
        let replay = self.state.budget.rung() < Rung::NoReplay;
        loop {
            let forgotten = self.state.forgotten(&name, resume)?;
            let is_forgotten = forgotten.is_some();
            let joined = match forgotten {
                Some(session) => session,
                None => self.state.session_with_room(&name, self.state.clock.now(), true)?,
            };
            let membership = Membership::new(&self.state, joined);
            let located = membership.session().with_log(|log| {
                (is_forgotten || log.state(now) != LogState::Over).then(|| {
                    let (cursor, gaps) = log.locate(resume, replay, now);
                    (cursor, gaps, log.position(cursor.next - 1))
                })
            });
            // Its time is over, or it went between look-up and lock: leave it and make a new one.
            let Some((cursor, gaps, start)) = located else {
                self.state.forget(membership.session());
                continue;
            };
            if !is_forgotten {
                self.state.start_source(membership.session(), options.source.as_ref())?;
            }
            gaps.iter().for_each(|gap| self.state.counters.note_gap(gap.reason, 1));
            let holdings = Holdings {
                _entry: self.state.ledger.open(Kind::Subscription).and(Kind::Timer),
                membership,
                _permit: permit,
            };
            // It counts as a Rust stream until another delivery takes it over.
            let life = Life::begin(now, policy, Delivery::Stream, lease, fastrand::u64(..))
                .after_source_errors(holdings.membership.session().source_errors());
            let subscription = Subscription::new(self.clone(), life, holdings, (cursor, start), gaps);
            // Checked again after the registration: a stop that has told all subscribers before it would not
            // tell this one.
            if self.state.is_stopping() {
                return Err(SubscribeError::ShuttingDown);
            }
            // And a source that was given up.
            self.state.expect_source(subscription.session())?;
            // And a right that was withdrawn meanwhile.
            subscription.look_at_access();
            return Ok(subscription);
        }
    }
}

impl HubState {
    /// Whether newcomers are taken.
    fn admit(&self) -> Result<(), SubscribeError> {
        if self.is_stopping() {
            return Err(SubscribeError::ShuttingDown);
        }
        if self.budget.rung() >= Rung::NoNewcomers {
            return Err(SubscribeError::Overloaded);
        }
        Ok(())
    }
}
