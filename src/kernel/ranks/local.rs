//! How the ranks of a job meet: the first one starts the others, or calls those that a launcher has started
//! (`launched.rs`), and hands its job to them.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read as _, Write as _, stderr, stdin};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket,
};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tinyrun_base::job::{Device, Job};

use super::called::Called;
use super::ending::{tell, told};
use super::native::{Group, Meeting, are_there};
use super::nccl;
use super::others::{Ended, Known, Others, Processes};
use super::watch::Watch;
use super::{COMING, ENDLESS, LOOK, Link, Rank, Ranks, lost};
use crate::error::{self, KernelError};
use crate::reporter::Reporter;
use crate::stop::{Stop, die_with_the_runner};

/// Between the processes of one machine.
pub(super) const HOST: &str = "127.0.0.1";

/// First argument of a kernel that joins others.
const JOIN: &str = "--join";

const JOB: &str = "job";

/// How long a rank may take to come before others ask whether it is there.
const SLOW: Duration = Duration::from_secs(10);

/// How long connecting may take, once all are there.
const CONNECTING: Duration = Duration::from_secs(30);

/// Where a rank finds the others: arguments of its process.
#[derive(Debug)]
pub(crate) struct Seat {
    rank: Rank,
    host: String,
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
            host: next()?,
            port: next()?.parse().ok()?,
            rank: Rank {
                rank: next()?.parse().ok()?,
                size: next()?.parse().ok()?,
            },
        })
    }

    /// Starts a process that sits here. `run` goes through its stdin: everybody on the machine can read arguments.
    pub(super) fn start(host: &str, port: u16, rank: Rank, run: &str) -> io::Result<Child> {
        let Rank { rank, size } = rank;
        let arguments = [
            host.to_owned(),
            port.to_string(),
            rank.to_string(),
            size.to_string(),
        ];
        let mut child = Command::new(std::env::current_exe()?)
            .arg(JOIN)
            .args(arguments)
            .stdin(Stdio::piped())
            // It reports nothing itself; what libraries print, such as NCCL, belongs in the log.
            .stdout(stderr().as_fd().try_clone_to_owned()?)
            .spawn()?;
        if let Some(stdin) = &mut child.stdin {
            writeln!(stdin, "{run}")?;
        }
        Ok(child)
    }

    /// Joins the others, and takes the job that the first one hands on.
    ///
    /// # Errors
    /// The first one is not there, or another process sits here already.
    pub(crate) fn take(self, stop: &Stop) -> Result<(Job, Ranks), KernelError> {
        let mut run = String::new();
        let read = stdin().read_line(&mut run);
        read.map_err(|error| lost(error.to_string()))?;
        // The rest of stdin says that whoever started this process is there.
        // It writes nothing that rank 0 does not wait for.
        stop.outlive();
        die_with_the_runner(stop);
        let address = (&self.host[..], self.port);
        let meeting = Meeting::open(address, None, run.trim(), COMING).map_err(lost)?;
        let Rank { rank, .. } = self.rank;
        if meeting.count(&hello_of(rank)).map_err(lost)? > 1 {
            return Err(KernelError::two_processes(rank));
        }
        let text = meeting.wait_for(JOB, COMING).map_err(lost)?;
        let text = text.ok_or_else(|| lost("rank 0 has no job".to_owned()))?;
        let job: Job = serde_json::from_str(&text).map_err(KernelError::Job)?;
        let connected = connect(&meeting, self.rank, address, &job);
        let (group, without_nccl) = connected.inspect_err(|error| {
            if !matches!(error, KernelError::LostRanks { .. }) {
                tell(&meeting, rank, &error.failure());
            }
        })?;
        let link = Link {
            watch: None,
            group: Rc::new(group),
            meeting,
            others: None,
        };
        let ranks = Ranks {
            own: self.rank,
            here: job.ranks_here,
            cores: super::cores(),
            link: Some(link),
            without_nccl,
            turns: Cell::new(0),
        };
        Ok((job, ranks))
    }
}

