//! What was found: a line for each check, for people or as JSON. Knows no network.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::mends::{Proxy, mends};

/// What is looked at, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    Connection,
    Certificate,
    Redirects,
    HttpVersion,
    SixConnections,
    Buffering,
    Compression,
    IdleTimeOut,
    LastEventId,
    Authorization,
    IdempotencyKey,
    XAccelBuffering,
    Host,
    EncodedSlash,
    Cors,
    HalfClose,
    Leaving,
    BodyLimit,
    Clock,
}

impl Check {
    #[cfg(test)]
    pub(super) const ALL: [Check; 19] = [
        Check::Connection,
        Check::Certificate,
        Check::Redirects,
        Check::HttpVersion,
        Check::SixConnections,
        Check::Buffering,
        Check::Compression,
        Check::IdleTimeOut,
        Check::LastEventId,
        Check::Authorization,
        Check::IdempotencyKey,
        Check::XAccelBuffering,
        Check::Host,
        Check::EncodedSlash,
        Check::Cors,
        Check::HalfClose,
        Check::Leaving,
        Check::BodyLimit,
        Check::Clock,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Check::Connection => "connection",
            Check::Certificate => "certificate",
            Check::Redirects => "redirects",
            Check::HttpVersion => "http-version",
            Check::SixConnections => "six-connections",
            Check::Buffering => "buffering",
            Check::Compression => "compression",
            Check::IdleTimeOut => "idle-time-out",
            Check::LastEventId => "last-event-id",
            Check::Authorization => "authorization",
            Check::IdempotencyKey => "idempotency-key",
            Check::XAccelBuffering => "x-accel-buffering",
            Check::Host => "host",
            Check::EncodedSlash => "encoded-slash",
            Check::Cors => "cors",
            Check::HalfClose => "half-close",
            Check::Leaving => "leaving",
            Check::BodyLimit => "body-limit",
            Check::Clock => "clock",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// It works, but costs time or will not always.
    Slow,
    Wrong,
    NotTested,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Slow => "slow",
            Verdict::Wrong => "wrong",
            Verdict::NotTested => "not tested",
        }
    }

    fn is_to_be_mended(self) -> bool {
        matches!(self, Verdict::Slow | Verdict::Wrong)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn good(check: Check, text: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Good, text: text.into() }
    }

    pub(super) fn slow(check: Check, text: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Slow, text: text.into() }
    }

    pub(super) fn wrong(check: Check, text: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Wrong, text: text.into() }
    }

    pub(super) fn not_tested(check: Check, why: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::NotTested, text: why.into() }
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) url: String,
    /// `Server` and `Via` of the answers: the hub sends neither.
    pub(super) shows: Option<String>,
    pub(super) findings: Vec<Finding>,
    /// What could not be put back.
    pub(super) left: Option<String>,
}

impl Report {
    pub(super) fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == Verdict::Wrong)
    }

    fn proxy(&self) -> Option<Proxy> {
        Proxy::of(self.shows.as_deref()?)
    }

    fn mends(&self, finding: &Finding) -> Vec<(Proxy, &'static str)> {
        let proxy = self.proxy();
        let is_meant = |(of, _): &(Proxy, &str)| proxy.is_none_or(|proxy| proxy == *of);
        let all = if finding.verdict.is_to_be_mended() { mends(finding.check) } else { &[] };
        let meant: Vec<_> = all.iter().copied().filter(is_meant).collect();
        // Where the proxy that shows itself has no setting for it, another stands behind it.
        if meant.is_empty() { all.to_vec() } else { meant }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let shows = match &self.shows {
            Some(shows) => format!("a proxy shows itself: {}", visible(shows)),
            None => "no proxy shows itself".to_owned(),
        };
        let mut text = format!("{}: {shows}\n", self.url);
        for finding in &self.findings {
            let (verdict, name) = (finding.verdict.name(), finding.check.name());
            let _ = writeln!(text, "{verdict:<10}  {name:<17}  {}", visible(&finding.text));
            for (proxy, setting) in self.mends(finding) {
                let _ = writeln!(text, "{:<31}{}: {setting}", "", proxy.name());
            }
        }
        if let Some(left) = &self.left {
            let _ = writeln!(text, "{left}");
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let of_finding = |finding: &Finding| {
            let mends = self.mends(finding);
            let mends: serde_json::Map<String, Value> =
                mends.into_iter().map(|(proxy, setting)| (proxy.name().to_owned(), setting.into())).collect();
            json!({
                "check": finding.check.name(),
                "verdict": finding.verdict.name(),
                "found": finding.text,
                "mend": mends,
            })
        };
        json!({
            "url": self.url,
            "proxy": self.shows,
            "good": !self.is_wrong(),
            "checks": self.findings.iter().map(of_finding).collect::<Vec<_>>(),
            "left": self.left,
        })
    }
}

/// What others sent must not move the cursor of a terminal.
fn visible(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_that_shows_itself_is_the_one_whose_setting_is_told() {
        let findings = vec![Finding::wrong(Check::Buffering, "held"), Finding::good(Check::Host, "passed")];
        let mut report = Report { shows: Some("nginx/1.26".to_owned()), findings, ..Report::default() };
        let text = report.text();
        assert!(text.contains("nginx: proxy_buffering off") && !text.contains("caddy:"), "{text}");
        assert!(!text.contains("proxy_set_header Host"), "nothing is to be mended there: {text}");
        assert_eq!(report.json()["checks"][0]["mend"].as_object().unwrap().len(), 1);
        report.shows = None;
        let text = report.text();
        assert!(Proxy::ALL.iter().filter(|proxy| text.contains(proxy.name())).count() > 4, "{text}");
    }

    #[test]
    fn only_what_is_wrong_fails() {
        let findings = vec![Finding::slow(Check::Host, ""), Finding::not_tested(Check::Cors, "")];
        let mut report = Report { findings, ..Report::default() };
        assert!(!report.is_wrong());
        report.findings.push(Finding::wrong(Check::Clock, ""));
        assert!(report.is_wrong());
    }

    #[test]
    fn text_of_others_does_not_reach_the_terminal_as_it_is() {
        let findings = vec![Finding::wrong(Check::Connection, "\u{1b}[2Jgone")];
        let report = Report { shows: Some("\u{1b}]0;x\u{7}".to_owned()), findings, ..Report::default() };
        assert!(!report.text().contains('\u{1b}'), "{:?}", report.text());
    }

    #[test]
    fn each_check_is_described_with_what_mends_it() {
        let document = include_str!("../../../../docs/doctor.md");
        for check in Check::ALL {
            let heading = format!("### {}\n", check.name());
            let part = document.split(&heading).nth(1).unwrap_or_else(|| panic!("no part {heading}"));
            let part = part.split("\n### ").next().unwrap_or_default();
            for (proxy, setting) in mends(check) {
                let line = format!("| {} | `{setting}` |", proxy.name());
                assert!(part.contains(&line), "{} lacks {line}", check.name());
            }
            let lines = part.lines().filter(|line| line.starts_with("| ") && line.contains('`')).count();
            assert_eq!(lines, mends(check).len(), "{} has others", check.name());
        }
    }
}
