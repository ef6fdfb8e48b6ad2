//! What the tests need beside Rust, and how a fresh machine gets it.

use std::path::PathBuf;
use std::process::Command;

use crate::clients;
use crate::python;
use crate::release;
use crate::step::{self, Outcome, succeeds};

/// A program that tests start, how to see that it is there, and the package that has it.
const NEEDED: [(&str, &[&str], &str); 18] = [
    ("chromium", &["--version"], "chromium"),
    ("curl", &["--version"], "curl"),
    ("openssl", &["version"], "openssl"),
    ("ip", &["-V"], "iproute2"),
    ("vmstat", &["--version"], "procps"),
    ("cc", &["--version"], "build-essential"),
    ("man", &["--version"], "man-db"),
    ("zsh", &["--version"], "zsh"),
    ("fish", &["--version"], "fish"),
    ("python3", &["-c", "import venv, ensurepip"], "python3-venv"),
    ("nginx", &["-v"], "nginx"),
    ("caddy", &["version"], "caddy"),
    ("haproxy", &["-v"], "haproxy"),
    ("apache2", &["-v"], "apache2"),
    ("redis-server", &["--version"], "redis-server"),
    ("promtool", &["--version"], "prometheus"),
    ("lintian", &["--version"], "lintian"),
    ("prometheus-node-exporter", &["--version"], "prometheus-node-exporter"),
];

/// Chromium without its windows. Tests do without it where a distribution has no such package, and take longer.
const HEADLESS_SHELL: &str = "chromium-headless-shell";

/// Where it is, if it is there.
pub(crate) fn headless_shell() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(HEADLESS_SHELL)).find(|path| path.exists())
}

fn update() -> Outcome {
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    step::run("update package lists", update)
}

fn install(packages: &[&str]) -> Outcome {
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    step::run(&format!("install {}", packages.join(" ")), install)
}

/// Installs what is missing for the tests, where that can be done; otherwise says what to install.
pub(crate) fn run() -> Outcome {
    programs()?;
    clients::install_all()?;
    clients::install("clients/foreign")?;
    clients::install("xtask/checkers")?;
    python::install()?;
    release::tools::install()
}

fn programs() -> Outcome {
    let is_missing = |(program, arguments, _): &&(&str, &[&str], &str)| !succeeds(program, arguments);
    let mut missing: Vec<&str> = NEEDED.iter().filter(is_missing).map(|(_, _, package)| *package).collect();
    let lacks_shell = || {
        headless_shell().is_none()
            && succeeds("apt-cache", &["show", "--quiet=2", "--no-all-versions", HEADLESS_SHELL])
    };
    if missing.is_empty() && !lacks_shell() {
        return Ok(());
    }
    let can_install = succeeds("apt-get", &["--version"]) && succeeds("sh", &["-c", "test $(id -u) = 0"]);
    if can_install {
        update()?;
        if lacks_shell() {
            // Both, for they are of one version.
            missing.extend(["chromium", HEADLESS_SHELL]);
        }
        return install(&missing);
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("the tests need these packages; please install them: {}", missing.join(" ")))
}
