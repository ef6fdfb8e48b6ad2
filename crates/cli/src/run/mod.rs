//! `watertight run --deployment ID -- COMMAND`: the command as if we were not there, and its output as a deployment's log.
//!
//! Nothing makes the command wait but whoever reads our outputs, and the disk. Lines go from two threads through one
//! collector into a spool on disk; what the hub takes, it takes from there.
//!
//! | file | what it does |
//! |---|---|
//! | `options.rs` | what it can be told |
//! | `command.rs`, `signals.rs`, `terminal.rs` | starting the command, with pipes or a terminal; signals; the exit code |
//! | `copy.rs` | threads that copy outputs and keys |
//! | `decode.rs`, `lines.rs`, `container.rs`, `record.rs` | bytes into text, lines, records; pure |
//! | `collector.rs`, `spool.rs` | what is known of the lines; the ring on disk |
//! | `sender.rs`, `drain.rs` | from the spool to the hub; the end, and what is left then |
//! | `messages.rs`, `clock.rs` | what we say ourselves; time |

mod clock;
mod collector;
mod command;
mod container;
mod copy;
mod decode;
mod drain;
mod lines;
mod messages;
mod options;
mod record;
mod sender;
mod signals;
mod spool;
mod terminal;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::exit;

use clock::Now;
use collector::{Format, Shared};
use command::Started;
use copy::Copy;
use drain::Sending;
use messages::Messages;
pub(crate) use options::RunArgs;
use sender::{Sender, SenderOptions};
use signals::{Signals, exit_code};
use spool::{End, Spool};

/// How often lines without an end are looked at.
const TELL_INTERVAL: Duration = Duration::from_millis(100);

/// When the command has ended, what it has started may hold its outputs open. So long we wait for their end; then we read
/// what is there.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// Runs a command, or sends what an earlier run has left.
pub(crate) async fn run(args: RunArgs) -> ExitCode {
    let messages = Messages::new(args.quiet);
    let prepared = if args.resend.is_some() { reopen(&args) } else { prepare(&args) };
    let shared = match prepared {
        Ok(shared) => shared,
        Err(error) => return exit::failed(exit::USAGE, error),
    };
    let sender = match sender(&args, &shared, &messages) {
        Ok(sender) => sender,
        Err(error) => {
            // The file of an earlier run stays.
            if let (None, Some(spool)) = (&args.resend, shared.into_spool()) {
                drop(spool.remove());
            }
            return exit::failed(exit::USAGE, error);
        }
    };
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return exit::failed(1, format!("cannot listen to signals: {error}")),
    };
    let mut sending = Sending::new(sender, shared.clone(), messages.clone());
    if args.resend.is_some() {
        if !sending.drain(args.drain_timeout, &mut signals, shared).await {
            return ExitCode::FAILURE;
        }
        messages.say("everything is sent, and the file removed");
        return ExitCode::SUCCESS;
    }
    let code = match command::start(&args.command, !args.no_echo, &messages) {
        Ok(started) => follow(started, &args, &shared, &mut sending, &mut signals, &messages).await,
        Err(error) => {
            let (text, code) = command::not_started(&args.command, &error);
            messages.warn(&text);
            shared.change(|collector| collector.own_line(&text, Now::read()));
            code
        }
    };
    shared.change(|collector| {
        collector.finish(Now::read());
        collector.spool.end(End { exit_code: Some(code) });
    });
    sending.drain(args.drain_timeout, &mut signals, shared).await;
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}

/// A new spool for a command.
fn prepare(args: &RunArgs) -> Result<Shared, String> {
    let record_bytes_max = args.record_bytes_max()?;
    let deployment = args.deployment.as_deref().unwrap_or_default();
    let dir = args.spool_dir.clone().unwrap_or_else(std::env::temp_dir);
    let spool = Spool::create(&dir, args.hub(None), deployment, args.spool_max)
        .map_err(|error| format!("cannot keep lines in {}: {error}", dir.display()))?;
    Ok(Shared::new(spool, args.format, record_bytes_max))
}

