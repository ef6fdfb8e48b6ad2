//! Authentication and authorization for a Watertight hub: tokens, the keys they are verified with, and what they grant.
//!
//! Knows no hub, no HTTP server and no configuration file. [`Verifier`] is the one way in: every token goes through the
//! same checks, and only a [`Verified`] one tells whose it is. The algorithm is fixed by the key, never by the token;
//! addresses come from settings, never from a token; a token and a key appear in no error, no log line and no `Debug`.
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every limit, named, with its unit and its reason |
//! | [`grants`] | [`Grants`]: what a token grants, by [`Action`] and path; patterns |
//! | [`head`] | a token taken apart, before anything of it is believed |
//! | [`claims`] | what a token says about itself; [`Rules`]: what is expected of it |
//! | [`time`] | times of tokens, and the [`Clock`] |
//! | [`algorithm`] | the signature algorithms, and sets of them |
//! | [`key`] | a key: secrets, PEM files, keys of a key set; [`key::load`]: the static keys, all or nothing |
//! | [`key_set`] | key sets by URL: cached, bounded, asked at most once per cool-down |
//! | [`introspection`] | opaque tokens: their issuer is asked |
//! | [`fetch`] | questions to an issuer: bounded in time and bytes, no redirects |
//! | [`verifier`], [`verified`], [`refused`] | the verifier, and its two answers |
//! | [`credential`] | what is kept of a JWT while streams are open under it |
//! | [`mint`] | making tokens, for the command line and for tests |
//! | [`inspect`] | all that can be said of a token, for people |

pub mod algorithm;
pub mod claims;
pub mod credential;
pub mod fetch;
#[cfg(any(test, fuzzing, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod grants;
pub mod head;
pub mod inspect;
pub mod introspection;
mod json;
pub mod key;
pub mod key_set;
pub mod limits;
pub mod mint;
pub mod refused;
pub mod time;
pub mod verified;
pub mod verifier;

pub use algorithm::{Algorithm, Algorithms};
pub use claims::{Claims, Rules};
pub use credential::Credential;
pub use fetch::{Endpoint, InvalidEndpoint};
pub use grants::{Action, Grants, InvalidGrants, InvalidPattern, Pattern};
pub use introspection::IntrospectionSettings;
pub use key::load::{KeyError, KeySource, RefusedKey, StaticKeys};
pub use key::{Key, KeyIdentity};
pub use key_set::KeySetSettings;
pub use refused::{Outage, Refused, Why};
pub use time::Clock;
pub use verified::Verified;
pub use verifier::{InvalidSettings, Settings, Verifier};
pub use watertight_core::Budget;
pub use zeroize::Zeroizing;
