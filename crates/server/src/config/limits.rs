//! Every setting of the hub, once: its key, its kind, its default, its bounds with their reasons,
//! what it means. `Config`, the TOML keys, the environment, the flags, the help, `check`'s report
//! and `docs/configuration.md` all come from this table; how settings relate stands in
//! [`super::relations`].
//!
//! Reasons are fragments that read after "too small," and "too large,".
//!
//! Long because it is one table.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use watertight_access::Algorithm;

use super::access::{AccessFail, CookieName, OptionalText, Texts, TokenAlgorithms};
use super::amount::{Count, Fraction, Mebibytes, Or, Size, Time};
use super::choice::OneOf;
use super::cross_origin::{AllowedOrigins, Origins};
use super::declared::Declared;
use super::directory::DirectoryKind;
use super::header_names::HeaderNames;
use super::hosts::{AllowedHosts, Hosts};
use super::kind::{Bounds, Kind};
use super::listen::{self, Addresses, FileMode, ListenAddress, OptionalAddress};
use super::logs::{ChannelName, LogsSource};
use super::quantity::{DAY, GIB, HOUR, KIB, MIB, MILLISECOND, MINUTE, ONE, SECOND};
use super::secret::{OptionalSecret, Secret};
use super::server_url::{RedisUrls, ServerUrl, WebUrl};
use super::setting::{Setting, settings};
use super::words::{Auto, AutoWord, File, LogFilter, LogFormat, NoneWord, Switch, SystemWord, ZeroWord};

/// A default size, which has to fit the smallest machine.
const fn size(bytes: u64) -> usize {
    assert!(bytes <= u32::MAX as u64, "a default fits 32 bits");
    bytes as usize
}

