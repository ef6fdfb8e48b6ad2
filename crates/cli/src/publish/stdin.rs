//! Standard input, read by a thread that can be stopped. Knows bytes only.
//!
//! A blocking read cannot be called back, and a runtime that ends waits for it: so the thread asks `poll`
//! whether there is anything to read or a wish to stop, and only then reads.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes of one read.
const CHUNK_BYTES: usize = 16 * 1024;

/// Reads that may wait to be sent: with [`CHUNK_BYTES`] at most 1 MiB. Then the writer of the pipe waits.
const CHUNKS_WAITING_MAX: usize = 64;

/// Reads standard input until it ends, is stopped or is dropped, which joins the thread.
pub(super) struct StdinReader {
    chunks: Receiver<io::Result<Vec<u8>>>,
    stop: Stop,
    /// Taken by `drop`.
    thread: Option<JoinHandle<()>>,
}

/// Ends the reading; what was read by then still comes out.
#[derive(Clone)]
pub(super) struct Stop(Arc<UnixStream>);

impl Stop {
    /// Ends the reading. Calling it again does nothing.
    pub(super) fn stop(&self) {
        // It fails only if it was done before.
        self.0.shutdown(Shutdown::Both).ok();
    }
}

impl StdinReader {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (sender, chunks) = channel(CHUNKS_WAITING_MAX);
        let thread = Builder::new().name("stdin".into()).spawn(move || {
            let stdin = io::stdin();
            read_all(stdin.as_fd(), theirs.as_fd(), &sender);
        })?;
        Ok(Self { chunks, stop: Stop(Arc::new(ours)), thread: Some(thread) })
    }

    /// A handle to end the reading from elsewhere.
    pub(super) fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// The next bytes; `None` at the end. Dropping the future loses nothing.
    pub(super) async fn read(&mut self) -> Option<io::Result<Vec<u8>>> {
        self.chunks.recv().await
    }

    /// More bytes, if they are there already.
    pub(super) fn read_now(&mut self) -> Option<io::Result<Vec<u8>>> {
        self.chunks.try_recv().ok()
    }
}

impl Drop for StdinReader {
    fn drop(&mut self) {
        self.chunks.close();
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            thread.join().ok();
        }
    }
}

fn read_all(input: BorrowedFd<'_>, stop: BorrowedFd<'_>, sender: &Sender<io::Result<Vec<u8>>>) {
    loop {
        let read = match wait(input, stop) {
            Ok(true) => read_chunk(input),
            Ok(false) => return,
            Err(error) => Err(error),
        };
        let last = match &read {
            Ok(chunk) if chunk.is_empty() => return,
            Ok(_) => false,
            Err(_) => true,
        };
        if sender.blocking_send(read).is_err() || last {
            return;
        }
    }
}

/// Waits for input. `false`: stop.
fn wait(input: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> io::Result<bool> {
    loop {
        let mut fds =
            [PollFd::from_borrowed_fd(input, PollFlags::IN), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(fds[1].revents().is_empty()),
        }
    }
}

fn read_chunk(input: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match rustix::io::read(input, &mut chunk) {
            Err(Errno::INTR) => {}
            // Somebody else read it first: a terminal or a pipe may be shared.
            Err(Errno::AGAIN) => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
            Ok(count) => {
                chunk.truncate(count);
                chunk.shrink_to_fit();
                return Ok(chunk);
            }
        }
    }
}
