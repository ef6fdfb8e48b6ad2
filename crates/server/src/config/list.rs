//! Lists, and how their items are read: from a text with commas, or from a list of such texts.

use super::error::{Refusal, printable};
use super::kind::{Bounds, Form, Raw};

/// The items of a list, each once and in order. `one` reads an item, or says what is wrong with it.
pub(super) fn read_list<T: PartialEq>(
    raw: &Raw,
    form: &Form,
    bounds: Option<&Bounds>,
    one: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Refusal> {
    let mut read = Vec::new();
    for text in items(raw).ok_or_else(|| form.refuse(bounds))? {
        let item = one(text).map_err(|wrong| {
            let wrong = format!("\"{}\" {wrong}", printable(text));
            Refusal::malformed(wrong, form.advice(bounds))
        })?;
        if !read.contains(&item) {
            read.push(item);
        }
    }
    Ok(read)
}

/// The single items in a text with commas, or in a list of such texts. `None` if it is neither.
pub(super) fn items(raw: &Raw) -> Option<Vec<&str>> {
    let mut into = Vec::new();
    match raw {
        Raw::Text(text) if text.trim().is_empty() => {}
        Raw::Text(text) => into.extend(text.split(',').map(str::trim)),
        // An empty item is a slip, an empty list is none.
        Raw::List(items) => items.iter().try_for_each(|item| match item {
            Raw::Text(text) => {
                into.extend(text.split(',').map(str::trim));
                Some(())
            }
            _ => None,
        })?,
        Raw::Number(_) | Raw::Switch(_) | Raw::Other => return None,
    }
    Some(into)
}
