//! The service: connections and streams, each a task that one tracker owns and waits for. Bounded in all.

mod api;
mod callbacks;
mod params;
mod stream;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use stream::Command;

/// Streams there may be at the same time.
const STREAMS_MAX: usize = 1000;

/// Connections there may be at the same time; more wait.
const CONNECTIONS_MAX: usize = 256;

/// Commands that may wait for a stream that is busy telling something.
const COMMANDS_MAX: usize = 16;

/// How long to wait before accepting again after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is under way has this long to end once the service has been told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Shared by all connections.
struct Service {
    streams: Mutex<Streams>,
    /// Owns every task there is.
    tasks: TaskTracker,
    /// Cancelled by `DELETE /`.
    stop: CancellationToken,
}

#[derive(Default)]
struct Streams {
    running: HashMap<u64, Running>,
    /// The number given out last.
    last: u64,
}

/// A stream's task. Dropping it ends the task, and with it the subscriber's socket.
struct Running {
    commands: mpsc::Sender<Command>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until `DELETE /`; then nothing is left of it. Dropping the future ends the streams, too.
pub(crate) async fn serve(listener: TcpListener) {
    let service = Arc::new(Service {
        streams: Mutex::default(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    });
    let _ends_with_us = service.stop.clone().drop_guard();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = service.stop.cancelled() => break,
        };
        // Whatever is wrong with one connection is no reason to end; having no descriptor left, none to spin.
        let Ok((socket, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let serving = serve_connection(Arc::clone(&service), socket);
        service.tasks.spawn(async move {
            serving.await;
            drop(place);
        });
    }
    service.with_streams(|streams| streams.running.clear());
    service.tasks.close();
    if timeout(STOP_TIMEOUT, service.tasks.wait()).await.is_err() {
        eprintln!("contract service: a connection did not end in time");
    }
}

async fn serve_connection(service: Arc<Service>, socket: TcpStream) {
    let stop = service.stop.clone();
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(api::answer(&service, request).await) }
    });
    let mut connection =
        pin!(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // What is being answered is answered; whoever only keeps its connection is not waited for long.
            timeout(STOP_TIMEOUT / 2, connection).await.unwrap_or(Ok(()))
        }
    };
    // A peer that breaks off is none of our failures.
    drop(ended);
}

impl Service {
    fn with_streams<T>(&self, work: impl FnOnce(&mut Streams) -> T) -> T {
        work(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
