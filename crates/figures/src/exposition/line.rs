//! One line: a sample, a type, a help text, or nothing. Any bytes may be given; nothing is held beyond the line.

use std::borrow::Cow;

use crate::sample::FamilyType;

/// Which of the two formats it is; the answer's content type says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Prometheus text.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

/// What is wrong with a line, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it does not begin with a name")]
    NoName,
    #[error("it has a name in front of the braces and one within")]
    TwoNames,
    #[error("its labels are not NAME=\"VALUE\", separated by commas, in braces")]
    Labels,
    #[error("it has more than {0} labels")]
    TooManyLabels(usize),
    #[error("a label is there twice")]
    LabelTwice,
    #[error("a quotation mark is not closed")]
    Unclosed,
    #[error("it has no value")]
    NoValue,
    #[error("its value is no number")]
    Value,
    #[error("its timestamp is no number")]
    Timestamp,
    #[error("its exemplar is not {{LABELS}} VALUE")]
    Exemplar,
    #[error("there is more behind its end")]
    Behind,
    #[error("its type is not known")]
    Type,
    #[error("its family has another type or help already")]
    Declared,
    #[error("the same series was there before")]
    SeriesTwice,
    #[error("it stands behind # EOF")]
    BehindEof,
    #[error("the answer ends without # EOF")]
    NoEof,
}

/// What a line is.
#[derive(Debug, PartialEq)]
pub(crate) enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    /// `# EOF` of OpenMetrics.
    Eof,
    Help(Cow<'a, str>, Cow<'a, str>),
    Type(Cow<'a, str>, FamilyType),
    Sample(RawSample<'a>),
}

/// Names and values.
pub(crate) type RawLabels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

#[derive(Debug, PartialEq)]
pub(crate) struct RawSample<'a> {
    pub(crate) name: Cow<'a, str>,
    /// Sorted by name, each once.
    pub(crate) labels: RawLabels<'a>,
    pub(crate) value: f64,
    /// In the unit of the format: it is only compared.
    pub(crate) timestamp: Option<f64>,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(line: &'a [u8], dialect: Dialect, labels_max: usize) -> Result<Line<'a>, Bad> {
        let text = std::str::from_utf8(line).map_err(|_| Bad::NotUtf8)?;
        let mut rest = Rest { text: text.trim_matches(is_blank), labels_max };
        if rest.text.is_empty() {
            return Ok(Line::Nothing);
        }
        match rest.text.strip_prefix('#') {
            Some(comment) => Rest { text: comment, labels_max }.comment(dialect),
            None => rest.sample().map(Line::Sample),
        }
    }
}

/// Blanks between the parts of a line. A carriage return is one at a line's end only, where `trim_matches` meets it.
fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r')
}

/// What of the line was not read yet.
struct Rest<'a> {
    text: &'a str,
    labels_max: usize,
}

impl<'a> Rest<'a> {
    fn skip_blanks(&mut self) {
        self.text = self.text.trim_start_matches([' ', '\t']);
    }

    fn skip(&mut self, what: char) -> bool {
        let rest = self.text.strip_prefix(what);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    /// All up to the next blank.
    fn word(&mut self) -> &'a str {
        let (word, rest) = self.text.split_at(self.text.find([' ', '\t']).unwrap_or(self.text.len()));
        self.text = rest;
        self.skip_blanks();
        word
    }