/// The spool that an earlier run has left. One that was killed has not written its end.
fn reopen(args: &RunArgs) -> Result<Shared, String> {
    let path = args.resend.clone().unwrap_or_default();
    let mut spool = Spool::open(&path).map_err(|error| format!("cannot send {}: {error}", path.display()))?;
    if spool.state().end.is_none() {
        spool.end(End { exit_code: None });
    }
    Ok(Shared::new(spool, Format::Plain, args.record_bytes_max()?))
}

fn sender(args: &RunArgs, shared: &Shared, messages: &Messages) -> Result<Sender, String> {
    args.expect_token_file()?;
    let left = shared.lock().spool.state().hub.clone();
    let publisher = args.publisher(args.hub(Some(&left))).map_err(|error| error.to_string())?;
    let options = SenderOptions {
        flush: args.flush,
        token_is_renewed: args.token_is_renewed(),
        record_bytes_max: args.record_bytes_max()?,
    };
    // An id that cannot be asked for is found before the command starts.
    let deployment = shared.lock().spool.state().deployment.clone();
    let feed = publisher.feed(&deployment, &watertight_client::LogLines::default());
    feed.map_err(|error| error.to_string())?;
    Ok(Sender::new(publisher, shared.clone(), messages.clone(), &options))
}

/// Follows the command until it has ended and its outputs are read. Returns its exit code.
async fn follow(
    started: Started,
    args: &RunArgs,
    shared: &Shared,
    sending: &mut Sending,
    signals: &mut Signals,
    messages: &Messages,
) -> i32 {
    let Started { mut child, outputs, target, terminal } = started;
    let mut copies = match copy_outputs(outputs, args, terminal.is_some(), shared) {
        Ok(copies) => copies,
        Err(error) => {
            messages.warn(format_args!("cannot read what the command prints: {error}"));
            Vec::new()
        }
    };
    let keys = terminal.as_ref().map(|terminal| Copy::keys(terminal.input()?));
    if let Some(Err(error)) = &keys {
        messages.warn(format_args!("cannot pass on what is typed: {error}"));
    }
    let mut ticks = interval(TELL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => match (signal, &terminal) {
                (Some(number), _) => target.send(number),
                (None, Some(terminal)) => terminal.resize(),
                (None, None) => {}
            },
            () = sending.run() => {}
            _ = ticks.tick() => look(shared, messages),
        }
    };
    let ends: Vec<_> = copies.iter_mut().map(Copy::ended).collect();
    let mut ends = Box::pin(async {
        for end in ends {
            if let Err(error) = end.await {
                messages.warn(format_args!("cannot copy what the command prints: {error}"));
            }
        }
    });
    let mut grace = Box::pin(sleep(OUTPUT_GRACE));
    let mut is_patient = true;
    loop {
        tokio::select! {
            () = &mut ends => break,
            () = &mut grace, if is_patient => {
                is_patient = false;
                copies.iter().for_each(Copy::stop);
            }
            // Whoever reads our output does not, and somebody has had enough of it.
            Some(_) = signals.next() => break,
            () = sending.run() => {}
            _ = ticks.tick() => look(shared, messages),
        }
    }
    // The threads end before the terminal is given back.
    drop((keys, ends, copies));
    drop(terminal);
    match status {
        Ok(status) => exit_code(status),
        Err(error) => {
            messages.warn(format_args!("cannot wait for the command: {error}"));
            1
        }
    }
}

fn copy_outputs(
    outputs: Vec<(record::Stream, std::os::fd::OwnedFd)>,
    args: &RunArgs,
    is_terminal: bool,
    shared: &Shared,
) -> io::Result<Vec<Copy>> {
    let start = |output| Copy::output(output, !args.no_echo, is_terminal, shared.clone());
    outputs.into_iter().map(start).collect()
}

/// What is to be done regularly.
fn look(shared: &Shared, messages: &Messages) {
    shared.tell(Now::read());
    if let Some(error) = shared.lock().spool.take_failure() {
        messages.warn(format_args!("lines cannot be kept and are lost: {error}"));
    }
}
