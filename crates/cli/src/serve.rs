//! `watertight serve`: the hub.

use std::process::ExitCode;

use rustix::process::{getpriority_process, setpriority_process};
use watertight_server::config::{Config, ConfigArgs, ConfigError, load};
use watertight_server::{Listening, Reading, RunError};

use crate::log::Log;
use crate::{exit, memory};

/// Run the hub.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) fn run(args: ServeArgs) -> ExitCode {
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
    let code = match serve(config, reading, &log) {
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
fn serve(config: Config, reading: Reading, log: &Log) -> Result<(), (u8, String)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(request_threads())
        .enable_all()
        .on_thread_start(give_way_to_pumps)
        .build();
    let runtime = runtime.map_err(|error| (1, format!("cannot start a runtime: {error}")))?;
    let started = |listening| log.announce(&announcement(listening));
    let served = watertight_server::run(config, reading, memory::observed_bytes, log.dropped(), started);
    runtime.block_on(served).map_err(|error| match error {
        RunError::Tls(_) | RunError::Memory(_) | RunError::Directory(_) | RunError::Access(_) => {
            (ConfigError::EXIT_CODE, error.to_string())
        }
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

/// Says where to publish, watch and look. The first line is for programs, the rest for people.
fn announcement(listening: Listening) -> String {
    let scheme = if listening.is_tls { "https" } else { "http" };
    let url = format!("{scheme}://{}", listening.address);
    let admin = listening.admin.map(|address| format!("http://{address}"));
    let operators = admin.as_ref().map_or_else(String::new, |admin| {
        format!("\n  operate  {admin}/stats, /metrics, /connections and /sessions")
    });
    let look = admin.as_ref().unwrap_or(&url);
    if listening.needs_tokens {
        return format!(
            "watertight: listening on {url}\n\
             \n  a token for each call: `watertight token --help` says how to make one; with it in $TOKEN\
             \n  watch    curl -N -H \"authorization: Bearer $TOKEN\" {url}/sessions/demo/events\
             \n  publish  curl -d hello -H 'content-type: text/plain' -H \"authorization: Bearer $TOKEN\" {url}/sessions/demo/events\
             \n  look     {look}/stats, with a token that has admin{operators}\n\n"
        );
    }
    format!(
        "watertight: listening on {url}\n\
         \n  watch    curl -N {url}/sessions/demo/events\
         \n  publish  curl -d hello -H 'content-type: text/plain' {url}/sessions/demo/events\
         \n  look     {url}/ in a browser, or {look}/stats{operators}\n\n"
    )
}
