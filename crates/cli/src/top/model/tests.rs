use serde_json::json;

use super::*;
use crate::top::figures::Latency;
use crate::top::sample::{Sample, connection, model, session};

const NOW: Duration = Duration::from_secs(2);

fn type_keys(model: &mut Model, keys: &str) -> Option<Action> {
    keys.chars().fold(None, |_, character| {
        model.key(match character {
            '\t' => Key::Tab,
            '\r' => Key::Enter,
            '\x1b' => Key::Escape,
            '\x7f' => Key::Backspace,
            character => Key::Char(character),
        })
    })
}

fn sessions(model: &Model) -> Vec<&str> {
    model.session_rows().iter().map(|row| row.session.session.as_str()).collect()
}

fn connections(model: &Model) -> Vec<&str> {
    model.connection_rows().iter().map(|row| row.connection.id.as_str()).collect()
}

fn trouble(retry_after: Option<u64>) -> Result<Look, Trouble> {
    Err(Trouble { retry_after: retry_after.map(Duration::from_secs), ..Trouble::new("gone") })
}

#[test]
fn rates_are_those_of_the_time_between_two_looks() {
    let model = model(|_| {});
    let figures = model.figures.as_ref().unwrap();
    let rates = figures.rates.unwrap();
    assert_eq!((rates.published, rates.delivered), (100.0, 1000.0));
    let Latency::Of { p50, p99 } = figures.latency else { panic!("{:?}", figures.latency) };
    assert!((p50 - 0.001).abs() < 1e-9 && p99 > 0.002 && p99 < 0.0025, "{p50} {p99}");
    let rates: Vec<_> = figures.sessions.rows.iter().map(|row| row.rate).collect();
    assert_eq!(rates, [Some(20.0), Some(30.0)]);
    let lags: Vec<_> = figures.sessions.rows.iter().map(|row| row.lag).collect();
    assert_eq!(lags, [0, 1234], "of the slowest reader");
    assert_eq!(figures.refusals, [(401, 3)]);
}

#[test]
fn a_hub_that_was_restarted_has_no_rate_until_it_was_seen_twice() {
    let mut model = model(|_| {});
    let mut sample = Sample::new(2000.0);
    sample.stats["process"]["pid"] = json!(1);
    model.looked(sample.look(), NOW);
    assert!(model.figures.as_ref().unwrap().rates.is_none());
    sample = Sample::new(2001.0);
    sample.stats["process"]["pid"] = json!(1);
    model.looked(sample.look(), NOW);
    assert_eq!(model.figures.as_ref().unwrap().rates.map(|rates| rates.published), Some(100.0));
    // The same process id by chance, or in a container: it is younger.
    let mut sample = Sample::new(1.5);
    sample.stats["process"]["pid"] = json!(1);
    model.looked(sample.look(), NOW);
    let figures = model.figures.as_ref().unwrap();
    assert!(figures.rates.is_none() && figures.sessions.rows.iter().all(|row| row.rate.is_none()));
}

#[test]
fn a_history_that_began_anew_has_no_rate() {
    let mut model = model(|_| {});
    let mut sample = Sample::new(1004.0);
    sample.sessions["sessions"][0]["newest"] = json!("10-1");
    sample.sessions["sessions"][1]["newest"] = json!("nonsense");
    model.looked(sample.look(), NOW);
    assert!(model.figures.unwrap().sessions.rows.iter().all(|row| row.rate.is_none()));
}

#[test]
fn failures_are_waited_out_longer_and_longer_and_the_figures_stay() {
    let mut model = model(|_| {});
    let waits: Vec<u64> = (0..7).map(|_| (model.looked(trouble(None), NOW) - NOW).as_secs()).collect();
    assert_eq!(waits, [2, 4, 8, 16, 30, 30, 30]);
    assert!(model.figures.is_some() && model.failing.is_some());
    assert_eq!(model.seen_at, NOW);
    assert_eq!((model.looked(Sample::new(1010.0).look(), NOW) - NOW).as_secs(), 2);
    assert!(model.failing.is_none());
    // What the hub asks for is kept to, but not for ever.
    assert_eq!((model.looked(trouble(Some(60)), NOW) - NOW).as_secs(), 60);
    assert_eq!((model.looked(trouble(Some(u64::MAX)), NOW) - NOW).as_secs(), 300);
}

