//! `watertight tail SESSION`: the events of a session on standard output, across every reconnect.
//!
//! Events go to standard output and nothing else does: what became of the connection is told on standard
//! error. Must not know how a stream is resumed; the client does.

mod closed;
mod output;

use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;

use watertight_client::{Error, Event, Gap, Item, Replay, Status, Subscriber, tls};

use crate::exit;

use closed::Closed;
use output::Output;

/// The code of a session that was ended: coming back would make a new one of the same name.
const SESSION_ENDED: &str = "SESSION_ENDED";

/// Options of `watertight tail`.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::help::PROXIES)]
pub(crate) struct TailArgs {
    /// The session to read
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
    /// One JSON object per line: {"id","type","data"}, or {"gap":{...}}
    #[arg(long)]
    json: bool,
    /// Begin with history: `all`, or the last N events
    #[arg(long, value_name = "all|N", value_parser = parse_replay, conflicts_with = "from")]
    replay: Option<Replay>,
    /// Begin after the event with this id
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// Exit after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Only events of these types
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',')]
    types: Vec<String>,
    /// The end of the session is what was waited for: exit with 0 instead of 1
    #[arg(long)]
    exit_on_end: bool,
    /// Say nothing of the connection on standard error (gaps and errors are still told)
    #[arg(long, short)]
    quiet: bool,
}

fn parse_replay(text: &str) -> Result<Replay, String> {
    match text {
        "all" => Ok(Replay::All),
        count => {
            count.parse().map(Replay::Last).map_err(|_| "`all` or a number of events would do".to_owned())
        }
    }
}

/// Prints events until `--count`, the end of the session, or a closed pipe. Exit code 0; 1 if the hub refused
/// or the session ended unasked; 64 if the options cannot work.
pub(crate) async fn run(args: TailArgs) -> ExitCode {
    let mut subscriber = match subscriber(&args) {
        Ok(subscriber) => subscriber,
        Err(error) => return exit::failed(exit::USAGE, error),
    };
    let mut tail = Tail { output: Output::new(io::stdout(), args.json), args, printed: 0, told: false };
    let closed = Closed::watch();
    let ended = tokio::select! {
        ended = tail.run(&mut subscriber) => ended,
        () = closed.wait() => Err(io::ErrorKind::BrokenPipe.into()),
    };
    match ended {
        Ok(code) => code,
        // The reader has closed the pipe: that is not a failure of this program.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => exit::failed(1, format!("cannot write: {error}")),
    }
}

fn subscriber(args: &TailArgs) -> Result<Subscriber, Error> {
    let mut subscriber = Subscriber::new(&args.url, &args.session)?;
    if let Some(token) = &args.token {
        subscriber = subscriber.with_token(token)?;
    }
    if let Some(file) = &args.ca {
        subscriber = subscriber.with_tls_config(&tls::roots_from_pem(file)?);
    }
    if let Some(id) = &args.from {
        subscriber = subscriber.with_last_event_id(id)?;
    }
    if let Some(replay) = args.replay {
        subscriber = subscriber.with_replay(replay);
    }
    Ok(subscriber)
}

struct Tail<W: io::Write> {
    args: TailArgs,
    output: Output<W>,
    /// Events printed so far.
    printed: u64,
    /// Whether the user was told that the connection is lost, and is to be told when it is back.
    told: bool,
}

impl<W: io::Write> Tail<W> {
    async fn run(&mut self, subscriber: &mut Subscriber) -> io::Result<ExitCode> {
        while let Some(item) = self.next_item(subscriber).await? {
            let done = match item {
                Ok(Item::Event(event)) => self.event(&event)?,
                Ok(Item::Gap(gap)) => self.gap(&gap)?,
                Ok(Item::Status(status)) => self.status(&status),
                Ok(_) => None,
                Err(error) => Some(exit::failed(1, error)),
            };
            if let Some(code) = done {
                self.output.flush()?;
                return Ok(code);
            }
        }
        self.output.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// The next item. What was printed is flushed before anything is waited for, and not sooner: many events
    /// read at once are one write.
    async fn next_item(&mut self, subscriber: &mut Subscriber) -> io::Result<Option<Result<Item, Error>>> {
        let mut next = pin!(subscriber.next());
        let ready = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
        match ready {
            Poll::Ready(item) => Ok(item),
            Poll::Pending => {
                self.output.flush()?;
                Ok(next.await)
            }
        }
    }

    fn event(&mut self, event: &Event) -> io::Result<Option<ExitCode>> {
        if !self.args.types.is_empty() && !self.args.types.contains(&event.event_type) {
            return Ok(None);
        }
        self.output.event(event)?;
        self.printed += 1;
        Ok((self.args.count == Some(self.printed)).then_some(ExitCode::SUCCESS))
    }

    fn gap(&mut self, gap: &Gap) -> io::Result<Option<ExitCode>> {
        if self.args.json {
            self.output.gap(gap)?;
        } else {
            self.output.flush()?;
            match gap.missed {
                Some(1) => eprintln!("gap: 1 event missed ({})", gap.reason),
                Some(missed) => eprintln!("gap: {missed} events missed ({})", gap.reason),
                None => eprintln!("gap: events missed, their number is not known ({})", gap.reason),
            }
        }
        Ok(None)
    }

    fn status(&mut self, status: &Status) -> Option<ExitCode> {
        match status {
            Status::ClosingEvent { code, .. } if code == SESSION_ENDED => {
                self.say("the session has ended");
                return Some(if self.args.exit_on_end { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Status::ClosingEvent { code, message } => {
                self.say(&format!("the hub closes the stream: {message} ({code})"))
            }
            Status::Waiting { delay, reason } => {
                self.told = true;
                self.say(&format!("{reason}; connecting again in {:.1} s", delay.as_secs_f64()));
            }
            Status::Open if std::mem::take(&mut self.told) => self.say("connected again"),
            Status::Polling => {
                self.told = true;
                self.say("no stream comes through; asking again and again instead");
            }
            Status::Stopped => self.say("the hub has nothing more to send"),
            _ => {}
        }
        None
    }

    fn say(&self, message: &str) {
        if !self.args.quiet {
            eprintln!("watertight: {message}");
        }
    }
}
