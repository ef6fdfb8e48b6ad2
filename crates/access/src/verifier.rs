//! The one verifier: every token, of every kind and from everywhere, goes through here.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;
use parking_lot::RwLock;
use watertight_core::{Budget, Owner, Permit};

use crate::algorithm::{Algorithm, Algorithms};
use crate::claims::{Claims, Rules};
use crate::fetch::Http;
use crate::head::{self, Header, Parts};
use crate::introspection::{Introspection, IntrospectionSettings};
use crate::key::load::StaticKeys;
use crate::key::{Key, KeyIdentity};
use crate::key_set::{KeySet, KeySetSettings, Look, Wanted};
use crate::limits::{KEY_SET_STATE_BYTES, KEY_SETS_MAX};
use crate::refused::{Refused, Why};
use crate::time::Clock;
use crate::verified::{Proof, Verified};

/// What a verifier is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is expected of every token.
    pub rules: Rules,
    /// The hub's own keys.
    pub keys: StaticKeys,
    /// Narrows what the keys of key sets are for (`token_algorithms`); empty: whatever fits.
    pub algorithms: Vec<Algorithm>,
    /// Key sets by URL.
    pub key_sets: Vec<KeySetSettings>,
    /// Opaque tokens.
    pub introspection: Option<IntrospectionSettings>,
    /// What time it is.
    pub clock: Clock,
    /// What is remembered is charged here.
    pub budget: Arc<Budget>,
}

/// Why there can be no such verifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Too many key sets.
    #[error("there are more than {KEY_SETS_MAX} key sets")]
    TooManySets,
    /// A set's time limits contradict each other.
    #[error("`jwks_cooldown` must be above zero and at most `jwks_cache`, and that at most `jwks_stale`")]
    Times,
    /// A client for questions cannot be made.
    #[error("{0}")]
    Client(String),
}

/// Verifies tokens. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Verifier(Arc<Shared>);

struct Shared {
    rules: Rules,
    clock: Clock,
    /// Swapped as a whole.
    keys: RwLock<StaticKeys>,
    key_sets: Vec<KeySet>,
    introspection: Option<Introspection>,
    /// What key sets remember, which has an upper bound.
    _charged: Permit,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { rules, key_sets, introspection, .. } = &*self.0;
        f.debug_struct("Verifier")
            .field("rules", rules)
            .field("key_sets", key_sets)
            .field("introspection", introspection)
            .finish_non_exhaustive()
    }
}

/// How far a token comes without asking anybody.
enum Begun<'a> {
    Settled(Result<Verified, Refused>),
    /// A key set has to be asked.
    Unsettled(Parts<'a>, Claims),
    /// Its issuer has to be asked.
    Opaque,
}

