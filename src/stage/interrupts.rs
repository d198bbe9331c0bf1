//! Ctrl-C, SIGTERM, and SIGHUP: a terminal that was closed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code of an interrupted run.
const INTERRUPTED: i32 = 130;

/// The request that is obeyed whatever is going on.
const LAST: usize = 3;

/// Counts requests to stop. While nobody holds them, one ends the program on the spot:
/// planning leaves nothing behind that could be taken for whole. While a stage runs they
/// are held, so that a kernel can write its checkpoint first and the user is told where
/// things stand; a third one ends the program even then.
#[derive(Debug, Default)]
pub struct Interrupts {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    count: AtomicUsize,
    asked: AtomicBool,
    /// How many hold them.
    held: AtomicUsize,
}

/// Holds interrupts until it is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    interrupts: &'a Interrupts,
}

impl Interrupts {
    /// Starts to listen.
    ///
    /// # Errors
    /// The system refuses the signal handlers or the thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "the last signal ends the process at once, whatever it is doing"
    )]
    pub fn listen() -> io::Result<Self> {
        let interrupts = Self::default();
        let shared = Arc::clone(&interrupts.shared);
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(move || {
                for _ in signals.forever() {
                    shared.asked.store(true, Ordering::SeqCst);
                    let count = shared.count.fetch_add(1, Ordering::SeqCst) + 1;
                    if count >= LAST || shared.held.load(Ordering::SeqCst) == 0 {
                        std::process::exit(INTERRUPTED);
                    }
                }
            })?;
        Ok(interrupts)
    }

    /// Requests so far.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// Whether there was one.
    pub fn asked(&self) -> &AtomicBool {
        &self.shared.asked
    }

    /// Holds them: whoever calls this asks for [`Self::count`] or [`Self::asked`].
    pub fn hold(&self) -> Held<'_> {
        self.shared.held.fetch_add(1, Ordering::SeqCst);
        Held { interrupts: self }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.interrupts.shared.held.fetch_sub(1, Ordering::SeqCst);
    }
}
