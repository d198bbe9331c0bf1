//! Which stage of several experiments runs next.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Outcome, StageError, StageOutcome};
use crate::experiment::StageName;
use crate::plan::{Done, Node};
use crate::runs::{Fingerprint, Record};

/// The stages of a run, by experiment.
pub(super) struct Queue<'a> {
    tracks: Vec<Track<'a>>,
    /// Results that are being made.
    making: BTreeSet<Fingerprint>,
    running: usize,
    /// The first failure: nothing new begins, what runs is waited for.
    error: Option<StageError>,
    /// A worker panicked: what it ran will never end.
    is_abandoned: bool,
}

/// One experiment of the run.
struct Track<'a> {
    nodes: Vec<&'a Node>,
    standing: Vec<Standing>,
    done: Done,
    began: Option<Instant>,
    outcome: Outcome,
    is_reported: bool,
}

/// Where a stage of the run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Todo,
    /// Another experiment's stage with the same result is running.
    Behind(Fingerprint),
    Running,
    Ended,
}

/// A stage to run.
pub(super) struct Task<'a> {
    pub(super) track: usize,
    place: usize,
    pub(super) node: &'a Node,
    /// Records of the stages before it.
    pub(super) done: Done,
    /// Whether it is the first of its experiment.
    pub(super) is_first: bool,
}

/// How a stage ended that does not end the run.
pub(super) enum Ended {
    /// Its record, and whether it was run.
    Done(Box<Record>, bool),
    /// Another experiment is making its result.
    Behind(Fingerprint),
    /// It failed and was reported.
    Failed,
}

/// What a worker does next.
pub(super) enum Next {
    Stage { track: usize, place: usize },
    Wait,
    Nothing,
}

impl<'a> Queue<'a> {
    /// The stages to run of each experiment, and the records of those that are not to be run.
    pub(super) fn new(tracks: impl Iterator<Item = (Vec<&'a Node>, Done)>) -> Self {
        let tracks = tracks.map(|(nodes, done)| Track {
            standing: vec![Standing::Todo; nodes.len()],
            nodes,
            done,
            began: None,
            outcome: Outcome::default(),
            is_reported: false,
        });
        Self {
            tracks: tracks.collect(),
            making: BTreeSet::new(),
            running: 0,
            error: None,
            is_abandoned: false,
        }
    }

    /// The first stage in the order of the experiments that can begin.
    pub(super) fn next(&self) -> Next {
        let mut tracks = self.tracks.iter().enumerate();
        let ready = tracks.find_map(|(track, it)| Some((track, it.ready()?)));
        match ready {
            _ if self.is_abandoned => Next::Nothing,
            Some((track, place)) if self.error.is_none() => Next::Stage { track, place },
            _ if self.running > 0 => Next::Wait,
            _ => Next::Nothing,
        }
    }

    pub(super) fn begin(&mut self, track: usize, place: usize) -> Task<'a> {
        self.running += 1;
        let found = &mut self.tracks[track];
        found.standing[place] = Standing::Running;
        let is_first = found.began.is_none();
        found.began.get_or_insert_with(Instant::now);
        Task {
            track,
            place,
            node: found.nodes[place],
            done: found.done.clone(),
            is_first,
        }
    }

    pub(super) fn end(&mut self, task: &Task<'_>, ended: Result<Ended, StageError>) {
        self.running -= 1;
        let stage = task.node.stage.clone();
        let track = &mut self.tracks[task.track];
        let mut standing = Standing::Ended;
        match ended {
            Ok(Ended::Done(record, ran)) => track.add(stage, *record, ran),
            Ok(Ended::Failed) => {
                track.outcome.failed.push(stage);
                track.leave_out();
            }
            // It may have been made between the look and this.
            Ok(Ended::Behind(fingerprint)) if self.making.contains(&fingerprint) => {
                standing = Standing::Behind(fingerprint);
            }
            Ok(Ended::Behind(_)) => standing = Standing::Todo,
            Err(error) => self.fail(error),
        }
        self.tracks[task.track].standing[task.place] = standing;
    }

    /// Ends the run. The first failure is reported; an interruption of the others is no news.
    pub(super) fn fail(&mut self, error: StageError) {
        self.error.get_or_insert(error);
    }

    /// Ends the run without waiting for what runs.
    pub(super) fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    /// Takes a result into work; `false` where somebody is making it.
    pub(super) fn claim(&mut self, fingerprint: &Fingerprint) -> bool {
        self.making.insert(fingerprint.clone())
    }

