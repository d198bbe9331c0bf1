//! All stages, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::execute::{Hands, execute};
use super::observer::notice_lacks;
use super::{Interrupts, Kernel, Notice, Observer, StageError, write_results};
use crate::experiment::{Experiment, StageName};
use crate::plan::{Forced, Inputs, Node, Planner, Status};
use crate::runs::{Digester, Error, Layout, Record, link_to};

/// Records of the stages that are done.
pub type Done = BTreeMap<StageName, Record>;

/// An experiment that is ready to run.
#[derive(Debug)]
pub struct Pipeline<'a> {
    /// What the user wrote.
    pub experiment: &'a Experiment,
    /// The files it names.
    pub inputs: &'a Inputs,
    /// Its stages in order.
    pub nodes: &'a [Node],
    /// Where results lie.
    pub layout: &'a Layout,
    /// Stages that are run although fresh.
    pub forced: &'a Forced,
    /// Which stages are done.
    pub selection: Selection,
    /// Go on with what does not depend on a stage that failed.
    pub keep_going: bool,
}

/// Which stages of an experiment are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// Those up to this one.
    Until(StageName),
    /// This one alone, of what is there.
    Single(StageName),
    /// This one and those that take something from it, of what is there.
    Downstream(StageName),
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every stage that was looked at, in order.
    pub stages: Vec<StageOutcome>,
    /// Stages that failed; with `keep_going` only.
    pub failed: Vec<StageName>,
    /// Stages that wait for one that failed.
    pub left_out: Vec<StageName>,
    /// Time it all took.
    pub elapsed: Duration,
}

/// One stage of a run.
#[derive(Debug)]
pub struct StageOutcome {
    /// The stage.
    pub stage: StageName,
    /// Whether it was run, and not found up to date.
    pub ran: bool,
    /// Its record.
    pub record: Record,
}

impl Pipeline<'_> {
    /// Stages to be done, in order.
    pub fn selected(&self) -> Vec<&Node> {
        let nodes = self.nodes.iter();
        match self.selection {
            Selection::All => nodes.collect(),
            Selection::Until(last) => {
                let end = self.nodes.iter().position(|node| node.stage == last);
                nodes.take(end.map_or(0, |end| end + 1)).collect()
            }
            Selection::Single(stage) => nodes.filter(|node| node.stage == stage).collect(),
            Selection::Downstream(first) => {
                let mut found = BTreeSet::from([first]);
                // Each stage stands after those it takes something from.
                let below = nodes.filter(|node| {
                    let is_below = node.stage == first || !node.after().is_disjoint(&found);
                    if is_below {
                        found.insert(node.stage);
                    }
                    is_below
                });
                below.collect()
            }
        }
    }

    /// Records of stages that are not to be done and are fresh: what the others build on.
    ///
    /// # Errors
    /// An input cannot be read.
    pub fn fresh_before(&self, planner: &mut Planner<'_>) -> Result<Done, Error> {
        let mut done = Done::new();
        let selected: BTreeSet<StageName> = self.selected().iter().map(|it| it.stage).collect();
        if matches!(self.selection, Selection::All | Selection::Until(_)) {
            return Ok(done);
        }
        for node in self
            .nodes
            .iter()
            .filter(|node| !selected.contains(&node.stage))
        {
            let plan = planner.plan(node, &done)?;
            if let Status::Fresh(record) = plan.status {
                done.insert(node.stage, *record);
            }
        }
        Ok(done)
    }

    /// Does what is not up to date. Each stage is planned when those before it are done:
    /// only then is known what they left.
    ///
    /// # Errors
    /// The first stage that fails ends the run, unless it is told to keep going; what was
    /// finished stays.
    pub fn run(
        &self,
        kernel: &Kernel,
        digester: &mut Digester,
        interrupts: &Interrupts,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, StageError> {
        let clock = Instant::now();
        let mut outcome = Outcome::default();
        let mut planner = Planner {
            experiment: self.experiment,
            inputs: self.inputs,
            layout: self.layout,
            forced: self.forced,
            digester,
        };
        let mut done = self.fresh_before(&mut planner)?;
        for node in self.selected() {
            if interrupts.asked().load(Ordering::SeqCst) {
                return Err(StageError::Interrupted {
                    stage: None,
                    step: None,
                });
            }
            let stage = node.stage;
            let after = node.after();
            let is_lost = |name: &StageName| after.contains(name);
            if outcome.failed.iter().any(is_lost) || outcome.left_out.iter().any(is_lost) {
                outcome.left_out.push(stage);
                continue;
            }
            let plan = planner.plan(node, &done)?;
            let (record, ran) = match (&plan.status, &plan.key) {
                (Status::Fresh(record), _) => {
                    observer.notice(&Notice::Fresh { stage });
                    ((**record).clone(), false)
                }
                (_, Some(key)) => {
                    let mut hands = Hands {
                        kernel,
                        interrupts,
                        observer: &mut *observer,
                    };
                    let result = execute(node, &plan, key, &done, &mut planner, &mut hands);
                    // What was learnt of the inputs is worth keeping however it ended.
                    let saved = planner.digester.save();
                    let result = match result {
                        Ok(result) => result,
                        Err(error) if self.keep_going && error.exit_code() == 1 => {
                            observer.notice(&Notice::Failed {
                                stage,
                                error: &error,
                            });
                            outcome.failed.push(stage);
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    saved?;
                    self.forced.mark(&result.0.fingerprint);
                    result
                }
                // Only stages that are left out of the selection can be missing.
                (_, None) => {
                    let needs = after.into_iter().filter(|name| !done.contains_key(name));
                    let needs = needs.collect();
                    return Err(StageError::NotReady { stage, needs });
                }
            };
            settle(self, stage, &record, observer)?;
            done.insert(stage, record.clone());
            outcome.stages.push(StageOutcome { stage, ran, record });
        }
        planner.digester.save()?;
        outcome.elapsed = clock.elapsed();
        Ok(outcome)
    }
}

/// Makes a result the experiment's own: its link, and for eval the table.
pub(super) fn settle(
    pipeline: &Pipeline<'_>,
    stage: StageName,
    record: &Record,
    observer: &mut dyn Observer,
) -> Result<(), StageError> {
    let Pipeline {
        experiment, layout, ..
    } = pipeline;
    let store = layout.store(stage.as_str(), &record.fingerprint);
    link_to(&store, &layout.link(&experiment.name, stage.as_str()))?;
    if stage == StageName::Eval {
        write_results(experiment, layout, record)?;
    }
    notice_lacks(stage, observer);
    Ok(())
}
