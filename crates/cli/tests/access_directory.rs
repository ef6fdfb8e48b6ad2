//! Whose a deployment is: asked at the start of a stream and again while it is open, in each of the three directories.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use serde_json::{Value, json};
use tokens::{admin, ask, bearer, of, protected, publish};
use watertight_testkit::webhook::{Reply, WebhookServer};
use watertight_testkit::{HubBuilder, HubProcess, Redis, SseReader, eventually};

const STREAM: &str = "/deployments/42/logs/stream";

fn watch(hub: &HubProcess, user: &str) -> SseReader {
    SseReader::open(hub.address(), STREAM, &[("Authorization", &bearer(&of(user).text()))])
}

/// Ada owns deployment 42, and loses it to Eve while she watches.
fn loses_it(builder: HubBuilder, give_to_eve: impl FnOnce(&HubProcess)) {
    let hub = builder.flag("--revalidate-interval", "500ms").flag("--directory-cache", "50ms").start();
    ask(&hub, "GET", STREAM, &of("eve").text()).expect_problem(403, "FORBIDDEN");
    ask(&hub, "GET", "/deployments/43/logs/stream", &of("ada").text())
        .expect_problem(404, "RESOURCE_NOT_FOUND");
    publish(&hub, "/deployments/42/logs", &of("eve").text(), "x").expect_problem(403, "FORBIDDEN");
    let mut stream = watch(&hub, "ada");
    publish(&hub, "/deployments/42/logs", &of("ada").text(), "one\ntwo\n").expect(202);
    assert_eq!(stream.next_data(2), ["one", "two"]);
    let validations = |page: &Value| page["connections"][0]["validations"].as_u64();
    eventually!(validations(&ask(&hub, "GET", "/connections", &admin()).json()) >= Some(2));
    give_to_eve(&hub);
    let closing_event = stream.expect_closing_event("FORBIDDEN");
    assert_eq!(closing_event.retry, None, "there is nothing to come back for");
    ask(&hub, "GET", STREAM, &of("ada").text()).expect_problem(403, "FORBIDDEN");
    drop(watch(&hub, "eve"));
}

#[test]
fn an_owner_who_loses_a_deployment_in_the_file_loses_its_stream() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hub.toml");
    let owner =
        |name: &str| std::fs::write(&file, format!("[deployments.42]\nowner = \"{name}\"\n")).unwrap();
    owner("ada");
    let builder = protected().flag("--config", file.display());
    loses_it(builder, |hub| {
        // What cannot be read changes nothing.
        std::fs::write(&file, "[deployments.42]\nowner = 1\n").unwrap();
        eventually!(hub.log().contains("the table of deployments and services stays as it was"));
        owner("eve");
    });
}

#[test]
fn an_owner_who_loses_a_deployment_in_redis_loses_its_stream() {
    let redis = Redis::start();
    let owner = |name: &str| redis.command(&["HSET", "watertight:owners", "deployments/42", name]);
    owner("ada");
    let builder = protected().flag("--directory", "redis").env("WATERTIGHT_REDIS_URL", redis.url());
    loses_it(builder.unbalanced(), |_| {
        owner("eve");
    });
}

#[test]
fn an_owner_who_loses_a_deployment_in_the_application_loses_its_stream() {
    let (webhook, builder) = asking_a_webhook("ada");
    loses_it(builder, |_| webhook.reply_by(owned_by("eve")));
}

