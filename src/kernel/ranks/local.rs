//! Ranks of this machine: the first one starts the others and hands its job to them.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use tinyrun::job::Job;

use super::native::{Group, Meeting, are_there};
use super::{Link, Rank, Ranks, TIMEOUT, lost};
use crate::error::KernelError;

/// Between the processes of one machine.
const HOST: &str = "127.0.0.1";

/// First argument of a kernel that joins others.
const JOIN: &str = "--join";

const JOB: &str = "job";

/// Where a rank finds the others: arguments of its process.
#[derive(Debug)]
pub(crate) struct Seat {
    rank: Rank,
    port: u16,
    run: String,
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
            run: next()?,
        })
    }

    /// Joins the others, and takes the job that the first one hands on.
    ///
    /// # Errors
    /// The first one is not there, or another process sits here already.
    pub(crate) fn take(self) -> Result<(Job, Ranks), KernelError> {
        let meeting = Meeting::open((HOST, self.port), false, &self.run, TIMEOUT).map_err(lost)?;
        let Rank { rank, size } = self.rank;
        if meeting.count(&format!("hello/{rank}")).map_err(lost)? > 1 {
            let what = "is two processes".to_owned();
            return Err(KernelError::Rank { rank, what });
        }
        let text = meeting.wait_for(JOB, TIMEOUT).map_err(lost)?;
        let text = text.ok_or_else(|| lost("rank 0 has no job".to_owned()))?;
        let job = serde_json::from_str(&text).map_err(KernelError::Job)?;
        let group = Group::open(&meeting, (rank, size), HOST, TIMEOUT).map_err(lost)?;
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
        let run = format!("{}-{}", std::process::id(), job.fingerprint);
        let meeting = Meeting::open((HOST, 0), true, &run, TIMEOUT).map_err(lost)?;
        let text = serde_json::to_string(job).expect("a job is plain data");
        meeting.set(JOB, &text).map_err(lost)?;
        let size = job.ranks;
        let mut others = Others::start(meeting.port(), size, &run)?;
        // One that cannot even start is named, instead of being waited for.
        let first = Rank { rank: 0, size };
        let group =
            Group::open(&meeting, (0, size), HOST, TIMEOUT).map_err(|reason| {
                match others.ended() {
                    Some((rank, what)) => KernelError::Rank { rank, what },
                    None => lost(reason),
                }
            })?;
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
            let started = std::env::current_exe().and_then(|program| {
                Command::new(program)
                    .args([
                        JOIN,
                        &port.to_string(),
                        &rank.to_string(),
                        &size.to_string(),
                        run,
                    ])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
            });
            let child = started.map_err(|error| KernelError::Rank {
                rank,
                what: format!("cannot be started: {error}"),
            })?;
            all.0.push(child);
        }
        Ok(all)
    }

    /// The first one that has ended, and how.
    pub(super) fn ended(&mut self) -> Option<(usize, String)> {
        let all = self.0.iter_mut().enumerate();
        let mut ended = all.filter_map(|(place, child)| {
            let status = child.try_wait().ok().flatten()?;
            Some((place + 1, how(status)))
        });
        ended.next()
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

/// How a process ended.
fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (_, code) => format!("ended with exit code {}", code.unwrap_or_default()),
    }
}