/// Connects this rank with the others, by the interface towards their meeting. Beside that, why GPUs are not connected.
fn connect(
    meeting: &Meeting,
    Rank { rank, size }: Rank,
    towards: (&str, u16),
    job: &Job,
) -> Result<(Group, Option<String>), KernelError> {
    let own = own_address(towards).map_err(|error| lost(error.to_string()))?;
    let wait = job.wait_seconds.map_or(ENDLESS, Duration::from_secs);
    let mut group = Group::open(meeting, (rank, size), &own, (CONNECTING, wait)).map_err(lost)?;
    let without = match job.device.of(rank) {
        Device::Cuda(gpu) => nccl::join(&mut group, meeting, Rank { rank, size }, gpu, wait)?,
        // Several ranks do not take a GPU by `auto`.
        Device::Cpu | Device::Auto => None,
    };
    Ok((group, without))
}

/// What an error of connecting means: the rank that has told why it does not connect, or that has died by itself.
fn cause(error: KernelError, others: &Known, meeting: &Meeting, size: usize) -> KernelError {
    let ended = || others.ended().into_iter().find(|it| !it.is_victim);
    told(meeting, 1..size, LOOK)
        .or_else(|| ended().map(Ended::error))
        .unwrap_or(error)
}

/// This machine's address towards another, without a packet being sent.
pub(super) fn own_address(towards: (&str, u16)) -> io::Result<String> {
    let mut last = None;
    for address in towards.to_socket_addrs()? {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(address)?;
            socket.local_addr()
        });
        match socket {
            Ok(own) => return Ok(own.ip().to_string()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

impl Ranks {
    /// Those of a job, of which this process is the first. What is reported where this process hangs because another
    /// has died goes to `reporter`.
    ///
    /// # Errors
    /// A build that has no ranks; a process that cannot be started, or does not come.
    pub(crate) fn of_job(job: &Job, reporter: &Reporter) -> Result<Self, KernelError> {
        if job.ranks <= 1 {
            return Ok(Self::one());
        }
        if !are_there() {
            return Err(KernelError::OneRankOnly);
        }
        let text = serde_json::to_string(job).expect("a job is plain data");
        let size = job.ranks;
        let first = Rank { rank: 0, size };
        let run = token()?;
        let (meeting, others, host, port, run) = match &job.meeting {
            None => {
                let listening = TcpListener::bind((HOST, 0));
                let listening = listening.map_err(|error| lost(error.to_string()))?;
                let address = listening.local_addr();
                let port = address.map_err(|error| lost(error.to_string()))?.port();
                let meeting = Meeting::open((HOST, port), Some(listening), &run, COMING);
                let meeting = meeting.map_err(lost)?;
                meeting.set(JOB, &text).map_err(lost)?;
                (
                    meeting,
                    Others::own(Processes::start(port, size, &run)?),
                    HOST,
                    port,
                    run,
                )
            }
            Some(place) => {
                let address = (&place.host[..], place.port);
                let run = format!("{}/{run}", place.run);
                let meeting = Meeting::open(address, None, &run, COMING).map_err(lost)?;
                meeting.set(JOB, &text).map_err(lost)?;
                let called = Called::new(place, size, &run)?;
                (
                    meeting,
                    Others::called(called),
                    &place.host[..],
                    place.port,
                    run,
                )
            }
        };
        come(&meeting, others.known(), size)?;
        let own = Meeting::open((host, port), None, &run, COMING).map_err(lost)?;
        let watch = Watch::start(others.known(), own, size, reporter);
        let connected = connect(&meeting, first, (host, port), job);
        let (group, without_nccl) =
            connected.map_err(|error| cause(error, others.known(), &meeting, size))?;
        Ok(Self {
            own: first,
            here: job.ranks_here,
            cores: super::cores(),
            link: Some(Link {
                watch: Some(watch),
                group: Rc::new(group),
                meeting,
                others: Some(others),
            }),
            without_nccl,
            turns: Cell::new(0),
        })
    }
}

/// Waits until all have come.
fn come(meeting: &Meeting, others: &Known, size: usize) -> Result<(), KernelError> {
    let since = Instant::now();
    for rank in 1..size {
        while meeting
            .wait_for(&hello_of(rank), LOOK)
            .map_err(lost)?
            .is_none()
        {
            if let Some(fault) = others.at_fault() {
                return Err(fault);
            }
            if since.elapsed() > SLOW
                && let Some(gone) = others.silent()
            {
                return Err(gone);
            }
            if since.elapsed() > COMING {
                return Err(KernelError::does_not_come(rank, COMING));
            }
        }
    }
    Ok(())
}

pub(super) fn hello_of(rank: usize) -> String {
    format!("hello/{rank}")
}

/// A word that nobody guesses.
pub(super) fn token() -> Result<String, KernelError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(error::io("read", "/dev/urandom"))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
