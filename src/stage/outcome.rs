//! What a run came to.

use std::time::Duration;

use crate::experiment::StageName;
use crate::runs::Record;

/// What the run of one experiment came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every stage that was run or found fresh, in order.
    pub stages: Vec<StageOutcome>,
    /// Stages that failed, where the run went on.
    pub failed: Vec<StageName>,
    /// Stages that depend on one that failed.
    pub left_out: Vec<StageName>,
    /// From the beginning of its first stage to the end of its last.
    pub elapsed: Duration,
}

/// One stage of a run.
#[derive(Debug)]
pub struct StageOutcome {
    /// The stage.
    pub stage: StageName,
    /// Whether it was run, and not found fresh.
    pub ran: bool,
    /// Its record.
    pub record: Record,
}

impl Outcome {
    /// How many stages were run.
    pub fn count_ran(&self) -> usize {
        self.stages.iter().filter(|stage| stage.ran).count()
    }

    /// Stages that scored models, in order.
    pub fn scored(&self) -> Vec<&StageOutcome> {
        let stages = self.stages.iter();
        stages
            .filter(|stage| !stage.record.summary.scored.is_empty())
            .collect()
    }

    /// The record of a stage, if it was run or found fresh.
    pub fn record_of(&self, stage: &StageName) -> Option<&Record> {
        let found = self.stages.iter().find(|found| found.stage == *stage);
        found.map(|found| &found.record)
    }
}
