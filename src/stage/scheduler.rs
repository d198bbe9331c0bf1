//! Runs the stages of one or several experiments, up to `jobs` at a time.
//!
//! `queue.rs` decides which stage is next. With one job that is the order of the command line, and
//! all is done in the thread that calls [`Scheduler::run`].

use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::execute::{Hands, execute};
use super::experiment_folder::{link_result, write_resolved};
use super::queue::{Ended, Next, Queue, Task};
use super::work::Works;
use super::{Interrupts, Kernel, Notice, Observer, Outcome, StageError};
use crate::plan::{Pipeline, Status};
use crate::runs::Digester;

/// How experiments are run.
pub struct Scheduler<'a> {
    /// Stages at a time.
    pub jobs: usize,
    /// After a failure, continue with the stages that do not depend on it.
    pub keep_going: bool,
    /// What stages do.
    pub works: Works,
    /// The kernel program.
    pub kernel: &'a Kernel,
    /// Requests to stop.
    pub interrupts: &'a Interrupts,
    /// Who shows what happens.
    pub reporter: &'a dyn Reporter,
}

/// Shows what happens in several experiments, from whichever thread it happens in.
pub trait Reporter: Sync {
    /// An observer for one stage of the experiment at a place.
    fn observer(&self, place: usize) -> Box<dyn Observer + '_>;

    /// The last stage of the experiment at a place has ended.
    ///
    /// # Errors
    /// What it writes cannot be written: the run ends.
    fn finished(&self, place: usize, outcome: &Outcome) -> Result<(), StageError>;
}

/// A run in progress.
struct Run<'a> {
    scheduler: &'a Scheduler<'a>,
    pipelines: &'a [Pipeline<'a>],
    queue: Mutex<Queue<'a>>,
    /// A stage has ended.
    changed: Condvar,
}

impl Scheduler<'_> {
    /// Runs what is not fresh. A stage begins when those it depends on are done, and is planned
    /// then: only then is known what they left. One whose result another experiment is making
    /// waits for that. Outcomes are in the order of the pipelines.
    ///
    /// # Errors
    /// The first stage that fails, unless `keep_going`: none begins after it, and what is finished
    /// stays.
    pub fn run(&self, pipelines: &[Pipeline<'_>]) -> Result<Vec<Outcome>, StageError> {
        let Some(first) = pipelines.first() else {
            return Ok(Vec::new());
        };
        let mut digester = Digester::of(first.layout);
        let done = pipelines.iter();
        let done = done.map(|pipeline| pipeline.fresh_before(&mut digester));
        let done: Vec<_> = done.collect::<Result<_, _>>()?;
        let tracks = pipelines.iter().zip(done);
        let tracks = tracks.map(|(pipeline, done)| (pipeline.selected(), done));
        let run = Run {
            scheduler: self,
            pipelines,
            queue: Mutex::new(Queue::new(tracks)),
            changed: Condvar::new(),
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs {
                scope.spawn(|| run.work(None));
            }
            run.work(Some(digester));
        });
        let queue = run.queue.into_inner();
        queue.unwrap_or_else(PoisonError::into_inner).outcomes()
    }
}

impl<'a> Run<'a> {
    /// One worker: a stage after the other until there is none left.
    fn work(&self, mut digester: Option<Digester>) {
        let _guard = PanicGuard(self);
        while let Some(task) = self.next() {
            let layout = self.pipelines[task.track].layout;
            let digester = digester.get_or_insert_with(|| Digester::of(layout));
            let ended = self.run_stage(&task, digester);
            self.lock().end(&task, ended);
            self.changed.notify_all();
        }
        // What was learnt of the inputs is worth keeping, also where nothing ran.
        if let Some(Err(error)) = digester.as_mut().map(Digester::save) {
            self.lock().fail(error.into());
        }
    }

    /// Waits for a stage that can begin; `None` where none will.
    fn next(&self) -> Option<Task<'a>> {
        let mut queue = self.lock();
        loop {
            let reporter = self.scheduler.reporter;
            queue.report_finished(|place, outcome| reporter.finished(place, outcome));
            match queue.next() {
                Next::Stage { .. } if self.is_interrupted() => {
                    queue.fail(StageError::Interrupted {
                        stage: None,
                        step: None,
                    });
                }
                Next::Stage { track, place } => return Some(queue.begin(track, place)),
                Next::Wait => {
                    let woken = self.changed.wait(queue);
                    queue = woken.unwrap_or_else(PoisonError::into_inner);
                }
                Next::Nothing => {
                    self.changed.notify_all();
                    return None;
                }
            }
        }
    }

    /// Plans and runs one stage.
    fn run_stage(&self, task: &Task<'_>, digester: &mut Digester) -> Result<Ended, StageError> {
        let pipeline = &self.pipelines[task.track];
        let (node, stage) = (task.node, &task.node.stage);
        if task.is_first {
            write_resolved(pipeline.experiment, pipeline.layout)?;
        }
        let mut planner = pipeline.planner(digester);
        let plan = planner.plan(node, &task.done)?;
        let mut observer = self.scheduler.reporter.observer(task.track);
        let (record, ran) = match (&plan.status, &plan.key) {
            (Status::Fresh(record), _) => {
                observer.notice(&Notice::Fresh { stage });
                ((**record).clone(), false)
            }
            (_, Some(key)) => {
                let fingerprint = key.fingerprint();
                if !self.lock().claim(&fingerprint) {
                    return Ok(Ended::Behind(fingerprint));
                }
                let mut hands = Hands {
                    works: self.scheduler.works,
                    kernel: self.scheduler.kernel,
                    interrupts: self.scheduler.interrupts,
                    observer: &mut *observer,
                };
                let result = execute(node, &plan, key, &task.done, &mut planner, &mut hands);
                let saved = planner.digester.save();
                if let Ok((record, _)) = &result {
                    pipeline.forced.mark(&record.fingerprint);
                }
                self.lock().release(&fingerprint);
                match result {
                    Err(error) if self.scheduler.keep_going && error.exit_code() == 1 => {
                        let error = &error;
                        observer.notice(&Notice::Failed { stage, error });
                        return Ok(Ended::Failed);
                    }
                    result => {
                        let result = result?;
                        saved?;
                        result
                    }
                }
            }
            // Only stages that are not selected can be missing.
            (_, None) => {
                let needs = node.after.iter();
                let needs = needs.filter(|name| !task.done.contains_key(*name));
                let needs = needs.cloned().collect();
                let stage = stage.clone();
                return Err(StageError::NotReady { stage, needs });
            }
        };
        link_result(pipeline, node, &record, &mut *observer)?;
        Ok(Ended::Done(Box::new(record), ran))
    }

    fn is_interrupted(&self) -> bool {
        self.scheduler.interrupts.asked().load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Queue<'a>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the other workers end where this one panics; the panic then ends the program.
struct PanicGuard<'a, 'b>(&'a Run<'b>);

impl Drop for PanicGuard<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().abandon();
            self.0.changed.notify_all();
        }
    }
}
