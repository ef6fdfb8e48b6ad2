//! The manual pages and the completions, read by the programs that they are for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// What a command printed on standard output and on standard error, which must succeed.
fn run(command: &mut Command) -> (String, String) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask setup`"));
    let [said, errors] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {}: {said}{errors}", output.status);
    (said, errors)
}

fn watertight(arguments: &[&str]) -> String {
    run(Command::new(WATERTIGHT).args(arguments)).0
}

fn completions(shell: &str, file: &Path) {
    fs::write(file, watertight(&["completions", shell])).unwrap();
}

/// The commands that `watertight --help` names.
fn commands() -> Vec<String> {
    let help = watertight(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

/// A page as `man` shows it, and what it has to complain about.
fn shown(page: &Path) -> (String, String) {
    let mut man = Command::new("man");
    man.args(["--warnings", "--encoding=UTF-8", "--local-file"]).arg(page);
    run(man.env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8").env_remove("MANPAGER").env_remove("PAGER"))
}

#[test]
fn each_command_has_a_page_that_man_shows_without_a_warning() {
    let dir = TempDir::new().unwrap();
    watertight(&["man", dir.path().to_str().unwrap()]);
    let commands = commands();
    assert!(commands.contains(&"serve".to_owned()) && commands.len() > 5, "{commands:?}");
    for command in &commands {
        assert!(dir.path().join(format!("watertight-{command}.1")).exists(), "{command}");
    }
    for entry in fs::read_dir(dir.path()).unwrap() {
        let page = entry.unwrap().path();
        let (text, warnings) = shown(&page);
        assert!(warnings.is_empty(), "{}: {warnings}", page.display());
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION"] {
            assert!(text.lines().any(|line| line == heading), "{}: {text}", page.display());
        }
    }
    let broken = dir.path().join("broken.1");
    fs::write(&broken, ".TH broken 1\n.SH NAME\n.unheard of\n").unwrap();
    assert!(!shown(&broken).1.is_empty(), "man would complain");
}

#[test]
fn the_page_of_the_hub_has_all_of_its_settings() {
    let dir = TempDir::new().unwrap();
    watertight(&["man", dir.path().to_str().unwrap()]);
    let (text, _) = shown(&dir.path().join("watertight-serve.1"));
    let report = watertight(&["check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let settings = report["settings"].as_array().unwrap();
    assert!(settings.len() > 50, "{report}");
    for setting in settings {
        let flag = format!("--{}", setting["key"].as_str().unwrap().replace('_', "-"));
        assert!(text.contains(&flag), "{flag}: {text}");
    }
}

#[test]
fn without_a_directory_the_page_is_printed() {
    let page = watertight(&["man"]);
    assert!(page.contains(".TH watertight 1") && page.contains("watertight\\-serve(1)"), "{page}");
    let output = Command::new(WATERTIGHT).args(["man", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere/at/all"));
}

#[test]
fn bash_completes_commands_and_flags() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("watertight");
    completions("bash", &file);
    let complete = |words: &[&str]| {
        let script = r#"source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _watertight watertight "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"; printf '%s\n' "${COMPREPLY[@]}""#;
        run(Command::new("bash").args(["--norc", "-c", script]).arg(&file).args(words)).0
    };
    assert_eq!(complete(&["watertight", "ser"]).trim(), "serve");
    assert_eq!(complete(&["watertight", "tail", "--repl"]).trim(), "--replay");
    for command in commands() {
        assert!(complete(&["watertight", ""]).lines().any(|line| line == command), "{command}");
    }
}

#[test]
fn zsh_loads_the_completions_and_knows_what_they_are_for() {
    let dir = TempDir::new().unwrap();
    completions("zsh", &dir.path().join("_watertight"));
    let script = r#"fpath=("$1" $fpath); autoload -Uz compinit; compinit -u -D; print -r -- "$_comps[watertight]"
        autoload +X _watertight; print -r -- "$functions[_watertight]""#;
    let (said, errors) = run(Command::new("zsh").args(["-fc", script, "zsh"]).arg(dir.path()));
    assert_eq!(errors, "");
    assert!(said.starts_with("_watertight\n") && said.contains("--replay"), "{said}");
}

#[test]
fn fish_completes_commands_and_flags() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("watertight.fish");
    completions("fish", &file);
    let complete = |line: &str| {
        let mut fish = Command::new("fish");
        fish.env("HOME", dir.path()).args([
            "--no-config",
            "-c",
            r#"source "$argv[1]"; complete -C "$argv[2]""#,
        ]);
        run(fish.arg(&file).arg(line)).0
    };
    assert_eq!(complete("watertight ser"), "serve\tRun the hub\n");
    assert!(complete("watertight tail --repl").starts_with("--replay\t"));
}
