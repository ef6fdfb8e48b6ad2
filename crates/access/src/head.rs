//! A token taken apart: header, claims, signature. Everything here happens before the signature is checked, so nothing
//! of it may be believed; it only says which key to try.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::algorithm::{self, Algorithm};
use crate::json::{object, present};
use crate::limits::{HEADER_BYTES_MAX, KEY_NAME_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::refused::Why;

/// A token taken apart.
pub struct Parts<'a> {
    /// What was signed: header and claims as they came.
    pub signed: &'a str,
    /// The signature, in base64url.
    pub signature: &'a str,
    /// What the header says.
    pub header: Header,
    /// The claims, decoded; JSON if the token is one.
    pub claims: Vec<u8>,
}

/// What a header says.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// The algorithm it claims. A key must be for it.
    pub algorithm: Algorithm,
    /// The key it names.
    pub key_name: Option<Box<str>>,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.key_name.is_some();
        f.debug_struct("Header").field("algorithm", &self.algorithm).field("names_key", &named).finish()
    }
}

/// Parts of a token are never shown.
impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Whether a text looks like a JWT: three parts. Anything else may be an opaque token.
#[must_use]
pub fn is_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Checks what any token must be, opaque ones too: the characters of RFC 6750, section 2.1, and their number.
///
/// # Errors
/// When it is empty, too long, or has other characters.
pub fn check_text(token: &str) -> Result<(), Why> {
    if token.is_empty() {
        return Err(Why::Empty);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Why::TooLong);
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.bytes().all(is_fine) { Ok(()) } else { Err(Why::Characters) }
}

/// Takes a token apart. Allocates no more than the token is long.
///
/// # Errors
/// When it is no JWT that could be verified here.
pub fn split(token: &str) -> Result<Parts<'_>, Why> {
    let raw = RawParts::split(token)?;
    Ok(Parts {
        signed: raw.signed,
        signature: raw.signature,
        header: Header::from_json(&raw.header()?)?,
        claims: raw.claims()?,
    })
}

/// The three texts of a token.
#[derive(Clone, Copy)]
pub(crate) struct RawParts<'a> {
    pub(crate) signed: &'a str,
    pub(crate) signature: &'a str,
    header: &'a str,
    claims: &'a str,
}

impl<'a> RawParts<'a> {
    pub(crate) fn split(token: &'a str) -> Result<RawParts<'a>, Why> {
        check_text(token)?;
        if !is_jwt(token) {
            return Err(Why::Parts);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Why::Parts)?;
        let (header, claims) = signed.split_once('.').ok_or(Why::Parts)?;
        if header.len() > (HEADER_BYTES_MAX * 4).div_ceil(3) {
            return Err(Why::HeaderTooLong);
        }
        Ok(RawParts { signed, signature, header, claims })
    }

    pub(crate) fn header(&self) -> Result<Vec<u8>, Why> {
        decode(self.header, "header")
    }

    pub(crate) fn claims(&self) -> Result<Vec<u8>, Why> {
        decode(self.claims, "claims")
    }
}

/// Without padding and without stray bits in the last character (RFC 7515, section 2): a token has one spelling.
fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, Why> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Why::Base64(name))
}

/// The members that count; of those that must not be there, whether they are.
#[derive(Deserialize)]
struct Json<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    alg: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    kid: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    crit: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    b64: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    enc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    zip: Option<&'a RawValue>,
}

impl Header {
    pub(crate) fn from_json(json: &[u8]) -> Result<Header, Why> {
        let json: Json<'_> = object(json).ok_or(Why::Json("header"))?;
        let unsupported = [("crit", json.crit), ("b64", json.b64), ("enc", json.enc), ("zip", json.zip)];
        if let Some((name, _)) = unsupported.into_iter().find(|(_, value)| value.is_some()) {
            return Err(Why::Unsupported(name));
        }
        let named: String =
            json.alg.and_then(|raw| serde_json::from_str(raw.get()).ok()).ok_or(Why::NoAlgorithm)?;
        let algorithm = match algorithm::named(&named) {
            Some(algorithm) => algorithm,
            None if named.eq_ignore_ascii_case("none") => return Err(Why::NotSigned),
            None => return Err(Why::UnknownAlgorithm),
        };
        let key_name = match json.kid {
            None => None,
            Some(raw) => {
                let name: Box<str> = serde_json::from_str(raw.get()).map_err(|_| Why::KeyName)?;
                if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX {
                    return Err(Why::KeyName);
                }
                Some(name)
            }
        };
        Ok(Header { algorithm, key_name })
    }
}
