//! Values that are never shown: keys and passwords. `Debug`, `check`, the help and every refusal have [`HIDDEN`] in
//! their place, whichever source they come from.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Refusal, printable};
use super::kind::{Bounds, Form, Kind, Plain, Raw};

/// What stands in place of a value that is not shown.
pub(super) const HIDDEN: &str = "(secret)";

/// How many bytes a secret may have. The longest are private keys in PEM, of a few thousand.
const SECRET_BYTES_MAX: usize = 16 << 10;

/// A key or a password. Cloning shares it; comparing takes the same time wherever two of one length differ.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Takes these bytes as they are.
    ///
    /// # Errors
    /// A fragment that says what is wrong: there are none, or too many.
    pub fn new(bytes: &[u8]) -> Result<Secret, &'static str> {
        match bytes.len() {
            0 => Err("empty"),
            len if len > SECRET_BYTES_MAX => Err("longer than any key or password"),
            _ => Ok(Secret(bytes.into())),
        }
    }

    /// Reads the file at `path`. One line break at its end, as editors and `echo` leave it, is not part of the secret.
    ///
    /// # Errors
    /// The file cannot be read, or holds no secret.
    pub fn read(path: &Path) -> Result<Secret, SecretFileError> {
        let failed = |reason| SecretFileError { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        // A byte more than fits, and a line break: so that what is too long is seen to be.
        let limit = SECRET_BYTES_MAX as u64 + 3;
        file.take(limit).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Secret::new(bytes).map_err(|wrong| failed(format!("it is {wrong}")))
    }

    /// The secret itself, for whoever signs or signs in with it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for Secret {}

/// Whether these are the same bytes, told in a time that depends on their lengths alone.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Why a secret is not taken from its file. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {}: {reason}", printable(&path.to_string_lossy()))]
pub struct SecretFileError {
    path: PathBuf,
    reason: String,
}

/// A secret as it is written, or none.
pub(super) enum OptionalSecret {}

impl Kind for OptionalSecret {
    type Value = Option<Secret>;
    const FORM: Form = Form {
        value_name: "SECRET",
        noun: "a text",
        advice: "a text in quotes",
        unit: None,
        words: "\"none\"",
    };
    const IS_CONFIDENTIAL: bool = true;

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Option<Secret>, Refusal> {
        let refuse = |wrong: &str| Refusal::malformed(wrong, Self::FORM.advice(bounds));
        match raw {
            Raw::Text(text) if text.eq_ignore_ascii_case("none") => Ok(None),
            Raw::Text(text) if text == HIDDEN => {
                Err(refuse("what `watertight check` prints in place of a secret"))
            }
            Raw::Text(text) => Secret::new(text.as_bytes()).map(Some).map_err(refuse),
            _ => Err(Self::FORM.refuse(bounds)),
        }
    }

    fn plain(value: &Option<Secret>) -> Plain {
        Plain::Text(if value.is_some() { HIDDEN } else { "none" }.to_owned())
    }
}
