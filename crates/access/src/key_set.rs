//! A key set by its URL (JWKS, RFC 7517): read again in the background, at once when a token names a key that is not
//! there, and never more often than the cool-down allows, however many such tokens come.
//!
//! No task of its own: a question under way is one shared future, driven by everybody who waits for it and by
//! [`KeySet::keep`], which the owner of the verifier runs. So it goes on when those who caused it have left.

mod read;
mod state;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::algorithm::{Algorithm, Algorithms};
use crate::fetch::{Endpoint, Http};
use crate::key::{Key, KeyIdentity};
use crate::limits::{RETRY_MIN, UNNAMED_KEYS_TRIED_MAX};
use crate::refused::{Outage, Refused, Why};
use crate::time::Clock;
use state::{Answer, Flight, State, unknown_key};

/// How often a waiting token may wait for another question.
const WAITS_MAX: usize = 2;

/// Shortest pause of [`KeySet::keep`], against turning in circles.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// A key set that is asked for keys.
#[derive(Debug, Clone)]
pub struct KeySetSettings {
    /// Whose keys they are: a token must name this issuer. With none, tokens of any issuer (which `Rules::issuer` may
    /// narrow) are verified with it.
    pub issuer: Option<Arc<str>>,
    /// Where it is (`jwks_url`).
    pub url: Endpoint,
    /// How old it may be before it is read again (`jwks_cache`).
    pub cache: Duration,
    /// It is not read more often than this (`jwks_cooldown`).
    pub cooldown: Duration,
    /// How old it may be and still count while it cannot be read (`jwks_stale`).
    pub stale: Duration,
}

/// Which key a token asks for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) algorithm: Algorithm,
    pub(crate) signed: &'a str,
    pub(crate) signature: &'a str,
}

impl Wanted<'_> {
    fn is_signed_by(&self, key: &Key) -> bool {
        key.verifies(self.algorithm, self.signed, self.signature)
    }
}

/// What is known without asking.
pub(crate) enum Look {
    /// The key it was signed with.
    Found(Arc<Key>),
    /// No key of the set signed it, and asking again would not change that.
    Refused(Why),
    /// To be asked: see [`KeySet::find`].
    Unsettled,
}

