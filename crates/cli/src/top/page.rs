//! The page in the terminal: waits for keys, signals, answers and events, and draws what has changed. Owns everything that
//! is under way; when it returns, all of it is closed.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use watertight_client::{Error, Item, Subscriber};

use super::hub::{Hub, Look, Trouble};
use super::keys::Keys;
use super::model::{Action, Model};
use super::screen::Screen;
use super::signals::{Asked, Signals};
use super::view::{self, Theme};

/// Between two frames: what changes more often is not seen.
const FRAME_MIN: Duration = Duration::from_millis(50);

/// What is shown with its age grows older.
const AGE_STEP: Duration = Duration::from_secs(1);

/// The rest of a key that has begun comes within this time, also over a slow line.
const KEY_TIMEOUT: Duration = Duration::from_millis(100);

/// Bytes of keys read at once.
const READ_BYTES: usize = 1024;

/// Something that is under way, or nothing.
type Maybe<'h, T> = Option<Pin<Box<dyn Future<Output = T> + 'h>>>;

/// How the page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Quit,
    /// By the signal of this number.
    Signal(u8),
}

/// The number of SIGHUP: what a terminal that is gone amounts to.
const HANGUP: u8 = 1;

/// Shows the page until the user or a signal ends it.
///
/// # Errors
/// The terminal cannot be used.
pub(super) async fn show(hub: &Hub, model: Model) -> io::Result<End> {
    let mut signals = Signals::listen()?;
    let screen = Screen::open()?;
    let start = Instant::now();
    let mut page = Page {
        hub,
        model,
        screen,
        theme: Theme::from_environment(),
        keys: Keys::default(),
        keys_until: start,
        looking: None,
        look_at: start,
        closing: None,
        subscriber: None,
        start,
        draw_at: Some(start),
        is_suspended: false,
    };
    page.run(&mut signals).await
}

struct Page<'h> {
    hub: &'h Hub,
    model: Model,
    screen: Screen,
    theme: Theme,
    keys: Keys,
    /// When the rest of a key that has begun is given up.
    keys_until: Instant,
    looking: Maybe<'h, Result<Look, Trouble>>,
    /// When the hub is asked again.
    look_at: Instant,
    closing: Maybe<'h, (String, Result<(), Trouble>)>,
    /// Of the session that is watched.
    subscriber: Option<Box<Subscriber>>,
    start: Instant,
    /// When the next frame is due; `None`: nothing has changed.
    draw_at: Option<Instant>,
    /// Between stopping and being continued the terminal is not ours.
    is_suspended: bool,
}

