//! The training kernel as a child process: a job in, events out.

use std::io;
use std::num::NonZero;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::child::{Child, libraries};
use super::{Interrupts, KernelError};
use crate::job::{EXIT_INTERRUPTED, Event, GPUS, Gpus, Job, Meeting};

/// How often is looked whether the user wants to stop.
const TICK: Duration = Duration::from_millis(50);

/// How long a kernel may take to tell its GPUs.
const ANSWERING: Duration = Duration::from_mins(1);

/// The kernel program.
#[derive(Debug, Clone)]
pub struct Kernel {
    program: PathBuf,
    threads: Option<usize>,
    /// Those that a launcher has started.
    launched: Option<(Meeting, usize)>,
}

/// How a kernel ended that was not at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// All is on disk.
    Done,
    /// It stopped because it was asked to; `None` if it was quit without a checkpoint.
    Interrupted(Option<u64>),
}

impl Kernel {
    /// The program: what `TINYRUN_KERNEL` names, else `tinyrun-kernel` beside this one.
    pub fn find() -> Self {
        let program = std::env::var_os("TINYRUN_KERNEL").map_or_else(
            || {
                let own = std::env::current_exe().unwrap_or_default();
                own.with_file_name("tinyrun-kernel")
            },
            PathBuf::from,
        );
        Self {
            program,
            threads: None,
            launched: None,
        }
    }

    /// The same, whose ranks a launcher has started: they meet there, and `sharing` of them share the cores of this one.
    #[must_use]
    pub fn with_ranks(self, meeting: Meeting, sharing: usize) -> Self {
        Self {
            launched: Some((meeting, sharing)),
            ..self
        }
    }

    /// Where the ranks of a launcher meet.
    pub(super) fn meeting(&self) -> Option<&Meeting> {
        self.launched.as_ref().map(|(meeting, _)| meeting)
    }

    /// The same, on so many threads where an experiment does not say how many.
    #[must_use]
    pub fn on_threads(self, threads: usize) -> Self {
        Self {
            threads: Some(threads),
            ..self
        }
    }

    /// Threads where an experiment does not say; every core where `None`.
    pub(super) fn threads(&self) -> Option<usize> {
        self.threads
    }

    /// The same of each of so many ranks, which share the cores.
    pub(super) fn threads_of(&self, ranks: usize) -> Option<usize> {
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        match self.ranks_here(ranks) {
            1 => self.threads,
            here => Some((self.threads.unwrap_or_else(cores) / here).max(1)),
        }
    }

    /// How many of so many ranks share the cores of this one.
    pub(super) fn ranks_here(&self, ranks: usize) -> usize {
        match &self.launched {
            Some((_, sharing)) if ranks > 1 => *sharing,
            _ => ranks,
        }
    }

    /// Whether so many ranks are all on this machine.
    pub fn is_with_all(&self, ranks: usize) -> bool {
        self.ranks_here(ranks) == ranks
    }

    /// The GPUs that it sees; `None` where it does not answer.
    pub fn gpus(&self) -> Option<Gpus> {
        let kernel = Command::new(&self.program)
            .arg(GPUS)
            .envs(libraries())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut kernel = kernel.ok()?;
        let stdout = kernel.stdout.take()?;
        let (sender, answer) = mpsc::channel();
        thread::spawn(move || {
            let _ = sender.send(io::read_to_string(stdout));
        });
        let answer = answer.recv_timeout(ANSWERING);
        // A driver that hangs is no reason to wait.
        let _ = kernel.kill();
        let _ = kernel.wait();
        serde_json::from_str(&answer.ok()?.ok()?).ok()
    }

    /// Where it is.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Does a job. `log` is appended to; `listen` hears every event as it comes, and `stopping`
    /// is called when the user's wish to stop was passed on. A kernel that says nothing for as long as
    /// `watchdog` is ended.
    pub(super) fn run(
        &self,
        job: &Job,
        log: &Path,
        watchdog: Option<Duration>,
        interrupts: &Interrupts,
        mut listen: impl FnMut(&Event),
        stopping: impl FnMut(),
    ) -> Result<Ended, KernelError> {
        let (sender, events) = mpsc::channel();
        let hear =
            move |event: Option<Event>| event.is_some_and(|event| sender.send(event).is_ok());
        let mut child = Child::start(&self.program, job, log, interrupts, hear)?;
        let mut failure = None;
        let mut ended = None;
        let mut supervise = |event: Event| {
            listen(&event);
            match event {
                Event::Done { .. } => ended = Some(Ended::Done),
                Event::Interrupted { step } => ended = Some(Ended::Interrupted(Some(step))),
                Event::Failed(words) => failure = Some(words),
                _ => {}
            }
        };
        let followed = follow(
            &events,
            &mut child,
            interrupts,
            &mut supervise,
            stopping,
            watchdog,
        );
        let status = child.wait()?;
        if let (Followed::Hung, Some(silence)) = (&followed, watchdog) {
            return Err(KernelError::Hung {
                seconds: silence.as_secs(),
            });
        }
        if let Some(failure) = failure {
            return Err(KernelError::Failed { failure });
        }
        match (ended, status.code()) {
            (Some(Ended::Done), Some(0)) => Ok(Ended::Done),
            (Some(ended @ Ended::Interrupted(_)), _) => Ok(ended),
            _ if followed == Followed::Quit => Ok(Ended::Interrupted(None)),
            // What starts kernels for us may pass a signal on to one that is still loading libtorch.
            _ if interrupts.count() > 0 && status.signal() == Some(Signal::TERM.as_raw()) => {
                Ok(Ended::Interrupted(None))
            }
            (_, Some(code)) if code == i32::from(EXIT_INTERRUPTED) => Ok(Ended::Interrupted(None)),
            _ => Err(child.died(status)),
        }
    }
}

/// How the events of a kernel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
    /// By itself, or after it was asked to stop.
    End,
    /// The user quit.
    Quit,
    /// The watchdog ended it.
    Hung,
}

/// Passes events on until the kernel closes its stdout, and the user's wishes to the kernel.
fn follow(
    events: &Receiver<Event>,
    child: &mut Child<'_>,
    interrupts: &Interrupts,
    supervise: &mut impl FnMut(Event),
    mut stopping: impl FnMut(),
    watchdog: Option<Duration>,
) -> Followed {
    let mut followed = Followed::End;
    let mut passed_on = 0;
    let mut silence = Duration::ZERO;
    loop {
        let clock = Instant::now();
        match events.recv_timeout(TICK) {
            Ok(event) => {
                silence = Duration::ZERO;
                supervise(event);
            }
            Err(RecvTimeoutError::Timeout) => {
                // Time in which this process, or the machine, was suspended is no silence of the kernel.
                silence += clock.elapsed().min(2 * TICK);
                let is_too_long = watchdog.is_some_and(|longest| silence >= longest);
                if is_too_long && followed == Followed::End {
                    followed = Followed::Hung;
                    child.signal(Signal::KILL);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return followed,
        }
        let count = interrupts.count();
        if count > passed_on {
            if count == 1 {
                child.stop();
            } else {
                child.signal(Signal::KILL);
            }
            if passed_on == 0 {
                stopping();
            }
            passed_on = count;
            if count > 1 {
                followed = Followed::Quit;
            }
        }
    }
}