/// A key set with what is known of it.
pub(crate) struct KeySet {
    settings: KeySetSettings,
    allowed: Algorithms,
    http: Http,
    clock: Clock,
    state: RwLock<State>,
    /// Wakes [`KeySet::keep`] when there is a question to drive or to plan.
    wake: Notify,
    /// How many run [`KeySet::keep`]. While somebody does, no token waits for a set that is merely old.
    keepers: AtomicUsize,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl KeySet {
    pub(crate) fn new(settings: KeySetSettings, allowed: Algorithms, http: Http, clock: Clock) -> KeySet {
        KeySet {
            settings,
            allowed,
            http,
            clock,
            state: RwLock::default(),
            wake: Notify::new(),
            keepers: AtomicUsize::new(0),
        }
    }

    /// Whether tokens of this issuer are verified with the set. The issuer is not verified at that point: it only
    /// chooses among addresses that are configured, and the key found belongs to that issuer alone.
    pub(crate) fn is_for(&self, issuer: Option<&str>) -> bool {
        self.settings.issuer.as_deref().is_none_or(|own| issuer == Some(own))
    }

    /// Looks for the key without asking anybody.
    pub(crate) fn look(&self, wanted: &Wanted<'_>) -> Look {
        let now = self.clock.elapsed();
        let (keys, usable, is_due) = {
            let state = self.state.read();
            (Arc::clone(&state.keys), state.is_usable(now, self.settings.stale), self.is_due(&state, now))
        };
        if !usable || is_due {
            return Look::Unsettled;
        }
        choose(&keys, wanted)
    }

    /// Looks for the key and asks for the set if that may help. If it may not be asked yet, the answer is "try again
    /// later", not "not valid": the key may have been made since.
    pub(crate) async fn find(&self, wanted: &Wanted<'_>) -> Result<Arc<Key>, Refused> {
        for waits in 0..=WAITS_MAX {
            match self.step(wanted, waits) {
                Step::Done(result) => return result,
                Step::Wait(number, flight) => {
                    let answer = flight.await;
                    self.land(number, &answer);
                }
            }
        }
        Err(self.later(Outage::KeySet, self.settings.cooldown))
    }

    fn step(&self, wanted: &Wanted<'_>, waits: usize) -> Step {
        let now = self.clock.elapsed();
        // Signatures are checked without the lock; if the set was read meanwhile, once more.
        let (chosen, mut state) = loop {
            let keys = Arc::clone(&self.state.read().keys);
            let chosen = choose(&keys, wanted);
            let state = self.state.write();
            if Arc::ptr_eq(&keys, &state.keys) {
                break (chosen, state);
            }
        };
        let usable = state.is_usable(now, self.settings.stale);
        let settled = match chosen {
            Look::Found(key) if usable => Some(Ok(key)),
            Look::Refused(why) if usable => Some(Err(Refused::Invalid(why))),
            _ => None,
        };
        if let Some(result) = settled {
            return if self.is_due(&state, now) && waits == 0 {
                self.start(&mut state, now)
            } else {
                Step::Done(result)
            };
        }
        let unknown = unknown_key(wanted.name, wanted.signed);
        if waits < WAITS_MAX {
            if let Some((number, flight)) = state.flight.clone() {
                state.note_unknown(unknown);
                return Step::Wait(number, flight);
            }
            if now >= state.not_before {
                state.note_unknown(unknown);
                return self.start(&mut state, now);
            }
        }
        if usable && state.is_absent(&unknown) {
            return Step::Done(Err(Refused::Invalid(Why::UnknownKey)));
        }
        state.note_unknown(unknown);
        let wait = state.not_before.saturating_sub(now);
        drop(state);
        self.wake.notify_one();
        let why = if usable { Outage::CoolDown } else { Outage::KeySet };
        Step::Done(Err(self.later(why, wait)))
    }

    #[expect(clippy::unused_self, reason = "beside its callers")]
    fn later(&self, why: Outage, wait: Duration) -> Refused {
        Refused::Unavailable { why, retry_after: wait.max(RETRY_MIN) }
    }

    /// Whether a token has to see to it that the set is read again: it is old, and nobody keeps it.
    fn is_due(&self, state: &State, now: Duration) -> bool {
        state.age(now).is_some_and(|age| age > self.settings.cache)
            && state.flight.is_none()
            && now >= state.not_before
            && self.keepers.load(Ordering::Relaxed) == 0
    }

    /// Begins a question. It takes its turn whether it is answered or not.
    fn start(&self, state: &mut State, now: Duration) -> Step {
        let (number, flight) = state.start(now, self.settings.cooldown, || {
            let (http, url, allowed) = (self.http.clone(), self.settings.url.clone(), self.allowed);
            let issuer = self.settings.issuer.clone();
            async move { Arc::new(read::read(&http, &url, issuer.as_deref(), allowed).await) }
                .boxed()
                .shared()
        });
        self.wake.notify_one();
        Step::Wait(number, flight)
    }

    /// Takes an answer in, once.
    fn land(&self, number: u64, answer: &Answer) {
        let host = self.settings.url.host();
        match &**answer {
            Ok(set) => {
                let said = {
                    let mut state = self.state.write();
                    if !state.lands(number) {
                        return;
                    }
                    let refresh = self.settings.cache.mul_f64(0.8 + 0.2 * fastrand::f64());
                    state.take(set, refresh)
                };
                for passed in &said.passed_over {
                    warn!(host, number = passed.number, name = ?passed.name, "a key of the key set is passed over: {}", passed.why);
                }
                if said.is_empty {
                    warn!(
                        host,
                        "the key set has no key that could be used: all tokens of its issuer are refused"
                    );
                } else if said.recovered {
                    info!(host, keys = set.keys.len(), "the key set can be read again");
                } else {
                    debug!(host, keys = set.keys.len(), "read the key set");
                }
            }
            Err(error) => {
                let mut state = self.state.write();
                if !state.lands(number) {
                    return;
                }
                let failures = state.fail(self.clock.elapsed(), self.settings.cooldown);
                drop(state);
                warn!(host, failures, "cannot read the key set: {error}");
            }
        }
    }

    /// Whether a key that verified a token is still there.
    ///
    /// # Errors
    /// When it was withdrawn, or the set is too old to tell.
    pub(crate) fn still_has(&self, identity: KeyIdentity) -> Result<(), Refused> {
        let now = self.clock.elapsed();
        let state = self.state.read();
        if !state.is_usable(now, self.settings.stale) {
            return Err(self.later(Outage::KeySet, state.not_before.saturating_sub(now)));
        }
        if state.keys.iter().any(|key| key.identity() == identity) {
            Ok(())
        } else {
            Err(Refused::Invalid(Why::KeyWithdrawn))
        }
    }

    /// Reads the set before it is too old, drives questions whose askers have left, and asks for tokens that had to be
    /// put off. Never ends; dropping it leaves the set as it is.
    pub(crate) async fn keep(&self) {
        let _keeping = KeepingGuard::new(&self.keepers);
        loop {
            let step = {
                let now = self.clock.elapsed();
                let mut state = self.state.write();
                match state.flight.clone() {
                    Some((number, flight)) => Step::Wait(number, flight),
                    None if now >= state.due_at() => self.start(&mut state, now),
                    None => Step::Done(Err(self.later(Outage::KeySet, state.due_at() - now))),
                }
            };
            match step {
                Step::Wait(number, flight) => {
                    let answer = flight.await;
                    self.land(number, &answer);
                }
                Step::Done(Err(Refused::Unavailable { retry_after, .. })) => {
                    let pause = tokio::time::sleep(retry_after.max(PAUSE_MIN));
                    tokio::select! {
                        () = pause => {}
                        () = self.wake.notified() => {}
                    }
                }
                Step::Done(_) => {}
            }
        }
    }
}

/// What comes next for a token.
enum Step {
    Done(Result<Arc<Key>, Refused>),
    Wait(u64, Flight),
}

/// Counts who keeps the set for as long as it lives.
struct KeepingGuard<'a>(&'a AtomicUsize);

