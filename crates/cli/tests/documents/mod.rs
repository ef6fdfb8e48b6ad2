//! Commands of documents, typed as they stand there against the real binary.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use watertight_testkit::{PATIENCE, Program, Signal, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A section, up to the next one of the same rank or of a higher one.
pub(crate) fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("\n{heading}\n")).expect("the section is there");
    let rank = heading.split(' ').next().unwrap().len();
    let ends = (1..=rank).filter_map(|rank| rest.find(&format!("\n{} ", "#".repeat(rank))));
    &rest[..ends.min().unwrap_or(rest.len())]
}

/// The blocks of a kind in a section.
pub(crate) fn blocks<'a>(document: &'a str, heading: &str, kind: &str) -> Vec<&'a str> {
    let opening = format!("\n```{kind}\n");
    section(document, heading)
        .split(&opening)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect()
}

/// Somebody who types what a document says, in a folder of their own. A refusal by the hub makes `curl` fail, and so the
/// test.
pub(crate) struct Reader {
    pub(crate) dir: TempDir,
    pub(crate) hub: Option<Program>,
    /// Where the hub listens.
    pub(crate) port: String,
    /// Streams that go on.
    pub(crate) watching: Vec<Program>,
    /// Where a Redis of the test's own listens, for `redis-cli`.
    pub(crate) redis_port: Option<u16>,
}

impl Reader {
    pub(crate) fn new() -> Reader {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(".curlrc"), "silent\nshow-error\nfail-with-body\n").unwrap();
        Reader { dir, hub: None, port: String::new(), watching: Vec::new(), redis_port: None }
    }

    pub(crate) fn command(&self, script: &str) -> Command {
        let programs = std::path::Path::new(WATERTIGHT).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(self.dir.path()).env("PATH", path);
        command.env("HOME", self.dir.path()).env("CURL_HOME", self.dir.path());
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WATERTIGHT_"))
        {
            command.env_remove(name);
        }
        command.env("WATERTIGHT_URL", format!("http://127.0.0.1:{}", self.port));
        command
    }

    /// Types the commands of a block one after the other, and returns what they print. A hub and an endless stream go on
    /// behind the others, as in shells of their own.
    pub(crate) fn types(&mut self, block: &str) -> String {
        let block = block.replace("cargo run --release -- ", "watertight ").replace("\\\n", " ");
        let mut said = String::new();
        for command in block.lines().filter(|line| !line.is_empty()) {
            if command.starts_with("watertight serve") {
                self.start_hub(command);
                continue;
            }
            let mut command = command.replace(":8080", &format!(":{}", self.port));
            if let Some(port) = self.redis_port {
                command = command.replace("redis-cli ", &format!("redis-cli -p {port} "));
            }
            if command.starts_with("curl -N") {
                let stream = Program::spawn(self.command(&format!("exec {command}")));
                eventually!((stream.text(), stream.errors()), |(text, _)| text.starts_with(": watertight"));
                self.watching.push(stream);
                continue;
            }
            said += &String::from_utf8(Program::spawn(self.command(&command)).finish(PATIENCE)).unwrap();
        }
        said
    }

    pub(crate) fn start_hub(&mut self, command: &str) {
        let listens = command.contains(":8080");
        let command =
            if listens { command.replace(":8080", ":0") } else { format!("{command} --listen 127.0.0.1:0") };
        let hub = Program::spawn(self.command(&format!("exec {command}")));
        let first = "watertight: listening on http://";
        let text = eventually!((hub.text(), hub.errors()), |(text, _)| text.starts_with(first)).0;
        let address = text.lines().next().unwrap().rsplit_once(':').unwrap();
        self.port = address.1.to_owned();
        assert!(self.hub.replace(hub).is_none(), "the one before was ended");
    }

    /// The log of its hub.
    pub(crate) fn log(&self) -> String {
        self.hub.as_ref().unwrap().errors()
    }

    /// The status of a request for events, with the token in this file if one is named.
    pub(crate) fn status(&self, token: Option<&str>) -> String {
        let authorization = token.map(|file| format!("-H \"authorization: Bearer $(cat {file})\""));
        let script = format!(
            "curl -o answer -w '%{{http_code}}' -H 'accept: application/json' {} \
             'http://127.0.0.1:{}/sessions/demo/events?wait=0' || true",
            authorization.unwrap_or_default(),
            self.port
        );
        String::from_utf8(Program::spawn(self.command(&script)).finish(PATIENCE)).unwrap()
    }

    /// The stream that was opened last gets this.
    pub(crate) fn sees(&self, text: &str) {
        let stream = self.watching.last().unwrap();
        eventually!(stream.text(), |seen| seen.contains(text));
    }

    /// Stops the hub. Nothing it wrote has a token or a secret in it.
    pub(crate) fn finish(mut self) {
        let mut hub = self.hub.take().unwrap();
        hub.signal(Signal::TERM);
        assert!(hub.wait(PATIENCE).success(), "{}", hub.errors());
        let wrote = hub.text() + &hub.errors();
        for file in fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with("token") || name.starts_with("secret") {
                let secret = fs::read_to_string(&file).unwrap();
                assert!(secret.len() > 30 && !wrote.contains(secret.trim()), "{name} stands in {wrote}");
            }
        }
    }
}
