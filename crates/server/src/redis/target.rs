//! What the URL of Redis says. Its password is for signing in only: no message has it.

use percent_encoding::percent_decode_str;
use redis::{ProtocolVersion, RedisConnectionInfo};

use super::RedisStartError;
use crate::config::ServerUrl;
use crate::outbound::RemoteServer;

/// The port of Redis.
const PORT: u16 = 6379;

/// Where Redis is and who signs in.
pub(super) struct Target {
    pub(super) server: RemoteServer,
    pub(super) sign_in: RedisConnectionInfo,
    /// The URL as it may be shown.
    pub(super) shown: String,
}

impl Target {
    pub(super) fn of(urls: &[ServerUrl]) -> Result<Target, RedisStartError> {
        let [url] = urls else {
            return Err(match urls.first() {
                None => RedisStartError::NoUrl,
                Some(first) if first.expose().scheme() == "redis+sentinel" => RedisStartError::Sentinel,
                Some(_) => RedisStartError::Cluster,
            });
        };
        let whole = url.expose();
        let is_tls = match whole.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisStartError::Sentinel),
        };
        let mut sign_in = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("watertight", env!("CARGO_PKG_VERSION"));
        if !whole.username().is_empty() {
            sign_in = sign_in.set_username(decoded(whole.username())?);
        }
        if let Some(password) = whole.password() {
            sign_in = sign_in.set_password(decoded(password)?);
        }
        match whole.path().trim_start_matches('/') {
            "" => {}
            // Digits only: `parse` by itself would take `+1` and `-1`.
            path if path.bytes().all(|b| b.is_ascii_digit()) => {
                sign_in = sign_in.set_db(path.parse().map_err(|_| RedisStartError::Database)?);
            }
            _ => return Err(RedisStartError::Database),
        }
        Ok(Target { server: RemoteServer::new(url, PORT, is_tls)?, sign_in, shown: url.to_string() })
    }
}

fn decoded(text: &str) -> Result<String, RedisStartError> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| RedisStartError::NotUtf8)
}
