//! Keys about unlabelled text that do not go together, and what a stage takes of it.

use super::distill::Prediction;
use super::stage::Stage;
use super::task::Task;
use super::top::Experiment;
use super::unlabelled::UnlabelledUse;
use crate::document::{Collector, Fault};
use crate::job::{RegressionTarget, Unlabelled};

impl UnlabelledUse {
    /// What a stage takes of the task's unlabelled text; `None` where it takes none.
    pub(crate) fn of_stage(task: &Task, stage: &Stage) -> Option<Unlabelled> {
        let own: &Self = stage.get()?;
        own.told(task)
    }
}

/// A weight of labels, which such texts lack.
fn check_weights(experiment: &Experiment, faults: &Collector) {
    for (stage, prediction) in experiment.stages.with::<Prediction>() {
        let takes_text = UnlabelledUse::of_stage(&experiment.task, stage).is_some();
        let of_labels = if experiment.task.regression {
            (prediction.regression_target == RegressionTarget::Labels)
                .then(|| ("regression-target", "`labels`".to_owned(), "`teacher`"))
        } else {
            let weight = prediction.hard_label_weight;
            (weight > 0.0).then(|| ("hard-label-weight", weight.to_string(), "0"))
        };
        let Some((key, value, other)) = of_labels.filter(|_| takes_text) else {
            continue;
        };
        let message = format!(
            "`{key}` in `[stages.{}]` is {value}, but the texts of `unlabelled` have no label",
            stage.name
        );
        let span = experiment
            .task
            .unlabelled
            .as_ref()
            .and_then(|it| it.span.clone());
        let hint = format!("set it to {other}, or `unlabelled-limit = 0` in that stage");
        faults.unfit(Fault::new(message, span).with_hint(Some(hint)));
    }
}

/// Keys about unlabelled text where there is none, or where it cannot be.
pub(super) fn check(experiment: &Experiment, faults: &Collector) {
    let task = &experiment.task;
    if let Some(unlabelled) = &task.unlabelled {
        let fault = |message: &str| Fault::new(message.to_owned(), unlabelled.span.clone());
        if unlabelled.is_empty() {
            faults.unfit(fault("`unlabelled` in `[task]` is an empty list"));
        } else if !task.is_table() {
            faults.unfit(fault(
                "`unlabelled` in `[task]` needs tables, the data are records",
            ));
        }
    }
    check_weights(experiment, faults);
    for (stage, own) in experiment.stages.with::<UnlabelledUse>() {
        let keys = [
            (
                "unlabelled-limit",
                own.unlabelled_limit.as_ref().map(|it| &it.span),
            ),
            (
                "unlabelled-share",
                own.unlabelled_share.as_ref().map(|it| &it.span),
            ),
        ];
        for (key, span) in keys {
            let Some(span) = span.filter(|_| task.unlabelled.is_none()) else {
                continue;
            };
            if faults.sound(&["task.unlabelled"]) {
                let message = format!(
                    "`{key}` in `[stages.{}]` needs `unlabelled` in `[task]`",
                    stage.name
                );
                let hint = "name the files with the texts there, or remove the key";
                faults.unfit(Fault::new(message, span.clone()).with_hint(Some(hint.to_owned())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, pipeline, read_with};
    use super::*;
    use crate::data::UNLABELLED_STORE;
    use crate::experiment::Wants;

    const FILES: &str = "task.unlabelled=[\"more.txt\"]";

    /// The artifact that a stage trains on.
    fn trained_on(stage: &str, sets: &[&str]) -> &'static str {
        let experiment = read_with(&pipeline(), sets).unwrap();
        let stage = experiment.stages.get(stage).unwrap();
        let ports = stage.ports(&experiment.task);
        let train = ports.iter().find(|port| port.role == "train").unwrap();
        match train.wants {
            Wants::Rows(name) => name,
            _ => panic!("no rows"),
        }
    }

    #[test]
    fn both_phases_take_unlabelled_text_and_fine_tuning_does_not() {
        for stage in ["td-phase1", "td-phase2"] {
            assert_eq!(trained_on(stage, &[]), "train");
            assert_eq!(trained_on(stage, &[FILES]), UNLABELLED_STORE);
            let none = format!("stages.{stage}.unlabelled-limit=0");
            assert_eq!(trained_on(stage, &[FILES, &none]), "train");
        }
        assert_eq!(trained_on("finetune", &[FILES]), "train");
    }

    #[test]
    fn what_an_epoch_takes_follows_share_and_limit() {
        let of = |limit, share| Unlabelled { limit, share };
        assert_eq!(of(None, None).each_epoch(100, 700), 700);
        assert_eq!(of(Some(50), None).each_epoch(100, 700), 50);
        assert_eq!(of(None, Some(0.5)).each_epoch(100, 700), 100);
        assert_eq!(of(None, Some(0.75)).each_epoch(100, 700), 300);
        assert_eq!(of(Some(20), Some(0.5)).each_epoch(100, 700), 20);
        assert_eq!(of(None, Some(0.5)).each_epoch(100, 0), 0);
        assert_eq!(of(None, Some(0.5)).in_all(100, 700, 3), 300);
        assert_eq!(of(None, Some(0.5)).in_all(100, 250, 3), 250);
    }

    #[test]
    fn keys_that_do_not_go_with_unlabelled_text_are_refused() {
        let found = |sets: &[&str]| faults(&pipeline(), sets);
        assert_eq!(
            found(&["stages.td-phase1.unlabelled-share=0.5"]),
            [
                "--set:1:35: `unlabelled-share` in `[stages.td-phase1]` needs `unlabelled` in `[task]`"
            ]
        );
        assert_eq!(
            found(&["task.unlabelled=[]"]),
            ["--set:1:17: `unlabelled` in `[task]` is an empty list"]
        );
        let weighed = [FILES, "stages.td-phase2.hard-label-weight=0.5"];
        assert_eq!(
            found(&weighed),
            [
                "--set:1:17: `hard-label-weight` in `[stages.td-phase2]` is 0.5, but the texts of `unlabelled` have no label"
            ]
        );
        let regression = [
            FILES,
            "task.regression=true",
            "stages.td-phase2.regression-target=labels",
        ];
        assert_eq!(
            found(&regression),
            [
                "--set:1:17: `regression-target` in `[stages.td-phase2]` is `labels`, but the texts of `unlabelled` have no label"
            ]
        );
        let without = "stages.td-phase2.unlabelled-limit=0";
        assert!(read_with(&pipeline(), &[&weighed[..], &[without]].concat()).is_ok());
    }
}
