//! The folder of a teacher's outputs, and whether they are there or may be written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tinyrun_base::job::{Event, Job};

use super::files::{bin, opened, own_folder, remove, written_before};
use super::plan::CachePlan;
use super::sharing::{Turn, make_room, turn};
use crate::error::{KernelError, io};
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::stop::Stop;

/// Disk that is left to others.
const SPARE: u64 = 1_000_000_000;

/// A folder, of a stage's own or shared.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    is_shared: bool,
    /// What the answers depend on.
    pub(super) key: String,
}

/// What the first rank has found where answers are kept, and decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Begin {
    /// All are there.
    Asked,
    /// So many batches are there.
    From(usize),
    /// The teacher runs in every step; with a warning for the user, if there is one.
    InEveryStep(Option<String>),
    /// The user asked to stop.
    Interrupted,
}

impl Folder {
    /// That of the teacher in a `place`, or the `shared` one; `how` names what else the answers depend on.
    pub(super) fn of(job: &Job, place: usize, shared: Option<PathBuf>, how: &str) -> Self {
        let is_shared = shared.is_some();
        // A shared folder is named by the rest.
        let of = if is_shared {
            "shared"
        } else {
            &job.fingerprint
        };
        Self {
            key: format!("{of} {how}"),
            path: shared.unwrap_or_else(|| own_folder(&job.output, place)),
            is_shared,
        }
    }

    /// [`Self::begin`] of the first rank, for all of them; the first one holds the lock of a shared folder.
    pub(super) fn begin_together(
        &self,
        plan: &CachePlan,
        room: (u64, bool),
        (reporter, stop, ranks): (&Reporter, &Stop, &Ranks),
    ) -> Result<(Begin, Option<File>), KernelError> {
        let total = plan.lengths.len() as u64;
        let wait = || {
            // A kernel that says nothing may be taken for one that hangs.
            reporter.send(&Event::Asking { done: 0, total });
            stop.asked()
        };
        let mut lock = None;
        let begin = ranks.first_does("looking for the teacher's outputs", || {
            let (begin, held) = self.begin(&plan.ends, room, wait)?;
            lock = held;
            Ok(begin)
        })?;
        Ok((begin, lock))
    }

    /// Looks for answers, and makes room for the others. `ends` are where each batch ends in the file; all may
    /// take `limit` bytes, if this run may still ask the teacher in every step. A shared folder stays locked by what is
    /// returned beside.
    ///
    /// # Errors
    /// What the disk says.
    fn begin(
        &self,
        ends: &[u64],
        (limit, is_new): (u64, bool),
        wait: impl FnMut() -> bool,
    ) -> Result<(Begin, Option<File>), KernelError> {
        let (folder, key) = (&self.path, &self.key);
        let end = ends.last().copied().unwrap_or(0);
        let lock = if self.is_shared {
            match turn(folder, key, (ends.len(), end), wait)? {
                Turn::Asked { lock } => return Ok((Begin::Asked, Some(lock))),
                Turn::Interrupted => return Ok((Begin::Interrupted, None)),
                Turn::Mine(lock) => Some(lock),
            }
        } else {
            None
        };
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let (done, written) = written_before(folder, key, ends)?;
        if self.is_shared && !make_room(folder, end, limit)? && is_new {
            return Ok((Begin::InEveryStep(None), None));
        }
        if is_new && done < ends.len() && has_no_room(folder, end - written) {
            remove(folder)?;
            return Ok((Begin::InEveryStep(Some(no_room(end))), None));
        }
        // There for the other ranks to open.
        opened(&bin(folder))?;
        Ok((Begin::From(done), lock))
    }
}

fn has_no_room(folder: &Path, bytes: u64) -> bool {
    free_bytes(folder).is_some_and(|free| bytes + SPARE > free)
}

/// Free bytes of the disk that holds `folder`, where the system tells.
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn no_room(bytes: u64) -> String {
    format!(
        "the disk has no room for {:.1} GB of teacher outputs: the teacher runs in every step instead",
        bytes as f64 / 1e9
    )
}
