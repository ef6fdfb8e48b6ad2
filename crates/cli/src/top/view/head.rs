//! The figures of the hub as a whole: a line for each group. What a narrow screen has no room for is left out from the end.

use std::time::Duration;

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use super::units::{bytes, count, cut, latency, rate, span};
use crate::top::answer::{Budget, Stats};
use crate::top::figures::{Figures, Latency};
use crate::top::model::Model;

/// Columns of the names of the groups.
const NAME_COLUMNS: usize = 9;

/// Columns of the bar of memory.
const BAR_COLUMNS: usize = 12;

/// Columns of a word of the hub's own.
const WORD_COLUMNS: usize = 20;

/// Lines that say how the hub is, from the most important one on, and how many of them belong on a screen so high.
pub(super) fn lines(
    model: &Model,
    now: Duration,
    theme: Theme,
    columns: u16,
    rows: u16,
) -> Vec<Line<'static>> {
    let columns = usize::from(columns);
    let mut lines = vec![title(model, theme, columns)];
    if let Some(failing) = &model.failing {
        let last = match &model.figures {
            Some(_) => format!("figures are {} old", span(now.saturating_sub(model.seen_at).as_secs_f64())),
            None => "no figures seen yet".into(),
        };
        let wait = span(failing.again_at.saturating_sub(now).as_secs_f64());
        let text = format!("{}; {last}; asking again in {wait}", failing.trouble);
        // The whole of it: it is why there is nothing else to see.
        for part in wrapped(&text, columns, 3) {
            lines.push(Line::styled(part, theme.wrong()));
        }
    }
    let Some(figures) = &model.figures else {
        if model.failing.is_none() {
            lines.push(Line::raw("asking the hub ..."));
        }
        return lines;
    };
    let groups = [
        ("events", events(figures)),
        ("memory", memory(&figures.stats.budget, theme)),
        ("hub", hub(&figures.stats, theme)),
        ("refused", refused(figures, theme)),
        ("ledger", ledger(&figures.stats, theme)),
    ];
    // At least half of the screen is for the lists.
    let room = usize::from(rows / 3).saturating_sub(lines.len()).clamp(1, groups.len());
    // A ledger that does not add up is never left out.
    let is_wrong = !adds_up(&figures.stats);
    let shown = groups
        .into_iter()
        .enumerate()
        .filter(|(at, (name, _))| *at < room || (is_wrong && *name == "ledger"));
    lines.extend(shown.map(|(_, (name, parts))| group(name, parts, columns)));
    lines
}

type Part = (String, Style);

fn title(model: &Model, theme: Theme, columns: usize) -> Line<'static> {
    let mut parts: Vec<Part> = vec![("watertight".into(), Theme::strong())];
    if model.is_paused {
        parts.push(("PAUSED".into(), theme.warning()));
    }
    parts.push((model.address.clone(), Theme::plain()));
    if let Some(figures) = &model.figures {
        let process = &figures.stats.process;
        parts.push((format!("version {}", process.version.as_str()), Theme::dim()));
        parts.push((format!("up {}", span(process.uptime_seconds)), Theme::dim()));
    }
    parts.push((format!("every {} s", model.interval.as_secs_f64()), Theme::dim()));
    joined(parts, columns)
}

fn events(figures: &Figures) -> Vec<Part> {
    let a_second = |number: f64| format!("{}/s", rate(number));
    let (published, delivered) = match figures.rates {
        Some(rates) => (a_second(rates.published), a_second(rates.delivered)),
        None => ("-".into(), "-".into()),
    };
    let (p50, p99) = match figures.latency {
        Latency::Off => ("off".into(), "off".into()),
        Latency::Idle => ("-".into(), "-".into()),
        Latency::Of { p50, p99 } => (latency(p50), latency(p99)),
    };
    vec![
        (format!("in {published}"), Theme::strong()),
        (format!("out {delivered}"), Theme::strong()),
        (format!("delivery p50 {p50}"), Theme::plain()),
        (format!("p99 {p99}"), Theme::plain()),
    ]
}

fn memory(budget: &Budget, theme: Theme) -> Vec<Part> {
    let used = budget.used_bytes.max(budget.observed_bytes);
    let style = if used >= budget.critical_bytes {
        theme.wrong()
    } else if used >= budget.warning_bytes {
        theme.warning()
    } else {
        theme.good()
    };
    let (level, _) = cut(budget.level.as_str(), WORD_COLUMNS);
    let level_style = if level == "normal" { theme.good() } else { theme.wrong() };
    vec![
        (bytes(used), style),
        (level, level_style),
        (format!("warn {}", bytes(budget.warning_bytes)), Theme::plain()),
        (format!("critical {}", bytes(budget.critical_bytes)), Theme::plain()),
        (bar(used, budget.warning_bytes, budget.critical_bytes), style),
    ]
}

