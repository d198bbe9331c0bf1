//! Errors as a person reads them.

use std::fmt::Write as _;

use super::Style;
use super::amounts::counted;
use crate::input::escape_lines;
use crate::stage::StageError;

/// `error: ...` and, where there is one, `hint: ...`.
pub fn plain_error(message: &str, hint: Option<&str>, style: Style) -> String {
    let message = escape_lines(message);
    let mut text = format!("{}: {message}\n", style.error("error"));
    if let Some(hint) = hint {
        let _ = writeln!(text, "{}: {hint}", style.strong("hint"));
    }
    text
}

/// A run that ended early: why, the end of the kernel's log where it may tell more, what to do.
pub fn failure(error: &StageError, style: Style) -> String {
    let mut text = if matches!(error, StageError::Interrupted { .. }) {
        format!("tinyrun: {error}\n")
    } else {
        let error = escape_lines(&error.to_string());
        format!("{}: {error}\n", style.error("error"))
    };
    for line in error.log_lines() {
        let line = escape_lines(line);
        let _ = writeln!(text, "{} {line}", style.faint("  |"));
    }
    if let Some(log) = error.log() {
        let _ = writeln!(
            text,
            "{}: the log is `{}`",
            style.strong("note"),
            log.display()
        );
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(text, "{}: {hint}", style.strong("hint"));
    }
    text
}

/// The last line of a run that went on after failures.
pub fn failed_stages(failed: usize, left_out: usize) -> String {
    let failed = counted(failed as u64, "stage");
    match left_out {
        0 => format!("{failed} failed"),
        1 => format!("{failed} failed, 1 more not run because it depends on a failed stage"),
        more => {
            format!("{failed} failed, {more} more not run because they depend on a failed stage")
        }
    }
}
