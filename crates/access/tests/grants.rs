//! Grants: which paths a pattern is about, and that no pattern and no path makes matching slow.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use watertight_access::fuzzing::reference;
use watertight_access::{Action, Grants, InvalidGrants, InvalidPattern, Pattern};

fn allows(pattern: &str, path: &str) -> bool {
    Grants::new(&[pattern], &[], false).unwrap().allows(Action::Subscribe, path)
}

#[test]
fn a_pattern_is_about_the_paths_of_this_table() {
    for (pattern, granted, refused) in [
        (
            "sessions/demo",
            &["sessions/demo"][..],
            &["sessions/demo2", "sessions/Demo", "session/demo", "sessions/demo/x", "sessions"][..],
        ),
        (
            "sessions/*",
            &["sessions/a", "sessions/ü", "sessions/*", "sessions/..."],
            &["sessions", "sessions/a/b", "services/a"],
        ),
        (
            "sessions/agent-*",
            &["sessions/agent-7", "sessions/agent-"],
            &["sessions/agent", "sessions/agent-7/x", "sessions/xagent-7"],
        ),
        ("sessions/a-*", &["sessions/a-b"], &["sessions/a-/../b", "sessions/a-/b", "sessions/a%2Db"]),
        (
            "sessions/*-a-*",
            &["sessions/x-a-y", "sessions/-a-", "sessions/-a-a-"],
            &["sessions/-a", "sessions/a-"],
        ),
        (
            "sessions/ab*ba",
            &["sessions/abba", "sessions/abxba"],
            &["sessions/aba", "sessions/ab", "sessions/ba"],
        ),
        ("sessions/**", &["sessions/a", "sessions/a/b/c", "sessions/a/**"], &["sessions", "session/a"]),
        ("**", &["a", "sessions/a", "a/b/c/d"], &[]),
        ("*", &["a", "services"], &["a/b"]),
        ("*/metrics", &["services/metrics"], &["services/a/metrics", "metrics"]),
        (
            "deployments/**/logs",
            &["deployments/42/logs", "deployments/a/b/logs"],
            &["deployments/logs", "deployments/42/log", "deployments/42/logs/x"],
        ),
        ("**/logs", &["deployments/42/logs", "a/logs"], &["logs", "alogs"]),
        ("deployments/42/logs", &["deployments/42/logs"], &["deployments/421/logs", "deployments/4/logs"]),
        ("sessions/ä*ö", &["sessions/äö", "sessions/äüö"], &["sessions/ä", "sessions/a\u{308}ö"]),
    ] {
        for path in granted {
            assert!(allows(pattern, path), "{pattern} on {path}");
        }
        for path in refused {
            assert!(!allows(pattern, path), "{pattern} on {path}");
        }
    }
}

#[test]
fn an_ambiguous_path_is_granted_to_nobody() {
    for path in [
        "",
        "/",
        "sessions/",
        "/sessions/a",
        "sessions//a",
        "sessions/.",
        "sessions/..",
        "sessions/../a",
        "./sessions/a",
        "sessions/a/./b",
        "sessions/a/..",
        &"a/".repeat(2000),
    ] {
        assert!(!allows("**", path), "{path}");
    }
    // Decoded once: a name that still looks encoded is just a name.
    assert!(allows("sessions/*", "sessions/%2e%2e"));
    assert!(allows("sessions/*", "sessions/a%2Fb"));
    assert!(!allows("sessions/*", "sessions/a/b"));
}

