//! Ctrl-C, SIGTERM, SIGHUP (a terminal that was closed), and Ctrl-Z.

use std::collections::BTreeSet;
use std::io;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::system::heeded;

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
    /// Kernels, each the leader of a process group of its own.
    kernels: Mutex<BTreeSet<i32>>,
}

/// Holds interrupts until it is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    interrupts: &'a Interrupts,
}

/// A kernel that is suspended and continued with the runner, until this is dropped.
#[derive(Debug)]
pub(super) struct Attached<'a> {
    interrupts: &'a Interrupts,
    pid: i32,
}

impl Interrupts {
    /// Starts to listen. A signal that is ignored stays ignored: SIGHUP under `nohup`, SIGINT in a script's
    /// background job.
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
        let mut signals = Signals::new(heeded(&[SIGHUP, SIGINT, SIGTERM, SIGTSTP]))?;
        thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    if signal == SIGTSTP {
                        shared.suspend();
                        continue;
                    }
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

    /// Suspends and continues a kernel with this process.
    pub(super) fn attach(&self, kernel: &Child) -> Attached<'_> {
        let pid = Pid::from_child(kernel).as_raw_nonzero().get();
        self.shared.kernels().insert(pid);
        let interrupts = self;
        Attached { interrupts, pid }
    }
}

impl Shared {
    /// Ctrl-Z reaches the runner's process group only, and kernels have their own.
    fn suspend(&self) {
        self.pass_on(Signal::STOP);
        // Returns when the runner is continued.
        let _ = emulate_default_handler(SIGTSTP);
        self.pass_on(Signal::CONT);
    }

    fn pass_on(&self, signal: Signal) {
        for pid in self.kernels().iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // It may just have ended by itself.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn kernels(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.kernels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.interrupts.shared.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.interrupts.shared.kernels().remove(&self.pid);
    }
}
