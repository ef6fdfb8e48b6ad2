//! `watertight publish SESSION`: what comes in on standard input goes out as events, in order, none lost.
//!
//! Lines go out as they come; while a request is in flight the next ones gather, up to a bound, and then
//! whoever feeds the pipe waits. Must not know how events are delivered.

mod fit;
mod lines;
mod send;
mod stdin;

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use watertight_client::{Error, Publisher, tls};

use crate::exit;

use fit::{EVENT_BYTES_DEFAULT, EVENT_BYTES_MIN, Fit, Overlong};
use lines::{LINE_BYTES_MAX, Line, Lines, TooLong, WHOLE_INPUT, describe};
use send::{Form, Sender, Unsent};
use stdin::StdinReader;

/// Lines that may gather before they are sent, whatever else is there to read.
const GATHERED_LINES_MAX: usize = 10_000;

/// And at most so many bytes of input, or one read more.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;

/// Options of `watertight publish`.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::help::PROXIES)]
pub(crate) struct PublishArgs {
    /// The session to publish to
    session: String,
    /// The hub: http://, https:// or unix:/PATH
    #[arg(long, env = "WATERTIGHT_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Sent as `Authorization: Bearer`
    #[arg(long, env = "WATERTIGHT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Trust the certificates in this PEM file, instead of those that the machine trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Each line is an event in JSON: {"type":..., "data":..., "ttl":...}
    #[arg(long, conflicts_with_all = ["raw", "event_type", "ttl", "crlf"])]
    ndjson: bool,
    /// All of the input is one event
    #[arg(long, conflicts_with = "crlf")]
    raw: bool,
    /// The type of the events
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// How long the events may be replayed, in seconds (default: the hub's `event_ttl`)
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    ttl: Option<Duration>,
    /// Lines end with CRLF: take the CR away too (an event stream cannot carry a CR; it arrives as a line break)
    #[arg(long)]
    crlf: bool,
    /// The most bytes of a line that go into one event: the hub's `max_event_bytes`. A longer line is cut, and marked
    /// where it is cut; a hub that takes less is given less
    #[arg(long, value_name = "BYTES", default_value_t = EVENT_BYTES_DEFAULT, value_parser = parse_event_bytes)]
    max_event_bytes: usize,
    /// Publish a line that is too long in pieces, each an event, instead of cutting it
    #[arg(long, conflicts_with_all = ["raw", "ndjson"])]
    split: bool,
    /// Give up when the hub has not answered for this long, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = parse_seconds)]
    give_up_after: Duration,
    /// Say nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds would do".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn parse_event_bytes(text: &str) -> Result<usize, String> {
    let range = EVENT_BYTES_MIN..=LINE_BYTES_MAX;
    let bytes = text.parse().ok().filter(|bytes| range.contains(bytes));
    bytes.ok_or_else(|| format!("a number from {EVENT_BYTES_MIN} to {LINE_BYTES_MAX} would do"))
}

/// Publishes standard input until its end, SIGINT or SIGTERM; what was read by then is still sent.
/// Exit code 0; 1 if the hub refused or could not be reached; 64 if the options cannot work.
pub(crate) async fn run(args: PublishArgs) -> ExitCode {
    let publisher = match publisher(&args) {
        Ok(publisher) => publisher,
        Err(error) => return exit::failed(exit::USAGE, error),
    };
    match Signals::listen().and_then(|signals| Ok((signals, StdinReader::start()?))) {
        Ok((signals, input)) => publish(args, publisher, input, signals).await,
        Err(error) => exit::failed(1, format!("cannot read standard input: {error}")),
    }
}

