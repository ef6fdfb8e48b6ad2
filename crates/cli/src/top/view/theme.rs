//! How text looks. Without colours everything still shows: what is wrong is bold and reversed.

use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy)]
pub(in crate::top) struct Theme {
    has_colors: bool,
}

impl Theme {
    pub(in crate::top) fn new(has_colors: bool) -> Self {
        Self { has_colors }
    }

    /// As the user wants it (<https://no-color.org>).
    pub(in crate::top) fn from_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    pub(super) fn plain() -> Style {
        Style::new()
    }

    pub(super) fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn good(self) -> Style {
        self.colored(Color::Green, Modifier::empty())
    }

    pub(super) fn warning(self) -> Style {
        self.colored(Color::Yellow, Modifier::BOLD)
    }

    pub(super) fn wrong(self) -> Style {
        let style = self.colored(Color::Red, Modifier::BOLD);
        if self.has_colors { style } else { style.add_modifier(Modifier::REVERSED) }
    }

    fn colored(self, color: Color, modifier: Modifier) -> Style {
        let style = Style::new().add_modifier(modifier);
        if self.has_colors { style.fg(color) } else { style }
    }
}
