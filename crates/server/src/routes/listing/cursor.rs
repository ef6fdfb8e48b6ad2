//! Where the next page of a searched list begins, as text: opaque, and of no use for any other list.

use std::fmt::Write as _;

use http::StatusCode;

use super::top::{Direction, Key};
use crate::problem::Problem;
use crate::routes::query::{Query, invalid};
use crate::searches::Searches;

/// A list as it is asked for: which of them, and with which parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    /// Tells it from any other list, and from that of an earlier run of the hub.
    mark: u64,
}

impl List {
    /// The list called `name`, with these parameters of a request.
    pub(crate) fn of(searches: &Searches, name: &str, query: &Query, parameters: &[&str]) -> List {
        let asked: Vec<Option<&[u8]>> = parameters.iter().map(|name| query.bytes(name)).collect();
        List { mark: searches.mark(&(name, asked)) }
    }

    /// The cursor of a page that ends here.
    pub(crate) fn cursor(self, key: &Key) -> String {
        let mut text = format!("{:016x}.{}.", self.mark, key.rank);
        for byte in key.name.bytes() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Where the page before ended, if a request says so.
    pub(crate) fn after(self, query: &Query) -> Result<Option<Key>, Problem> {
        let Some(text) = query.text("cursor")? else { return Ok(None) };
        match parse(text) {
            Some((mark, key)) if mark == self.mark => Ok(Some(key)),
            _ => Err(unusable(text)),
        }
    }
}

/// Refuses a cursor that leads nowhere in the list that is asked for.
pub(crate) fn unusable(text: &str) -> Problem {
    if is_of_some_list(text) {
        let detail = "the cursor is stale: it is of a list that was asked for differently, or of a hub that has been \
                      started again since; begin without it";
        return Problem::new(StatusCode::CONFLICT, "STALE_CURSOR", detail);
    }
    invalid("cursor", "the `next` of an earlier page")
}

/// Whether a text has the form of a cursor, be it of a searched list or of one in no particular order.
fn is_of_some_list(text: &str) -> bool {
    let is_number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.split('.').collect::<Vec<_>>()[..] {
        [one, two] => is_number(one, 9) && is_number(two, 9),
        [mark, rank, name] => {
            mark.len() == 16
                && is_hex(mark)
                && is_number(rank, 20)
                && name.len().is_multiple_of(2)
                && is_hex(name)
        }
        _ => false,
    }
}

fn parse(text: &str) -> Option<(u64, Key)> {
    let mut parts = text.split('.');
    let (mark, rank, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_plain = |text: &str, is_digit: fn(&u8) -> bool| text.as_bytes().iter().all(is_digit);
    if parts.next().is_some()
        || mark.len() != 16
        || !is_plain(mark, u8::is_ascii_hexdigit)
        || !is_plain(rank, u8::is_ascii_digit)
    {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = name.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    let name = String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()?;
    Some((u64::from_str_radix(mark, 16).ok()?, Key { rank: rank.parse().ok()?, name: name.into() }))
}

impl Direction {
    /// `order`, as a request has it.
    pub(crate) fn of(query: &Query, default: Direction) -> Result<Direction, Problem> {
        match query.text("order")? {
            None => Ok(default),
            Some("asc") => Ok(Direction::Ascending),
            Some("desc") => Ok(Direction::Descending),
            Some(_) => Err(invalid("order", "asc or desc")),
        }
    }
}
