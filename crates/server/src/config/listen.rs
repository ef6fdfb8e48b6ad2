//! Where the hub listens: TCP addresses and Unix sockets, as they are written, and the mode of a socket's file.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::error::{Refusal, printable};
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::list::items;

/// Where a hub listens that nobody has configured.
pub(super) const DEFAULT: &[ListenAddress] =
    &[ListenAddress::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080))];
/// Addresses of one list.
const ADDRESSES_MAX: usize = 16;
/// The longest path of a Unix socket, bytes: `sun_path` ends with a zero.
const UNIX_PATH_BYTES_MAX: usize = 107;
const UNIX_PREFIX: &str = "unix:";

/// An address that can be listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether nobody outside of this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            ListenAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            ListenAddress::Unix(_) => true,
        }
    }

    /// Whether listening on it twice gives two addresses.
    pub(super) fn is_free_port(&self) -> bool {
        matches!(self, ListenAddress::Tcp(address) if address.port() == 0)
    }

    /// The IP address by which a request may name the hub.
    pub(crate) fn own_ip(&self) -> IpAddr {
        match self {
            ListenAddress::Tcp(address) => address.ip().to_canonical(),
            ListenAddress::Unix(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

const FORM: Form = Form {
    value_name: "ADDRESS",
    noun: "an IP address and a port",
    advice: "ADDRESS:PORT such as \"127.0.0.1:8080\" or \"[::1]:8080\", or unix:/PATH",
    unit: None,
    words: "",
};

/// Reads one address.
fn address(text: &str, form: &Form, bounds: Option<&Bounds>) -> Result<ListenAddress, Refusal> {
    if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
        return unix(path).map_err(|wrong| Refusal::malformed(wrong, form.advice(bounds)));
    }
    text.parse().map(ListenAddress::Tcp).map_err(|_| {
        let port = text.strip_prefix("localhost:").or(text.strip_prefix(':')).unwrap_or(text);
        match port.parse::<u16>() {
            Ok(port) => Refusal::malformed(
                format!("not {}", form.noun),
                format!("use \"127.0.0.1:{port}\" (this machine only) or another ADDRESS:PORT"),
            ),
            Err(_) => form.refuse(bounds),
        }
    })
}

/// Reads the path of a Unix socket, or says what is wrong with it.
fn unix(path: &str) -> Result<ListenAddress, String> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(
            "not the path of a Unix socket, which begins with a slash and ends with a name".to_owned()
        );
    }
    if path.contains('\0') {
        return Err("not a path: it has a zero byte".to_owned());
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        let bytes = path.len();
        return Err(format!(
            "a path of {bytes} bytes, and that of a Unix socket has at most {UNIX_PATH_BYTES_MAX}"
        ));
    }
    Ok(ListenAddress::Unix(PathBuf::from(path)))
}

/// One or several addresses.
pub(super) enum Addresses {}

impl Kind for Addresses {
    type Value = Cow<'static, [ListenAddress]>;
    const FORM: Form = Form { value_name: "ADDRESS,...", ..FORM };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Self::Value, Refusal> {
        let texts = items(raw).filter(|texts| !texts.is_empty()).ok_or_else(|| FORM.refuse(bounds))?;
        if texts.len() > ADDRESSES_MAX {
            let wrong = format!("{} addresses, and there may be {ADDRESSES_MAX}", texts.len());
            return Err(Refusal::malformed(wrong, "listen on fewer".to_owned()));
        }
        let mut read = Vec::new();
        for text in &texts {
            let address = address(text, &FORM, bounds).map_err(|refusal| match texts.len() {
                1 => refusal,
                _ => Refusal { wrong: format!("\"{}\" is {}", printable(text), refusal.wrong), ..refusal },
            })?;
            if address.is_free_port() || !read.contains(&address) {
                read.push(address);
            }
        }
        Ok(Cow::Owned(read))
    }

    fn plain(value: &Self::Value) -> Plain {
        Plain::List(value.iter().map(ToString::to_string).collect())
    }
}

/// An address, or none.
pub(super) enum OptionalAddress {}

impl Kind for OptionalAddress {
    type Value = Option<ListenAddress>;
    const FORM: Form = Form { words: "\"none\"", ..FORM };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Self::Value, Refusal> {
        let text = raw.scalar().unwrap_or_default().trim();
        if text.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        address(text, &Self::FORM, bounds).map(Some)
    }

    fn plain(value: &Self::Value) -> Plain {
        Plain::Text(value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string))
    }
}

/// The mode of a file, in octal digits.
pub(super) enum FileMode {}

impl Kind for FileMode {
    type Value = u32;
    const FORM: Form = Form {
        value_name: "MODE",
        noun: "the mode of a file",
        advice: "octal digits in quotes, from \"0000\" to \"0777\", such as \"0660\"",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<u32, Refusal> {
        // Only as text: a number of TOML would have been read as decimal.
        let Raw::Text(text) = raw else { return Err(Self::FORM.refuse(bounds)) };
        let is_octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        mode.ok_or_else(|| Self::FORM.refuse(bounds))
    }

    fn plain(value: &u32) -> Plain {
        Plain::Text(format!("{value:04o}"))
    }
}
