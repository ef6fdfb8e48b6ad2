//! `watertight health`: whether a hub lives, for where there is no other program to ask it: its container's image.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use watertight_client::unix_socket;

use crate::exit;

/// How long the hub may take for each step: connecting, reading the question, answering.
const STEP: Duration = Duration::from_secs(3);

/// What is read of the answer: its first line is enough.
const ANSWER_BYTES_MAX: u64 = 64;

/// Ask a hub whether it lives.
///
/// Ends with 0 if `/health/live` answers 200, with 1 if it does not. Health needs no token. It is asked over plain HTTP: of a
/// hub that speaks TLS, ask the address of `admin_listen`, which may be a Unix socket.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// The hub: http://HOST:PORT, or unix:/PATH
    #[arg(long, env = "WATERTIGHT_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

pub(crate) fn run(args: &HealthArgs) -> ExitCode {
    let answer = match unix_socket(&args.url) {
        Ok(Some(path)) => ask_unix(&path),
        Ok(None) => {
            let Some(rest) = args.url.strip_prefix("http://") else {
                return exit::failed(
                    exit::USAGE,
                    format!("{}: health is asked over http:// or unix:/PATH", args.url),
                );
            };
            ask(rest.split('/').next().unwrap_or_default())
        }
        Err(error) => return exit::failed(exit::USAGE, error),
    };
    match answer {
        Ok(answer) if is_ok(&answer) => ExitCode::SUCCESS,
        Ok(answer) => {
            exit::failed(1, format!("{}: {}", args.url, String::from_utf8_lossy(&answer).trim_end()))
        }
        Err(error) => exit::failed(1, format!("{}: {error}", args.url)),
    }
}

/// The beginning of the answer.
fn ask(host: &str) -> io::Result<Vec<u8>> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, STEP) {
            Ok(stream) => return exchange(stream.into(), host),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The same over a Unix socket.
fn ask_unix(path: &Path) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Without a limit it would wait for ever for room in the queue of a hub that accepts no more.
    socket.connect_timeout(&SockAddr::unix(path)?, STEP)?;
    exchange(socket, "localhost")
}

fn exchange(mut stream: Socket, host: &str) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(STEP))?;
    stream.set_read_timeout(Some(STEP))?;
    write!(stream, "GET /health/live HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn is_ok(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200 ")
}
