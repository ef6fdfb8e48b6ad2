//! The page as text in a terminal of any size. Must change nothing, and ask nobody.

mod head;
mod lists;
mod theme;
mod units;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr;

use super::model::{Asking, Model, Seen, Watch};
use head::joined;
pub(super) use theme::Theme;
use units::cut;

const HELP: [(&str, &str); 14] = [
    ("Tab", "the other list: sessions, connections"),
    ("s, S", "order by the next column, by the one before"),
    ("r", "the other way round"),
    ("/", "filter: type a text; Enter keeps it, Esc does not"),
    ("w, Enter", "watch the session's events; Esc ends it"),
    ("x", "close the connection (asks twice)"),
    ("p, Space", "pause: the hub is not asked; again: go on"),
    ("u", "ask the hub now"),
    ("Up, Down, k, j", "select another row"),
    ("PgUp, PgDn", "by a page; Home, End, g, G: first, last"),
    ("Esc", "end watching, or else drop the filter"),
    ("Ctrl-L", "draw the page anew"),
    ("Ctrl-Z", "stop until `fg`"),
    ("q, Ctrl-C", "quit"),
];

const KEYS: &str = "q quit  ? help  Tab list  s sort  / filter  w watch  x close  p pause";

/// The least rows that a list and what is watched can share.
const SHARED_ROWS_MIN: u16 = 12;

/// Draws the page. Gives how many rows of a list it has room for.
pub(super) fn draw(model: &Model, now: Duration, theme: Theme, frame: &mut Frame<'_>) -> usize {
    let area = frame.area();
    let (lines, room) = page(model, now, theme, area.width, area.height);
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
    if let Asking::Filter(_) = model.asking {
        let column = prompt(model).width().min(usize::from(area.width.saturating_sub(1)));
        let column = u16::try_from(column).unwrap_or(u16::MAX);
        frame.set_cursor_position((area.left() + column, area.bottom().saturating_sub(1)));
    }
    room
}

fn page(model: &Model, now: Duration, theme: Theme, columns: u16, rows: u16) -> (Vec<Line<'static>>, usize) {
    let mut lines = head::lines(model, now, theme, columns, rows);
    lines.truncate(usize::from(rows.saturating_sub(1)));
    let below = rows.saturating_sub(1) - u16::try_from(lines.len()).unwrap_or(rows);
    let mut room = 1;
    if model.asking == Asking::Help {
        lines.extend(help(columns));
    } else if let Some(figures) = &model.figures {
        let watched = match &model.watch {
            None => 0,
            Some(_) if below >= SHARED_ROWS_MIN => below / 2,
            Some(_) => below,
        };
        let listed = below - watched;
        if listed >= 2 {
            lines.push(lists::tabs(model, figures, columns));
            room = usize::from(listed).saturating_sub(2).max(1);
            let mut rows = lists::rows(model, figures, theme, (columns, listed - 1));
            rows.resize(usize::from(listed - 1), Line::default());
            lines.extend(rows);
        }
        if let Some(watch) = &model.watch {
            lines.extend(watched_lines(watch, theme, columns, watched));
        }
    }
    lines.resize(usize::from(rows.saturating_sub(1)), Line::default());
    if rows > 0 {
        lines.push(foot(model, theme, columns));
    }
    (lines, room)
}

fn help(columns: u16) -> Vec<Line<'static>> {
    let line = |(keys, meaning): (&str, &str)| cut(&format!("{keys:16}{meaning}"), usize::from(columns)).0;
    std::iter::once(Line::default()).chain(HELP.into_iter().map(|row| Line::raw(line(row)))).collect()
}

fn watched_lines(watch: &Watch, theme: Theme, columns: u16, rows: u16) -> Vec<Line<'static>> {
    let columns = usize::from(columns);
    let parts = vec![
        (format!(" {} ", watch.session), Theme::selected()),
        (format!("{} events", units::count(watch.events)), Theme::plain()),
        (watch.state.clone(), Theme::plain()),
    ];
    let room = usize::from(rows).saturating_sub(1);
    let newest = watch.lines.iter().skip(watch.lines.len().saturating_sub(room));
    let lines = newest.map(|seen| match seen {
        Seen::Event(text) => Line::raw(cut(text, columns).0),
        Seen::Gap(text) => Line::styled(cut(text, columns).0, theme.warning()),
    });
    std::iter::once(joined(parts, columns)).chain(lines).collect()
}

fn prompt(model: &Model) -> String {
    format!("filter: {}", crate::plain::escaped(&model.filter))
}

fn foot(model: &Model, theme: Theme, columns: u16) -> Line<'static> {
    let columns = usize::from(columns);
    let (text, style) = match &model.asking {
        Asking::Filter(_) => (prompt(model), Theme::plain()),
        Asking::Help => ("any key: back  q quit".to_owned(), Theme::dim()),
        Asking::Close { id, whose, is_sure: false } => {
            (format!("close {id} {whose}?  y: yes  any other key: no"), theme.warning())
        }
        Asking::Close { id, .. } => (
            format!("its peer is told DISCONNECTED. Close {id}?  Enter: yes  any other key: no"),
            theme.wrong(),
        ),
        Asking::Nothing => match &model.notice {
            Some(notice) => (notice.clone(), Theme::strong()),
            None => (KEYS.to_owned(), Theme::dim()),
        },
    };
    Line::styled(cut(&text, columns).0, style)
}

/// The page as plain text, both lists on it, each with so many rows at most.
pub(super) fn text(model: &Model, now: Duration, columns: u16, rows_max: usize) -> String {
    let theme = Theme::new(false);
    let mut lines = head::lines(model, now, theme, columns, u16::MAX);
    if let Some(figures) = &model.figures {
        let columns = usize::from(columns);
        let mut list = |trouble: &Option<super::hub::Trouble>, rows: Vec<Line<'static>>| {
            lines.push(Line::default());
            match trouble {
                Some(trouble) => lines.push(lists::missing(trouble, theme, columns)),
                None => lines.extend(rows),
            }
        };
        list(&figures.sessions.trouble, lists::sessions(model, theme, columns, rows_max, false));
        list(&figures.connections.trouble, lists::connections(model, theme, columns, rows_max, false));
    }
    lines.iter().map(|line| format!("{}\n", line.to_string().trim_end())).collect()
}

#[cfg(test)]
mod tests;
