//! What an answer becomes: families as JSON, whatever is beside them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use watertight_core::Budget;
use watertight_figures::fuzzing::{fuzz_exposition, limits, read};
use watertight_figures::{Body, Limits, ServiceSample, Source};

/// The answer as it stands in an event.
fn sample(text: &[u8], is_openmetrics: bool, chosen: &[&str], limits: &Limits) -> Value {
    let budget = Budget::new(1 << 30, 1 << 30);
    let families = read(text, is_openmetrics, chosen, limits, &budget, text.len()).expect("metrics");
    let sample = ServiceSample { source: Source::Prometheus, outcome: Ok(Body::Prometheus(families)) };
    let json = serde_json::to_string(&sample).expect("JSON");
    drop(sample);
    assert_eq!(budget.used(), 0, "all is given back");
    serde_json::from_str(&json).expect("JSON")
}

fn text(answer: &str) -> Value {
    sample(answer.as_bytes(), false, &[], &Limits::default())
}

fn openmetrics(answer: &str) -> Value {
    sample(answer.as_bytes(), true, &[], &Limits::default())
}

/// `family:sample=value` of all.
fn values(sample: &Value) -> Vec<String> {
    let families = sample["families"].as_array().expect("families").iter();
    families
        .flat_map(|family| {
            family["samples"].as_array().expect("samples").iter().map(|sample| {
                format!("{}:{}={}", family["name"], sample["name"], sample["value"]).replace('"', "")
            })
        })
        .collect()
}

#[test]
fn a_family_stands_in_the_event_as_documented() {
    let sample = text("# HELP up Whether it is \"up\".\n# TYPE up gauge\nup{b=\"2\",a=\"1\"} 1.5\n");
    let expected = json!({"source": "prometheus", "error": null, "truncated": 0, "badLines": 0, "families": [
        {"name": "up", "type": "gauge", "help": "Whether it is \"up\".", "samples": [
            {"name": "up", "labels": {"a": "1", "b": "2"}, "value": 1.5}]}]});
    assert_eq!(sample, expected);
}

#[test]
fn blanks_at_line_ends_tabs_and_a_missing_last_line_feed_cost_nothing() {
    let sample = text("a 1 \nb\t2\t\n\n \t \r\nc{l=\"v\",} 3\r\n{\"metric.name\",l=\"v\"} 4");
    assert_eq!(values(&sample), ["a:a=1", "b:b=2", "c:c=3", "metric.name:metric.name=4"]);
    assert_eq!(sample["badLines"], 0);
}

#[test]
fn a_bad_line_costs_itself_and_is_told() {
    let sample = text("a 1\nb{l=v} 2\nc 3\nd\nTOTAL NONSENSE\n<html>\ne 5\n");
    assert_eq!(values(&sample), ["a:a=1", "c:c=3", "e:e=5"]);
    assert_eq!(sample["badLines"], 4);
    assert_eq!(sample["firstBadLine"]["line"], 2);
    let detail = sample["firstBadLine"]["detail"].as_str().expect("text");
    assert!(detail.contains("NAME=\"VALUE\""), "{detail}");
}

#[test]
fn an_empty_answer_is_no_error() {
    for answer in ["", "\n", "# a comment\n", "# TYPE up gauge\n"] {
        assert_eq!(text(answer)["families"], json!([]), "{answer:?}");
    }
}

#[test]
fn an_answer_without_any_metric_says_which_line_is_bad() {
    let budget = Budget::new(1 << 30, 1 << 30);
    let bad =
        read(b"<!doctype html>\n<p>Hello\n", false, &[], &limits(), &budget, 7).expect_err("no metrics");
    assert_eq!(bad.line, 1);
}

#[test]
fn a_family_that_comes_twice_is_one() {
    let sample = text(
        "# HELP a A\n# TYPE a counter\na{n=\"1\"} 1\n# TYPE b gauge\nb 1\n# HELP a A\n# TYPE a counter\na{n=\"2\"} 2\n",
    );
    assert_eq!(values(&sample), ["a:a=1", "a:a=2", "b:b=1"]);
    assert_eq!(sample["badLines"], 0);
}

#[test]
fn a_family_keeps_its_first_type_and_a_series_its_first_value() {
    let sample = text("# TYPE a counter\na 1\n# TYPE a gauge\n# HELP a A\n# HELP a B\na 2\na{l=\"v\"} 3\n");
    assert_eq!(values(&sample), ["a:a=1", "a:a=3"]);
    assert_eq!(sample["families"][0]["type"], "counter");
    assert_eq!(sample["families"][0]["help"], "A");
    assert_eq!(sample["badLines"], 3);
}