#[test]
fn keys_order_a_list_and_turn_it_round() {
    let mut model = model(|_| {});
    assert_eq!(sessions(&model), ["demo", "builds"], "by rate");
    type_keys(&mut model, "r");
    assert_eq!(sessions(&model), ["builds", "demo"]);
    type_keys(&mut model, "s");
    assert_eq!((sessions(&model), model.sessions.sort), (vec!["demo", "builds"], SessionSort::Lag));
    type_keys(&mut model, "s");
    assert_eq!((sessions(&model), model.sessions.sort), (vec!["builds", "demo"], SessionSort::Subscribers));
    type_keys(&mut model, "SSS");
    assert_eq!((sessions(&model), model.sessions.sort), (vec!["builds", "demo"], SessionSort::Name));
    type_keys(&mut model, "\t");
    assert_eq!(connections(&model), ["p0-2", "p0-1", "t-1"], "by lag");
    type_keys(&mut model, "ssss");
    assert_eq!(
        (connections(&model), model.connections.sort),
        (vec!["p0-1", "t-1", "p0-2"], ConnectionSort::User)
    );
}

#[test]
fn every_order_is_reached_and_none_loses_a_row() {
    let mut model = model(|_| {});
    for tab in 0..2 {
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..7 {
            names.insert(if tab == 0 { model.sessions.sort.name() } else { model.connections.sort.name() });
            assert_eq!((sessions(&model).len(), connections(&model).len()), (2, 3));
            type_keys(&mut model, "s");
        }
        assert_eq!(names.len(), 7, "{names:?}");
        type_keys(&mut model, "\t");
    }
}

#[test]
fn a_filter_is_typed_kept_or_dropped() {
    let mut model = model(|_| {});
    type_keys(&mut model, "/BUI");
    assert_eq!(sessions(&model), ["builds"], "as it is typed");
    assert_eq!(type_keys(&mut model, "q"), None, "a text, not a command");
    assert!(sessions(&model).is_empty());
    type_keys(&mut model, "\x7f\r");
    assert_eq!((sessions(&model), model.filter.as_str()), (vec!["builds"], "BUI"));
    type_keys(&mut model, "/demo\x1b");
    assert_eq!(model.filter, "BUI", "the one before");
    type_keys(&mut model, "\x1b");
    assert_eq!(sessions(&model).len(), 2);
    type_keys(&mut model, "\t/grace\r");
    assert_eq!(connections(&model), ["t-1"]);
    type_keys(&mut model, &format!("/{}", "x".repeat(10_000)));
    assert_eq!(model.filter.chars().count(), FILTER_CHARS_MAX);
}

#[test]
fn pasted_text_goes_into_a_filter_and_nowhere_else() {
    let mut model = model(|_| {});
    for character in "q/x".chars() {
        assert_eq!(model.key(Key::Pasted(character)), None);
    }
    assert_eq!((&model.asking, model.filter.as_str()), (&Asking::Nothing, ""));
    type_keys(&mut model, "/");
    model.key(Key::Pasted('d'));
    assert_eq!(model.filter, "d");
}

#[test]
fn the_selected_row_is_followed_wherever_it_goes() {
    let mut model = model(|_| {});
    type_keys(&mut model, "\tj");
    let selected = |model: &Model| connections(model)[model.connections.at()].to_owned();
    assert_eq!(selected(&model), "p0-1");
    let mut sample = Sample::new(1004.0);
    sample.connections["connections"][0]["lag"] = json!(99_999);
    model.looked(sample.look(), NOW);
    assert_eq!((model.connections.at(), selected(&model)), (0, "p0-1".into()));
    // It is gone: the one in its stead.
    sample.connections["connections"].as_array_mut().unwrap().remove(0);
    model.looked(sample.look(), NOW);
    assert_eq!(selected(&model), "p0-2");
    sample.connections["connections"] = json!([]);
    model.looked(sample.look(), NOW);
    assert_eq!((model.connections.at(), type_keys(&mut model, "jjx\r")), (0, None));
}

