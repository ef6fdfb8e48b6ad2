//! Makes a token. What the hub would refuse for its form is refused here already.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use watertight_access::mint::{Content, SigningKey, fresh_id};
use watertight_access::{Algorithm, Clock};

use super::{parse_algorithm, parse_time, print, read};
use crate::exit;

/// What the token is to say, and the key that signs it.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct MakeArgs {
    /// The file with the secret: raw text, or `base64:` and base64; `watertight token secret` prints one
    #[arg(long, value_name = "FILE", required_unless_present = "key_file", conflicts_with = "key_file")]
    secret_file: Option<PathBuf>,
    /// The file with a private key in PEM instead: RSA, EC on P-256 or P-384, Ed25519
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The algorithm, if the key is for several
    #[arg(long, value_name = "NAME", value_parser = parse_algorithm)]
    algorithm: Option<Algorithm>,
    /// The key's name, by which a key set is searched (`kid`)
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// The user
    #[arg(long, value_name = "USER")]
    sub: Option<String>,
    /// What may be subscribed to; `*` is any part of a segment, `**` any number of segments. May be given again
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,
    /// What may be published to. May be given again
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// Allow what operators do: listing, closing, ending, revoking
    #[arg(long)]
    admin: bool,
    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_time)]
    ttl: Duration,
    /// Who issues it (`iss`)
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Whom it is for (`aud`). May be given again
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// Its id, by which it can be revoked; a random one if none is given
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
}

pub(super) fn run(args: &MakeArgs) -> ExitCode {
    match make(args) {
        Ok(token) => print(&token),
        Err(message) => exit::failed(exit::USAGE, message),
    }
}

fn make(args: &MakeArgs) -> Result<String, String> {
    let named = |path: &PathBuf, error| format!("{}: {error}", path.display());
    let key = match (&args.secret_file, &args.key_file) {
        (Some(path), _) => {
            let secret = read(path, true)?;
            SigningKey::from_secret(&secret, args.algorithm).map_err(|error| named(path, error))?
        }
        (None, Some(path)) => {
            let text = read(path, false)?;
            SigningKey::from_pem(&text, args.algorithm).map_err(|error| named(path, error))?
        }
        (None, None) => return Err("there is no key: --secret-file or --key-file would do".to_owned()),
    };
    let key = match &args.kid {
        Some(name) => key.named(name),
        None => key,
    };
    if args.ttl < Duration::from_secs(1) {
        return Err("--ttl: a token is valid for a second or longer".to_owned());
    }
    let now = Clock::system().wall();
    let expires = now.checked_add(args.ttl).ok_or("--ttl: nobody lives that long")?;
    let id = args.jti.clone().map_or_else(fresh_id, Ok).map_err(|error| error.to_string())?;
    let content = Content {
        subject: args.sub.clone(),
        subscribe: args.subscribe.clone(),
        publish: args.publish.clone(),
        admin: args.admin,
        issued_at: Some(now),
        expires: Some(expires),
        not_before: None,
        issuer: args.issuer.clone(),
        audience: args.audience.clone(),
        id: Some(id),
    };
    key.mint(&content).map_err(|error| error.to_string())
}
