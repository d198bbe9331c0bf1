//! A teacher's answers to every example, asked once and kept on disk: in a folder that stages which ask the same share,
//! or in the stage's own while it runs.
//!
//! `teacher-memory.bin` holds a row an example, shortest example first: the parts of the answer without
//! padding, and a checksum. Examples are put to the teacher in batches that are a function of their
//! lengths alone, so that an answer is the same whether the run was interrupted or not.
//! `teacher-memory.json` says how far the file is written; it is renamed into place after a sync. In a shared folder
//! whoever asks holds `lock` alone, and whoever reads holds it with others.

mod asking;
mod files;
mod place;
mod plan;
mod reading;
mod sharing;

use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{self, Job, Objective, PadTo, Reduction, Train};

use self::asking::Asking;
pub(crate) use self::files::remove_all;
use self::files::{bin, opened};
use self::place::{Begin, Folder};
use self::plan::{CachePlan, tokens_at_once};
pub(crate) use self::reading::TeacherMemory;
use self::sharing::shared_folder;
use crate::batch::Batch;
use crate::device::Compute;
use crate::error::{KernelError, io};
use crate::feed::Data;
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::stop::Stop;
use crate::target::{Target, Teacher, asks_logits};

/// How asking the teacher ended.
pub(crate) enum Asked {
    /// Every answer is there.
    Remembered(TeacherMemory),
    /// The teacher is asked in every step; with what should be told about it.
    InEveryStep(Option<String>),
    /// On request; what was answered is kept.
    Interrupted,
}

/// A teacher whose outputs are cached.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Where, and how much may be.
    pub(crate) cache: &'a job::Teacher,
    pub(crate) model: &'a Teacher,
    /// Its own rows, where its tokenizer cuts others than the student's.
    pub(crate) rows: Option<&'a TokenStore>,
    /// Its place among the teachers.
    pub(crate) place: usize,
}

/// Caches the outputs of a teacher for every example, or continues a cache, where it pays and fits; each rank computes a
/// part. A run that resumes from a checkpoint does as it did `before`, whatever the limit or the free space is now.
///
/// # Errors
/// The cache cannot be read or written; a rank is lost. A disk that has no room for a new cache is no error: the teacher
/// then runs in every step.
pub(crate) fn ask(
    (job, train): (&Job, &Train),
    before: Option<bool>,
    data: &Data,
    source: Source<'_>,
    (compute, pad_to): (Compute, PadTo),
    (reporter, stop, ranks): (&Reporter, &Stop, &Ranks),
) -> Result<Asked, KernelError> {
    let limit = source.cache.cache_bytes;
    if !(before.unwrap_or(limit > 0) && pays(train, source.cache)) {
        return Ok(Asked::InEveryStep(None));
    }
    let shared = shared_folder(source.cache, compute, pad_to);
    let store = source.rows.unwrap_or(&data.train);
    let answer = |batch: &[u32]| {
        let rows = batch.iter().map(|&place| data.rows[place as usize]);
        let rows: Vec<u32> = rows.collect();
        let batch = Batch::new(store, &rows, pad_to, compute.device);
        Target::of(&train.objective, Some(source.model), &batch)
    };
    let lengths = data.rows.iter();
    let lengths = lengths.map(|&row| store.length(row as usize) as u32);
    let lengths: Vec<u32> = lengths.collect();
    let tokens = tokens_at_once(train, &lengths, shared.is_some());
    let Some(plan) = CachePlan::new(lengths, tokens, answer) else {
        return Ok(Asked::InEveryStep(None));
    };
    let end = plan.bytes();
    if before.is_none() && end > limit {
        return Ok(Asked::InEveryStep(None));
    }
    let how = format!("{:?} {:?} {pad_to:?} {end}", compute.kind, compute.device);
    let folder = Folder::of(job, source.place, shared, &how);
    let room = (limit, before.is_none());
    let (begin, lock) = folder.begin_together(&plan, room, (reporter, stop, ranks))?;
    let done = match begin {
        Begin::Asked => plan.batches.len(),
        Begin::From(done) => done,
        Begin::InEveryStep(why) => return Ok(Asked::InEveryStep(why)),
        Begin::Interrupted => return Ok(Asked::Interrupted),
    };
    let asking = Asking {
        folder: &folder,
        file: opened(&bin(&folder.path))?,
        plan: &plan,
        is_padded: pad_to != PadTo::None,
    };
    if !asking.run(done, answer, (reporter, stop, ranks))? {
        return Ok(Asked::Interrupted);
    }
    if let Some(lock) = &lock {
        // From now on others may read beside this one.
        lock.lock_shared().map_err(io("lock", &folder.path))?;
    }
    // Opened anew: what other machines have written may not be seen by what was open before.
    TeacherMemory::open(&folder.path, plan, lock).map(Asked::Remembered)
}

/// Whether the teacher's answer to an example is the same in every epoch, and needed in more than one.
fn pays(train: &Train, teacher: &job::Teacher) -> bool {
    let same = match &train.objective {
        // Over the padded block the answers to padding count, and they differ with the padding.
        Objective::Intermediate { reduction, .. } => *reduction == Reduction::Tokens,
        objective => asks_logits(objective),
    };
    same && train.steps.epochs > 1 && !teacher.dropout
}
