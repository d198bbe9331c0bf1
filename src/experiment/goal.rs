//! Reading `[goal]`: scores that the student must reach.

use super::task::Task;
use crate::document::{Fault, Located, Section, alternatives, did_you_mean, float};

/// A score that the student must reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// As in the file: `sst-2.accuracy`.
    pub name: String,
    /// The score, as `results.csv` names it.
    pub metric: String,
    /// The least that is wanted.
    pub at_least: f64,
}

/// Scores that eval reports, as `results.csv` names them.
const METRICS: [&str; 3] = ["accuracy", "f1", "matthews_corr"];

/// The same of a regression.
const CORRELATIONS: [&str; 2] = ["pearson", "spearman"];

/// Reads `[goal]`, whose keys are `"<task>.<metric>"`.
pub(super) fn read_goals(goal: &Section<'_>, task: &Task) -> Vec<Located<Goal>> {
    let mut goals = Vec::new();
    for (key, entry) in goal.entries() {
        let name = task.name.as_str();
        let metric = key
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'));
        let metrics: &[&str] = if task.regression {
            &CORRELATIONS
        } else {
            &METRICS
        };
        let Some(metric) = metric.filter(|metric| metrics.contains(metric)) else {
            let known: Vec<String> = metrics
                .iter()
                .map(|metric| format!("{name}.{metric}"))
                .collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let fault = Fault::new(format!("unknown goal `{key}`"), entry.key.clone())
                .with_label(format!(
                    "expected {}, in quotes",
                    alternatives(known.iter().copied())
                ))
                .with_hint(did_you_mean(key, &known));
            goal.wrong(key, fault);
            continue;
        };
        let classes = task.labels.as_ref().map(|labels| labels.len());
        if METRICS[1..].contains(&metric) && classes.is_some_and(|classes| classes != 2) {
            let message = format!("`{metric}` requires two classes");
            let fault = Fault::new(message, entry.key.clone());
            goal.wrong(key, fault.with_label("the task has more"));
            continue;
        }
        let range = -1.0..=1.0;
        match float(&entry.node, &range) {
            Ok(at_least) => goals.push(Located {
                value: Goal {
                    name: key.to_owned(),
                    metric: metric.to_owned(),
                    at_least,
                },
                span: Some(entry.key.clone()),
            }),
            Err(refusal) => {
                let message = format!("{} {}", goal.name(key), refusal.predicate);
                let span = refusal.span.unwrap_or_else(|| entry.node.span.clone());
                goal.wrong(key, Fault::new(message, span).with_label(refusal.label));
            }
        }
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, faults, pipeline, read_with};

    #[test]
    fn a_goal_is_a_score_of_the_task_and_a_number() {
        let goals = |set: &str| {
            let experiment = read_with(&pipeline(), &[set]).unwrap();
            experiment.goals
        };
        let found = goals("goal={ \"custom.accuracy\" = 0.87 }");
        assert_eq!(found[0].metric, "accuracy");
        assert!((found[0].at_least - 0.87).abs() < f64::EPSILON);
        let refused = |goal: &str| faults(&pipeline(), &[&format!("goal={{ {goal} }}")]);
        assert_eq!(
            refused("\"custom.acuracy\" = 0.87"),
            ["--set:1:8: unknown goal `custom.acuracy`"]
        );
        assert_eq!(
            refused("\"custom.accuracy\" = 87"),
            ["--set:1:28: `custom.accuracy` in `[goal]` is out of range"]
        );
    }

    #[test]
    fn a_goal_that_nothing_scores_is_refused() {
        assert_eq!(
            faults(MINIMAL, &["goal={ \"custom.accuracy\" = 0.5 }"]),
            ["--set:1:8: no stage scores the student of goal `custom.accuracy`"]
        );
    }
}