#[test]
fn of_a_series_with_timestamps_the_latest_counts() {
    let sample = text("a 1 100\na 2 300\na 3 200\n");
    assert_eq!(values(&sample), ["a:a=2"]);
    assert_eq!(sample["badLines"], 1);
}

#[test]
fn a_type_that_comes_late_still_counts() {
    let sample = text("a 1\n# TYPE a counter\n# HELP a A\n");
    assert_eq!(sample["families"][0]["type"], "counter");
    assert_eq!(sample["families"][0]["help"], "A");
}

#[test]
fn parts_of_histograms_and_summaries_stand_under_their_family() {
    let sample = text(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n\
         # TYPE s summary\ns{quantile=\"0.5\"} 4\ns_sum 5\ns_count 6\n\
         # TYPE h_count_total gauge\nh_count_total 7\nx_count 8\n",
    );
    let expected = [
        "h:h_bucket=1",
        "h:h_bucket=2",
        "h:h_sum=3",
        "h:h_count=2",
        "s:s=4",
        "s:s_sum=5",
        "s:s_count=6",
        "h_count_total:h_count_total=7",
        "x_count:x_count=8",
    ];
    assert_eq!(values(&sample), expected);
}

#[test]
fn openmetrics_is_read_with_its_types_suffixes_and_exemplars() {
    let sample = openmetrics(
        "# TYPE r counter\n# UNIT r seconds\n# HELP r say \\\"r\\\"\nr_total{c=\"200\"} 17 1520879607.789 # {t=\"x\"} 0.6\n\
         r_created{c=\"200\"} 1520430000.123\n# TYPE b info\nb_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"on\"} 1\n\
         # TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gcount 1\ng_gsum 2\n# TYPE u unknown\nu 1\n# EOF\n",
    );
    let expected = [
        "r:r_total=17",
        "r:r_created=1520430000.123",
        "b:b_info=1",
        "s:s=1",
        "g:g_bucket=1",
        "g:g_gcount=1",
        "g:g_gsum=2",
        "u:u=1",
    ];
    assert_eq!(values(&sample), expected);
    assert_eq!(sample["badLines"], 0);
    assert_eq!(sample["families"][0]["help"], "say \"r\"");
    assert_eq!(sample["families"][3]["type"], "gaugehistogram");
    assert_eq!(sample["families"][4]["type"], "untyped");
}

#[test]
fn openmetrics_without_its_end_is_told_and_nothing_counts_behind_it() {
    let cut = openmetrics("a 1\n");
    assert_eq!((values(&cut).len(), &cut["badLines"]), (1, &json!(1)));
    let longer = openmetrics("a 1\n# EOF\nb 2\n");
    assert_eq!((values(&longer).len(), &longer["badLines"]), (1, &json!(1)));
}

#[test]
fn what_is_no_number_in_json_is_null_with_a_reason() {
    let sample = text("a NaN\nb +Inf\nc -Inf\nd 1e308\n");
    let reasons: Vec<&Value> =
        (0..4).map(|index| &sample["families"][index]["samples"][0]["missing"]).collect();
    assert_eq!(reasons, [&json!("not_a_number"), &json!("infinite"), &json!("infinite"), &Value::Null]);
    assert_eq!(sample["families"][0]["samples"][0]["value"], Value::Null);
    assert_eq!(sample["families"][3]["samples"][0]["value"], json!(1e308));
}

#[test]
fn names_choose_families_and_parts_of_them() {
    let answer = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 3\nh_count 2\n# TYPE a gauge\na 1\nab 2\n";
    let chosen = |names: &[&str]| values(&sample(answer.as_bytes(), false, names, &Limits::default()));
    assert_eq!(chosen(&["h"]), ["h:h_bucket=1", "h:h_sum=3", "h:h_count=2"]);
    assert_eq!(chosen(&["h_count", "a"]), ["h:h_count=2", "a:a=1"]);
    assert_eq!(chosen(&["none"]), [""; 0]);
    let openmetrics = b"# TYPE r counter\nr_total 1\n# EOF\n";
    for name in ["r", "r_total"] {
        assert_eq!(
            values(&sample(openmetrics, true, &[name], &Limits::default())),
            ["r:r_total=1"],
            "{name}"
        );
    }
}