impl<'a> KeepingGuard<'a> {
    fn new(count: &'a AtomicUsize) -> KeepingGuard<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        KeepingGuard(count)
    }
}

impl Drop for KeepingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The key of a set that signed a token. One that is named decides alone; without a name the first few are tried.
fn choose(keys: &[Arc<Key>], wanted: &Wanted<'_>) -> Look {
    let fits = |key: &&Arc<Key>| key.algorithms().contains(wanted.algorithm);
    let Some(name) = wanted.name else {
        let mut tried = keys.iter().filter(fits).take(UNNAMED_KEYS_TRIED_MAX);
        return tried
            .find(|key| wanted.is_signed_by(key))
            .map_or(Look::Unsettled, |key| Look::Found(Arc::clone(key)));
    };
    let mut named = keys.iter().filter(|key| key.name() == Some(name)).peekable();
    if named.peek().is_none() {
        return Look::Unsettled;
    }
    let mut fitting = named.filter(fits).peekable();
    if fitting.peek().is_none() {
        return Look::Refused(Why::NoKeyForAlgorithm(wanted.algorithm));
    }
    match fitting.find(|key| wanted.is_signed_by(key)) {
        Some(key) => Look::Found(Arc::clone(key)),
        None => Look::Refused(Why::Signature),
    }
}
