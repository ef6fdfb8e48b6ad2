//! nginx, Caddy, HAProxy and Apache as their packages install them, started in front of a hub of a test.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

pub(crate) use watertight_testkit::free_address;
use watertight_testkit::{Program, eventually};

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    _program: Program,
    _dir: tempfile::TempDir,
}

/// Replaces what must be there.
pub(crate) fn replace(text: &str, from: &str, to: impl std::fmt::Display) -> String {
    assert!(text.contains(from), "no {from:?} in\n{text}");
    text.replace(from, &to.to_string())
}

/// Starts `program` with a file that holds `config`; `arguments` make its arguments of that file and a directory.
fn start(
    program: &str,
    package: &str,
    address: SocketAddr,
    config: impl FnOnce(&Path) -> String,
    arguments: impl FnOnce(&str, &str) -> Vec<String>,
) -> Proxy {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&paths).collect();
    places.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let path = places.iter().map(|place| place.join(program)).find(|path| path.exists());
    let path = path.unwrap_or_else(|| {
        panic!("this test needs {program}: install the package `{package}`, or run `cargo xtask setup`")
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, config(dir.path())).unwrap();
    let mut command = Command::new(path);
    command
        .args(arguments(file.to_str().unwrap(), dir.path().to_str().unwrap()))
        .env("HOME", dir.path())
        .env("XDG_DATA_HOME", dir.path())
        .env("XDG_CONFIG_HOME", dir.path());
    let mut program = Program::spawn(command);
    eventually!({
        assert!(program.ended().is_none(), "it ends at once: {}{}", program.text(), program.errors());
        TcpStream::connect(address).is_ok()
    });
    Proxy { address, _program: program, _dir: dir }
}

/// nginx with this text in its `http`.
pub(crate) fn start_nginx(address: SocketAddr, http: &str) -> Proxy {
    let config = |dir: &Path| {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", dir.display()))
            .concat();
        format!(
            "pid {}/pid;\nerror_log stderr;\ndaemon off;\nmaster_process off;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{http}}}\n",
            dir.display()
        )
    };
    let arguments =
        |file: &str, dir: &str| ["-c", file, "-p", dir, "-e", "stderr"].map(str::to_owned).to_vec();
    start("nginx", "nginx", address, config, arguments)
}

/// Caddy with these sites.
pub(crate) fn start_caddy(address: SocketAddr, sites: &str) -> Proxy {
    let config = |_: &Path| format!("{{\n    admin off\n    auto_https off\n}}\n{sites}");
    let arguments =
        |file: &str, _: &str| ["run", "--config", file, "--adapter", "caddyfile"].map(str::to_owned).to_vec();
    start("caddy", "caddy", address, config, arguments)
}

/// HAProxy with these sections.
pub(crate) fn start_haproxy(address: SocketAddr, sections: &str) -> Proxy {
    let config = |_: &Path| format!("global\n    tune.idle-pool.shared on\n{sections}");
    let arguments = |file: &str, _: &str| ["-db", "-f", file].map(str::to_owned).to_vec();
    start("haproxy", "haproxy", address, config, arguments)
}

/// Apache with this text, and these modules beside those that a proxy needs.
pub(crate) fn start_apache(address: SocketAddr, modules: &[&str], text: &str) -> Proxy {
    let config = |dir: &Path| {
        let dir = dir.display();
        let modules: String = ["mpm_event", "authz_core", "authz_host", "proxy", "proxy_http"]
            .iter()
            .chain(modules)
            .map(|module| format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"))
            .collect();
        format!(
            "ServerRoot {dir}\nServerName localhost\nPidFile {dir}/pid\nErrorLog /dev/stderr\nMutex pthread default\n\
             User www-data\nGroup www-data\nListen {address}\n{modules}{text}"
        )
    };
    let arguments = |file: &str, _: &str| ["-X", "-f", file].map(str::to_owned).to_vec();
    start("apache2", "apache2", address, config, arguments)
}
