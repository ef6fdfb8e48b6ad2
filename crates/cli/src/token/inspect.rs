//! Says what a token holds and everything the hub would refuse it for.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use watertight_access::inspect::{Inspection, Signature};
use watertight_access::limits::TOKEN_BYTES_MAX;
use watertight_access::{Action, Algorithm, Clock, Rules, Settings, StaticKeys, Verifier};
use watertight_core::Budget;

use super::text::{distance, rfc3339, shown};
use super::{parse_algorithm, parse_time, sources};
use crate::exit;

/// A time that is later than this is more likely meant in milliseconds: the year 5138.
const SECONDS_PLAUSIBLE_MAX: f64 = 1e11;

/// The token, and what the hub expects of it.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The token; without it, standard input, where other users of the machine do not see it
    #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
    /// The file with the hub's secret (`token_secret_file`)
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The PEM file with the hub's public key (`token_public_key`)
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// An algorithm that the hub allows (`token_algorithms`); without one, all that fit the key. May be given again
    #[arg(long, value_name = "NAME", value_parser = parse_algorithm)]
    algorithm: Vec<Algorithm>,
    /// The issuer that the hub expects (`token_issuer`)
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// An audience that the hub expects (`token_audience`). May be given again
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// How far the hub lets clocks be apart (`token_leeway`)
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    leeway: Duration,
}

pub(super) fn run(args: &InspectArgs) -> ExitCode {
    let verifier = match verifier(args) {
        Ok(verifier) => verifier,
        Err(message) => return exit::failed(exit::USAGE, message),
    };
    let token = match token(args) {
        Ok(token) => token,
        Err(error) => return exit::failed(1, format!("cannot read standard input: {error}")),
    };
    // A header's value is often copied with its first word.
    let token = token.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    let seen = verifier.inspect(token);
    let report = report(&seen, verifier.rules().leeway, Clock::system().wall());
    if let Err(error) = std::io::stdout().write_all(report.as_bytes()) {
        return exit::failed(1, format!("cannot print it: {error}"));
    }
    if seen.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn verifier(args: &InspectArgs) -> Result<Verifier, String> {
    let sources = sources(args.secret_file.as_ref(), args.public_key.as_ref());
    let keys = StaticKeys::load(&sources, &args.algorithm, false).map_err(|refused| {
        let lines: Vec<_> = refused.iter().map(ToString::to_string).collect();
        // The command's name stands before the first.
        lines.join("\nwatertight: ")
    })?;
    let settings = Settings {
        rules: Rules {
            issuer: args.issuer.as_deref().map(Into::into),
            audience: args.audience.clone(),
            leeway: args.leeway,
        },
        keys,
        algorithms: Vec::new(),
        key_sets: Vec::new(),
        introspection: None,
        clock: Clock::system(),
        budget: Budget::new(usize::MAX, usize::MAX),
    };
    Verifier::new(settings).map_err(|error| error.to_string())
}

/// The token of the command line or of standard input, of which no more is read than a token can have and some blanks.
fn token(args: &InspectArgs) -> std::io::Result<String> {
    if let Some(token) = &args.token {
        return Ok(token.clone());
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(2 * TOKEN_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn report(seen: &Inspection, leeway: Duration, now: SystemTime) -> String {
    let mut lines = Vec::new();
    if let Some(header) = &seen.header {
        lines.push("header".to_owned());
        lines.extend(members(header, |_, _| None));
    }
    if let Some(claims) = &seen.claims {
        lines.push("claims".to_owned());
        lines.extend(members(claims, |name, value| time(name, value, seen, now)));
        lines.push("grants".to_owned());
        lines.extend(grants(seen));
    }
    lines.push("signature".to_owned());
    lines.push(match seen.signature {
        Signature::Fits => "  fits the key".to_owned(),
        Signature::DoesNotFit => "  does not fit the key".to_owned(),
        Signature::NotChecked => "  not checked: --secret-file or --public-key names the key".to_owned(),
    });
    match (seen.refused.as_slice(), seen.signature) {
        ([], Signature::Fits) => {
            lines.push(format!("the hub would accept it (leeway {} s)", leeway.as_secs_f64()))
        }
        ([], _) => lines.push("the hub would accept it if the signature fits".to_owned()),
        (refused, _) => {
            lines.push("the hub would refuse it:".to_owned());
            lines.extend(refused.iter().map(|why| format!("  {why}")));
        }
    }
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{line}");
        text
    })
}

/// A line for each member of an object, with what `note` has to say about it.
fn members(object: &Value, note: impl Fn(&str, &Value) -> Option<String>) -> Vec<String> {
    let Some(object) = object.as_object() else { return vec![format!("  {}", shown(object))] };
    let line = |(name, value): (&String, &Value)| {
        let name_shown = shown(&Value::from(name.as_str()));
        let note = note(name, value).map_or(String::new(), |note| format!("  ({note})"));
        format!("  {}: {}{note}", name_shown.trim_matches('"'), shown(value))
    };
    object.iter().map(line).collect()
}

/// What a claim's time means.
fn time(name: &str, value: &Value, seen: &Inspection, now: SystemTime) -> Option<String> {
    let read = &seen.read;
    let time = match name {
        "exp" => read.expires?,
        "nbf" => read.not_before?,
        "iat" => read.issued_at?,
        _ => return None,
    };
    let milliseconds = value.as_f64().is_some_and(|seconds| seconds > SECONDS_PLAUSIBLE_MAX);
    let hint = if milliseconds { "; is it in milliseconds? It is read as seconds" } else { "" };
    Some(format!("{}, {}{hint}", rfc3339(time), distance(time, now)))
}

fn grants(seen: &Inspection) -> Vec<String> {
    let grants = &seen.read.grants;
    if grants.is_empty() {
        return vec!["  nothing".to_owned()];
    }
    let mut lines = Vec::new();
    for action in [Action::Subscribe, Action::Publish] {
        lines.extend(grants.patterns(action).map(|pattern| {
            let pattern = shown(&Value::from(pattern.as_str()));
            format!("  {action} {}", pattern.trim_matches('"'))
        }));
    }
    if grants.is_admin() {
        lines.push("  admin: listing, closing, ending, revoking".to_owned());
    }
    lines
}
