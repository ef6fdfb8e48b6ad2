//! What the fuzz targets run, also run by ordinary tests: not part of the crate's interface.
//!
//! Each function takes any bytes at all and panics where a promise is broken.

pub mod reference;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::claims::{Claims, Rules};
use crate::grants::{Action, Grants, Pattern};
use crate::head::{self, Header, RawParts};
use crate::limits::{
    KEY_NAME_BYTES_MAX, PATTERN_BYTES_MAX, PATTERN_SEGMENTS_MAX, PATTERNS_MAX, SECONDS_MAX,
    SUBJECT_BYTES_MAX, TOKEN_BYTES_MAX,
};

/// Checks that any text is a token's head or refused: what is taken apart is within its limits, and is the token.
pub fn fuzz_head(input: &[u8]) {
    // The decoded header, which chance seldom hits through base64.
    if let Ok(header) = Header::from_json(input) {
        check_header(&header);
    }
    let Ok(token) = std::str::from_utf8(input) else { return };
    let whole = head::split(token);
    let raw = RawParts::split(token);
    if let Ok(parts) = &whole {
        assert!(token.len() <= TOKEN_BYTES_MAX && head::is_jwt(token), "a head of what is no token");
        assert_eq!(format!("{}.{}", parts.signed, parts.signature), token, "the parts are not the token");
        assert!(parts.claims.len() < token.len(), "claims longer than the token");
        check_header(&parts.header);
    }
    if let Err(why) = &raw {
        assert_eq!(whole.err(), Some(*why), "taken apart in two ways");
    }
}

fn check_header(header: &Header) {
    let name = header.key_name.as_deref();
    assert!(name.is_none_or(|name| (1..=KEY_NAME_BYTES_MAX).contains(&name.len())), "a name out of bounds");
    assert!(crate::algorithm::ALL.contains(&header.algorithm), "an algorithm that no key is for");
}

/// Checks that any bytes are claims or refused: all that is kept is within its limits, and no time makes a check panic.
pub fn fuzz_claims(input: &[u8]) {
    let Ok((claims, wrong)) = Claims::read(input) else { return };
    for text in [&claims.subject, &claims.id].into_iter().flatten() {
        assert!((1..=SUBJECT_BYTES_MAX).contains(&text.len()), "a text out of bounds");
        assert!(!text.chars().any(char::is_control), "a control character");
    }
    assert!(claims.expires.is_some() || !wrong.is_empty(), "a token without an end is fine");
    let latest = UNIX_EPOCH + Duration::from_secs(SECONDS_MAX);
    for time in [claims.expires, claims.not_before, claims.issued_at].into_iter().flatten() {
        assert!((UNIX_EPOCH..=latest).contains(&time), "a time out of bounds");
    }
    let rules = |leeway| Rules { issuer: None, audience: Vec::new(), leeway };
    for now in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1_700_000_000), latest] {
        let strict = claims.check(&rules(Duration::ZERO), now);
        let lenient = claims.check(&rules(Duration::MAX), now);
        assert!(lenient.len() <= strict.len(), "leeway refuses more");
        let expired = claims.expires.is_some_and(|expires: SystemTime| expires <= now);
        assert_eq!(strict.contains(&crate::Why::Expired), expired, "expired or not");
    }
    check_grants(&claims.grants);
}

/// Checks that any bytes are a claim `watertight` or refused, within its limits.
pub fn fuzz_grants(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(grants) = Grants::from_json(text) else { return };
    check_grants(&grants);
    // Written out and read again it is the same.
    let list =
        |action| grants.patterns(action).map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>();
    let (subscribe, publish) = (list(Action::Subscribe), list(Action::Publish));
    let json = serde_json::json!({ "subscribe": subscribe, "publish": publish, "admin": grants.is_admin() });
    assert_eq!(Grants::from_json(&json.to_string()).as_ref(), Ok(&grants), "written and read again");
}

fn check_grants(grants: &Grants) {
    for action in [Action::Subscribe, Action::Publish] {
        let mut count = 0;
        for pattern in grants.patterns(action) {
            count += 1;
            let text = pattern.as_str();
            assert_eq!(Pattern::new(text), Ok(pattern), "kept, and no pattern");
            assert!(text.len() <= PATTERN_BYTES_MAX, "a pattern too long");
            assert!(text.split('/').count() <= PATTERN_SEGMENTS_MAX, "a pattern too deep");
        }
        assert!(count <= PATTERNS_MAX, "too many patterns");
        for path in ["", "sessions/../a", "sessions//a", "/a", "a/", "."] {
            assert!(!grants.allows(action, path), "an ambiguous path is granted");
        }
    }
}

/// Checks that a pattern matches the paths that the slow, obvious matcher says. Pattern and path are what stands before
/// and after the first line feed.
pub fn fuzz_pattern(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some((pattern, path)) = text.split_once('\n') else { return };
    let Ok(pattern) = Pattern::new(pattern) else { return };
    let grants = Grants::new(&[pattern.as_str()], &[], false).unwrap_or_default();
    assert_eq!(grants.patterns(Action::Subscribe).next(), Some(pattern), "a pattern makes no grant");
    let expected = reference::is_plain(path) && reference::matches(pattern.as_str(), path);
    assert_eq!(grants.allows(Action::Subscribe, path), expected, "{} on {path:?}", pattern.as_str());
    assert!(!grants.allows(Action::Publish, path), "the other list");
}
