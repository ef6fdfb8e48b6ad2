//! The directory of the application: what each of its answers means, and what a bad one does to the hub.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Fixture, SECRET, deployment, eventually};
use tokio::task::JoinSet;
use watertight_core::{Kind, Owner};
use watertight_server::directory::{Answer, DirectoryError};
use watertight_server::resource::Action;
use watertight_testkit::{Asked, Reply, WebhookServer};

fn open(server: &WebhookServer, more: &str) -> Fixture {
    open_at(&server.url(), more)
}

fn open_at(url: &str, more: &str) -> Fixture {
    Fixture::open(&format!(
        "directory = 'webhook'\nwebhook_url = '{url}'\nwebhook_secret_file = '$DIR/webhook.key'\n{more}\n"
    ))
}

fn error_name(answer: &Result<Answer, DirectoryError>) -> &'static str {
    match answer {
        Ok(answer) => answer.name(),
        Err(DirectoryError::TimedOut) => "timeout",
        Err(DirectoryError::Unreachable(_)) => "unreachable",
        Err(DirectoryError::NoAnswer(_)) => "no answer",
        Err(error) => panic!("{error}"),
    }
}

/// `docs/access.md`, "Directory": what the application answers, and what it means.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_means_what_the_document_says() {
    let big = format!("{{\"allowed\": true, \"x\": \"{}\"}}", "x".repeat(16 << 10));
    let fits = format!("{{\"allowed\": true, \"x\": \"{}\"}}", "x".repeat((16 << 10) - 26));
    assert!(fits.len() == 16 << 10 && big.len() > 16 << 10);
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 10 << 20);
    let endless = Reply::Bytes([endless.into_bytes(), vec![b' '; 10 << 20]].concat());
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        Reply::Bytes(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes())
    };
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let to_end = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"allowed\": true}";
    let cut_off = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"allowed\": true}";
    let huge_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    let cases: Vec<(&str, Reply, &str)> = vec![
        ("200 true", Reply::allowed(true), "allowed"),
        ("200 false", Reply::allowed(false), "denied"),
        ("200 with more in it", Reply::answer("200 OK", r#"{"allowed":true,"role":"x"}"#), "allowed"),
        ("200 in chunks", chunked("{\"allowed\": false}"), "denied"),
        ("16 KiB", Reply::answer("200 OK", &fits), "allowed"),
        ("more than 16 KiB", Reply::answer("200 OK", &big), "no answer"),
        ("more than 16 KiB in chunks", chunked(&big), "no answer"),
        ("10 MB", endless, "no answer"),
        ("200 without a body", Reply::answer("200 OK", ""), "no answer"),
        ("200 with HTML", Reply::answer("200 OK", "<html>sign in</html>"), "no answer"),
        ("200 with broken JSON", Reply::answer("200 OK", r#"{"allowed": true"#), "no answer"),
        ("200 with another type", Reply::answer("200 OK", r#"{"allowed": "true"}"#), "no answer"),
        ("200 with null", Reply::answer("200 OK", r#"{"allowed": null}"#), "no answer"),
        ("200 with twice", Reply::answer("200 OK", r#"{"allowed":true,"allowed":false}"#), "no answer"),
        ("200 with a list", Reply::answer("200 OK", "[true]"), "no answer"),
        ("201", Reply::answer("201 Created", r#"{"allowed": true}"#), "no answer"),
        ("204", Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), "no answer"),
        ("302", Reply::Bytes(redirect.into()), "no answer"),
        ("400", Reply::answer("400 Bad Request", ""), "no answer"),
        ("401", Reply::answer("401 Unauthorized", ""), "no answer"),
        ("403", Reply::answer("403 Forbidden", ""), "denied"),
        ("403 with a body", Reply::answer("403 Forbidden", r#"{"allowed": true}"#), "denied"),
        ("404", Reply::answer("404 Not Found", ""), "unknown"),
        ("404 with a body", Reply::answer("404 Not Found", r#"{"allowed": true}"#), "unknown"),
        ("429", Reply::answer("429 Too Many Requests", ""), "no answer"),
        ("500", Reply::answer("500 Internal Server Error", r#"{"allowed": true}"#), "no answer"),
        ("503", Reply::answer("503 Service Unavailable", ""), "no answer"),
        ("to the end of the connection", Reply::Last(to_end.into()), "allowed"),
        ("a body that is cut off", Reply::Last(cut_off.into()), "no answer"),
        ("a body that never ends", Reply::Bytes(cut_off.into()), "timeout"),
        ("a head that is too large", Reply::Bytes(huge_head.into()), "no answer"),
        ("no HTTP", Reply::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), "no answer"),
        ("closed", Reply::Close, "unreachable"),
        ("silence", Reply::Silence, "timeout"),
    ];
    let server = WebhookServer::start(Reply::allowed(true));
    for (about, reply, expected) in cases {
        server.reply(reply);
        let limit = if expected == "timeout" { "500ms" } else { "20s" };
        let fixture = open(&server, &format!("webhook_timeout = '{limit}'"));
        let begun = Instant::now();
        let answer = fixture.owns("ada", "42").await;
        assert_eq!(error_name(&answer), expected, "{about}: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{about} took {:?}", begun.elapsed());
        fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_covers_every_byte_of_a_slow_answer() {
    // Half a minute in all, and each byte well within the limit.
    let slow = format!("HTTP/1.1 200 OK\r\ncontent-length: 560\r\n\r\n{:<560}", "{\"allowed\": true}");
    let server = WebhookServer::start(Reply::Drip(slow.into_bytes(), Duration::from_millis(50)));
    let fixture = open(&server, "webhook_timeout = '300ms'");
    let begun = Instant::now();
    assert_eq!(fixture.owns("ada", "42").await, Err(DirectoryError::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_says_user_resource_and_action_and_is_signed() {
    let server = WebhookServer::start(Reply::allowed(true));
    let fixture = open_at(&format!("{}?tenant=7", server.url()), "");
    let resource = deployment("a \"b\"");
    let answer = fixture.directory.owns("ada\u{e9}", &resource, Action::Publish).await;
    assert_eq!(answer, Ok(Answer::Allowed));
    let [asked] = &server.asked()[..] else { panic!("{:?}", server.asked()) };
    assert_eq!(asked.line, "POST /owns?tenant=7 HTTP/1.1");
    assert_eq!(asked.header("host"), Some(&*server.address().to_string()));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let expected = serde_json::json!({
        "user": "ada\u{e9}", "resource": "deployments/a \"b\"", "action": "publish",
    });
    assert_eq!(body, expected);
    assert!(is_signed(asked, SECRET) && !is_signed(asked, "another secret, as long as that one"));
    let everything = format!("{asked:?}");
    assert!(!everything.contains(SECRET), "{everything}");
    fixture.finish().await;
}

/// What `docs/access.md` tells a receiver to do, by the command line of OpenSSL.
fn is_signed(asked: &Asked, secret: &str) -> bool {
    let signature = asked.header("watertight-signature").unwrap();
    let (time, hex) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(time.parse().unwrap()) < 60, "{signature}");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signed = format!("{time}.{}", asked.body);
    let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>() == hex
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_ask_the_same_at_once_are_one_question() {
    let server = WebhookServer::start(Reply::Silence);
    let (release, gate) = std::sync::mpsc::sync_channel::<()>(1);
    server.reply_by({
        let gate = std::sync::Mutex::new(gate);
        move |_| {
            gate.lock().unwrap().recv().unwrap();
            Reply::allowed(true)
        }
    });
    let fixture = Arc::new(open(&server, "webhook_timeout = '20s'"));
    let mut asking = JoinSet::new();
    for _ in 0..1_000 {
        let fixture = Arc::clone(&fixture);
        asking.spawn(async move { fixture.owns("ada", "42").await });
    }
    eventually("the question is put", || server.count() == 1).await;
    release.send(()).unwrap();
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.unwrap(), Ok(Answer::Allowed));
    }
    assert_eq!(server.count(), 1);
    Arc::into_inner(fixture).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_first_may_leave_without_ending_it_for_the_others() {
    let server = WebhookServer::start(Reply::Silence);
    let fixture = open(&server, "webhook_timeout = '20s'");
    let (release, gate) = std::sync::mpsc::sync_channel::<()>(1);
    let gate = std::sync::Mutex::new(gate);
    server.reply_by(move |_| {
        gate.lock().unwrap().recv().unwrap();
        Reply::allowed(true)
    });
    let mut first = Box::pin(fixture.owns("ada", "42"));
    tokio::select! {
        answer = &mut first => panic!("{answer:?}"),
        () = eventually("it is asked", || server.count() == 1) => {}
    }
    let second = fixture.owns("ada", "42");
    drop(first);
    release.send(()).unwrap();
    assert_eq!(second.await, Ok(Answer::Allowed));
    assert_eq!(server.count(), 1);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_let_go_ends_its_questions_and_tells_whoever_waits() {
    let server = WebhookServer::start(Reply::Silence);
    let fixture = open(&server, "webhook_timeout = '20s'");
    let directory = fixture.directory.clone();
    let waiting = tokio::spawn(async move {
        let resource = deployment("42");
        let mut asking = Box::pin(directory.owns("ada", &resource, Action::Subscribe));
        let asked =
            std::future::poll_fn(|context| std::task::Poll::Ready(asking.as_mut().poll(context).is_ready()));
        assert!(!asked.await);
    });
    waiting.await.unwrap();
    eventually("it is asked", || server.count() == 1).await;
    assert!(fixture.hub.budget().used_by(Owner::Requests) > 0);
    // Well before the time limit of 20 s.
    let begun = Instant::now();
    fixture.finish().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_serves_further_questions_until_it_is_too_old() {
    let server = WebhookServer::start(Reply::allowed(true));
    let fixture = open(&server, "directory_cache = '1h'");
    for _ in 0..100 {
        assert_eq!(fixture.owns("ada", "42").await, Ok(Answer::Allowed));
    }
    assert_eq!(server.count(), 1);
    server.reply(Reply::allowed(false));
    assert_eq!(fixture.owns("ada", "42").await, Ok(Answer::Allowed), "kept for an hour");
    let resource = deployment("42");
    let again = async |younger_than: Duration| {
        fixture.directory.ask_again("ada", &resource, Action::Subscribe, younger_than).await
    };
    assert_eq!(again(Duration::from_secs(3_600)).await, Ok(Answer::Allowed));
    assert_eq!(again(Duration::ZERO).await, Ok(Answer::Denied), "asked again");
    assert_eq!(server.count(), 2);
    assert_eq!(again(Duration::from_secs(60)).await, Ok(Answer::Denied), "the newer answer is shared");
    assert_eq!(server.count(), 2);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_another_resource_and_another_action_are_other_questions() {
    let server = WebhookServer::start(Reply::allowed(true));
    server
        .reply_by(|asked| Reply::allowed(asked.body.contains("\"ada\"") && asked.body.contains("subscribe")));
    let fixture = open(&server, "directory_cache = '1h'");
    for _ in 0..2 {
        assert_eq!(fixture.owns("ada", "42").await, Ok(Answer::Allowed));
        assert_eq!(fixture.owns("eve", "42").await, Ok(Answer::Denied));
        assert_eq!(fixture.owns("ada", "43").await, Ok(Answer::Allowed));
        let publish = fixture.directory.owns("ada", &deployment("42"), Action::Publish).await;
        assert_eq!(publish, Ok(Answer::Denied));
    }
    assert_eq!(server.count(), 4);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_many_questions_and_one_that_was_closed_costs_no_error() {
    let server = WebhookServer::start(Reply::allowed(true));
    let fixture = open(&server, "");
    for n in 0..50 {
        assert_eq!(fixture.owns("ada", &n.to_string()).await, Ok(Answer::Allowed));
    }
    assert_eq!((server.count(), server.accepted()), (50, 1));
    for n in 50..60 {
        server.cut();
        assert_eq!(fixture.owns("ada", &n.to_string()).await, Ok(Answer::Allowed));
    }
    assert_eq!(server.count(), 60);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_22_no_more_questions_are_put_at_once_than_the_application_can_take() {
    let server = WebhookServer::start(Reply::Silence);
    // Long enough for all to ask before the first is over.
    let fixture = Arc::new(open(&server, "webhook_timeout = '4s'"));
    let mut asking = JoinSet::new();
    for n in 0..2_000 {
        let fixture = Arc::clone(&fixture);
        asking.spawn(async move { fixture.owns("ada", &n.to_string()).await });
    }
    let mut refused = 0;
    while let Some(answer) = asking.join_next().await {
        match answer.unwrap() {
            Err(DirectoryError::Overloaded) => refused += 1,
            Err(DirectoryError::TimedOut | DirectoryError::Resting) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(refused >= 2_000 - 1_024, "{refused}");
    // Those whose turn it is, and a few in place of the three that fail first.
    assert!((1..=48).contains(&server.accepted()), "{} connections", server.accepted());
    Arc::into_inner(fixture).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_22_an_application_that_is_down_is_left_alone_and_one_question_finds_out() {
    let server = WebhookServer::start(Reply::answer("503 Service Unavailable", ""));
    let fixture = open(&server, "");
    let ask_for = async |time: Duration| {
        let begun = Instant::now();
        let mut asked = 0_u32;
        while begun.elapsed() < time {
            let answer = fixture.owns("ada", &(asked % 7).to_string()).await;
            assert!(answer.is_err(), "{answer:?}");
            asked += 1;
            tokio::task::yield_now().await;
        }
        asked
    };
    let asked = ask_for(Duration::from_secs(2)).await;
    // Three, then one after each rest; with full jitter rests of 250 ms and 500 ms may be short, but not all of them.
    assert!(asked > 1_000, "{asked} asked");
    assert!((3..=30).contains(&server.count()), "{} questions for {asked}", server.count());
    server.reply(Reply::allowed(true));
    let begun = Instant::now();
    while fixture.owns("ada", "42").await != Ok(Answer::Allowed) {
        assert!(begun.elapsed() < Duration::from_secs(15), "it is asked again");
        tokio::task::yield_now().await;
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_questions_the_application_stumbles_over_keeps_nobody_else_out() {
    let server = WebhookServer::start(Reply::Close);
    server.reply_by(|asked| {
        if asked.body.contains("eve") { Reply::answer("500 Oh", "") } else { Reply::allowed(true) }
    });
    let fixture = open(&server, "");
    for n in 0..50 {
        assert!(fixture.owns("eve", &n.to_string()).await.is_err());
    }
    assert!(server.count() < 20, "{} questions", server.count());
    assert_eq!(fixture.owns("ada", "42").await, Ok(Answer::Allowed));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_up_and_down_every_second_makes_no_storm_and_comes_back_each_time() {
    let mut server = WebhookServer::start(Reply::allowed(true));
    let fixture = open(&server, "directory_cache = '10ms'");
    for round in 0..3 {
        server.down();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            // What was answered just before may still be kept.
            let asked_at = begun.elapsed();
            let answer = fixture.owns("ada", "42").await;
            assert!(answer.is_err() || asked_at < Duration::from_millis(100), "{answer:?} at {asked_at:?}");
            tokio::task::yield_now().await;
        }
        let before = server.accepted();
        server.up();
        let begun = Instant::now();
        let mut answered = 0;
        while answered < 20 {
            answered += u32::from(fixture.owns("ada", "42").await == Ok(Answer::Allowed));
            assert!(begun.elapsed() < Duration::from_secs(15), "round {round}: {answered} answers");
            tokio::task::yield_now().await;
        }
        assert!(server.accepted() - before <= 2, "{} connections", server.accepted() - before);
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_stand_in_the_ledger_and_in_the_budget_while_they_are_under_way() {
    let server = WebhookServer::start(Reply::Silence);
    // Long enough to look at it meanwhile.
    let fixture = open(&server, "webhook_timeout = '5s'");
    let before = fixture.hub.ledger().live(Kind::Task);
    let mut asking = Box::pin(fixture.owns("ada", "42"));
    tokio::select! {
        answer = &mut asking => panic!("{answer:?}"),
        () = eventually("it is asked", || server.count() == 1) => {}
    }
    assert_eq!(fixture.hub.ledger().live(Kind::Task), before + 1);
    assert!(fixture.hub.budget().used_by(Owner::Requests) > 0);
    assert_eq!(asking.await, Err(DirectoryError::TimedOut));
    eventually("it is over", || fixture.hub.ledger().live(Kind::Task) == before).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_23_nothing_that_is_asked_and_nothing_that_is_answered_changes_where_it_is_asked() {
    let elsewhere = WebhookServer::start(Reply::allowed(true));
    let away = format!("HTTP/1.1 307 Away\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let server = WebhookServer::start(Reply::Bytes(away.into_bytes()));
    let fixture = open(&server, "");
    let host = elsewhere.address().to_string();
    let users =
        [elsewhere.url(), format!("@{host}/"), format!("x\r\nHost: {host}\r\n\r\n"), format!("//{host}/")];
    for (n, user) in users.iter().enumerate() {
        // No three failures in a row, after which nothing would be asked.
        server.reply(Reply::allowed(false));
        let calm = format!("calm-{n}");
        assert_eq!(fixture.owns(&calm, "42").await, Ok(Answer::Denied));
        let away = format!("HTTP/1.1 307 Away\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
        server.reply(Reply::Bytes(away.into_bytes()));
        let answer = fixture.owns(user, &host).await;
        assert!(matches!(answer, Err(DirectoryError::NoAnswer(_))), "{answer:?}");
    }
    assert_eq!((server.count(), elsewhere.accepted()), (2 * users.len(), 0));
    let host = server.address().to_string();
    assert!(server.asked().iter().all(|asked| asked.header("host") == Some(&host)));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_connections_may_hold_is_charged_and_none_is_opened_without_room() {
    let server = WebhookServer::start(Reply::allowed(true));
    let fixture = open(&server, "");
    let budget = fixture.hub.budget();
    // Room for a question, and none for a connection.
    let all = budget.critical_bytes() - budget.used() - (32 << 10);
    let filled = budget.try_charge(Owner::Frames, all).unwrap();
    assert_eq!(fixture.owns("ada", "42").await, Err(DirectoryError::NoMemory));
    assert_eq!(server.accepted(), 0);
    drop(filled);
    assert_eq!(fixture.owns("ada", "42").await, Ok(Answer::Allowed));
    assert!(budget.used_by(Owner::Caches) > 64 << 10, "the connection that is kept");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_can_never_work_is_refused_at_start() {
    let file = |more: &str| format!("directory = 'webhook'\nwebhook_url = 'http://127.0.0.1:1/'\n{more}\n");
    for (more, says) in [
        ("webhook_secret = 'short'", "webhook_secret: shorter than 16 bytes"),
        (
            "webhook_secret_file = '/nonexistent.key'",
            "webhook_secret_file: cannot read /nonexistent.key: No such",
        ),
    ] {
        let error = Fixture::try_open(&file(more)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(says) && !error.contains("'short'"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_shows_neither_the_url_nor_the_secret() {
    let url = "http://127.0.0.1:1/owns?key=hunter2";
    let fixture = open_at(url, "");
    let error = fixture.owns("ada", "42").await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", fixture.directory);
    assert!(matches!(error, DirectoryError::Unreachable(_)));
    assert!(!shown.contains("hunter2") && !shown.contains(SECRET), "{shown}");
    fixture.finish().await;
}
