//! Which of several experiments a line is about.

use std::sync::{Mutex, PoisonError};

/// How lines of one of several experiments are told from those of others.
#[derive(Debug)]
pub enum Caption {
    /// By a line above the first one; taken when it is written.
    Heading(Mutex<Option<String>>),
    /// By a word before every line, where several stages run at a time.
    Label(String),
}

impl Caption {
    /// What stands before the next line.
    pub(super) fn take(&self) -> String {
        match self {
            Self::Heading(heading) => {
                let mut heading = heading.lock().unwrap_or_else(PoisonError::into_inner);
                heading.take().unwrap_or_default()
            }
            Self::Label(label) => label.clone(),
        }
    }
}
