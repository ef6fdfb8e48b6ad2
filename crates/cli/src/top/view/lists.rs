//! The lists of sessions and connections. A narrow screen has fewer columns, never broken ones.

use ratatui::style::Style;
use ratatui::text::Line;

use super::head::joined;
use super::theme::Theme;
use super::units::{bytes, count, fit, fit_right, rate, span};
use crate::top::figures::{ConnectionRow, Figures, SessionRow};
use crate::top::hub::Trouble;
use crate::top::model::{Asking, Choice, Model, Sort, Tab};

/// The least columns of the text that a row is about.
const NAME_COLUMNS_MIN: usize = 12;

/// A column of figures: its head, how wide it is, and what stands in it. The more to the left, the longer it stays.
struct Column<R> {
    head: &'static str,
    columns: usize,
    text: fn(&R) -> String,
}

const SESSION_COLUMNS: [Column<SessionRow>; 7] = [
    Column { head: "EVENTS/S", columns: 8, text: |row| rate_or_dash(row.rate) },
    Column { head: "LAG", columns: 7, text: |row| count(row.lag) },
    Column { head: "READERS", columns: 7, text: |row| count(row.session.subscribers) },
    Column { head: "EVENTS", columns: 9, text: |row| count(row.session.events) },
    Column { head: "BYTES", columns: 9, text: |row| bytes(row.session.bytes) },
    Column { head: "IDLE", columns: 6, text: |row| span(row.session.idle_seconds) },
    Column { head: "STATE", columns: 7, text: |row| session_state(row).to_owned() },
];

const CONNECTION_COLUMNS: [Column<ConnectionRow>; 7] = [
    Column { head: "LAG", columns: 7, text: |row| count(row.connection.lag) },
    Column { head: "EVENTS/S", columns: 8, text: |row| rate_or_dash(row.rate) },
    Column { head: "STATE", columns: 7, text: |row| connection_state(row).to_owned() },
    Column { head: "AGE", columns: 6, text: |row| span(row.connection.age_seconds) },
    Column { head: "SENT", columns: 9, text: |row| count(row.connection.sent) },
    Column { head: "KIND", columns: 7, text: |row| row.connection.kind.as_str().to_owned() },
    Column { head: "ID", columns: 10, text: |row| row.connection.id.as_str().to_owned() },
];

fn rate_or_dash(number: Option<f64>) -> String {
    number.map_or("-".into(), rate)
}

fn session_state(row: &SessionRow) -> &str {
    let session = &row.session;
    match &session.source {
        Some(source) if session.state.as_str() == "open" => source.state.as_str(),
        _ => session.state.as_str(),
    }
}

fn connection_state(row: &ConnectionRow) -> &str {
    match &row.connection.source {
        _ if row.connection.stalled => "stalled",
        Some(source) => source.state.as_str(),
        None => "open",
    }
}

/// Which list is shown, how it is ordered, what is filtered.
pub(super) fn tabs(model: &Model, figures: &Figures, columns: u16) -> Line<'static> {
    let tab = |name: &str, total: u64, tab: Tab| {
        let style = if model.tab == tab { Theme::selected() } else { Theme::plain() };
        (format!(" {name} {} ", count(total)), style)
    };
    let mut parts = vec![
        tab("Sessions", figures.sessions.total, Tab::Sessions),
        tab("Connections", figures.connections.total, Tab::Connections),
    ];
    let (order, seen, total) = match model.tab {
        Tab::Sessions => (order(&model.sessions), figures.sessions.rows.len(), figures.sessions.total),
        Tab::Connections => {
            (order(&model.connections), figures.connections.rows.len(), figures.connections.total)
        }
    };
    parts.push((order, Theme::plain()));
    if total > seen as u64 && seen > 0 {
        parts.push((format!("{} of {}", count(seen as u64), count(total)), Theme::strong()));
    }
    if !model.filter.is_empty() && !matches!(model.asking, Asking::Filter(_)) {
        parts.push((format!("filter: {}", model.filter), Theme::strong()));
    }
    joined(parts, usize::from(columns))
}

fn order<S: Sort>(choice: &Choice<S>) -> String {
    format!("by {}{}", choice.sort.name(), if choice.is_reversed { ", reversed" } else { "" })
}

