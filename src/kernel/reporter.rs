//! Events to the runner, one JSON line each on stdout.

use std::io::Write;

use tinyrun::job::Event;

/// Writes events.
#[derive(Debug, Default)]
pub(crate) struct Reporter;

impl Reporter {
    /// Sends one event. A runner that no longer listens is noticed by the watch on stdin,
    /// so a failed write is not an error here.
    pub(crate) fn send(&self, event: &Event) {
        let mut line = serde_json::to_vec(event).expect("an event is plain data");
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