    fn comment(mut self, dialect: Dialect) -> Result<Line<'a>, Bad> {
        self.skip_blanks();
        match self.word() {
            "HELP" => {
                let name = self.family_name()?;
                Ok(Line::Help(name, unescaped(self.text, dialect == Dialect::OpenMetrics)))
            }
            "TYPE" => {
                let name = self.family_name()?;
                let kind = match self.word() {
                    "counter" => FamilyType::Counter,
                    "gauge" => FamilyType::Gauge,
                    "histogram" => FamilyType::Histogram,
                    "gaugehistogram" => FamilyType::GaugeHistogram,
                    "summary" => FamilyType::Summary,
                    "info" => FamilyType::Info,
                    "stateset" => FamilyType::StateSet,
                    "untyped" | "unknown" => FamilyType::Untyped,
                    _ => return Err(Bad::Type),
                };
                if self.text.is_empty() { Ok(Line::Type(name, kind)) } else { Err(Bad::Behind) }
            }
            "EOF" if dialect == Dialect::OpenMetrics && self.text.is_empty() => Ok(Line::Eof),
            _ => Ok(Line::Nothing),
        }
    }

    /// The name in a comment: up to a blank, or in quotation marks.
    fn family_name(&mut self) -> Result<Cow<'a, str>, Bad> {
        let name = self.any_name(is_metric_letter)?;
        if !self.text.is_empty() && !self.text.starts_with([' ', '\t']) {
            return Err(Bad::NoName);
        }
        self.skip_blanks();
        Ok(name)
    }

    /// A name as it is, of `letters` and not with a digit in front, or any in quotation marks.
    fn any_name(&mut self, letters: fn(char) -> bool) -> Result<Cow<'a, str>, Bad> {
        if self.text.starts_with('"') {
            let name = self.quoted()?;
            return if name.is_empty() { Err(Bad::NoName) } else { Ok(name) };
        }
        let end = self.text.find(|letter| !letters(letter)).unwrap_or(self.text.len());
        let (name, rest) = self.text.split_at(end);
        if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Err(Bad::NoName);
        }
        self.text = rest;
        Ok(Cow::Borrowed(name))
    }

    /// Text in quotation marks, which is next.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Bad> {
        let within = self.text.strip_prefix('"').ok_or(Bad::Labels)?;
        let mut is_escaped = false;
        for (at, byte) in within.bytes().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    let (text, rest) = within.split_at(at);
                    self.text = rest.strip_prefix('"').unwrap_or(rest);
                    return Ok(unescaped(text, true));
                }
                _ => {}
            }
        }
        Err(Bad::Unclosed)
    }

    fn sample(&mut self) -> Result<RawSample<'a>, Bad> {
        let mut name = None;
        if self.text.starts_with('"') {
            return Err(Bad::NoName);
        }
        if !self.text.starts_with('{') {
            name = Some(self.any_name(is_metric_letter)?);
            let is_parted = self.text.starts_with([' ', '\t', '{']);
            if !is_parted {
                return Err(if self.text.is_empty() { Bad::NoValue } else { Bad::NoName });
            }
        }
        self.skip_blanks();
        let mut labels = Vec::new();
        if self.text.starts_with('{') {
            labels = self.labels(&mut name)?;
            self.skip_blanks();
        }
        let name = name.ok_or(Bad::NoName)?;
        let value = match self.word() {
            "" | "#" => return Err(Bad::NoValue),
            word => number(word).ok_or(Bad::Value)?,
        };
        let timestamp = if self.text.is_empty() || self.text.starts_with('#') {
            None
        } else {
            Some(number(self.word()).filter(|time| time.is_finite()).ok_or(Bad::Timestamp)?)
        };
        self.exemplar()?;
        Ok(RawSample { name, labels, value, timestamp })
    }

    /// `{a="b",c="d",}`; one may be the metric's name, in quotation marks and without a value.
    fn labels(&mut self, name: &mut Option<Cow<'a, str>>) -> Result<RawLabels<'a>, Bad> {
        let mut labels = Vec::new();
        if !self.skip('{') {
            return Err(Bad::Labels);
        }
        loop {
            self.skip_blanks();
            if self.skip('}') {
                break;
            }
            let is_quoted = self.text.starts_with('"');
            let label = self.any_name(is_label_letter).map_err(as_label)?;
            self.skip_blanks();
            if self.skip('=') {
                self.skip_blanks();
                if labels.len() == self.labels_max {
                    return Err(Bad::TooManyLabels(self.labels_max));
                }
                labels.push((label, self.quoted()?));
            } else if !is_quoted {
                return Err(Bad::Labels);
            } else if name.replace(label).is_some() {
                return Err(Bad::TwoNames);
            }
            self.skip_blanks();
            if !self.skip(',') && !self.text.starts_with('}') {
                return Err(if self.text.is_empty() { Bad::Unclosed } else { Bad::Labels });
            }
        }
        labels.sort_unstable();
        if labels.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(Bad::LabelTwice);
        }
        Ok(labels)
    }

    /// `# {trace_id="x"} 0.67 1520879607.789`, which is read and not kept.
    fn exemplar(&mut self) -> Result<(), Bad> {
        if self.text.is_empty() {
            return Ok(());
        }
        if !self.skip('#') {
            return Err(Bad::Behind);
        }
        self.skip_blanks();
        let mut no_name = None;
        self.labels(&mut no_name).map_err(|_| Bad::Exemplar)?;
        self.skip_blanks();
        let is_value = number(self.word()).is_some();
        let is_time = self.text.is_empty() || number(self.word()).is_some();
        let is_whole = no_name.is_none() && is_value && is_time && self.text.is_empty();
        if is_whole { Ok(()) } else { Err(Bad::Exemplar) }
    }
}

fn as_label(bad: Bad) -> Bad {
    if bad == Bad::NoName { Bad::Labels } else { bad }
}

fn is_label_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn is_metric_letter(letter: char) -> bool {
    is_label_letter(letter) || letter == ':'
}

/// A number as Go's `ParseFloat` reads it, which is Rust's syntax as well (hexadecimal ones and `_` are refused by
/// Prometheus, too).
fn number(word: &str) -> Option<f64> {
    word.parse().ok()
}

/// `\\`, `\n` and, in quotation marks, `\"`; any other backslash stands for itself, as in Prometheus.
fn unescaped(text: &str, is_quoted: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            whole.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => whole.push('\n'),
            Some('\\') | None => whole.push('\\'),
            Some('"') if is_quoted => whole.push('"'),
            Some(other) => whole.extend(['\\', other]),
        }
    }
    Cow::Owned(whole)
}

#[cfg(test)]
mod tests;
