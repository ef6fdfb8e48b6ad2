//! What the page shows, and what keys do to it. Knows no terminal, no socket and no clock: time comes as an argument.

mod list;
mod watch;

use std::time::Duration;

use super::figures::{Figures, Past, compare};
use super::hub::{Look, Trouble};
use super::keys::Key;

pub(super) use list::{Choice, ConnectionSort, Row, SessionSort, Sort};
pub(super) use watch::{Seen, Watch};

/// Characters of a filter.
const FILTER_CHARS_MAX: usize = 64;

/// The longest wait after failures in a row.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// And the longest that a hub may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// The page.
#[derive(Debug)]
pub(super) struct Model {
    /// The hub's, as text that can be shown.
    pub(super) address: String,
    pub(super) interval: Duration,
    pub(super) figures: Option<Figures>,
    /// When those were seen.
    pub(super) seen_at: Duration,
    past: Option<Past>,
    /// Why the last look failed.
    pub(super) failing: Option<Failing>,
    pub(super) tab: Tab,
    pub(super) sessions: Choice<SessionSort>,
    pub(super) connections: Choice<ConnectionSort>,
    /// Rows whose texts have this are shown, whatever the case of their letters.
    pub(super) filter: String,
    pub(super) asking: Asking,
    pub(super) watch: Option<Watch>,
    pub(super) is_paused: bool,
    /// What became of the last thing that was asked for.
    pub(super) notice: Option<String>,
    /// Rows that fit the screen: how far a page is.
    pub(super) page_rows: usize,
}

/// The hub gives no figures.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) trouble: Trouble,
    /// When it is asked again.
    pub(super) again_at: Duration,
    /// Failures in a row.
    times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Sessions,
    Connections,
}

/// What keys are for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asking {
    Nothing,
    Help,
    /// The filter is being typed; this is the one before.
    Filter(String),
    /// Whether to close a connection, and then once more.
    Close {
        id: String,
        whose: String,
        is_sure: bool,
    },
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Suspend,
    Redraw,
    /// Ask the hub at once.
    Look,
    /// Close the connection with this id.
    Close(String),
    /// Watch this session's events.
    Watch(String),
    Unwatch,
}

impl Model {
    pub(super) fn new(address: String, interval: Duration) -> Self {
        Self {
            address,
            interval,
            figures: None,
            seen_at: Duration::ZERO,
            past: None,
            failing: None,
            tab: Tab::Sessions,
            sessions: Choice::new(SessionSort::Rate),
            connections: Choice::new(ConnectionSort::Lag),
            filter: String::new(),
            asking: Asking::Nothing,
            watch: None,
            is_paused: false,
            notice: None,
            page_rows: 1,
        }
    }

    /// Takes what a look found, and says when the next one is due. After failures the waits double, up to a bound; figures
    /// that were seen stay.
    pub(super) fn looked(&mut self, look: Result<Look, Trouble>, now: Duration) -> Duration {
        match look {
            Ok(look) => {
                let (figures, past) = compare(self.past.as_ref(), look);
                self.figures = Some(figures);
                self.past = Some(past);
                self.seen_at = now;
                self.failing = None;
                self.follow();
                now + self.interval
            }
            Err(trouble) => {
                let times = self.failing.as_ref().map_or(0, |failing| failing.times);
                let wait = self.interval.saturating_mul(1 << times.min(16)).min(WAIT_MAX.max(self.interval));
                let told = trouble.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                let again_at = now + wait.max(told);
                self.failing = Some(Failing { trouble, again_at, times: times.saturating_add(1) });
                again_at
            }
        }
    }

    /// The sessions to be shown, in order.
    pub(super) fn session_rows(&self) -> Vec<&super::figures::SessionRow> {
        let rows = self.figures.as_ref().map_or(&[][..], |figures| &figures.sessions.rows);
        self.sessions.arrange(rows, &self.filter)
    }

    /// The connections to be shown, in order.
    pub(super) fn connection_rows(&self) -> Vec<&super::figures::ConnectionRow> {
        let rows = self.figures.as_ref().map_or(&[][..], |figures| &figures.connections.rows);
        self.connections.arrange(rows, &self.filter)
    }

