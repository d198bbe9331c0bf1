//! The goals of the experiment file against what eval found.

use crate::experiment::Experiment;
use crate::runs::Scored;

use super::Outcome;

/// A goal and what was reached.
#[derive(Debug, Clone, PartialEq)]
pub struct GoalResult {
    /// As in the file: `sst-2.accuracy`.
    pub name: String,
    /// The least that is wanted.
    pub at_least: f64,
    /// The student's score; `None` where it has none of this name.
    pub found: Option<f64>,
    /// Right answers.
    pub correct: u64,
    /// Examples.
    pub total: u64,
}

impl GoalResult {
    /// Whether it was reached.
    pub fn is_reached(&self) -> bool {
        self.found.is_some_and(|found| found >= self.at_least)
    }
}

/// Every goal of the experiment, where this run came as far as the last stage that scores the student.
pub fn goals(experiment: &Experiment, outcome: &Outcome) -> Vec<GoalResult> {
    let scoring = experiment.final_scoring();
    let Some(record) = scoring.and_then(|stage| outcome.record_of(stage)) else {
        return Vec::new();
    };
    let mut models = record.summary.scored.iter();
    let student: Option<&Scored> =
        models.find(|model| model.model == "student" && model.split == "dev");
    let goals = experiment.goals.iter().map(|goal| GoalResult {
        name: goal.name.clone(),
        at_least: goal.at_least,
        found: student.and_then(|student| student.scores.get(&goal.metric).copied()),
        correct: student.map_or(0, |student| student.correct),
        total: student.map_or(0, |student| student.total),
    });
    goals.collect()
}
