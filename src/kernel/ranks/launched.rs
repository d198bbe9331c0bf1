//! Ranks that a launcher has started, one process each, for a whole run: they meet once, and for each stage rank 0's
//! kernel calls the others, each of which starts a process for it. So a stage begins as it does anywhere.
//!
//! Keys of the meeting: `hello/RANK` (what it was started for), `gathered`, `stages` (how many were called),
//! `stage/N` (what the keys of the stage's own meeting begin with), `ended/N/RANK` (how a process ended that should
//! not have), `beat/RANK`, `end`, `bye/RANK`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tinyrun::job::{self, At, END, Failure, Gathered, LAUNCHED, Launch, STOP};

use super::local::{HOST, Seat, hello_of, how, is_victim, token};
use super::native::{Meeting, are_there};
use super::{COMING, LOOK, Rank, lost};
use crate::error::{self, KernelError};
use crate::stop::Stop;

/// Between two beats of a rank, and how long one may be late that others ask for.
const BEAT: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(3);

/// How long an answer of the meeting may take: where a link is cut, none ever comes.
const SILENCE: Duration = Duration::from_secs(30);

/// How long rank 0 waits for the others to leave.
const LEAVING: Duration = Duration::from_secs(5);

/// How long one try to reach rank 0 may take, where its address may be that of an earlier run.
const TRY: Duration = Duration::from_secs(2);

const NEWEST: &str = "newest";
const GATHERED: &str = "gathered";
const OVER: &str = "end";

/// What a rank was started for: the same on all but for the cores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hello {
    version: u32,
    size: usize,
    experiment: String,
    /// The machine, and its cores that the rank may use.
    cores: (String, String),
}

impl Hello {
    fn of(launch: &Launch) -> Self {
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cores = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Self {
            version: job::VERSION,
            size: launch.size,
            experiment: launch.experiment.clone(),
            cores: (machine, cores.unwrap_or_default().to_owned()),
        }
    }

    /// What is wrong with a rank that says this, where rank 0 says `self`.
    fn against(&self, rank: usize, other: &Self) -> Option<KernelError> {
        let (what, hint) = if other.version != self.version {
            (
                "is another version of tinyrun than rank 0".to_owned(),
                "install the same build on every machine",
            )
        } else if other.size != self.size {
            (
                format!(
                    "is one of {} ranks, rank 0 one of {}",
                    other.size, self.size
                ),
                "start all ranks with the same number of them",
            )
        } else if other.experiment != self.experiment {
            (
                "has another experiment file than rank 0, or other options".to_owned(),
                "start all ranks with the same command, in folders with the same files",
            )
        } else {
            return None;
        };
        let hint = Some(hint.to_owned());
        Some(KernelError::Rank { rank, what, hint })
    }
}

/// What this process was started for, if it gathers ranks or is one of a launcher's.
pub(crate) fn launch_of_arguments() -> Option<Result<Launch, KernelError>> {
    let mut arguments = std::env::args().skip(1);
    let is_launched = arguments.next()? == LAUNCHED;
    let text = arguments.next().filter(|_| is_launched)?;
    Some(serde_json::from_str(&text).map_err(KernelError::Job))
}

/// Gathers the ranks as rank 0, or serves as another one, until the run is over.
pub(crate) fn serve_launch(launch: Result<Launch, KernelError>) -> ExitCode {
    // Catches signals, and ignores them: commands come on stdin. SIGTERM to a whole process tree must not end this
    // process while the stage still writes its checkpoint.
    let _ = Stop::on_signals();
    let lines = lines_of_stdin();
    let done = launch.and_then(|launch| match launch.rank {
        _ if !are_there() => Err(KernelError::OneRankOnly),
        0 => gather(&launch, &lines),
        _ => serve(&launch, &lines),
    });
    match done {
        Ok(()) => {
            say(&Gathered::End);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&Gathered::Failed(error.failure()));
            ExitCode::FAILURE
        }
    }
}

fn say(answer: &Gathered) {
    let text = serde_json::to_string(answer).expect("plain data");
    let mut out = io::stdout().lock();
    // A runner that is gone is noticed on stdin.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Lines of stdin as they come. It ends with the runner.
fn lines_of_stdin() -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

/// Whether rank 0 of a launch reaches others, and by which address.
struct Found {
    meeting: Meeting,
    at: job::Meeting,
    /// What others ask for the newest run; of an address or a file, the store that all connect to.
    _lobby: Meeting,
    /// A file that is removed at the end.
    _file: Option<Removed>,
}

/// A file that is gone once this is dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // One that is left names a port that nobody listens on.
        let _ = fs::remove_file(&self.0);
    }
}

