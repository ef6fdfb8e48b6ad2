//! The files in `deploy/` do what they are for: checked by the programs that read them, where the machine has these.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const UNIT: &str = include_str!("../../../deploy/watertight.service");
const DOCKERFILE: &str = include_str!("../../../deploy/Dockerfile");
const MANIFESTS: &str = include_str!("../../../deploy/kubernetes.yaml");

/// What a program printed, both ways; `None` where the machine does not have it.
fn run(program: &str, arguments: &[&str]) -> Option<(Output, String)> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let text =
                [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            Some((output, text.concat()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("not checked: this machine has no {program}");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn the_unit_is_valid_and_exposes_little() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("watertight.service");
    let installed = "/usr/local/bin/watertight";
    assert_eq!(UNIT.matches(installed).count(), 1);
    // The machine that tests has not installed it.
    fs::write(&file, UNIT.replace(installed, WATERTIGHT)).unwrap();
    let file = file.to_str().unwrap();
    let Some((output, said)) = run("systemd-analyze", &["verify", "--man=no", file]) else { return };
    assert!(output.status.success() && !said.contains("watertight.service:"), "{said}");
    let Some((_, said)) = run("systemd-analyze", &["security", "--offline=true", "--no-pager", file]) else {
        return;
    };
    let score = said.lines().find_map(|line| line.split_once("Overall exposure level")?.1.split_once(": "));
    let score = score.and_then(|(_, score)| score.split_whitespace().next()?.parse::<f64>().ok());
    assert!(score.is_some_and(|score| score < 3.0), "{score:?}: {said}");
}

#[test]
fn the_unit_waits_for_the_network_and_longer_than_the_hub_takes_to_stop() {
    let value = |key: &str| UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    assert_eq!([value("After"), value("Wants")], ["network-online.target"; 2]);
    assert!(value("LoadCredential").starts_with("hub.toml:"));
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() > 10);
}

#[test]
fn the_image_is_built_from_the_lock_file_and_runs_without_root_and_shell() {
    let lines: Vec<&str> = DOCKERFILE.lines().filter(|line| !line.starts_with('#')).collect();
    let stages: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("FROM ")).map(|(at, _)| at).collect();
    let image = &lines[*stages.last().unwrap()..];
    assert_eq!((stages.len(), image[0]), (2, "FROM scratch"));
    assert!(DOCKERFILE.contains("cargo build --release --locked"));
    assert!(!lines.iter().any(|line| line.starts_with("ADD ") || line.contains(":latest")));
    let user = image.iter().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
    assert!(
        ids.len() == 2 && ids.iter().all(|id| *id > 0),
        "a number, which Kubernetes can compare with 0: {user}"
    );
    for exec in ["ENTRYPOINT [\"/usr/local/bin/watertight\"]", "CMD [\"serve\", "] {
        assert!(image.iter().any(|line| line.starts_with(exec)), "{exec}: a shell form needs a shell");
    }
    assert!(!image.iter().any(|line| line.starts_with("RUN ")), "nothing there can run it");
    let check = image.iter().find(|line| line.starts_with("HEALTHCHECK ")).expect("a health check");
    assert!(check.ends_with("CMD [\"/usr/local/bin/watertight\", \"health\"]"), "the hub's own: {check}");
}

/// The very command of the Dockerfile, and then a root directory with nothing else in it.
#[test]
fn the_hub_starts_with_nothing_beside_it_but_what_the_image_holds() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().to_str().unwrap();
    let copy = DOCKERFILE.lines().find_map(|line| line.trim().strip_prefix("&& ldd ")).expect("ldd");
    let script = format!(
        "mkdir -p {image}/usr/local/bin && cp {WATERTIGHT} {image}/usr/local/bin/ && ldd {}",
        copy.replace("target/release/watertight", WATERTIGHT).replace("/image", image)
    );
    let Some((output, said)) = run("bash", &["-ec", &script]) else { return };
    assert!(output.status.success(), "{script}: {said}");
    let enter = ["--map-root-user", "chroot", image, "/usr/local/bin/watertight", "check"];
    let Some((output, said)) = run("unshare", &enter) else { return };
    if said.contains("unshare failed") {
        return eprintln!("not checked: no user namespaces here: {said}");
    }
    assert!(output.status.success() && said.contains("max_queue_size"), "{said}");
}

#[test]
fn the_manifests_have_probes_a_pause_before_the_end_and_limits() {
    // Decoded into the types of the API, so that a misspelt field is lost; no cluster is asked.
    let dir = tempfile::tempdir().unwrap();
    let (deployment, service) = MANIFESTS.split_once("\n---\n").expect("two manifests");
    let decoded = |text: &str, command: &[&str]| {
        let file = dir.path().join("manifest.yaml");
        fs::write(&file, text).unwrap();
        let local = ["--local", "-o", "json", "-f", file.to_str().unwrap()];
        let (output, said) = run("kubectl", &[command, &local[..]].concat())?;
        assert!(output.status.success(), "{said}");
        Some(serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let Some(deployment) = decoded(deployment, &["set", "env", "CHECKED=1"]) else { return };
    let service = decoded(service, &["label", "checked=1"]).expect("kubectl");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container_port(&deployment)["name"]);
    assert_eq!(service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]);
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/health/ready");
    for probe in ["livenessProbe", "startupProbe"] {
        assert_eq!(container[probe]["httpGet"]["path"], "/health/live", "{probe}");
    }
    assert_eq!(container["resources"]["limits"]["memory"], "512Mi");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["enableServiceLinks"], false);
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
    let delay = 5;
    let grace = 8;
    assert!(pause.is_some_and(|pause| pause > 0), "preStop: {container}");
    assert!(pod["terminationGracePeriodSeconds"].as_u64() > pause.map(|pause| pause + delay + grace));
    // The flags are the hub's own.
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(arguments.contains(&format!("--shutdown-delay={delay}s").as_str()), "{arguments:?}");
    let (output, said) = run(WATERTIGHT, &[&arguments[..], &["--shards=0"]].concat()).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("1 problem") && said.contains("--shards"), "nothing else is wrong with it: {said}");
}

fn container_port(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]
}
