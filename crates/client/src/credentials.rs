//! What proves who asks: a token that is known, or a function that gives one. Knows no request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;

use crate::error::{AnyError, Error};

/// Why a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRequest {
    refresh: bool,
}

impl TokenRequest {
    /// Whether the token given just before was answered with 401: one from a cache will not do. A second 401
    /// is final.
    pub fn is_refresh(self) -> bool {
        self.refresh
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<String, AnyError>> + Send>>;

/// Where the token comes from. No `Debug` prints one.
#[derive(Clone)]
pub(crate) enum Token {
    None,
    /// Always the same: there is no other to be had after a 401.
    Fixed(HeaderValue),
    /// Asked before each attempt.
    Asked(Arc<dyn Fn(TokenRequest) -> Asking + Send + Sync>),
}

impl Token {
    pub(crate) fn fixed(token: &str) -> Result<Self, Error> {
        Ok(Self::Fixed(bearer(token)?))
    }

    pub(crate) fn asked<F, E>(source: impl Fn(TokenRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<AnyError>,
    {
        Self::Asked(Arc::new(move |request| {
            let asking = source(request);
            Box::pin(async move { asking.await.map_err(Into::into) })
        }))
    }

    /// Whether a 401 may be mended by asking once more.
    pub(crate) fn can_refresh(&self) -> bool {
        matches!(self, Self::Asked(_))
    }

    /// The value of `Authorization`. Unbounded in time: whoever waits has to bound it. Dropping the future
    /// drops the application's.
    pub(crate) async fn get(&self, refresh: bool) -> Result<Option<HeaderValue>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(value) => Ok(Some(value.clone())),
            Self::Asked(source) => {
                let token = source(TokenRequest { refresh }).await.map_err(Error::Token)?;
                bearer(&token).map(Some)
            }
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no token",
            Self::Fixed(_) => "a token",
            Self::Asked(_) => "a function",
        })
    }
}

/// The value of `Authorization`, which no `Debug` will print.
fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Error::InvalidOption {
        what: "the token",
        reason: "it has characters that no header may carry",
    })?;
    value.set_sensitive(true);
    Ok(value)
}