fn open_first(launch: &Launch) -> Result<Found, KernelError> {
    let since = Instant::now();
    let listen = |host: &str, port: u16| loop {
        // That of a run before may take a moment to leave.
        match TcpListener::bind((host, port)) {
            Ok(socket) => return Ok(socket),
            Err(_) if since.elapsed() < 2 * LEAVING => thread::park_timeout(LOOK),
            Err(error) => {
                let reason = error.to_string();
                return Err(KernelError::NoPort { port, reason });
            }
        }
    };
    // What others join is this run, and none before it in the same store.
    let token = token()?;
    let serve = |at: &job::Meeting, socket, file| -> Result<Found, KernelError> {
        let address = (&at.host[..], at.port);
        let lobby = Meeting::open(address, socket, &at.run, COMING).map_err(lost)?;
        let run = format!("{}/{token}", at.run);
        let meeting = Meeting::open(address, None, &run, COMING).map_err(lost)?;
        lobby.set(NEWEST, &token).map_err(lost)?;
        let (host, port) = (at.host.clone(), at.port);
        Ok(Found {
            meeting,
            at: job::Meeting { host, port, run },
            _lobby: lobby,
            _file: file,
        })
    };
    match &launch.at {
        At::Launcher(at) => serve(at, None, None),
        // Other machines may know this one by any of its addresses.
        At::Address(at) => serve(at, Some(listen("0.0.0.0", at.port)?), None),
        At::File(path) => {
            let socket = listen(HOST, 0)?;
            let port = socket
                .local_addr()
                .map_err(|error| lost(error.to_string()))?
                .port();
            // Nobody else knows the name of the keys.
            let (host, run) = (HOST.to_owned(), self::token()?);
            let lobby = job::Meeting { host, port, run };
            let file = Some(Removed(path.clone()));
            let found = serve(&lobby, Some(socket), file)?;
            let text = serde_json::to_vec(&lobby).expect("plain data");
            write_private(path, &text)?;
            Ok(found)
        }
    }
}

/// Writes a file that nobody else may read. A reader that comes too early sees no whole document.
fn write_private(path: &Path, text: &[u8]) -> Result<(), KernelError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(error::io("create", folder))?;
    }
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text));
    written.map_err(error::io("write", path))
}

/// Rank 0: waits for all, tells the runner, and serves the meeting until the runner says that the run is over.
fn gather(launch: &Launch, lines: &Receiver<String>) -> Result<(), KernelError> {
    let found = open_first(launch)?;
    let meeting = &found.meeting;
    let own = Hello::of(launch);
    let sharing = all_come(launch, &own, meeting, lines);
    let end = |failure: Option<&Failure>| {
        let text = serde_json::to_string(&failure).expect("plain data");
        meeting.set(OVER, &text).map_err(lost)
    };
    let sharing = match sharing {
        Ok(Some(sharing)) => sharing,
        Ok(None) => return Ok(()),
        Err(error) => {
            end(Some(&error.failure()))?;
            // Until those that have come have read it.
            leave(meeting, launch.size, Duration::from_secs(1));
            return Err(error);
        }
    };
    meeting.set(GATHERED, "").map_err(lost)?;
    let at = found.at.clone();
    say(&Gathered::All {
        meeting: at,
        sharing,
    });
    let is_over = lines.iter().any(|line| line == END);
    if is_over {
        end(None)?;
    } else {
        let message = "rank 0 has ended".to_owned();
        let hint = None;
        end(Some(&Failure { message, hint }))?;
    }
    leave(meeting, launch.size, LEAVING);
    Ok(())
}

/// Waits until the others have left, since they need what is served here.
fn leave(meeting: &Meeting, size: usize, limit: Duration) {
    let since = Instant::now();
    for rank in 1..size {
        let left = limit.saturating_sub(since.elapsed()).max(LOOK);
        let _ = meeting.wait_for(&format!("bye/{rank}"), left);
    }
}

