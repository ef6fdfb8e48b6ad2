//! Start, serve, stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use watertight::{Gate, Hub, HubConfig, Listener, ServeLimits, Server, StartError};
use watertight_core::{Kind, Observer};

use crate::access::{AccessStartError, Authorization, TokenKeys};
use crate::config::{AccessFail, Config, ConfigError, ListenAddress};
use crate::cors::Cors;
use crate::directory::{Directory, DirectoryStartError};
use crate::dropped_lines::DroppedLines;
use crate::listening::{GivenError, GivenSockets, ListenError, Opened, addresses};
use crate::memory::{Available, DoesNotFit, Thresholds};
use crate::middleware::Front;
use crate::redis::Redis;
use crate::reload::{self, Reloadable};
use crate::router::{admin_application, application, is_always_answered, public_application};
use crate::sources::logs::LogsFromRedis;
use crate::sources::metrics::Sampled;
use crate::state::App;
use crate::tls::{self, Certificates, TlsError};

/// Files kept back for everything that is no ordinary connection: pollers, logs, certificates, operators, health.
const RESERVED_FILES: u64 = 256;
/// Connections of the listener for operators. Its own, so that a full public side never blocks it.
const ADMIN_CONNECTIONS: usize = 64;
/// How often old idempotency keys are forgotten.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The hub does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The directory cannot be asked as it is configured.
    #[error(transparent)]
    Directory(#[from] DirectoryStartError),
    /// Tokens cannot be verified as it is configured.
    #[error(transparent)]
    Access(#[from] AccessStartError),
    /// The settings do not fit the memory there is.
    #[error(transparent)]
    Memory(#[from] DoesNotFit),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A socket that was given cannot be used.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// The operating system refused something at start.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Where a service listens.
#[derive(Debug, Clone)]
pub struct Listening {
    /// For everybody: one at least.
    pub addresses: Vec<ListenAddress>,
    /// Whether these speak TLS.
    pub is_tls: bool,
    /// Whether callers need tokens.
    pub needs_tokens: bool,
    /// For operators, if they have listeners of their own.
    pub admin: Vec<ListenAddress>,
}

/// How the configuration is read again while the service runs.
pub struct Reading {
    /// The file that it came from, if there is one: watched for changes.
    pub file: Option<PathBuf>,
    /// Reads all of it again.
    pub again: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
}

impl Reading {
    /// Never: for a configuration that was made by a program.
    #[must_use]
    pub fn never() -> Reading {
        Reading { file: None, again: Box::new(|| Ok(Config::default())) }
    }
}

/// The tables of the file, from which its directory answers.
struct DeclaredTables {
    reading: Reading,
    directory: Directory,
    sampled: Arc<Sampled>,
}

impl Reloadable for DeclaredTables {
    fn what(&self) -> &'static str {
        "the table of deployments and services"
    }

    fn files(&self) -> Vec<PathBuf> {
        self.reading.file.iter().cloned().collect()
    }

    fn reload(&self) -> Result<(), String> {
        let config = (self.reading.again)().map_err(|error| error.to_string())?;
        self.sampled.services.declare(&config.declared);
        self.directory.declare(config.declared);
        Ok(())
    }
}

/// Runs the service until SIGTERM or SIGINT; SIGHUP has it read its certificate, its keys and the tables of
/// its file again, and so has a change of their files. Sockets that are `given` take the place of those that the
/// configuration names. `started` is told where it listens.
///
/// # Errors
/// When it cannot start; once it serves, it ends by a signal only.
pub async fn run(
    mut config: Config,
    reading: Reading,
    given: GivenSockets,
    observe: Observer,
    dropped_lines: DroppedLines,
    started: impl FnOnce(Listening),
) -> Result<(), RunError> {
    let given = given.sort(&mut config)?;
    let config = Arc::new(config);
    let files = raise_file_limit();
    let hub = Hub::new(hub_config(&config, memory_thresholds(&config)?))?;
    hub.budget().observe_by(observe);
    let certificates = match (&config.tls_cert, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(Certificates::open(certificate, key)?),
        _ => None,
    };
    let tls = certificates.as_ref().map(Certificates::server_config).transpose()?;
    let max_connections = config.max_connections.unwrap_or_else(|| connections_for(files));
    if max_connections as u64 + RESERVED_FILES > files {
        warn!(
            max_connections,
            open_files = files,
            "max_connections is more than the limit on open files leaves"
        );
    }
    let per_address = config.max_connections_per_address.unwrap_or_else(|| max_connections);
    let gate = Gate::new(Arc::clone(hub.ledger()), max_connections, per_address);
    let redis = (!config.redis_url.is_empty()).then(|| Redis::of_config(&hub, &config));
    let redis = redis.transpose().map_err(DirectoryStartError::from)?;
    let directory = Directory::open_with(&hub, &config, redis.as_ref())?;
    let (access, listener) = Authorization::open(&hub, &config, directory, redis.as_ref())?;
    let logs = redis.and_then(|redis| LogsFromRedis::new(redis, &config));
    let public = match given.public.is_empty() {
        true => Opened::all(&config.listen, &config, "--listen")?,
        false => given.public,
    };
    let admin = match given.admin.is_empty() {
        true => Opened::all(config.admin_listen.as_slice(), &config, "--admin-listen")?,
        false => given.admin,
    };
    let stop = Stop::new()?;
    let hangup = signal(SignalKind::hangup()).map_err(|source| system("listen for signals", source))?;
    let app = App::with_certificates(
        hub.clone(),
        Arc::clone(&config),
        gate.clone(),
        dropped_lines,
        (certificates.clone(), Arc::clone(&access), logs),
    );
    if let Some(certificates) = &certificates {
        tls::warn_if_expired(certificates.expires());
    }
    let mut keepers = JoinSet::new();
    keepers.spawn(sweep(app.clone()));
    #[cfg(feature = "testing")]
    keepers.spawn(panic_on_request(hub.clone())?);
    let keys = TokenKeys::of(&config, &access).map(|keys| Arc::new(keys) as Arc<dyn Reloadable>);
    let sampled = Arc::clone(&app.sampled);
    let tables = DeclaredTables { reading, directory: access.directory.clone(), sampled };
    let tables = (!tables.files().is_empty()).then(|| Arc::new(tables) as Arc<dyn Reloadable>);
    let certificate = certificates.map(|certificates| certificates as Arc<dyn Reloadable>);
    let entry = hub.ledger().open(Kind::Task);
    keepers.spawn(async move {
        let _entry = entry;
        reload::keep_fresh(certificate.into_iter().chain(keys).chain(tables).collect(), hangup).await;
    });
    if let Some(listener) = listener {
        let (entry, access) = (hub.ledger().open(Kind::Task), Arc::clone(&access));
        keepers.spawn(async move {
            let _entry = entry;
            listener.run(access).await;
        });
    }
    if let Some(tokens) = &access.tokens {
        let (entry, verifier) = (hub.ledger().open(Kind::Task), tokens.verifier.clone());
        keepers.spawn(async move {
            let _entry = entry;
            verifier.run().await;
        });
    }
    let listening = Listening {
        addresses: addresses(&public),
        is_tls: tls.is_some(),
        needs_tokens: config.needs_tokens(),
        admin: addresses(&admin),
    };
    let front = if !admin.is_empty() { public_application(app.clone()) } else { application(app.clone()) };
    let mut public_server = server(&hub, &config, front, gate);
    if let Some(tls) = tls {
        public_server = public_server.tls(tls);
    }
    let mut serves = vec![(public_server, public)];
    if !admin.is_empty() {
        let gate = Gate::new(Arc::clone(hub.ledger()), ADMIN_CONNECTIONS, ADMIN_CONNECTIONS);
        for address in &listening.admin {
            info!(%address, "listening for operators");
        }
        serves.push((server(&hub, &config, admin_application(app.clone()), gate), admin));
    }
    for address in &listening.addresses {
        info!(%address, tls = listening.is_tls, max_connections, "listening");
    }
    started(listening);
    serve_until_stopped(serves, stop, &app).await;
    keepers.shutdown().await;
    info!("stopped");
    Ok(())
}

/// A server with the limits of the configuration, whose refusals follow its rules for pages.
pub(crate) fn server(hub: &Hub, config: &Config, front: Front, gate: Gate) -> Server {
    let server = Server::new(hub.clone(), front, gate);
    let server = server.limits(serve_limits(config)).always_answer(is_always_answered);
    match Cors::of(config) {
        Some(cors) => server.complete_refusals(Arc::new(move |request, answer| {
            cors.grant(request.get(http::header::ORIGIN), answer);
        })),
        None => server,
    }
}

/// The first signal stops all listeners gracefully, after the delay; a second one does not wait.
async fn serve_until_stopped(serves: Vec<(Server, Vec<Opened>)>, mut stop: Stop, app: &App) {
    let told = CancellationToken::new();
    let tell = told.clone();
    let delay = app.config.shutdown_delay;
    let signals = async {
        let name = stop.requested().await;
        app.drain();
        let delayed = async {
            if !delay.is_zero() {
                info!(signal = name, ?delay, "not ready any more; stopping after the delay");
                tokio::time::sleep(delay).await;
            }
            info!(signal = name, "stopping; every reader is told");
            tell.cancel();
            std::future::pending::<()>().await;
        };
        let name = tokio::select! {
            name = stop.requested() => name,
            () = delayed => return,
        };
        warn!(signal = name, "stopping at once");
    };
    let serving = serves.into_iter().map(|(server, opened)| {
        let (listeners, files): (Vec<Listener>, Vec<_>) = opened.into_iter().map(Opened::into_parts).unzip();
        let served = server.serve_all(listeners, told.clone().cancelled_owned());
        async move {
            // The files of its Unix sockets, until nobody is served by them.
            let _files = files;
            served.await;
        }
    });
    tokio::select! {
        _ = futures_util::future::join_all(serving) => {}
        () = signals => {}
    }
}

/// Sweeps keys until it is aborted.
pub(crate) async fn sweep(app: App) {
    let _entry = app.hub().ledger().open(Kind::Task);
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        app.sweep();
    }
}

/// Makes the first pump panic at each SIGUSR2, until it is aborted.
#[cfg(feature = "testing")]
fn panic_on_request(hub: Hub) -> Result<impl Future<Output = ()>, RunError> {
    let on = signal(SignalKind::user_defined2());
    let mut asked = on.map_err(|source| system("listen for signals", source))?;
    Ok(async move {
        while asked.recv().await.is_some() {
            hub.inject_panic(0);
        }
    })
}

/// The signals that end the service.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Stop, RunError> {
        let on = |kind| signal(kind).map_err(|source| system("listen for signals", source));
        Ok(Stop { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    /// The next signal.
    async fn requested(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Raises the limit on open files as far as it goes, and says how far that is.
pub(crate) fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(error) => {
            warn!(%error, "the limit on open files stays where it is");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}

pub(crate) fn connections_for(files: u64) -> usize {
    const AT_MOST: u64 = 1_000_000;
    usize::try_from(files.saturating_sub(RESERVED_FILES).clamp(16, AT_MOST)).unwrap_or(16)
}

fn system(what: &'static str, source: std::io::Error) -> RunError {
    RunError::System { what, source }
}

fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The thresholds in force, said in the log.
fn memory_thresholds(config: &Config) -> Result<Thresholds, DoesNotFit> {
    const MIB: u64 = 1 << 20;
    let available = Available::find(Path::new("/"));
    let thresholds = Thresholds::of(config, available)?;
    info!(
        warning_mb = thresholds.warning / MIB,
        critical_mb = thresholds.critical / MIB,
        memory_mb = available.bytes / MIB,
        memory_of = available.source,
        "memory thresholds"
    );
    if thresholds.critical > available.bytes {
        warn!(
            "memory_critical_threshold_mb is more than the memory there is: the kernel kills before the hub sheds load"
        );
    }
    Ok(thresholds)
}

/// The hub's part of the configuration.
fn hub_config(config: &Config, memory: Thresholds) -> HubConfig {
    HubConfig {
        max_queue_size: config.max_queue_size,
        max_history_per_session: config.max_history_per_session,
        max_history_bytes_per_session: config.max_history_bytes_per_session,
        event_ttl: config.event_ttl,
        session_ttl: config.session_ttl,
        tombstone_ttl: config.tombstone_ttl,
        cleanup_interval: config.cleanup_interval,
        max_subscriber_idle_time: config.max_subscriber_idle_time,
        memory_warning_bytes: bytes(memory.warning),
        memory_critical_bytes: bytes(memory.critical),
        max_event_bytes: config.max_event_bytes,
        max_sessions: config.max_sessions,
        max_session_name_bytes: config.max_session_name_bytes,
        heartbeat_interval: config.heartbeat_interval,
        write_deadline: config.write_deadline,
        half_open_timeout: config.half_open_timeout,
        max_age: config.max_age,
        max_age_jitter_percent: (config.max_age_jitter * 100.0).round() as u8,
        revalidate_interval: config.revalidate_interval,
        access_fail_open: config.access_fail == AccessFail::Open,
        source_linger: config.source_linger,
        max_streams_per_user: config
            .max_connections_per_user
            .map(|max| u32::try_from(max).unwrap_or(u32::MAX)),
        breaker_errors: u8::try_from(config.breaker_errors).unwrap_or(u8::MAX),
        retry: config.retry,
        shards: match config.shards {
            crate::config::Auto::Auto => None,
            crate::config::Auto::Given(shards) => Some(shards),
        },
        send_buffer_bytes: config.send_buffer_bytes,
        ..HubConfig::default()
    }
}

/// The accept loop's part of the configuration.
fn serve_limits(config: &Config) -> ServeLimits {
    ServeLimits {
        first_byte_timeout: config.first_byte_timeout,
        head_timeout: config.head_timeout,
        tls_handshake_timeout: config.tls_handshake_timeout,
        keep_alive_timeout: config.keep_alive_timeout,
        max_head_bytes: config.max_head_bytes,
        max_headers: config.max_headers,
        max_requests_in_flight: config.max_requests_in_flight,
        shutdown_grace: config.shutdown_grace,
        ..ServeLimits::default()
    }
}
