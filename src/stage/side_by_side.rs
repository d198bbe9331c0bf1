//! Stages of one or several experiments, several at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::execute::{Hands, execute};
use super::pipeline::settle;
use super::{
    Done, Interrupts, Kernel, Notice, Observer, Outcome, Pipeline, StageError, StageOutcome,
};
use crate::experiment::StageName;
use crate::plan::{Node, Planner, Status};
use crate::runs::{Digester, Fingerprint, Record};

/// How often a worker that has nothing to do looks whether the user wants to stop.
const TICK: Duration = Duration::from_millis(200);

/// What running side by side takes beside the pipelines.
pub struct SideBySide<'a> {
    /// Stages at a time.
    pub jobs: usize,
    /// The kernel program.
    pub kernel: &'a Kernel,
    /// Wishes to stop.
    pub interrupts: &'a Interrupts,
    /// Who is told what happens in the experiment at a place.
    pub observer: &'a (dyn Fn(usize) -> Box<dyn Observer> + Sync),
    /// Called when the experiment at a place is done, from whichever thread did its last stage.
    pub finished: &'a (dyn Fn(usize, &Outcome) -> Result<(), StageError> + Sync),
}

impl std::fmt::Debug for SideBySide<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SideBySide")
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// Where a stage of the run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Todo,
    /// Another experiment's stage with the same result is being done.
    Behind(Fingerprint),
    Running,
    Ended,
}

/// One experiment of the run.
struct Track<'a> {
    nodes: Vec<&'a Node>,
    standing: Vec<Standing>,
    done: Done,
    outcome: Outcome,
}

struct State<'a> {
    tracks: Vec<Track<'a>>,
    /// Results that are being made.
    making: BTreeSet<Fingerprint>,
    running: usize,
    /// The first failure: nothing new is begun, what runs is waited for.
    error: Option<StageError>,
}

/// What a worker does next.
enum Next {
    Stage { track: usize, place: usize },
    Wait,
    Nothing,
}

