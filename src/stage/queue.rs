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
mod tests;
