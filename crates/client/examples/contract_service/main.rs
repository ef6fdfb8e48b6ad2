//! The service that the public SSE contract tests drive: it makes subscribers as they ask for them, and tells
//! them what those saw.
//!
//! ```sh
//! cargo run -p watertight-client --example contract_service     # port 8000; PORT, or an argument, is another
//! ```

#[path = "service/mod.rs"]
mod service;

use std::env;
use std::process::ExitCode;

use tokio::net::TcpListener;

const PORT: u16 = 8000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let port = env::args().nth(1).or_else(|| env::var("PORT").ok());
    let port = match port.map_or(Ok(PORT), |text| text.parse::<u16>()) {
        Ok(port) => port,
        Err(error) => return failed(&format!("the port is no number: {error}")),
    };
    let listener = match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => listener,
        Err(error) => return failed(&format!("cannot listen on port {port}: {error}")),
    };
    match listener.local_addr() {
        Ok(address) => println!("contract service: listening on http://{address}"),
        Err(error) => return failed(&error.to_string()),
    }
    service::serve(listener).await;
    ExitCode::SUCCESS
}

fn failed(message: &str) -> ExitCode {
    eprintln!("contract service: {message}");
    ExitCode::FAILURE
}
