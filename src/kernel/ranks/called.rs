//! A stage of rank 0, to which ranks of a launcher (`hello.rs`) are called.

use std::thread;
use std::time::Duration;

use tinyrun_base::job;

use super::hello::{beat_of, ended_of};
use super::native::Meeting;
use super::others::Ended;
use super::{COMING, lost};
use crate::error::KernelError;

/// How long a beat of a rank may be late that others ask for.
const LATE: Duration = Duration::from_secs(3);

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

    /// Those that have ended without their work done.
    pub(super) fn ended(&self) -> Vec<Ended> {
        let ended = (1..self.size).filter_map(|rank| {
            let key = ended_of(self.call, rank);
            let told = self.meeting.wait_for(&key, Duration::ZERO);
            let (is_victim, what) = serde_json::from_str(&told.ok()??).ok()?;
            Some(Ended {
                rank,
                is_well: false,
                is_victim,
                what,
            })
        });
        ended.collect()
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
