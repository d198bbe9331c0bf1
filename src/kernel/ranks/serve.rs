//! Another rank of those that a launcher has started (`hello.rs`): it starts a process for each stage of rank 0.

use std::fs;
use std::io::Write as _;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tinyrun_base::job::{self, At, Failure, Gathered, Launch, STOP};

use super::hello::{Hello, NEWEST, OVER, STOPPING, beat_of, bye_of, ended_of, say, stopped_of};
use super::local::{Seat, hello_of};
use super::native::Meeting;
use super::others::{how, is_victim, is_well};
use super::{COMING, LOOK, Rank, lost};
use crate::error::KernelError;
use crate::stop::GRACE;

/// Between two beats of a rank.
const BEAT: Duration = Duration::from_millis(500);

/// How long an answer of the meeting may take: where a link is cut, none ever comes.
const SILENCE: Duration = Duration::from_secs(30);

/// How long one try to reach rank 0 may take, where its address may be that of an earlier run.
const TRY: Duration = Duration::from_secs(2);

/// Another rank's way to the meeting of rank 0's run; `None` where it is not wanted any more.
fn open_other(
    launch: &Launch,
    lines: &Receiver<String>,
) -> Result<Option<(Meeting, job::Meeting)>, KernelError> {
    let wait = Duration::from_secs(launch.wait_seconds);
    let since = Instant::now();
    let mut reason = String::new();
    while since.elapsed() <= wait {
        match lines.recv_timeout(LOOK) {
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let at = match &launch.at {
            At::Launcher(at) | At::Address(at) => Some(at.clone()),
            At::File(path) => {
                let text = fs::read(path).ok();
                text.and_then(|text| serde_json::from_slice(&text).ok())
            }
        };
        let Some(at) = at else { continue };
        match newest(&at) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(why) => reason = why,
        }
    }
    if reason.is_empty() {
        return Err(KernelError::does_not_come(0, wait));
    }
    Err(lost(reason))
}

/// The newest run that meets here, if it is neither over nor about to be.
fn newest(lobby: &job::Meeting) -> Result<Option<(Meeting, job::Meeting)>, String> {
    let address = (&lobby.host[..], lobby.port);
    let meeting = Meeting::open(address, None, &lobby.run, TRY)?;
    let Some(token) = meeting.wait_for(NEWEST, Duration::ZERO)? else {
        return Ok(None);
    };
    let run = format!("{}/{token}", lobby.run);
    let meeting = Meeting::open(address, None, &run, COMING)?;
    for key in [OVER, STOPPING] {
        if meeting.wait_for(key, Duration::ZERO)?.is_some() {
            return Ok(None);
        }
    }
    let (host, port) = (lobby.host.clone(), lobby.port);
    Ok(Some((meeting, job::Meeting { host, port, run })))
}

/// Another rank: starts a process for each stage that rank 0 calls, until rank 0 says that the run is over.
pub(super) fn serve(launch: &Launch, lines: &Receiver<String>) -> Result<(), KernelError> {
    let Some((meeting, at)) = open_other(launch, lines)? else {
        return Ok(());
    };
    let rank = launch.rank;
    if meeting.count(&format!("seat/{rank}")).map_err(lost)? > 1 {
        return Err(KernelError::two_processes(rank));
    }
    let hello = serde_json::to_string(&Hello::of(launch)).expect("plain data");
    meeting.set(&hello_of(rank), &hello).map_err(lost)?;
    let mut served = Served {
        rank: Rank {
            rank,
            size: launch.size,
        },
        at,
        calls: 0,
        child: None,
        stopping: false,
    };
    let mut beats: Option<Instant> = None;
    let answered = end_with_the_link();
    loop {
        answered.store(true, Ordering::Relaxed);
        match lines.recv_timeout(LOOK) {
            Ok(line) if line == STOP => {
                served.stop();
                meeting.set(STOPPING, "").map_err(lost)?;
            }
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            // Whoever has started this is gone, and soon the process of a stage.
            Err(RecvTimeoutError::Disconnected) => {
                if !served.stopping && served.child.is_some() {
                    let _ = served.tell(&meeting, false, "has lost its runner");
                }
                served.wait_if_stopping();
                let _ = meeting.set(&stopped_of(rank), "");
                let _ = meeting.set(&bye_of(rank), "");
                return Ok(());
            }
        }
        if beats.is_none_or(|last| last.elapsed() > BEAT) {
            beats = Some(Instant::now());
            meeting.count(&beat_of(rank)).map_err(lost)?;
            if let Some(end) = meeting.wait_for(OVER, Duration::ZERO).map_err(lost)? {
                drop(served);
                let _ = meeting.set(&bye_of(rank), "");
                let failure: Option<Failure> = serde_json::from_str(&end).unwrap_or_default();
                return failure.map_or(Ok(()), |Failure { message, hint }| {
                    Err(KernelError::Told { message, hint })
                });
            }
        }
        served.look(&meeting)?;
    }
}

