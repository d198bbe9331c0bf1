//! A running kernel: started with its job, its events read on a thread, and how it ended.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::interrupts::Attached;
use super::{Interrupts, KernelError, LoadFailure};
use crate::job::{Event, Job, STOP};
use crate::runs::Error;

/// Lines of the log that a failure shows.
const LOG_LINES: usize = 12;

/// The longest end of a log that is looked at for them.
const LOG_TAIL: u64 = 16 * 1024;

/// A kernel process. It is killed where this is dropped before it ended.
pub(super) struct Child<'a> {
    process: Guard,
    program: PathBuf,
    stdin: Option<ChildStdin>,
    log: PathBuf,
    /// Where in the log this kernel's part begins.
    log_start: u64,
    _attached: Attached<'a>,
}

impl<'a> Child<'a> {
    /// Starts `program` and sends it a job. `log` is appended to; `hear` gets every event as it comes, on a thread
    /// of its own, and `None` after the last; it returns whether it wants more.
    ///
    /// The kernel gets its own process group, so that the terminal's Ctrl-C reaches the
    /// runner only; its stdin stays open until [`Self::close_stdin`], and closes with the runner.
    pub(super) fn start(
        program: &Path,
        job: &Job,
        log: &Path,
        interrupts: &'a Interrupts,
        hear: impl FnMut(Option<Event>) -> bool + Send + 'static,
    ) -> Result<Self, KernelError> {
        let cannot_start = |source| cannot_start(program, source);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::write(log))?;
        let log_start = file.metadata().map_err(Error::read(log))?.len();
        let babble = file.try_clone().map_err(Error::write(log))?;
        let mut process = Guard(
            Command::new(program)
                .envs(allocation())
                .envs(libraries())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(file)
                .process_group(0)
                .spawn()
                .map_err(cannot_start)?,
        );
        let attached = interrupts.attach(&process.0);
        if let Some(stdout) = process.0.stdout.take() {
            read_events(stdout, babble, hear);
        }
        let mut child = Self {
            program: program.to_owned(),
            stdin: process.0.stdin.take(),
            process,
            log: log.to_owned(),
            log_start,
            _attached: attached,
        };
        child.send(job)?;
        Ok(child)
    }

    /// Writes a document as a line to its stdin.
    ///
    /// # Errors
    /// It cannot be written. Not that the kernel is gone: that it died is the better message, and comes from
    /// [`Self::wait`].
    pub(super) fn send(&mut self, document: &impl Serialize) -> Result<(), KernelError> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        let text = serde_json::to_vec(document).map_err(io::Error::from);
        let written = text.and_then(|mut text| {
            text.push(b'\n');
            stdin.write_all(&text)
        });
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(cannot_start(&self.program, error))
            }
            _ => Ok(()),
        }
    }

    /// Lets it know that nothing more is sent.
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Asks it to stop after the step, with a checkpoint. Not by a signal: what starts it for us, such as `srun`,
    /// would end it.
    pub(super) fn stop(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            // It may just have ended by itself.
            let _ = writeln!(stdin, "{STOP}");
        }
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        // It may just have ended by itself.
        let _ = kill_process(Pid::from_child(&self.process.0), signal);
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> Result<ExitStatus, KernelError> {
        let status = self.process.0.wait();
        status.map_err(|source| cannot_start(&self.program, source))
    }

    /// Why it ended without a report.
    pub(super) fn died(&self, status: ExitStatus) -> KernelError {
        let log = last_lines(&self.log, self.log_start);
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
}

pub(super) fn cannot_start(program: &Path, source: io::Error) -> KernelError {
    let program = program.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        KernelError::Missing { program }
    } else {
        KernelError::Start { program, source }
    }
}

/// Where a kernel finds libtorch that is not where its own search path leads: in the folder that `LIBTORCH` names.
pub(super) fn libraries() -> Option<(&'static str, OsString)> {
    let folder = PathBuf::from(std::env::var_os("LIBTORCH")?).join("lib");
    let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others = std::env::split_paths(&before).filter(|path| !path.as_os_str().is_empty());
    let all = std::env::join_paths(std::iter::once(folder.clone()).chain(others)).ok()?;
    folder.is_dir().then_some(("LD_LIBRARY_PATH", all))
}

/// What asks glibc for huge pages and to keep what is freed: a step takes and frees some hundred MB, and
/// each fresh page of them is a fault and 4 kB of zeroes. Nothing where the user has set it up otherwise.
pub(super) fn allocation() -> Option<(&'static str, &'static str)> {
    let set = std::env::var_os("GLIBC_TUNABLES").is_some();
    let tunables = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:\
                    glibc.malloc.trim_threshold=4294967296";
    (!set).then_some(("GLIBC_TUNABLES", tunables))
}

/// Reads events on a thread. Lines that are none, such as what a library prints, go to
/// the log.
fn read_events(
    stdout: impl Read + Send + 'static,
    mut babble: File,
    mut hear: impl FnMut(Option<Event>) -> bool + Send + 'static,
) {
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { break };
            match serde_json::from_slice(&line) {
                Ok(event) => {
                    if !hear(Some(event)) {
                        return;
                    }
                }
                Err(_) => {
                    let _ = babble.write_all(&[line.as_slice(), b"\n"].concat());
                }
            }
        }
        hear(None);
    });
}

/// Ends the kernel if the runner gives up on it.
struct Guard(process::Child);

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
