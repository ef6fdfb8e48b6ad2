//! Refusals by their code. The codes are a fixed list: what is counted never grows with what clients send.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Every code that a route, or what stands before the routes, refuses with. The last is for all others.
const CODES: [&str; 51] = [
    "AUTHENTICATION_UNAVAILABLE",
    "BATCH_TOO_LARGE",
    "BODY_NOT_ALLOWED",
    "BODY_TIMEOUT",
    "BODY_TOO_LARGE",
    "CIRCUIT_OPEN",
    "CONNECTION_NOT_FOUND",
    "DIRECTORY_UNAVAILABLE",
    "EPOCH_CHANGED",
    "EVENT_TOO_LARGE",
    "FORBIDDEN",
    "HOST_NOT_ALLOWED",
    "IDEMPOTENCY_KEY_REUSED",
    "INTERNAL",
    "INVALID_DEPLOYMENT",
    "INVALID_EVENT_TYPE",
    "INVALID_IDEMPOTENCY_KEY",
    "INVALID_KEEP",
    "INVALID_PARAMETER",
    "INVALID_REVOCATION",
    "INVALID_SERVICE",
    "INVALID_SESSION_NAME",
    "INVALID_TOKEN",
    "INVALID_TTL",
    "MALFORMED_BODY",
    "MALFORMED_JSON",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "NOT_FOUND",
    "NO_TOKENS",
    "ORIGIN_NOT_ALLOWED",
    "OVERLOADED",
    "RATE_LIMITED",
    "RESERVED_EVENT_TYPE",
    "RESERVED_SESSION",
    "RESOURCE_NOT_FOUND",
    "SESSION_ENDED",
    "SESSION_NOT_FOUND",
    "SHUTTING_DOWN",
    "STALE_CURSOR",
    "STUCK",
    "TOO_MANY_EVENTS",
    "TOO_MANY_REVOCATIONS",
    "TOO_MANY_SEARCHES",
    "TOO_MANY_SESSIONS",
    "TOO_MANY_STREAMS",
    "UNAUTHORIZED",
    "UNSUPPORTED_ENCODING",
    "UNSUPPORTED_MEDIA_TYPE",
    "URI_TOO_LONG",
    "other",
];

/// How often each was given.
#[derive(Debug)]
pub(super) struct Refusals([AtomicU64; CODES.len()]);

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Refusals {
    pub(super) fn count(&self, code: &str) {
        let at = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        self.0[at].fetch_add(1, Relaxed);
    }

    /// Each with its count.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CODES.into_iter().zip(self.0.iter().map(|count| count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Given before any route is asked, so that they are not counted here; the gate counts the last.
    const BEFORE_ROUTES: [&str; 4] =
        ["HEAD_TOO_LARGE", "INVALID_HOST", "MALFORMED_REQUEST", "TOO_MANY_CONNECTIONS"];

    #[test]
    fn every_code_that_the_api_describes_is_counted_by_itself() {
        let text = include_str!("../../../../docs/openapi.json");
        let document: serde_json::Value = serde_json::from_str(text).expect("it is read");
        let listed = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array();
        let listed = listed.expect("codes").iter().filter_map(|code| code.as_str());
        let listed: BTreeSet<&str> = listed.filter(|code| !BEFORE_ROUTES.contains(code)).collect();
        let counted: BTreeSet<&str> = CODES.into_iter().filter(|code| *code != "other").collect();
        assert_eq!(counted, listed);
        let refusals = Refusals::default();
        refusals.count("FORBIDDEN");
        refusals.count("FORBIDDEN");
        refusals.count("SOMETHING_NEW");
        let counted: Vec<_> = refusals.all().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("FORBIDDEN", 2), ("other", 1)]);
    }
}