/// The head of the list, and as many rows of it as there is room for, the selected one among them if there is one.
pub(super) fn rows(model: &Model, figures: &Figures, theme: Theme, size: (u16, u16)) -> Vec<Line<'static>> {
    let columns = usize::from(size.0);
    let room = usize::from(size.1).saturating_sub(1);
    let (trouble, lines) = match model.tab {
        Tab::Sessions => (&figures.sessions.trouble, sessions(model, theme, columns, room, true)),
        Tab::Connections => (&figures.connections.trouble, connections(model, theme, columns, room, true)),
    };
    match trouble {
        Some(trouble) => vec![missing(trouble, theme, columns)],
        None => lines,
    }
}

pub(super) fn missing(trouble: &Trouble, theme: Theme, columns: usize) -> Line<'static> {
    joined(vec![(trouble.text.clone(), theme.warning())], columns)
}

pub(super) fn sessions(
    model: &Model,
    theme: Theme,
    columns: usize,
    room: usize,
    has_selection: bool,
) -> Vec<Line<'static>> {
    let rows = model.session_rows();
    let at = has_selection.then_some(model.sessions.at());
    let style = |row: &SessionRow| if row.lag > 0 { theme.warning() } else { Theme::plain() };
    let name = |row: &SessionRow, columns| fit(row.session.session.as_str(), columns);
    table(&rows, at, (columns, room), "SESSION", name, &SESSION_COLUMNS, style)
}

pub(super) fn connections(
    model: &Model,
    theme: Theme,
    columns: usize,
    room: usize,
    has_selection: bool,
) -> Vec<Line<'static>> {
    let rows = model.connection_rows();
    let at = has_selection.then_some(model.connections.at());
    let style = |row: &ConnectionRow| match &row.connection {
        connection if connection.stalled => theme.wrong(),
        connection if connection.lag > 0 => theme.warning(),
        _ => Theme::plain(),
    };
    let name = |row: &ConnectionRow, columns| {
        let session = row.connection.session.as_str();
        match &row.connection.user {
            // One blank and a third of the room.
            Some(user) if columns >= 2 * NAME_COLUMNS_MIN => {
                let of_user = columns / 3;
                format!("{} {}", fit(user.as_str(), of_user), fit(session, columns - of_user - 1))
            }
            Some(user) => fit(&format!("{} {session}", user.as_str()), columns),
            None if columns >= 2 * NAME_COLUMNS_MIN => {
                let of_user = columns / 3;
                format!("{} {}", fit("-", of_user), fit(session, columns - of_user - 1))
            }
            None => fit(session, columns),
        }
    };
    table(&rows, at, (columns, room), "USER, SESSION", name, &CONNECTION_COLUMNS, style)
}

fn table<R>(
    rows: &[&R],
    at: Option<usize>,
    (columns, room): (usize, usize),
    head: &str,
    name: impl Fn(&R, usize) -> String,
    figures: &[Column<R>],
    style: impl Fn(&R) -> Style,
) -> Vec<Line<'static>> {
    let mut left = columns.saturating_sub(NAME_COLUMNS_MIN);
    let shown = figures.iter().take_while(|column| match left.checked_sub(column.columns + 1) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    let shown: Vec<&Column<R>> = shown.collect();
    let name_columns = columns - shown.iter().map(|column| column.columns + 1).sum::<usize>();
    let cells = |text: &dyn Fn(&Column<R>) -> String| {
        shown
            .iter()
            .map(|column| format!(" {}", fit_right(&text(column), column.columns)))
            .collect::<String>()
    };
    let mut lines = vec![Line::styled(
        format!("{}{}", fit(head, name_columns), cells(&|column| column.head.to_owned())),
        Theme::strong(),
    )];
    if rows.is_empty() {
        lines.push(Line::styled(fit("none", columns), Theme::dim()));
        return lines;
    }
    // The selected row is in the middle, but for the ends of the list.
    let first = at.map_or(0, |at| at.saturating_sub(room / 2).min(rows.len().saturating_sub(room)));
    for (number, row) in rows.iter().enumerate().skip(first).take(room) {
        let text = format!("{}{}", name(row, name_columns), cells(&|column| (column.text)(row)));
        let selected = if at == Some(number) { Theme::selected() } else { Theme::plain() };
        lines.push(Line::styled(text, style(row).patch(selected)));
    }
    lines
}
