//! Endpoints as they are met: real sockets, answers down to the byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json as object};
use support::{Answer, Around, Exporter, PATIENCE, eventually, head, json, ok, poll_times, prometheus, text};
use watertight_figures::{Sampler, ScrapeUrl, Target};

const TWO: Duration = Duration::from_secs(2);

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

/// An answer of chunks, without a length.
fn chunked(headers: &str, pieces: &[&[u8]]) -> Answer {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{headers}transfer-encoding: chunked\r\n\r\n");
    let chunk = |piece: &&[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    let chunks = pieces.iter().map(chunk).chain([b"0\r\n\r\n".to_vec()]);
    Answer::Pieces([head.into_bytes()].into_iter().chain(chunks).collect())
}

/// The error of one sample, all of whose text has no secret in it.
async fn code_of(around: &Around, answer: Answer) -> (String, String) {
    let exporter = Exporter::new(vec![answer]);
    let mut sampler = around.sampler(prometheus(&exporter.url().replace("//", "//ada:secret@")));
    let sample = tokio::time::timeout(2 * PATIENCE, sampler.sample()).await.expect("an end");
    let text = format!("{sample:?} {sampler:?}");
    assert!(!text.contains("secret") && !text.contains("ada"), "{text}");
    assert!(!text.contains(&exporter.address().to_string()), "{text}");
    let json = json(&sample);
    assert_eq!(json.get("families"), None, "{json}");
    drop((sample, sampler));
    assert_eq!(around.budget.used(), 0);
    eventually("the connection is closed", || exporter.connections() == 0).await;
    let member = |name: &str| json["error"][name].as_str().expect("text").to_string();
    (member("code"), member("detail"))
}

#[tokio::test]
async fn it_asks_for_text_and_gzip_with_the_password_and_keeps_the_connection() {
    let (around, exporter) = (Around::new(), Exporter::new(vec![text("up 1\n")]));
    let mut sampler = around.sampler(prometheus(&exporter.url().replace("//", "//ada:secret@")));
    for _ in 0..3 {
        assert_eq!(json(&sampler.sample().await)["error"], Value::Null);
    }
    let requests = exporter.requests();
    assert_eq!((requests.len(), exporter.connections()), (3, 1));
    for line in [
        "GET /metrics HTTP/1.1\r\n",
        "accept: text/plain;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.8,application/openmetrics-text;",
        "accept-encoding: gzip\r\n",
        "user-agent: watertight/",
        "authorization: Basic YWRhOnNlY3JldA==\r\n",
    ] {
        assert!(requests[0].contains(line), "{line} in {}", requests[0]);
    }
}

#[tokio::test]
async fn the_content_type_says_whether_it_is_openmetrics() {
    let body = b"# TYPE r counter\nr_total 1\n";
    let answers =
        vec![ok("text/plain; version=0.0.4", body), ok("application/openmetrics-text; version=1.0.0", body)];
    let (around, exporter) = (Around::new(), Exporter::new(answers));
    let mut sampler = around.scraper(&exporter);
    assert_eq!(json(&sampler.sample().await)["badLines"], 0);
    // Its end is missing.
    assert_eq!(json(&sampler.sample().await)["badLines"], 1);
}

/// Each row: what it is, the answer, the samples that are read, and the lines that are bad.
#[tokio::test]
async fn all_that_is_valid_is_read_whatever_stands_beside_it() {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const TEXT: &str = "text/plain; version=0.0.4";
    let around = Around::new();
    for (what, content_type, answer, samples, bad_lines) in [
        ("blanks at line ends", TEXT, "a 1 \nb 2\t \r\nc 3\n", 3, 0),
        ("no final line feed", TEXT, "a 1\nb 2", 2, 0),
        ("a trailing comma in labels", TEXT, "a{l=\"v\",} 1\n", 1, 0),
        ("a name in quotation marks", TEXT, "{\"metric.name\",l=\"v\"} 1\n", 1, 0),
        ("exemplars", TEXT, "a 1 # {trace_id=\"x\"} 0.5 1520879607.789\nb 2\n", 2, 0),
        ("tabs", TEXT, "a\t1\nb{l\t=\t\"v\"}\t2\t3\n", 2, 0),
        ("an empty answer", TEXT, "", 0, 0),
        ("OpenMetrics", OPENMETRICS, "# TYPE a counter\na_total 1 # {t=\"x\"} 1\na_created 2\n# EOF\n", 2, 0),
        ("a duplicate family", TEXT, "# TYPE a gauge\na{n=\"1\"} 1\n# TYPE a gauge\na{n=\"2\"} 2\n", 2, 0),
        ("bad lines", TEXT, "a 1\nb\n\u{0}\nc{ 1\n# TYPE d nothing\ne 5\n", 2, 4),
    ] {
        let exporter = Exporter::new(vec![ok(content_type, answer.as_bytes())]);
        let sample = json(&around.scraper(&exporter).sample().await);
        let families = sample["families"].as_array().expect(what).iter();
        let count: usize = families.map(|family| family["samples"].as_array().expect(what).len()).sum();
        assert_eq!((count, &sample["badLines"]), (samples, &object!(bad_lines)), "{what}: {sample}");
        assert_eq!(sample.get("firstBadLine").is_some(), bad_lines > 0, "{what}: {sample}");
    }
}

#[tokio::test]
async fn gzip_is_read() {
    let body = gzip(b"up{l=\"v\"} 1\n");
    let answer = vec![head("text/plain", "content-encoding: gzip\r\n", body.len()), body];
    let (around, exporter) = (Around::new(), Exporter::new(vec![Answer::Pieces(answer)]));
    let sample = json(&around.scraper(&exporter).sample().await);
    assert_eq!(sample["families"][0]["samples"][0]["value"], 1, "{sample}");
}

#[tokio::test]
async fn what_counts_is_a_rate_from_the_second_sample_on() {
    let metrics = |count: f64| {
        text(&format!(
            "# TYPE r counter\nr {count}\nr_created 5\n# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} {count}\nh_sum {count}\n\
             h_count {count}\n# TYPE s summary\ns{{quantile=\"0.5\"}} {count}\ns_sum {count}\ns_count {count}\n\
             # TYPE g gauge\ng {count}\nu {count}\n"
        ))
    };
    let (around, exporter) = (Around::new(), Exporter::new(vec![metrics(10.0), metrics(10.4)]));
    let mut sampler = around.scraper(&exporter);
    let rates = |sample: &Value| -> Vec<(String, Value, Value)> {
        let samples = sample["families"].as_array().expect("families").iter();
        let samples = samples.flat_map(|family| family["samples"].as_array().expect("samples"));
        let counting = samples.filter(|sample| sample.get("perSecond").is_some());
        counting
            .map(|sample| {
                let name = sample["name"].as_str().expect("a name").to_string();
                (name, sample["perSecond"].clone(), sample.get("missing").cloned().unwrap_or_default())
            })
            .collect()
    };
    let each = |rate: Value, missing: Value| -> Vec<(String, Value, Value)> {
        let counting = ["r", "h_bucket", "h_sum", "h_count", "s_sum", "s_count"];
        counting.iter().map(|name| ((*name).to_string(), rate.clone(), missing.clone())).collect()
    };
    assert_eq!(rates(&json(&sampler.sample().await)), each(Value::Null, object!("first_sample")));
    around.clock.advance(TWO);
    assert_eq!(rates(&json(&sampler.sample().await)), each(object!(0.2), Value::Null));
}

/// The counter `r` of a sample: value, rate and why one is missing.
async fn counter(sampler: &mut Sampler) -> Value {
    let sample = json(&sampler.sample().await);
    let found = &sample["families"][0]["samples"][0];
    object!([found["value"], found["perSecond"], found["missing"]])
}

#[tokio::test]
async fn a_counter_that_restarts_has_no_rate_once() {
    let counts = [5, 3, 4].map(|count| text(&format!("# TYPE r counter\nr {count}\n")));
    let (around, exporter) = (Around::new(), Exporter::new(counts.into()));
    let mut sampler = around.scraper(&exporter);
    assert_eq!(counter(&mut sampler).await, object!([5, null, "first_sample"]));
    around.clock.advance(TWO);
    assert_eq!(counter(&mut sampler).await, object!([3, null, "restarted"]));
    around.clock.advance(TWO);
    assert_eq!(counter(&mut sampler).await, object!([4, 0.5, null]));
}

#[tokio::test]
async fn a_counter_that_is_no_number_has_neither_value_nor_rate() {
    let counts = ["5", "NaN", "+Inf", "7"].map(|count| text(&format!("# TYPE r counter\nr {count}\n")));
    let (around, exporter) = (Around::new(), Exporter::new(counts.into()));
    let mut sampler = around.scraper(&exporter);
    counter(&mut sampler).await;
    around.clock.advance(TWO);
    assert_eq!(counter(&mut sampler).await, object!([null, null, "not_a_number"]));
    around.clock.advance(TWO);
    assert_eq!(counter(&mut sampler).await, object!([null, null, "infinite"]));
    around.clock.advance(TWO);
    assert_eq!(counter(&mut sampler).await, object!([7, null, "first_sample"]));
}

#[tokio::test]
async fn a_service_that_disappears_says_so_and_comes_back_with_its_rates() {
    let around = Around::new();
    let answers = vec![
        text("# TYPE r counter\nr 1\n"),
        Answer::Last(Vec::new()),
        Answer::Last(Vec::new()),
        text("# TYPE r counter\nr 5\n"),
    ];
    let exporter = Exporter::new(answers);
    let mut sampler = around.scraper(&exporter);
    counter(&mut sampler).await;
    around.clock.advance(TWO);
    assert_eq!(json(&sampler.sample().await)["error"]["code"], "UNREACHABLE");
    while exporter.requests().len() < 3 {
        sampler.sample().await;
    }
    around.clock.advance(TWO);
    assert_eq!(counter(&mut sampler).await, object!([5, 1, null]));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unreachable() {
    let around = Around::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let sample = json(&around.sampler(prometheus(&format!("http://ada:secret@{address}/"))).sample().await);
    let expected = object!({"source": "prometheus",
        "error": {"code": "UNREACHABLE", "detail": "there is no connection to it"}});
    assert_eq!(sample, expected);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Exporter::new(vec![text("up 1\n")]);
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let (code, detail) = code_of(&Around::new(), Answer::Last(redirect.into_bytes())).await;
    assert_eq!(code, "HTTP_STATUS");
    assert_eq!(detail, "it answered with a redirect (status 302), which is not followed");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_status_other_than_200_is_told() {
    for status in ["401 No", "404 No", "500 No", "204 No"] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let (code, detail) = code_of(&Around::new(), Answer::Last(answer.into_bytes())).await;
        assert_eq!(
            (&*code, &*detail),
            ("HTTP_STATUS", &*format!("it answered with status {}", &status[..3]))
        );
    }
}

#[tokio::test]
async fn what_is_no_metrics_is_refused() {
    let around = Around::new();
    for (what, answer) in [
        ("a page", ok("text/html", b"<p>Hello")),
        ("text", ok("text/plain", b"Hello, how are you?\nFine!\n")),
        (
            "UTF-16",
            ok("text/plain", &"up 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
        ),
        (
            "another encoding",
            Answer::Last([head("text/plain", "content-encoding: br\r\n", 5), b"up 1\n".to_vec()].concat()),
        ),
        (
            "no gzip",
            Answer::Last([head("text/plain", "content-encoding: gzip\r\n", 5), b"up 1\n".to_vec()].concat()),
        ),
    ] {
        assert_eq!(code_of(&around, answer).await.0, "NOT_METRICS", "{what}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_before_they_are_read() {
    let head = head("text/plain", "", 100 << 20);
    let (code, detail) = code_of(&Around::new(), Answer::Hang(head)).await;
    assert_eq!((&*code, &*detail), ("TOO_LARGE", "its answer is longer than 8388608 bytes"));
}

#[tokio::test]
async fn a_hundred_megabytes_without_a_length_are_read_no_further_than_the_limit() {
    let around = Around::new();
    let line = format!("{:x}\r\nup{{l=\"{}\"}} 1\n\r\n", 60_011, "x".repeat(60_000));
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let exporter = Exporter::new(vec![Answer::Endless(head, line.into_bytes(), 100 << 20)]);
    let mut sampler = around.scraper(&exporter);
    assert_eq!(json(&sampler.sample().await)["error"]["code"], "TOO_LARGE");
    eventually("the connection is closed", || exporter.connections() == 0).await;
    // What the kernel holds between the two comes on top.
    assert!(exporter.bytes_sent() < 30 << 20, "{} bytes", exporter.bytes_sent());
    assert_eq!(around.budget.used(), 0);
}

#[tokio::test]
async fn a_gzip_bomb_is_refused() {
    let bomb = gzip(&vec![b'\n'; 100 << 20]);
    let answer = vec![head("text/plain", "content-encoding: gzip\r\n", bomb.len()), bomb];
    assert_eq!(code_of(&Around::new(), Answer::Pieces(answer)).await.0, "TOO_LARGE");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let around = Around::new();
    let cut = [head("text/plain", "", 500), b"up 1\n".to_vec()].concat();
    let (code, detail) = code_of(&around, Answer::Last(cut)).await;
    assert_eq!((&*code, &*detail), ("UNREACHABLE", "the connection to it broke before the answer was whole"));
    assert_eq!(code_of(&around, Answer::Last(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).await.0, "UNREACHABLE");
}

#[tokio::test]
async fn an_endpoint_that_stalls_is_given_up_in_time() {
    let mut around = Around::new();
    around.limits.time_max = Duration::from_millis(150);
    let body = [head("text/plain", "", 500), b"up 1\n".to_vec()].concat();
    for stalled in [Vec::new(), b"HTTP/1.1 200 OK\r\n".to_vec(), body] {
        let (code, detail) = code_of(&around, Answer::Hang(stalled)).await;
        assert_eq!((&*code, &*detail), ("TIMEOUT", "it did not answer within 0.15 s"));
    }
}

#[tokio::test]
async fn an_answer_without_room_in_the_budget_is_refused() {
    let mut around = Around::new();
    around.budget = watertight_core::Budget::new(200 << 10, 200 << 10);
    let lines: String = (0..2_000).map(|number| format!("up{{n=\"{number}\"}} 1\n")).collect();
    let (code, _) = code_of(&around, text(&lines)).await;
    assert_eq!(code, "NO_MEMORY");
}

#[tokio::test]
async fn a_sample_that_is_dropped_at_any_await_leaves_nothing_and_the_next_one_works() {
    let around = Around::new();
    let line = |number: usize| format!("# TYPE r counter\nr{{n=\"{number}\"}} 1\n");
    let lines: Vec<String> = (0..20).map(line).collect();
    let pieces: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let exporter = Exporter::new(vec![chunked("", &pieces)]);
    let mut whole = 0;
    for polls in 0.. {
        let mut sampler = around.scraper(&exporter);
        let dropped = poll_times(sampler.sample(), polls).await;
        whole += usize::from(dropped.is_some());
        if dropped.is_none() {
            assert_eq!(around.budget.used(), 0, "after {polls} polls");
            // One that was being opened may be finished and kept for the next sample.
            eventually("no more than one connection", || exporter.connections() <= 1).await;
        }
        drop(dropped);
        let next = json(&sampler.sample().await);
        assert_eq!(next["error"], Value::Null, "after {polls} polls");
        assert_eq!(next["families"][0]["samples"].as_array().map(Vec::len), Some(20), "after {polls} polls");
        drop(sampler);
        assert_eq!(around.budget.used(), 0, "after {polls} polls");
        eventually("the connection is closed", || exporter.connections() == 0).await;
        // How many polls it takes depends on how the bytes arrive.
        if whole == 5 {
            assert!(polls > 5, "there was hardly an await: {polls}");
            break;
        }
    }
}

#[tokio::test]
async fn a_sample_that_is_dropped_keeps_the_counters_of_the_one_before() {
    let hang = Answer::Hang(head("text/plain", "", 500));
    let answers = vec![text("# TYPE r counter\nr 1\n"), hang, text("# TYPE r counter\nr 5\n")];
    let (around, exporter) = (Around::new(), Exporter::new(answers));
    let mut sampler = around.scraper(&exporter);
    counter(&mut sampler).await;
    around.clock.advance(TWO);
    {
        let mut dropped = std::pin::pin!(sampler.sample());
        while exporter.requests().len() < 2 {
            assert!(poll_times(&mut dropped, 1).await.is_none());
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(counter(&mut sampler).await, object!([5, 2, null]));
}

#[test]
fn what_cannot_be_a_target_is_refused_when_it_is_made() {
    let around = Around::new();
    let new = |target| {
        let surroundings = watertight_figures::Surroundings {
            roots: around.roots.clone(),
            clock: std::sync::Arc::new(Duration::default),
            budget: around.budget.clone(),
        };
        Sampler::new(target, around.limits.clone(), surroundings).map(drop)
    };
    let url = ScrapeUrl::new("http://127.0.0.1:1/").expect("a URL");
    let families = vec![String::from("a"); 1_001];
    assert!(new(Target::Prometheus { url, families }).is_err());
    assert!(new(Target::Cgroup("../../etc".into())).is_err());
    let nobody = watertight_figures::ProcessId { id: 0, started: None };
    assert!(new(Target::Process(nobody)).is_err());
}

#[test]
fn samplers_and_samples_may_go_from_thread_to_thread() {
    fn is_send<T: Send>(_: &T) {}
    let mut sampler = Around::new().sampler(Target::Host);
    is_send(&sampler);
    is_send(&sampler.sample());
    fn is_shared<T: Send + Sync>() {}
    is_shared::<watertight_figures::ServiceSample>();
}
