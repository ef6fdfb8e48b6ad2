//! The rules for Prometheus and the dashboard for Grafana, by the checkers of their makers, and against what the real hub
//! exports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use watertight_testkit::{HubProcess, Program};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const RULES: &str = include_str!("../../../docs/prometheus/watertight.rules.yaml");
const RULE_TESTS: &str = include_str!("../../../docs/prometheus/watertight.tests.yaml");
const DASHBOARD: &str = include_str!("../../../docs/grafana.json");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// A checker takes a few seconds; a machine that does much else takes longer.
const AMPLE: Duration = Duration::from_secs(180);

/// What the dashboard asks its user for, filled in.
const VARIABLES: [(&str, &str); 1] = [("$job", "watertight")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a checker; its complaint is the failure.
fn check(command: Command) -> String {
    let shown = format!("{command:?}");
    let mut run = Program::spawn(command);
    let status = run.wait(AMPLE);
    assert!(status.success(), "{shown}:\n{}{}", run.text(), run.errors());
    run.text()
}

/// Prometheus' own checker.
fn promtool(arguments: &[&str]) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(root().join("docs/prometheus"));
    check(command)
}

/// What stands behind `key: ` in the lines of a document.
fn values<'a>(document: &'a str, key: &str) -> BTreeSet<&'a str> {
    let lines = document.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

/// Each query of the dashboard, with the title of its panel.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            let mut query = target["expr"].as_str().unwrap().to_owned();
            for (variable, value) in VARIABLES {
                query = query.replace(variable, value);
            }
            assert!(!query.contains('$'), "{title}: a variable that the dashboard does not ask for: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    queries
}

/// The queries that a document shows.
fn shown(document: &str) -> Vec<String> {
    let blocks = document.split("```promql\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_rules_are_valid_and_do_what_their_tests_say() {
    let said = promtool(&["check", "rules", "watertight.rules.yaml"]);
    let rules = values(RULES, "alert").len() + values(RULES, "record").len();
    assert!(said.contains(&format!("{rules} rules found")), "{said}");
    promtool(&["test", "rules", "watertight.tests.yaml"]);
}

#[test]
fn no_rule_is_without_a_test_and_none_without_its_line_in_the_document() {
    let untested_alerts: Vec<_> =
        values(RULES, "alert").difference(&values(RULE_TESTS, "alertname")).copied().collect();
    assert_eq!(untested_alerts, Vec::<&str>::new());
    for alert in values(RULES, "alert") {
        let cases: Vec<&str> = RULE_TESTS.split(&format!("alertname: {alert}\n")).skip(1).collect();
        let fires = |case: &&&str| case.trim_start().starts_with("exp_alerts:\n");
        let fired = cases.iter().filter(fires).count();
        assert!(fired > 0 && fired < cases.len(), "{alert}: {fired} of {}", cases.len());
        assert!(OPERATIONS.contains(&format!("\n| `{alert}` | ")), "{alert} is not in operations.md");
    }
    for record in values(RULES, "record") {
        assert!(RULE_TESTS.contains(record), "{record} is not tested");
    }
    let rows = OPERATIONS.lines().filter(|line| line.starts_with("| `Watertight"));
    assert_eq!(rows.count(), values(RULES, "alert").len(), "operations.md has an alert that is not there");
    let listed = OPERATIONS.split('`').filter(|word| word.starts_with("watertight:"));
    let unknown: Vec<_> = listed.filter(|word| !values(RULES, "record").contains(word)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn every_query_of_the_dashboard_and_of_the_document_can_be_parsed() {
    let dir = TempDir::new().unwrap();
    let documented = shown(OPERATIONS).into_iter().map(|query| ("operations.md".to_owned(), query));
    let all: Vec<_> = queries().into_iter().chain(documented).collect();
    assert!(all.len() > 25, "{}", all.len());
    // The checker takes rules only; a query that can be recorded can be asked.
    let rules: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(n, (_, query))| serde_json::json!({ "record": format!("query_{n}"), "expr": query }))
        .collect();
    let file = dir.path().join("queries.yaml");
    let groups = serde_json::json!({ "groups": [{ "name": "queries", "rules": rules }] });
    fs::write(&file, groups.to_string()).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()]);
}

