//! A hub that listens at a Unix socket and nowhere else is published to, read, watched and examined by the hub's own program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doctor_run;

use std::os::unix::net::UnixListener;
use std::process::Command;

use doctor_run::{WATERTIGHT, doctor};
use tempfile::TempDir;
use watertight_testkit::{HubProcess, PATIENCE, Program, eventually};

/// A hub whose ledger is looked at over TCP; everything else goes over its Unix socket.
struct OverUnix {
    hub: HubProcess,
    url: String,
    dir: TempDir,
}

impl OverUnix {
    fn start() -> OverUnix {
        let dir = TempDir::new().unwrap();
        let url = format!("unix:{}", dir.path().join("hub.sock").display());
        let hub = HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "1s");
        let hub = hub.flag("--listen", "127.0.0.1:0").flag("--listen", &url).start();
        OverUnix { hub, url, dir }
    }

    /// `watertight` with these arguments; whatever proxy the environment names, nobody is there.
    fn program(&self, arguments: &[&str]) -> Program {
        let mut command = Command::new(WATERTIGHT);
        command.args(arguments).env("WATERTIGHT_URL", &self.url);
        command.env("http_proxy", "http://127.0.0.1:1").env_remove("no_proxy");
        Program::spawn(command)
    }

    /// Its exit code, and what it said.
    fn ends(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut program = self.program(arguments);
        let code = program.wait(PATIENCE).code();
        (code, format!("{}{}", program.text(), program.errors()))
    }
}

#[test]
fn what_is_published_over_a_unix_socket_is_read_over_it_and_no_proxy_is_asked() {
    let over = OverUnix::start();
    let mut tail = over.program(&["tail", "demo", "--count", "2", "--quiet"]);
    eventually!(over.hub.stats().live("subscription") == 1);
    let mut publish = over.program(&["publish", "demo", "--quiet"]);
    publish.input("one\ntwo\n");
    publish.close_input();
    assert!(publish.wait(PATIENCE).success(), "{}", publish.errors());
    assert!(tail.wait(PATIENCE).success(), "{}", tail.errors());
    assert_eq!(tail.text(), "one\ntwo\n");
    let (code, said) = over.ends(&["run", "--deployment", "42", "--hub", &over.url, "--", "echo", "built"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(over.hub.get("/deployments/42/logs/stream").status, 200);
}

#[test]
fn a_reader_over_a_unix_socket_comes_back_where_it_was_when_the_hub_does() {
    let over = OverUnix::start();
    let mut tail = over.program(&["tail", "demo", "--count", "2", "--quiet"]);
    eventually!(over.hub.stats().live("subscription") == 1);
    over.hub.publish_text("demo", "before");
    eventually!(tail.text() == "before\n");
    let id = over.hub.get("/connections").json()["connections"][0]["id"].as_str().unwrap().to_owned();
    let _ = over.hub.client().delete(format!("/connections/{id}")).expect(204);
    over.hub.publish_text("demo", "meanwhile");
    assert!(tail.wait(PATIENCE).success(), "{}", tail.errors());
    assert_eq!(tail.text(), "before\nmeanwhile\n");
}

#[test]
fn health_and_top_are_asked_over_a_unix_socket() {
    let over = OverUnix::start();
    assert_eq!(over.ends(&["health"]), (Some(0), String::new()));
    let (code, page) = over.ends(&["top", "--once", "--interval", "0.1"]);
    assert_eq!(code, Some(0), "{page}");
    assert!(page.contains(&over.url) && page.contains("connections"), "{page}");
}

#[test]
fn a_hub_is_examined_over_its_unix_socket() {
    let over = OverUnix::start();
    let diagnosis = doctor(&over.url, &["--patience", "4"]);
    diagnosis.is("six-connections", "good", "no browser comes over a Unix socket");
    diagnosis.is("certificate", "not tested", "nothing leaves this machine");
    diagnosis.is_good_but_for(&["certificate", "cors"]);
    diagnosis.left_nothing(&over.hub);
}

#[test]
fn a_socket_at_which_nobody_listens_is_named_and_one_that_can_be_none_is_refused() {
    let over = OverUnix::start();
    let gone = over.dir.path().join("gone.sock");
    drop(UnixListener::bind(&gone).unwrap());
    let url = format!("unix:{}", gone.display());
    let (code, said) = over.ends(&["health", "--url", &url]);
    assert!(code == Some(1) && said.contains(&url), "{said}");
    let (code, said) = over.ends(&["top", "--once", &url]);
    assert!(code == Some(1) && said.contains(&format!("cannot connect to {url}")), "{said}");
    doctor(&url, &[]).is("connection", "wrong", "refused");
    for arguments in [
        &["health", "--url", "unix:hub.sock"][..],
        &["tail", "demo", "--url", "unix:hub.sock"],
        &["publish", "demo", "--url", "unix:"],
        &["top", "unix:/run/"],
        &["doctor", "unix:hub.sock"],
    ] {
        let (code, said) = over.ends(arguments);
        assert!(code == Some(64) && said.contains("unix:/run/watertight/hub.sock"), "{arguments:?}: {said}");
    }
}

/// One that accepts no more must not be waited for for ever.
#[test]
fn a_hub_whose_queue_is_full_is_no_health() {
    let over = OverUnix::start();
    let path = over.dir.path().join("full.sock");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let (code, said) = over.ends(&["health", "--url", &format!("unix:{}", path.display())]);
    assert_eq!(code, Some(1), "{said}");
}
