//! What verifying a token costs at connect: the very verifier of a hub, in this process, without a hub around it.

use std::time::Duration;

use watertight_access::mint::{Content, fresh_id, fresh_key};
use watertight_access::{Algorithm, Clock, Rules, Settings, Verifier};
use watertight_core::Budget;

use super::super::Bench;
use super::super::failure::{Outcome, broken};
use super::super::process::Process;
use super::super::report::{Figure, Report};

/// Verifications between two looks at the clock.
const AT_ONCE: u32 = 200;

/// What a token may cost beside the connect, CPU us.
const MAX_US: f64 = 60.0;

/// What is measured, and whether it has a target.
const MEASURED: [(Algorithm, bool); 4] = [
    (Algorithm::HS256, true),
    (Algorithm::ES256, true),
    (Algorithm::RS256, false),
    (Algorithm::EdDSA, false),
];

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How long each algorithm is measured, in seconds
    #[arg(long, default_value_t = 1.0, value_parser = parse_seconds)]
    pub(in crate::bench) seconds: f64,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "0.01 to 3600 would do".to_owned())
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    let mut report = Report::new("tokens");
    for (algorithm, has_target) in MEASURED {
        bench.progress.step(format!("{algorithm:?}"));
        let figure =
            Figure::new(format!("CPU us per token, {algorithm:?}"), measure(bench, args, algorithm)?, "us");
        report.figure(if has_target { figure.at_most(MAX_US) } else { figure });
    }
    Ok(report)
}

fn measure(bench: &Bench, args: &Args, algorithm: Algorithm) -> Outcome<f64> {
    let failed = |error: &dyn std::fmt::Display| broken(format!("{algorithm:?}: {error}"));
    let (signing, keys) = match fresh_key(algorithm) {
        Ok(pair) => pair,
        Err(error) => return failed(&error),
    };
    let clock = Clock::system();
    let content = Content {
        subject: Some("ada".to_owned()),
        subscribe: vec!["sessions/agent-*".to_owned(), "services/metrics".to_owned()],
        publish: vec!["sessions/ada-*".to_owned()],
        issued_at: Some(clock.wall()),
        expires: clock.wall().checked_add(Duration::from_secs(7200)),
        id: fresh_id().ok(),
        ..Content::default()
    };
    let token = match signing.mint(&content) {
        Ok(token) => token,
        Err(error) => return failed(&error),
    };
    let settings = Settings {
        rules: Rules { leeway: Duration::from_secs(5), ..Rules::default() },
        keys,
        algorithms: Vec::new(),
        key_sets: Vec::new(),
        introspection: None,
        clock,
        budget: Budget::new(usize::MAX, usize::MAX),
    };
    let verifier = match Verifier::new(settings) {
        Ok(verifier) => verifier,
        Err(error) => return failed(&error),
    };
    let this = Process { pid: std::process::id() };
    let end = bench.clock.now() + Duration::from_secs_f64(args.seconds);
    let (mut count, before) = (0_u32, this.cpu()?);
    while bench.clock.now() < end {
        for _ in 0..AT_ONCE {
            if !matches!(verifier.try_verify_now(&token), Some(Ok(_))) {
                return failed(&"a good token was refused");
            }
        }
        count += AT_ONCE;
        bench.check()?;
    }
    let used = this.cpu()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / f64::from(count))
}
