//! Where stages stand at this moment, those that run in another process included: `tinyrun status`.

use super::pipeline::Pipeline;
use super::reason::StaleReason;
use super::status::Status;
use crate::experiment::StageName;
use crate::runs::{Checkpoint, Digester, Error, Lock, Owner, Record};

/// Where a stage stands at this moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Its result is stored and whole.
    Done(Box<Record>),
    /// A process works on it; `None` where it has not said who it is.
    Running(Option<Owner>),
    /// It was interrupted.
    Stopped(Checkpoint),
    /// It has to be run.
    Stale(Vec<StaleReason>),
    /// Stages before it have to be run.
    Waits(Vec<StageName>),
}

/// Where the selected stages of an experiment stand. Waits for no lock.
///
/// # Errors
/// An input cannot be read.
pub fn standings(
    pipeline: &Pipeline<'_>,
    digester: &mut Digester,
) -> Result<Vec<(StageName, Standing)>, Error> {
    let plan = pipeline.plan(digester)?;
    let stages = plan.stages.into_iter().map(|plan| {
        let owner = plan.fingerprint().and_then(|fingerprint| {
            let lock = pipeline.layout.lock(plan.kind, &fingerprint);
            Lock::owner(&lock)
        });
        let standing = match (plan.status, owner) {
            (Status::Fresh(record), _) => Standing::Done(record),
            (_, Some(owner)) => Standing::Running(owner),
            (Status::Resumable(checkpoint), None) => Standing::Stopped(checkpoint),
            (Status::Stale(reasons), None) => Standing::Stale(reasons),
            (Status::Waits { on, .. }, None) => Standing::Waits(on),
        };
        (plan.stage, standing)
    });
    Ok(stages.collect())
}
