//! `watertight token`: makes a token, says what one holds and why the hub would refuse it, prints a fresh secret.

mod inspect;
mod make;
mod text;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use watertight_access::algorithm::{self, ALL};
use watertight_access::mint::fresh_secret;
use watertight_access::{Algorithm, KeySource, Zeroizing};

use crate::exit;

/// Make a token, or say what one holds.
///
/// Prints the token on standard output and nothing else. The hub verifies it with the same secret
/// (`token_secret_file`), or with the public key that belongs to the private one (`token_public_key`).
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: Option<TokenCommand>,
    #[command(flatten)]
    make: make::MakeArgs,
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    /// Say what a token holds, and everything the hub would refuse it for
    ///
    /// Ends with 0 if the hub would accept the token, with 1 if it would refuse it. Without a key the signature is not
    /// checked. The signature is never printed.
    Inspect(inspect::InspectArgs),
    /// Print a fresh random secret, to be put into a file
    ///
    /// It has 512 random bits, enough for HS256, HS384 and HS512.
    Secret,
}

pub(crate) fn run(args: TokenArgs) -> ExitCode {
    match args.command {
        None => make::run(&args.make),
        Some(TokenCommand::Inspect(args)) => inspect::run(&args),
        Some(TokenCommand::Secret) => match fresh_secret() {
            Ok(secret) => print(&secret),
            Err(error) => exit::failed(1, error),
        },
    }
}

/// Prints one line: what cannot be printed has not been made.
fn print(line: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(Zeroizing::new(format!("{line}\n")).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(1, format!("cannot print it: {error}")),
    }
}

fn parse_algorithm(text: &str) -> Result<Algorithm, String> {
    algorithm::named(text).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        format!("{} would do", names.join(", "))
    })
}

/// A time as in the hub's settings: `300`, `"30s"`, `"5m"`, `"1h"`, `"7d"`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let would_do = || "a time such as 30s, 5m, 1h or 7d would do".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| would_do())?;
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(would_do()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| would_do())
}

/// Reads a key file, or says which one and what is wrong with it.
fn read(path: &Path, as_secret: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let read = if as_secret {
        watertight_access::key::load::read_secret
    } else {
        watertight_access::key::load::read
    };
    read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Where the keys are that a token is checked with.
fn sources(secret: Option<&PathBuf>, public: Option<&PathBuf>) -> Vec<KeySource> {
    let secret = secret.map(|path| KeySource::SecretFile(path.clone()));
    secret.into_iter().chain(public.map(|path| KeySource::PublicKeyFile(path.clone()))).collect()
}