    /// A result is there, or will not be: whoever waits for it plans again.
    pub(super) fn release(&mut self, fingerprint: &Fingerprint) {
        self.making.remove(fingerprint);
        for standing in self.tracks.iter_mut().flat_map(|track| &mut track.standing) {
            if matches!(standing, Standing::Behind(other) if other == fingerprint) {
                *standing = Standing::Todo;
            }
        }
    }

    /// Reports experiments whose last stage has ended, in their order.
    pub(super) fn report_finished(
        &mut self,
        report: impl Fn(usize, &Outcome) -> Result<(), StageError>,
    ) {
        for (place, track) in self.tracks.iter_mut().enumerate() {
            let is_ended = track.standing.iter().all(|it| *it == Standing::Ended);
            if self.error.is_some() || track.is_reported || !is_ended {
                continue;
            }
            track.is_reported = true;
            track.outcome.elapsed = track.began.map(|began| began.elapsed()).unwrap_or_default();
            self.error = report(place, &track.outcome).err();
        }
    }

    /// What each experiment came to.
    pub(super) fn outcomes(self) -> Result<Vec<Outcome>, StageError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.tracks.into_iter().map(|it| it.outcome).collect()),
        }
    }
}

impl Track<'_> {
    /// Its first stage that can begin.
    fn ready(&self) -> Option<usize> {
        let is_ended = |name: &StageName| {
            let place = self.nodes.iter().position(|node| node.stage == *name);
            place.is_none_or(|place| self.standing[place] == Standing::Ended)
        };
        let mut stages = self.nodes.iter().zip(&self.standing);
        stages.position(|(node, standing)| {
            *standing == Standing::Todo && node.after.iter().all(is_ended)
        })
    }

    fn add(&mut self, stage: StageName, record: Record, ran: bool) {
        self.done.insert(stage.clone(), record.clone());
        let place = |stage: &StageName| self.nodes.iter().position(|node| node.stage == *stage);
        let stages = &mut self.outcome.stages;
        stages.push(StageOutcome { stage, ran, record });
        stages.sort_by_key(|outcome| place(&outcome.stage));
    }

    /// Ends the stages that depend on one that failed.
    fn leave_out(&mut self) {
        for (place, node) in self.nodes.iter().enumerate() {
            let outcome = &self.outcome;
            let mut lost = outcome.failed.iter().chain(&outcome.left_out);
            if self.standing[place] == Standing::Todo
                && lost.any(|stage| node.after.contains(stage))
            {
                self.standing[place] = Standing::Ended;
                self.outcome.left_out.push(node.stage.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::*;
    use crate::experiment::testing;
    use crate::plan::graph;
    use crate::runs::{FORMAT, Key, Summary};

    fn nodes() -> Vec<Node> {
        graph(&testing::read(&testing::pipeline()))
    }

    /// A queue of experiments that are all alike.
    fn queue(nodes: &[Node], experiments: usize) -> Queue<'_> {
        let tracks = (0..experiments).map(|_| (nodes.iter().collect(), Done::new()));
        Queue::new(tracks)
    }

    fn key(kind: &str) -> Key {
        Key {
            kind: kind.to_owned(),
            semantics: 1,
            settings: BTreeMap::new(),
            inputs: BTreeMap::new(),
            upstream: BTreeMap::new(),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what running a stage returns")]
    fn done(task: &Task<'_>) -> Result<Ended, StageError> {
        let key = key(task.node.kind);
        let record = Record {
            format: FORMAT,
            fingerprint: key.fingerprint(),
            key,
            artifacts: BTreeMap::new(),
            started: DateTime::UNIX_EPOCH,
            finished: DateTime::UNIX_EPOCH,
            seconds: 0.0,
            resumed_from: None,
            tinyrun: "0.1.0".to_owned(),
            machine: None,
            git: None,
            summary: Summary::default(),
            experiment: String::new(),
        };
        Ok(Ended::Done(Box::new(record), true))
    }

    /// The next stage, begun.
    fn begin<'a>(queue: &mut Queue<'a>) -> Task<'a> {
        match queue.next() {
            Next::Stage { track, place } => queue.begin(track, place),
            Next::Wait => panic!("it waits"),
            Next::Nothing => panic!("nothing is left"),
        }
    }

    fn name<'a>(task: &Task<'a>) -> &'a str {
        task.node.stage.as_str()
    }

    #[test]
    fn one_worker_does_one_experiment_after_the_other_and_reports_each_when_it_ends() {
        let nodes = nodes();
        let mut queue = queue(&nodes, 2);
        let happened = RefCell::new(Vec::new());
        loop {
            queue.report_finished(|place, outcome| {
                let ran = outcome.count_ran();
                happened.borrow_mut().push(format!("{place} ran {ran}"));
                Ok(())
            });
            let Next::Stage { track, place } = queue.next() else {
                break;
            };
            let task = queue.begin(track, place);
            assert_eq!(task.is_first, place == 0);
            happened
                .borrow_mut()
                .push(format!("{track} {}", name(&task)));
            let ended = done(&task);
            queue.end(&task, ended);
        }
        let mut expected = Vec::new();
        for track in 0..2 {
            expected.extend(nodes.iter().map(|node| format!("{track} {}", node.stage)));
            expected.push(format!("{track} ran {}", nodes.len()));
        }
        assert_eq!(happened.into_inner(), expected);
        let outcomes = queue.outcomes().expect("no failure");
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.stages.len() == nodes.len())
        );
    }

    #[test]
    fn a_stage_begins_when_those_that_it_depends_on_have_ended() {
        let nodes = nodes();
        let mut queue = queue(&nodes, 1);
        let (data, corpus) = (begin(&mut queue), begin(&mut queue));
        assert_eq!([name(&data), name(&corpus)], ["data-prep", "corpus-prep"]);
        assert!(matches!(queue.next(), Next::Wait));
        queue.end(&corpus, done(&corpus));
        let general = begin(&mut queue);
        assert_eq!(name(&general), "general-distill");
        assert!(matches!(queue.next(), Next::Wait));
        queue.end(&data, done(&data));
        let finetune = begin(&mut queue);
        assert_eq!(name(&finetune), "finetune");
        // What the other worker began meanwhile is in its records.
        assert!(finetune.done.contains_key("corpus-prep"));
    }

    #[test]
    fn a_result_that_another_experiment_makes_is_waited_for() {
        let nodes = nodes();
        let mut queue = queue(&nodes[..1], 2);
        let fingerprint = key(nodes[0].kind).fingerprint();
        let (first, second) = (begin(&mut queue), begin(&mut queue));
        assert!(queue.claim(&fingerprint));
        assert!(!queue.claim(&fingerprint));
        queue.end(&second, Ok(Ended::Behind(fingerprint.clone())));
        assert!(matches!(queue.next(), Next::Wait));
        queue.release(&fingerprint);
        queue.end(&first, done(&first));
        let again = begin(&mut queue);
        assert_eq!(again.track, 1);
        // It was released before the one behind it had come back.
        queue.end(&again, Ok(Ended::Behind(fingerprint)));
        assert_eq!(begin(&mut queue).track, 1);
    }

    #[test]
    fn what_depends_on_a_failed_stage_is_left_out_and_the_rest_goes_on() {
        let nodes = nodes();
        let mut queue = queue(&nodes, 1);
        while let Next::Stage { track, place } = queue.next() {
            let task = queue.begin(track, place);
            let ended = match task.node.kind {
                "finetune" => Ok(Ended::Failed),
                _ => done(&task),
            };
            queue.end(&task, ended);
        }
        let outcomes = queue.outcomes().expect("the run went on");
        let ran = outcomes[0].stages.iter().map(|found| found.stage.as_str());
        let ran: Vec<&str> = ran.collect();
        assert_eq!(ran, ["data-prep", "corpus-prep", "general-distill"]);
        assert_eq!(outcomes[0].failed, ["finetune"]);
        assert_eq!(outcomes[0].left_out, ["td-phase1", "td-phase2", "eval"]);
    }

    #[test]
    fn after_a_failure_nothing_begins_and_what_runs_is_waited_for() {
        let nodes = nodes();
        let mut queue = queue(&nodes, 2);
        let (first, second) = (begin(&mut queue), begin(&mut queue));
        let failure = |file: &str| StageError::Incomplete {
            stage: StageName::new("data-prep"),
            file: file.to_owned(),
        };
        queue.end(&first, Err(failure("first")));
        assert!(matches!(queue.next(), Next::Wait));
        queue.end(&second, Err(failure("second")));
        assert!(matches!(queue.next(), Next::Nothing));
        queue.report_finished(|_, _| panic!("no experiment is finished"));
        let error = queue.outcomes().expect_err("it failed");
        assert!(error.to_string().contains("`first`"), "{error}");
    }

    #[test]
    fn a_stage_whose_worker_panicked_is_not_waited_for() {
        let nodes = nodes();
        let mut queue = queue(&nodes, 2);
        begin(&mut queue);
        queue.abandon();
        assert!(matches!(queue.next(), Next::Nothing));
    }
}
