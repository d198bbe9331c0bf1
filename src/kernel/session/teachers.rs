//! The teachers of a training run: checked before it begins, and their outputs cached where that is worth it.

use tinyrun_base::job::{Event, Objective};

use super::{Context, Session};
use crate::checkpoint::{Checkpoints, TeacherScores};
use crate::error::KernelError;
use crate::gate::{Verdict, check_teacher};
use crate::memory::{self, Asked, TeacherMemory};

impl Session<'_> {
    /// Caches what each teacher says of every row, where that is worth it and all of it fits; `false` where
    /// asked to stop on the way.
    pub(super) fn ask_teachers(&mut self, warnings: &mut Vec<String>) -> Result<bool, KernelError> {
        let Context {
            job,
            train,
            compute,
            reporter,
            stop,
            ranks,
        } = self.context;
        if let Some(path) = &train.predictions {
            let classes = train.student.labels.len().max(1);
            self.memories = vec![TeacherMemory::given(path, &self.data, classes)?];
            return Ok(true);
        }
        // What the steps before did: the two differ by rounding.
        let before = self.resumed_from.map(|_| self.state.remembers);
        let mut found = Vec::new();
        let teachers = train.teachers().zip(&self.trainee.teachers);
        let teachers = teachers.zip(&self.trainee.rows_of_teachers);
        for (place, ((cache, model), rows)) in teachers.enumerate() {
            let asked = memory::ask(
                (job, train),
                before,
                &self.data,
                memory::Source {
                    cache,
                    model,
                    rows: rows.as_ref(),
                    place,
                },
                (compute, self.trainee.layout),
                (reporter, stop, ranks),
            )?;
            match asked {
                Asked::Remembered(answers) => found.push(answers),
                // Then all of them run in every step: a run that resumes must do as this one.
                Asked::InEveryStep(warning) => {
                    warnings.extend(warning);
                    return Ok(true);
                }
                Asked::Interrupted => return Ok(false),
            }
        }
        if !found.is_empty() {
            self.memories = found;
            self.state.remembers = true;
            self.trainee.dismiss_teachers();
        }
        Ok(true)
    }
}

impl Context<'_> {
    /// The scores of several teachers by name, none where a checkpoint shows that they have passed; `None` where asked
    /// to stop on the way.
    pub(super) fn check_teachers_once(
        &self,
        checkpoints: &Checkpoints,
    ) -> Result<Option<TeacherScores>, KernelError> {
        let is_checked = self.ranks.first_does("looking for a checkpoint", || {
            Ok(checkpoints.newest_step().is_some())
        })?;
        if is_checked {
            return Ok(Some(TeacherScores::new()));
        }
        self.check_teachers()
    }

    /// Checks the teachers where the job says so: the scores of several by name; `None` where asked to stop on the
    /// way.
    fn check_teachers(&self) -> Result<Option<TeacherScores>, KernelError> {
        let train = self.train;
        let lenient = matches!(train.objective, Objective::Intermediate { .. });
        let mut found = TeacherScores::new();
        for (place, teacher) in train.teachers().enumerate() {
            let Some(gate) = &teacher.gate else {
                continue;
            };
            let (folder, head) = (&teacher.folder, teacher.head);
            let (compute, stop, ranks) = (self.compute, self.stop, self.ranks);
            let checked = check_teacher(gate, folder, head, lenient, compute, stop, ranks)?;
            match checked.verdict {
                Verdict::Passed => {}
                Verdict::Skipped(message) => self.reporter.send(&Event::Warning { message }),
                Verdict::Interrupted => return Ok(None),
            }
            let ensemble = train.ensemble.as_ref();
            if let Some(name) = ensemble.and_then(|ensemble| ensemble.names.get(place)) {
                let scored = TeacherScores::from([(name.clone(), checked.scores)]);
                self.tell_teachers(&scored);
                found.extend(scored);
            }
        }
        Ok(Some(found))
    }

    /// Reports the scores of teachers.
    pub(super) fn tell_teachers(&self, scores: &TeacherScores) {
        for (teacher, scores) in scores {
            self.reporter.send(&Event::TeacherScored {
                teacher: teacher.clone(),
                scores: scores.clone(),
            });
        }
    }
}
