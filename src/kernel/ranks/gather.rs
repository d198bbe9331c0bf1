//! Rank 0 of those that a launcher has started (`hello.rs`): where all meet, until the run is over.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use tinyrun_base::job::{self, At, END, Failure, Gathered, Launch, STOP};

use super::hello::{GATHERED, Hello, NEWEST, OVER, STOPPING, bye_of, say, stopped_of};
use super::local::{HOST, hello_of, token};
use super::native::Meeting;
use super::{COMING, LOOK, lost};
use crate::error::{self, KernelError};
use crate::stop::GRACE;

/// How long rank 0 waits for the others to leave.
const LEAVING: Duration = Duration::from_secs(5);

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
            let (host, run) = (HOST.to_owned(), super::local::token()?);
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
pub(super) fn gather(launch: &Launch, lines: &Receiver<String>) -> Result<(), KernelError> {
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
            wait_for_all(meeting, launch.size, Duration::from_secs(1), bye_of);
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
        if meeting
            .wait_for(STOPPING, Duration::ZERO)
            .map_err(lost)?
            .is_some()
        {
            // They need what is served here until they have their checkpoint.
            wait_for_all(meeting, launch.size, GRACE, stopped_of);
        }
        let message = "rank 0 has ended".to_owned();
        let hint = None;
        end(Some(&Failure { message, hint }))?;
    }
    wait_for_all(meeting, launch.size, LEAVING, bye_of);
    Ok(())
}

/// Waits until all others have set a key, since they need what is served here.
fn wait_for_all(meeting: &Meeting, size: usize, limit: Duration, key_of: fn(usize) -> String) {
    let since = Instant::now();
    for rank in 1..size {
        let left = limit.saturating_sub(since.elapsed()).max(LOOK);
        // One that is lost does not come.
        let _ = meeting.wait_for(&key_of(rank), left);
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
