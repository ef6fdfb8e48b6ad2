//! What is held is charged: compared with what the allocator gave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write;

use watertight_core::Budget;
use watertight_figures::Limits;
use watertight_figures::fuzzing::read;

/// The line that is not complete, and the names chosen: a sample charges them apart, before it asks.
const BESIDE: u64 = 68 << 10;

fn check(what: &str, answer: &str) {
    let budget = Budget::new(1 << 30, 1 << 30);
    let mut charged = 0;
    let allocated = allocation_counter::measure(|| {
        let families =
            read(answer.as_bytes(), false, &[], &Limits::default(), &budget, 4_096).expect("metrics");
        charged = budget.used() as u64;
        drop(families);
    });
    assert!(allocated.bytes_max <= charged + BESIDE, "{what}: {} of {charged} bytes", allocated.bytes_max);
    assert_eq!((allocated.bytes_current, budget.used()), (0, 0), "{what}: all is given back");
    // The charge is not far from the truth either, or an exporter of ordinary size would not fit.
    assert!(
        charged <= 4 * allocated.bytes_max + 64 * 1024,
        "{what}: {} of {charged} bytes",
        allocated.bytes_max
    );
}

#[test]
fn what_an_answer_holds_is_charged_whatever_it_is_made_of() {
    let lines = |count: usize, line: &dyn Fn(usize) -> String| {
        (0..count).fold(String::new(), |mut answer, number| {
            writeln!(answer, "{}", line(number)).expect("memory");
            answer
        })
    };
    check("short names", &lines(4_999, &|number| format!("a{number} 1")));
    check("one family", &lines(4_999, &|number| format!("a{{n=\"{number}\"}} 1")));
    check(
        "many labels",
        &lines(400, &|number| {
            let labels: String = (0..64).map(|label| format!("l{label}=\"\",")).collect();
            format!("a{{{labels}n=\"{number}\"}} 1").replace("l63=\"\",", "")
        }),
    );
    check("long values", &lines(20, &|number| format!("a{{n=\"{number}{}\"}} 1", "x".repeat(40_000))));
    check(
        "helps and types",
        &lines(5_000, &|number| format!("# TYPE a{number} counter\n# HELP a{number} Help\na{number} 1")),
    );
    check("families without samples", &lines(12_000, &|number| format!("# TYPE a{number} counter")));
    check("just beyond a doubling", &lines(3_585, &|number| format!("a{{n=\"{number}\"}} 1")));
    check("the same again and again", &"a 1\n".repeat(100_000));
    check("far more than is kept", &lines(50_000, &|number| format!("a{{n=\"{number}\"}} 1")));
    check("few", "up 1\n");
}
