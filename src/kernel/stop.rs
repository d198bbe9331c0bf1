//! Being asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tinyrun::system::heeded;

/// Whether somebody asked the kernel to stop. Looked at once a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// Listens to SIGTERM, by which the runner stops a kernel, and to SIGINT and SIGHUP unless they are ignored.
    pub(crate) fn on_signals() -> Self {
        let stop = Self::default();
        let signals = [vec![SIGTERM], heeded(&[SIGINT, SIGHUP])].concat();
        for signal in signals {
            // Registering fails for forbidden signals only.
            let _ = signal_hook::flag::register(signal, Arc::clone(&stop.asked));
        }
        stop
    }

    /// Asks, as a signal would.
    #[cfg(test)]
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Ends this process when stdin closes: the runner holds its other end, so that is how a
/// kernel learns that its runner died. Nothing is written on the way out: the next run may
/// already be reading the folder.
#[expect(
    clippy::disallowed_methods,
    reason = "the runner is dead; nothing may be written any more"
)]
pub(crate) fn die_with_the_runner() {
    std::thread::spawn(|| {
        let mut byte = [0_u8; 64];
        let mut stdin = std::io::stdin();
        while let Ok(1..) = std::io::Read::read(&mut stdin, &mut byte) {}
        std::process::exit(1);
    });
}
