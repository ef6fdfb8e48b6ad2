//! A connection of the hub's own, connected and signed in; and what is wrong when it is not, in words that anybody may see.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Shared;
use super::wire::{Reply, WireError, WireReader, WireWriter, wire};
use crate::outbound::RemoteServer;

/// Connects and signs in, within this time. `id`: that of the connection at the server.
pub(super) async fn connect(
    server: &RemoteServer,
    shared: &Shared,
    within: Duration,
) -> Result<(WireReader, WireWriter, i64), Arc<str>> {
    let connecting = async {
        let stream = server.connect().await.map_err(|error| Arc::<str>::from(error.to_string()))?;
        let (mut reader, mut writer) = wire(stream, &shared.budget);
        let id = sign_in(shared, &mut reader, &mut writer).await?;
        Ok((reader, writer, id))
    };
    timeout(within, connecting).await.unwrap_or_else(|_| Err("it does not answer".into()))
}

async fn sign_in(shared: &Shared, reader: &mut WireReader, writer: &mut WireWriter) -> Result<i64, Arc<str>> {
    let sign_in = &shared.target().sign_in;
    match sign_in.password() {
        None => writer.add(&[b"HELLO", b"3"]),
        Some(password) => {
            let user = sign_in.username().unwrap_or("default");
            writer.add(&[b"HELLO", b"3", b"AUTH", user.as_bytes(), password.as_bytes()]);
        }
    }
    writer.add(&[b"CLIENT", b"SETNAME", b"watertight"]);
    let database = sign_in.db();
    if database != 0 {
        writer.add(&[b"SELECT", database.to_string().as_bytes()]);
    }
    writer.flush().await.map_err(shown)?;
    let hello = match reader.reply().await.map_err(shown)? {
        Reply::Error(error) => return Err(words_of_error(&error).into()),
        Reply::Array(parts) => parts,
        _ => return Err(shown(WireError::Protocol)),
    };
    // A name is a help for whoever looks at CLIENT LIST; a user may be forbidden to set it.
    reader.skip().await.map_err(shown)?;
    if database != 0
        && let Reply::Error(error) = reader.reply().await.map_err(shown)?
    {
        return Err(format!("it has no database {database} for us ({})", code_of(&error)).into());
    }
    let id = hello.chunks(2).find(|pair| pair[0].text() == Some("id"));
    Ok(id.and_then(|pair| pair.get(1)?.integer()).unwrap_or_default())
}

/// Asks one command and waits for its whole answer.
pub(super) async fn ask(
    reader: &mut WireReader,
    writer: &mut WireWriter,
    words: &[&[u8]],
) -> Result<Reply, WireError> {
    writer.add(words);
    writer.flush().await?;
    reader.reply().await
}

pub(super) fn shown(error: WireError) -> Arc<str> {
    error.to_string().into()
}

/// The code of an error: its first word.
pub(super) fn code_of(error: &str) -> &str {
    error.split(' ').next().unwrap_or_default()
}

/// What an error says when connecting; nothing of a command or of a password.
pub(super) fn words_of_error(error: &str) -> String {
    match code_of(error) {
        "WRONGPASS" => "it refuses the user or the password of redis_url".to_owned(),
        "NOAUTH" => "it wants a password, and redis_url has none".to_owned(),
        "NOPERM" => "it does not let the user of redis_url connect (NOPERM)".to_owned(),
        "NOPROTO" => "it is older than Redis 6".to_owned(),
        "ERR" if error.contains("unknown command") => "it is older than Redis 6".to_owned(),
        "LOADING" => "it is just starting".to_owned(),
        code => format!("it refuses the connection ({code})"),
    }
}