/// Ends this process, and with it that of a stage, where nobody sets the flag for [`SILENCE`].
#[expect(
    clippy::disallowed_methods,
    reason = "the thread that would return waits for an answer that never comes"
)]
fn end_with_the_link() -> Arc<AtomicBool> {
    let answered = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&answered);
    thread::spawn(move || {
        while flag.swap(false, Ordering::Relaxed) {
            thread::sleep(SILENCE);
        }
        let error = lost(format!(
            "rank 0 has not answered for {} seconds",
            SILENCE.as_secs()
        ));
        say(&Gathered::Failed(error.failure()));
        std::process::exit(1);
    });
    answered
}

/// What a rank does for the stages of rank 0.
struct Served {
    rank: Rank,
    at: job::Meeting,
    /// Stages that were begun.
    calls: i64,
    child: Option<Child>,
    stopping: bool,
}

impl Served {
    /// Starts a process for the next stage if it was called, and looks whether that of this one has ended.
    fn look(&mut self, meeting: &Meeting) -> Result<(), KernelError> {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.try_wait()
        {
            self.child = None;
            if self.stopping {
                let stopped = stopped_of(self.rank.rank);
                meeting.set(&stopped, "").map_err(lost)?;
            }
            if !is_well(status) {
                self.tell(meeting, is_victim(status), &how(status))?;
            }
        }
        let call = format!("stage/{}", self.calls + 1);
        let called = meeting.wait_for(&call, Duration::ZERO).map_err(lost)?;
        let Some(run) = called else {
            return Ok(());
        };
        // One that waits for a rank 0 that has given the stage up.
        self.end_child();
        self.calls += 1;
        match Seat::start(&self.at.host, self.at.port, self.rank, &run) {
            Ok(child) => self.child = Some(child),
            Err(error) => self.tell(meeting, false, &format!("cannot be started: {error}"))?,
        }
        if self.stopping {
            self.stop();
        }
        Ok(())
    }

    fn end_child(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where the process of a stage was asked to stop, gives it time to do so.
    fn wait_if_stopping(&mut self) {
        let since = Instant::now();
        while let Some(child) = &mut self.child
            && self.stopping
            && since.elapsed() < GRACE
            && matches!(child.try_wait(), Ok(None))
        {
            thread::park_timeout(LOOK);
        }
    }

    fn tell(&self, meeting: &Meeting, is_victim: bool, how: &str) -> Result<(), KernelError> {
        let key = ended_of(self.calls, self.rank.rank);
        let text = serde_json::to_string(&(is_victim, how)).expect("plain data");
        meeting.set(&key, &text).map_err(lost)
    }

    /// Asks the process of this stage, or of the next one, to stop.
    fn stop(&mut self) {
        self.stopping = true;
        if let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            // It may just have ended.
            let _ = writeln!(stdin, "{STOP}");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end_child();
    }
}
