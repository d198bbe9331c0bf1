//! Colours, where they belong.

use std::fmt;
use std::io::IsTerminal;

/// Whether text is coloured. Nothing is said by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colour: false };

    /// Colours on a terminal, unless `NO_COLOR` is set to something.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            colour: stream.is_terminal() && !refused && !dumb,
        }
    }

    /// Whether there are any.
    pub fn is_coloured(self) -> bool {
        self.colour
    }

    /// What went wrong.
    pub fn error(self, text: impl fmt::Display) -> String {
        self.wrap("1;31", text)
    }

    /// What may go wrong.
    pub fn warning(self, text: impl fmt::Display) -> String {
        self.wrap("1;33", text)
    }

    /// What is well.
    pub fn good(self, text: impl fmt::Display) -> String {
        self.wrap("32", text)
    }

    /// What to look at first.
    pub fn strong(self, text: impl fmt::Display) -> String {
        self.wrap("1", text)
    }

    /// What may be passed over.
    pub fn faint(self, text: impl fmt::Display) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: impl fmt::Display) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
