//! What documents say of streams that feed themselves and of logs: their commands are run as they stand there, in order, against
//! the real binary and a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod documents;

use documents::{Reader, blocks};
use watertight_testkit::{Redis, eventually};

const DEPLOYMENTS: &str = include_str!("../../../docs/deployments.md");
const SOURCES: &str = include_str!("../../../docs/sources.md");

fn blocks_of_build() -> Vec<&'static str> {
    blocks(DEPLOYMENTS, "## A live build log", "sh")
}

#[test]
fn from_nothing_to_a_live_build_log_and_its_end_for_those_who_come_late() {
    let mut reader = Reader::new();
    let [serve, watch, run, late] = blocks_of_build()[..] else { panic!("four blocks") };
    reader.types(serve);
    reader.types(watch);
    assert_eq!(reader.types(run), "compiling\nexit code 3\n");
    for text in [
        "event: log\ndata: {\"line\":1,\"stream\":\"",
        "\"stream\":\"stdout\",\"at\":",
        "\"text\":\"compiling\"}\n",
        "\"stream\":\"stderr\"",
        "\"text\":\"warning: unused\"}\n",
        "event: end\ndata: {\"endedAt\":",
        "\"exitCode\":3}\n",
        "\"code\":\"SESSION_ENDED\"",
    ] {
        reader.sees(text);
    }
    let said = reader.types(late);
    assert!(
        said.contains("compiling") && said.contains("\"exitCode\":3") && said.contains("SESSION_ENDED"),
        "{said}"
    );
    reader.finish();
}

#[test]
fn lines_json_and_the_end_are_fed_by_curl() {
    let mut reader = Reader::new();
    reader.types(blocks_of_build()[0]);
    let [feed] = blocks(DEPLOYMENTS, "## Feeding a log by HTTP", "sh")[..] else { panic!("one block") };
    assert_eq!(reader.types(feed).matches("\"ids\":[").count(), 3);
    let said = reader.types("curl http://localhost:8080/deployments/42/logs/stream");
    for text in [
        "data: step 1\n",
        "data: step 2\n",
        "data: {\"level\":\"info\",\"text\":\"step 3\"}\n",
        "\"exitCode\":0",
    ] {
        assert!(said.contains(text), "{text} in {said}");
    }
    reader.finish();
}

#[test]
fn the_help_of_run_is_there() {
    let mut reader = Reader::new();
    reader.types(blocks_of_build()[0]);
    let [help] = blocks(DEPLOYMENTS, "## `watertight run`", "sh")[..] else { panic!("one block") };
    let said = reader.types(help);
    assert!(said.contains("--spool-max") && said.contains("--drain-timeout"), "{said}");
    reader.finish();
}

#[test]
fn logs_come_from_redis_and_the_user_needs_just_the_rights_that_are_written() {
    for (kind, add) in [
        ("redis_pubsub", "redis-cli PUBLISH deployment:42:logs 'step 1'"),
        ("redis_stream", "redis-cli XADD deployment:42:logs '*' line 'step 1'"),
    ] {
        let redis = Redis::start();
        let mut reader = Reader::new();
        reader.redis_port = Some(redis.address().port());
        let [end, rights] = blocks(DEPLOYMENTS, "## Logs from Redis", "sh")[..] else { panic!("two blocks") };
        assert_eq!(reader.types(rights), "OK\nOK\n");
        let [settings] = blocks(DEPLOYMENTS, "## Logs from Redis", "toml")[..] else { panic!("one block") };
        let url = redis.url_for("hub", "PASSWORD");
        let settings = settings
            .replace("redis://localhost:6379", &url)
            .replace("\"redis_pubsub\"", &format!("\"{kind}\""));
        std::fs::write(reader.dir.path().join("hub.toml"), settings).unwrap();
        reader.types("watertight serve --config hub.toml");
        reader.types("curl -N http://localhost:8080/deployments/42/logs/stream");
        if kind == "redis_pubsub" {
            eventually!(redis.all(&["PUBSUB", "NUMSUB", "deployment:42:logs"]).remove(1) == "1");
        }
        reader.types(add);
        reader.sees("data: step 1\n");
        reader.types(if kind == "redis_pubsub" {
            end
        } else {
            "redis-cli XADD deployment:42:logs '*' event end exit_code 0"
        });
        reader.sees("event: end\ndata: {\"endedAt\":");
        reader.sees("\"exitCode\":0}\n");
        assert!(!reader.log().contains("NOPERM"), "{}", reader.log());
        reader.finish();
    }
}

#[test]
fn a_fresh_hub_streams_the_machines_metrics() {
    let mut reader = Reader::new();
    reader.types(blocks_of_build()[0]);
    let [watch] = blocks(SOURCES, "## Metrics of services", "sh")[..] else { panic!("one block") };
    reader.types(watch);
    reader.sees("event: metrics\ndata: {\"sampledAt\":");
    reader.sees("\"memoryLimitBytes\":");
    reader.finish();
}

#[test]
fn the_services_of_the_document_are_a_configuration() {
    let mut reader = Reader::new();
    let [services] = blocks(SOURCES, "## Metrics of services", "toml")[..] else { panic!("one block") };
    std::fs::write(reader.dir.path().join("hub.toml"), services).unwrap();
    reader.types("watertight serve --config hub.toml");
    reader.types("curl -N 'http://localhost:8080/services/metrics/stream?interval=1'");
    for id in ["api", "db", "machine", "web"] {
        reader.sees(&format!("{{\"id\":\"{id}\","));
    }
    reader.finish();
}
