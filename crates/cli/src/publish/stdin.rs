//! Standard input, read by a thread that can be stopped. Knows bytes only.
//!
//! A blocking read cannot be called back, and a runtime that ends waits for it: so the thread asks `poll`
//! whether there is anything to read or a wish to stop, and only then reads, without waiting: whoever shares the input
//! may have been faster.

use std::io::{self, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::termios::ttyname;
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
    let own = own_terminal(input);
    let input = own.as_ref().map_or(input, AsFd::as_fd);
    let can_block = can_block(input);
    loop {
        let read = match wait(input, stop) {
            Ok(true) => read_chunk(input, can_block),
            Ok(false) => return,
            Err(error) => Err(error),
        };
        let (chunk, last) = match read {
            Ok(None) => continue,
            Ok(Some(chunk)) if chunk.is_empty() => return,
            Ok(Some(chunk)) => (Ok(chunk), false),
            Err(error) => (Err(error), true),
        };
        if sender.blocking_send(chunk).is_err() || last {
            return;
        }
    }
}

/// The same terminal, opened anew, so that no read of it blocks: whether reads block is a property of what is opened, which
/// we share with the shell and whomever else it starts. `None` if it is none, or cannot be opened.
fn own_terminal(input: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = ttyname(input, Vec::new()).ok()?;
    // Opening the other side of a pseudo-terminal makes a new one.
    if path.to_bytes().ends_with(b"ptmx") {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).ok()
}

/// Whether a read may wait for bytes: not where they lie in a file.
fn can_block(input: BorrowedFd<'_>) -> bool {
    fstat(input)
        .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
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

/// What there is; nothing at the end. `None` if another process that has the same input took it first: waiting for more
/// here, nobody could stop us.
fn read_chunk(input: BorrowedFd<'_>, can_block: bool) -> io::Result<Option<Vec<u8>>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut can_block = can_block;
    loop {
        let read = if can_block {
            // -1: not at an offset, which a pipe does not have.
            preadv2(input, &mut [IoSliceMut::new(&mut chunk)], u64::MAX, ReadWriteFlags::NOWAIT)
        } else {
            rustix::io::read(input, &mut chunk)
        };
        match read {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            // A kernel that cannot do it for this: then it may block, as reads do.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) if can_block => {
                can_block = false
            }
            Err(error) => return Err(error.into()),
            Ok(count) => {
                chunk.truncate(count);
                chunk.shrink_to_fit();
                return Ok(Some(chunk));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn without_stop(input: &impl AsFd) -> bool {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        wait(input.as_fd(), theirs.as_fd()).unwrap()
    }

    fn is_drained_by_another(mut reader: impl AsFd + Read, mut another: impl Read, mut writer: impl Write) {
        assert!(can_block(reader.as_fd()));
        writer.write_all(b"one").unwrap();
        assert!(without_stop(&reader), "there is something to read");
        let mut taken = [0; 3];
        another.read_exact(&mut taken).unwrap();
        assert_eq!(read_chunk(reader.as_fd(), true).unwrap(), None, "another was faster");
        writer.write_all(b"two").unwrap();
        assert!(without_stop(&reader));
        assert_eq!(read_chunk(reader.as_fd(), true).unwrap().as_deref(), Some(b"two".as_slice()));
        drop(writer);
        assert!(without_stop(&reader));
        assert_eq!(read_chunk(reader.as_fd(), true).unwrap().as_deref(), Some(b"".as_slice()), "the end");
        reader.read_exact(&mut []).unwrap();
    }

    #[test]
    fn what_another_process_took_from_a_shared_input_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        is_drained_by_another(reader.try_clone().unwrap(), reader, writer);
        let (reader, writer) = UnixStream::pair().unwrap();
        is_drained_by_another(reader.try_clone().unwrap(), reader, writer);
    }

    #[test]
    fn a_file_is_read_from_where_it_stands() {
        let mut file = std::fs::File::open("Cargo.toml").unwrap();
        let mut start = [0; 4];
        file.read_exact(&mut start).unwrap();
        assert!(!can_block(file.as_fd()) && own_terminal(file.as_fd()).is_none());
        let chunk = read_chunk(file.as_fd(), false).unwrap().unwrap();
        assert!(!chunk.is_empty() && [start.as_slice(), &chunk].concat().starts_with(b"[package]"));
    }

    #[test]
    fn a_terminal_is_opened_anew_so_that_nothing_is_waited_for() {
        // The one side has to be open for the other to be there.
        let (pty, _pts) = pty_process::blocking::open().unwrap();
        let path = rustix::pty::ptsname(&pty, Vec::new()).unwrap();
        let terminal = open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let own = own_terminal(terminal.as_fd()).expect("it is one");
        assert_eq!(read_chunk(own.as_fd(), can_block(own.as_fd())).unwrap(), None);
        (&pty).write_all(b"line\n").unwrap();
        assert!(without_stop(&own));
        assert_eq!(read_chunk(own.as_fd(), false).unwrap().as_deref(), Some(b"line\n".as_slice()));
        assert!(own_terminal(pty.as_fd()).is_none(), "the other side is not opened");
    }
}
