//! The other ranks, as the first one knows them: whether they live, and how they have ended.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use tinyrun_base::job::EXIT_INTERRUPTED;

use super::called::Called;
use super::local::{HOST, Seat};
use super::{EXIT_LOST, Rank};
use crate::error::KernelError;

/// The other ranks of the first one. What it has started of them is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Others(Known);

/// What there is to ask of them, on any thread.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// Processes that the first one has started.
    Own(Arc<Mutex<Processes>>),
    /// Processes that ranks of a launcher have started.
    Called(Arc<Called>),
}

impl Others {
    pub(super) fn own(processes: Processes) -> Self {
        Self(Known::Own(Arc::new(Mutex::new(processes))))
    }

    pub(super) fn called(called: Called) -> Self {
        Self(Known::Called(Arc::new(called)))
    }

    pub(super) fn known(&self) -> &Known {
        &self.0
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        if let Known::Own(processes) = &self.0 {
            lock(processes).end();
        }
    }
}

/// One whose process has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) rank: usize,
    /// With its work done, or because it was asked to.
    pub(super) is_well: bool,
    /// Because others were gone.
    pub(super) is_victim: bool,
    /// How.
    pub(super) what: String,
}

impl Ended {
    pub(super) fn error(self) -> KernelError {
        KernelError::Rank {
            rank: self.rank,
            what: self.what,
            hint: None,
        }
    }
}

impl Known {
    /// Those that have ended, victims of others last; of a launcher those that have not done their work.
    pub(super) fn ended(&self) -> Vec<Ended> {
        let mut ended = match self {
            Self::Own(processes) => lock(processes).ended(),
            Self::Called(called) => called.ended(),
        };
        ended.sort_by_key(|it| it.is_victim);
        ended
    }

    /// One that has ended by itself, or else one that has ended because others were gone.
    pub(super) fn at_fault(&self) -> Option<KernelError> {
        self.ended().into_iter().next().map(Ended::error)
    }

    /// One that does not serve any more, if a launcher has started them.
    pub(super) fn silent(&self) -> Option<KernelError> {
        match self {
            Self::Own(_) => None,
            Self::Called(called) => called.silent(),
        }
    }

    /// Kills what the first one has started.
    pub(super) fn kill(&self) {
        if let Self::Own(processes) = self {
            lock(processes).kill();
        }
    }
}

/// A thread that has panicked does not keep others from them.
fn lock(processes: &Mutex<Processes>) -> MutexGuard<'_, Processes> {
    processes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The processes of the other ranks, from rank 1 on. They end with this one, whose end of their stdin then closes, and
/// are killed where this is dropped before.
#[derive(Debug)]
pub(super) struct Processes(Vec<Child>);

impl Processes {
    pub(super) fn start(port: u16, size: usize, run: &str) -> Result<Self, KernelError> {
        let mut all = Self(Vec::new());
        for rank in 1..size {
            let child = Seat::start(HOST, port, Rank { rank, size }, run);
            let child = child.map_err(|error| KernelError::Rank {
                rank,
                what: format!("cannot be started: {error}"),
                hint: None,
            });
            all.0.push(child?);
        }
        Ok(all)
    }

    fn ended(&mut self) -> Vec<Ended> {
        let all = self.0.iter_mut().enumerate();
        let ended = all.filter_map(|(place, child)| Some((place + 1, child.try_wait().ok()??)));
        let ended = ended.map(|(rank, status)| Ended {
            rank,
            is_well: is_well(status),
            is_victim: is_victim(status),
            what: how(status),
        });
        ended.collect()
    }

    fn kill(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }

    fn end(&mut self) {
        self.kill();
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a rank has ended because others were gone: by itself, or aborted by libtorch's watchdog of NCCL.
pub(super) fn is_victim(status: ExitStatus) -> bool {
    let is_aborted = status.signal() == Some(Signal::ABORT.as_raw());
    is_aborted || status.code() == Some(i32::from(EXIT_LOST))
}

/// Whether a rank has done its work, or was asked to stop.
pub(super) fn is_well(status: ExitStatus) -> bool {
    let code = status.code();
    code == Some(0) || code == Some(i32::from(EXIT_INTERRUPTED))
}

/// How a process ended.
pub(super) fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (_, code) => format!("ended with exit code {}", code.unwrap_or_default()),
    }
}
