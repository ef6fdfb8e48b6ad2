//! The Helm chart, rendered by Helm: what comes out is what the Kubernetes API takes, and what starts the hub.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use watertight_testkit::Program;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const MANIFESTS: &str = include_str!("../../../deploy/kubernetes.yaml");

const AMPLE: Duration = Duration::from_secs(120);

/// The oldest Kubernetes that the chart is for, and the newest that there are schemas of.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

fn tool(name: &str) -> PathBuf {
    let tool = Path::new(WATERTIGHT).ancestors().nth(2).unwrap().join("tools").join(name);
    assert!(tool.exists(), "{} is not there: run `cargo xtask setup`", tool.display());
    tool
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn everything() -> String {
    deploy().join("chart/ci/all-values.yaml").to_str().unwrap().to_owned()
}

/// `helm COMMAND [events] CHART ARGUMENTS`, with no file of this machine's user.
fn helm(command: &[&str], arguments: &[&str]) -> (Output, String) {
    let home = TempDir::new().unwrap();
    let mut helm = Command::new(tool("helm/helm"));
    helm.env("HOME", home.path()).args(command).arg(deploy().join("chart")).args(arguments);
    let output = helm.output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output, said.concat())
}

fn rendered(arguments: &[&str]) -> String {
    let (output, said) = helm(&["template", "events"], arguments);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The documents of a YAML file.
fn documents(yaml: &str) -> Vec<Value> {
    let script =
        "import json, sys, yaml; print(json.dumps([it for it in yaml.safe_load_all(sys.stdin) if it]))";
    let mut python = Program::start(tool("python/bin/python"), ["-c", script]);
    python.input(yaml);
    python.close_input();
    serde_json::from_slice(&python.finish(AMPLE)).unwrap()
}

fn only<'a>(kind: &str, documents: &'a [Value]) -> &'a Value {
    let mut found = documents.iter().filter(|it| it["kind"] == kind);
    let document = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "two of {kind}");
    document
}

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

fn arguments(deployment: &Value) -> Vec<&str> {
    container(deployment)["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}

/// What the API's schemas say to it, strictly: a field that they do not know is wrong.
fn validate(yaml: &str, version: &str) -> (Output, String) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("manifest.yaml");
    fs::write(&file, yaml).unwrap();
    let mut command = Command::new(tool("python/bin/kubernetes-validate"));
    let output = command.args(["--strict", "-k", version]).arg(&file).output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output, said.concat())
}

fn is_service_monitor(document: &Value) -> bool {
    let mut node = Program::start("node", [deploy().join("checks/service_monitor.mjs")]);
    node.input(document.to_string());
    node.close_input();
    node.wait(AMPLE).success()
}

#[test]
fn what_the_chart_renders_is_what_the_api_takes() {
    let (output, said) = helm(&["lint", "--strict"], &[]);
    assert!(output.status.success(), "{said}");
    let all = everything();
    let cases: [(&[&str], usize); 3] =
        [(&[], 3), (&["--set", "tokens.insecureOpen=true"], 3), (&["-f", &all], 6)];
    for (values, kinds) in cases {
        let yaml = rendered(values);
        assert_eq!(documents(&yaml).len(), kinds, "{yaml}");
        for version in VERSIONS {
            let (output, said) = validate(&yaml, version);
            assert!(output.status.success() && !said.contains("ERROR"), "{values:?}: {said}");
            let unknown = said.lines().filter(|line| line.contains("Couldn't find schema"));
            assert!(unknown.clone().all(|line| line.contains("ServiceMonitor")), "{said}");
            assert_eq!(said.matches(" passed ").count() + unknown.count(), kinds, "{said}");
        }
    }
    let (output, said) = validate(&rendered(&[]).replace("preStop:", "preStopp:"), VERSIONS[0]);
    assert!(!output.status.success(), "a misspelt field is seen: {said}");
}

#[test]
fn the_service_monitor_is_one_and_selects_the_service() {
    let documents = documents(&rendered(&["-f", &everything()]));
    let monitor = only("ServiceMonitor", &documents);
    assert!(is_service_monitor(monitor), "{monitor}");
    let mut wrong = monitor.clone();
    wrong["spec"]["endpoints"][0]["interval"] = json!("15 parsecs");
    assert!(!is_service_monitor(&wrong), "another would be seen");
    let labels = only("Service", &documents)["metadata"]["labels"].as_object().unwrap();
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(selected.len() == 2 && selected.iter().all(|(key, value)| labels[key] == *value), "{labels:?}");
    let port = &monitor["spec"]["endpoints"][0]["port"];
    assert_eq!(*port, only("Service", &documents)["spec"]["ports"][0]["name"]);
}

