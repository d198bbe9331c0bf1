//! All stages, one after the other.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::execute::{Hands, execute};
use super::{Interrupts, Kernel, Notice, Observer, StageError, write_results};
use crate::experiment::{Experiment, StageName};
use crate::plan::{Forced, Inputs, Node, Planner, Status};
use crate::runs::{Digester, Layout, Record, link_to};

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
    /// The last stage to be done; all where `None`.
    pub until: Option<StageName>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every stage that was looked at, in order.
    pub stages: Vec<StageOutcome>,
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
    /// Stages to be done, in order: all, or those up to `until`.
    pub fn selected(&self) -> Vec<&Node> {
        let Some(until) = self.until else {
            return self.nodes.iter().collect();
        };
        let end = self.nodes.iter().position(|node| node.stage == until);
        self.nodes
            .iter()
            .take(end.map_or(0, |end| end + 1))
            .collect()
    }

    /// Does what is not up to date. Each stage is planned when those before it are done:
    /// only then is known what they left.
    ///
    /// # Errors
    /// The first stage that fails ends the run; what was finished stays.
    pub fn run(
        &self,
        kernel: &Kernel,
        digester: &mut Digester,
        interrupts: &Interrupts,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, StageError> {
        let clock = Instant::now();
        let mut outcome = Outcome::default();
        let mut done = BTreeMap::new();
        let mut planner = Planner {
            experiment: self.experiment,
            inputs: self.inputs,
            layout: self.layout,
            forced: self.forced,
            digester,
        };
        for node in self.selected() {
            if interrupts.asked().load(Ordering::SeqCst) {
                return Err(StageError::Interrupted {
                    stage: None,
                    step: None,
                });
            }
            let stage = node.stage;
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
                    let result = result?;
                    saved?;
                    self.forced.mark(&result.0.fingerprint);
                    result
                }
                // Every stage before this one is done, so its key is known.
                (_, None) => continue,
            };
            let store = self.layout.store(stage.as_str(), &record.fingerprint);
            let link = self.layout.link(&self.experiment.name, stage.as_str());
            link_to(&store, &link)?;
            if stage == StageName::Eval {
                write_results(self.experiment, self.layout, &record)?;
            }
            done.insert(stage, record.clone());
            outcome.stages.push(StageOutcome { stage, ran, record });
        }
        planner.digester.save()?;
        outcome.elapsed = clock.elapsed();
        Ok(outcome)
    }
}
