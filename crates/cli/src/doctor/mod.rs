//! `watertight doctor URL`: what stands between a client and the hub, by a probe that reads and publishes there, and by
//! what the hub says that it saw of it (`/doctor`).
//!
//! Uses what clients use. All it opens is closed and its sessions are deleted at the end, also upon a signal.
//!
//! | module | what it holds |
//! |---|---|
//! | `reaching` | whether the hub is there: certificate, redirects, a first answer |
//! | `streams`, `requests` | the checks |
//! | `probe` | its sessions and requests; `stream`, `http`, `link`: events over HTTP/1.1 over TCP, TLS or a Unix socket |
//! | `report`, `mends` | what was found, and the setting that mends it |

mod clock;
mod http;
mod link;
mod mends;
mod probe;
mod reaching;
mod report;
mod requests;
mod stream;
mod streams;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};
use url::Url;
use watertight_client::{tls, unix_socket};

use crate::exit;

use probe::{Probe, UNIX_HOST};
use reaching::reach;
use report::{Finding, Report};

/// The code after a signal, as shells have it.
const INTERRUPTED: u8 = 130;
/// How long putting everything back may take after a signal.
const CLEAN_UP_WITHIN: Duration = Duration::from_secs(5);
/// `--patience` is at most a day.
const PATIENCE_SECONDS_MAX: f64 = 86_400.0;

/// Options of `watertight doctor`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Connects to the URL itself: http_proxy and its like are not used. Exit code 0: nothing is \
wrong; 1: something is, or the hub is not there; 64: the options cannot work."
)]
pub(crate) struct DoctorArgs {
    /// Where clients find the hub, with the path that it is below; or unix:/PATH
    #[arg(value_name = "URL")]
    url: String,
    /// Sent as `Authorization: Bearer`: it has to let its holder read and publish to the probe sessions; with `admin`
    /// they can be deleted
    #[arg(long, env = "WATERTIGHT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Trust the certificates in this PEM file, instead of those that the machine trusts
    #[arg(long, alias = "cacert", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How the names of the probe sessions begin
    #[arg(long, value_name = "PREFIX", default_value = "doctor-")]
    session: String,
    /// A page's origin, such as https://app.example.com: whether it may read and publish
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// How long to watch a stream that is idle, and to wait until a client that left is noticed, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "35", value_parser = parse_patience)]
    patience: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=PATIENCE_SECONDS_MAX).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "0.1 to 86400 seconds would do".to_owned())
}

/// Examines and prints what was found.
pub(crate) async fn run(args: DoctorArgs) -> ExitCode {
    let probe = match probe(&args) {
        Ok(probe) => probe,
        Err(error) => return exit::failed(exit::USAGE, error),
    };
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return exit::failed(1, format!("cannot listen for signals: {error}")),
    };
    let findings = tokio::select! {
        findings = examine(&probe, args.origin.as_deref()) => findings,
        () = signals.next() => {
            // Its futures are gone, and with them all connections; the sessions are not.
            clear_progress();
            let left = tokio::time::timeout(CLEAN_UP_WITHIN, probe.clean_up()).await;
            let left = left.unwrap_or_else(|_| Some("the probe sessions could not be deleted in time".to_owned()));
            return exit::failed(INTERRUPTED, left.unwrap_or_else(|| "interrupted".to_owned()));
        }
    };
    let left = tokio::select! {
        left = probe.clean_up() => left,
        () = signals.next() => Some("the probe sessions were not deleted: interrupted".to_owned()),
    };
    clear_progress();
    let report = Report { url: args.url, shows: probe.shows(), findings, left };
    let text = if args.json { format!("{:#}\n", report.json()) } else { report.text() };
    if let Err(error) = io::stdout().write_all(text.as_bytes()) {
        return exit::failed(1, format!("cannot write: {error}"));
    }
    if report.is_wrong() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The probe that was asked for, or why there can be none.
fn probe(args: &DoctorArgs) -> Result<Probe, String> {
    let socket = unix_socket(&args.url).map_err(|error| error.to_string())?;
    let url = match &socket {
        Some(_) => base(&format!("http://{UNIX_HOST}"))?,
        None => base(&args.url)?,
    };
    let mut tls_config: Option<ClientConfig> = None;
    if let Some(file) = &args.ca {
        tls_config = Some(tls::roots_from_pem(file).map_err(|error| error.to_string())?);
    } else if url.scheme() == "https" {
        tls_config = Some(tls::platform_roots().map_err(|error| error.to_string())?);
    } else if let Ok(config) = tls::platform_roots() {
        // For a redirect to https: a machine that trusts nobody can do without until then.
        tls_config = Some(config);
    }
    let is_field = |text: &str| text.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    for (name, text) in [("token", &args.token), ("origin", &args.origin)] {
        if text.as_ref().is_some_and(|text| text.is_empty() || !is_field(text)) {
            return Err(format!("--{name} is text without blanks and control characters"));
        }
    }
    Ok(Probe::new(url, socket, tls_config, args.token.clone(), &args.session, args.patience))
}

fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("the URL cannot be used: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(
            "the URL begins with http:// or https:// and names a host, or it is unix:/PATH".to_owned()
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL must have no user and no password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL has no query and no fragment: it is where the hub is".to_owned());
    }
    Ok(url)
}

/// All checks, in the order of the report. Those that take as long as the patience go on beside the others.
async fn examine(probe: &Probe, origin: Option<&str>) -> Vec<Finding> {
    progress("looking for the hub");
    let reached = reach(probe).await;
    let mut findings = reached.findings;
    if !reached.goes_on {
        findings.sort_by_key(|finding| finding.check);
        return findings;
    }
    // Before others are open: they would count, too, where streams are limited.
    progress("streams");
    findings.push(streams::six_connections(probe, reached.speaks_http2).await);
    let others = async {
        progress("headers, bodies, clock");
        let mut found = requests::seen(probe).await;
        found.push(requests::last_event_id(probe).await);
        found.push(requests::idempotency_key(probe).await);
        found.push(requests::host(probe).await);
        found.push(requests::encoded_slash(probe).await);
        found.push(requests::cors(probe, origin).await);
        found.push(requests::half_close(probe).await);
        found.push(requests::body_limit(probe).await);
        progress("streams");
        found.push(streams::compression(probe).await);
        found.extend(streams::buffering(probe).await);
        progress("watching an idle stream");
        found
    };
    let (idle, leaving, others) = tokio::join!(streams::idle(probe), streams::leaving(probe), others);
    findings.extend(others);
    findings.extend([idle, leaving]);
    findings.sort_by_key(|finding| finding.check);
    findings
}

/// What is being done, where somebody watches.
fn progress(step: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[2Kdoctor: {step} ...");
    }
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
