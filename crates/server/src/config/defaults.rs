//! How the defaults of the table relate, known when this is compiled.

use super::limits::Config;
use super::quantity::MIB;

const _: () = {
    const D: &Config = &Config::DEFAULT;
    assert!(
        D.heartbeat_interval.as_secs() + D.half_open_timeout.as_secs() <= 30,
        "a lost peer is noticed within 30 s"
    );
    assert!(D.write_deadline.as_secs() <= 30, "a reader that stalls is noticed within 30 s");
    assert!(D.heartbeat_interval.as_millis() < D.write_deadline.as_millis());
    assert!(D.write_deadline.as_millis() < D.max_subscriber_idle_time.as_millis());
    assert!(D.max_event_bytes <= D.max_history_bytes_per_session);
    assert!(D.max_event_bytes <= D.max_body_bytes);
    // The automatic critical threshold is 75 % of it.
    const SMALLEST_CONTAINER: u64 = 16 * MIB;
    assert!((D.max_body_bytes as u64) < SMALLEST_CONTAINER / 4 * 3);
    assert!((D.max_history_bytes_per_session as u64) < SMALLEST_CONTAINER / 4 * 3);
    // Percent-encoding makes three bytes of one.
    assert!(3 * D.max_session_name_bytes < D.max_uri_bytes, "the longest name fits a path");
    assert!(D.max_uri_bytes < D.max_head_bytes, "a head has room for more than its target");
    assert!(D.long_poll_default_wait.as_millis() <= D.long_poll_max_wait.as_millis());
    assert!(D.long_poll_default_events <= D.long_poll_max_events);
    // `docker stop` waits 10 s, nginx keeps a connection to the hub for 60 s, load balancers for up to 120 s.
    assert!(D.shutdown_delay.as_secs() + D.shutdown_grace.as_secs() < 10, "the hub ends before it is killed");
    assert!(D.keep_alive_timeout.as_secs() > 120, "a proxy closes an idle connection first");
    // nginx (`proxy_read_timeout`) and the common load balancers close what is silent for 60 s.
    assert!(D.heartbeat_interval.as_secs() <= 30, "two heartbeats fit a proxy's patience");
};
