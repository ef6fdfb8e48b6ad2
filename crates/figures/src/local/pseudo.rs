//! Bounded reads of the kernel's files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::limits::FILE_BYTES_MAX;
use crate::number::{Known, Missing};

/// A whole file, or as much of it as is read.
pub(super) fn text(path: &Path) -> Result<String, Missing> {
    let file = File::open(path).map_err(|error| missing(&error))?;
    text_of(file).map_err(|error| missing(&error))
}

/// The same of an open file.
pub(super) fn text_of(file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Why there is no figure.
pub(super) fn missing(error: &io::Error) -> Missing {
    if error.kind() == io::ErrorKind::PermissionDenied {
        Missing::NoPermission
    } else {
        Missing::NotAvailable
    }
}

/// Whether something is there at all.
pub(super) fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

/// The number of a file that holds one.
pub(super) fn number(path: &Path) -> Known {
    first_number(&text(path)?).ok_or(Missing::NotAvailable)
}

/// The number at a text's beginning.
pub(super) fn first_number(text: &str) -> Option<f64> {
    whole(text.split_ascii_whitespace().next()?)
}

/// The number after a key at a line's beginning: `key N` or `key: N kB`.
pub(super) fn keyed(text: &str, key: &str) -> Known {
    let value = text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        rest.starts_with([' ', '\t']).then(|| first_number(rest))
    });
    value.flatten().ok_or(Missing::NotAvailable)
}

/// A whole number; beyond 2^53 the nearest that there is, which no counter of bytes reaches soon.
#[expect(clippy::cast_precision_loss, reason = "figures are shown, not counted with")]
fn whole(text: &str) -> Option<f64> {
    text.parse::<u64>().ok().map(|number| number as f64)
}
