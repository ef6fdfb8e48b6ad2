//! A hub's Unix socket: how it is written, and the connection to it. Knows no HTTP.

use std::io;
use std::path::{Path, PathBuf};

use super::tls::Io;
use crate::error::Error;

const PREFIX: &str = "unix:";

/// What requests over a Unix socket are sent to: a hub answers to this host.
pub(crate) const ORIGIN: &str = "http://localhost";

/// The path of the Unix socket that `url` names, as in `unix:/run/watertight/hub.sock`; `None` if it is a URL of another
/// kind. What has to be asked of the hub there is `http://localhost` and a path.
///
/// ```
/// use std::path::Path;
/// use watertight_client::unix_socket;
///
/// let socket = unix_socket("unix:/run/hub.sock")?;
/// assert_eq!(socket.as_deref(), Some(Path::new("/run/hub.sock")));
/// assert_eq!(unix_socket("http://127.0.0.1:8080")?, None);
/// # Ok::<(), watertight_client::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidUrl`] for what can be no path of a socket.
pub fn unix_socket(url: &str) -> Result<Option<PathBuf>, Error> {
    let Some(path) = url.strip_prefix(PREFIX) else { return Ok(None) };
    let reason = if !cfg!(unix) {
        "this system has no Unix sockets"
    } else if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        "the path of a Unix socket begins with a slash and ends with a name: unix:/run/watertight/hub.sock"
    } else {
        return Ok(Some(PathBuf::from(path)));
    };
    Err(Error::InvalidUrl { url: url.to_owned(), reason })
}

/// The socket as errors name it.
pub(super) fn shown(path: &Path) -> String {
    format!("{PREFIX}{}", path.display())
}

#[cfg(unix)]
pub(super) async fn connect(path: &Path) -> io::Result<Io> {
    Ok(Io::from_plain(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
#[expect(clippy::unused_async, reason = "as where there are Unix sockets")]
pub(super) async fn connect(_: &Path) -> io::Result<Io> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_socket_is_refused_with_an_example() {
        for url in ["unix:", "unix:hub.sock", "unix:/run/", "unix:/a\0b"] {
            let error = unix_socket(url).unwrap_err().to_string();
            assert!(error.contains("unix:/run/watertight/hub.sock"), "{error}");
        }
    }
}
