//! Asking a teacher for what is not in the file yet.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use tinyrun_base::job::Event;

use super::files::{bin, note};
use super::place::Folder;
use super::plan::CachePlan;
use crate::answers::rows;
use crate::error::{KernelError, io};
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::stop::Stop;
use crate::target::Target;

/// Between two syncs, and so the most that an interruption costs.
const SYNC_EVERY: Duration = Duration::from_secs(20);
/// Between two events.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// A file that is being filled.
pub(super) struct Asking<'a> {
    pub(super) folder: &'a Folder,
    pub(super) file: File,
    pub(super) plan: &'a CachePlan,
    /// Whether the rows of a batch are padded to its longest.
    pub(super) is_padded: bool,
}

impl Asking<'_> {
    /// Asks about the batches that are not `done`, each rank about one in turn; `false` where a rank was asked to stop
    /// before the last.
    pub(super) fn run(
        &self,
        mut done: usize,
        answer: impl Fn(&[u32]) -> Target,
        (reporter, stop, ranks): (&Reporter, &Stop, &Ranks),
    ) -> Result<bool, KernelError> {
        let batches = &self.plan.batches;
        let total = self.plan.lengths.len() as u64;
        let mut examples: u64 = batches[..done].iter().map(|batch| batch.len() as u64).sum();
        let (mut saved_at, mut told_at) = (Instant::now(), None::<Instant>);
        // Pages of a file that several machines write are not put together everywhere: then the first rank asks.
        let at_once = if ranks.are_here() {
            ranks.own().size()
        } else {
            1
        };
        while done < batches.len() {
            let turn = &batches[done..batches.len().min(done + at_once)];
            if let Some(batch) = turn.get(ranks.own().place()) {
                self.write(batch, &answer(batch))?;
            }
            done += turn.len();
            examples += turn.iter().map(|batch| batch.len() as u64).sum::<u64>();
            if told_at.is_none_or(|at| at.elapsed() > TELL_EVERY) || examples == total {
                reporter.send(&Event::Asking {
                    done: examples,
                    total,
                });
                told_at = Some(Instant::now());
            }
            let is_last = done == batches.len();
            let is_late = ranks.is_first() && saved_at.elapsed() > SYNC_EVERY;
            let mut late = [f64::from(u8::from(is_late))];
            let stopping = ranks.sum_numbers_and_wishes(&mut late, stop.asked())?;
            if stopping || late[0] > 0.0 || is_last {
                self.save(done, ranks)?;
                saved_at = Instant::now();
            }
            if stopping && !is_last {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the answers to a batch to their place.
    fn write(&self, batch: &[u32], target: &Target) -> Result<(), KernelError> {
        let lengths = batch.iter().map(|&place| self.plan.lengths[place as usize]);
        let lengths: Vec<usize> = lengths.map(|length| length as usize).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded = self.is_padded.then_some(longest);
        let rows = rows(&self.plan.layout, target, &lengths, padded);
        self.file
            .write_all_at(&rows, self.plan.offsets[batch[0] as usize])
            .map_err(io("write", &bin(&self.folder.path)))
    }

    /// So many batches are on the disk. Not before every rank has put its own there.
    fn save(&self, batches: usize, ranks: &Ranks) -> Result<(), KernelError> {
        let written = self.file.sync_data();
        written.map_err(io("write", &bin(&self.folder.path)))?;
        ranks.sum_numbers_and_wishes(&mut [], false)?;
        if !ranks.is_first() {
            return Ok(());
        }
        note(&self.folder.path, &self.folder.key, batches)
    }
}
