//! Threads that copy: what the command writes to our outputs and to the collector, what the user types to its terminal. Each
//! asks `poll` before it reads, so that it can be stopped.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{Builder, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::clock::Now;
use super::collector::Shared;
use super::record::Stream;

/// Bytes of one read: as much as a pipe holds.
const CHUNK_BYTES: usize = 64 * 1024;

/// After it was stopped, a thread reads what is there: no more than a pipe can hold at most. What is more was written
/// after the stop.
const REST_BYTES_MAX: usize = 1024 * 1024;

/// What a pipe that is ready takes at once (`PIPE_BUF`).
const WRITE_BYTES_MAX: usize = 4096;

/// The end of input, as a terminal is told of it.
const END_OF_INPUT: &[u8] = b"\x04";

/// A thread that copies. Dropping it abandons what it copies, and joins it.
pub(super) struct Copy {
    stop: UnixStream,
    abandon: UnixStream,
    thread: Option<JoinHandle<()>>,
    /// Tells how it ended. Taken by [`Copy::ended`].
    ended: Option<oneshot::Receiver<io::Result<()>>>,
}

/// How a thread is told to end: its ends of two pairs of sockets, which can be read from then on.
#[derive(Clone, std::marker::Copy)]
struct Ends<'a> {
    /// After what is there already.
    stop: BorrowedFd<'a>,
    /// At once.
    abandon: BorrowedFd<'a>,
}

impl Copy {
    fn start(name: &str, copy: impl FnOnce(Ends<'_>) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let (abandon, abandoned) = UnixStream::pair()?;
        let (tell, ended) = oneshot::channel();
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            let result = copy(Ends { stop: stopped.as_fd(), abandon: abandoned.as_fd() });
            // Nobody may be left to tell.
            let _ = tell.send(result);
        })?;
        Ok(Self { stop, abandon, thread: Some(thread), ended: Some(ended) })
    }

    /// Copies an output of the command to ours, if `echoes`, and to the collector.
    pub(super) fn output(
        (stream, source): (Stream, OwnedFd),
        echoes: bool,
        is_terminal: bool,
        shared: Shared,
    ) -> io::Result<Self> {
        Self::start(stream.name(), move |ends| {
            let echo = echoes.then(|| match stream {
                Stream::Stdout => rustix::stdio::stdout(),
                Stream::Stderr => rustix::stdio::stderr(),
            });
            copy_output(&source, echo, is_terminal, ends, |bytes| {
                let now = Now::read();
                shared.change(|collector| collector.push(stream, bytes, now));
            })
        })
    }

    /// Copies what the user types to the command's terminal.
    pub(super) fn keys(terminal: OwnedFd) -> io::Result<Self> {
        Self::start("keys", move |ends| copy_keys(terminal.as_fd(), ends.stop))
    }

    /// Asks it to read what is there already, and to end then.
    pub(super) fn stop(&self) {
        // It fails only if it was done before.
        self.stop.shutdown(Shutdown::Both).ok();
    }

    /// How it ends, once it does.
    pub(super) fn ended(&mut self) -> impl Future<Output = io::Result<()>> + 'static {
        let ended = self.ended.take();
        async move {
            match ended {
                Some(ended) => ended.await.unwrap_or(Ok(())),
                None => Ok(()),
            }
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.stop();
        self.abandon.shutdown(Shutdown::Both).ok();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            thread.join().ok();
        }
    }
}

/// Until the end of `source`, or until nobody reads what we write: then the command is to learn it as it would without us.
fn copy_output(
    source: &OwnedFd,
    mut echo: Option<BorrowedFd<'_>>,
    is_terminal: bool,
    ends: Ends<'_>,
    mut collect: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut rest_bytes = 0;
    loop {
        let (is_ready, is_stopped) = wait(source.as_fd(), PollFlags::IN, ends.stop)?;
        if is_stopped && (!is_ready || rest_bytes >= REST_BYTES_MAX) {
            return Ok(());
        }
        let bytes = match rustix::io::read(source, &mut chunk) {
            // A terminal whose last program has ended says so.
            Ok(0) | Err(Errno::IO) => return Ok(()),
            Ok(count) => &chunk[..count],
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => return Err(error.into()),
        };
        rest_bytes += if is_stopped { bytes.len() } else { 0 };
        // First, so that viewers do not wait for whoever reads our output, or stops the terminal.
        collect(bytes);
        let echoed = echo.map_or(Ok(true), |echo| write_all(echo, bytes, ends.abandon));
        match echoed {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // The user's terminal is gone: SIGHUP tells the command, and its output goes on to the log.
            Err(_) if is_terminal => echo = None,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn copy_keys(terminal: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> io::Result<()> {
    let keyboard = rustix::stdio::stdin();
    let mut chunk = [0; 4096];
    loop {
        if wait(keyboard, PollFlags::IN, stop)?.1 {
            return Ok(());
        }
        let count = match rustix::io::read(keyboard, &mut chunk) {
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut rest = if count == 0 { END_OF_INPUT } else { &chunk[..count] };
        while !rest.is_empty() {
            // A command that does not read must not keep us.
            if wait(terminal, PollFlags::OUT, stop)?.1 {
                return Ok(());
            }
            match rustix::io::write(terminal, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// Waits until `fd` is ready, or until it is to stop: which of both is true.
fn wait(fd: BorrowedFd<'_>, wanted: PollFlags, stop: BorrowedFd<'_>) -> io::Result<(bool, bool)> {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(fd, wanted), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok((!fds[0].revents().is_empty(), !fds[1].revents().is_empty())),
        }
    }
}

/// Writes to a descriptor that others may have made non-blocking. `false`: it was abandoned.
fn write_all(to: BorrowedFd<'_>, bytes: &[u8], abandon: BorrowedFd<'_>) -> io::Result<bool> {
    let mut rest = bytes;
    while !rest.is_empty() {
        if wait(to, PollFlags::OUT, abandon)?.1 {
            return Ok(false);
        }
        match rustix::io::write(to, &rest[..rest.len().min(WRITE_BYTES_MAX)]) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
