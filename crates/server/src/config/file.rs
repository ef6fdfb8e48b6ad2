//! The TOML file: read, parsed, and each key handed on with its line and column.
//!
//! All settings stand at the top level; what `tables` reads stands below them. Knows no single key and no value's form.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::draft::Draft;
use super::error::{Mistake, Origin, Problem, printable};
use super::kind::Raw;
use super::setting::row_of;
use super::suggest::{nearest, nearest_key};
use super::tables;

/// How large a file may be. A hundred times what all settings take: more is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file at `path`, which was named by `named`, and offers its keys to `draft`.
pub(super) fn read(path: &Path, named: Origin, draft: &mut Draft) {
    match contents(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Reader::new(path, &text).offer_all(draft),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let reader = Reader::new(path, &text);
                draft.blind = true;
                draft.problem(Problem {
                    origin: reader.origin(valid),
                    mistake: Mistake::NotUtf8,
                    key: None,
                    value: None,
                    wrong: "not UTF-8".to_owned(),
                    advice: Some("save the file as UTF-8".to_owned()),
                });
            }
        },
        Err(wrong) => {
            draft.blind = true;
            draft.problem(Problem {
                origin: named,
                mistake: Mistake::Unreadable,
                key: None,
                value: None,
                wrong: format!("cannot read {}: {wrong}", printable(&path.to_string_lossy())),
                advice: Some("name a TOML file that this user may read".to_owned()),
            });
        }
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, text: &'a str) -> Reader<'a> {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Reader { path, text, lines: std::iter::once(0).chain(after).collect() }
    }

    fn offer_all(&self, draft: &mut Draft) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if !errors.is_empty() {
            draft.blind = true;
            return self.syntax(&errors, draft);
        }
        // The parser sorts by key; people read from top to bottom.
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            match row_of(key.get_ref()) {
                Some(at) => {
                    let origin = self.origin(value.span().start);
                    draft.offer(at, origin, &raw(value.get_ref()), &self.written(value.span()));
                }
                None if tables::read(self, key.get_ref(), value, draft) => {}
                None => draft.problem(self.unknown(key.get_ref(), key.span(), value.get_ref())),
            }
        }
    }

    /// One problem a line: a single slip makes the parser stumble several times.
    fn syntax(&self, errors: &[toml::de::Error], draft: &mut Draft) {
        let mut line_before = 0;
        for error in errors {
            let origin = self.origin(error.span().map_or(0, |span| span.start));
            let Origin::File { line, .. } = origin else { continue };
            if line != line_before {
                line_before = line;
                draft.problem(Problem {
                    origin,
                    mistake: Mistake::Syntax,
                    key: None,
                    value: None,
                    wrong: format!("not TOML, {}", message(error)),
                    advice: Some("write one `key = value` a line, texts in double quotes".to_owned()),
                });
            }
        }
    }

    fn unknown(&self, key: &str, span: Range<usize>, value: &DeValue<'_>) -> Problem {
        let inside = value.as_table().and_then(|table| {
            table.keys().map(|key| key.get_ref().as_ref()).find(|key| row_of(key).is_some())
        });
        let advice = match (inside, nearest_key(key)) {
            (Some(known), _) => {
                format!("settings stand at the top level: write `{known}` before any [table]")
            }
            (None, _) if value.is_table() && nearest(key, &tables::NAMES).is_some() => {
                format!("did you mean {}?", nearest(key, &tables::NAMES).unwrap_or_default())
            }
            (None, Some(near)) => format!("did you mean {near}?"),
            (None, None) => super::draft::SEE_HELP.to_owned(),
        };
        Problem {
            origin: self.origin(span.start),
            mistake: Mistake::UnknownKey,
            key: Some(printable(key)),
            value: None,
            wrong: "no such setting".to_owned(),
            advice: Some(advice),
        }
    }

    /// What stands in the file between these bytes.
    pub(super) fn written(&self, span: Range<usize>) -> String {
        printable(self.text.get(span).unwrap_or_default())
    }

    /// The line and the column, in characters, of a byte of the file.
    pub(super) fn origin(&self, at: usize) -> Origin {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= at);
        let column = self.text[self.lines[line - 1]..at].chars().count() + 1;
        Origin::File { path: self.path.to_owned(), line, column }
    }
}

/// The parser's message, without its unhelpful part.
fn message(error: &toml::de::Error) -> String {
    printable(error.message().trim_end_matches(", expected nothing"))
}

pub(super) fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Boolean(on) => Raw::Switch(*on),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Integer(number) => match u128::from_str_radix(number.as_str(), number.radix()) {
            Ok(decimal) => Raw::Number(decimal.to_string()),
            // Negative or beyond 128 bits: the sign or the length decides.
            Err(_) => Raw::Number(number.as_str().to_owned()),
        },
        // Plain decimals stay as they were written, so that nothing is rounded.
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() && number.as_str().contains(['e', 'E']) => {
                Raw::Number(float.to_string())
            }
            _ => Raw::Number(number.as_str().to_owned()),
        },
        DeValue::Datetime(_) | DeValue::Table(_) => Raw::Other,
    }
}