/// Waits for all ranks, and returns how many share the cores of this one; `None` where the runner ends before.
fn all_come(
    launch: &Launch,
    own: &Hello,
    meeting: &Meeting,
    lines: &Receiver<String>,
) -> Result<Option<usize>, KernelError> {
    let wait = Duration::from_secs(launch.wait_seconds);
    let since = Instant::now();
    let mut sharing = 1;
    for rank in 1..launch.size {
        let hello = loop {
            if let Some(hello) = meeting.wait_for(&hello_of(rank), LOOK).map_err(lost)? {
                break hello;
            }
            if since.elapsed() > wait {
                return Err(KernelError::does_not_come(rank, wait));
            }
            match lines.try_recv() {
                Err(TryRecvError::Disconnected) => return Ok(None),
                Ok(line) if line == END || line == STOP => return Ok(None),
                _ => {}
            }
        };
        let hello: Hello = serde_json::from_str(&hello).map_err(|error| lost(error.to_string()))?;
        if let Some(error) = own.against(rank, &hello) {
            return Err(error);
        }
        sharing += usize::from(hello.cores == own.cores);
    }
    Ok(Some(sharing))
}

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

/// The newest run that meets here, if it is not over.
fn newest(lobby: &job::Meeting) -> Result<Option<(Meeting, job::Meeting)>, String> {
    let address = (&lobby.host[..], lobby.port);
    let meeting = Meeting::open(address, None, &lobby.run, TRY)?;
    let Some(token) = meeting.wait_for(NEWEST, Duration::ZERO)? else {
        return Ok(None);
    };
    let run = format!("{}/{token}", lobby.run);
    let meeting = Meeting::open(address, None, &run, COMING)?;
    if meeting.wait_for(OVER, Duration::ZERO)?.is_some() {
        return Ok(None);
    }
    let (host, port) = (lobby.host.clone(), lobby.port);
    Ok(Some((meeting, job::Meeting { host, port, run })))
}

/// Another rank: starts a process for each stage that rank 0 calls, until rank 0 says that the run is over.
fn serve(launch: &Launch, lines: &Receiver<String>) -> Result<(), KernelError> {
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
            Ok(line) if line == STOP => served.stop(),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            // Whoever has started this is gone, and the process of a stage with it.
            Err(RecvTimeoutError::Disconnected) => {
                let _ = meeting.set(&format!("bye/{rank}"), "");
                return Ok(());
            }
        }
        if beats.is_none_or(|last| last.elapsed() > BEAT) {
            beats = Some(Instant::now());
            meeting.count(&beat_of(rank)).map_err(lost)?;
            if let Some(end) = meeting.wait_for(OVER, Duration::ZERO).map_err(lost)? {
                drop(served);
                let _ = meeting.set(&format!("bye/{rank}"), "");
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

fn beat_of(rank: usize) -> String {
    format!("beat/{rank}")
}

fn ended_of(call: i64, rank: usize) -> String {
    format!("ended/{call}/{rank}")
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
            let code = status.code();
            if code != Some(0) && code != Some(i32::from(job::EXIT_INTERRUPTED)) {
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

/// The other ranks of a stage that rank 0 has called.
#[derive(Debug)]
pub(super) struct Called {
    meeting: Meeting,
    size: usize,
    call: i64,
}

impl Called {
    /// Calls them to a meeting whose keys begin with `run`.
    pub(super) fn new(at: &job::Meeting, size: usize, run: &str) -> Result<Self, KernelError> {
        let meeting = Meeting::open((&at.host, at.port), None, &at.run, COMING).map_err(lost)?;
        let call = meeting.count("stages").map_err(lost)?;
        meeting.set(&format!("stage/{call}"), run).map_err(lost)?;
        Ok(Self {
            meeting,
            size,
            call,
        })
    }

    /// One that has ended by itself, or else one that has ended because others were gone.
    pub(super) fn at_fault(&self) -> Option<KernelError> {
        let ended = (1..self.size).filter_map(|rank| {
            let told = self
                .meeting
                .wait_for(&ended_of(self.call, rank), Duration::ZERO);
            let told: (bool, String) = serde_json::from_str(&told.ok()??).ok()?;
            Some((rank, told))
        });
        let (rank, (_, what)) = ended.min_by_key(|(_, (is_victim, _))| *is_victim)?;
        let hint = None;
        Some(KernelError::Rank { rank, what, hint })
    }

    /// A rank that does not serve any more.
    pub(super) fn silent(&self) -> Option<KernelError> {
        let beats = || -> Vec<Option<String>> {
            let beat = |rank| self.meeting.wait_for(&beat_of(rank), Duration::ZERO);
            (1..self.size)
                .map(|rank| beat(rank).ok().flatten())
                .collect()
        };
        let before = beats();
        thread::park_timeout(LATE);
        let mut same = before
            .iter()
            .zip(beats())
            .map(|(before, now)| *before == now);
        let rank = same.position(|is_same| is_same)? + 1;
        let what = "is gone".to_owned();
        let hint = None;
        Some(KernelError::Rank { rank, what, hint })
    }
}
