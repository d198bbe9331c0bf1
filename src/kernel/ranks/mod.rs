//! One training on several processes, its ranks: each computes the gradient of a contiguous slice of every batch, and all
//! make the same update from the sums. What is sampled and drawn is a function of the whole batch, so that the result
//! depends on the number of ranks by rounding alone (docs/concepts/exactness.md#ranks).
//!
//! Rank 0 is the kernel that the runner has started: it writes all but the teacher's cached outputs, and starts the
//! others (`local.rs`) or calls those that a launcher has started (`launched.rs`).

mod called;
mod cores;
mod ending;
mod exchange;
mod gather;
mod hello;
mod hooks;
mod launched;
mod local;
mod measured;
mod native;
mod nccl;
mod others;
mod rank;
mod serve;
mod sums;
mod watch;

use std::cell::Cell;
use std::num::NonZero;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::ending::fault_of;
use self::native::{Group, Meeting};
use self::others::Others;
use self::watch::Watch;
use crate::error::KernelError;

pub(crate) use self::exchange::Exchange;
pub(crate) use self::launched::{launch_of_arguments, serve_launch};
pub(crate) use self::local::Seat;
pub(crate) use self::measured::measurement_of_arguments;
pub(crate) use self::rank::Rank;
#[cfg(test)]
pub(crate) use self::{exchange::turn, hooks::Hook};

/// How long a rank may take to come.
const COMING: Duration = Duration::from_mins(2);

/// How long ranks wait for each other's work where no watchdog is set: that of the first alone takes as long as the
/// disk does, and all may be suspended for a night. That one has died is noticed at once.
const ENDLESS: Duration = Duration::from_hours(24 * 20);

/// Between two looks at whether the first rank still works.
const BETWEEN: Duration = Duration::from_secs(1);

/// Between two looks at what another rank has said.
const LOOK: Duration = Duration::from_millis(20);

/// Exit code of a rank that has lost contact, and is not at fault.
pub(crate) const EXIT_LOST: u8 = 75;

/// The ranks of a training, as one of them sees the others.
#[derive(Debug)]
pub(crate) struct Ranks {
    own: Rank,
    /// How many share the cores of this machine, as far as is known.
    here: usize,
    /// Cores that they may use.
    cores: usize,
    link: Option<Link>,
    /// Why gradients of GPUs are not added by NCCL.
    without_nccl: Option<String>,
    /// What the first one has done for all so far.
    turns: Cell<u64>,
}

/// What a rank has of the others. In the order in which it is dropped.
#[derive(Debug)]
struct Link {
    /// Of the first one.
    watch: Option<Watch>,
    group: Rc<Group>,
    meeting: Meeting,
    /// The others, as the first one knows them.
    others: Option<Others>,
}

impl Ranks {
    /// One alone.
    pub(crate) fn one() -> Self {
        Self {
            own: Rank::ONLY,
            here: 1,
            cores: cores(),
            link: None,
            without_nccl: None,
            turns: Cell::new(0),
        }
    }

    /// Whether there is only one.
    pub(crate) fn are_one(&self) -> bool {
        self.link.is_none()
    }

    /// Whether this is the first one, which writes and reports.
    pub(crate) fn is_first(&self) -> bool {
        self.own.rank == 0
    }

    /// This one's place.
    pub(crate) fn own(&self) -> Rank {
        self.own
    }

    /// Whether all are on this machine, and write to a file as one process does.
    pub(crate) fn are_here(&self) -> bool {
        self.here == self.own.size
    }

    /// What to tell of ranks whose threads are more than the cores.
    pub(crate) fn crowd(&self, threads: usize) -> Option<String> {
        let cores = self.cores;
        let ranks = self.here;
        let is_crowd = !self.are_one() && ranks * threads > cores;
        is_crowd.then(|| {
            format!(
                "{ranks} ranks of {threads} threads are more than the {cores} cores of this machine"
            )
        })
    }

    /// What to tell of gradients of GPUs that NCCL does not add.
    pub(crate) fn lacks_nccl(&self) -> Option<String> {
        let reason = self.without_nccl.as_ref()?;
        Some(format!(
            "gradients are added in the memory of the CPU and not by NCCL: {reason}"
        ))
    }

    /// Binds this thread, and those that it starts from now on, to the cores of this rank, if the ranks take all.
    pub(crate) fn bind(&self, threads: usize) {
        let cores = cores::allowed();
        // Of ranks on several machines the launcher knows who is where.
        if self.are_here()
            && let Some(own) = cores::share(&cores, self.own.rank, self.here, threads)
        {
            cores::bind(own);
        }
    }

    /// Does something on the first rank, while the others wait for its result, however long it takes. All do so in the
    /// same order; `name` is for messages.
    ///
    /// # Errors
    /// Those of `work`; a rank that is lost.
    pub(crate) fn first_does<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, KernelError>,
    ) -> Result<T, KernelError> {
        let Some(link) = &self.link else {
            return work();
        };
        let turn = self.turns.replace(self.turns.get() + 1);
        let key = format!("done/{turn}");
        if self.is_first() {
            let done = work()?;
            let text = serde_json::to_string(&done).expect("plain data");
            link.meeting.set(&key, &text).map_err(lost)?;
            return Ok(done);
        }
        loop {
            // Its store may outlive it, where a launcher serves it.
            let text = link.meeting.wait_for(&key, BETWEEN).map_err(lost)?;
            if let Some(text) = text {
                return serde_json::from_str(&text).map_err(|error| lost(error.to_string()));
            }
            let fault = link.meeting.wait_for(&fault_of(0), Duration::ZERO);
            if fault.map_err(lost)?.is_some() {
                return Err(lost(format!("rank 0 has not ended {name}")));
            }
        }
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn lost(reason: String) -> KernelError {
    KernelError::LostRanks { reason }
}
