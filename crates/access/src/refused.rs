//! Why a token is refused. Whoever sent it learns one text for all; what is behind it goes to the log and to
//! `watertight token inspect`. Nothing here holds any part of a token or of a key.

use std::time::Duration;

use crate::algorithm::Algorithm;
use crate::grants::InvalidGrants;
use crate::limits;

/// A claim or header member, by its name.
pub type Member = &'static str;

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The token is not valid, and will not become so: answer 401. One text for all reasons, so that nobody learns
    /// which keys, issuers or users there are.
    #[error("the token is not valid")]
    Invalid(Why),
    /// It cannot be told now: answer 503, with `Retry-After`.
    #[error("the token cannot be verified at the moment")]
    Unavailable {
        /// What is not there.
        why: Outage,
        /// When to come back.
        retry_after: Duration,
    },
}

impl Refused {
    /// The inward reason, for a log line of the level debug. Has no part of the token in it.
    #[must_use]
    pub fn inward(&self) -> String {
        match self {
            Refused::Invalid(why) => why.to_string(),
            Refused::Unavailable { why, .. } => why.to_string(),
        }
    }
}

impl From<Why> for Refused {
    fn from(why: Why) -> Refused {
        Refused::Invalid(why)
    }
}

/// What cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// The key set was read a short while ago and must not be asked again yet; the token names a key that is not in it.
    #[error(
        "the token names a key that was not in the key set when it was last read; it may not be read again yet"
    )]
    CoolDown,
    /// No key set was had for so long that the keys do not count any more.
    #[error("the key set cannot be read, and what was read before is too old")]
    KeySet,
    /// The introspection endpoint gave no usable answer.
    #[error("the introspection endpoint gives no usable answer")]
    Introspection,
    /// Too many questions are under way.
    #[error("too many introspections are under way")]
    Busy,
}

/// Why a token is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// There is no text.
    #[error("it is empty")]
    Empty,
    /// It is too long.
    #[error("it is longer than {} bytes", limits::TOKEN_BYTES_MAX)]
    TooLong,
    /// It has characters that no token has.
    #[error("it has characters in it that no token has")]
    Characters,
    /// It is no JWT.
    #[error("it has not the three parts of a JWT")]
    Parts,
    /// A part is not base64url.
    #[error("its {0} is not base64url")]
    Base64(Member),
    /// A part is no JSON object.
    #[error("its {0} is no JSON object with each member once")]
    Json(Member),
    /// The header is too long.
    #[error("its header is longer than {} bytes", limits::HEADER_BYTES_MAX)]
    HeaderTooLong,
    /// The header wants something understood that nobody here understands.
    #[error("its header has `{0}`, which is not supported")]
    Unsupported(Member),
    /// The header names no algorithm.
    #[error("its header names no algorithm (`alg`)")]
    NoAlgorithm,
    /// The header says that it is not signed.
    #[error("it is not signed (`alg` is none)")]
    NotSigned,
    /// The header names an algorithm that is not known.
    #[error("its algorithm (`alg`) is not known")]
    UnknownAlgorithm,
    /// The header's `kid` is no usable text.
    #[error("its `kid` is no text of at most {} bytes", limits::KEY_NAME_BYTES_MAX)]
    KeyName,
    /// No key fits the algorithm.
    #[error("no key is for {0:?}")]
    NoKeyForAlgorithm(Algorithm),
    /// The key set has no such key.
    #[error("no key has the name (`kid`) that it names")]
    UnknownKey,
    /// No key set is for this issuer, and no key of the hub's own fits.
    #[error("no key is for its issuer and algorithm")]
    UnknownIssuer,
    /// The signature is not of a key that is known.
    #[error("its signature does not fit")]
    Signature,
    /// A claim that must be there is not.
    #[error("it has no `{0}`")]
    Missing(Member),
    /// A claim is of a wrong type.
    #[error("its `{0}` is no {1}")]
    WrongType(Member, &'static str),
    /// A time is before 1970.
    #[error("its `{0}` is negative")]
    Negative(Member),
    /// It is too old.
    #[error("it has expired")]
    Expired,
    /// It is too young.
    #[error("it is not valid yet (`nbf`)")]
    NotYet,
    /// The issuer is another one.
    #[error("its issuer (`iss`) is not the one that is expected")]
    Issuer,
    /// The audience is another one.
    #[error("its audience (`aud`) is not one that is expected")]
    Audience,
    /// A text is too long.
    #[error("its `{0}` is longer than {1} bytes")]
    LongText(Member, usize),
    /// A text has control characters or is empty.
    #[error("its `{0}` is empty or has a control character")]
    Text(Member),
    /// The grants are not usable.
    #[error("{0}")]
    Grants(InvalidGrants),
    /// The introspection endpoint says that it is not active.
    #[error("the introspection endpoint says that it is not active")]
    Inactive,
    /// The key it was verified with is not there any more.
    #[error("the key it was signed with was withdrawn")]
    KeyWithdrawn,
    /// An opaque token cannot be asked about again without its text, or has become somebody else's.
    #[error("it cannot be verified again")]
    Changed,
    /// Nothing is configured to verify it with.
    #[error("no key and no introspection endpoint is configured")]
    NothingConfigured,
}

impl Why {
    /// The claim it is about, where it is about the form of one.
    pub(crate) fn member(self) -> Option<Member> {
        match self {
            Why::Missing(member)
            | Why::WrongType(member, _)
            | Why::Negative(member)
            | Why::LongText(member, _)
            | Why::Text(member) => Some(member),
            _ => None,
        }
    }
}
