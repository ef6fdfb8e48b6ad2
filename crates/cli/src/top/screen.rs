//! The terminal while the page stands in it: other settings, the other screen, frames out and bytes of keys in; given
//! back as it was on every way out.
//!
//! It is opened anew (`/dev/tty`): what we read and write never waits, however slow the line is, and the shell's own
//! descriptors stay as they are. A frame is drawn when the one before is written, so a slow line gets fewer of them.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Signal, getpgrp, getsid, kill_process_group};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The other screen, no cursor, pasted text marked as such.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J";
/// All of that back.
const LEAVE: &[u8] = b"\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";

/// What takes nothing for this long while we leave is left alone.
const LEAVE_PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Larger than any terminal; one that says it is larger is used in part.
const COLUMNS_MAX: u16 = 1000;
const ROWS_MAX: u16 = 500;

/// The terminal as it was, to be given back once by whoever comes first: the end, or the hook of a panic.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    tty: File,
    settings: Termios,
}

/// Has the terminal from [`Screen::open`] on; gives it back when dropped.
pub(super) struct Screen {
    tty: AsyncFd<File>,
    terminal: Terminal<CrosstermBackend<Bytes>>,
    /// What the terminal has drawn and [`Screen::send`] has not taken.
    drawn: Bytes,
    /// What is to be written.
    unsent: RefCell<Vec<u8>>,
}

/// A frame as bytes. Bounded by the size of the screen, as it is emptied before the next.
#[derive(Debug, Clone, Default)]
struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    /// Takes the terminal. Must be called on a runtime.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub(super) fn open() -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let tty = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/tty")?;
        Self::on(tty)
    }

    #[expect(
        deprecated,
        reason = "safe here: the file is closed together with what watches it, and not before"
    )]
    fn on(tty: File) -> io::Result<Self> {
        let tty = AsyncFd::with_interest(tty, Interest::READABLE | Interest::WRITABLE)?;
        let drawn = Bytes::default();
        let viewport = Viewport::Fixed(size(tty.get_ref()));
        let terminal =
            Terminal::with_options(CrosstermBackend::new(drawn.clone()), TerminalOptions { viewport })?;
        restore_on_panic();
        let mut screen = Self { tty, terminal, drawn, unsent: RefCell::default() };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal (again), and draws all anew.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        let tty = self.tty.get_ref();
        let mut before = before();
        if before.is_none() {
            *before = Some(Before { tty: tty.try_clone()?, settings: tcgetattr(tty)? });
        }
        drop(before);
        let mut raw = tcgetattr(tty)?;
        raw.make_raw();
        tcsetattr(tty, OptionalActions::Now, &raw)?;
        self.unsent.borrow_mut().extend_from_slice(ENTER);
        self.resize()
    }

    /// Draws all anew, in the size that the terminal has now.
    pub(super) fn resize(&mut self) -> io::Result<()> {
        self.terminal.resize(size(self.tty.get_ref()))?;
        self.take_drawn();
        Ok(())
    }

    /// Whether all that was drawn is written: only then may more be drawn.
    pub(super) fn is_idle(&self) -> bool {
        self.unsent.borrow().is_empty()
    }

    /// Draws a frame, to be written by [`Screen::send`].
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw)?;
        self.take_drawn();
        Ok(())
    }

    /// Writes a part of what is drawn, once the terminal takes it. Dropping the future loses nothing.
    pub(super) async fn send(&self) -> io::Result<()> {
        let sent = self.tty.async_io(Interest::WRITABLE, |mut tty| tty.write(&self.unsent.borrow())).await?;
        self.unsent.borrow_mut().drain(..sent);
        Ok(())
    }

    /// Reads keys, once there are some. 0 bytes: the terminal is gone. Dropping the future loses nothing.
    pub(super) async fn read(&self, to: &mut [u8]) -> io::Result<usize> {
        self.tty.async_io(Interest::READABLE, |mut tty| tty.read(to)).await
    }

    /// Gives the terminal back and stops this process and those it was started with, as a key for that does: nothing may
    /// be drawn before it is continued, and [`Screen::enter`] was called. `false`: whoever could continue it is not
    /// there, so nothing has happened (whoever ignores such keys is a session of its own).
    pub(super) fn suspend(&mut self) -> bool {
        let group = getpgrp();
        if getsid(None).is_ok_and(|session| session == group) {
            return false;
        }
        self.leave();
        // It can only fail for a group that is not there.
        let _ = kill_process_group(group, Signal::STOP);
        true
    }

    fn leave(&mut self) {
        // A half of a frame would swallow what follows.
        write_out(self.tty.get_ref(), &self.unsent.take());
        restore();
    }

    fn take_drawn(&mut self) {
        self.unsent.borrow_mut().append(&mut self.drawn.0.borrow_mut());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn size(tty: impl AsFd) -> Rect {
    // 80 x 24 if it does not know.
    let (columns, rows) = match tcgetwinsize(tty) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    };
    Rect::new(0, 0, columns.min(COLUMNS_MAX), rows.min(ROWS_MAX))
}

fn before() -> MutexGuard<'static, Option<Before>> {
    // Nothing is left half done in it.
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the terminal back, if that has not happened.
fn restore() {
    let Some(Before { tty, settings }) = before().take() else { return };
    write_out(&tty, LEAVE);
    // It fails if the terminal is gone; then nobody misses its settings.
    let _ = tcsetattr(&tty, OptionalActions::Now, &settings);
}

/// Writes until all is written, or the terminal takes nothing any more.
fn write_out(mut tty: &File, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match tty.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let takes = poll(&mut [PollFd::new(tty, PollFlags::OUT)], Some(&LEAVE_PATIENCE));
                if !takes.is_ok_and(|ready| ready > 0) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// A panic's message belongs on the screen that stays.
fn restore_on_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        hook(panic);
    }));
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use pty_process::blocking::{Command, open};
    use rustix::termios::LocalModes;

    use super::*;

    /// For the next test, which gives it a terminal.
    #[test]
    #[ignore = "needs a terminal of its own"]
    #[should_panic(expected = "on the other screen")]
    fn panics_while_it_has_the_screen() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut screen = Screen::open().unwrap();
            screen.draw(|frame| frame.render_widget("the-page", frame.area())).unwrap();
            while !screen.is_idle() {
                screen.send().await.unwrap();
            }
            panic!("on the other screen");
        });
    }

    /// A test of this file in a terminal: all that the terminal got, and how it ended.
    fn in_terminal(test: &str) -> (String, LocalModes, ExitStatus) {
        let (mut pty, pts) = open().unwrap();
        let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
        let command = Command::new(std::env::current_exe().unwrap());
        let arguments = ["--exact", &test, "--ignored", "--nocapture"];
        let mut child = command.args(arguments).spawn(pts).unwrap();
        let mut seen = Vec::new();
        // It ends with an error once nobody has the other side.
        let _ = pty.read_to_end(&mut seen);
        let status = child.wait().unwrap();
        (String::from_utf8_lossy(&seen).into_owned(), tcgetattr(&pty).unwrap().local_modes, status)
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_says_anything() {
        let (seen, modes, status) = in_terminal("panics_while_it_has_the_screen");
        assert!(status.success() && seen.contains("1 passed"), "{seen}");
        let at = |text: &str| seen.find(text).unwrap_or_else(|| panic!("no {text:?} in {seen:?}"));
        let [enter, leave] = [ENTER, LEAVE].map(|bytes| at(std::str::from_utf8(bytes).unwrap()));
        assert!(enter < at("the-page") && at("the-page") < leave && leave < at("panicked at"), "{seen:?}");
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    }
}
