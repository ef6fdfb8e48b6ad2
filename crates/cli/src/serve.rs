//! `watertight serve`: the hub.

use std::net::SocketAddr;
use std::process::ExitCode;

use watertight_server::RunError;
use watertight_server::config::{Config, ConfigArgs, ConfigError, load};

use crate::log::Log;
use crate::{exit, memory};

/// Run the hub.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) fn run(args: ServeArgs) -> ExitCode {
    let config = match load(&args.config, std::env::vars_os()) {
        Ok(loaded) => loaded.config,
        Err(error) => return exit::failed(ConfigError::EXIT_CODE, error),
    };
    let log = match Log::start(&config) {
        Ok(log) => log,
        Err(error) => return exit::failed(ConfigError::EXIT_CODE, error),
    };
    let code = match serve(config, &log) {
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
fn serve(config: Config, log: &Log) -> Result<(), (u8, String)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (1, format!("cannot start a runtime: {error}")))?;
    let started = |address, is_tls| log.announce(&announcement(address, is_tls));
    let served = watertight_server::run(config, memory::observed_bytes, log.dropped(), started);
    runtime.block_on(served).map_err(|error| match error {
        RunError::Tls(_) => (ConfigError::EXIT_CODE, error.to_string()),
        _ => (1, error.to_string()),
    })
}

/// Says where to publish, watch and look. The first line is for programs, the rest for people.
fn announcement(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    format!(
        "watertight: listening on {url}\n\
         \n  watch    curl -N {url}/sessions/demo/events\
         \n  publish  curl -d hello -H 'content-type: text/plain' {url}/sessions/demo/events\
         \n  look     {url}/ in a browser, or {url}/stats\n\n"
    )
}
