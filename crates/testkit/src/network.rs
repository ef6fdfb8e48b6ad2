//! Two hosts whose link can be cut: network namespaces, so that the kernel itself sends nothing where a real
//! network would not.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Set in the process that runs inside a network of its own.
const INSIDE: &str = "WATERTIGHT_TEST_NETWORK";

/// The near host, where the test and its hub run, and the far one. All of it goes with the test's process.
#[derive(Debug)]
pub struct Network {
    /// Keeps the far host's namespace alive.
    far: Child,
}

impl Network {
    /// Address of the near host, as seen from both.
    pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

    /// Runs `scenario` of the test called `test` in a network of its own: the test's binary is started once
    /// more inside, for that one test.
    ///
    /// # Panics
    /// When the scenario does, and where namespaces are not to be had (a container without the right to make
    /// them): a test that cannot run must not pass silently.
    pub fn with(test: &str, scenario: impl FnOnce(&Network)) {
        if std::env::var_os(INSIDE).is_some() {
            return scenario(&Network::build());
        }
        let possible = unshare(["sh", "-c", "ip link add near type veth peer name far"]).output();
        let possible = possible.is_ok_and(|output| output.status.success());
        assert!(possible, "{test} needs `ip` and `unshare --net`: install iproute2 and run it as root");
        let itself = std::env::current_exe().unwrap();
        let mut inside = unshare([itself.as_os_str()]);
        inside.args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
        let output = inside.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "in a network of its own:\n{text}\n{errors}");
        assert!(text.contains("1 passed"), "no test is called {test}:\n{text}");
    }

    fn build() -> Network {
        let far = Command::new("unshare")
            .args(["--net", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .expect("`unshare` (util-linux)");
        let network = Network { far };
        // The far host exists once its process has left our namespace.
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        crate::eventually!(of(&network.pid()).is_some_and(|far| Some(far) != of("self")));
        let pid = network.pid();
        ip(["link", "set", "lo", "up"]);
        ip(["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &pid]);
        ip(["addr", "add", "10.77.0.1/24", "dev", "near"]);
        ip(["link", "set", "near", "up"]);
        network.far_ip(&["addr", "add", "10.77.0.2/24", "dev", "far"]);
        network.plug();
        network
    }

    /// Runs `work` on the far host: the sockets it opens are the far host's for good.
    ///
    /// # Panics
    /// When the work does.
    pub fn far<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                // Only this thread moves.
                let to = std::os::fd::AsFd::as_fd(&namespace);
                move_into_link_name_space(to, Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            there.join().unwrap()
        })
    }

    /// Cuts the link: from now on no packet passes, and neither host is told.
    pub fn pull(&self) {
        self.far_ip(&["link", "set", "far", "down"]);
    }

    /// Restores the link.
    pub fn plug(&self) {
        self.far_ip(&["link", "set", "far", "up"]);
    }

    fn pid(&self) -> String {
        self.far.id().to_string()
    }

    fn far_ip(&self, arguments: &[&str]) {
        let pid = self.pid();
        run("nsenter", [&["--target", &pid, "--net", "ip"], arguments].concat());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // With its last process the far host's namespace ends, and the link with it.
        let _ = self.far.kill();
        let _ = self.far.wait();
    }
}

/// A command that runs in a network namespace of its own and dies with us.
fn unshare(command: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--fork", "--kill-child"]);
    if !geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(command);
    unshare
}

fn ip<const N: usize>(arguments: [&str; N]) {
    run("ip", arguments);
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) {
    let arguments: Vec<&str> = arguments.into_iter().collect();
    let output = Command::new(program).args(&arguments).output().expect("iproute2 and util-linux");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
}
