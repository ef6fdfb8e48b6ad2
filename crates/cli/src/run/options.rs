//! What `watertight run` can be told, checked.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use watertight_client::{Error, Publisher, tls};

use super::collector::Format;
use super::record::RECORD_BYTES_MIN;

/// The hub where nobody has named one.
const HUB_DEFAULT: &str = "http://127.0.0.1:8080";

/// The hub's `max_event_bytes` where nobody has set it, and a bit less.
const LINE_BYTES_DEFAULT: usize = 255 * 1024;

/// Above any hub's `max_event_bytes`: what is kept of a line that has no end.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// No disk is larger.
const SPOOL_BYTES_MAX: u64 = 1 << 50;

/// Options of `watertight run`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = format!("Exit code: that of the command; 128 plus the number of the signal that killed it; 127 if there is no such \
                        command, 126 if it cannot be run; 64 if the options cannot work. What becomes of the log does not change \
                        it: lines that the hub has not taken within --drain-timeout stay in a file, and standard error tells how \
                        to send them. With --resend: 0 if everything was sent, 1 if not.\n\n{}", crate::help::PROXIES)
)]
pub(crate) struct RunArgs {
    /// The deployment whose log the output becomes
    #[arg(long, value_name = "ID", required_unless_present = "resend")]
    pub(super) deployment: Option<String>,
    /// The hub [default: http://127.0.0.1:8080, or with --resend the one that the lines were meant for]
    #[arg(long, visible_alias = "url", value_name = "URL", env = "WATERTIGHT_URL")]
    hub: Option<String>,
    /// Sent as `Authorization: Bearer`
    #[arg(long, env = "WATERTIGHT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The token stands in this file, which is read again when the hub refuses it. Comes before --token
    #[arg(long, value_name = "FILE", env = "WATERTIGHT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Trust the certificates in this PEM file, instead of those that the machine trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where the file is made in which lines are kept until the log is complete [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(super) spool_dir: Option<PathBuf>,
    /// The most bytes of that file (KiB, MiB, GiB may follow). Beyond it the oldest lines go; if the hub has not taken them,
    /// the log says how many are missing
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = parse_bytes)]
    pub(super) spool_max: u64,
    /// What the command prints
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    pub(super) format: Format,
    /// How long lines gather before they are sent, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "0.1", value_parser = parse_seconds)]
    pub(super) flush: Duration,
    /// The most bytes of a line as it is sent, a bit less than the hub's `max_event_bytes`. Of a longer one only the
    /// beginning is sent, marked as cut; a hub that takes less is given less [default: 255 KiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_line: Option<u64>,
    /// How long the hub may take for what is left when the command has ended, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    pub(super) drain_timeout: Duration,
    /// Do not print what the command prints; then it never gets a terminal
    #[arg(long)]
    pub(super) no_echo: bool,
    /// Say nothing but what was lost or refused
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Send what an earlier run has left in this file, and remove it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["deployment", "command", "format", "spool_dir", "spool_max"])]
    pub(super) resend: Option<PathBuf>,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, value_name = "COMMAND", required_unless_present = "resend")]
    pub(super) command: Vec<OsString>,
}

impl RunArgs {
    /// The hub's URL. `left`: the one that a spool was meant for.
    pub(super) fn hub<'a>(&'a self, left: Option<&'a str>) -> &'a str {
        self.hub.as_deref().or(left).unwrap_or(HUB_DEFAULT)
    }

    /// Whether the token may be another one later.
    pub(super) fn token_is_renewed(&self) -> bool {
        self.token_file.is_some()
    }

    /// The most bytes of a record.
    pub(super) fn record_bytes_max(&self) -> Result<usize, String> {
        let half_spool = usize::try_from(self.spool_max / 2).unwrap_or(usize::MAX);
        if half_spool < RECORD_BYTES_MIN {
            return Err(format!("--spool-max must be {} bytes at least", 2 * RECORD_BYTES_MIN));
        }
        let Some(asked) = self.max_line else { return Ok(LINE_BYTES_DEFAULT.min(half_spool)) };
        let most = half_spool.min(LINE_BYTES_MAX);
        let asked = usize::try_from(asked).unwrap_or(usize::MAX);
        if (RECORD_BYTES_MIN..=most).contains(&asked) {
            return Ok(asked);
        }
        Err(format!(
            "--max-line must be from {RECORD_BYTES_MIN} to {most} bytes: a line must fit the spool (--spool-max) twice"
        ))
    }

    /// Whoever sends to this hub.
    pub(super) fn publisher(&self, hub: &str) -> Result<Publisher, Error> {
        let mut publisher = Publisher::new(hub)?;
        if let Some(file) = &self.token_file {
            let file = file.clone();
            publisher = publisher.with_token_source(move |_| {
                let token = std::fs::read_to_string(&file).map(|text| text.trim().to_owned());
                async move { token }
            });
        } else if let Some(token) = &self.token {
            publisher = publisher.with_token(token)?;
        }
        if let Some(file) = &self.ca {
            publisher = publisher.with_tls_config(&tls::roots_from_pem(file)?);
        }
        Ok(publisher)
    }

    /// A token file that is not there at the start is a mistake; later it may be on its way.
    pub(super) fn expect_token_file(&self) -> Result<(), String> {
        let Some(file) = &self.token_file else { return Ok(()) };
        let read = std::fs::read_to_string(file);
        read.map(drop).map_err(|error| format!("cannot read the token file {}: {error}", file.display()))
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds would do".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let factor: Option<u64> = match text[digits.len()..].trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor));
    let range = RECORD_BYTES_MIN as u64..=SPOOL_BYTES_MAX;
    bytes
        .filter(|bytes| range.contains(bytes))
        .ok_or_else(|| "a number of bytes would do, also one of KiB, MiB or GiB (64MiB)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_may_have_units() {
        for (text, bytes) in [("4096", 4096), ("64MiB", 64 << 20), ("1 GiB", 1 << 30), ("700B", 700)] {
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
        for wrong in ["", "MiB", "64MB", "-1", "1.5MiB", "5", "99999999999GiB", "0x10"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
