//! Ranks of this machine: the first one starts the others and hands its job to them.

use std::fs::File;
use std::io::{Read as _, Write as _, stdin};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tinyrun::job::Job;

use super::native::{Group, Meeting, are_there};
use super::{COMING, ENDLESS, EXIT_LOST, LOOK, Link, Rank, Ranks, lost};
use crate::error::{KernelError, io};
use crate::stop::die_with_the_runner;

/// Between the processes of one machine.
const HOST: &str = "127.0.0.1";

/// First argument of a kernel that joins others.
const JOIN: &str = "--join";

const JOB: &str = "job";

/// How long connecting, once all are there, and a sum may take. A rank that dies while ranks connect is noticed
/// by the end of that time alone.
const TIMES: (Duration, Duration) = (Duration::from_secs(30), ENDLESS);

/// Where a rank finds the others: arguments of its process.
#[derive(Debug)]
pub(crate) struct Seat {
    rank: Rank,
    port: u16,
}

impl Seat {
    /// Of this process; `None` of one that a runner has started.
    pub(crate) fn of_arguments() -> Option<Self> {
        let mut arguments = std::env::args().skip(1);
        if arguments.next()? != JOIN {
            return None;
        }
        let mut next = || arguments.next();
        Some(Self {
            port: next()?.parse().ok()?,
            rank: Rank {
                rank: next()?.parse().ok()?,
                size: next()?.parse().ok()?,
            },
        })
    }

    /// Joins the others, and takes the job that the first one hands on.
    ///
    /// # Errors
    /// The first one is not there, or another process sits here already.
    pub(crate) fn take(self) -> Result<(Job, Ranks), KernelError> {
        // Not an argument, which everybody on the machine can read.
        let mut run = String::new();
        let read = stdin().read_line(&mut run);
        read.map_err(|error| lost(error.to_string()))?;
        // The rest of stdin says that the first rank is there.
        die_with_the_runner();
        let address = (HOST, self.port);
        let meeting = Meeting::open(address, None, run.trim(), COMING).map_err(lost)?;
        let Rank { rank, size } = self.rank;
        if meeting.count(&format!("hello/{rank}")).map_err(lost)? > 1 {
            let what = "is two processes".to_owned();
            let hint = None;
            return Err(KernelError::Rank { rank, what, hint });
        }
        let text = meeting.wait_for(JOB, COMING).map_err(lost)?;
        let text = text.ok_or_else(|| lost("rank 0 has no job".to_owned()))?;
        let job = serde_json::from_str(&text).map_err(KernelError::Job)?;
        let group = Group::open(&meeting, (rank, size), HOST, TIMES).map_err(lost)?;
        let link = Link {
            group,
            meeting,
            others: None,
        };
        let ranks = Ranks {
            own: self.rank,
            link: Some(link),
        };
        Ok((job, ranks))
    }
}

impl Ranks {
    /// Those of a job, of which this process is the first.
    ///
    /// # Errors
    /// A build that has no ranks; a process that cannot be started, or does not come.
    pub(crate) fn of_job(job: &Job) -> Result<Self, KernelError> {
        if job.ranks <= 1 {
            return Ok(Self::one());
        }
        if !are_there() {
            return Err(KernelError::OneRankOnly);
        }
        let run = token()?;
        let listening = TcpListener::bind((HOST, 0));
        let listening = listening.map_err(|error| lost(error.to_string()))?;
        let address = listening.local_addr();
        let port = address.map_err(|error| lost(error.to_string()))?.port();
        let meeting = Meeting::open((HOST, port), Some(listening), &run, COMING).map_err(lost)?;
        let text = serde_json::to_string(job).expect("a job is plain data");
        meeting.set(JOB, &text).map_err(lost)?;
        let size = job.ranks;
        let mut others = Others::start(port, size, &run)?;
        others.come(&meeting)?;
        let first = Rank { rank: 0, size };
        let group = Group::open(&meeting, (0, size), HOST, TIMES);
        let group = group.map_err(|reason| others.at_fault().unwrap_or(lost(reason)))?;
        Ok(Self {
            own: first,
            link: Some(Link {
                group,
                meeting,
                others: Some(others),
            }),
        })
    }
}

/// The processes of the other ranks, from rank 1 on. They end with this one, whose end of their stdin then closes, and
/// are killed where this is dropped before.
#[derive(Debug)]
pub(super) struct Others(Vec<Child>);

impl Others {
    fn start(port: u16, size: usize, run: &str) -> Result<Self, KernelError> {
        let mut all = Self(Vec::new());
        for rank in 1..size {
            let cannot_start = |error: std::io::Error| KernelError::Rank {
                rank,
                what: format!("cannot be started: {error}"),
                hint: None,
            };
            let program = std::env::current_exe().map_err(cannot_start)?;
            let child = Command::new(program)
                .args([
                    JOIN,
                    &port.to_string(),
                    &rank.to_string(),
                    &size.to_string(),
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn();
            all.0.push(child.map_err(cannot_start)?);
            let child = all.0.last_mut().and_then(|child| child.stdin.as_mut());
            if let Some(stdin) = child {
                writeln!(stdin, "{run}").map_err(cannot_start)?;
            }
        }
        Ok(all)
    }

    /// Waits until all have come.
    fn come(&mut self, meeting: &Meeting) -> Result<(), KernelError> {
        let since = Instant::now();
        for rank in 1..=self.0.len() {
            let hello = format!("hello/{rank}");
            while meeting.wait_for(&hello, LOOK).map_err(lost)?.is_none() {
                if let Some(fault) = self.at_fault() {
                    return Err(fault);
                }
                if since.elapsed() > COMING {
                    return Err(lost(format!("rank {rank} does not come")));
                }
            }
        }
        Ok(())
    }

    /// One that has ended by itself, or else one that has ended because others were gone.
    pub(super) fn at_fault(&mut self) -> Option<KernelError> {
        let all = self.0.iter_mut().enumerate();
        let ended = all.filter_map(|(place, child)| Some((place + 1, child.try_wait().ok()??)));
        let is_victim = |status: &ExitStatus| status.code() == Some(i32::from(EXIT_LOST));
        let (rank, status) = ended.min_by_key(|(_, status)| is_victim(status))?;
        let what = how(status);
        let hint = None;
        Some(KernelError::Rank { rank, what, hint })
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A word that nobody guesses.
fn token() -> Result<String, KernelError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(io("read", "/dev/urandom"))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// How a process ended.
fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (_, code) => format!("ended with exit code {}", code.unwrap_or_default()),
    }
}