/// Does what is not up to date in every pipeline, up to `jobs` stages at a time. A stage begins when those it
/// takes something from are done; one whose result another is making waits for that one. Outcomes are
/// in the order of the pipelines.
///
/// # Errors
/// The first stage that fails: no other is begun after it, unless the pipeline keeps going.
pub fn run_side_by_side(
    pipelines: &[Pipeline<'_>],
    how: &SideBySide<'_>,
) -> Result<Vec<Outcome>, StageError> {
    let clock = Instant::now();
    let _held = how.interrupts.hold();
    let mut tracks = Vec::new();
    for pipeline in pipelines {
        let mut digester = digester_of(pipeline);
        let mut planner = planner_of(pipeline, &mut digester);
        let done = pipeline.fresh_before(&mut planner)?;
        let nodes = pipeline.selected();
        tracks.push(Track {
            standing: vec![Standing::Todo; nodes.len()],
            nodes,
            done,
            outcome: Outcome::default(),
        });
    }
    let state = Mutex::new(State {
        tracks,
        making: BTreeSet::new(),
        running: 0,
        error: None,
    });
    let changed = Condvar::new();
    thread::scope(|scope| {
        for _ in 0..how.jobs.max(1) {
            scope.spawn(|| work(pipelines, how, &state, &changed));
        }
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.error {
        return Err(error);
    }
    let outcomes = state.tracks.into_iter().map(|track| Outcome {
        elapsed: clock.elapsed(),
        ..track.outcome
    });
    Ok(outcomes.collect())
}

/// One worker: a stage after the other until there is none left.
fn work(
    pipelines: &[Pipeline<'_>],
    how: &SideBySide<'_>,
    state: &Mutex<State<'_>>,
    changed: &Condvar,
) {
    loop {
        let mut guard = lock(state);
        if how.interrupts.asked().load(Ordering::SeqCst) && guard.error.is_none() {
            guard.error = Some(StageError::Interrupted {
                stage: None,
                step: None,
            });
        }
        let (track, place) = match guard.next() {
            Next::Stage { track, place } => (track, place),
            Next::Wait => {
                // Woken early is no harm: it looks again.
                drop(changed.wait_timeout(guard, TICK));
                continue;
            }
            Next::Nothing => {
                changed.notify_all();
                return;
            }
        };
        guard.tracks[track].standing[place] = Standing::Running;
        guard.running += 1;
        let done = guard.tracks[track].done.clone();
        let node = guard.tracks[track].nodes[place];
        drop(guard);
        let ended = one(&pipelines[track], track, node, &done, how, state);
        let mut guard = lock(state);
        guard.running -= 1;
        guard.end(track, place, ended, pipelines[track].keep_going);
        let is_last = guard.tracks[track]
            .standing
            .iter()
            .all(|standing| *standing == Standing::Ended);
        if is_last && guard.error.is_none() {
            let outcome = std::mem::take(&mut guard.tracks[track].outcome);
            let told = (how.finished)(track, &outcome);
            guard.tracks[track].outcome = outcome;
            if let Err(error) = told {
                guard.error = Some(error);
            }
        }
        drop(guard);
        changed.notify_all();
    }
}

/// How a stage ended.
enum Ended {
    Done(Box<Record>, bool),
    /// Its result is being made for another experiment.
    Behind(Fingerprint),
    Failed(StageError),
}

/// Plans and does one stage.
fn one(
    pipeline: &Pipeline<'_>,
    track: usize,
    node: &Node,
    done: &BTreeMap<StageName, Record>,
    how: &SideBySide<'_>,
    shared: &Mutex<State<'_>>,
) -> Ended {
    let stage = node.stage;
    let mut digester = digester_of(pipeline);
    let mut planner = planner_of(pipeline, &mut digester);
    let plan = match planner.plan(node, done) {
        Ok(plan) => plan,
        Err(error) => return Ended::Failed(error.into()),
    };
    let mut observer = (how.observer)(track);
    let result = match (&plan.status, &plan.key) {
        (Status::Fresh(record), _) => {
            observer.notice(&Notice::Fresh { stage });
            Ok(((**record).clone(), false))
        }
        (_, Some(key)) => {
            let fingerprint = key.fingerprint();
            if !lock(shared).making.insert(fingerprint.clone()) {
                return Ended::Behind(fingerprint);
            }
            let mut hands = Hands {
                kernel: how.kernel,
                interrupts: how.interrupts,
                observer: &mut *observer,
            };
            let result = execute(node, &plan, key, done, &mut planner, &mut hands);
            let saved = planner.digester.save();
            lock(shared).made(&fingerprint);
            result.and_then(|result| {
                saved?;
                pipeline.forced.mark(&result.0.fingerprint);
                Ok(result)
            })
        }
        (_, None) => {
            let after = node.after().into_iter();
            let needs = after.filter(|name| !done.contains_key(name)).collect();
            Err(StageError::NotReady { stage, needs })
        }
    };
    match result {
        Ok((record, ran)) => match settle(pipeline, stage, &record, &mut *observer) {
            Ok(()) => Ended::Done(Box::new(record), ran),
            Err(error) => Ended::Failed(error),
        },
        Err(error) => {
            if pipeline.keep_going && error.exit_code() == 1 {
                observer.notice(&Notice::Failed {
                    stage,
                    error: &error,
                });
            }
            Ended::Failed(error)
        }
    }
}

impl State<'_> {
    /// The first stage in the order of the experiments that can begin.
    fn next(&mut self) -> Next {
        if self.error.is_some() {
            return if self.running > 0 {
                Next::Wait
            } else {
                Next::Nothing
            };
        }
        for (index, track) in self.tracks.iter_mut().enumerate() {
            track.leave_out();
            for (place, node) in track.nodes.iter().enumerate() {
                let is_ready = |name: &StageName| {
                    let other = track.nodes.iter().position(|other| other.stage == *name);
                    other.is_none_or(|other| track.standing[other] == Standing::Ended)
                };
                if track.standing[place] == Standing::Todo && node.after().iter().all(is_ready) {
                    return Next::Stage {
                        track: index,
                        place,
                    };
                }
            }
        }
        let mut all = self.tracks.iter().flat_map(|track| &track.standing);
        if all.all(|standing| *standing == Standing::Ended) {
            Next::Nothing
        } else {
            Next::Wait
        }
    }

    /// A result is there, or will not be: whoever waits for it looks again.
    fn made(&mut self, fingerprint: &Fingerprint) {
        self.making.remove(fingerprint);
        for standing in self.tracks.iter_mut().flat_map(|track| &mut track.standing) {
            if matches!(standing, Standing::Behind(other) if other == fingerprint) {
                *standing = Standing::Todo;
            }
        }
    }

    fn end(&mut self, track: usize, place: usize, ended: Ended, keep_going: bool) {
        let stage = self.tracks[track].nodes[place].stage;
        match ended {
            Ended::Behind(fingerprint) => {
                // It may have been made between the look and this.
                let standing = if self.making.contains(&fingerprint) {
                    Standing::Behind(fingerprint)
                } else {
                    Standing::Todo
                };
                self.tracks[track].standing[place] = standing;
                return;
            }
            Ended::Done(record, ran) => {
                let track = &mut self.tracks[track];
                track.done.insert(stage, (*record).clone());
                let record = *record;
                track
                    .outcome
                    .stages
                    .push(StageOutcome { stage, ran, record });
                track.outcome.stages.sort_by_key(|stage| stage.stage);
            }
            Ended::Failed(error) if keep_going && error.exit_code() == 1 => {
                self.tracks[track].outcome.failed.push(stage);
            }
            Ended::Failed(error) => {
                // The first is told; an interruption of the others is no news.
                self.error.get_or_insert(error);
            }
        }
        let track = &mut self.tracks[track];
        track.standing[place] = Standing::Ended;
        track.leave_out();
    }
}

impl Track<'_> {
    /// Ends the stages that wait for one that failed.
    fn leave_out(&mut self) {
        for (place, node) in self.nodes.iter().enumerate() {
            let after = node.after();
            let outcome = &self.outcome;
            let mut lost = outcome.failed.iter().chain(&outcome.left_out);
            if self.standing[place] == Standing::Todo && lost.any(|stage| after.contains(stage)) {
                self.standing[place] = Standing::Ended;
                self.outcome.left_out.push(node.stage);
            }
        }
    }
}

fn lock<'a, 'b>(state: &'a Mutex<State<'b>>) -> MutexGuard<'a, State<'b>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digester_of(pipeline: &Pipeline<'_>) -> Digester {
    let layout = pipeline.layout;
    Digester::open(layout.digests(), layout.root().to_owned())
}

fn planner_of<'a>(pipeline: &Pipeline<'a>, digester: &'a mut Digester) -> Planner<'a> {
    Planner {
        experiment: pipeline.experiment,
        inputs: pipeline.inputs,
        layout: pipeline.layout,
        forced: pipeline.forced,
        digester,
    }
}
