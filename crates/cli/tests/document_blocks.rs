//! Every block of code in every document: what runs, compiles or checks it, in one table. A block that is not in the table
//! fails, and so does a line of the table whose block or whose test is not there.
//!
//! Long because it is one table of all blocks of all documents.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use documents::Reader;
use tempfile::TempDir;

/// What is done with a block.
#[derive(Clone, Copy, Debug)]
enum How {
    /// A test in this file, with this name, runs, compiles or checks it.
    By(&'static str, &'static str),
    /// It is typed here, at a hub of its document.
    Typed,
    /// It is a file of settings: `watertight check` takes it.
    Settings,
    /// Its form is all that is looked at, for this reason.
    FormOnly(&'static str),
}
use How::{By, FormOnly, Settings, Typed};

const ACCESS_COMMANDS: How =
    By("crates/cli/tests/access_document.rs", "every_command_does_what_the_document_says");
const ACCESS_HUBS: How = By(
    "crates/cli/tests/access_many_hubs.rs",
    "hubs_tell_each_other_over_tls_with_a_user_who_has_the_documented_rights",
);
const APP: How = By(
    "examples/axum-app/tests/app.rs",
    "a_reader_that_comes_back_misses_nothing_with_watertights_accept_loop",
);
const BUILD_LOG: How = By(
    "crates/cli/tests/documents_sources.rs",
    "from_nothing_to_a_live_build_log_and_its_end_for_those_who_come_late",
);
const CORS: How =
    By("crates/cli/tests/cors.rs", "who_is_on_the_list_is_allowed_and_who_looks_like_it_is_not");
const DOCTEST: How = By("examples/axum-app/src/lib.rs", "documents");
const FIGURES: How =
    By("crates/cli/tests/prometheus.rs", "every_query_of_the_dashboard_and_of_the_document_can_be_parsed");
const KEYS_AGAIN: How =
    By("crates/cli/tests/documents_access.rs", "a_key_pair_is_replaced_without_refusing_anybody");
const LOG_LINE: How =
    By("crates/cli/tests/documents_access.rs", "the_log_line_has_the_fields_that_the_document_shows");
const LOG_QUESTIONS: How = By(
    "crates/cli/tests/documents_access.rs",
    "the_questions_to_the_log_have_the_answers_that_its_lines_give",
);
const MACHINE: How = By("crates/cli/tests/documents_sources.rs", "a_fresh_hub_streams_the_machines_metrics");
const NGINX: How = By("crates/cli/tests/proxies.rs", "nginx_does_what_the_document_says");
const NGINX_BELOW: How =
    By("crates/cli/tests/proxies.rs", "nginx_below_a_path_lets_in_whom_the_other_service_lets_in");
const OPEN_TO_PROTECTED: How =
    By("crates/cli/tests/documents_access.rs", "the_guide_leads_from_open_to_protected");
const PIPES: How = By(
    "crates/cli/tests/pipe.rs",
    "a_real_programs_output_reaches_two_tails_and_a_curl_byte_for_byte_although_one_is_cut_off",
);
const PROTECT: How =
    By("crates/cli/tests/documents_access.rs", "the_commands_of_the_readme_show_a_protected_stream");
const REDIS_LOGS: How = By(
    "crates/cli/tests/documents_sources.rs",
    "logs_come_from_redis_and_the_user_needs_just_the_rights_that_are_written",
);
const SNIPPETS: How = By(
    "clients/typescript/test/unit/documents.test.ts",
    "every snippet of TypeScript in the documents compiles",
);
const TWO_COMMANDS: How =
    By("crates/cli/tests/documents_access.rs", "two_commands_protect_a_hub_and_a_token_opens_it");

const AGENTS: How =
    By("examples/agents/test/document.test.ts", "the code in the document is the code of this application");
const PYTHON_README: How = By(
    "clients/python/tests/subscriber/test_readme.py",
    "test_what_the_readme_publishes_its_subscribers_receive",
);
const PYTHON_POST: How = By(
    "clients/python/tests/subscriber/test_readme.py",
    "test_an_answer_to_a_post_is_read_as_the_readme_has_it",
);
const PYTHON_TOKEN: How =
    By("clients/python/tests/subscriber/test_readme.py", "test_the_token_of_the_readme_is_one");
const PYTHON_IN_60_SECONDS: How = By(
    "clients/python/tests/subscriber/test_readme.py",
    "test_what_the_projects_readme_publishes_it_watches",
);
const PYTHON_HUB: How =
    By("clients/python/tests/hub/test_document.py", "test_the_first_block_publishes_and_reads");
const PYTHON_HUB_ROUTE: How =
    By("clients/python/tests/hub/test_document.py", "test_the_route_streams_and_resumes");
const PYTHON_HUB_SERVED: How =
    By("clients/python/tests/hub/test_document.py", "test_the_hub_is_served_as_it_says");
const RECIPES: &str = "clients/python/tests/web/test_recipes.py";
const FASTAPI: How = By(RECIPES, "test_the_fastapi_recipe_watches_mints_and_relays");
const STARLETTE: How = By(RECIPES, "test_the_starlette_recipe_watches");
const FLASK: How = By(RECIPES, "test_the_flask_recipe_watches");
const DJANGO: How = By(RECIPES, "test_the_django_recipe_watches");
const TO_INSTALL: How = FormOnly("it installs packages; the tests have them in an environment of their own");

const AGENTS_APART: How = By(
    "examples/agents/test/own-project.test.ts",
    "a copy of the folder runs far from the repository, with a hub that is installed",
);
const AN_APPLICATION: How = FormOnly("it starts the example in the foreground; its own tests start it");
const A_TASK: How = FormOnly("it is a command of the project, which runs this test");
const A_PAGE: How =
    FormOnly("its script is parsed; what a browser does with a stream is tested in browser.rs");

/// The blocks of each section, in order. Without those that are no code: `text` and `http`.
const BLOCKS: &[(&str, &str, &str, &[How])] = &[
    ("README.md", "## Run it", "sh", &[Typed, A_TASK]),
    (
        "README.md",
        "## In 60 seconds",
        "sh",
        &[
            Typed,
            Typed,
            Typed,
            Typed,
            PIPES,
            FormOnly("they need a terminal and time; top.rs and doctor.rs run them"),
        ],
    ),
    ("README.md", "## Protect it", "sh", &[PROTECT, PROTECT]),
    ("README.md", "## In a Rust application", "rust", &[DOCTEST]),
    ("README.md", "## In a page", "tsx", &[SNIPPETS]),
    ("README.md", "## In Python", "python", &[PYTHON_IN_60_SECONDS]),
    ("clients/python/README.md", "# watertight-sse", "sh", &[TO_INSTALL]),
    ("clients/python/README.md", "# watertight-sse", "python", &[PYTHON_README]),
    ("clients/python/README.md", "## Subscribing", "python", &[PYTHON_README, PYTHON_POST]),
    ("clients/python/README.md", "## Publishing", "python", &[PYTHON_README]),
    ("clients/python/README.md", "## Tokens, FastAPI and Starlette", "python", &[PYTHON_TOKEN]),
    ("clients/python/README.md", "### Without asyncio", "python", &[PYTHON_README]),
    ("clients/python/README.md", "## Working on it", "sh", &[A_TASK]),
    ("clients/python/docs/django.md", "# Django", "sh", &[TO_INSTALL]),
    ("clients/python/docs/django.md", "# Django", "python", &[DJANGO, DJANGO, DJANGO]),
    ("clients/python/docs/fastapi.md", "# FastAPI and Starlette", "sh", &[TO_INSTALL]),
    ("clients/python/docs/fastapi.md", "## The application", "python", &[FASTAPI]),
    ("clients/python/docs/fastapi.md", "## Where a page watches", "python", &[FASTAPI, FASTAPI]),
    (
        "clients/python/docs/fastapi.md",
        "## Where a page watches",
        "js",
        &[FormOnly("the page of examples/agents does it, in a browser")],
    ),
    ("clients/python/docs/fastapi.md", "## Behind a route of your own", "python", &[FASTAPI]),
    ("clients/python/docs/fastapi.md", "## Starlette", "python", &[STARLETTE]),
    ("clients/python/docs/flask.md", "# Flask", "sh", &[TO_INSTALL]),
    ("clients/python/docs/flask.md", "# Flask", "python", &[FLASK]),
    ("clients/python/docs/hub.md", "# The hub in the process", "python", &[PYTHON_HUB]),
    ("clients/python/docs/hub.md", "## A route", "python", &[PYTHON_HUB_ROUTE]),
    ("clients/python/docs/hub.md", "## Served by the hub itself", "python", &[PYTHON_HUB_SERVED]),
    ("docs/agents.md", "## 1. A hub with a secret", "sh", &[TWO_COMMANDS]),
    ("docs/agents.md", "## 2. Steps with numbers", "python", &[AGENTS]),
    ("docs/agents.md", "## 3. Keep, apply, tell", "python", &[AGENTS]),
    ("docs/agents.md", "## 4. Tell the hub", "python", &[AGENTS, AGENTS]),
    ("docs/agents.md", "## 5. Where a page watches", "python", &[AGENTS, AGENTS]),
    ("docs/agents.md", "## 6. The page", "ts", &[AGENTS, AGENTS]),
    ("docs/agents.md", "## 7. After a restart", "python", &[AGENTS]),
    ("examples/agents/README.md", "# Agents at work, live", "sh", &[AN_APPLICATION]),
    ("examples/agents/README.md", "## Tests", "sh", &[A_TASK]),
    ("examples/agents/README.md", "## In a project of its own", "sh", &[AGENTS_APART]),
    ("docs/deployments-example.md", "# A deployment platform, step by step", "sh", &[AN_APPLICATION]),
    (
        "docs/deployments-example.md",
        "## 1. The hub's configuration",
        "toml",
        &[FormOnly("scripts/platform.ts writes it with the addresses of a run")],
    ),
    (
        "docs/deployments-example.md",
        "## 2. Signing in, and tokens",
        "ts",
        &[FormOnly("the heart of api/tokens.ts; the tests of the application sign in by it")],
    ),
    (
        "docs/deployments-example.md",
        "## 7. The page",
        "tsx",
        &[FormOnly("the heart of the page; the tests of the application open it in a browser")],
    ),
    ("examples/deployments/README.md", "# A deployment platform", "sh", &[AN_APPLICATION]),
    ("examples/deployments/README.md", "## Tests", "sh", &[A_TASK]),
    ("README.md", "## Metrics and build logs", "sh", &[MACHINE]),
    ("CONTRIBUTING.md", "# Contributing", "sh", &[FormOnly("services that run until they are stopped")]),
    (
        "docs/access.md",
        "## A protected hub in two commands",
        "sh",
        &[TWO_COMMANDS, TWO_COMMANDS, TWO_COMMANDS],
    ),
    ("docs/access.md", "## Keys", "sh", &[ACCESS_COMMANDS]),
    ("docs/access.md", "## Reading keys again", "sh", &[KEYS_AGAIN, KEYS_AGAIN, KEYS_AGAIN]),
    (
        "docs/access.md",
        "## Grants",
        "json",
        &[By(
            "crates/cli/tests/access_document.rs",
            "the_limits_and_the_example_claim_are_those_of_the_code",
        )],
    ),
    (
        "docs/access.md",
        "## Minting and inspecting",
        "sh",
        &[ACCESS_COMMANDS, ACCESS_COMMANDS, ACCESS_COMMANDS],
    ),
    (
        "docs/access.md",
        "## Revoking",
        "sh",
        &[
            By(
                "crates/cli/tests/documents_access.rs",
                "the_commands_that_revoke_close_the_stream_and_refuse_the_token",
            ),
            By(
                "crates/cli/tests/documents_access.rs",
                "the_command_that_closes_a_users_streams_leaves_the_token",
            ),
        ],
    ),
    (
        "docs/access.md",
        "## Programs without a user",
        "sh",
        &[By(
            "crates/cli/tests/documents_access.rs",
            "a_program_without_a_user_feeds_a_log_by_what_it_grants",
        )],
    ),
    ("docs/access.md", "### In the file", "toml", &[Settings]),
    ("docs/access.md", "### In Redis", "toml", &[Settings]),
    ("docs/access.md", "### In Redis", "sh", &[FormOnly("what it sets is what directory.rs sets by itself")]),
    ("docs/access.md", "### Several hubs at one Redis", "sh", &[ACCESS_HUBS]),
    (
        "docs/access.md",
        "### Your application (webhook)",
        "toml",
        &[By("crates/server/tests/directory_examples.rs", "the_examples_of_configuration_are_good_ones")],
    ),
    ("docs/access.md", "### Your application (webhook)", "sh", &[FormOnly("it writes below /etc")]),
    (
        "docs/access.md",
        "#### Verify the signature",
        "python",
        &[By(
            "crates/server/tests/directory_examples.rs",
            "the_example_in_python_verifies_what_the_hub_sends_and_nothing_else",
        )],
    ),
    (
        "docs/access.md",
        "#### Verify the signature",
        "js",
        &[By(
            "crates/server/tests/directory_examples.rs",
            "the_example_in_javascript_verifies_what_the_hub_sends_and_nothing_else",
        )],
    ),
    ("docs/benchmarks.md", "# Benchmarks", "sh", &[A_TASK]),
    (
        "docs/benchmarks.md",
        "## The Python package",
        "sh",
        &[FormOnly("figures want a quiet machine and a release build")],
    ),
    ("docs/configuration.md", "## Deployments and services", "toml", &[Settings]),
    ("docs/connection-lifecycle.md", "## The log line", "json", &[LOG_LINE]),
    ("docs/deployments.md", "## A live build log", "sh", &[BUILD_LOG, BUILD_LOG, BUILD_LOG, BUILD_LOG]),
    ("docs/deployments.md", "## What viewers see", "toml", &[Settings]),
    (
        "docs/deployments.md",
        "## Feeding a log by HTTP",
        "sh",
        &[By("crates/cli/tests/documents_sources.rs", "lines_json_and_the_end_are_fed_by_curl")],
    ),
    ("docs/deployments.md", "## `watertight run`", "sh", &[Typed]),
    ("docs/deployments.md", "## Logs from Redis", "toml", &[Settings]),
    ("docs/deployments.md", "## Logs from Redis", "sh", &[REDIS_LOGS, REDIS_LOGS]),
    ("docs/doctor.md", "# Doctor", "sh", &[FormOnly("it watches an idle stream; doctor.rs runs it")]),
    ("docs/guide.md", "## Start", "sh", &[Typed]),
    ("docs/guide.md", "## Publish and watch", "sh", &[Typed, Typed, PIPES, Typed, PIPES]),
    ("docs/guide.md", "## Resume where you left off", "sh", &[Typed, Typed]),
    ("docs/guide.md", "## Gaps", "sh", &[Typed]),
    ("docs/guide.md", "## In a browser", "html", &[A_PAGE]),
    ("docs/guide.md", "## In a browser", "sh", &[CORS, FormOnly("no command of ours")]),
    ("docs/guide.md", "### With the client", "ts", &[SNIPPETS, SNIPPETS, SNIPPETS]),
    ("docs/guide.md", "### With the client", "tsx", &[SNIPPETS]),
    ("docs/guide.md", "## A live dashboard", "sh", &[FormOnly("it goes on until it is stopped")]),
    ("docs/guide.md", "## A live dashboard", "html", &[A_PAGE]),
    ("docs/guide.md", "## Types, batches, time to live", "sh", &[Typed, Typed]),
    ("docs/guide.md", "## Publish safely", "sh", &[Typed]),
    (
        "docs/guide.md",
        "## Without a stream: long-poll",
        "sh",
        &[Typed, FormOnly("it waits until somebody publishes")],
    ),
    ("docs/guide.md", "## Without a stream: long-poll", "json", &[FormOnly("ids and times differ")]),
    ("docs/guide.md", "## From open to protected", "sh", &[OPEN_TO_PROTECTED; 6]),
    ("docs/guide.md", "### The hub inside your application", "rust", &[DOCTEST]),
    ("docs/guide.md", "### A client of a hub", "rust", &[DOCTEST, DOCTEST]),
    ("docs/guide.md", "## Inspect a hub", "sh", &[Typed, Typed]),
    (
        "docs/operations.md",
        "## Start",
        "sh",
        &[
            FormOnly("it builds the release binary"),
            By(
                "crates/cli/tests/configuration.rs",
                "check_says_what_holds_and_refuses_what_serve_would_refuse",
            ),
        ],
    ),
    ("docs/operations.md", "### Debian", "sh", &[FormOnly("it needs a release; packages.rs installs one")]),
    ("docs/operations.md", "### Kubernetes", "sh", &[FormOnly("it needs a cluster; see chart.rs")]),
    (
        "docs/operations.md",
        "### Container",
        "sh",
        &[FormOnly("it needs a daemon for containers; see deploy.rs")],
    ),
    ("docs/operations.md", "## Tokens", "toml", &[Settings]),
    ("docs/operations.md", "## Tokens", "yaml", &[PROMETHEUS]),
    ("docs/operations.md", "## TLS", "toml", &[Settings]),
    ("docs/operations.md", "## A listener for operators", "toml", &[Settings]),
    ("docs/operations.md", "## Several addresses and Unix sockets", "toml", &[Settings]),
    ("docs/operations.md", "#### nginx", "nginx", &[NGINX, NGINX_BELOW]),
    (
        "docs/operations.md",
        "#### Caddy",
        "caddy",
        &[By("crates/cli/tests/proxies.rs", "caddy_does_what_the_document_says")],
    ),
    (
        "docs/operations.md",
        "#### HAProxy",
        "haproxy",
        &[By("crates/cli/tests/proxies.rs", "haproxy_does_what_the_document_says")],
    ),
    (
        "docs/operations.md",
        "#### Apache",
        "apache",
        &[By("crates/cli/tests/proxies.rs", "apache_does_what_the_document_says")],
    ),
    ("docs/operations.md", "#### Traefik", "yaml", &[FormOnly("no registry at hand has Traefik")]),
    ("docs/operations.md", "### What the log says of each stream", "sh", &[LOG_QUESTIONS; 4]),
    ("docs/operations.md", "### What the log says of each stream", "promql", &[FIGURES; 3]),
    ("docs/operations.md", "### Alerts", "yaml", &[PROMETHEUS]),
    ("docs/protocol.md", "## Long-poll", "sh", &[Typed]),
    ("docs/protocol.md", "## Long-poll", "json", &[FormOnly("ids and times differ")]),
    ("docs/protocol.md", "### The end of a session", "json", &[FormOnly("ids and times differ"); 2]),
    ("docs/protocol.md", "## What the hub sees", "json", &[FormOnly("times and figures differ")]),
    ("docs/protocol.md", "## Refusals", "json", &[FormOnly("openapi.rs compares the codes")]),
    ("docs/sources.md", "## Metrics of services", "sh", &[MACHINE]),
    (
        "docs/sources.md",
        "## Metrics of services",
        "toml",
        &[By("crates/cli/tests/documents_sources.rs", "the_services_of_the_document_are_a_configuration")],
    ),
    ("docs/sources.md", "## Writing a source", "rust", &[DOCTEST]),
    ("docs/top.md", "# `watertight top`", "sh", &[FormOnly("it asks the usual address; top.rs runs it")]),
    ("examples/axum-app/README.md", "# A clock", "sh", &[AN_APPLICATION, APP]),
    (
        "examples/axum-app/README.md",
        "## In a project of its own",
        "toml",
        &[FormOnly("a manifest, for releases")],
    ),
    ("examples/react-page/README.md", "# An agent network, live", "sh", &[AN_APPLICATION]),
    (
        "examples/react-page/README.md",
        "## What to try",
        "sh",
        &[FormOnly("HUB stands for an address; see documents_sources.rs")],
    ),
    (
        "examples/react-page/README.md",
        "## The panels",
        "tsx",
        &[FormOnly("it needs the packages of the page")],
    ),
    ("examples/react-page/README.md", "## Tests", "sh", &[A_TASK]),
    ("examples/tail-file/README.md", "# A file as a live stream", "sh", &[AN_APPLICATION, AN_APPLICATION]),
    (
        "clients/typescript/README.md",
        "# watertight",
        "sh",
        &[FormOnly("it installs the package, once there is a release")],
    ),
    ("clients/typescript/README.md", "# watertight", "ts", &[SNIPPETS]),
    ("clients/typescript/README.md", "## What it does", "ts", &[SNIPPETS; 4]),
    ("clients/typescript/README.md", "## React", "tsx", &[SNIPPETS]),
    ("clients/typescript/README.md", "## Vue and Svelte", "ts", &[SNIPPETS, SNIPPETS]),
    ("clients/typescript/README.md", "## What is it doing?", "ts", &[SNIPPETS]),
    ("clients/typescript/README.md", "## Tests of your application", "tsx", &[SNIPPETS]),
    ("clients/typescript/README.md", "## Tabs", "ts", &[SNIPPETS]),
];

const PROMETHEUS: How =
    By("crates/cli/tests/prometheus.rs", "the_configurations_for_prometheus_in_the_document_are_valid");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All documents: the chapters of the book.
fn documents() -> Vec<String> {
    let summary = read("docs/SUMMARY.md");
    let links = summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    links.map(|link| link.strip_prefix("../").map_or_else(|| format!("docs/{link}"), str::to_owned)).collect()
}

struct Block {
    heading: String,
    kind: String,
    text: String,
}

/// The blocks of a document that are code.
fn blocks(document: &str) -> Vec<Block> {
    let (mut heading, mut blocks, mut open) = (String::new(), Vec::new(), None::<Block>);
    for line in read(document).lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => {
                let kind = if kind.is_empty() { "text" } else { kind };
                open = Some(Block { heading: heading.clone(), kind: kind.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) if line.starts_with('#') => line.clone_into(&mut heading),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document} ends within a block");
    blocks.retain(|block| block.kind != "text" && block.kind != "http");
    blocks
}

/// Each block with its document and what is done with it, and what the table and the documents do not agree on.
fn look_up() -> (Vec<(&'static str, How, Block)>, Vec<String>) {
    type Key = (String, String, String);
    let (mut there, mut wrong) = (BTreeMap::<Key, Vec<Block>>::new(), Vec::new());
    let mut order = Vec::new();
    for document in documents() {
        for block in blocks(&document) {
            let key = (document.clone(), block.heading.clone(), block.kind.clone());
            if !order.contains(&key) {
                order.push(key.clone());
            }
            there.entry(key).or_default().push(block);
        }
    }
    let mut found = Vec::new();
    for (document, heading, kind, hows) in BLOCKS {
        let key = ((*document).to_owned(), (*heading).to_owned(), (*kind).to_owned());
        let blocks = there.remove(&key).unwrap_or_default();
        if blocks.len() != hows.len() {
            wrong.push(format!("{key:?}: {} blocks, {} in the table", blocks.len(), hows.len()));
        }
        found.extend(hows.iter().zip(blocks).map(|(how, block)| (*document, *how, block)));
    }
    wrong.extend(there.into_keys().map(|key| format!("{key:?} is not in the table")));
    (found, wrong)
}

/// Whether a program takes `text` as the file `name`; it is run with `arguments` and that file.
fn takes(program: &str, arguments: &[&str], name: &str, text: &str) -> Result<(), String> {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(name), text).unwrap();
    let output = Command::new(program).args(arguments).arg(name).current_dir(dir.path()).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// Whether a block has the form of its kind.
fn check_form(block: &Block) -> Result<(), String> {
    match block.kind.as_str() {
        "sh" => takes("sh", &["-n"], "block.sh", &block.text),
        "json" => {
            serde_json::from_str::<serde_json::Value>(&block.text).map(drop).map_err(|it| it.to_string())
        }
        "html" => {
            let scripts = block.text.split("<script>").skip(1);
            scripts
                .map(|rest| rest.split("</script>").next().unwrap())
                .try_for_each(|script| takes("node", &["--check"], "page.js", script))
        }
        "toml" => takes(
            "python3",
            &["-c", "import sys, tomllib; tomllib.load(open(sys.argv[1], 'rb'))"],
            "block.toml",
            &block.text,
        ),
        _ => Ok(()),
    }
}

#[test]
fn every_block_of_code_is_run_or_compiled_by_a_test_or_says_why_not() {
    let (found, mut wrong) = look_up();
    let mut counted = BTreeSet::new();
    for (document, how, block) in &found {
        let name = format!("{document}, {}, {}", block.heading, block.kind);
        if let Err(error) = check_form(block) {
            wrong.push(format!("{name}: {error}\n{}", block.text));
        }
        match how {
            By(file, test) => {
                let text = read(file);
                let is_there = [
                    format!("fn {test}("),
                    format!("def {test}("),
                    format!("mod {test} "),
                    format!("\"{test}\""),
                ];
                if !is_there.iter().any(|it| text.contains(it)) {
                    wrong.push(format!("{name}: {file} has no {test}"));
                }
                counted.insert(*test);
            }
            Settings => {
                let check = takes(env!("CARGO_BIN_EXE_watertight"), &["check"], "hub.toml", &block.text);
                wrong.extend(check.err().map(|error| format!("{name}: {error}")));
            }
            FormOnly(why) => assert!(why.len() > 10, "{name}: a reason"),
            Typed => {}
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "\n{}", wrong.join("\n"));
    assert!(counted.len() > 20 && found.len() > 90, "{} of {}", counted.len(), found.len());
}

#[test]
fn the_compilers_of_snippets_read_every_document_that_has_some() {
    let (found, _) = look_up();
    let doctests = read("examples/axum-app/src/lib.rs");
    let typescript = read("clients/typescript/test/unit/documents.test.ts");
    for (document, how, block) in found {
        let By(file, _) = how else { continue };
        let from = |folders: usize| format!("\"{}{document}\"", "../".repeat(folders));
        match file {
            "examples/axum-app/src/lib.rs" => {
                assert!(doctests.contains(&from(3)), "{document}: {}", block.text)
            }
            "clients/typescript/test/unit/documents.test.ts" => {
                let own = document.strip_prefix("clients/typescript/").map(|own| format!("\"{own}\""));
                assert!(typescript.contains(&own.unwrap_or_else(|| from(2))), "{document}: {}", block.text);
            }
            _ => {}
        }
    }
}

#[test]
fn what_the_documents_tell_to_type_at_an_open_hub_works() {
    let (found, _) = look_up();
    let mut readers: BTreeMap<&str, Reader> = BTreeMap::new();
    let mut typed = 0;
    for (document, _, block) in found.iter().filter(|(_, how, _)| matches!(how, Typed)) {
        let reader = readers.entry(document).or_insert_with(Reader::new);
        if reader.hub.is_none() && !block.text.contains(" serve") {
            reader.start_hub("watertight serve");
        }
        reader.types(&block.text);
        typed += 1;
    }
    assert!(typed > 12, "{typed}");
    readers.into_values().for_each(Reader::finish);
}
