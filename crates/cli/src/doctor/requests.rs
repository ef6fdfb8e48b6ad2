//! Checks of single requests: what of them reaches the hub, and what of its answers comes back.

use serde_json::Value;

use super::clock::wall;
use super::http::{Head, Request, Whole};
use super::probe::{Probe, Seen, Trouble, code_of, described, id_of};
use super::report::{Check, Finding};

/// No larger body is sent, bytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What is tried where the largest body does not pass, bytes.
const SMALLER_BODIES: [usize; 3] = [1024 * 1024, 256 * 1024, 32 * 1024];
/// By how much clocks may differ: what a time in whole seconds cannot tell, and what tokens are accepted beyond
/// their end.
const SKEW_GOOD: f64 = 1.0;
const SKEW_MOST: f64 = 5.0;
/// What pages may send to the hub.
const PAGE_FIELDS: [&str; 4] = ["authorization", "content-type", "idempotency-key", "last-event-id"];

/// What the hub sees of a request: its version, `Authorization`, the clock.
pub(super) async fn seen(probe: &Probe) -> Vec<Finding> {
    let session = probe.session("seen");
    let mut request = Request::new("GET", "");
    if !probe.has_token {
        // A hub without tokens does not look at it.
        request = request.field("Authorization", "Bearer watertight-doctor");
    }
    let before = wall().as_secs_f64();
    let seen = probe.see(&session, request).await;
    let after = wall().as_secs_f64();
    match seen {
        Ok(seen) => vec![version(&seen), authorization(&seen), clock(before, seen.number("time"), after)],
        Err(trouble) => {
            let why = trouble.to_string();
            let authorization = if probe.has_token {
                Finding::good(Check::Authorization, "the hub accepts the token")
            } else {
                Finding::not_tested(Check::Authorization, why.clone())
            };
            let not_tested = |check| Finding::not_tested(check, why.clone());
            vec![not_tested(Check::HttpVersion), authorization, not_tested(Check::Clock)]
        }
    }
}

fn version(seen: &Seen) -> Finding {
    let (ours, theirs) = (format!("HTTP/1.{}", seen.head.minor), seen.text("httpVersion"));
    let text = format!("{ours} to the client, {theirs} to the hub");
    if seen.head.minor == 0 || theirs == "HTTP/1.0" {
        return Finding::slow(
            Check::HttpVersion,
            format!("{text}: no chunks, a new connection for each request"),
        );
    }
    Finding::good(Check::HttpVersion, text)
}

fn authorization(seen: &Seen) -> Finding {
    if seen.has("authorization") {
        return Finding::good(Check::Authorization, "passed on");
    }
    Finding::wrong(Check::Authorization, "dropped: the hub does not see it")
}

/// The hub's time lies between those before and after, if the clocks agree.
fn clock(before: f64, hub: f64, after: f64) -> Finding {
    let skew = if hub < before { hub - before } else { (hub - after).max(0.0) };
    let text = match skew {
        0.0 => "the hub's agrees with this machine's".to_owned(),
        skew if skew > 0.0 => format!("the hub's is {skew:.1} s ahead of this machine's"),
        skew => format!("the hub's is {:.1} s behind this machine's", -skew),
    };
    if skew.abs() <= SKEW_GOOD {
        Finding::good(Check::Clock, text)
    } else if skew.abs() <= SKEW_MOST {
        Finding::slow(Check::Clock, text)
    } else {
        Finding::wrong(Check::Clock, format!("{text}: tokens expire at another time than their issuer means"))
    }
}

fn outcome(check: Check, found: Result<Finding, Trouble>) -> Finding {
    found.unwrap_or_else(|trouble| Finding::wrong(check, trouble.to_string()))
}