#[test]
fn the_first_row_is_whichever_comes_first_until_one_is_chosen() {
    let mut model = model(|_| {});
    type_keys(&mut model, "\t");
    let mut sample = Sample::new(1004.0);
    sample.connections["connections"][0]["lag"] = json!(99_999);
    model.looked(sample.look(), NOW);
    assert_eq!((connections(&model)[0], model.connections.at()), ("p0-1", 0));
}

#[test]
fn rows_are_gone_through_by_line_by_page_and_to_both_ends() {
    let mut model = model(|sample| {
        let rows = (0..100).map(|number| session(&format!("s{number:03}"), 1, 1));
        sample.sessions["sessions"] = rows.collect();
    });
    model.page_rows = 10;
    for (key, at) in [
        (Key::Down, 1),
        (Key::PageDown, 11),
        (Key::Up, 10),
        (Key::PageUp, 0),
        (Key::PageUp, 0),
        (Key::End, 99),
        (Key::Down, 99),
        (Key::Home, 0),
    ] {
        model.key(key);
        assert_eq!(model.sessions.at(), at, "{key:?}");
    }
}

#[test]
fn a_connection_is_closed_only_after_two_answers() {
    let mut model = model(|_| {});
    type_keys(&mut model, "x");
    assert_eq!(model.asking, Asking::Nothing, "a session is no connection");
    type_keys(&mut model, "\t");
    for no in ["xn", "xq", "xyn", "xyy", "x\r", "xy\x1b"] {
        let action = type_keys(&mut model, no);
        assert_eq!(action, None, "{no:?}");
    }
    type_keys(&mut model, "x");
    let Asking::Close { whose, .. } = &model.asking else { panic!("{:?}", model.asking) };
    assert_eq!(whose, "of nobody known, reading demo");
    assert_eq!(type_keys(&mut model, "y\r"), Some(Action::Close("p0-2".into())));
    assert_eq!(model.asking, Asking::Nothing);
}

#[test]
fn an_answer_is_about_the_connection_that_was_asked_about_whatever_the_list_does() {
    let mut model = model(|_| {});
    type_keys(&mut model, "\txy");
    let mut sample = Sample::new(1004.0);
    sample.connections["connections"] = json!([connection("p7-7", "demo", None, 99_999, false)]);
    model.looked(sample.look(), NOW);
    assert_eq!(type_keys(&mut model, "\r"), Some(Action::Close("p0-2".into())));
}

#[test]
fn watching_is_of_the_selected_row_and_ends_before_the_filter_does() {
    let mut model = model(|_| {});
    type_keys(&mut model, "/demo\r");
    assert_eq!(type_keys(&mut model, "w"), Some(Action::Watch("demo".into())));
    assert!(model.watch.is_some());
    assert_eq!(type_keys(&mut model, "\x1b"), Some(Action::Unwatch));
    assert_eq!(model.filter, "demo");
    type_keys(&mut model, "\x1b");
    assert_eq!(model.filter, "");
    assert_eq!(type_keys(&mut model, "\tG\r"), Some(Action::Watch("builds".into())), "of a connection");
}

#[test]
fn pausing_goes_on_with_a_look() {
    let mut model = model(|_| {});
    assert_eq!((type_keys(&mut model, "p"), model.is_paused), (None, true));
    assert_eq!((type_keys(&mut model, "p"), model.is_paused), (Some(Action::Look), false));
}

#[test]
fn the_page_can_be_left_whatever_is_being_asked() {
    for before in ["", "/abc", "?", "\tx", "\txy", "w"] {
        let mut model = model(|_| {});
        type_keys(&mut model, before);
        assert_eq!(model.key(Key::Control('c')), Some(Action::Quit), "{before:?}");
        assert_eq!(model.key(Key::Control('z')), Some(Action::Suspend), "{before:?}");
    }
}