#[test]
fn samples_beyond_the_limit_are_counted() {
    let answer: String = (0..5_100).map(|number| format!("a{{n=\"{number}\"}} {number}\n")).collect();
    let sample = text(&answer);
    assert_eq!(values(&sample).len(), 5_000);
    assert_eq!(sample["truncated"], 100);
}

#[test]
fn json_never_grows_beyond_its_limit() {
    let json_bytes_max = 10_000;
    let limits = Limits { json_bytes_max, ..Limits::default() };
    let answer: String = (0..1_000).map(|number| format!("a{{n=\"{number}\\n\u{1}\"}} NaN\n")).collect();
    let sample = sample(answer.as_bytes(), false, &[], &limits);
    let (kept, truncated) = (values(&sample).len(), sample["truncated"].as_u64().expect("a number"));
    let bytes = sample["families"].to_string().len();
    assert!(bytes <= json_bytes_max && bytes > json_bytes_max / 2, "{bytes} bytes");
    assert_eq!(kept as u64 + truncated, 1_000);

    let helps: String =
        (0..20).map(|number| format!("a{number} 1\n# HELP a{number} {}\n", "x".repeat(2_000))).collect();
    let sample = self::sample(helps.as_bytes(), false, &[], &limits);
    let bytes = sample["families"].to_string().len();
    assert!(bytes <= json_bytes_max, "{bytes} bytes");
    assert_eq!(values(&sample).len() as u64 + sample["truncated"].as_u64().expect("a number"), 20);
}

#[test]
fn a_line_or_labels_beyond_the_limit_cost_themselves() {
    let long = format!("a{{l=\"{}\"}} 1\nb 2\n", "x".repeat(100_000));
    let sample = text(&long);
    assert_eq!((values(&sample), &sample["badLines"]), (vec!["b:b=2".to_string()], &json!(1)));
    let labels: String = (0..65).map(|number| format!("l{number}=\"\",")).collect();
    let sample = text(&format!("a{{{labels}}} 1\nb 2\n"));
    assert_eq!((values(&sample), &sample["badLines"]), (vec!["b:b=2".to_string()], &json!(1)));
}

#[test]
fn an_answer_that_does_not_fit_the_budget_is_refused_and_given_back() {
    let budget = Budget::new(64 << 10, 64 << 10);
    let answer: String = (0..1_000).map(|number| format!("a{{n=\"{number}\"}} 1\n")).collect();
    let refused = read(answer.as_bytes(), false, &[], &Limits::default(), &budget, 4_096);
    assert_eq!(refused.expect_err("no room").detail, "no memory");
    assert_eq!(budget.used(), 0);
}

/// Lines as exporters write them, and lines that are nearly so.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}(_total|_bucket|_sum|_count|_created|_info)?(\\{[a-c]=\"[a-c\\\\\"n{},]{0,4}\",?\\})? [0-9.eE+-]{1,5}( [0-9]{1,3})?",
        "\\{\"[a-c.]{1,3}\"(,[a-c]=\"[a-c]?\")?\\} (1|NaN|\\+Inf)( # \\{a=\"b\"\\} 1)?",
        "# (TYPE|HELP|EOF|UNIT) ?[a-c]{0,2} (counter|gauge|histogram|summary|info|x)?",
        "[ \ta-c{}\",=#\\\\0-9\r]{0,12}",
    ]
}

proptest! {
    #[test]
    fn any_lines_are_read_the_same_however_they_are_cut(
        lines in prop::collection::vec(line(), 0..80), how: u8, ending in prop_oneof!["\n", "\r\n", ""],
    ) {
        let mut input = vec![how];
        input.extend((lines.join("\n") + &ending).into_bytes());
        fuzz_exposition(&input);
    }

    #[test]
    fn any_bytes_are_read_without_harm(input in prop::collection::vec(any::<u8>(), 0..2_000)) {
        fuzz_exposition(&input);
    }

    #[test]
    fn a_good_line_survives_any_neighbours(
        before in prop::collection::vec(line(), 0..8), after in prop::collection::vec(line(), 0..8),
    ) {
        let good = "{\"the.good\",l=\"v\"} 17";
        let answer = [before, vec![good.to_string()], after].concat().join("\n");
        let sample = sample(answer.as_bytes(), false, &["the.good"], &Limits::default());
        prop_assert_eq!(values(&sample), ["the.good:the.good=17"]);
    }
}
