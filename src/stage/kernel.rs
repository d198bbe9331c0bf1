//! The training kernel as a child process: a job in, events out.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Interrupts, LoadFailure};
use crate::job::{EXIT_INTERRUPTED, Event, Failure, Job};
use crate::runs::Error;
use crate::system::reason;

/// How often is looked whether the user wants to stop.
const TICK: Duration = Duration::from_millis(50);

/// Lines of the log that a failure shows.
const LOG_LINES: usize = 12;

/// The longest end of a log that is looked at for them.
const LOG_TAIL: u64 = 16 * 1024;

/// The kernel program.
#[derive(Debug, Clone)]
pub struct Kernel {
    program: PathBuf,
    threads: Option<usize>,
}

/// How a kernel ended that was not at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// All is on disk.
    Done,
    /// It stopped because it was asked to; `None` if it was quit without a checkpoint.
    Interrupted(Option<u64>),
}

/// A kernel that did not do its job.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// There is no such program.
    #[error("the training kernel `{}` does not exist", program.display())]
    Missing {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// It cannot be started.
    #[error("cannot start the training kernel `{}`: {}", program.display(), reason(source))]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It reported what is wrong.
    #[error("{}", failure.message)]
    Failed {
        /// Its report.
        failure: Failure,
    },
    /// The dynamic loader could not start it.
    #[error("the training kernel cannot be loaded: {failure}")]
    NotLoaded {
        /// What the loader reported.
        failure: LoadFailure,
    },
    /// It sent nothing for too long.
    #[error("the training kernel sent no progress for {seconds} s and was stopped")]
    Hung {
        /// The experiment's `watchdog-seconds`.
        seconds: u64,
    },
    /// It ended without a report.
    #[error("the training kernel {how}")]
    Died {
        /// Its exit code or the signal that ended it.
        how: String,
        /// Whether by SIGKILL, which is how a system short of memory ends a process.
        killed: bool,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The log cannot be written, or the like.
    #[error(transparent)]
    Disk(#[from] Error),
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
        }
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

    /// Does a job. `log` is appended to; `listen` hears every event as it comes, and `stopping`
    /// is called when the user's wish to stop was passed on. A kernel that says nothing for as long as
    /// `watchdog` is ended.
    ///
    /// The kernel gets its own process group, so that the terminal's Ctrl-C reaches the
    /// runner only; its stdin stays open as long as it works, and closes with the runner.
    pub(super) fn run(
        &self,
        job: &Job,
        log: &Path,
        watchdog: Option<Duration>,
        interrupts: &Interrupts,
        mut listen: impl FnMut(&Event),
        stopping: impl FnMut(),
    ) -> Result<Ended, KernelError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::write(log))?;
        let log_start = file.metadata().map_err(Error::read(log))?.len();
        let babble = file.try_clone().map_err(Error::write(log))?;
        let mut child = Guard(
            Command::new(&self.program)
                .envs(allocation())
                .envs(libraries())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(file)
                .process_group(0)
                .spawn()
                .map_err(|source| self.cannot_start(source))?,
        );
        let _attached = interrupts.attach(&child.0);
        let mut text = serde_json::to_vec(job).map_err(|error| self.cannot_start(error.into()))?;
        text.push(b'\n');
        let mut stdin = child.0.stdin.take();
        if let Some(stdin) = &mut stdin {
            match stdin.write_all(&text) {
                // A kernel that dies before it has read its job breaks the pipe; that it died is
                // the better message, and comes below.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    return Err(self.cannot_start(error));
                }
                _ => {}
            }
        }
        let events = match child.0.stdout.take() {
            Some(stdout) => hear(stdout, babble),
            None => mpsc::channel().1,
        };
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
            &child.0,
            interrupts,
            &mut supervise,
            stopping,
            watchdog,
        );
        let status = child.0.wait().map_err(|source| self.cannot_start(source))?;
        drop(stdin);
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
            // Asked to stop while it was still loading libtorch, before it listens to signals.
            _ if interrupts.count() > 0 && status.signal() == Some(Signal::TERM.as_raw()) => {
                Ok(Ended::Interrupted(None))
            }
            (_, Some(code)) if code == i32::from(EXIT_INTERRUPTED) => Ok(Ended::Interrupted(None)),
            _ => Err(died(status, last_lines(log, log_start))),
        }
    }

    fn cannot_start(&self, source: io::Error) -> KernelError {
        let program = self.program.clone();
        if source.kind() == io::ErrorKind::NotFound {
            KernelError::Missing { program }
        } else {
            KernelError::Start { program, source }
        }
    }
}

