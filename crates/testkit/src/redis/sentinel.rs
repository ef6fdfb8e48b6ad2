//! A master of Redis, a replica and a sentinel that watches them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use super::{Redis, TRIES, all_of, try_command};
use crate::ports::free_address;
use crate::program::Program;
use crate::{PATIENCE, eventually};

/// The name of the master.
const MASTER: &str = "main";

/// Two servers and a sentinel. Dropping it kills them.
#[derive(Debug)]
pub struct Sentinel {
    /// The servers; the first is the master at the beginning.
    pub servers: [Redis; 2],
    address: SocketAddr,
    _program: Program,
    _dir: TempDir,
}

impl Sentinel {
    /// Starts them, and waits until the sentinel knows the replica.
    ///
    /// # Panics
    /// When they do not start.
    #[must_use]
    pub fn start() -> Sentinel {
        let master = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
        let replica = Redis::replica_of(&master);
        for _ in 0..TRIES {
            let address = free_address();
            let (port, watched) = (address.port(), master.address().port());
            let dir = TempDir::new().unwrap();
            let file = dir.path().join("sentinel.conf");
            let lines = [
                format!("port {port}\nbind 127.0.0.1\ndir {}\n", dir.path().display()),
                format!("sentinel monitor {MASTER} 127.0.0.1 {watched} 1\n"),
                format!("sentinel down-after-milliseconds {MASTER} 1000\n"),
                format!("sentinel failover-timeout {MASTER} 3000\n"),
            ];
            fs::write(&file, lines.concat()).unwrap();
            let mut command = Command::new("redis-server");
            command.arg(&file).arg("--sentinel");
            let mut program = Program::spawn(command);
            let is_up = || try_command(address, &["PING"]).is_ok();
            eventually!((is_up(), program.ended().is_some()), |(up, ended)| *up || *ended);
            if program.ended().is_some() {
                let said = program.text();
                assert!(said.contains("Address already in use"), "the sentinel does not start: {said}");
                continue;
            }
            let sentinel = Sentinel { servers: [master, replica], address, _program: program, _dir: dir };
            sentinel.knows_a_replica();
            return sentinel;
        }
        panic!("the sentinel found no port in {TRIES} tries");
    }

    /// Its URL, with the name of the master.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/{MASTER}", self.address)
    }

    /// Which of the servers the sentinel says is the master.
    ///
    /// # Panics
    /// When it says none.
    #[must_use]
    pub fn master(&self) -> usize {
        let said = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
        let at = self.servers.iter().position(|server| server.address().port().to_string() == said[1]);
        at.unwrap_or_else(|| panic!("{said:?}"))
    }

    /// Has the replica promoted although the master runs, and waits until the old one is its replica.
    ///
    /// # Panics
    /// When it is not.
    pub fn fail_over(&self) {
        let before = self.master();
        eventually!(self.ask(&["SENTINEL", "FAILOVER", MASTER]), |said| said == &["OK"]);
        // It drops all who are there when it becomes a replica.
        eventually!(self.servers[before].try_command(&["INFO", "replication"]).unwrap_or_default(), |info| {
            info.contains("role:slave") && info.contains("master_link_status:up")
        });
        assert_ne!(self.master(), before);
    }

    /// Waits until the sentinel could fail over.
    ///
    /// # Panics
    /// When it cannot.
    pub fn knows_a_replica(&self) {
        eventually!(
            self.ask(&["SENTINEL", "REPLICAS", MASTER]).join(" "),
            |said| said.contains("master-link-status ok") && !said.contains("s_down"),
            2 * PATIENCE
        );
    }

    fn ask(&self, words: &[&str]) -> Vec<String> {
        all_of(self.address, words).expect("the sentinel answers")
    }
}
