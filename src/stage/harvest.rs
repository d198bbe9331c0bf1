//! What a kernel's events leave in the record.

use crate::job::Event;
use crate::runs::{Machine, Scored, Summary};

/// What came of a stage's work, before it is recorded.
#[derive(Default)]
pub(super) struct Harvest {
    /// Whether the model handed on is the best on dev, and not the last.
    pub(super) keep_best: bool,
    pub(super) summary: Summary,
    pub(super) machine: Option<Machine>,
    pub(super) resumed_from: Option<u64>,
}

impl Harvest {
    /// Takes what the record keeps from an event.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Started {
                device,
                precision,
                threads,
                ranks,
                libtorch,
                total_steps: _,
                step,
                parameters,
            } => {
                self.machine = Some(Machine {
                    device: device.clone(),
                    precision: precision.clone(),
                    threads: *threads,
                    ranks: ranks.clone(),
                    libtorch: libtorch.clone(),
                    peak_memory: 0,
                });
                self.resumed_from = (*step > 0).then_some(*step);
                self.summary.parameters = (*parameters > 0).then_some(*parameters);
            }
            Event::Evaluated { scores, best, .. } => {
                if *best || !self.keep_best {
                    self.summary.scores.clone_from(scores);
                }
            }
            Event::Scored {
                model,
                split,
                scores,
                correct,
                total,
                parameters,
                size_bytes,
                examples_per_second,
            } => self.summary.scored.push(Scored {
                model: model.clone(),
                split: split.clone(),
                scores: scores.clone(),
                correct: *correct,
                total: *total,
                parameters: *parameters,
                size_bytes: *size_bytes,
                examples_per_second: *examples_per_second,
            }),
            Event::Done { steps, peak_memory } => {
                self.summary.steps = Some(*steps);
                if let Some(machine) = &mut self.machine {
                    machine.peak_memory = *peak_memory;
                }
            }
            Event::TeacherScored { teacher, scores } => {
                let found = &mut self.summary.teachers;
                found.insert(teacher.clone(), scores.clone());
            }
            Event::Asking { .. }
            | Event::Step(_)
            | Event::Checkpoint { .. }
            | Event::Warning { .. }
            | Event::Interrupted { .. }
            | Event::Logits { .. }
            | Event::Failed(_) => {}
        }
    }
}