settings! {
"Listening" {
    /// Where the hub listens: one or several addresses with their ports, of which 0 takes a free one, or Unix sockets,
    /// which count as loopback. Sockets that a service manager gives to the hub (`LISTEN_FDS`) take the place of these.
    listen: Cow<'static, [ListenAddress]> as Addresses = Cow::Borrowed(listen::DEFAULT);

    /// Who may connect to the Unix sockets that the hub makes, as the mode of their files.
    listen_unix_mode: u32 as FileMode = 0o660;

    /// The address and port, or the Unix socket, of a second listener, for operators: figures, listings, closing and ending are served
    /// there and no longer on `listen`; health on both. Plain HTTP, also where `listen` speaks TLS.
    admin_listen: Option<ListenAddress> as OptionalAddress = None;

    /// Lets a hub without authentication listen on an address that other machines reach.
    insecure_open: bool as Switch = false;

    /// Names under which the hub is reached, each as `host` (with any port) or `host:port`. A hub without
    /// authentication answers only requests for its own addresses, `localhost` and these, so that no web page
    /// reaches it by DNS rebinding; others get 421. With `insecure_open` or with tokens, an empty list answers any.
    allowed_hosts: AllowedHosts as Hosts = AllowedHosts(Vec::new());

    /// A file with the certificate chain in PEM; with it the hub speaks TLS.
    tls_cert: Option<PathBuf> as File = None;

    /// A file with the private key in PEM.
    tls_key: Option<PathBuf> as File = None;
}

"History and sessions" {
    /// How many events a live subscriber may lag before it gets a gap.
    max_queue_size: usize as Count = 1_000,
        min 1 => "a reader must be able to lag by the event that is on its way",
        max 1_000_000 => "a log is a ring in memory, not a database";

    /// How many events back a newcomer can replay, in each session.
    max_history_per_session: usize as Count = 500,
        min 1 => "without a single event kept nobody could resume",
        max 1_000_000 => "a log is a ring in memory, not a database";

    /// How many bytes of events a session keeps, whatever their number.
    max_history_bytes_per_session: usize as Size = size(8 * MIB),
        min KIB => "it would not hold a few short events",
        max GIB => "one session must not take all of the memory";

    /// How long an event stays in the history unless it was published with a `ttl` of its own.
    event_ttl: Option<Duration> as Or<Time, ZeroWord> = Some(Duration::from_secs(300)),
        min 10 * MILLISECOND => "an event would expire before it is delivered",
        max 30 * DAY => "the history does not outlive the process";

    /// How long a session stays without subscribers and without activity, and how long its history is kept after its
    /// end, unless that says otherwise.
    session_ttl: Duration as Time = Duration::from_secs(1_800),
        min 100 * MILLISECOND => "a session would be gone before its subscriber is back",
        max 30 * DAY => "sessions nobody uses would never be given back";

    /// How long it is remembered that a session was deleted, or ended and no longer kept: whoever comes back with one
    /// of its ids is told that it ended.
    tombstone_ttl: Duration as Time = Duration::from_secs(600),
        min 100 * MILLISECOND => "it would be forgotten before a reader is back",
        max 30 * DAY => "readers that come back so late begin anew";

    /// How many sessions there may be at once; further ones are refused with 503.
    max_sessions: usize as Count = 200_000,
        min 1 => "every stream is a session",
        max 10_000_000 => "sessions alone would take more memory than a machine has";

    /// How often expired events and sessions are cleared away.
    cleanup_interval: Duration as Time = Duration::from_secs(60),
        min 100 * MILLISECOND => "one pass would follow the other without a pause",
        max HOUR => "what has expired would hold its memory for hours";

    /// How many bytes the name of a session may have.
    max_session_name_bytes: usize as Size = 256,
        min 8 => "names of that length run out",
        max 1_024 => "names are kept in memory and in log lines";
}

"Publishing" {
    /// How many bytes the data of one event may have.
    max_event_bytes: usize as Size = size(256 * KIB),
        min 64 => "not even a short JSON object would pass",
        max 16 * MIB => "an event is held whole and written whole to each subscriber";

    /// How many events one request may publish; never more than `max_queue_size`.
    max_batch_events: usize as Count = 1_000,
        min 1 => "nothing could be published",
        max 100_000 => "one request would hold up all others";

    /// How many bytes the body of a request may have.
    max_body_bytes: usize as Size = size(8 * MIB),
        min 256 => "not even one event would pass",
        max GIB => "a body is held in memory until it is read to its end";

    /// How many answers to an `Idempotency-Key` are remembered, within a 32nd of
    /// `memory_critical_threshold_mb`; the oldest are forgotten first.
    max_idempotency_keys: usize as Count = 100_000,
        min 1 => "a retry would never be recognised",
        max 10_000_000 => "they would take more memory than the events";

    /// How long the answer to an `Idempotency-Key` is remembered.
    idempotency_ttl: Duration as Time = Duration::from_secs(600),
        min 100 * MILLISECOND => "it would be forgotten before the retry comes",
        max 7 * DAY => "nobody retries a request after a week";
}

"Memory" {
    /// At how much memory of the process, in MiB, the hub warns; `auto` is 50 % of what the control group allows, or
    /// of what the machine has.
    memory_warning_threshold_mb: Auto<u64> as Or<Mebibytes, AutoWord> = Auto::Auto,
        min 4 => "the process alone takes about as much, and the figure is in MiB",
        max 1_048_576 => "that is more than a TiB: the figure is in MiB";

    /// At how much memory of the process, in MiB, the hub sheds load; `auto` is 75 % of what the control group allows,
    /// or of what the machine has.
    memory_critical_threshold_mb: Auto<u64> as Or<Mebibytes, AutoWord> = Auto::Auto,
        min 8 => "the process alone takes about as much, and the figure is in MiB",
        max 1_048_576 => "that is more than a TiB: the figure is in MiB";
}

"Connections and requests" {
    /// How many connections may be open at once; `auto` is what the limit on open files leaves.
    max_connections: Auto<usize> as Or<Count, AutoWord> = Auto::Auto,
        min 1 => "nobody could connect",
        max 10_000_000 => "no system has so many open files";

    /// How many connections one address may hold; `auto` is as many as there may be in all, since
    /// behind a proxy all come from one address.
    max_connections_per_address: Auto<usize> as Or<Count, AutoWord> = Auto::Auto,
        min 1 => "nobody could connect",
        max 10_000_000 => "no system has so many open files";

    /// How many requests may be worked on at once, over all protocols; streams and waiting long-polls are
    /// none. One address takes what is free down to the last quarter.
    max_requests_in_flight: usize as Count = 1_024,
        min 1 => "nothing would be answered",
        max 1_000_000 => "requests alone would take more memory than a machine has";

    /// How many bytes the head of a request may have.
    max_head_bytes: usize as Size = size(16 * KIB),
        min 8 * KIB => "the HTTP parser cannot work with less",
        max MIB => "every connection may fill it before anybody knows who it is";

    /// How many header fields a request may have.
    max_headers: usize as Count = 64,
        min 16 => "a browser behind a proxy sends as many",
        max 1_024 => "no honest request has more";

    /// How many bytes the target of a request may have.
    max_uri_bytes: usize as Size = size(8 * KIB),
        min 256 => "the path of a session does not fit",
        max 65_534 => "the HTTP parser takes no longer ones";
}

"Time limits of a request" {
    /// How long a new connection may take to send its first byte.
    first_byte_timeout: Duration as Time = Duration::from_secs(10),
        min 10 * MILLISECOND => "an honest peer's first packet takes longer",
        max 10 * MINUTE => "silent connections would use up max_connections";

    /// How long the head of a request may take from its first byte on.
    head_timeout: Duration as Time = Duration::from_secs(10),
        min 10 * MILLISECOND => "an honest peer's second packet takes longer",
        max 10 * MINUTE => "slow heads would use up max_connections";

    /// How long the body of a request may take.
    body_timeout: Duration as Time = Duration::from_secs(30),
        min 10 * MILLISECOND => "an honest peer's second packet takes longer",
        max HOUR => "slow bodies would hold their memory";

    /// How long a TLS handshake may take.
    tls_handshake_timeout: Duration as Time = Duration::from_secs(10),
        min 10 * MILLISECOND => "a handshake takes two ways there and back",
        max 10 * MINUTE => "unfinished handshakes would use up max_connections";

    /// How long a connection may stay idle between two requests. Longer than a proxy keeps it, so that the proxy is
    /// the side that closes it and no request meets a connection that is being closed.
    keep_alive_timeout: Duration as Time = Duration::from_secs(125),
        min 10 * MILLISECOND => "no second request would ever come in time",
        max DAY => "idle connections would use up max_connections";
}

"Streams" {
    /// After how much silence a stream gets a heartbeat comment.
    heartbeat_interval: Duration as Time = Duration::from_secs(15),
        min 100 * MILLISECOND => "heartbeats would be most of the traffic",
        max HOUR => "every proxy on the way closes a stream that is silent for so long";

    /// How long a peer may leave written bytes untaken before its stream is closed.
    write_deadline: Duration as Time = Duration::from_secs(30),
        min 100 * MILLISECOND => "a short stall of an honest network takes longer",
        max HOUR => "stalled readers would use up max_connections";

    /// How long bytes may stay unacknowledged before the kernel closes the connection
    /// (`TCP_USER_TIMEOUT`): with the heartbeat this bounds how long a lost peer goes unnoticed.
    half_open_timeout: Duration as Time = Duration::from_secs(15),
        min 100 * MILLISECOND => "one lost packet would end the connection",
        max HOUR => "lost peers would use up max_connections";

    /// How long a subscriber whose stream has no socket of its own (HTTP/2, long-poll, Rust) may leave events
    /// unread; on a socket, plain or over TLS, `write_deadline` comes first.
    max_subscriber_idle_time: Duration as Time = Duration::from_secs(600),
        min 100 * MILLISECOND => "a short stall of an honest network takes longer",
        max 7 * DAY => "dead subscribers would hold memory";

    /// The greatest age of a session's stream; its client is then asked to reconnect.
    max_age: Option<Duration> as Or<Time, NoneWord> = None,
        min 100 * MILLISECOND => "clients would do nothing but reconnect",
        max 30 * DAY => "say \"none\" instead";

    /// By how much of itself `max_age` is shortened at most, at random, so that streams opened
    /// together do not end together: 0.2 makes it 80 to 100 %.
    max_age_jitter: f64 as Fraction = 0.2,
        min 0 => "it shortens only",
        max ONE / 2 => "a stream is to live at least half of its `max_age`";

    /// How many consecutive errors of a stream open its breaker and close it.
    breaker_errors: usize as Count = 3,
        min 1 => "every stream would be closed at once",
        max 255 => "the breaker would never open";

    /// After how long clients are told to reconnect (`retry:`), before jitter.
    retry: Duration as Time = Duration::from_secs(2),
        min 10 * MILLISECOND => "clients would come back all at once, without a pause",
        max 10 * MINUTE => "clients would stay away long after the hub is back";

    /// The kernel's send buffer of a stream (`SO_SNDBUF`); `system` leaves it to the kernel.
    send_buffer_bytes: Option<usize> as Or<Size, SystemWord> = Some(size(128 * KIB)),
        min 4 * KIB => "the kernel takes no less",
        max 16 * MIB => "every stalled reader may hold it";

    /// How many threads deliver events; `auto` is one per core.
    shards: Auto<usize> as Or<Count, AutoWord> = Auto::Auto,
        min 1 => "nothing would be delivered",
        max 256 => "more threads than cores only take turns";
}

"Long-poll" {
    /// The longest time a long-poll may ask to wait.
    long_poll_max_wait: Duration as Time = Duration::from_secs(60),
        min 100 * MILLISECOND => "clients would do nothing but ask",
        max 10 * MINUTE => "every proxy on the way closes a request that is silent for so long";

    /// How long a long-poll waits that does not say.
    long_poll_default_wait: Duration as Time = Duration::from_secs(25),
        min 100 * MILLISECOND => "clients would do nothing but ask",
        max 10 * MINUTE => "every proxy on the way closes a request that is silent for so long";

    /// How many events a long-poll may ask for.
    long_poll_max_events: usize as Count = 1_000,
        min 1 => "no event would ever be handed out",
        max 100_000 => "the answer is made in memory";

    /// How many events a long-poll gets that does not say.
    long_poll_default_events: usize as Count = 100,
        min 1 => "no event would ever be handed out",
        max 100_000 => "the answer is made in memory";
}

"Browsers" {
    /// The origins whose pages may use the hub (CORS), each as `scheme://host[:port]`; `*` alone is all.
    cors_origins: AllowedOrigins as Origins = AllowedOrigins::Listed(Vec::new());

    /// Whether those pages may send cookies.
    cors_credentials: bool as Switch = false;

    /// Header fields that those pages may send beside those that the hub reads and those that tracing adds.
    cors_headers: Vec<HeaderName> as HeaderNames = Vec::new();
}

"Authentication" {
    /// The secret that tokens are signed with (HS256, HS384, HS512): random text of 32 bytes or more, or `base64:` and
    /// such bytes. Better in a file: flags and variables are seen by others on the machine.
    token_secret: Option<Secret> as OptionalSecret = None;

    /// A file with that secret; a line break at its end is left out.
    token_secret_file: Option<PathBuf> as File = None;

    /// A PEM file with the public keys, or the certificate, of those who sign tokens (RS, PS, ES, EdDSA).
    token_public_key: Option<PathBuf> as File = None;

    /// The algorithms that tokens may be signed with; empty: all that fit the keys.
    token_algorithms: Vec<Algorithm> as TokenAlgorithms = Vec::new();

    /// Where the issuer's public keys are (JWKS, RFC 7517): `https`, or `http` on loopback.
    jwks_url: Option<ServerUrl> as WebUrl = None;

    /// How old the keys of `jwks_url` may be before they are read again.
    jwks_cache: Duration as Time = Duration::from_secs(300),
        min SECOND => "the issuer would be asked all the time",
        max DAY => "a key that was withdrawn would count for too long";

    /// How often `jwks_url` is asked at most, whatever keys tokens name; a new key is known after so long at the latest.
    jwks_cooldown: Duration as Time = Duration::from_secs(30),
        min 100 * MILLISECOND => "made-up tokens would have the issuer asked all the time",
        max HOUR => "a new key would not be known";

    /// How old the keys of `jwks_url` may be while it does not answer.
    jwks_stale: Duration as Time = Duration::from_secs(3_600),
        min SECOND => "a short outage of the issuer would lock everybody out",
        max 30 * DAY => "a key that was withdrawn would count for too long";

    /// Where the issuer of opaque tokens is asked about them (introspection, RFC 7662).
    introspection_url: Option<ServerUrl> as WebUrl = None;

    /// The hub's name there.
    introspection_client: Option<String> as OptionalText = None;

    /// The hub's password there. Better in a file.
    introspection_secret: Option<Secret> as OptionalSecret = None;

    /// A file with that password; a line break at its end is left out.
    introspection_secret_file: Option<PathBuf> as File = None;

    /// Who must have issued a token (`iss`).
    token_issuer: Option<String> as OptionalText = None;

    /// Whom a token must be for (`aud`): one of these. Empty: its audience is not looked at.
    token_audience: Vec<String> as Texts = Vec::new();

    /// How far the clocks of issuer and hub may be apart: `exp` counts as later by so much, `nbf` as earlier.
    token_leeway: Duration as Time = Duration::from_secs(5),
        min 0 => "clocks that agree need none",
        max 10 * MINUTE => "tokens would outlive their end";

    /// A cookie that tokens are taken from, where there is no `Authorization`.
    token_cookie: Option<String> as CookieName = None;

    /// Whether tokens are taken from `?access_token=`, where there is neither header nor cookie. Addresses are kept in
    /// histories and in the logs of proxies.
    token_in_query: bool as Switch = false;

    /// How often it is asked again whether an open stream is still allowed; 0 never asks.
    revalidate_interval: Option<Duration> as Or<Time, ZeroWord> = Some(Duration::from_secs(30)),
        min 100 * MILLISECOND => "whoever is asked would do nothing else",
        max DAY => "a right that was taken away would count for too long";

    /// What happens to open streams while nobody answers whether they are allowed: `closed` closes them after
    /// `breaker_errors` tries, `open` lets them go on.
    access_fail: AccessFail as OneOf<AccessFail> = AccessFail::Closed;

    /// How many streams one user may have open, waiting long-polls included.
    max_connections_per_user: Option<usize> as Or<Count, NoneWord> = None,
        min 1 => "no user could open a stream",
        max 10_000_000 => "no system has so many open files";

    /// How many streams one user may open in a minute.
    max_connects_per_user: Option<usize> as Or<Count, NoneWord> = None,
        min 1 => "no user could open a stream",
        max 10_000_000 => "say \"none\" instead";

    /// How many publishing requests one user may send in a minute.
    max_publishes_per_user: Option<usize> as Or<Count, NoneWord> = None,
        min 1 => "no user could publish",
        max 1_000_000_000 => "say \"none\" instead";

    /// How many revocations are remembered; one more is refused, so that none is forgotten before its token has expired.
    max_revocations: usize as Count = 100_000,
        min 1 => "nothing could be revoked",
        max 10_000_000 => "they would take more memory than the events";

    /// Whether `GET /metrics` answers without a token where tokens are needed.
    metrics_public: bool as Switch = false;

    /// Whether `GET /stats` answers without a token where tokens are needed.
    stats_public: bool as Switch = false;
}

"Metrics and logs" {
    /// How often services are sampled for `/services/metrics/stream` while somebody watches; `?interval=` asks for another
    /// interval.
    metrics_interval: Duration as Time = Duration::from_secs(5),
        min SECOND => "sampling would be all that services do",
        max HOUR => "nobody would watch for so long";

    /// The greatest age of a stream of metrics; its client is then asked to reconnect.
    metrics_max_age: Duration as Time = Duration::from_secs(1_800),
        min 100 * MILLISECOND => "clients would do nothing but reconnect",
        max 30 * DAY => "streams would never be asked whether they are of use";

    /// The greatest age of a stream of logs; its client is then asked to reconnect.
    logs_max_age: Duration as Time = Duration::from_secs(3_600),
        min 100 * MILLISECOND => "clients would do nothing but reconnect",
        max 30 * DAY => "streams would never be asked whether they are of use";

    /// Where logs of deployments come from beside `POST /deployments/ID/logs`: from nowhere else, from a channel in Redis
    /// that is subscribed to, or from a stream in Redis, which has history.
    logs_source: LogsSource as OneOf<LogsSource> = LogsSource::Post;

    /// The name of that channel or stream; `{id}` in it stands for the deployment.
    logs_channel: Cow<'static, str> as ChannelName = Cow::Borrowed("deployment:{id}:logs");

    /// How long what feeds a stream (a sampler, a subscription in Redis) goes on after the last reader has left.
    source_linger: Duration as Time = Duration::from_secs(10),
        min 10 * MILLISECOND => "every reconnect would start it anew",
        max HOUR => "it would run for nobody";
}

"Directory" {
    /// Who is asked whose a deployment or a service is: the tables of the file, the hash `watertight:owners` in Redis, or
    /// the application at `webhook_url`.
    directory: DirectoryKind as OneOf<DirectoryKind> = DirectoryKind::Config;

    /// How long an answer of Redis or of the webhook is used for further questions.
    directory_cache: Duration as Time = Duration::from_secs(5),
        min 10 * MILLISECOND => "every request would be a question",
        max HOUR => "a right that was given or taken away would go unnoticed";

    /// How many answers of Redis or of the webhook are kept.
    max_directory_entries: usize as Count = 20_000,
        min 16 => "every request would be a question",
        max 10_000_000 => "they would take more memory than the events";

    /// The URL that is asked whose a deployment or a service is, with `directory = "webhook"`.
    webhook_url: Option<ServerUrl> as WebUrl = None;

    /// The secret that questions to `webhook_url` are signed with. Better in a file: flags and variables are seen by
    /// others on the machine.
    webhook_secret: Option<Secret> as OptionalSecret = None;

    /// A file with that secret; a line break at its end is left out.
    webhook_secret_file: Option<PathBuf> as File = None;

    /// How long the webhook may take for an answer, from connecting to its last byte.
    webhook_timeout: Duration as Time = Duration::from_secs(2),
        min 10 * MILLISECOND => "an honest answer takes longer",
        max MINUTE => "whoever asks for a stream waits for it";

    /// Where Redis is: one URL, several of a cluster, or those of its sentinels.
    redis_url: Vec<ServerUrl> as RedisUrls = Vec::new();
}

"Running" {
    /// How long the hub goes on as before after SIGTERM or SIGINT, while `/health/ready` says 503, so that load
    /// balancers stop sending newcomers before the port is closed. 0 closes it at once.
    shutdown_delay: Duration as Time = Duration::ZERO,
        min 0 => "it follows the signal",
        max HOUR => "supervisors kill a process long before";

    /// How long streams and requests have to end at shutdown, after `shutdown_delay`, before they are cut off.
    /// `docker stop` kills after 10 s.
    shutdown_grace: Duration as Time = Duration::from_secs(8),
        min 100 * MILLISECOND => "no subscriber could be told",
        max HOUR => "supervisors kill a process long before";

    /// Whether `GET /metrics` answers.
    enable_metrics: bool as Switch = true;

    /// How log lines are written.
    log_format: LogFormat as OneOf<LogFormat> = LogFormat::Text;

    /// What is logged: off, error, warn, info, debug or trace, or TARGET=LEVEL, separated by commas.
    log_level: Cow<'static, str> as LogFilter = Cow::Borrowed("info");
}
}

impl Config {
    /// Whether there is something to verify tokens with: then they are needed.
    #[must_use]
    pub fn needs_tokens(&self) -> bool {
        self.token_secret.is_some()
            || self.token_secret_file.is_some()
            || self.token_public_key.is_some()
            || self.jwks_url.is_some()
            || self.introspection_url.is_some()
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::DEFAULT
    }
}
