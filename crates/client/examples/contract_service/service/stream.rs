//! One stream: a subscriber, and whoever wants to hear what it sees.

use tokio::sync::mpsc;
use watertight_client::{Error, Item, Status, Subscriber};

use super::callbacks::{Callbacks, Message};

/// What a stream can be told.
pub(super) enum Command {
    /// Disconnect, and connect again at once.
    Restart,
}

/// Goes on until its task is ended: a subscriber that is over may be restarted.
pub(super) async fn run(
    mut subscriber: Subscriber,
    mut callbacks: Callbacks,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut over = false;
    loop {
        let item = tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(Command::Restart) => {
                    subscriber.restart();
                    over = false;
                    continue;
                }
                None => return,
            },
            item = subscriber.next(), if !over => item,
        };
        over = item.is_none();
        if let Some(message) = item.and_then(message) {
            // The next item is not looked at before this one was told: so the order is kept, and nothing
            // gathers.
            callbacks.post(&message).await;
        }
    }
}

/// What is to be told of it, if anything.
fn message(item: Result<Item, Error>) -> Option<Message> {
    match item {
        Ok(Item::Event(event)) => Some(Message::event(event)),
        Ok(Item::Comment(comment)) => Some(Message::Comment { comment }),
        Ok(Item::Status(Status::Waiting { reason, .. })) => Some(Message::error(reason)),
        Ok(_) => None,
        Err(error) => Some(Message::error(error.to_string())),
    }
}
