//! How a rank ends: with its work done, or with a failure whose cause may be another rank.

use std::time::{Duration, Instant};

use tinyrun_base::job::Failure;

use super::native::Meeting;
use super::others::Ended;
use super::{LOOK, Link, Ranks};
use crate::error::KernelError;

/// How long ranks whose work is done may take to say so.
const ENDING: Duration = Duration::from_secs(20);

/// How long whoever is at fault has to say so.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Ranks {
    /// Ends the work of this rank. The first one waits for the others, which need what it serves, and returns
    /// the most memory that one has had, in bytes.
    pub(crate) fn finish(mut self, peak_memory: u64) -> u64 {
        let Some(link) = &mut self.link else {
            return peak_memory;
        };
        link.watch = None;
        if self.own.rank > 0 {
            // A first rank that does not wait any more is none of its business.
            let key = end_of(self.own.rank);
            let _ = link.meeting.set(&key, &peak_memory.to_string());
            return peak_memory;
        }
        let mut peak_memory = peak_memory;
        let mut are_all = true;
        for rank in 1..self.own.size {
            let told = link.meeting.wait_for(&end_of(rank), ENDING);
            let told = told.ok().flatten().and_then(|text| text.parse().ok());
            peak_memory = peak_memory.max(told.unwrap_or_default());
            are_all &= told.is_some();
        }
        if !are_all {
            // The work is done, but one that hangs may keep others from closing their connections.
            self.abandon();
        }
        peak_memory
    }

    /// Leaves the others after a failure: those that this rank has started are ended. What libtorch holds is not
    /// closed, since it waits for work that nobody does any more.
    pub(crate) fn abandon(self) {
        if let Some(Link {
            watch,
            group,
            meeting,
            others,
        }) = self.link
        {
            drop((watch, others));
            std::mem::forget((group, meeting));
        }
    }

    /// Tells the others why this rank ends.
    pub(crate) fn tell(&self, failure: &Failure) {
        if let Some(link) = &self.link {
            tell(&link.meeting, self.own.rank, failure);
        }
    }

    /// What an error of this rank means: where contact was lost, the rank that is at fault, if that is known.
    pub(crate) fn explained(&mut self, error: KernelError) -> KernelError {
        if !matches!(error, KernelError::LostRanks { .. }) {
            self.tell(&error.failure());
            return error;
        }
        let own = self.own.rank;
        let Some(link) = &mut self.link else {
            return error;
        };
        link.watch = None;
        // One that hangs does not say so.
        let _ = link.meeting.set(&waiting_of(own), "");
        let since = Instant::now();
        while since.elapsed() < LAST_WORDS {
            let others = (0..self.own.size).filter(|rank| *rank != own);
            if let Some(told) = told(&link.meeting, others, LOOK) {
                return told;
            }
            // One that has lost contact as this one has may be the first to end.
            let mut ended = link.ended().into_iter();
            if let Some(ended) = ended.find(|it| !it.is_victim) {
                return ended.error();
            }
        }
        let ended = link.ended();
        let mut others = (0..self.own.size).filter(|rank| *rank != own);
        let hangs = |rank: &usize| {
            let waits = link.meeting.wait_for(&waiting_of(*rank), LOOK);
            matches!(waits, Ok(None)) && !ended.iter().any(|it| it.rank == *rank)
        };
        if let Some(rank) = others.find(hangs) {
            let what = "does not answer".to_owned();
            let hint = None;
            return KernelError::Rank { rank, what, hint };
        }
        let silent = link.others.as_ref().and_then(|it| it.known().silent());
        let ended = ended.into_iter().next().map(Ended::error);
        silent.or(ended).unwrap_or(error)
    }
}

impl Link {
    /// The processes of others that have ended, as far as this rank knows them.
    fn ended(&self) -> Vec<Ended> {
        let others = self.others.as_ref();
        others.map_or_else(Vec::new, |others| others.known().ended())
    }
}

/// Tells the others why a rank ends.
pub(super) fn tell(meeting: &Meeting, rank: usize, failure: &Failure) {
    let text = serde_json::to_string(failure).expect("plain data");
    // Where they cannot be told, they notice that it is gone.
    let _ = meeting.set(&fault_of(rank), &text);
}

/// The failure that one of these ranks has told of, before so much time is over for each.
pub(super) fn told(
    meeting: &Meeting,
    ranks: impl IntoIterator<Item = usize>,
    time: Duration,
) -> Option<KernelError> {
    ranks.into_iter().find_map(|rank| {
        let text = meeting.wait_for(&fault_of(rank), time).ok()??;
        let Failure { message, hint } = serde_json::from_str(&text).ok()?;
        let what = format!("failed: {message}");
        Some(KernelError::Rank { rank, what, hint })
    })
}

pub(super) fn end_of(rank: usize) -> String {
    format!("end/{rank}")
}

fn waiting_of(rank: usize) -> String {
    format!("waiting/{rank}")
}

/// Key of the meeting under which a rank says why it ends.
pub(super) fn fault_of(rank: usize) -> String {
    format!("fault/{rank}")
}
