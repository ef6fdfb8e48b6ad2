//! What the URLs of Redis say. Passwords are for signing in only: no message has them.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use redis::{ProtocolVersion, RedisConnectionInfo};

use super::RedisStartError;
use crate::config::ServerUrl;
use crate::outbound::RemoteServer;

/// The port of Redis, and that of its sentinels.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is and who signs in.
pub(super) struct Target {
    pub(super) topology: Topology,
    pub(super) sign_in: RedisConnectionInfo,
    /// The URLs as they may be shown.
    pub(super) shown: String,
}

/// How the server that is meant is found.
pub(super) enum Topology {
    /// It is named.
    Server(RemoteServer),
    /// These are asked which one is the master of this name.
    Sentinels(Vec<RemoteServer>, Arc<str>),
    /// Each key has its own: these know which one.
    Cluster(Vec<RemoteServer>),
}

impl Target {
    pub(super) fn of(urls: &[ServerUrl]) -> Result<Target, RedisStartError> {
        let first = urls.first().ok_or(RedisStartError::NoUrl)?;
        let (is_sentinel, is_tls) = match first.expose().scheme() {
            "redis" => (false, false),
            "rediss" => (false, true),
            "redis+sentinel" => (true, false),
            _ => (true, true),
        };
        let sign_in = sign_in(first)?;
        let (master, database) = path(first, is_sentinel)?;
        let server = match is_sentinel {
            true => RemoteServer::new(first, SENTINEL_PORT, is_tls)?,
            false => RemoteServer::new(first, PORT, is_tls)?,
        };
        let mut servers = Vec::with_capacity(urls.len());
        for url in &urls[1..] {
            // One of them signs in, and it does so everywhere.
            let other = self::sign_in(url)?;
            let is_same = (other.username(), other.password()) == (sign_in.username(), sign_in.password());
            if (url.signs_in() && !is_same) || path(url, is_sentinel)? != (master.clone(), database) {
                return Err(RedisStartError::Differ);
            }
            let default_port = if is_sentinel { SENTINEL_PORT } else { PORT };
            servers.push(server.beside(url, default_port)?);
        }
        servers.insert(0, server.clone());
        let topology = match master {
            Some(master) => Topology::Sentinels(servers, master),
            None if servers.len() == 1 => Topology::Server(server),
            None if database != 0 => return Err(RedisStartError::ClusterDatabase),
            None => Topology::Cluster(servers),
        };
        let shown: Vec<String> = urls.iter().map(ToString::to_string).collect();
        Ok(Target { topology, sign_in: sign_in.set_db(database), shown: shown.join(",") })
    }
}

fn sign_in(url: &ServerUrl) -> Result<RedisConnectionInfo, RedisStartError> {
    let url = url.expose();
    let mut sign_in = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("watertight", env!("CARGO_PKG_VERSION"));
    if !url.username().is_empty() {
        sign_in = sign_in.set_username(decoded(url.username())?);
    }
    if let Some(password) = url.password() {
        sign_in = sign_in.set_password(decoded(password)?);
    }
    Ok(sign_in)
}

/// The name of the master and the number of the database.
fn path(url: &ServerUrl, is_sentinel: bool) -> Result<(Option<Arc<str>>, i64), RedisStartError> {
    let path = url.expose().path().trim_start_matches('/');
    if !is_sentinel {
        return Ok((None, database(path)?));
    }
    let (master, number) = path.split_once('/').unwrap_or((path, ""));
    let master = decoded(master)?;
    if master.is_empty() {
        return Err(RedisStartError::NoMaster);
    }
    Ok((Some(master.into()), database(number)?))
}

fn database(path: &str) -> Result<i64, RedisStartError> {
    match path {
        "" => Ok(0),
        // Digits only: `parse` by itself would take `+1` and `-1`.
        path if path.bytes().all(|b| b.is_ascii_digit()) => {
            path.parse().map_err(|_| RedisStartError::Database)
        }
        _ => Err(RedisStartError::Database),
    }
}

fn decoded(text: &str) -> Result<String, RedisStartError> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| RedisStartError::NotUtf8)
}