/// `[#####---|---|]`: the bars are the thresholds.
fn bar(used: u64, warning: u64, critical: u64) -> String {
    let end = (critical as f64 * 1.1).max(1.0);
    let at = |bytes: u64| ((bytes as f64 / end * BAR_COLUMNS as f64) as usize).min(BAR_COLUMNS - 1);
    let (used, warning, critical) = (at(used), at(warning), at(critical));
    let cell = |column: usize| match column {
        _ if column == warning || column == critical => '|',
        _ if column < used => '#',
        _ => '-',
    };
    format!("[{}]", (0..BAR_COLUMNS).map(cell).collect::<String>())
}

fn hub(stats: &Stats, theme: Theme) -> Vec<Part> {
    let counters = &stats.metrics;
    let unusual = |name: &str, number: u64, style: Style| {
        (format!("{name} {}", count(number)), if number > 0 { style } else { Theme::plain() })
    };
    vec![
        (format!("readers {}", count(stats.total_subscribers)), Theme::plain()),
        (format!("sessions {}", count(stats.total_sessions)), Theme::plain()),
        (format!("events {}", count(stats.total_events)), Theme::plain()),
        unusual("gaps", counters.gaps, theme.warning()),
        unusual("slow", counters.slow_consumers, theme.warning()),
        unusual("shed", counters.events_shed, theme.warning()),
        unusual("restarts", counters.pump_restarts.saturating_add(counters.keeper_restarts), theme.wrong()),
        unusual("source errors", counters.source_errors, theme.warning()),
    ]
}

fn refused(figures: &Figures, theme: Theme) -> Vec<Part> {
    let style = |number: u64| if number > 0 { theme.warning() } else { Theme::plain() };
    let connections = figures.stats.metrics.connections_refused;
    let mut parts = vec![(format!("connections {}", count(connections)), style(connections))];
    parts.extend(
        figures.refusals.iter().map(|(code, number)| (format!("{code}: {}", count(*number)), style(*number))),
    );
    parts
}

fn adds_up(stats: &Stats) -> bool {
    stats.ledger.0.iter().all(|(_, counts)| counts.adds_up())
}

/// What is live of each kind; first what does not add up.
fn ledger(stats: &Stats, theme: Theme) -> Vec<Part> {
    let kinds = &stats.ledger.0;
    let wrong = kinds.iter().filter(|(_, counts)| !counts.adds_up()).map(|(kind, counts)| {
        let (kind, _) = cut(kind.as_str(), WORD_COLUMNS);
        (
            format!("{kind}: opened {}, closed {}, live {}", counts.opened, counts.closed, counts.live),
            theme.wrong(),
        )
    });
    let wrong: Vec<Part> = wrong.collect();
    if !wrong.is_empty() {
        return std::iter::once(("DOES NOT ADD UP".to_owned(), theme.wrong())).chain(wrong).collect();
    }
    let live = kinds.iter().filter(|(_, counts)| counts.live > 0).map(|(kind, counts)| {
        let (kind, _) = cut(kind.as_str(), WORD_COLUMNS);
        (format!("{kind} {}", count(counts.live)), Theme::plain())
    });
    std::iter::once(("adds up".to_owned(), theme.good())).chain(live).collect()
}

fn group(name: &str, parts: Vec<Part>, columns: usize) -> Line<'static> {
    let mut line = joined(parts, columns.saturating_sub(NAME_COLUMNS));
    line.spans.insert(0, Span::styled(format!("{name:NAME_COLUMNS$}"), Theme::dim()));
    line
}

/// The parts with two blanks between them, as far as there is room; the first one is cut if it must be.
pub(super) fn joined(parts: Vec<Part>, columns: usize) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut width = 0;
    for (text, style) in parts {
        let gap = if spans.is_empty() { 0 } else { 2 };
        let (text, _) = cut(&text, if spans.is_empty() { columns } else { text.len() });
        if width + gap + text.width() > columns {
            break;
        }
        width += gap + text.width();
        if gap > 0 {
            spans.push(Span::raw("  "));
        }
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

/// A text in so many lines at most, broken between words.
fn wrapped(text: &str, columns: usize, lines_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= columns {
            line.push(' ');
            line.push_str(word);
        } else if lines.len() == lines_max {
            break;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.into_iter().map(|line| cut(&line, columns).0).collect()
}