/// What an application answers in which this user owns deployment 42.
fn owned_by(owner: &'static str) -> impl Fn(&watertight_testkit::webhook::Asked) -> Reply + Send + 'static {
    move |asked| {
        let question: Value = serde_json::from_str(&asked.body).unwrap();
        match question["resource"].as_str() {
            Some("deployments/42") => Reply::allowed(question["user"] == owner),
            _ => Reply::answer("404 Not Found", ""),
        }
    }
}

fn asking_a_webhook(owner: &'static str) -> (WebhookServer, HubBuilder) {
    let webhook = WebhookServer::start(Reply::Close);
    webhook.reply_by(owned_by(owner));
    let builder = protected()
        .flag("--directory", "webhook")
        .flag("--webhook-url", webhook.url())
        .env("WATERTIGHT_WEBHOOK_SECRET", "a secret of the webhook");
    (webhook, builder.unbalanced())
}

#[test]
fn threat_22_without_the_application_open_streams_end_after_three_tries_and_new_ones_wait_for_it() {
    let (mut webhook, builder) = asking_a_webhook("ada");
    let hub = builder.flag("--revalidate-interval", "1s").flag("--directory-cache", "50ms").start();
    let mut stream = watch(&hub, "ada");
    eventually!(ask(&hub, "GET", "/connections", &admin()).json()["connections"][0]["validations"] != 0);
    webhook.down();
    stream.expect_closing_event("CIRCUIT_OPEN");
    let line = eventually!(hub.log(), |log| log.contains("reason=\"CIRCUIT_OPEN\""));
    let closed = line.lines().find(|line| line.contains("CIRCUIT_OPEN")).unwrap();
    assert!(closed.contains("errors=3 "), "{closed}");
    let refused = ask(&hub, "GET", STREAM, &of("ada").text());
    refused.expect_problem(503, "DIRECTORY_UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    webhook.up();
    eventually!(ask(&hub, "HEAD", STREAM, &of("ada").text()).status == 200);
    drop(watch(&hub, "ada"));
}

#[test]
fn threat_22_with_access_fail_open_streams_go_on_without_the_application_and_a_denial_still_ends_them() {
    let (mut webhook, builder) = asking_a_webhook("ada");
    let hub = builder
        .flag("--revalidate-interval", "300ms")
        .flag("--directory-cache", "50ms")
        .flag("--access-fail", "open")
        .start();
    let mut stream = watch(&hub, "ada");
    webhook.down();
    let errors = |page: &Value| page["connections"][0]["errors"].as_u64();
    eventually!(errors(&ask(&hub, "GET", "/connections", &admin()).json()) >= Some(5));
    publish(&hub, "/deployments/42/logs", &program(), "still here\n").expect(202);
    assert_eq!(stream.next_data(1), ["still here"]);
    webhook.reply_by(owned_by("eve"));
    webhook.up();
    stream.expect_closing_event("FORBIDDEN");
}

/// A token of no user: what it grants is enough.
fn program() -> String {
    let mut token = of("nobody").publish(&["deployments/*/logs"]).subscribe(&["deployments/*/logs"]);
    token.0.subject = None;
    token.text()
}

#[test]
fn threat_21_streams_that_waited_for_one_answer_are_all_found_by_a_revocation() {
    let (webhook, builder) = asking_a_webhook("ada");
    let hub = builder.flag("--revalidate-interval", "60s").start();
    for round in 0..10 {
        let (go, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let wait = std::sync::Mutex::new(wait);
        webhook.reply_by(move |_| {
            // Until the test lets go of the other end.
            let _ = wait.lock().unwrap().recv();
            Reply::allowed(true)
        });
        // A user of its own: no answer of the round before is theirs.
        let token = of(&format!("u{round}")).id(&format!("r{round}")).text();
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let (address, authorization) = (hub.address(), bearer(&token));
                std::thread::spawn(move || {
                    SseReader::open(address, STREAM, &[("Authorization", &authorization)])
                })
            })
            .collect();
        eventually!(hub.stats().live("request") >= 8);
        drop(go);
        let mut streams: Vec<SseReader> = opening.into_iter().map(|one| one.join().unwrap()).collect();
        assert_eq!(hub.stats().live("access"), 1, "they share one right");
        let body = json!({"jti": format!("r{round}")});
        assert_eq!(tokens::post(&hub, "/tokens/revoke", &admin(), &body).expect(200).json()["closed"], 8);
        for stream in &mut streams {
            stream.expect_closing_event("TOKEN_REVOKED");
        }
        drop(streams);
        eventually!(hub.stats().live("subscription") == 0);
    }
}

#[test]
fn a_thousand_streams_of_one_token_are_one_question_an_interval() {
    let (webhook, builder) = asking_a_webhook("ada");
    let hub = builder.flag("--revalidate-interval", "1s").flag("--directory-cache", "10s").start();
    let token = bearer(&of("ada").text());
    let streams: Vec<SseReader> =
        (0..1000).map(|_| SseReader::open(hub.address(), STREAM, &[("Authorization", &token)])).collect();
    let begun = webhook.count();
    assert!(begun < 20, "{begun} questions while they came");
    let now = std::time::Instant::now();
    eventually!(webhook.count() >= begun + 4);
    // The first of them may have been about to come; from it to the fourth there are three intervals, each a fifth shorter at most.
    let seconds = now.elapsed().as_secs_f64();
    assert!(seconds >= 3.0 * 0.8, "four questions in {seconds} s");
    drop(streams);
    eventually!(hub.stats().live("subscription") == 0);
    eventually!(hub.stats().live("access") == 0);
}

#[test]
fn a_log_ends_with_its_exit_code_and_whoever_comes_later_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hub.toml");
    std::fs::write(&file, "[deployments.42]\nowner = \"ada\"\n").unwrap();
    let hub = protected().flag("--config", file.display()).start();
    let token = of("ada").text();
    let mut there = watch(&hub, "ada");
    publish(&hub, "/deployments/42/logs", &program(), "one\ntwo\nthree\n").expect(202);
    assert_eq!(there.next_data(3), ["one", "two", "three"]);
    let ids = ask(&hub, "POST", "/deployments/42/logs?end=true&exit_code=3", &token).expect(202).json();
    assert_eq!(ids["ids"].as_array().unwrap().len(), 1);
    let expect_end = |stream: &mut SseReader| {
        let end = stream.next_event();
        assert_eq!(end.event_type, "end");
        let data: Value = serde_json::from_str(&end.data).unwrap();
        assert_eq!(data["exitCode"], 3);
        assert!(data["endedAt"].as_f64().unwrap() > 1.7e9);
        stream.expect_closing_event("SESSION_ENDED");
    };
    expect_end(&mut there);
    let mut late = watch(&hub, "ada");
    let line = late.next_event();
    assert_eq!((line.event_type.as_str(), line.data.as_str()), ("log", "one"));
    assert_eq!(late.next_data(2), ["two", "three"]);
    expect_end(&mut late);
    let tail = format!("{STREAM}?tail=1");
    let mut tail = SseReader::open(hub.address(), &tail, &[("Authorization", &bearer(&token))]);
    assert_eq!(tail.next_data(1), ["three"]);
    expect_end(&mut tail);
    // The first end stands, nothing comes behind it, and another deployment of that id begins anew.
    let again = ask(&hub, "POST", "/deployments/42/logs?end=true&exit_code=0", &token).expect(202).json();
    assert_eq!(again, ids);
    publish(&hub, "/deployments/42/logs", &token, "four\n").expect_problem(409, "SESSION_ENDED");
    publish(&hub, "/deployments/42/logs?reopen=true", &token, "anew\n").expect(202);
    let mut anew = watch(&hub, "ada");
    assert_eq!(anew.next_data(1), ["anew"]);
    let ndjson = hub.client().request("POST", "/deployments/42/logs").header("Authorization", bearer(&token));
    ndjson.header("Content-Type", "application/x-ndjson").body("{\"a\": 1}\n[2]\n").send().expect(202);
    assert_eq!(anew.next_data(2), ["{\"a\": 1}", "[2]"]);
    let json = hub.client().request("POST", "/deployments/42/logs").header("Authorization", bearer(&token));
    let json = json.header("Content-Type", "application/json").body(json!({"a": 1}).to_string()).send();
    json.expect_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    for wrong in ["exit_code=1", "end=maybe", "end=true&exit_code=x", "tail=1"] {
        let path = format!("/deployments/42/logs?{wrong}");
        publish(&hub, &path, &token, "x").expect_problem(400, "INVALID_PARAMETER");
    }
}

#[test]
fn a_stream_of_logs_lives_for_its_own_time() {
    let hub = HubProcess::builder(tokens::WATERTIGHT).flag("--logs-max-age", "1s").start();
    let begun = std::time::Instant::now();
    let mut stream = SseReader::open(hub.address(), STREAM, &[]);
    assert_eq!(stream.expect_closing_event("TIMEOUT").error, "Connection timeout");
    let took = begun.elapsed();
    // Without the setting, an hour.
    assert!(took >= std::time::Duration::from_millis(990) && took.as_secs() < 8, "{took:?}");
    let page = hub.get("/connections").json();
    assert_eq!(page["connections"], json!([]));
}
