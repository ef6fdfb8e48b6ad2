//! The examples of `docs/access.md` verify what the hub sends, and refuse anything else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Fixture, SECRET, deployment};
use tempfile::TempDir;
use watertight_server::directory::Answer;
use watertight_server::resource::Action;
use watertight_testkit::{Asked, Reply, WebhookServer};

const DOCUMENT: &str = include_str!("../../../docs/access.md");

/// The example in this language.
fn example(language: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("\n```{language}\n")).expect("the example is there");
    rest.split_once("\n```\n").expect("it ends").0
}

/// A question as the hub sends it, with letters of more than one byte in it.
async fn question() -> Asked {
    let server = WebhookServer::start(Reply::allowed(true));
    let file = "directory = 'webhook'\nwebhook_secret_file = '$DIR/webhook.key'\nwebhook_url = ";
    let fixture = Fixture::open(&format!("{file}'{}'\n", server.url()));
    let answer = fixture.directory.owns("ada \u{1f6b0}", &deployment("\u{e9}"), Action::Subscribe).await;
    assert_eq!(answer, Ok(Answer::Allowed));
    assert_eq!(fixture.owns("ada", "42").await, Ok(Answer::Allowed));
    fixture.finish().await;
    server.asked().swap_remove(0)
}

/// What `verify` should say of each.
fn cases(asked: &Asked) -> Vec<(Value, bool)> {
    let header = asked.header("watertight-signature").unwrap();
    let (sent, hex) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let now: u64 = sent.parse().unwrap();
    let case = |secret: &str, header: &str, body: &str, now: u64| json!({"secret": secret, "header": header, "body": body, "now": now});
    let good = |now| case(SECRET, header, &asked.body, now);
    let body = asked.body.replace("ada", "eve");
    let later = format!("t={},v1={hex}", now + 1);
    vec![
        (good(now), true),
        (good(now + 299), true),
        (good(now - 299), true),
        (good(now + 301), false),
        (good(now - 301), false),
        (case("another secret, as long as that one", header, &asked.body, now), false),
        (case(SECRET, header, &body, now), false),
        (case(SECRET, &later, &asked.body, now), false),
        (case(SECRET, &format!("t={sent},v1={}", "0".repeat(64)), &asked.body, now), false),
        (case(SECRET, &format!("t={sent},v1="), &asked.body, now), false),
        (case(SECRET, &format!("t={sent}"), &asked.body, now), false),
        (case(SECRET, &format!("v1={hex}"), &asked.body, now), false),
        (case(SECRET, &format!("t=x,v1={hex}"), &asked.body, now), false),
        (case(SECRET, "", &asked.body, now), false),
    ]
}

/// Runs the example with a line that prints what it says of each case.
fn run(program: &str, file: &str, source: &str, cases: &[(Value, bool)]) {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join(file), source).unwrap();
    let input: Vec<&Value> = cases.iter().map(|(case, _)| case).collect();
    std::fs::write(dir.path().join("cases.json"), serde_json::to_vec(&input).unwrap()).unwrap();
    let output = Command::new(program).arg(file).current_dir(dir.path()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} ({error}): install it to run this test"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let says: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
    let expected: Vec<bool> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(says, expected, "{program}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_verifies_what_the_hub_sends_and_nothing_else() {
    let source = format!(
        "{}\nimport json\ncases = json.load(open('cases.json', encoding='utf-8'))\n\
         print(json.dumps([verify(it['secret'].encode(), it['header'], it['body'].encode(), it['now']) for it in cases]))\n",
        example("python")
    );
    run("python3", "verify.py", &source, &cases(&question().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_javascript_verifies_what_the_hub_sends_and_nothing_else() {
    let source = format!(
        "{}\nimport {{ readFileSync }} from \"node:fs\";\nconst cases = JSON.parse(readFileSync(\"cases.json\"));\n\
         console.log(JSON.stringify(cases.map((it) => verify(it.secret, it.header, Buffer.from(it.body), it.now))));\n",
        example("js")
    );
    run("node", "verify.mjs", &source, &cases(&question().await));
}

#[test]
fn the_examples_of_configuration_are_good_ones() {
    let examples: Vec<&str> = DOCUMENT.split("\n```toml\n").skip(1).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let text = example.split_once("\n```\n").unwrap().0;
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("hub.toml");
        std::fs::write(&file, text).unwrap();
        let args = watertight_server::config::ConfigArgs::file(&file);
        let loaded = watertight_server::config::load(&args, std::iter::empty());
        assert!(loaded.is_ok(), "{text}: {}", loaded.unwrap_err());
    }
}
