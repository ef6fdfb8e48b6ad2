//! What all requests share. Knows no route: routes and router both stand on this.

use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Weak};

use watertight::{Gate, Hub, Policy};

use crate::access::Authorization;
use crate::config::Config;
use crate::directory::Directory;
use crate::dropped_lines::DroppedLines;
use crate::metrics::{Metrics, Requests};
use crate::publishing::idempotency::IdempotencyKeys;
use crate::searches::Searches;
use crate::sources::logs::LogsFromRedis;
use crate::sources::metrics::Sampled;
use crate::sources::services::Services;
use crate::tls::Certificates;

/// What all requests share. Cloning shares it, at the price of one count: each request clones it several times.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

/// The same, holding nothing alive.
pub(crate) struct WeakApp(Weak<AppParts>);

impl WeakApp {
    /// What is shared, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<App> {
        self.0.upgrade().map(App)
    }
}

/// The parts of an [`App`].
pub struct AppParts {
    pub(crate) hub: Hub,
    pub(crate) config: Arc<Config>,
    pub(crate) gate: Gate,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) metrics: Metrics,
    /// Who searches lists.
    pub(crate) searches: Searches,
    pub(crate) requests: Arc<Requests>,
    pub(crate) dropped_lines: DroppedLines,
    pub(crate) access: Arc<Authorization>,
    /// How streams of logs live.
    pub(crate) logs_policy: Arc<Policy>,
    /// How streams of metrics live.
    pub(crate) metrics_policy: Arc<Policy>,
    /// How streams of the hub's own figures live.
    pub(crate) stats_policy: Arc<Policy>,
    /// Services, and what is counted of their samples.
    pub(crate) sampled: Arc<Sampled>,
    /// Where logs of deployments come from beside what is posted.
    pub(crate) logs: Option<LogsFromRedis>,
    /// The service is about to stop: still serving, no longer ready.
    is_draining: AtomicBool,
}

/// What a hub has that is not open to everybody, or reads from elsewhere.
type Parts = (Option<Arc<Certificates>>, Arc<Authorization>, Option<LogsFromRedis>);

impl Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

impl App {
    /// The service's state around an open hub: everybody may do everything.
    #[must_use]
    pub fn new(hub: Hub, config: Arc<Config>, gate: Gate, dropped_lines: DroppedLines) -> App {
        let access = Arc::new(Authorization::anybody(&hub, Directory::of_file(&hub, &config)));
        App::with_certificates(hub, config, gate, dropped_lines, (None, access, None))
    }

    /// The same, for a hub that speaks TLS, whose figures tell how long its certificate lasts, and with tokens.
    pub(crate) fn with_certificates(
        hub: Hub,
        config: Arc<Config>,
        gate: Gate,
        dropped_lines: DroppedLines,
        (certificates, access, logs): Parts,
    ) -> App {
        let keys = IdempotencyKeys::new(&hub, config.max_idempotency_keys, config.idempotency_ttl);
        let requests = Arc::<Requests>::default();
        let sampled =
            Arc::new(Sampled { services: Services::new(&config.declared), samples: AtomicU64::new(0) });
        let log_counts = logs.as_ref().map(|logs| Arc::clone(&logs.counts)).unwrap_or_default();
        let sources = (
            dropped_lines.clone(),
            certificates,
            Arc::clone(&requests),
            Arc::clone(&access),
            Arc::clone(&sampled),
            log_counts,
        );
        let metrics = Metrics::new(&hub, &gate, sources);
        // Their age is exact: whoever watches a log knows when its stream ends.
        let policy = |kind, max_age| {
            let of_sessions = Policy::clone(hub.session_policy());
            Arc::new(Policy { kind, max_age: Some(max_age), max_age_jitter_percent: 0, ..of_sessions })
        };
        let logs_policy = policy("logs", config.logs_max_age);
        let metrics_policy = policy("metrics", config.metrics_max_age);
        let stats_policy = Arc::new(Policy { kind: "stats", ..Policy::clone(hub.session_policy()) });
        let is_draining = AtomicBool::new(false);
        App(Arc::new(AppParts {
            hub,
            config,
            gate,
            keys,
            metrics,
            searches: Searches::default(),
            requests,
            dropped_lines,
            access,
            logs_policy,
            metrics_policy,
            stats_policy,
            sampled,
            logs,
            is_draining,
        }))
    }

    /// The same, holding nothing alive: for what the hub itself holds.
    pub(crate) fn downgrade(&self) -> WeakApp {
        WeakApp(Arc::downgrade(&self.0))
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// From now on `/health/ready` answers 503, while everything else goes on as before.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// Whether newcomers are asked to go elsewhere: the service stops, or is about to.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed) || self.hub.is_stopping()
    }

    /// Whose a deployment or a service is.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.access.directory
    }

    /// The regular sweep of what is kept for a while: idempotency keys, answers of the directory,
    /// revocations, rates.
    pub fn sweep(&self) {
        self.keys.sweep();
        self.access.directory.sweep();
        self.access.sweep();
    }
}
