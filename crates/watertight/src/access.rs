//! The right to streams, as an application gives it: whose it is, when it expires, and how it is asked again while
//! streams are open. Made by [`Hub::grant_access`](crate::Hub::grant_access); the hub asks.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use watertight_core::{AccessKey, Answer, CloseReason, NoAnswer, PendingAnswer, Question};

/// A right that is to be given.
///
/// ```no_run
/// # use std::time::Duration;
/// # use watertight::{AccessOptions, Hub, HubConfig, Resume, SubscribeOptions};
/// # async fn may_watch(_user: &str) -> Result<bool, std::io::Error> { Ok(true) }
/// # async fn example(hub: Hub) -> Result<(), Box<dyn std::error::Error>> {
/// let options = AccessOptions::of_user("ada").lifetime(Duration::from_secs(3600)).check(|| may_watch("ada"));
/// let access = hub.grant_access(options)?;
/// let stream = hub.subscribe_with("deployments/42", Resume::Live, SubscribeOptions::under(access))?;
/// # drop(stream);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct AccessOptions {
    pub(crate) key: Option<AccessKey>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) question: Option<Box<dyn Question>>,
    pub(crate) bytes: usize,
}

impl AccessOptions {
    /// A right of this user.
    #[must_use]
    pub fn of_user(user: impl Into<Arc<str>>) -> AccessOptions {
        AccessOptions { user: Some(user.into()), ..AccessOptions::default() }
    }

    /// Whose it is.
    #[must_use]
    pub fn user(mut self, user: impl Into<Arc<str>>) -> AccessOptions {
        self.user = Some(user.into());
        self
    }

    /// What it is found by ([`Hub::access`](crate::Hub::access)): a digest of everything that tells it from other
    /// rights. Without one only clones of it share it.
    #[must_use]
    pub fn key(mut self, key: AccessKey) -> AccessOptions {
        self.key = Some(key);
        self
    }

    /// What its question holds beside a few numbers, bytes: charged to the budget with it.
    #[must_use]
    pub fn holding(mut self, bytes: usize) -> AccessOptions {
        self.bytes = bytes;
        self
    }

    /// How long it lasts, from now; then its streams end with `TOKEN_EXPIRED`.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> AccessOptions {
        self.lifetime = Some(lifetime);
        self
    }

    /// How one finds out whether it still stands: asked once an interval
    /// ([`HubConfig::revalidate_interval`](crate::HubConfig::revalidate_interval)), however many streams are open
    /// under it, and not while none is. `Ok(false)` closes them with `FORBIDDEN`; an error counts, and several in a row
    /// close them with `CIRCUIT_OPEN`. It is not asked at the grant: whoever grants has just asked. It runs as a part of
    /// the hub's own task, at most 10 s; a panic in it counts as an error.
    #[must_use]
    pub fn check<Check, Asked, Error>(self, check: Check) -> AccessOptions
    where
        Check: Fn() -> Asked + Send + Sync + 'static,
        Asked: Future<Output = Result<bool, Error>> + Send + 'static,
        Error: fmt::Display,
    {
        self.question(Box::new(Closure(check)))
    }

    /// The same for what is asked in another form, or has other answers.
    #[must_use]
    pub fn question(mut self, question: Box<dyn Question>) -> AccessOptions {
        self.question = Some(question);
        self
    }
}

/// A question that an application wrote as a closure.
struct Closure<Check>(Check);

impl<Check> fmt::Debug for Closure<Check> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure")
    }
}

impl<Check, Asked, Error> Question for Closure<Check>
where
    Check: Fn() -> Asked + Send + Sync + 'static,
    Asked: Future<Output = Result<bool, Error>> + Send + 'static,
    Error: fmt::Display,
{
    fn ask(&self, _: Option<&Arc<str>>) -> PendingAnswer {
        let asked = (self.0)();
        Box::pin(async move {
            match asked.await {
                Ok(true) => Ok(Answer::Granted),
                Ok(false) => Ok(Answer::Denied(CloseReason::Forbidden)),
                Err(error) => Err(NoAnswer::Failed(error.to_string())),
            }
        })
    }
}