#[test]
fn the_configurations_for_prometheus_in_the_document_are_valid() {
    let blocks = OPERATIONS.split("\n```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let configurations: Vec<&str> = blocks.filter(|block| block.contains("scrape_configs:")).collect();
    assert_eq!(configurations.len(), 2);
    let rules = root().join("docs/prometheus/watertight.rules.yaml").canonicalize().unwrap();
    for configuration in configurations {
        let dir = TempDir::new().unwrap();
        // What they name lies below /etc there.
        fs::write(dir.path().join("watertight-token"), "a token").unwrap();
        let text = configuration
            .replace("/etc/prometheus/watertight.rules.yaml", rules.to_str().unwrap())
            .replace("/etc/prometheus", dir.path().to_str().unwrap());
        let file = dir.path().join("prometheus.yaml");
        fs::write(&file, text).unwrap();
        promtool(&["check", "config", file.to_str().unwrap()]);
    }
}

#[test]
fn the_dashboard_has_the_form_that_grafana_publishes() {
    let modules = root().join("xtask/checkers/node_modules").canonicalize().expect("run `cargo xtask setup`");
    let dir = TempDir::new().unwrap();
    // Its types are the schema: a field that is missing, unknown or of another type is an error of the compiler.
    let module = format!(
        "import type {{ Dashboard }} from \"@grafana/schema\";\nexport const dashboard: Dashboard = {DASHBOARD};\n"
    );
    fs::write(dir.path().join("dashboard.ts"), module).unwrap();
    let options = serde_json::json!({
        "noEmit": true, "strict": true, "skipLibCheck": true, "types": [], "target": "es2022",
        "module": "preserve", "moduleResolution": "bundler",
        "paths": { "@grafana/schema": [modules.join("@grafana/schema/dist/types/index.d.ts")] },
    });
    let config = serde_json::json!({ "compilerOptions": options, "files": ["dashboard.ts"] });
    fs::write(dir.path().join("tsconfig.json"), config.to_string()).unwrap();
    let mut command = Command::new(modules.join(".bin/tsc"));
    command.arg("--project").arg(dir.path());
    check(command);
    // And what types cannot say: panels are told apart, and lie beside each other.
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    let mut cells = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel} is wider than the page");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{panel} lies over another");
        }
    }
}

/// The series of `/metrics`: a name, and the values of each of its labels.
fn exported() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    // With TLS and with tokens, each of which has figures of its own.
    let dir = TempDir::new().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "a secret of more than thirty-two bytes\n").unwrap();
    let hub = HubProcess::builder(WATERTIGHT)
        .tls()
        .flag("--token-secret-file", secret.display())
        .arg("--metrics-public")
        .arg("--stats-public")
        .start();
    let text = hub.get("/metrics").expect(200).text();
    let mut series: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let of_name = series.entry(name.to_owned()).or_default();
        for (label, _, value) in matchers(labels) {
            of_name.entry(label.to_owned()).or_default().insert(value.to_owned());
        }
    }
    series
}

/// A label, an operator, a value.
type Matcher<'a> = (&'a str, &'a str, &'a str);

/// The matchers of a selector, from behind its `{`. Values of ours have no quotes in them.
fn matchers(selector: &str) -> Vec<Matcher<'_>> {
    let inside = selector.split('}').next().unwrap();
    let mut parts = inside.split('"');
    let mut found = Vec::new();
    while let (Some(head), Some(value)) = (parts.next(), parts.next()) {
        let head = head.trim_start_matches([',', ' ']);
        let at = head.find(['=', '!']).unwrap();
        found.push((&head[..at], &head[at..], value));
    }
    found
}

/// The selectors of a query: a name of ours, and its matchers.
fn selectors(query: &str) -> Vec<(&str, Vec<Matcher<'_>>)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find("watertight_").into_iter().chain(rest.find("process_")).min() {
        let (word, after) =
            rest[at..].split_at(rest[at..].find(|c| !is_of_name(c)).unwrap_or(rest.len() - at));
        found.push((word, after.strip_prefix('{').map(matchers).unwrap_or_default()));
        rest = after;
    }
    found
}

#[test]
fn every_figure_and_every_label_that_rules_and_queries_look_for_is_exported() {
    let exported = exported();
    // What Prometheus adds by itself.
    let added = ["job", "instance"];
    let rules =
        RULES.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let tests = values(RULE_TESTS, "series").into_iter().filter(|series| !series.contains("'up{"));
    let all: Vec<String> = queries()
        .into_iter()
        .map(|(_, query)| query)
        .chain(shown(OPERATIONS))
        .chain([rules])
        .chain(tests.map(str::to_owned))
        .collect();
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for (name, matchers) in all.iter().flat_map(|query| selectors(query)) {
        let Some(labels) = exported.get(name) else {
            wrong.push(name.to_owned());
            continue;
        };
        for (label, operator, value) in matchers.into_iter().filter(|(label, ..)| !added.contains(label)) {
            looked_at += 1;
            let there = labels.get(label).cloned().unwrap_or_default();
            // `5..` is the only pattern in them that is more than words.
            let is_there = |word: &str| there.contains(word) || word == "5.." && there.contains("503");
            let fits = match operator {
                "=~" => value.split('|').all(is_there),
                _ => is_there(value),
            };
            if !fits {
                wrong.push(format!("{name}{{{label}{operator}{value:?}}}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "named, and not exported");
    assert!(looked_at > 25, "{looked_at}");
}