#[test]
fn by_default_the_chart_runs_the_hub_as_the_manifests_do() {
    let (chart, manifests) = (documents(&rendered(&[])), documents(MANIFESTS));
    let [ours, theirs] = [&chart, &manifests].map(|documents| only("Deployment", documents));
    for key in [
        "ports",
        "volumeMounts",
        "lifecycle",
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
        "resources",
        "securityContext",
    ] {
        assert!(!container(ours)[key].is_null(), "{key}");
        assert_eq!(container(ours)[key], container(theirs)[key], "{key}");
    }
    let pod = |deployment: &Value| deployment["spec"]["template"]["spec"].clone();
    for key in ["automountServiceAccountToken", "enableServiceLinks", "securityContext"] {
        assert_eq!(pod(ours)[key], pod(theirs)[key], "{key}");
    }
    assert_eq!(ours["spec"]["strategy"], theirs["spec"]["strategy"]);
    let given = arguments(ours);
    assert!(arguments(theirs).iter().all(|argument| given.contains(argument)), "{given:?}");
    assert_eq!(container(ours)["image"], "watertight:0.1.0");
    for selected in ["Service", "PodDisruptionBudget"] {
        let selector = only(selected, &chart)["spec"]["selector"].clone();
        let labels = selector.get("matchLabels").unwrap_or(&selector);
        assert_eq!(*labels, ours["spec"]["selector"]["matchLabels"], "{selected}");
    }
}

#[test]
fn every_setting_reaches_the_hub_and_is_one_of_its_own() {
    let documents = documents(&rendered(&["-f", &everything()]));
    let given = arguments(only("Deployment", &documents));
    for wanted in [
        "--max-sessions=1000000",
        "--max-age-jitter=0.1",
        "--event-ttl=10m",
        "--cors-origins=https://a.example.com,https://b.example.com",
        "--cors-credentials=true",
    ] {
        assert!(given.contains(&wanted), "{wanted}: {given:?}");
    }
    let output = Command::new(WATERTIGHT).args(given).arg("--shards=0").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("1 problem") && said.contains("--shards"), "nothing else is wrong with it: {said}");
}

#[test]
fn the_pod_is_given_longer_than_the_hub_takes_to_stop() {
    let values = "shutdown.preStopSeconds=20,shutdown.delaySeconds=30,shutdown.graceSeconds=40";
    let documents = documents(&rendered(&["--set", values]));
    let deployment = only("Deployment", &documents);
    assert_eq!(container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"], 20);
    let given = arguments(deployment);
    assert!(given.contains(&"--shutdown-delay=30s") && given.contains(&"--shutdown-grace=40s"), "{given:?}");
    assert!(deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap() > 90);
}

#[test]
fn a_hub_that_is_scaled_counts_connections_and_leaves_the_number_to_the_scaler() {
    let documents = documents(&rendered(&["-f", &everything()]));
    assert!(only("Deployment", &documents)["spec"].get("replicas").is_none());
    let scaler = &only("HorizontalPodAutoscaler", &documents)["spec"];
    assert_eq!(scaler["scaleTargetRef"]["name"], only("Deployment", &documents)["metadata"]["name"]);
    let pods = &scaler["metrics"][0]["pods"];
    assert_eq!(pods["target"]["averageValue"], "1000000");
    let metric = format!(
        "{}{{kind=\"{}\"}}",
        pods["metric"]["name"].as_str().unwrap(),
        pods["metric"]["selector"]["matchLabels"]["kind"].as_str().unwrap()
    );
    let hub = watertight_testkit::HubProcess::start(WATERTIGHT);
    let figures = hub.get("/metrics").text();
    assert!(figures.lines().any(|line| line.starts_with(&metric)), "{metric}: {figures}");
}

#[test]
fn a_value_that_is_misspelt_or_out_of_bounds_is_refused() {
    for (values, named) in [
        ("replica=2", "replica"),
        ("replicas=two", "replicas"),
        ("tokens.insecureOpen=maybe", "insecureOpen"),
        ("tokens.secretName=", "secretName"),
        ("shutdown.graceSeconds=0", "graceSeconds"),
        ("probes.liveness.path=/health", "liveness"),
        ("logFormat=xml", "logFormat"),
        ("settings.max-sessions=1", "max-sessions"),
        ("service.port=70000", "port"),
        ("autoscaling.connectionsPerHub=0", "connectionsPerHub"),
    ] {
        let (output, said) = helm(&["template", "events"], &["--set", values]);
        assert!(!output.status.success() && said.contains(named), "{values}: {said}");
    }
}
