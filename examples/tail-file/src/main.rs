//! `tail-file PATH`: streams that file on port 3001.

use std::error::Error;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use watertight_example_tail_file::{hub, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let path = std::env::args_os()
        .nth(1)
        .ok_or("which file? (cargo run -p watertight-example-tail-file -- PATH)")?;
    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    println!("watch: curl -N http://127.0.0.1:3001/tail");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve(hub()?, path.into(), listener, stop).await;
    Ok(())
}
