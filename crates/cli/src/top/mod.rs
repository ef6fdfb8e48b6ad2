//! `watertight top [URL]`: a hub's figures, sessions and connections as a page in the terminal, by its public interface.
//!
//! | module | what it is for |
//! |---|---|
//! | `model` | what is shown and what keys do; `list`: order, filter, selection; `watch`: events of one session |
//! | `view` | the model as text; knows ratatui's text and nothing of a terminal |
//! | `page` | the loop: keys, signals, answers, events, frames |
//! | `screen`, `keys`, `signals` | the terminal |
//! | `hub` | requests and their limits; `answer`, `exposition`: what the answers hold |
//! | `figures` | what two looks say together |

mod answer;
mod exposition;
mod figures;
mod hub;
mod keys;
mod model;
mod page;
#[cfg(test)]
mod sample;
mod screen;
mod signals;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::sleep;

use crate::exit;

use hub::{Hub, Trouble};
use model::Model;
use page::End;

/// Exit code of a process that signal N has ended, minus N, as shells have it.
const SIGNALLED: u8 = 128;

/// Columns of `--once`, and rows of each list.
const ONCE_COLUMNS: u16 = 100;
const ONCE_ROWS: usize = 20;

/// Options of `watertight top`.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::help::PROXIES)]
pub(crate) struct TopArgs {
    /// The hub: http://, https:// or unix:/PATH; its `admin_listen` address, if it has one
    #[arg(env = "WATERTIGHT_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Sent as `Authorization: Bearer`: an operator's
    #[arg(long, env = "WATERTIGHT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The token stands in this file, which is read again each time. Comes before --token
    #[arg(long, value_name = "FILE", env = "WATERTIGHT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Trust the certificates in this PEM file, instead of those that the machine trusts
    #[arg(long, value_name = "FILE", alias = "cacert")]
    ca: Option<PathBuf>,
    /// How often the hub is asked, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_interval)]
    interval: Duration,
    /// Ask twice, the interval apart, print one page of text, and end
    #[arg(long)]
    once: bool,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds from 0.1 to 3600 would do".to_owned())
}

/// Shows the page until it is quit. Exit code 0; 1 if the terminal cannot be used, or with `--once` the hub does not answer;
/// 64 if the options cannot work or there is no terminal; 128 and its number after a signal.
pub(crate) async fn run(args: TopArgs) -> ExitCode {
    let hub = match Hub::new(&args) {
        Ok(hub) => hub,
        Err(error) => return exit::failed(exit::USAGE, error),
    };
    let model = Model::new(hub.address(), args.interval);
    if args.once {
        return match once(&hub, model).await {
            Ok(page) => print(&page),
            Err(trouble) => exit::failed(1, trouble),
        };
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let error =
            "the page needs a terminal for input and output; `watertight top --once` prints it as text";
        return exit::failed(exit::USAGE, error);
    }
    match page::show(&hub, model).await {
        Ok(End::Quit) => ExitCode::SUCCESS,
        Ok(End::Signal(number)) => ExitCode::from(SIGNALLED + number),
        Err(error) => {
            exit::failed(1, format!("cannot use the terminal: {error} (--once prints the page as text)"))
        }
    }
}

/// Rates need two looks.
async fn once(hub: &Hub, mut model: Model) -> Result<String, Trouble> {
    let first = hub.look().await?;
    model.looked(Ok(first), Duration::ZERO);
    sleep(model.interval).await;
    let second = hub.look().await?;
    let now = model.interval;
    model.looked(Ok(second), now);
    Ok(view::text(&model, now, ONCE_COLUMNS, ONCE_ROWS))
}

fn print(page: &str) -> ExitCode {
    let mut output = io::stdout().lock();
    match output.write_all(page.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the pipe: that is not a failure of this program.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => exit::failed(1, format!("cannot write: {error}")),
    }
}
