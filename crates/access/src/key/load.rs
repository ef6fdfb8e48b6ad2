//! The keys of the hub's own settings: read as a whole or refused as a whole. A refusal names what was found and what
//! would do, and never has any part of a key in it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Algorithms};
use crate::key::{Key, pem, secret};
use crate::limits::{FILE_KEYS_MAX, KEY_FILE_BYTES_MAX, RSA_BITS_MAX, RSA_BITS_MIN, STATIC_KEYS_MAX};

/// Where a static key is.
#[derive(Clone)]
pub enum KeySource {
    /// A secret that stands in a setting: raw, or `base64:` and the secret in base64.
    Secret(Zeroizing<String>),
    /// A file with a secret in the same form; one line break at its end does not belong to it.
    SecretFile(PathBuf),
    /// A PEM file with public keys or a certificate.
    PublicKeyFile(PathBuf),
    /// The text of such a file.
    PublicKey(String),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Secret(_) => f.write_str("Secret"),
            KeySource::SecretFile(path) => f.debug_tuple("SecretFile").field(path).finish(),
            KeySource::PublicKeyFile(path) => f.debug_tuple("PublicKeyFile").field(path).finish(),
            KeySource::PublicKey(_) => f.write_str("PublicKey"),
        }
    }
}

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    File(String),
    /// A file is too long.
    #[error("is longer than {KEY_FILE_BYTES_MAX} bytes, which no key is")]
    FileTooLong,
    /// A secret is too short.
    #[error(
        "the secret has {bytes} bytes, and HS256 needs 32, HS384 48, HS512 64: `watertight token secret` prints a fresh one"
    )]
    SecretTooShort {
        /// Bytes it has.
        bytes: usize,
    },
    /// A secret is a key of another kind.
    #[error(
        "is {0}, and everybody may know that: a public key belongs into `token_public_key`, a secret is random text of 32 bytes or more"
    )]
    SecretIsKey(&'static str),
    /// It says base64 and is not.
    #[error("what stands behind `base64:` is no base64")]
    NoBase64,
    /// No PEM file.
    #[error("holds {0}: a public key or certificate in PEM would do (`-----BEGIN PUBLIC KEY-----`)")]
    NoPem(&'static str),
    /// A PEM file is damaged.
    #[error("is damaged: a block of PEM has no end, or what stands in it is no base64")]
    DamagedPem,
    /// A PEM file with a private key.
    #[error(
        "holds a private key, which the hub must not have: `openssl pkey -in FILE -pubout` prints the public key that would do"
    )]
    Private,
    /// OpenSSH's format of a private key.
    #[error(
        "holds a private key in OpenSSH's format: `ssh-keygen -e -m PKCS8 -f FILE` prints the public key in the PEM that would do"
    )]
    OpenSshPrivate,
    /// OpenSSH's format of a public key.
    #[error(
        "holds a public key in the format of RFC 4716: `ssh-keygen -i -f FILE | ssh-keygen -e -m PKCS8 -f /dev/stdin` prints the PEM that would do"
    )]
    OpenSshPublic,
    /// A PEM file without a public key.
    #[error("holds no public key: a block `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE` would do")]
    NoPublicKey,
    /// A block cannot be read.
    #[error("holds a {0} that cannot be read")]
    Unreadable(&'static str),
    /// A key that verifies no token.
    #[error("holds {0} that signs no token here: RSA, EC on P-256 or P-384, or Ed25519 would do")]
    UnfitKey(&'static str),
    /// An RSA key of a size that is not used.
    #[error("holds an RSA key of {bits} bits: {RSA_BITS_MIN} to {RSA_BITS_MAX} would do")]
    RsaSize {
        /// Its size.
        bits: usize,
    },
    /// Too many keys.
    #[error("holds more than {FILE_KEYS_MAX} keys")]
    TooManyKeys,
    /// Too many keys in all.
    #[error("there are more than {STATIC_KEYS_MAX} keys")]
    TooManyInAll,
    /// The algorithms that are allowed leave nothing of a key.
    #[error("is for {fits}, and `token_algorithms` allows {allowed} only")]
    NothingLeft {
        /// What it is for.
        fits: Algorithms,
        /// What is allowed.
        allowed: Algorithms,
    },
    /// An algorithm is allowed that no key is for.
    #[error("`token_algorithms` allows {algorithm:?}, for which there is no key: {would_do}")]
    NoKeyFor {
        /// The algorithm.
        algorithm: Algorithm,
        /// What it would take.
        would_do: String,
    },
}

/// A key that was refused, with where it was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{error}", place(.path))]
pub struct RefusedKey {
    /// Its file, if it came from one.
    pub path: Option<PathBuf>,
    /// Its number among the sources; `None` if it is about all of them.
    pub source_number: Option<usize>,
    /// What is wrong.
    pub error: KeyError,
}

fn place(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or(String::new(), |path| format!("{}: ", path.display()))
}

/// The static keys of a hub, checked.
#[derive(Debug, Clone, Default)]
pub struct StaticKeys(Arc<[Arc<Key>]>);

impl StaticKeys {
    /// Reads all sources. Blocks for as long as reading the files takes.
    ///
    /// `allowed` narrows what the keys are for (`token_algorithms`; empty: whatever fits). With `has_key_sets` an
    /// algorithm may be allowed that no static key is for.
    ///
    /// # Errors
    /// With everything that is wrong, and then nothing is taken.
    pub fn load(
        sources: &[KeySource],
        allowed: &[Algorithm],
        has_key_sets: bool,
    ) -> Result<StaticKeys, Vec<RefusedKey>> {
        let mut refused = Vec::new();
        let mut keys = Vec::new();
        let mut fits = Algorithms::default();
        let mut secret_bytes = None;
        let allowed_set = if allowed.is_empty() { Algorithms::ANY } else { Algorithms::of(allowed) };
        for (number, source) in sources.iter().enumerate() {
            let path = source.path().map(Path::to_path_buf);
            let mut refuse = |error| {
                refused.push(RefusedKey { path: path.clone(), source_number: Some(number), error });
            };
            match source.keys(&mut secret_bytes) {
                Err(error) => refuse(error),
                Ok(read) => {
                    for key in read {
                        fits = fits.or(key.algorithms());
                        let of_key = key.algorithms();
                        match key.narrowed(&["static"], allowed_set) {
                            Some(key) => keys.push(Arc::new(key)),
                            None => refuse(KeyError::NothingLeft { fits: of_key, allowed: allowed_set }),
                        }
                    }
                }
            }
        }
        let mut refuse = |error| refused.push(RefusedKey { path: None, source_number: None, error });
        if keys.len() > STATIC_KEYS_MAX {
            refuse(KeyError::TooManyInAll);
        }
        if refused.is_empty() && !has_key_sets && !sources.is_empty() {
            for algorithm in Algorithms::of(allowed).iter().filter(|algorithm| !fits.contains(*algorithm)) {
                let would_do = would_do(algorithm, secret_bytes);
                refused.push(RefusedKey {
                    path: None,
                    source_number: None,
                    error: KeyError::NoKeyFor { algorithm, would_do },
                });
            }
        }
        if refused.is_empty() { Ok(StaticKeys(keys.into())) } else { Err(refused) }
    }

    /// One key alone.
    pub(crate) fn of(key: Key) -> StaticKeys {
        StaticKeys([Arc::new(key)].into())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.0.iter()
    }
}

/// What an algorithm takes that no key is for.
fn would_do(algorithm: Algorithm, secret_bytes: Option<usize>) -> String {
    match (secret::needs(algorithm), secret_bytes) {
        (Some(need), Some(bytes)) => format!("it needs a secret of {need} bytes, and this one has {bytes}"),
        (Some(need), None) => format!("it needs a secret of {need} bytes (`token_secret_file`)"),
        (None, _) => {
            "it needs a public key (`token_public_key`); a secret is for HS256, HS384 and HS512".to_owned()
        }
    }
}

impl KeySource {
    fn path(&self) -> Option<&Path> {
        match self {
            KeySource::SecretFile(path) | KeySource::PublicKeyFile(path) => Some(path),
            KeySource::Secret(_) | KeySource::PublicKey(_) => None,
        }
    }

    fn keys(&self, secret_bytes: &mut Option<usize>) -> Result<Vec<Key>, KeyError> {
        let mut of_secret = |text: &[u8]| {
            *secret_bytes = Some(secret::bytes(text)?.len());
            Ok(vec![secret::key(text)?])
        };
        match self {
            KeySource::Secret(text) => of_secret(text.as_bytes()),
            KeySource::SecretFile(path) => of_secret(&read_secret(path)?),
            KeySource::PublicKeyFile(path) => pem::public_keys(&read(path)?),
            KeySource::PublicKey(text) => pem::public_keys(text.as_bytes()),
        }
    }
}

/// A file's secret without the line break that an editor puts at its end.
///
/// # Errors
/// When the file cannot be read or is too long.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut text = read(path)?;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// A key file, whole.
///
/// # Errors
/// As [`read_secret`].
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |error: io::Error| KeyError::File(error.to_string());
    // The whole capacity at once: growing would leave copies behind that nobody erases.
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize + 1));
    File::open(path).map_err(failed)?.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > KEY_FILE_BYTES_MAX { Err(KeyError::FileTooLong) } else { Ok(text) }
}