#[test]
fn subscribe_publish_and_admin_are_apart() {
    let grants =
        Grants::from_json(r#"{"subscribe":["sessions/r"],"publish":["sessions/w"],"admin":false}"#).unwrap();
    assert!(grants.allows(Action::Subscribe, "sessions/r") && !grants.allows(Action::Publish, "sessions/r"));
    assert!(grants.allows(Action::Publish, "sessions/w") && !grants.allows(Action::Subscribe, "sessions/w"));
    assert!(!grants.is_admin());
    let admin = Grants::from_json(r#"{"admin":true}"#).unwrap();
    assert!(admin.is_admin() && !admin.is_empty());
    assert!(!admin.allows(Action::Subscribe, "sessions/r"), "an operator reads no events by being one");
    assert!(Grants::from_json("{}").unwrap().is_empty());
}

#[test]
fn a_pattern_that_cannot_be_meant_is_refused_and_says_why() {
    let deep = vec!["a"; 17].join("/");
    let long = "a".repeat(257);
    for (pattern, why) in [
        ("", InvalidPattern::Empty),
        ("/sessions/a", InvalidPattern::EmptySegment),
        ("sessions/", InvalidPattern::EmptySegment),
        ("sessions//a", InvalidPattern::EmptySegment),
        ("sessions/../a", InvalidPattern::Dots),
        ("sessions/.", InvalidPattern::Dots),
        ("sessions/a**", InvalidPattern::StarsInSegment),
        ("sessions/***", InvalidPattern::StarsInSegment),
        ("**/a/**", InvalidPattern::StarsTwice),
        ("sessions/a\nb", InvalidPattern::ControlCharacter),
        ("sessions/\u{9b}", InvalidPattern::ControlCharacter),
        (&deep, InvalidPattern::TooDeep),
        (&long, InvalidPattern::TooLong),
    ] {
        assert_eq!(Pattern::new(pattern), Err(why), "{pattern:?}");
        let refused = Grants::new(&["fine", pattern], &[], false).unwrap_err();
        assert_eq!(refused, InvalidGrants::Pattern { action: Action::Subscribe, number: 2, why });
        assert!(refused.to_string().starts_with("pattern 2 of `subscribe`"), "{refused}");
    }
    assert!(
        Pattern::new(&deep[2..]).is_ok() && Pattern::new(&long[1..]).is_ok(),
        "the limits themselves are fine"
    );
}

#[test]
fn the_claim_is_an_object_with_each_member_once() {
    for (claim, why) in [
        ("[]", InvalidGrants::NoObject),
        ("null", InvalidGrants::NoObject),
        (r#"[["**"],["**"],true]"#, InvalidGrants::NoObject),
        (r#"{"admin":false,"admin":true}"#, InvalidGrants::NoObject),
        (r#"{"subscribe":[],"subscribe":["**"]}"#, InvalidGrants::NoObject),
        (r#"{"subscribe":"**"}"#, InvalidGrants::NoList(Action::Subscribe)),
        (r#"{"subscribe":{"0":"**"}}"#, InvalidGrants::NoList(Action::Subscribe)),
        (r#"{"publish":[["**"]]}"#, InvalidGrants::NoList(Action::Publish)),
        (r#"{"publish":null}"#, InvalidGrants::NoList(Action::Publish)),
        (r#"{"admin":"true"}"#, InvalidGrants::NoSwitch),
        (r#"{"admin":null}"#, InvalidGrants::NoSwitch),
        (r#"{"admin":1}"#, InvalidGrants::NoSwitch),
    ] {
        assert_eq!(Grants::from_json(claim), Err(why), "{claim}");
    }
}

#[test]
fn no_pattern_makes_matching_slow() {
    let stars = "*a".repeat(100) + "*b";
    let path = format!("{}c", "a".repeat(2000));
    let segments = vec!["a"; 1000].join("/");
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(!allows(&stars, &path));
        assert!(!allows("a/a/a/a/a/a/a/**/a/a/a/a/a/a/b", &segments));
        assert!(!allows("*a*a*a*a*b", &path));
    }
    // Backtracking would take longer than the age of the universe; this takes some milliseconds.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Segments in which patterns and paths that nearly fit are frequent; never with two stars in a row.
fn segment(characters: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(characters), 1..6).prop_map(|mut pieces| {
        pieces.dedup_by(|one, other| *one == "*" && *other == "*");
        pieces.concat()
    })
}

/// A pattern: some segments, with `**` among them or not.
fn pattern() -> impl Strategy<Value = String> {
    (
        proptest::collection::vec(segment(&["a", "b", "ü", "*", "*"]), 1..6),
        any::<Option<prop::sample::Index>>(),
    )
        .prop_map(|(mut segments, stars)| {
            if let Some(at) = stars {
                *at.get_mut(&mut segments) = "**".to_owned();
            }
            segments.join("/")
        })
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(segment(&["a", "a", "b", "ü", "."]), 1..6)
        .prop_map(|segments| segments.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn matching_is_what_the_slow_obvious_matcher_says(
        pattern in pattern(),
        path in path(),
    ) {
        let expected = reference::is_plain(&path) && reference::matches(&pattern, &path);
        prop_assert_eq!(allows(&pattern, &path), expected, "{} on {}", pattern, path);
    }

    #[test]
    fn a_path_fits_itself_and_every_pattern_with_a_part_of_it_starred(
        segments in proptest::collection::vec("[a-zäöü]{1,6}", 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        let path = segments.join("/");
        prop_assert!(allows(&path, &path));
        let mut starred = segments.clone();
        *at.get_mut(&mut starred) = "*".to_owned();
        prop_assert!(allows(&starred.join("/"), &path));
        *at.get_mut(&mut starred) = "**".to_owned();
        prop_assert!(allows(&starred.join("/"), &path));
    }
}