impl Page<'_> {
    async fn run(&mut self, signals: &mut Signals) -> io::Result<End> {
        let mut bytes = [0; READ_BYTES];
        loop {
            self.draw_if_due()?;
            let age_at = Instant::now() + AGE_STEP;
            let may_look = !self.model.is_paused && self.looking.is_none() && !self.is_suspended;
            let may_use = !self.is_suspended;
            tokio::select! {
                asked = signals.next() => {
                    if let Some(end) = self.signal(asked)? {
                        return Ok(end);
                    }
                }
                read = self.screen.read(&mut bytes), if may_use => match read {
                    Ok(0) => return Ok(End::Signal(HANGUP)),
                    Ok(count) => {
                        self.keys_until = Instant::now() + KEY_TIMEOUT;
                        for key in self.keys.push(&bytes[..count]) {
                            if let Some(end) = self.key(key)? {
                                return Ok(end);
                            }
                        }
                    }
                    Err(error) if is_gone(&error) => return Ok(End::Signal(HANGUP)),
                    Err(error) => return Err(error),
                },
                () = sleep_until(self.keys_until), if may_use && self.keys.is_waiting() => {
                    if let Some(key) = self.keys.give_up() && let Some(end) = self.key(key)? {
                        return Ok(end);
                    }
                }
                sent = self.screen.send(), if may_use && !self.screen.is_idle() => match sent {
                    Ok(()) => {}
                    Err(error) if is_gone(&error) => return Ok(End::Signal(HANGUP)),
                    Err(error) => return Err(error),
                },
                () = sleep_until(self.look_at), if may_look => {
                    let hub = self.hub;
                    self.looking = Some(Box::pin(hub.look()));
                }
                look = under_way(&mut self.looking) => {
                    self.looking = None;
                    let next = self.model.looked(look, self.start.elapsed());
                    self.look_at = self.start + next;
                    self.changed();
                }
                (id, closed) = under_way(&mut self.closing) => {
                    self.closing = None;
                    self.model.notice = Some(match closed {
                        Ok(()) => format!("{id} is closing"),
                        Err(trouble) => format!("{id} is not closed: {trouble}"),
                    });
                    self.look_at = Instant::now();
                    self.changed();
                }
                item = next_item(&mut self.subscriber) => self.item(item),
                () = due(self.draw_at), if may_use && self.screen.is_idle() => {}
                () = sleep_until(age_at), if self.model.failing.is_some() => self.changed(),
            }
        }
    }

    fn changed(&mut self) {
        self.draw_at.get_or_insert_with(|| Instant::now() + FRAME_MIN);
    }

    fn draw_if_due(&mut self) -> io::Result<()> {
        let is_due = self.draw_at.is_some_and(|at| at <= Instant::now());
        if is_due && self.screen.is_idle() && !self.is_suspended {
            self.draw_at = None;
            let Self { model, screen, theme, start, .. } = self;
            let mut room = 0;
            screen.draw(|frame| room = view::draw(model, start.elapsed(), *theme, frame))?;
            model.page_rows = room;
        }
        Ok(())
    }

    fn signal(&mut self, asked: Asked) -> io::Result<Option<End>> {
        match asked {
            Asked::End(number) => return Ok(Some(End::Signal(number))),
            Asked::Suspend => self.suspend(),
            Asked::Continued => {
                self.is_suspended = false;
                self.screen.enter()?;
                self.draw_now();
            }
            Asked::Resized if !self.is_suspended => {
                self.screen.resize()?;
                self.draw_now();
            }
            // The size is looked at when we are continued.
            Asked::Resized => {}
        }
        Ok(None)
    }

    fn suspend(&mut self) {
        // What is under way would be too late when we come back.
        if !self.is_suspended && self.screen.suspend() {
            (self.is_suspended, self.looking, self.look_at) = (true, None, Instant::now());
        }
    }

    fn draw_now(&mut self) {
        self.draw_at = Some(Instant::now());
    }

    fn key(&mut self, key: super::keys::Key) -> io::Result<Option<End>> {
        let action = self.model.key(key);
        self.draw_now();
        if self.model.is_paused {
            self.looking = None;
        }
        match action {
            None => {}
            Some(Action::Quit) => return Ok(Some(End::Quit)),
            Some(Action::Suspend) => self.suspend(),
            Some(Action::Redraw) => self.screen.resize()?,
            Some(Action::Look) => self.look_at = Instant::now(),
            Some(Action::Close(_)) if self.closing.is_some() => {
                self.model.notice = Some("the one before is still being closed".into());
            }
            Some(Action::Close(id)) => {
                let hub = self.hub;
                self.closing = Some(Box::pin(async move {
                    let closed = hub.close(&id).await;
                    (id, closed)
                }));
            }
            Some(Action::Watch(session)) => match self.hub.subscriber(&session) {
                Ok(subscriber) => self.subscriber = Some(Box::new(subscriber)),
                Err(error) => self.watch_ended(&error.to_string()),
            },
            Some(Action::Unwatch) => self.subscriber = None,
        }
        Ok(None)
    }

    fn item(&mut self, item: Option<Result<Item, Error>>) {
        match item {
            Some(Ok(item)) => {
                if let Some(watch) = &mut self.model.watch {
                    watch.push(&item);
                }
            }
            Some(Err(error)) => self.watch_ended(&error.to_string()),
            // Why was said with the item before.
            None => self.subscriber = None,
        }
        self.changed();
    }

    fn watch_ended(&mut self, why: &str) {
        self.subscriber = None;
        if let Some(watch) = &mut self.model.watch {
            watch.say(why);
        }
    }
}

/// Whether the terminal hung up.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn under_way<T>(future: &mut Maybe<'_, T>) -> T {
    match future {
        Some(future) => future.as_mut().await,
        None => pending().await,
    }
}

async fn next_item(subscriber: &mut Option<Box<Subscriber>>) -> Option<Result<Item, Error>> {
    match subscriber {
        Some(subscriber) => subscriber.next().await,
        None => pending().await,
    }
}
