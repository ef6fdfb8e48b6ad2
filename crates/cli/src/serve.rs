//! `watertight serve`: the hub.

use std::process::ExitCode;

use rustix::process::{getpriority_process, setpriority_process};
use watertight_server::config::ListenAddress;
use watertight_server::config::{Config, ConfigArgs, ConfigError, load};
use watertight_server::{GivenSockets, Listening, Reading, RunError};

use crate::log::Log;
use crate::{exit, memory};

/// Run the hub.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) fn run(args: ServeArgs) -> ExitCode {
    let given = match GivenSockets::take() {
        Ok(given) => given,
        Err(error) => return exit::failed(ConfigError::EXIT_CODE, error),
    };
    let (config, file) = match load(&args.config, std::env::vars_os()) {
        Ok(loaded) => (loaded.config, loaded.file),
        Err(error) => return exit::failed(ConfigError::EXIT_CODE, error),
    };
    let log = match Log::start(&config) {
        Ok(log) => log,
        Err(error) => return exit::failed(ConfigError::EXIT_CODE, error),
    };
    let again = move || load(&args.config, std::env::vars_os()).map(|loaded| loaded.config);
    let reading = Reading { file, again: Box::new(again) };
    let code = match serve(config, reading, given, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            log.last_line(&exit::last_line(error));
            ExitCode::from(code)
        }
    };
    log.finish();
    code
}

/// Serves until a signal; answers with the exit code and the reason if it cannot.
fn serve(config: Config, reading: Reading, given: GivenSockets, log: &Log) -> Result<(), (u8, String)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(request_threads())
        .enable_all()
        .on_thread_start(give_way_to_pumps)
        .build();
    let runtime = runtime.map_err(|error| (1, format!("cannot start a runtime: {error}")))?;
    let started = |listening| log.announce(&announcement(&listening));
    let served =
        watertight_server::run(config, reading, given, memory::observed_bytes, log.dropped(), started);
    runtime.block_on(served).map_err(|error| match error {
        RunError::Tls(_)
        | RunError::Memory(_)
        | RunError::Directory(_)
        | RunError::Access(_)
        | RunError::Given(_) => (ConfigError::EXIT_CODE, error.to_string()),
        _ => (1, error.to_string()),
    })
}

/// Threads for requests: half of the cores. There is a pump for each core beside them, and a publish is so short that a second
/// thread is woken for nothing: on two cores one thread takes as many publishes a second as two, each for a fifth less CPU
/// time, and the slowest wait a tenth as long (`bench scatter`).
fn request_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.div_ceil(2)
}

/// How much nicer a thread for requests is than the process. Where there are fewer cores than work, deliveries of what
/// is published come before the next publish: a pump gets three times the share of such a thread, and at once.
const REQUESTS_NICER: i32 = 5;

/// The calling thread, one for requests, gives way to the pumps.
fn give_way_to_pumps() {
    let lowered = getpriority_process(None).and_then(|now| setpriority_process(None, now + REQUESTS_NICER));
    if let Err(error) = lowered {
        tracing::warn!(%error, "requests have the same priority as deliveries");
    }
}

/// An address as `curl` takes it: what stands before the path of a URL, and that with the option before it which a Unix
/// socket needs.
struct Spoken {
    url: String,
    curl: String,
}

impl Spoken {
    fn of(address: &ListenAddress, scheme: &str) -> Spoken {
        match address {
            ListenAddress::Tcp(address) => {
                let url = format!("{scheme}://{address}");
                Spoken { curl: url.clone(), url }
            }
            ListenAddress::Unix(path) => Spoken {
                curl: format!("--unix-socket {} {scheme}://localhost", path.display()),
                url: address.to_string(),
            },
        }
    }
}

/// Says where to publish, watch and look. The first lines are for programs, one for each address; the rest for people.
fn announcement(listening: &Listening) -> String {
    let scheme = if listening.is_tls { "https" } else { "http" };
    let spoken: Vec<Spoken> = listening.addresses.iter().map(|address| Spoken::of(address, scheme)).collect();
    let admin: Vec<Spoken> = listening.admin.iter().map(|address| Spoken::of(address, "http")).collect();
    let lines: String = spoken.iter().map(|it| format!("watertight: listening on {}\n", it.url)).collect();
    let operators: String = admin
        .iter()
        .map(|it| format!("\n  operate  {}/stats, /metrics, /connections and /sessions", it.curl))
        .collect();
    let Some(first) = spoken.first() else { return lines };
    let (curl, look) = (&first.curl, &admin.first().unwrap_or(first).curl);
    if listening.needs_tokens {
        return format!(
            "{lines}\
             \n  a token for each call: `watertight token --help` says how to make one; with it in $TOKEN\
             \n  watch    curl -N -H \"authorization: Bearer $TOKEN\" {curl}/sessions/demo/events\
             \n  publish  curl -d hello -H 'content-type: text/plain' -H \"authorization: Bearer $TOKEN\" {curl}/sessions/demo/events\
             \n  look     {look}/stats, with a token that has admin{operators}\n\n"
        );
    }
    let page = match listening.addresses.iter().zip(&spoken).find(|(address, _)| is_tcp(address)) {
        Some((_, it)) => format!("{}/ in a browser, or ", it.url),
        None => String::new(),
    };
    format!(
        "{lines}\
         \n  watch    curl -N {curl}/sessions/demo/events\
         \n  publish  curl -d hello -H 'content-type: text/plain' {curl}/sessions/demo/events\
         \n  look     {page}{look}/stats{operators}\n\n"
    )
}

fn is_tcp(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Tcp(_))
}
