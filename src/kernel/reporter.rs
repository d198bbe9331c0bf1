//! Events to the runner, one JSON line each on stdout.

use std::io::{Stdout, Write};

use tinyrun_base::job::Event;

/// Writes events.
#[derive(Debug)]
pub(crate) struct Reporter {
    out: Option<Stdout>,
}

impl Reporter {
    /// To the runner.
    pub(crate) fn to_runner() -> Self {
        let out = Some(std::io::stdout());
        Self { out }
    }

    /// To nobody.
    pub(crate) fn silent() -> Self {
        Self { out: None }
    }

    /// Another handle.
    pub(crate) fn share(&self) -> Self {
        let out = self.out.as_ref().map(|_| std::io::stdout());
        Self { out }
    }

    /// Sends one event. A runner that no longer listens is noticed by the watch on stdin,
    /// so a failed write is not an error here.
    pub(crate) fn send(&self, event: &Event) {
        let Some(out) = &self.out else { return };
        let mut line = serde_json::to_vec(event).expect("an event is plain data");
        line.push(b'\n');
        let mut out = out.lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
