//! Colours, where they belong.

use std::fmt;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::AnsiColor::{Green, Red, Yellow};
use anstyle::Style as Look;

const ERROR: Look = Look::new().bold().fg_color(Some(anstyle::Color::Ansi(Red)));
const WARNING: Look = Look::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(Yellow)));
const GOOD: Look = Look::new().fg_color(Some(anstyle::Color::Ansi(Green)));
const STRONG: Look = Look::new().bold();
const FAINT: Look = Look::new().dimmed();

/// Whether text is coloured. Nothing is said by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colour: false };

    /// Colours on a terminal, as `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` allow.
    pub fn of<S: RawStream>(stream: &S) -> Self {
        Self {
            colour: AutoStream::choice(stream) != ColorChoice::Never,
        }
    }

    /// Whether there are any.
    pub fn is_coloured(self) -> bool {
        self.colour
    }

    /// What went wrong.
    pub fn error(self, text: impl fmt::Display) -> String {
        self.wrap(ERROR, text)
    }

    /// What may go wrong.
    pub fn warning(self, text: impl fmt::Display) -> String {
        self.wrap(WARNING, text)
    }

    /// What is well.
    pub fn good(self, text: impl fmt::Display) -> String {
        self.wrap(GOOD, text)
    }

    /// What to look at first.
    pub fn strong(self, text: impl fmt::Display) -> String {
        self.wrap(STRONG, text)
    }

    /// What may be passed over.
    pub fn faint(self, text: impl fmt::Display) -> String {
        self.wrap(FAINT, text)
    }

    fn wrap(self, look: Look, text: impl fmt::Display) -> String {
        let look = if self.colour { look } else { Look::new() };
        format!("{look}{text}{look:#}")
    }
}
