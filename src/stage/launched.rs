//! Ranks that a launcher has started: rank 0 gathers them for its run, the others serve it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::child::{allocation, libraries};
use super::{Interrupts, Kernel, KernelError};
use crate::job::{At, END, Gathered, LAUNCHED, Launch, Meeting, STOP};
use crate::system::{Launched, MeetingPlace};

/// How often is looked whether the user wants to stop.
const TICK: Duration = Duration::from_millis(50);

/// How long a rank may take to come, where the user does not say.
const WAIT_SECONDS: u64 = 120;

/// The ranks of a launcher, which serve until this is dropped.
#[derive(Debug)]
pub struct Ranks {
    helper: Helper,
    meeting: Meeting,
    sharing: usize,
}

/// How a rank that serves has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The run is over.
    End,
    /// The user has quit.
    Quit,
}

impl Ranks {
    /// Waits for the other ranks. `experiment` is a digest of what is run, the same on all of them.
    ///
    /// # Errors
    /// A rank that does not come, or that was started for something else.
    pub fn gather(
        kernel: &Kernel,
        launched: &Launched,
        runs: &Path,
        experiment: String,
        interrupts: &Interrupts,
    ) -> Result<Self, KernelError> {
        let mut helper = Helper::start(kernel, &launch(launched, runs, experiment))?;
        match helper.answer(interrupts)? {
            Some(Gathered::All { meeting, sharing }) => Ok(Self {
                helper,
                meeting,
                sharing,
            }),
            answer => Err(helper.ended(answer)),
        }
    }

    /// The kernel of rank 0, which calls the others.
    #[must_use]
    pub fn call(&self, kernel: Kernel) -> Kernel {
        kernel.with_ranks(self.meeting.clone(), self.sharing)
    }

    /// Lets the others know that the run is over.
    pub fn end(mut self) {
        self.helper.say(END);
        self.helper.wait();
    }
}

/// Serves rank 0 as another rank until its run is over.
///
/// # Errors
/// Rank 0 does not come, has ended, or was started for something else.
pub fn serve(
    kernel: &Kernel,
    launched: &Launched,
    runs: &Path,
    experiment: String,
    interrupts: &Interrupts,
) -> Result<Served, KernelError> {
    let mut helper = Helper::start(kernel, &launch(launched, runs, experiment))?;
    match helper.answer(interrupts)? {
        Some(Gathered::End) => Ok(Served::End),
        None if interrupts.count() > 1 => Ok(Served::Quit),
        answer => Err(helper.ended(answer)),
    }
}

fn launch(launched: &Launched, runs: &Path, experiment: String) -> Launch {
    let meeting = |host: &String, port: &u16, run: &String| Meeting {
        host: host.clone(),
        port: *port,
        run: format!("tinyrun/{run}"),
    };
    let seconds = std::env::var("TINYRUN_RANKS_WAIT").ok();
    Launch {
        rank: launched.rank,
        size: launched.size,
        at: match &launched.meeting {
            MeetingPlace::Launcher { host, port, run } => At::Launcher(meeting(host, port, run)),
            MeetingPlace::Address { host, port, run } => At::Address(meeting(host, port, run)),
            MeetingPlace::File { run } => {
                At::File(runs.join("work").join(format!("ranks-{run}.json")))
            }
        },
        experiment,
        wait_seconds: seconds
            .and_then(|text| text.parse().ok())
            .unwrap_or(WAIT_SECONDS),
    }
}

/// A kernel that gathers or serves. It is killed where this is dropped before it ended.
#[derive(Debug)]
struct Helper {
    program: PathBuf,
    process: Child,
    answers: Receiver<Gathered>,
}

impl Helper {
    fn start(kernel: &Kernel, launch: &Launch) -> Result<Self, KernelError> {
        let program = kernel.program();
        let text = serde_json::to_string(launch).expect("plain data");
        let process = Command::new(program)
            .args([LAUNCHED, &text])
            .envs(allocation())
            .envs(libraries())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A launcher signals those that it has started; they pass it on.
            .process_group(0)
            .spawn();
        let mut process = process.map_err(|source| super::child::cannot_start(program, source))?;
        let (sender, answers) = mpsc::channel();
        if let Some(stdout) = process.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Ok(answer) = serde_json::from_str(&line) {
                        let _ = sender.send(answer);
                    }
                }
            });
        }
        let program = program.to_owned();
        Ok(Self {
            program,
            process,
            answers,
        })
    }

    /// Its next answer; `None` where it has ended, or the user has quit.
    fn answer(&mut self, interrupts: &Interrupts) -> Result<Option<Gathered>, KernelError> {
        let mut passed_on = 0;
        loop {
            match self.answers.recv_timeout(TICK) {
                Ok(answer) => return Ok(Some(answer)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
            let count = interrupts.count();
            if count > passed_on {
                passed_on = count;
                if count > 1 {
                    return Ok(None);
                }
                self.say(STOP);
            }
        }
    }

    fn say(&mut self, line: &str) {
        if let Some(stdin) = &mut self.process.stdin {
            // It may have ended by itself.
            let _ = writeln!(stdin, "{line}");
        }
    }

    fn wait(&mut self) {
        self.process.stdin = None;
        let _ = self.process.wait();
    }

    /// Why it did not do its work.
    fn ended(&mut self, answer: Option<Gathered>) -> KernelError {
        match answer {
            Some(Gathered::Failed(failure)) => KernelError::Failed { failure },
            _ => KernelError::Start {
                program: self.program.clone(),
                source: std::io::Error::other("it ended without an answer"),
            },
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
