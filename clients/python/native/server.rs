//! The hub's own accept loop in the process: the service as the program `watertight` runs it, around a hub of Python's.
//! One thread of its own for requests; streams are the pumps'. None of them ever comes to the interpreter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watertight::Hub;
use watertight_server::config::{Config, ConfigArgs, ConfigError, ListenAddress, load};
use watertight_server::{HubService, RunError};

use crate::process::{OfProcess, outside};
use crate::trim;

/// The settings that are about serving. The others were said when the hub was made, or are for the program only.
const SETTINGS: [&str; 30] = [
    "listen",
    "insecure_open",
    "allowed_hosts",
    "cors_origins",
    "cors_credentials",
    "max_connections",
    "max_connections_per_address",
    "max_requests_in_flight",
    "max_body_bytes",
    "max_idempotency_keys",
    "idempotency_ttl",
    "first_byte_timeout",
    "head_timeout",
    "keep_alive_timeout",
    "shutdown_grace",
    "token_secret",
    "token_secret_file",
    "token_public_key",
    "token_algorithms",
    "token_issuer",
    "token_audience",
    "token_leeway",
    "token_cookie",
    "token_in_query",
    "jwks_url",
    "jwks_cache",
    "jwks_cooldown",
    "max_revocations",
    "metrics_public",
    "stats_public",
];

struct Running {
    runtime: Runtime,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

/// A service that serves. Forgetting it cuts its requests off.
#[pyclass(frozen, name = "Server", module = "watertight_sse._hub")]
pub(crate) struct PyServer {
    /// `None`: closed.
    running: Mutex<OfProcess<Option<Running>>>,
    /// Where it listens: `IP:PORT`, or `unix:/PATH`.
    #[pyo3(get)]
    addresses: Vec<String>,
    trims: Arc<AtomicU64>,
}

impl PyServer {
    pub(crate) fn open(py: Python<'_>, hub: Hub, settings: &[(String, String)]) -> PyResult<PyServer> {
        let config = config_of(settings)?;
        let trims = Arc::new(AtomicU64::new(0));
        let (running, addresses) = outside(py, || Running::start(hub, config, Arc::clone(&trims)))??;
        let addresses = addresses.iter().map(ListenAddress::to_string).collect();
        Ok(PyServer { running: Mutex::new(OfProcess::new(Some(running))), addresses, trims })
    }
}

fn config_of(settings: &[(String, String)]) -> PyResult<Config> {
    let mut args = ConfigArgs::default();
    for (key, value) in settings {
        if !SETTINGS.contains(&key.as_str()) || !args.set(key, value) {
            let known = SETTINGS.iter().filter(|known| **known != "listen").copied();
            let known: Vec<&str> = known.collect();
            let what = format!("{key} is no setting of serve(); those are {}", known.join(", "));
            return Err(PyValueError::new_err(what));
        }
    }
    // Nothing of the environment: what holds is what the program says.
    load(&args, std::iter::empty())
        .map(|loaded| loaded.config)
        .map_err(|error| PyValueError::new_err(said(&error)))
}

/// All that is wrong, without the names of command line flags.
fn said(error: &ConfigError) -> String {
    let lines = error.problems().iter().map(|problem| {
        let key = problem.key.as_deref().unwrap_or("settings");
        let value = problem.value.as_deref().map(|value| format!(" = {value}")).unwrap_or_default();
        let advice = problem.advice.as_deref().map(|advice| format!("; {advice}")).unwrap_or_default();
        format!("{key}{value}: {}{advice}", problem.wrong)
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Running {
    fn start(hub: Hub, config: Config, trims: Arc<AtomicU64>) -> PyResult<(Running, Vec<ListenAddress>)> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("watertight-serve")
            .enable_all()
            .build()
            .map_err(|error| {
                PyOSError::new_err((error.raw_os_error(), format!("no thread for requests: {error}")))
            })?;
        let ledger = Arc::clone(hub.ledger());
        let opened = {
            let _inside = runtime.enter();
            HubService::open(hub, config)
        };
        let service = opened.map_err(|error| match &error {
            RunError::Listen(_) => PyOSError::new_err(error.to_string()),
            _ => PyValueError::new_err(error.to_string()),
        })?;
        let (addresses, stop) = (service.addresses(), CancellationToken::new());
        let trimming = trim::after_crowds(ledger, trims);
        let serving = service.run(stop.clone().cancelled_owned());
        let served = runtime.spawn(async move {
            tokio::select! {
                () = serving => {}
                () = trimming => {}
            }
        });
        Ok((Running { runtime, stop, served }, addresses))
    }

    /// Tells every reader, and cuts off after `grace` those who are not done.
    fn stop(self, grace: Duration) {
        let Running { runtime, stop, served } = self;
        stop.cancel();
        // Over time or not: what is left ends with the runtime.
        let _ = runtime.block_on(async { tokio::time::timeout(grace, served).await });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

#[pymethods]
impl PyServer {
    /// How often free memory was given back to the system.
    #[getter]
    fn trims(&self) -> u64 {
        self.trims.load(Ordering::Relaxed)
    }

    /// Stops serving, and the hub with it: readers are told, and cut off after `grace` seconds. Again, or of the parent's:
    /// nothing.
    fn close(&self, py: Python<'_>, grace: f64) -> PyResult<()> {
        let grace = Duration::try_from_secs_f64(grace)
            .map_err(|error| PyValueError::new_err(format!("grace = {grace}: {error}")))?;
        let running = self.running.lock().here_mut().and_then(Option::take);
        match running {
            Some(running) => outside(py, || running.stop(grace)),
            None => Ok(()),
        }
    }
}
