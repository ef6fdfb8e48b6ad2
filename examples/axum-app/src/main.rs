//! Runs the clock on port 3000: by Watertight's accept loop, or with `--plain` by `axum::serve`.

use std::error::Error;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use watertight::{Hub, HubConfig};
use watertight_example_axum::{serve, serve_plain, tick};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let is_plain = std::env::args().any(|argument| argument == "--plain");
    // Every figure has a default; what this application wants otherwise stands here.
    let hub = Hub::new(HubConfig { max_sessions: 10, ..HubConfig::default() })?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("watch: curl -N http://127.0.0.1:3000/clock");
    println!("say:   curl -d hello http://127.0.0.1:3000/say");
    // Ended when the set is dropped, whichever way this function is left.
    let mut publishers = JoinSet::new();
    publishers.spawn(tick(hub.clone(), Duration::from_secs(1)));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    if is_plain {
        serve_plain(hub.clone(), listener, stop).await?;
    } else {
        serve(hub.clone(), listener, stop).await;
    }
    publishers.shutdown().await;
    println!("stopped with {} subscribers left", hub.stats().subscribers);
    Ok(())
}
