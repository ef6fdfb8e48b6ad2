//! What a token says about itself: times, issuer, audience, subject, grants. One set of rules for JWTs and for answers of
//! an introspection endpoint.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use crate::grants::Grants;
use crate::json::{object, present};
use crate::limits::{AUDIENCES_MAX, ISSUER_BYTES_MAX, SUBJECT_BYTES_MAX, TOKEN_ID_BYTES_MAX};
use crate::refused::{Member, Why};
use crate::time::{from_number, later};

/// What is expected of every token.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The issuer it must name; with none, any or no issuer.
    pub issuer: Option<Arc<str>>,
    /// It must name one of these audiences; with none listed, its audience is not looked at.
    pub audience: Vec<String>,
    /// How far clocks may be apart: `exp` counts as later by this, `nbf` as earlier.
    pub leeway: Duration,
}

/// The claims that count, as they came.
#[derive(Deserialize)]
struct Json<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    nbf: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    iat: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    iss: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    jti: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    watertight: Option<&'a RawValue>,
    /// Of an introspection's answer alone.
    #[serde(borrow, default, deserialize_with = "present")]
    active: Option<&'a RawValue>,
}

/// What a token says. What could not be read is left out here and is a problem of its own.
#[derive(Clone, Default, PartialEq)]
pub struct Claims {
    /// When it expires.
    pub expires: Option<SystemTime>,
    /// Since when it is valid.
    pub not_before: Option<SystemTime>,
    /// When it was issued. Never refuses a token; a revocation may go by it.
    pub issued_at: Option<SystemTime>,
    /// Who issued it.
    pub issuer: Option<Arc<str>>,
    /// Whom it is for.
    pub audience: Vec<String>,
    /// The user.
    pub subject: Option<Arc<str>>,
    /// Its id.
    pub id: Option<Arc<str>>,
    /// What it grants.
    pub grants: Grants,
    /// Whether an introspection endpoint calls it active.
    pub(crate) active: Option<bool>,
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Claims {
    /// Reads claims, and says all that is wrong with their form. The second value is empty if nothing is.
    ///
    /// # Errors
    /// When it is no JSON object, or has a member twice that counts.
    pub fn read(json: &[u8]) -> Result<(Claims, Vec<Why>), Why> {
        let json: Json<'_> = object(json).ok_or(Why::Json("claims"))?;
        let mut wrong = Vec::new();
        let mut note = Noting(&mut wrong);
        let claims = Claims {
            expires: note.value(json.exp, |raw| time("exp", raw)),
            not_before: note.value(json.nbf, |raw| time("nbf", raw)),
            // It may be anything.
            issued_at: json.iat.and_then(|raw| time("iat", raw).ok()),
            issuer: note.value(json.iss, |raw| text("iss", ISSUER_BYTES_MAX, raw)),
            audience: note.value(json.aud, audience).unwrap_or_default(),
            subject: note.value(json.sub, |raw| text("sub", SUBJECT_BYTES_MAX, raw)),
            id: note.value(json.jti, |raw| text("jti", TOKEN_ID_BYTES_MAX, raw)),
            grants: note
                .value(json.watertight, |raw| Grants::from_json(raw.get()).map_err(Why::Grants))
                .unwrap_or_default(),
            // Means nothing in a JWT.
            active: json.active.and_then(|raw| serde_json::from_str(raw.get()).ok()),
        };
        if json.exp.is_none() {
            wrong.push(Why::Missing("exp"));
        }
        Ok((claims, wrong))
    }

    /// Everything that speaks against the token at `now`.
    #[must_use]
    pub fn check(&self, rules: &Rules, now: SystemTime) -> Vec<Why> {
        let mut wrong = Vec::new();
        if self.expires.is_some_and(|expires| later(expires, rules.leeway) <= now) {
            wrong.push(Why::Expired);
        }
        if self.not_before.is_some_and(|from| later(now, rules.leeway) < from) {
            wrong.push(Why::NotYet);
        }
        if let Some(expected) = &rules.issuer {
            match &self.issuer {
                None => wrong.push(Why::Missing("iss")),
                Some(issuer) if issuer != expected => wrong.push(Why::Issuer),
                Some(_) => {}
            }
        }
        if !rules.audience.is_empty() {
            if self.audience.is_empty() {
                wrong.push(Why::Missing("aud"));
            } else if !self.audience.iter().any(|named| rules.audience.contains(named)) {
                wrong.push(Why::Audience);
            }
        }
        wrong
    }

    /// Bytes it holds on the heap, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = [&self.issuer, &self.subject, &self.id].into_iter().flatten().map(|text| text.len() + 16);
        let audience = self.audience.iter().map(|text| text.len() + size_of::<String>());
        texts.chain(audience).sum::<usize>() + self.grants.heap_bytes()
    }
}

/// Notes what is wrong, and goes on.
struct Noting<'a>(&'a mut Vec<Why>);

impl Noting<'_> {
    fn value<T>(&mut self, raw: Option<&RawValue>, read: impl Fn(&RawValue) -> Result<T, Why>) -> Option<T> {
        match read(raw?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.0.push(why);
                None
            }
        }
    }
}

fn time(member: Member, raw: &RawValue) -> Result<SystemTime, Why> {
    let number: Number = serde_json::from_str(raw.get()).map_err(|_| Why::WrongType(member, "number"))?;
    from_number(member, &number)
}

fn text(member: Member, bytes_max: usize, raw: &RawValue) -> Result<Arc<str>, Why> {
    let text: String = serde_json::from_str(raw.get()).map_err(|_| Why::WrongType(member, "text"))?;
    if text.len() > bytes_max {
        return Err(Why::LongText(member, bytes_max));
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Why::Text(member));
    }
    Ok(text.into())
}

/// One text, or a list of them (RFC 7519, section 4.1.3).
fn audience(raw: &RawValue) -> Result<Vec<String>, Why> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Json {
        One(String),
        Many(Vec<String>),
    }
    let named = match serde_json::from_str(raw.get()) {
        Ok(Json::One(one)) => vec![one],
        Ok(Json::Many(many)) if many.len() <= AUDIENCES_MAX => many,
        _ => return Err(Why::WrongType("aud", "text or short list of texts")),
    };
    match named.iter().find(|name| name.len() > ISSUER_BYTES_MAX) {
        Some(_) => Err(Why::LongText("aud", ISSUER_BYTES_MAX)),
        None => Ok(named),
    }
}