fn publisher(args: &PublishArgs) -> Result<Publisher, Error> {
    let mut publisher = Publisher::new(&args.url)?.with_give_up_after(args.give_up_after);
    if let Some(token) = &args.token {
        publisher = publisher.with_token(token)?;
    }
    if let Some(file) = &args.ca {
        publisher = publisher.with_tls_config(&tls::roots_from_pem(file)?);
    }
    if !args.quiet {
        publisher = publisher.with_retry_observer(|error, delay| {
            eprintln!("watertight: {error}; trying again in {:.1} s", delay.as_secs_f64());
        });
    }
    Ok(publisher)
}

/// Runs the pump; a first signal ends the input, a second one the process.
async fn publish(
    args: PublishArgs,
    publisher: Publisher,
    mut input: StdinReader,
    mut signals: Signals,
) -> ExitCode {
    let stop = input.stop_handle();
    let PublishArgs { session, ndjson, raw, event_type, ttl, crlf, max_event_bytes, split, quiet, .. } = args;
    let fit = match (ndjson || raw, split) {
        // Half of a JSON text is none, and whoever says that all is one event means it.
        (true, _) => Fit { bytes_max: LINE_BYTES_MAX, overlong: Overlong::Refuse },
        (false, true) => Fit { bytes_max: max_event_bytes, overlong: Overlong::Split },
        (false, false) => Fit { bytes_max: max_event_bytes, overlong: Overlong::Cut },
    };
    let form = if ndjson { Form::Ndjson } else { Form::Text { event_type, ttl, fit } };
    let mut sender = Sender::new(publisher, session, form, quiet);
    let result = {
        let pumping = async {
            if raw {
                pump_raw(&mut input, &mut sender).await
            } else {
                pump(&mut input, &mut sender, Lines::new(crlf, fit)).await
            }
        };
        let mut pumping = pin!(pumping);
        let mut stopped = false;
        loop {
            tokio::select! {
                result = &mut pumping => break result,
                () = signals.recv() => {
                    if std::mem::replace(&mut stopped, true) {
                        break Err("stopped before everything was sent".to_owned());
                    }
                    stop.stop();
                }
            }
        }
    };
    if !quiet {
        let events = if sender.sent == 1 { "event" } else { "events" };
        eprintln!("watertight: {} {events} published", sender.sent);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => exit::failed(1, message),
    }
}

/// Line by line. While a request is in flight, input gathers, and goes out together if it can.
async fn pump(input: &mut StdinReader, sender: &mut Sender, mut lines: Lines) -> Result<(), String> {
    let mut ready = Vec::new();
    while let Some(read) = input.read().await {
        let mut next = Some(read);
        let mut gathered = 0;
        while let Some(read) = next {
            let bytes = read.map_err(|error| format!("cannot read standard input: {error}"))?;
            if let Err(TooLong { number }) = lines.push(&bytes, &mut ready) {
                send(sender, std::mem::take(&mut ready)).await?;
                return Err(format!("line {number} is longer than {LINE_BYTES_MAX} bytes"));
            }
            gathered += bytes.len();
            let more = ready.len() < GATHERED_LINES_MAX && gathered < GATHERED_BYTES_MAX;
            next = if more { input.read_now() } else { None };
        }
        send(sender, std::mem::take(&mut ready)).await?;
    }
    send(sender, lines.finish().into_iter().collect()).await
}

/// All of the input as one event, a line feed at its end included.
async fn pump_raw(input: &mut StdinReader, sender: &mut Sender) -> Result<(), String> {
    let mut whole = Vec::new();
    while let Some(read) = input.read().await {
        whole.extend(read.map_err(|error| format!("cannot read standard input: {error}"))?);
        if whole.len() > LINE_BYTES_MAX {
            return Err(format!("the input is longer than {LINE_BYTES_MAX} bytes"));
        }
    }
    send(sender, vec![Line { number: WHOLE_INPUT, bytes: whole, dropped: 0, goes_on: false }]).await
}

async fn send(sender: &mut Sender, lines: Vec<Line>) -> Result<(), String> {
    sender
        .send(lines)
        .await
        .map_err(|Unsent { number, error }| format!("cannot publish {}: {error}", describe(number)))
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
