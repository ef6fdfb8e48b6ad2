//! Reading the tables of the file. Every key in them is refused in the same words as a setting, and a table is taken
//! whole or not at all.

use toml::Spanned;
use toml::de::DeValue;

use super::declared::{DECLARED_MAX, Deployment, Service, Table};
use super::draft::Draft;
use super::error::{Mistake, Origin, Problem, printable};
use super::file::{Reader, raw};
use super::suggest::nearest;
use crate::resource::ResourceId;

/// The names of the tables there are.
pub(super) const NAMES: [&str; 2] = [Deployment::NAME, Service::NAME];

/// Reads all tables of one of the [`NAMES`]; `false`: it is none of them.
pub(super) fn read(reader: &Reader<'_>, name: &str, value: &Spanned<DeValue<'_>>, draft: &mut Draft) -> bool {
    match name {
        Deployment::NAME => read_all::<Deployment>(reader, value, draft),
        Service::NAME => read_all::<Service>(reader, value, draft),
        _ => return false,
    }
    true
}

fn read_all<T: Table>(reader: &Reader<'_>, value: &Spanned<DeValue<'_>>, draft: &mut Draft) {
    let name = T::NAME;
    let problem = |at: usize, mistake, wrong: String, advice: String| Problem {
        origin: reader.origin(at),
        mistake,
        key: Some(name.to_owned()),
        value: None,
        wrong,
        advice: Some(advice),
    };
    let advice = || format!("write a table for each, such as [{name}.42]");
    let Some(tables) = value.get_ref().as_table() else {
        let wrong = "no table".to_owned();
        return draft.problem(problem(value.span().start, Mistake::Malformed, wrong, advice()));
    };
    if tables.len() > DECLARED_MAX {
        let wrong = format!("{} of them, {DECLARED_MAX} at most", tables.len());
        let advice = "keep so many in Redis or in the application: directory = \"redis\" or \"webhook\"";
        return draft.problem(problem(value.span().start, Mistake::TooLarge, wrong, advice.to_owned()));
    }
    let mut entries: Vec<_> = tables.iter().collect();
    entries.sort_by_key(|(id, _)| id.span().start);
    for (id, value) in entries {
        match ResourceId::new(id.get_ref()) {
            Ok(resource) => read_one::<T>(reader, (&resource, id.span().start), value, draft),
            Err(error) => {
                let wrong = format!("\"{}\": {error}", printable(id.get_ref()));
                draft.problem(problem(id.span().start, Mistake::Malformed, wrong, advice()));
            }
        }
    }
}

fn read_one<T: Table>(
    reader: &Reader<'_>,
    (id, at): (&ResourceId, usize),
    value: &Spanned<DeValue<'_>>,
    draft: &mut Draft,
) {
    let name = format!("{}.{}", T::NAME, printable(id.as_str()));
    let problem = |at: usize, mistake, key: String, value, wrong: String, advice: String| Problem {
        origin: reader.origin(at),
        mistake,
        key: Some(key),
        value,
        wrong,
        advice: Some(advice),
    };
    let keys: Vec<&str> = T::FIELDS.iter().map(|field| field.key).collect();
    let Some(fields) = value.get_ref().as_table() else {
        let advice = format!("write [{name}] and its keys in the lines below it: {}", keys.join(", "));
        let (at, wrong) = (value.span().start, "no table".to_owned());
        return draft.problem(problem(at, Mistake::Malformed, name, None, wrong, advice));
    };
    let mut entries: Vec<_> = fields.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut table = T::default();
    let mut is_whole = true;
    for (key, value) in entries {
        let full = format!("{name}.{}", printable(key.get_ref()));
        let Some(field) = T::FIELDS.iter().find(|field| field.key == key.get_ref().as_ref()) else {
            is_whole = false;
            let advice = match nearest(key.get_ref(), &keys) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("such a table has {}", keys.join(", ")),
            };
            let wrong = "no such key".to_owned();
            draft.problem(problem(key.span().start, Mistake::UnknownKey, full, None, wrong, advice));
            continue;
        };
        if let Err(refusal) = (field.set)(&mut table, &raw(value.get_ref())) {
            is_whole = false;
            let written = (!field.is_confidential).then(|| reader.written(value.span()));
            let (at, mistake) = (value.span().start, refusal.mistake);
            draft.problem(problem(at, mistake, full, written, refusal.wrong, refusal.advice));
        }
    }
    if !is_whole {
        return;
    }
    match table.check() {
        Ok(()) => draft.declare(id, table, reader.origin(at)),
        Err((wrong, advice)) => {
            let (wrong, advice) = (wrong.to_owned(), advice.to_owned());
            draft.problem(problem(at, Mistake::Conflict, name, None, wrong, advice));
        }
    }
}

/// Where each declared table stands: for the report.
pub(super) type TableOrigins = std::collections::BTreeMap<(&'static str, ResourceId), Origin>;
