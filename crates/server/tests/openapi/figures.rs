//! Figures that documents give for settings, compared with `docs/configuration.md`, which is made from the
//! table of settings: "`key` (10 s)", "`key`, 10 s |" and "| 10 s | `key`".

use std::collections::BTreeMap;

/// A figure in the base unit of its kind: milliseconds, bytes, or what is counted. Words are kept.
#[derive(Debug, PartialEq)]
pub(crate) enum Figure {
    Number(f64),
    Word(String),
}

impl Figure {
    /// `"8 MiB"`, `30 min`, `1,000 events`, `20 %`, `none`.
    fn parse(text: &str) -> Option<Figure> {
        let text = text.trim().trim_matches(['`', '"']);
        if ["none", "auto", "system", "true", "false"].contains(&text) {
            return Some(Figure::Word(text.to_owned()));
        }
        let digits = text.find(|c: char| !(c.is_ascii_digit() || c == ',' || c == '.')).unwrap_or(text.len());
        let number: f64 = text[..digits].trim_end_matches(',').replace(',', "").parse().ok()?;
        let unit = text[digits..].split_whitespace().next().unwrap_or_default().trim_end_matches([',', ';']);
        let scale = match unit {
            "s" => 1e3,
            "m" | "min" => 60e3,
            "h" => 3600e3,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "%" => 0.01,
            _ => 1.0,
        };
        Some(Figure::Number(number * scale))
    }
}

/// The default of every setting: rows of `docs/configuration.md` are `| key | default | meaning | bounds |`.
pub(crate) fn defaults(reference: &str) -> BTreeMap<String, Figure> {
    let row = |line: &str| {
        let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (default, _) = rest.split_once(" |")?;
        Some((key.to_owned(), Figure::parse(default)?))
    };
    reference.lines().filter_map(row).collect()
}

/// Every figure that a document gives for a setting: the line, the setting and the figure.
pub(crate) fn given<'a>(text: &'a str, known: &BTreeMap<String, Figure>) -> Vec<(usize, &'a str, Figure)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices('`') {
            let Some((key, after)) = line[at + 1..].split_once('`') else { continue };
            if !known.contains_key(key) {
                continue;
            }
            let inside = after.strip_prefix(" (").and_then(|rest| rest.split([')', ';']).next());
            let behind =
                after.strip_prefix(", ").and_then(|rest| rest.split_once(" |")).map(|(text, _)| text);
            let cell = line[..at].strip_suffix(" | ").and_then(|before| before.rsplit_once("| "));
            let cell = cell.map(|(_, text)| text).filter(|text| !text.contains('`'));
            let figures = [inside, behind, cell];
            let figures = figures.into_iter().flatten().filter_map(Figure::parse);
            found.extend(figures.map(|figure| (number + 1, key, figure)));
        }
    }
    found
}