/// Whether a resumed reader gets what it missed.
pub(super) async fn last_event_id(probe: &Probe) -> Finding {
    let look = async {
        let session = probe.session("resume");
        let first = probe.publish(&session, &probe.mark()).await?;
        let second = probe.publish(&session, &probe.mark()).await?;
        let request = Request::new("GET", format!("{}?wait=0", probe.events(&session)))
            .field("Accept", "application/json")
            .field("Last-Event-ID", first);
        let whole = probe.ask(request).await?;
        let said: Value = serde_json::from_slice(&whole.body).unwrap_or_default();
        let Some(events) = said["events"].as_array() else {
            return Ok(Finding::wrong(Check::LastEventId, described(&whole)));
        };
        Ok(if events.iter().map(|event| &event["id"]).eq([&Value::from(second)]) {
            Finding::good(Check::LastEventId, "passed on: a reader that comes back gets what it missed")
        } else {
            Finding::wrong(Check::LastEventId, "dropped: a reader that comes back loses what it missed")
        })
    };
    outcome(Check::LastEventId, look.await)
}

/// Whether a publish that is repeated is published once.
pub(super) async fn idempotency_key(probe: &Probe) -> Finding {
    let look = async {
        let session = probe.session("once");
        let key = format!("{:032x}", fastrand::u128(..));
        let request = probe.publishing(&session, &probe.mark()).field("Idempotency-Key", key);
        let first = id_of(&probe.ask(request.clone()).await?)?;
        let second = id_of(&probe.ask(request).await?)?;
        Ok(if first == second {
            Finding::good(Check::IdempotencyKey, "passed on: a publish that is repeated is published once")
        } else {
            Finding::wrong(Check::IdempotencyKey, "dropped: a publish that is repeated is published twice")
        })
    };
    outcome(Check::IdempotencyKey, look.await)
}

/// Whether the hub is asked for the host that the client asks for: by it, it knows its own pages.
pub(super) async fn host(probe: &Probe) -> Finding {
    let look = async {
        let origin = format!("{}://{}", probe.url().scheme(), probe.host());
        let request = probe.publishing(&probe.session("host"), &probe.mark()).field("Origin", origin);
        let whole = probe.ask(request).await?;
        Ok(match (whole.head.status, code_of(&whole).as_str()) {
            (202, _) => Finding::good(Check::Host, "passed on"),
            (403, "ORIGIN_NOT_ALLOWED") => {
                Finding::wrong(Check::Host, "changed: the hub takes its own pages for those of others")
            }
            _ => Finding::wrong(Check::Host, described(&whole)),
        })
    };
    outcome(Check::Host, look.await)
}

/// Whether a name with a slash arrives as it is.
pub(super) async fn encoded_slash(probe: &Probe) -> Finding {
    let look = async {
        let whole = probe.ask(probe.publishing(&probe.session("a/b"), &probe.mark())).await?;
        Ok(match (whole.head.status, code_of(&whole).as_str()) {
            (202, _) => Finding::good(Check::EncodedSlash, "%2F in the name of a session is left as it is"),
            (403, "FORBIDDEN") => {
                Finding::not_tested(Check::EncodedSlash, "the token does not grant a name with a slash")
            }
            _ => {
                let text =
                    format!("a session with a slash in its name cannot be reached: {}", described(&whole));
                Finding::wrong(Check::EncodedSlash, text)
            }
        })
    };
    outcome(Check::EncodedSlash, look.await)
}

/// Whether a client that has said all is answered.
pub(super) async fn half_close(probe: &Probe) -> Finding {
    let request = Request { half_close: true, ..probe.publishing(&probe.session("half"), &probe.mark()) };
    match probe.ask(request).await {
        Ok(whole) if whole.head.status == 202 => {
            Finding::good(Check::HalfClose, "a client that closes its side behind a request gets the answer")
        }
        Ok(whole) => {
            let said = described(&whole);
            let text =
                format!("a client that closes its side behind a request gets no answer of the hub: {said}");
            Finding::slow(Check::HalfClose, text)
        }
        Err(trouble) => {
            let text = format!("a client that closes its side behind a request gets no answer: {trouble}");
            Finding::slow(Check::HalfClose, text)
        }
    }
}

