//! The fuzz targets in short, on bytes that are nearly what they should be.

use proptest::prelude::*;
use watertight_access::fuzzing::{fuzz_claims, fuzz_grants, fuzz_head, fuzz_pattern};

/// JSON, more or less: pieces that a header or a claim is made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\u0000",
        "null",
        "true",
        "false",
        "-",
        "1",
        "1.5",
        "1e10",
        "1e400",
        "9223372036854775808",
        "\"exp\":",
        "\"nbf\":",
        "\"iat\":",
        "\"sub\":\"ada\"",
        "\"aud\":[",
        "\"iss\":",
        "\"watertight\":{",
        "\"subscribe\":[",
        "\"publish\":[",
        "\"admin\":",
        "\"sessions/*\"",
        "\"**\"",
        "\"a/../b\"",
        "\"alg\":\"HS256\"",
        "\"alg\":\"none\"",
        "\"kid\":\"1\"",
        "\"crit\":[]",
        "eyJhbGciOiJIUzI1NiJ9",
        ".",
        "e30",
        "=",
    ]);
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Objects whose members are fine or nearly so.
fn object() -> impl Strategy<Value = String> {
    let value = proptest::sample::select(vec![
        "1700000000",
        "1725365460.408731",
        "-1",
        "1e300",
        "\"text\"",
        "null",
        "true",
        "[]",
        "[\"hub\"]",
        "{}",
        "\"\"",
        "{\"subscribe\":[\"sessions/*\"],\"admin\":true}",
        "{\"publish\":[\"**\",\"a//b\"]}",
    ]);
    let name = proptest::sample::select(vec![
        "exp",
        "nbf",
        "iat",
        "sub",
        "iss",
        "aud",
        "jti",
        "watertight",
        "active",
        "x",
    ]);
    proptest::collection::vec((name, value), 0..8).prop_map(|members| {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_head_or_refused(text in prop_oneof![pieces(), any::<String>(), object()]) {
        fuzz_head(text.as_bytes());
    }

    #[test]
    fn any_head_in_three_parts_is_one_or_refused(header in pieces(), claims in object(), signature in ".{0,8}") {
        use base64::Engine as _;
        let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        fuzz_head(format!("{}.{}.{signature}", encode(header), encode(claims)).as_bytes());
    }

    #[test]
    fn any_bytes_are_claims_or_refused(text in prop_oneof![object(), pieces()], bytes in any::<Vec<u8>>()) {
        fuzz_claims(text.as_bytes());
        fuzz_claims(&bytes);
    }

    #[test]
    fn any_text_is_a_claim_of_grants_or_refused(text in prop_oneof![pieces(), object()]) {
        fuzz_grants(text.as_bytes());
    }

    #[test]
    fn any_text_is_a_pattern_or_refused(pattern in "[ab*/.]{0,12}", path in "[ab/.*]{0,12}") {
        fuzz_pattern(format!("{pattern}\n{path}").as_bytes());
    }
}
