//! Another program: a `curl`, a `tail`, a browser. Its output goes to files, so that it never waits for us.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::Process;

/// A running program. Dropping it kills it and waits for it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    dir: TempDir,
    status: Option<ExitStatus>,
}

impl Program {
    /// Starts `program` with `arguments`.
    ///
    /// # Panics
    /// When it is not there: says that it is to be installed.
    #[must_use]
    pub fn start(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Program {
        let mut command = Command::new(program);
        command.args(arguments);
        Program::spawn(command)
    }

    /// Starts a command, with its input, output and errors taken over.
    ///
    /// # Panics
    /// As [`Program::start`].
    #[must_use]
    pub fn spawn(mut command: Command) -> Program {
        let name = Path::new(command.get_program()).file_name().unwrap().to_string_lossy().into_owned();
        let dir = TempDir::new().unwrap();
        command
            .stdin(Stdio::piped())
            .stdout(File::create(dir.path().join("stdout")).unwrap())
            .stderr(File::create(dir.path().join("stderr")).unwrap());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{name} cannot be started ({error}): install it to run this test")
        });
        let stdin = child.stdin.take();
        Program { name, child, stdin, dir, status: None }
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn input(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        stdin.write_all(bytes.as_ref()).expect("it reads its input");
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// What it has printed so far.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        fs::read(self.file("stdout")).unwrap()
    }

    /// What it has printed so far, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output()).into_owned()
    }

    /// What it has said on standard error so far.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.file("stderr")).unwrap()).into_owned()
    }

    /// What the kernel says about it.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{} is gone: {error}", self.name));
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After `within`: with what it said.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            let name = &self.name;
            assert!(Instant::now() < deadline, "{name} still runs after {within:?}: {}", self.errors());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end and asserts success; returns what it printed.
    ///
    /// # Panics
    /// When it fails or runs on: with what it said.
    pub fn finish(&mut self, within: Duration) -> Vec<u8> {
        let status = self.wait(within);
        assert!(status.success(), "{}: {status}: {}", self.name, self.errors());
        self.output()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It may end by itself in between.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let (text, errors) = (self.text(), self.errors());
            let tail = |text: &str| {
                text.chars().rev().take(2000).collect::<Vec<_>>().into_iter().rev().collect::<String>()
            };
            eprintln!("--- {} printed: {}\n--- and said: {}", self.name, tail(&text), tail(&errors));
        }
    }
}
