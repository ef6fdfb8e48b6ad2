//! The task that finds the server of each stream, and starts and owns the reader of each server.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use watertight_core::Kind;

use super::super::Shared;
use super::super::backoff::Backoff;
use super::super::keeper::RECONNECT;
use super::reader::Reader;
use super::table::Table;

/// How long whoever is asked may take to say which server has a stream.
const FIND_TIMEOUT: Duration = Duration::from_secs(5);

/// Until it is aborted, which ends the readers.
pub(super) async fn dispatch(shared: Arc<Shared>, table: Arc<Table>) {
    let mut readers = JoinSet::new();
    let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
    loop {
        while let Some(key) = table.without_server() {
            let finding = shared.servers.of_key(key.as_bytes(), &shared);
            let found = tokio::time::timeout(FIND_TIMEOUT, finding).await;
            match found.unwrap_or_else(|_| Err("it does not answer".into())) {
                Ok(server) => {
                    backoff.reset();
                    if let Some(wake) = table.assign(&key, &server) {
                        let entry = shared.ledger.open(Kind::Task);
                        let reader = Reader::new(Arc::clone(&shared), Arc::clone(&table), server, wake);
                        readers.spawn(async move {
                            let _entry = entry;
                            reader.run().await;
                        });
                    }
                }
                Err(why) => {
                    table.no_server(&why);
                    sleep(backoff.next_at_least_half()).await;
                }
            }
        }
        tokio::select! {
            () = table.changed.notified() => {}
            // One that has nothing to read any more.
            Some(_) = readers.join_next() => {}
        }
    }
}
