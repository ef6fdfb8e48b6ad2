use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use serde_json::json;
use watertight_client::{Event, Gap, Item, Status};

use super::*;
use crate::top::hub::Trouble;
use crate::top::keys::Key;
use crate::top::sample::{Sample, connection, model, session};

const NOW: Duration = Duration::from_secs(2);

fn drawn(model: &Model, theme: Theme, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal
        .draw(|frame| {
            draw(model, NOW, theme, frame);
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

/// The screen as text.
fn screen(model: &Model, columns: u16, rows: u16) -> String {
    let buffer = drawn(model, Theme::new(true), columns, rows);
    let row = |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect::<String>();
    let rows = buffer.content.chunks(usize::from(columns)).map(|cells| row(cells).trim_end().to_owned());
    rows.collect::<Vec<_>>().join("\n")
}

fn type_keys(model: &mut Model, keys: &str) {
    for character in keys.chars() {
        model.key(match character {
            '\t' => Key::Tab,
            '\r' => Key::Enter,
            character => Key::Char(character),
        });
    }
}

/// Many sessions and connections, more than were given.
fn busy(sample: &mut Sample) {
    sample.stats["totalSessions"] = json!(100_000);
    sample.stats["totalSubscribers"] = json!(1_234_567);
    sample.stats["metrics"]["gaps"] = json!(17);
    sample.stats["metrics"]["connectionsRefused"] = json!(1_000_000);
    sample.stats["budget"]["level"] = json!("shed_history");
    sample.stats["budget"]["observedBytes"] = json!(490_000_000);
    let sessions =
        (0..60).map(|number| session(&format!("deployment-{number:03}/logs"), number * number, number));
    sample.sessions = json!({ "sessions": sessions.collect::<Vec<_>>(), "total": 100_000, "next": "1.1" });
    let connections = (0..60).map(|number| {
        let user = (number % 3 > 0).then(|| format!("user-{number}"));
        connection(
            &format!("p{}-{number}", number % 4),
            "deployment-001/logs",
            user.as_deref(),
            number * number,
            number % 7 == 6,
        )
    });
    sample.connections =
        json!({ "connections": connections.collect::<Vec<_>>(), "total": 1_234_567, "next": "1.1" });
}

#[test]
fn a_quiet_hub_in_80_by_24() {
    let mut model = model(|_| {});
    insta::assert_snapshot!("sessions_80x24", screen(&model, 80, 24));
    type_keys(&mut model, "\t");
    insta::assert_snapshot!("connections_80x24", screen(&model, 80, 24));
}

#[test]
fn a_busy_hub_in_each_size() {
    let mut model = model(busy);
    insta::assert_snapshot!("busy_80x24", screen(&model, 80, 24));
    insta::assert_snapshot!("busy_200x60", screen(&model, 200, 60));
    type_keys(&mut model, "\t");
    insta::assert_snapshot!("busy_connections_200x60", screen(&model, 200, 60));
    insta::assert_snapshot!("busy_connections_40x10", screen(&model, 40, 10));
}

#[test]
fn questions_and_help_are_on_the_page() {
    let mut model = model(|_| {});
    type_keys(&mut model, "\tx");
    assert!(
        screen(&model, 80, 24)
            .ends_with("close p0-2 of nobody known, reading demo?  y: yes  any other key: no")
    );
    type_keys(&mut model, "y");
    assert!(screen(&model, 80, 24).ends_with("Close p0-2?  Enter: yes  any other key: no"));
    type_keys(&mut model, "n/ada");
    assert!(screen(&model, 80, 24).ends_with("filter: ada"));
    type_keys(&mut model, "\r?");
    insta::assert_snapshot!("help_80x24", screen(&model, 80, 24));
}

#[test]
fn what_is_watched_shares_the_screen_or_has_it_alone() {
    let mut model = model(busy);
    type_keys(&mut model, "w");
    let watch = model.watch.as_mut().unwrap();
    watch.push(&Item::Status(Status::Open));
    for number in 0..30 {
        watch.push(&Item::Event(Event::new(
            format!("9-{number}"),
            "tick",
            format!("{{\"n\":{number}}}\n\u{1b}[2J"),
        )));
    }
    watch.push(&Item::Gap(Gap::new("lagged")));
    insta::assert_snapshot!("watching_80x24", screen(&model, 80, 24));
    insta::assert_snapshot!("watching_60x12", screen(&model, 60, 12));
}

#[test]
fn a_hub_that_does_not_answer_is_told_with_the_age_of_the_figures() {
    let mut never = Model::new("http://127.0.0.1:1".into(), Duration::from_secs(2));
    assert!(screen(&never, 80, 24).contains("asking the hub ..."));
    never.looked(Err(Trouble::new("cannot connect to 127.0.0.1:1: Connection refused (os error 111)")), NOW);
    insta::assert_snapshot!("unreachable_80x24", screen(&never, 80, 24));
    let mut once = model(|_| {});
    once.looked(Err(Trouble::new("the hub answers 401 TOKEN_EXPIRED: give a token")), NOW);
    once.seen_at = Duration::ZERO;
    insta::assert_snapshot!("refused_80x24", screen(&once, 80, 24));
}

#[test]
fn lists_that_are_kept_from_us_leave_the_figures_there() {
    let mut model = Model::new("http://hub".into(), Duration::from_secs(2));
    let mut look = Sample::new(1.0).look().unwrap();
    look.sessions = Err(Trouble::new("the hub answers 401 TOKEN_MISSING: give a token"));
    look.metrics = Err(Trouble::new("the hub answers 404"));
    model.looked(Ok(look), NOW);
    let screen = screen(&model, 80, 24);
    assert!(screen.contains("the hub answers 401 TOKEN_MISSING") && screen.contains("readers 3"), "{screen}");
    assert!(screen.contains("delivery p50 off"), "{screen}");
}

#[test]
fn a_ledger_that_does_not_add_up_is_marked_on_any_screen() {
    let model = model(|sample| sample.stats["ledger"]["session"]["live"] = json!(1));
    for (columns, rows) in [(80, 24), (80, 10), (40, 10)] {
        let screen = screen(&model, columns, rows);
        assert!(screen.contains("DOES NOT ADD UP"), "{screen}");
    }
    assert!(screen(&model, 80, 24).contains("session: opened 2, closed 0, live 1"));
    let fine = super::tests::model(|_| {});
    assert!(screen(&fine, 80, 24).contains("adds up"));
}

#[test]
fn no_name_can_steer_the_terminal_or_break_the_page() {
    let hostile = [
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{202e}desrever",
        "a\r\nb\tc",
        &"水".repeat(300),
        &format!("z{}", "\u{301}".repeat(5_000)),
        "\u{200b}\u{feff}\u{2066}",
        "👩‍👩‍👧‍👦 family",
    ];
    let mut model = model(|sample| {
        sample.sessions["sessions"] = hostile.iter().map(|name| session(name, 1, 1)).collect();
        let rows = hostile.iter().map(|name| connection(name, name, Some(name), 1, true));
        sample.connections["connections"] = rows.collect();
        for (value, name) in [("level", hostile[0]), ("version", hostile[1])] {
            let part = if value == "level" { "budget" } else { "process" };
            sample.stats[part][value] = json!(name);
        }
        sample.stats["ledger"][hostile[2]] = json!({ "opened": 1, "closed": 5, "live": 0 });
    });
    for keys in ["", "/\u{202e}", "\r\t", "x", "y", "nw"] {
        type_keys(&mut model, keys);
        for (columns, rows) in [(80, 24), (40, 10), (200, 60), (13, 7)] {
            let buffer = drawn(&model, Theme::new(true), columns, rows);
            for cell in &buffer.content {
                assert!(!cell.symbol().chars().any(crate::plain::steers), "{:?}", cell.symbol());
                assert!(cell.symbol().len() < 16, "{:?}", cell.symbol());
            }
        }
    }
    let text = text(&model, NOW, 100, 20);
    assert!(text.chars().all(|character| character == '\n' || !crate::plain::steers(character)), "{text:?}");
}

#[test]
fn no_size_of_a_terminal_breaks_the_page() {
    let mut model = model(busy);
    for keys in ["", "/a\r", "\t", "w", "?", "x"] {
        type_keys(&mut model, keys);
        for columns in [0, 1, 2, 3, 9, 20, 40, 79, 81, 300] {
            for rows in [0, 1, 2, 3, 4, 5, 8, 13, 30, 100] {
                drawn(&model, Theme::new(true), columns, rows);
            }
        }
    }
}

#[test]
fn without_colours_the_page_says_the_same() {
    let model = model(busy);
    let (colored, plain) =
        (drawn(&model, Theme::new(true), 80, 24), drawn(&model, Theme::new(false), 80, 24));
    let symbols =
        |buffer: &Buffer| buffer.content.iter().map(|cell| cell.symbol().to_owned()).collect::<String>();
    assert_eq!(symbols(&colored), symbols(&plain));
    assert!(colored.content.iter().any(|cell| cell.fg != Color::Reset));
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(plain.content.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
}

#[test]
fn one_page_of_text_has_both_lists() {
    insta::assert_snapshot!("once", text(&model(|_| {}), NOW, 100, 20));
}
