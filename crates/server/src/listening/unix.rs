//! A Unix socket of the hub's own: its file, who stands in its way, and its end.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tracing::{info, warn};

/// Which file it is, whatever its name. With the time at which it was made, because numbers are used again.
type Identity = (u64, u64, Option<SystemTime>);

/// The file of a socket. Dropping this removes it, unless another file stands in its place by then.
#[derive(Debug)]
pub(crate) struct UnixFile {
    path: PathBuf,
    identity: Identity,
}

impl Drop for UnixFile {
    fn drop(&mut self) {
        let removed = match identity(&self.path) {
            Ok(now) if now == self.identity => fs::remove_file(&self.path),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                warn!(%error, path = %self.path.display(), "the file of a Unix socket stays");
            }
            _ => {}
        }
    }
}

/// Makes a Unix socket that listens at this path, its file of this mode. A socket that nobody listens at any more is
/// replaced; any other file stays, and is an error.
pub(super) fn bind(path: &Path, mode: u32, backlog: i32) -> io::Result<(Socket, UnixFile)> {
    let address = SockAddr::unix(path)?;
    make_room(path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Before there is a file, so that it is never open to more than it should be. The umask may take more away: hence again
    // afterwards.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    socket.bind(&address)?;
    let file = UnixFile { path: path.to_owned(), identity: identity(path)? };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(backlog)?;
    Ok((socket, file))
}

/// Removes the file of a socket that nobody listens at.
fn make_room(path: &Path, address: &SockAddr) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is no socket has this name"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Where too many wait already to be accepted, a socket that blocks would wait with them.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            // Somebody else may have replaced it in this moment.
            if identity(path)? == identity_of(&found) {
                info!(path = %path.display(), "replacing a Unix socket that nobody listens at");
                fs::remove_file(path)?;
            }
            Ok(())
        }
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Ok(()) | Err(_) => Err(io::Error::new(ErrorKind::AddrInUse, "in use, another process listens there")),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|file| identity_of(&file))
}

fn identity_of(file: &fs::Metadata) -> Identity {
    (file.dev(), file.ino(), file.created().ok())
}