impl Verifier {
    /// A verifier. Asks nobody yet; see [`Verifier::run`].
    ///
    /// # Errors
    /// When the settings contradict each other, or TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Verifier, InvalidSettings> {
        let Settings { rules, keys, algorithms, key_sets, introspection, clock, budget } = settings;
        if key_sets.len() > KEY_SETS_MAX {
            return Err(InvalidSettings::TooManySets);
        }
        let in_order = |set: &KeySetSettings| {
            !set.cooldown.is_zero() && set.cooldown <= set.cache && set.cache <= set.stale
        };
        if !key_sets.iter().all(in_order) {
            return Err(InvalidSettings::Times);
        }
        let allowed = if algorithms.is_empty() { Algorithms::ANY } else { Algorithms::of(&algorithms) };
        let charged = budget.charge(Owner::Caches, key_sets.len() * KEY_SET_STATE_BYTES);
        let endpoints =
            key_sets.iter().map(|set| &set.url).chain(introspection.as_ref().map(|asked| &asked.url));
        // With static keys alone nobody is asked, and neither a client nor certificates are needed.
        let http = match endpoints.clone().next() {
            Some(_) => Some(Http::new(endpoints, Arc::clone(&budget)).map_err(InvalidSettings::Client)?),
            None => None,
        };
        let set =
            |(settings, http): (_, Option<Http>)| Some(KeySet::new(settings, allowed, http?, clock.clone()));
        let key_sets = key_sets.into_iter().zip(std::iter::repeat(http.clone())).filter_map(set).collect();
        let introspection = introspection
            .zip(http)
            .map(|(settings, http)| Introspection::new(settings, http, clock.clone(), budget))
            .transpose()
            .map_err(InvalidSettings::Client)?;
        Ok(Verifier(Arc::new(Shared {
            rules,
            key_sets,
            introspection,
            clock,
            keys: RwLock::new(keys),
            _charged: charged,
        })))
    }

    /// Verifies a token. Asks a key set or an introspection endpoint where that is needed; everything else is settled
    /// at the first poll. Dropping this future lets go of the question.
    ///
    /// # Errors
    /// When the token is not valid, or that cannot be told now.
    pub async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        match self.begin(token) {
            Begun::Settled(result) => result,
            Begun::Opaque => self.introspect(token, false).await,
            Begun::Unsettled(parts, claims) => self.find(&parts, claims).await,
        }
    }

    /// Verifies a token without asking anybody; `None` if somebody has to be asked, which [`Verifier::verify`] does. A
    /// token that a static key signed, or one of a key set that is known, is always settled here.
    #[must_use]
    pub fn try_verify_now(&self, token: &str) -> Option<Result<Verified, Refused>> {
        match self.begin(token) {
            Begun::Settled(result) => Some(result),
            Begun::Unsettled(..) | Begun::Opaque => None,
        }
    }

    /// Whether a token that was accepted before still is: not expired, its key not withdrawn. Nothing of a JWT's text
    /// is needed for that; of an opaque token the text is, because its issuer is asked again. Returns what holds now.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub async fn recheck(&self, verified: &Verified, token: Option<&str>) -> Result<Verified, Refused> {
        let now = self.0.clock.wall();
        if verified.accepted_until(self.0.rules.leeway) <= now {
            return Err(Why::Expired.into());
        }
        match verified.proof {
            Proof::Introspection => {
                let again = self.introspect(token.ok_or(Why::Changed)?, true).await?;
                if again.subject == verified.subject { Ok(again) } else { Err(Why::Changed.into()) }
            }
            Proof::Key { identity, set: None } => {
                let keys = self.0.keys.read();
                let is_there = keys.iter().any(|key| key.identity() == identity);
                if is_there { Ok(verified.clone()) } else { Err(Why::KeyWithdrawn.into()) }
            }
            Proof::Key { identity, set: Some(number) } => {
                let set = self.0.key_sets.get(usize::from(number)).ok_or(Why::KeyWithdrawn)?;
                set.still_has(identity).map(|()| verified.clone())
            }
        }
    }

    /// Takes other static keys, all at once. Tokens that were signed with keys which are gone are refused from now on,
    /// and fail their next [`Verifier::recheck`]. `StaticKeys::load` has refused what is no key before this, so a
    /// reload with one bad key leaves the old ones in force.
    pub fn reload(&self, keys: StaticKeys) {
        *self.0.keys.write() = keys;
    }

    /// Keeps key sets fresh, drives questions whose askers have left, and lets go of old answers. Never ends; to be run
    /// for as long as the verifier is used, once. Dropping it leaves what is known as it is.
    pub async fn run(&self) -> Infallible {
        let sets = join_all(self.0.key_sets.iter().map(KeySet::keep));
        let answers = async {
            let Some(introspection) = &self.0.introspection else { return };
            loop {
                tokio::time::sleep(introspection.cache().max(crate::limits::COME_BACK)).await;
                introspection.forget_old();
            }
        };
        futures_util::future::join(sets, answers).await;
        std::future::pending().await
    }

    /// What is expected of every token.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Whether there is anything to verify a token with.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.verifies_jwts() || self.0.introspection.is_some()
    }

    /// The static keys now in force.
    #[must_use]
    pub fn keys(&self) -> StaticKeys {
        self.0.keys.read().clone()
    }

    fn verifies_jwts(&self) -> bool {
        !self.0.key_sets.is_empty() || !self.0.keys.read().is_empty()
    }

    /// Everything that needs no question. Claims are looked at before the signature, because that costs less; what
    /// they say counts only once a key has signed them.
    fn begin<'a>(&self, token: &'a str) -> Begun<'a> {
        match self.prepare(token) {
            Err(why) => Begun::Settled(Err(why.into())),
            Ok(None) => Begun::Opaque,
            Ok(Some((parts, claims))) => self.look(parts, claims),
        }
    }

    /// Head and claims of a JWT; `None` if the token is an opaque one.
    fn prepare<'a>(&self, token: &'a str) -> Result<Option<(Parts<'a>, Claims)>, Why> {
        head::check_text(token)?;
        let verifies_jwts = self.verifies_jwts();
        if self.0.introspection.is_some() && !(verifies_jwts && head::is_jwt(token)) {
            return Ok(None);
        }
        if !verifies_jwts {
            return Err(Why::NothingConfigured);
        }
        let parts = head::split(token)?;
        let (claims, wrong) = Claims::read(&parts.claims)?;
        let wrong = wrong.into_iter().chain(claims.check(&self.0.rules, self.0.clock.wall())).next();
        wrong.map_or(Ok(Some((parts, claims))), Err)
    }

    /// Looks for the key among those that are known.
    fn look<'a>(&self, parts: Parts<'a>, claims: Claims) -> Begun<'a> {
        let Header { algorithm, .. } = parts.header;
        let mut why = Why::NoKeyForAlgorithm(algorithm);
        for key in self.0.keys.read().iter().filter(|key| key.algorithms().contains(algorithm)) {
            if key.verifies(algorithm, parts.signed, parts.signature) {
                return Begun::Settled(Ok(self.accept(claims, key.identity(), None)));
            }
            why = Why::Signature;
        }
        let (mut unsettled, mut asked) = (false, false);
        for (number, set) in self.sets_for(&claims) {
            asked = true;
            match set.look(&wanted(&parts)) {
                Look::Found(key) => {
                    return Begun::Settled(Ok(self.accept(claims, key.identity(), Some(number))));
                }
                Look::Refused(because) => why = because,
                Look::Unsettled => unsettled = true,
            }
        }
        if unsettled {
            return Begun::Unsettled(parts, claims);
        }
        if !asked && !self.0.key_sets.is_empty() && why != Why::Signature {
            why = Why::UnknownIssuer;
        }
        Begun::Settled(Err(why.into()))
    }

    /// Asks key sets for the key. That one cannot be asked weighs more than that another does not know the key.
    async fn find(&self, parts: &Parts<'_>, claims: Claims) -> Result<Verified, Refused> {
        let mut refused = Refused::Invalid(Why::UnknownKey);
        for (number, set) in self.sets_for(&claims) {
            match set.find(&wanted(parts)).await {
                Ok(key) => {
                    // Asking has taken time.
                    if let Some(why) = claims.check(&self.0.rules, self.0.clock.wall()).into_iter().next() {
                        return Err(why.into());
                    }
                    return Ok(self.accept(claims, key.identity(), Some(number)));
                }
                Err(because @ Refused::Unavailable { .. }) => refused = because,
                Err(because) if matches!(refused, Refused::Invalid(_)) => refused = because,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// The key sets that may be asked about a token. A key found in one of another issuer never counts.
    fn sets_for<'s>(&'s self, claims: &Claims) -> impl Iterator<Item = (u8, &'s KeySet)> + use<'s> {
        let issuer = claims.issuer.clone();
        (0_u8..).zip(&self.0.key_sets).filter(move |(_, set)| set.is_for(issuer.as_deref()))
    }

    async fn introspect(&self, token: &str, fresh: bool) -> Result<Verified, Refused> {
        let introspection = self.0.introspection.as_ref().ok_or(Why::NothingConfigured)?;
        let claims = introspection.ask(token, fresh).await?;
        match claims.check(&self.0.rules, self.0.clock.wall()).into_iter().next() {
            Some(why) => Err(why.into()),
            None => Ok(Verified::new(&self.0.rules, Claims::clone(&claims), Proof::Introspection)),
        }
    }

    fn accept(&self, claims: Claims, identity: KeyIdentity, set: Option<u8>) -> Verified {
        Verified::new(&self.0.rules, claims, Proof::Key { identity, set })
    }

    /// Whether any static key signed a token; for `inspect`.
    pub(crate) fn signed_by_static_key(&self, raw: &head::RawParts<'_>, header: &Header) -> Option<Why> {
        let keys = self.0.keys.read();
        let mut fitting = keys.iter().filter(|key| key.algorithms().contains(header.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Some(Why::NoKeyForAlgorithm(header.algorithm));
        }
        let signs = |key: &Arc<Key>| key.verifies(header.algorithm, raw.signed, raw.signature);
        if fitting.any(signs) { None } else { Some(Why::Signature) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.0.clock.wall()
    }
}

fn wanted<'a>(parts: &'a Parts<'_>) -> Wanted<'a> {
    Wanted {
        name: parts.header.key_name.as_deref(),
        algorithm: parts.header.algorithm,
        signed: parts.signed,
        signature: parts.signature,
    }
}
