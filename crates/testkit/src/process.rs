//! What the kernel says about a process: memory, CPU time, descriptors, threads, sockets.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

/// A process of this machine, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(u32);

impl Process {
    /// The process with this id.
    #[must_use]
    pub fn new(pid: u32) -> Process {
        Process(pid)
    }

    /// Its id.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.0
    }

    /// Resident memory, bytes.
    #[must_use]
    pub fn rss(self) -> u64 {
        self.status("VmRSS:")
    }

    /// Resident memory that belongs to no file (heap and stacks), bytes.
    #[must_use]
    pub fn anon(self) -> u64 {
        self.status("RssAnon:")
    }

    /// CPU time used so far, user and system, in the kernel's ticks of (mostly) 10 ms.
    #[must_use]
    pub fn cpu_time(self) -> Duration {
        let stat = self.read("stat");
        // Fields after the name, which may contain anything but ends with the last parenthesis.
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// Open descriptors.
    #[must_use]
    pub fn fds(self) -> usize {
        self.links().len()
    }

    /// Threads.
    #[must_use]
    pub fn threads(self) -> usize {
        fs::read_dir(self.path("task")).expect("the process lives").count()
    }

    /// The process's TCP sockets, listeners aside, whose local port is that of `at`: the connections that a
    /// server holds, whatever their state.
    #[must_use]
    pub fn sockets(self, at: SocketAddr) -> usize {
        let ours: HashSet<String> = self
            .links()
            .into_iter()
            .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let port = format!("{:04X}", at.port());
        let tables = [self.read("net/tcp"), self.read("net/tcp6")];
        let rows = tables.iter().flat_map(|table| table.lines().skip(1));
        // By inode: a table that changes while it is read shows some rows twice.
        let held: HashSet<&str> = rows
            .filter_map(|row| {
                let fields: Vec<&str> = row.split_whitespace().collect();
                let is_listener = fields[3] == "0A";
                let is_held = fields[1].ends_with(&port) && !is_listener && ours.contains(fields[9]);
                is_held.then_some(fields[9])
            })
            .collect();
        held.len()
    }

    /// What its descriptors are, as text: for the message of a test that finds too many.
    #[must_use]
    pub fn links(self) -> Vec<String> {
        let entries = fs::read_dir(self.path("fd")).expect("the process lives");
        // A descriptor may be closed while we look.
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        fs::metadata(self.path("")).is_ok()
    }

    fn status(self, key: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib: u64 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(self.path(file))
            .unwrap_or_else(|error| panic!("process {}: {file}: {error}", self.0))
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0)
    }
}
