//! Whether the hub is there at all: certificate, redirects, and what it says to a first request.

use std::time::Duration;

use rustls::ClientConfig;
use url::Url;
use x509_parser::parse_x509_certificate;

use super::clock::{now, wall};
use super::http::{Request, Whole};
use super::link::{AS_BROWSERS, Handshake, certificate_fault, handshake};
use super::probe::{Probe, code_of, described, spoken};
use super::report::{Check, Finding};

/// More redirects in a row than this are a loop.
const REDIRECTS_MAX: usize = 5;
/// How long TCP and TLS may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A certificate that expires sooner should have been renewed, days.
const RENEWED_DAYS: i64 = 14;
const DAY_SECONDS: i64 = 86_400;

/// What came of it: whether the other checks make sense.
pub(super) struct Reached {
    pub(super) findings: Vec<Finding>,
    pub(super) goes_on: bool,
    /// Whether a browser gets HTTP/2.
    pub(super) speaks_http2: bool,
}

/// Looks at the certificate, follows redirects and asks for the first time.
pub(super) async fn reach(probe: &Probe) -> Reached {
    let mut reached = Reached { findings: Vec::new(), goes_on: false, speaks_http2: false };
    let mut led: Vec<(u16, Url)> = Vec::new();
    let session = probe.session("first");
    loop {
        reached.findings.retain(|finding| finding.check != Check::Certificate);
        let url = probe.url();
        if let Some(config) = probe.tls.as_ref().filter(|_| url.scheme() == "https") {
            match certificate(&url, config).await {
                Ok((finding, speaks_http2)) => {
                    reached.findings.push(finding);
                    reached.speaks_http2 = speaks_http2;
                }
                Err(finding) => {
                    reached.findings.push(finding);
                    return reached;
                }
            }
        } else {
            let text = match probe.socket() {
                Some(_) => "a Unix socket has none: nothing leaves this machine",
                None => "http:// has none: tokens and events travel in clear",
            };
            reached.findings.push(Finding::not_tested(Check::Certificate, text));
        }
        let begun = now();
        let first = Request::new("GET", format!("{}?wait=0", probe.events(&session)));
        let whole = match probe.ask(first.field("Accept", "application/json")).await {
            Ok(whole) => whole,
            Err(trouble) => {
                reached.findings.push(Finding::wrong(Check::Connection, trouble.to_string()));
                return reached;
            }
        };
        if !matches!(whole.head.status, 301 | 302 | 303 | 307 | 308) {
            reached.findings.push(redirects(&led));
            let took = spoken(begun.elapsed());
            let finding = connection(probe, &whole, &took);
            reached.goes_on = finding.verdict == super::report::Verdict::Good;
            reached.findings.push(finding);
            return reached;
        }
        match next_base(&url, &session, &whole, probe.has_token) {
            Ok(base) if led.len() < REDIRECTS_MAX => {
                led.push((whole.head.status, base.clone()));
                probe.follow(base);
            }
            Ok(_) => {
                let text = format!("more than {REDIRECTS_MAX} in a row: a loop");
                reached.findings.push(Finding::wrong(Check::Redirects, text));
                return reached;
            }
            Err(why) => {
                reached.findings.push(Finding::wrong(Check::Redirects, why));
                return reached;
            }
        }
    }
}

/// Where the hub is according to a redirect.
fn next_base(url: &Url, session: &str, whole: &Whole, has_token: bool) -> Result<Url, String> {
    let location = whole.head.get("location").unwrap_or_default();
    let here = url.join(&format!("{}/sessions/{session}/events?wait=0", url.path().trim_end_matches('/')));
    let next = here.and_then(|here| here.join(location)).map_err(|error| format!("{location:?}: {error}"))?;
    let path = next.path().trim_end_matches('/');
    let Some(base) = path.strip_suffix(&format!("/sessions/{session}/events")) else {
        return Err(format!("{} leads to {next}, which is not the same call", whole.head.status));
    };
    if has_token && next.host_str() != url.host_str() {
        return Err(format!(
            "{} leads to another host, {next}: no client sends its token there",
            whole.head.status
        ));
    }
    let mut there = next.clone();
    there.set_path(base);
    there.set_query(None);
    Ok(there)
}

fn redirects(led: &[(u16, Url)]) -> Finding {
    let Some((_, last)) = led.last() else { return Finding::good(Check::Redirects, "none") };
    if let Some((status, to)) = led.iter().find(|(status, _)| !matches!(status, 307 | 308)) {
        let text = format!("{status} to {to}: a client that follows sends GET instead of POST; use that URL");
        return Finding::wrong(Check::Redirects, text);
    }
    Finding::slow(Check::Redirects, format!("each request goes to {last} first: use that URL"))
}

fn connection(probe: &Probe, whole: &Whole, took: &str) -> Finding {
    let wrong = |text: String| Finding::wrong(Check::Connection, text);
    match (whole.head.status, code_of(whole).as_str()) {
        (200, _) if whole.body.starts_with(b"{\"events\"") => {
            Finding::good(Check::Connection, format!("the hub answers in {took}"))
        }
        (200, _) => wrong("what answers with 200 is no hub".to_owned()),
        (401, "UNAUTHORIZED") if probe.has_token => {
            wrong("the hub sees no token, although one is sent: Authorization is dropped".to_owned())
        }
        (401, "UNAUTHORIZED") => wrong("the hub asks for a token: give --token".to_owned()),
        (401, "INVALID_TOKEN") => wrong("the hub does not accept this token".to_owned()),
        (403, "FORBIDDEN") => wrong(
            "the token does not let its holder read the probe session: give --session PREFIX".to_owned(),
        ),
        (421, _) => {
            wrong("421 HOST_NOT_ALLOWED: the hub does not know the host that it is asked for".to_owned())
        }
        (502..=504, "") => wrong(format!("{}: a proxy does not reach the hub", whole.head.status)),
        _ => wrong(format!("reading a session is answered with {}", described(whole))),
    }
}

/// Name, chain and end of the certificate, and whether a browser gets HTTP/2.
async fn certificate(url: &Url, config: &ClientConfig) -> Result<(Finding, bool), Finding> {
    let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, handshake(url, config, AS_BROWSERS)).await;
    let shaken = match shaken.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(shaken) => shaken,
        Err(error) => {
            return Err(match certificate_fault(&error) {
                Some(fault) => Finding::wrong(Check::Certificate, fault),
                None => Finding::wrong(Check::Connection, error.to_string()),
            });
        }
    };
    let Handshake { link: _closed_here, speaks_http2, chain } = shaken;
    let expires = chain.iter().filter_map(|it| Some(parse_x509_certificate(it).ok()?.1.validity().not_after));
    let Some(expires) = expires.map(|time| time.timestamp()).min() else {
        return Err(Finding::wrong(Check::Certificate, "it cannot be read"));
    };
    let now = i64::try_from(wall().as_secs()).unwrap_or(i64::MAX);
    let days = (expires - now) / DAY_SECONDS;
    let text = format!("valid for {days} more days, {} in the chain", chain.len());
    let finding = if days < RENEWED_DAYS {
        Finding::slow(Check::Certificate, format!("{text}: it should have been renewed"))
    } else {
        Finding::good(Check::Certificate, text)
    };
    Ok((finding, speaks_http2))
}