    /// Does what a key asks for, as far as it can be done here.
    pub(super) fn key(&mut self, key: Key) -> Option<Action> {
        match key {
            Key::Control('c') => return Some(Action::Quit),
            Key::Control('z') => return Some(Action::Suspend),
            Key::Control('l') => return Some(Action::Redraw),
            _ => self.notice = None,
        }
        match std::mem::replace(&mut self.asking, Asking::Nothing) {
            Asking::Nothing => self.page_key(key),
            Asking::Help => (key == Key::Char('q')).then_some(Action::Quit),
            Asking::Filter(before) => {
                self.filter_key(key, before);
                None
            }
            Asking::Close { id, whose, is_sure: false } if key == Key::Char('y') => {
                self.asking = Asking::Close { id, whose, is_sure: true };
                None
            }
            Asking::Close { id, is_sure: true, .. } if key == Key::Enter => Some(Action::Close(id)),
            Asking::Close { id, .. } => {
                self.notice = Some(format!("{} stays open", crate::plain::escaped(&id)));
                None
            }
        }
    }

    fn page_key(&mut self, key: Key) -> Option<Action> {
        let page = isize::try_from(self.page_rows).unwrap_or(1).max(1);
        match key {
            Key::Char('q') => return Some(Action::Quit),
            Key::Char('?' | 'h') => self.asking = Asking::Help,
            Key::Char('/') => self.asking = Asking::Filter(self.filter.clone()),
            Key::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                return (!self.is_paused).then_some(Action::Look);
            }
            Key::Char('u') => return Some(Action::Look),
            Key::Char('w') | Key::Enter => return self.watch_selected(),
            Key::Char('x') => self.ask_to_close(),
            Key::Escape if self.watch.take().is_some() => return Some(Action::Unwatch),
            Key::Escape => self.filter.clear(),
            Key::Tab => {
                self.tab = if self.tab == Tab::Sessions { Tab::Connections } else { Tab::Sessions };
            }
            Key::Char('s') => self.sort(true),
            Key::Char('S') => self.sort(false),
            Key::Char('r') => match self.tab {
                Tab::Sessions => self.sessions.is_reversed ^= true,
                Tab::Connections => self.connections.is_reversed ^= true,
            },
            Key::Up | Key::Char('k') => self.go(-1),
            Key::Down | Key::Char('j') => self.go(1),
            Key::PageUp => self.go(-page),
            Key::PageDown => self.go(page),
            Key::Home | Key::Char('g') => self.go(isize::MIN),
            Key::End | Key::Char('G') => self.go(isize::MAX),
            _ => {}
        }
        self.follow();
        None
    }

    fn filter_key(&mut self, key: Key, before: String) {
        match key {
            Key::Enter => {}
            Key::Escape => self.filter = before,
            _ => {
                match key {
                    Key::Backspace => drop(self.filter.pop()),
                    Key::Control('u') => self.filter.clear(),
                    Key::Char(character) | Key::Pasted(character)
                        if self.filter.chars().count() < FILTER_CHARS_MAX =>
                    {
                        self.filter.push(character);
                    }
                    _ => {}
                }
                self.asking = Asking::Filter(before);
            }
        }
        self.follow();
    }

    fn sort(&mut self, is_forward: bool) {
        match self.tab {
            Tab::Sessions => self.sessions.sort_next(is_forward),
            Tab::Connections => self.connections.sort_next(is_forward),
        }
    }

    /// The selected row stays the same one where there is such a row.
    fn follow(&mut self) {
        self.go(0);
    }

    fn go(&mut self, by: isize) {
        match self.tab {
            Tab::Sessions => {
                let ids: Vec<_> = self.session_rows().iter().map(|row| row.id().clone()).collect();
                self.sessions.go(&ids, by);
            }
            Tab::Connections => {
                let ids: Vec<_> = self.connection_rows().iter().map(|row| row.id().clone()).collect();
                self.connections.go(&ids, by);
            }
        }
    }

    fn watch_selected(&mut self) -> Option<Action> {
        let session = match self.tab {
            Tab::Sessions => self.session_rows().get(self.sessions.at()).map(|row| &row.session.session),
            Tab::Connections => {
                self.connection_rows().get(self.connections.at()).map(|row| &row.connection.session)
            }
        };
        let session = session?.as_str().to_owned();
        self.watch = Some(Watch::new(&session));
        Some(Action::Watch(session))
    }

    fn ask_to_close(&mut self) {
        if self.tab == Tab::Sessions {
            self.notice = Some("connections can be closed: Tab shows them".into());
            return;
        }
        let rows = self.connection_rows();
        let Some(row) = rows.get(self.connections.at()) else { return };
        let connection = &row.connection;
        let user = connection.user.as_ref().map_or("nobody known", |user| user.as_str());
        let whose = format!("of {user}, reading {}", connection.session.as_str());
        self.asking = Asking::Close { id: connection.id.as_str().to_owned(), whose, is_sure: false };
    }
}

#[cfg(test)]
mod tests;