/// Whether the largest body that the hub takes passes.
pub(super) async fn body_limit(probe: &Probe) -> Finding {
    let look = async {
        let session = probe.session("body");
        let most = match probe.see(&session, Request::new("GET", "")).await {
            Ok(seen) => seen.number("maxBodyBytes") as usize,
            Err(trouble) => return Ok(Finding::not_tested(Check::BodyLimit, trouble.to_string())),
        };
        let most = most.min(BODY_BYTES_MAX);
        let Err(refused) = send_body(probe, &session, most).await else {
            return Ok(Finding::good(Check::BodyLimit, format!("{} pass", bytes(most))));
        };
        let mut passes = None;
        for size in SMALLER_BODIES.into_iter().filter(|size| *size < most) {
            if send_body(probe, &session, size).await.is_ok() {
                passes = Some(size);
                break;
            }
        }
        let passes =
            passes.map_or_else(|| "no smaller ones either".to_owned(), |it| format!("{} pass", bytes(it)));
        let text = format!("{}, which the hub takes, do not pass ({refused}); {passes}", bytes(most));
        Ok(Finding::wrong(Check::BodyLimit, text))
    };
    outcome(Check::BodyLimit, look.await)
}

async fn send_body(probe: &Probe, session: &str, size: usize) -> Result<(), Trouble> {
    let request = Request::new("POST", "").body("application/octet-stream", vec![b'x'; size]);
    let seen = probe.see(session, request).await?;
    let came = seen.number("bodyBytes") as usize;
    if came == size { Ok(()) } else { Err(Trouble::new(format!("{came} bytes arrive"))) }
}

fn bytes(size: usize) -> String {
    const KIB: usize = 1024;
    const MIB: usize = KIB * KIB;
    match size {
        MIB.. if size.is_multiple_of(MIB) => format!("{} MiB", size / MIB),
        KIB.. if size.is_multiple_of(KIB) => format!("{} KiB", size / KIB),
        _ => format!("{size} bytes"),
    }
}

/// What a page of this origin may do.
pub(super) async fn cors(probe: &Probe, origin: Option<&str>) -> Finding {
    let Some(origin) = origin else {
        return Finding::not_tested(Check::Cors, "give --origin for pages of another origin");
    };
    let look = async {
        let events = probe.events(&probe.session("cors"));
        let preflight = Request::new("OPTIONS", events.as_str())
            .field("Origin", origin)
            .field("Access-Control-Request-Method", "POST")
            .field("Access-Control-Request-Headers", PAGE_FIELDS.join(","))
            // A browser sends none with a preflight; the hub asks for none.
            .without_token();
        let preflight = probe.ask(preflight).await?;
        if let Err(why) = allows(&preflight, origin).and_then(|()| allows_more(&preflight.head)) {
            return Ok(Finding::wrong(Check::Cors, format!("the preflight: {why}")));
        }
        let request = Request::new("GET", format!("{events}?wait=0"));
        let request = request.field("Accept", "application/json").field("Origin", origin);
        let whole = probe.ask(request).await?;
        Ok(match allows(&whole, origin) {
            Ok(()) => Finding::good(Check::Cors, format!("a page of {origin} may read and publish")),
            Err(why) => Finding::wrong(Check::Cors, why),
        })
    };
    outcome(Check::Cors, look.await)
}

fn allows(whole: &Whole, origin: &str) -> Result<(), String> {
    if !matches!(whole.head.status, 200..=299) {
        return Err(format!("is answered with {}", described(whole)));
    }
    let allowed: Vec<&str> = whole.head.all("access-control-allow-origin").collect();
    match allowed.as_slice() {
        [one] if *one == "*" || *one == origin => Ok(()),
        [] => Err(format!("{origin} is not allowed")),
        [other] => Err(format!("{other} is allowed, and not {origin}")),
        several => {
            Err(format!("{} fields say which origin is allowed: a browser refuses that", several.len()))
        }
    }
}

fn allows_more(head: &Head) -> Result<(), String> {
    let lists = |field: &'static str, wanted: &str| {
        let mut items = head.all(field).flat_map(|value| value.split(',')).map(str::trim);
        items.any(|item| item.eq_ignore_ascii_case(wanted))
    };
    if !lists("access-control-allow-methods", "POST") {
        return Err("POST is not allowed".to_owned());
    }
    match PAGE_FIELDS.iter().find(|name| !lists("access-control-allow-headers", name)) {
        None => Ok(()),
        Some(name) => Err(format!("{name} is not allowed")),
    }
}
