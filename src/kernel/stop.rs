//! Being asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tinyrun_base::job::STOP;
use tinyrun_base::system::heeded;

/// How long a kernel that was asked to stop goes on without its runner, to write its checkpoint: a second after
/// `mpirun` has asked what it has started to end, it kills it.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// Whether somebody asked the kernel to stop. Looked at once a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    /// Whether nobody else can write where this process does.
    is_alone: Arc<AtomicBool>,
}

impl Stop {
    /// Listens to SIGTERM, and to SIGINT and SIGHUP unless they are ignored.
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
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Lets this process outlive its runner until it has stopped: others are kept out of what it writes.
    pub(crate) fn outlive(&self) {
        self.is_alone.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Listens to stdin, whose other end the runner holds: a line [`STOP`] asks to stop, and this process ends when it
/// closes, which is how a kernel learns that its runner died. Nothing is written on the way out, since the next run may
/// already be reading the folder. A kernel that keeps others out of it, and was asked to stop before, has [`GRACE`] to
/// end by itself.
///
/// A signal would do on one machine. What starts a kernel for the runner, such as `srun`, ends it on a signal.
#[expect(
    clippy::disallowed_methods,
    reason = "the runner is dead; nothing may be written any more, and nobody wakes this thread"
)]
pub(crate) fn die_with_the_runner(stop: &Stop) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            match line {
                Ok(line) if line.trim() == STOP => stop.ask(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if stop.asked() && stop.is_alone.load(Ordering::Relaxed) {
            std::thread::sleep(GRACE);
        }
        // libtorch's own end may wait for other ranks.
        end_at_once(1);
    });
}

/// Ends this process without what is done at its end: libtorch would wait there for work that nobody does any more.
pub(crate) fn end_at_once(code: u8) -> ! {
    signal_hook::low_level::exit(i32::from(code))
}
