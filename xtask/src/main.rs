//! `cargo xtask COMMAND`: one command for each thing a contributor does. CI runs the same.

mod book;
mod checklist;
mod clients;
mod dependencies;
mod documents;
mod jobs;
mod plots;
mod python;
mod release;
mod setup;
mod step;
mod tests;
mod tidy;

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use jobs::Job;
use step::{Outcome, cargo, run};

const HELP: &str = "\
cargo xtask COMMAND

  test            everything that must pass: setup, tidy, all tests, the model checker
  test --quick    the tests alone
  clients         the tests of the clients in TypeScript and Python, the dashboard and the applications in examples alone
  setup           install what the tests need (a browser, curl, proxies, clients of others, cargo-deny) if it is missing
  setup --tests   without what `tidy` and `book` are made with
  tidy            formatting, lints, documents and code agree; licences, sources and advisories of dependencies
  tidy --lints    the compiler's part of it alone; `--dependencies`: that part
  book            the documents as a book, in target/book/html, and whether each of its links leads somewhere
  bench [ARGS]    the figures, against the release binary (ARGS go to `watertight bench`; default: all)
  plots           measures many sizes with the release binary, and draws docs/plots/*.svg: ten minutes, alone on the machine
  plots --quick   whether that works: small sizes, the binary of the tests (--built: as it is), into target/plots
  soak [ARGS]     the model checker of the whole hub, five minutes (--seconds N, --rounds N, --steps N, --seed N)
  soak churn      the long form of the churn test: 200,000 connections (ARGS go to `watertight bench churn`)
  fuzz [SECONDS]  each fuzz target for so long (default 60), then requests made at random from docs/openapi.json;
                  installs cargo-fuzz if it is missing
  loom            the model checker of what threads share alone
  dist            the release: archive, package for Debian, Helm chart, list of all that it is made of, checksums;
                  into target/dist (--into FOLDER); --binary FILE takes one that is built, --version another version
  release VERSION looks whether everything is ready for that release, and says what is left to do by hand; changes nothing,
                  except that --yes sets the tag; --files looks at files only
  sbom            the list of all that the binary is made of, for beside a release: target/watertight.cdx.json
";

/// Jobs at once: tests wait more than they compute, and what is compiled meanwhile takes the time that they leave.
const AT_ONCE: usize = 3;

// Jobs that others come after.
const DEPENDENCIES: &str = "dependencies";
const LOOM: &str = "model checker";

/// What is fuzzed: the folder, its dictionary, its targets.
const FUZZED: [(&str, &str, &[&str]); 3] = [
    ("crates/wire/fuzz", "stream.dict", &["parse", "roundtrip"]),
    ("crates/figures/fuzz", "exposition.dict", &["exposition"]),
    ("crates/access/fuzz", "token.dict", &["head", "claims", "grants", "patterns"]),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["test"] => test(false),
        ["test", "--quick"] => test(true),
        ["clients"] => clients(),
        ["setup"] => setup::run().and_then(|()| dependencies::set_up()).and_then(|()| book::set_up()),
        ["setup", "--tests"] => setup::run(),
        ["tidy"] => tidy::run(),
        ["tidy", "--lints"] => tidy::lints(),
        ["tidy", "--dependencies"] => dependencies::check(),
        ["book"] => book::run(),
        ["bench"] => bench(&["all"]),
        ["bench", ref rest @ ..] => bench(rest),
        ["plots"] => plots::run(false),
        ["plots", "--quick"] => plots::run(true),
        ["plots", "--quick", "--built"] => plots::draw(true),
        ["soak", "churn", ref rest @ ..] => bench(&[&["churn", "--cycles", "200000"], rest].concat()),
        ["soak", ref rest @ ..] => soak(rest),
        ["fuzz"] => fuzz("60"),
        ["fuzz", seconds] => fuzz(seconds),
        ["loom"] => jobs::run(vec![loom()], 1),
        ["dist", ref rest @ ..] => release::run(rest),
        ["release", ref rest @ ..] => checklist::run(rest),
        ["sbom"] => dependencies::list(),
        ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            if !words.is_empty() {
                eprintln!("xtask: `{}` is no command\n", words.join(" "));
            }
            eprint!("{HELP}");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is fetched and what is compiled for the tests is made at the same time. Then the tests run, and all that is compiled for
/// other reasons takes the time that they leave.
fn test(quick: bool) -> Outcome {
    if !quick {
        tidy::quick()?;
    }
    let needs = Job::of_ours("what the tests need", &["setup", "--tests"])?;
    let rust = jobs::beside(vec![needs], tests::jobs)?;
    python::develop()?;
    let mut jobs = if quick { Vec::new() } else { compiled_apart()? };
    jobs.extend(clients::jobs());
    if !quick {
        jobs.push(Job::of_ours("plots", &["plots", "--quick", "--built"])?);
    }
    jobs.extend(rust);
    jobs::run(jobs, AT_ONCE)?;
    println!("xtask: everything passes");
    Ok(())
}

/// What is compiled for other reasons than tests, one after the other; with the lowest priority, if nobody waits for it.
fn compiled_apart() -> Result<Vec<Job>, String> {
    let lints = Job::of_ours(tests::LINTS, &["tidy", "--lints"])?;
    // It has one thread: at the end, alone, it would leave a core idle.
    let loom = loom().after(tests::LINTS);
    let dependencies = Job::of_ours(DEPENDENCIES, &["tidy", "--dependencies"])?.after(LOOM);
    let book = Job::of_ours("book", &["book"])?.after(DEPENDENCIES);
    Ok(vec![lints, loom, dependencies.nicely(), book.nicely()])
}

/// They start the hub, and the Rust client's contract-test service.
fn clients() -> Outcome {
    setup::run()?;
    let contract = ["build", "--package", "watertight-client", "--example", "contract_service"];
    run("hub", cargo(&["build", "--package", "watertight-cli"]))?;
    run("service of the Rust client", cargo(&contract))?;
    python::develop()?;
    jobs::run(clients::jobs(), AT_ONCE)
}

/// The model checker is compiled apart: under its cfg, locks and atomics are its own. Models run one after the other: each run
/// of one maps stacks, and two at once wait for each other more than they compute.
fn loom() -> Job {
    let mut command = cargo(&[
        "test",
        "--package",
        "watertight-core",
        "--test",
        "loom",
        "--release",
        "--target-dir",
        "target/loom",
        "--",
        "--test-threads=1",
    ]);
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_PROFILE_RELEASE_LTO", "off");
    Job::one(LOOM, command)
}

fn bench(arguments: &[&str]) -> Outcome {
    let build = ["build", "--release", "--package", "watertight-cli"];
    run("release build", cargo(&build))?;
    let mut command = std::process::Command::new("target/release/watertight");
    command.arg("bench").args(arguments);
    run("bench", command)
}

/// The checker takes our place, so that an interrupt reaches it, and it can settle its round.
fn soak(arguments: &[&str]) -> Outcome {
    for (package, name) in [("watertight-cli", "watertight"), ("watertight-testkit", "soak")] {
        let build = cargo(&["build", "--release", "--package", package, "--bin", name]);
        run(&format!("release build of {name}"), build)?;
    }
    let mut command = std::process::Command::new("target/release/soak");
    command.arg("target/release/watertight").args(arguments).current_dir(step::root());
    Err(format!("soak: {}", command.exec()))
}

fn fuzz(seconds: &str) -> Outcome {
    let seconds: u32 = seconds.parse().map_err(|_| format!("{seconds:?} is no number of seconds"))?;
    if !step::succeeds("cargo", &["fuzz", "--version"]) {
        run("install cargo-fuzz", cargo(&["install", "cargo-fuzz", "--locked"]))?;
    }
    for (folder, words, targets) in FUZZED {
        for target in targets {
            let limit = format!("-max_total_time={seconds}");
            let dictionary = format!("-dict={folder}/{words}");
            let mut command = cargo(&["fuzz", "run", "--fuzz-dir", folder, "--target-dir", "target/fuzz"]);
            // The sanitizer flags are unstable; the code under test is not.
            command.args([*target, "--", &limit, &dictionary]).env("RUSTC_BOOTSTRAP", "1");
            run(&format!("fuzz {target}"), command)?;
        }
    }
    // The hub as a whole, by requests made from its description: others than `cargo xtask test` makes, each time.
    let seed = std::process::id();
    let mut command = cargo(&["test", "-p", "watertight-cli", "--test", "document"]);
    command.env("WATERTIGHT_TEST_SEED", seed.to_string());
    command.env("WATERTIGHT_TEST_EXAMPLES", "100");
    run(&format!("fuzz the HTTP interface, seed {seed}"), command)
}
