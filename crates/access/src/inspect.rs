//! All that can be said of a token, for people: what it holds, and everything the hub would refuse it for.

use serde_json::Value;

use crate::claims::Claims;
use crate::head::{Header, RawParts};
use crate::refused::Why;
use crate::verifier::Verifier;

/// What is known of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// A key that was given signed it.
    Fits,
    /// None did; the reason stands in `refused`.
    DoesNotFit,
    /// There was no key to check it with, or nothing to check.
    NotChecked,
}

/// What a token holds. Shows claims, never the signature.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The header, if it is JSON.
    pub header: Option<Value>,
    /// The claims, if they are JSON.
    pub claims: Option<Value>,
    /// The claims as the hub reads them; what it cannot read is left out.
    pub read: Claims,
    /// What is known of the signature.
    pub signature: Signature,
    /// Everything it would be refused for; empty if it would be accepted.
    pub refused: Vec<Why>,
}

impl Verifier {
    /// Looks at a token from all sides, with the static keys alone: asks nobody.
    #[must_use]
    pub fn inspect(&self, token: &str) -> Inspection {
        let mut seen = Inspection {
            header: None,
            claims: None,
            read: Claims::default(),
            signature: Signature::NotChecked,
            refused: Vec::new(),
        };
        match RawParts::split(token) {
            Ok(raw) => self.look_at(&raw, &mut seen),
            Err(why) => seen.refused.push(why),
        }
        seen
    }

    fn look_at(&self, raw: &RawParts<'_>, seen: &mut Inspection) {
        let mut header = None;
        match raw.header() {
            Err(why) => seen.refused.push(why),
            Ok(json) => {
                seen.header = serde_json::from_slice(&json).ok();
                header = Header::from_json(&json).map_err(|why| seen.refused.push(why)).ok();
            }
        }
        match raw.claims() {
            Err(why) => seen.refused.push(why),
            Ok(json) => {
                seen.claims = serde_json::from_slice(&json).ok();
                match Claims::read(&json) {
                    Err(why) => seen.refused.push(why),
                    Ok((claims, wrong)) => {
                        // What could not be read is not missing beside that.
                        let is_new = |why: &Why| {
                            why.member()
                                .is_none_or(|member| wrong.iter().all(|said| said.member() != Some(member)))
                        };
                        let checked = claims.check(self.rules(), self.now()).into_iter().filter(is_new);
                        seen.refused.extend(wrong.iter().copied().chain(checked));
                        seen.read = claims;
                    }
                }
            }
        }
        let Some(header) = header else { return };
        if self.keys().is_empty() {
            return;
        }
        match self.signed_by_static_key(raw, &header) {
            None => seen.signature = Signature::Fits,
            Some(why) => {
                seen.signature = Signature::DoesNotFit;
                seen.refused.push(why);
            }
        }
    }
}