/// A kernel that ended without a report.
fn died(status: ExitStatus, log: Vec<String>) -> KernelError {
    // The loader's own exit codes: 127, and 1 for a version that is missing.
    let failure = matches!(status.code(), Some(1 | 127)).then(|| LoadFailure::find(&log));
    match failure.flatten() {
        Some(failure) => KernelError::NotLoaded { failure },
        None => KernelError::Died {
            how: describe(status),
            killed: status.signal() == Some(Signal::KILL.as_raw()),
            log,
        },
    }
}

/// Where a kernel finds libtorch that is not where its own search path leads: in the folder that `LIBTORCH` names.
fn libraries() -> Option<(&'static str, OsString)> {
    let folder = PathBuf::from(std::env::var_os("LIBTORCH")?).join("lib");
    let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others = std::env::split_paths(&before).filter(|path| !path.as_os_str().is_empty());
    let all = std::env::join_paths(std::iter::once(folder.clone()).chain(others)).ok()?;
    folder.is_dir().then_some(("LD_LIBRARY_PATH", all))
}

/// What asks glibc for huge pages and to keep what is freed: a step takes and frees some hundred MB, and
/// each fresh page of them is a fault and 4 kB of zeroes. Nothing where the user has set it up otherwise.
fn allocation() -> Option<(&'static str, &'static str)> {
    let set = std::env::var_os("GLIBC_TUNABLES").is_some();
    let tunables = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:\
                    glibc.malloc.trim_threshold=4294967296";
    (!set).then_some(("GLIBC_TUNABLES", tunables))
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
    child: &Child,
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
                    // It may just have ended by itself.
                    let _ = kill_process(Pid::from_child(child), Signal::KILL);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return followed,
        }
        let count = interrupts.count();
        if count > passed_on {
            let signal = if count == 1 {
                Signal::TERM
            } else {
                Signal::KILL
            };
            // It may just have ended by itself.
            let _ = kill_process(Pid::from_child(child), signal);
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

/// Reads events on a thread. Lines that are none, such as what a library prints, go to
/// the log.
fn hear(stdout: impl Read + Send + 'static, mut babble: File) -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { return };
            match serde_json::from_slice(&line) {
                Ok(event) => {
                    if sender.send(event).is_err() {
                        return;
                    }
                }
                Err(_) => {
                    let _ = babble.write_all(&[line.as_slice(), b"\n"].concat());
                }
            }
        }
    });
    events
}

/// Ends the kernel if the runner gives up on it.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "exited before the stage was finished".to_owned(),
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(number)) => match signal_name(number) {
            Some(name) => format!("was killed by signal {number} ({name})"),
            None => format!("was killed by signal {number}"),
        },
        (None, None) => "ended with an unknown status".to_owned(),
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    use signal_hook::consts as signals;
    Some(match number {
        signals::SIGABRT => "SIGABRT",
        signals::SIGBUS => "SIGBUS",
        signals::SIGFPE => "SIGFPE",
        signals::SIGHUP => "SIGHUP",
        signals::SIGILL => "SIGILL",
        signals::SIGINT => "SIGINT",
        signals::SIGKILL => "SIGKILL",
        signals::SIGSEGV => "SIGSEGV",
        signals::SIGTERM => "SIGTERM",
        _ => return None,
    })
}

/// The last lines of what was written to a log since `start`.
fn last_lines(log: &Path, start: u64) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(LOG_TAIL))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    lines[from..].iter().map(ToString::to_string).collect()
}
