//! `watertight serve`: the hub.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;
use watertight_server::config::{Config, ConfigArgs, ConfigError, LogFormat, load};
use watertight_server::{Listening, RunError};

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
    if let Err(error) = start_log(&config) {
        return exit::failed(ConfigError::EXIT_CODE, error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(1, format!("cannot start a runtime: {error}")),
    };
    let served = runtime.block_on(watertight_server::run(config, memory::observed_bytes, announce));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ RunError::Tls(_)) => exit::failed(ConfigError::EXIT_CODE, error),
        Err(error) => exit::failed(1, error),
    }
}

/// Logs go to standard error; `WATERTIGHT_LOG` says more than `log_level` can.
fn start_log(config: &Config) -> Result<(), String> {
    let filter = match std::env::var("WATERTIGHT_LOG") {
        Ok(filter) => {
            EnvFilter::try_new(&filter).map_err(|error| format!("WATERTIGHT_LOG = {filter:?}: {error}"))?
        }
        Err(_) => EnvFilter::try_new(&*config.log_level).map_err(|error| error.to_string())?,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Says where to publish, watch and look. The first line is for programs, the rest for people.
fn announce(listening: Listening) {
    let scheme = if listening.is_tls { "https" } else { "http" };
    let url = format!("{scheme}://{}", listening.address);
    let admin = listening.admin.map(|address| format!("http://{address}"));
    let operators = admin.as_ref().map_or_else(String::new, |admin| {
        format!("\n  operate  {admin}/stats, /metrics, /connections and /sessions")
    });
    let look = admin.as_ref().unwrap_or(&url);
    let text = format!(
        "watertight: listening on {url}\n\
         \n  watch    curl -N {url}/sessions/demo/events\
         \n  publish  curl -d hello -H 'content-type: text/plain' {url}/sessions/demo/events\
         \n  look     {url}/ in a browser, or {look}/stats{operators}\n\n"
    );
    let mut out = std::io::stdout().lock();
    // Whoever closed standard output does not want to know.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
