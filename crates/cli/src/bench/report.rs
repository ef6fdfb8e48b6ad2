//! Figures and counts: a table for people, one JSON object for programs.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::tally::Tally;

/// One measured figure, and what it must reach.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// It must not be above this.
    #[serde(rename = "atMost", skip_serializing_if = "Option::is_none")]
    pub(super) at_most: Option<f64>,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, at_most: None }
    }

    pub(super) fn at_most(mut self, limit: f64) -> Self {
        self.at_most = Some(limit);
        self
    }

    /// `None` if it has no target.
    pub(super) fn is_reached(&self) -> Option<bool> {
        self.at_most.map(|limit| self.value <= limit)
    }
}

/// What a scenario found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) scenario: &'static str,
    pub(super) figures: Vec<Figure>,
    /// Counts of events over all subscribers, where events were published.
    pub(super) tally: Option<Tally>,
    /// Deliveries that neither came nor were announced as missing.
    pub(super) undelivered: u64,
    /// Anything else worth knowing.
    pub(super) notes: Vec<String>,
    /// Why it could not be measured.
    pub(super) failure: Option<String>,
}

impl Report {
    pub(super) fn new(scenario: &'static str) -> Self {
        Self { scenario, ..Self::default() }
    }

    pub(super) fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Whether it was measured, and nothing was lost in silence, doubled or reordered.
    pub(super) fn is_exact(&self) -> bool {
        self.failure.is_none() && self.undelivered == 0 && self.tally.as_ref().is_none_or(Tally::is_exact)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("scenario".into(), self.scenario.into());
        let figures = self.figures.iter().map(|figure| {
            let mut value = json!(figure);
            if let Some(reached) = figure.is_reached() {
                value["reached"] = reached.into();
            }
            value
        });
        object.insert("figures".into(), figures.collect());
        if let Some(tally) = &self.tally {
            object.insert("counts".into(), counts(tally, self.undelivered));
        }
        object.insert("exact".into(), self.is_exact().into());
        object.insert("notes".into(), json!(self.notes));
        if let Some(failure) = &self.failure {
            object.insert("failure".into(), json!(failure));
        }
        object.into()
    }

    /// The table and the counts, each on its lines.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{}\n{}", self.scenario, table(&self.figures));
        if let Some(tally) = &self.tally {
            text.push_str(&summary(tally, self.undelivered));
        }
        for note in &self.notes {
            writeln!(text, "  {note}").ok();
        }
        if let Some(failure) = &self.failure {
            writeln!(text, "  FAILED: {failure}").ok();
        }
        text
    }
}

/// Figures in columns.
pub(super) fn table(figures: &[Figure]) -> String {
    let rows: Vec<[String; 4]> = figures
        .iter()
        .map(|figure| {
            let target = figure.at_most.map_or(String::new(), |limit| format!("<= {}", number(limit)));
            let verdict = match figure.is_reached() {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "",
            };
            let value = format!("{} {}", number(figure.value), figure.unit);
            [figure.name.clone(), value, target, verdict.to_owned()]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [name, value, target] = [width(0), width(1), width(2)];
    rows.iter().fold(String::new(), |mut text, row| {
        let line = format!("  {:name$}  {:>value$}  {:>target$}  {}", row[0], row[1], row[2], row[3]);
        writeln!(text, "{}", line.trim_end()).ok();
        text
    })
}

/// Three digits that matter, and thousands apart.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || value == value.trunc() {
        return grouped(value.round() as i64);
    }
    let digits = if size >= 10.0 {
        1
    } else if size >= 0.995 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn counts(tally: &Tally, undelivered: u64) -> Value {
    json!({
        "opened": tally.opened,
        "deliveries": tally.deliveries,
        "gaps": tally.gaps,
        "missed": tally.missed,
        "lost": tally.lost,
        "duplicates": tally.duplicates,
        "outOfOrder": tally.out_of_order,
        "undelivered": undelivered,
        "malformed": tally.malformed,
        "ended": tally.ended,
        "refused": tally.refused.iter().map(|(status, count)| (status.to_string(), json!(count))).collect::<Map<_, _>>(),
        "closingEvents": tally.closing_events,
    })
}

fn summary(tally: &Tally, undelivered: u64) -> String {
    let mut text = format!(
        "  {} deliveries, {} gaps ({} missed), {} lost, {} duplicates, {} out of order, {undelivered} undelivered\n",
        grouped(i64::try_from(tally.deliveries).unwrap_or(i64::MAX)),
        tally.gaps,
        tally.missed,
        tally.lost,
        tally.duplicates,
        tally.out_of_order,
    );
    if tally.malformed + tally.ended > 0 || !tally.refused.is_empty() {
        writeln!(
            text,
            "  {} streams ended, {} malformed, refused: {:?}, closing events: {:?}",
            tally.ended, tally.malformed, tally.refused, tally.closing_events
        )
        .ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        for (value, text) in [
            (0.0, "0"),
            (0.1534, "0.153"),
            (1.0, "1"),
            (7.256, "7.26"),
            (1049.7, "1,050"),
            (-12345678.0, "-12,345,678"),
            (99.94, "99.9"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_table_says_what_is_reached_and_what_is_missed() {
        let figures = [
            Figure::new("bytes per subscriber", 1049.7, "B").at_most(1500.0),
            Figure::new("ratio", 1.25, "x").at_most(1.1),
            Figure::new("p99", 12.0, "ms"),
        ];
        let expected = "  bytes per subscriber  1,050 B  <= 1,500  reached
  ratio                  1.25 x   <= 1.10  MISSED
  p99                     12 ms\n";
        assert_eq!(table(&figures), expected);
    }

    #[test]
    fn a_loss_makes_a_report_inexact() {
        let mut report = Report::new("fanout");
        assert!(report.is_exact());
        report.undelivered = 1;
        assert!(!report.is_exact());
        report.undelivered = 0;
        report.tally = Some(Tally { duplicates: 1, ..Tally::default() });
        assert!(!report.is_exact());
        assert_eq!(report.to_json()["counts"]["duplicates"], 1);
    }
}
