//! Whether the models that stages are given bring what the stages read of them: a classifier
//! of the task's classes, a projection that is to be kept.

use std::collections::BTreeMap;

use super::graph::Node;
use super::inputs::{ModelFolder, PROJECTION};
use crate::experiment::{Experiment, Fault, Located, Origin, StageName};

/// A model whose answers are read must have been taught to give some, and to as many
/// classes as the task has. Where the file does not say how many those are, the stage
/// finds out.
pub(super) fn check_classifiers(
    faults: &mut Vec<Fault>,
    experiment: &Experiment,
    nodes: &[Node],
    folders: &BTreeMap<String, ModelFolder>,
) {
    let task = &experiment.task;
    let classes = match &task.labels {
        // A regression has one output.
        None if task.regression => Some(1),
        labels => labels.as_ref().map(|labels| labels.len()),
    };
    for node in nodes {
        let stage = node.stage;
        let model = &experiment.teacher.model;
        let own = Located {
            value: Origin::Folder(model.value.clone()),
            span: model.span.clone(),
        };
        let read = match stage {
            StageName::Finetune => vec![("teacher", Some(own))],
            StageName::TdPhase2 | StageName::Eval => vec![
                ("teacher", experiment.teacher_of(stage)),
                ("student", experiment.student_of(stage)),
            ],
            _ => Vec::new(),
        };
        for (role, origin) in read {
            let Some(Located { value, span }) = origin else {
                continue;
            };
            // What is trained here gets a classifier where it has none.
            let trained =
                stage == StageName::Finetune || (stage == StageName::TdPhase2 && role == "student");
            let fault = match value {
                Origin::Stage(from @ (StageName::TdPhase1 | StageName::GeneralDistill))
                    if !trained =>
                {
                    no_classifier(role, stage, from.as_str(), "add `[stages.td-phase2]`")
                }
                Origin::Folder(folder) => {
                    let Some(found) = folders.get(&folder) else {
                        continue;
                    };
                    match (found.num_labels, classes) {
                        (None, _) if !trained => no_classifier(
                            role,
                            stage,
                            &folder,
                            "add `[stages.finetune]`, or use a fine-tuned model",
                        ),
                        (Some(found), Some(classes)) if found != classes => Fault::new(
                            format!(
                                "`{folder}`, the {role} of `{stage}`, has {found} classes, the task has {classes}"
                            ),
                            None,
                        )
                        .with_hint(
                            "use a model with the task's classes, or a model without a classifier for the stage that trains it"
                                .to_owned(),
                        ),
                        _ => continue,
                    }
                }
                _ => continue,
            };
            let fault = Fault { span, ..fault };
            // Phase 2 and eval read the same teacher: one fault is enough.
            if !faults.iter().any(|found| {
                found.span.is_some() && found.span == fault.span && found.hint == fault.hint
            }) {
                faults.push(fault);
            }
        }
    }
}

fn no_classifier(role: &str, stage: StageName, model: &str, hint: &str) -> Fault {
    let message = format!("`{model}`, the {role} of `{stage}`, has no classifier");
    Fault::new(message, None).with_hint(hint.to_owned())
}

/// A projection that is asked to be kept, and that nobody made.
pub(super) fn check_projections(
    faults: &mut Vec<Fault>,
    experiment: &Experiment,
    folders: &BTreeMap<String, ModelFolder>,
) {
    let stages = &experiment.stages;
    let general = stages.general_distill.as_ref().map(|it| &it.distill);
    let phase1 = stages.td_phase1.as_ref().map(|it| &it.distill);
    let of = |stage| match stage {
        StageName::GeneralDistill => general,
        StageName::TdPhase1 => phase1,
        _ => None,
    };
    for stage in [StageName::GeneralDistill, StageName::TdPhase1] {
        let Some(distill) = of(stage) else { continue };
        let keep = &distill.keep_projection;
        // The default keeps what there is to keep.
        if keep.span.is_none() || !keep.value {
            continue;
        }
        let why = match experiment.student_of(stage).map(|origin| origin.value) {
            // Random weights either way.
            Some(Origin::Random) | None => None,
            Some(Origin::Folder(folder)) => folders
                .get(&folder)
                .filter(|found| !found.files.iter().any(|file| file.name == PROJECTION))
                .map(|_| format!("`{folder}` has no `{PROJECTION}`")),
            Some(Origin::Stage(from)) => match of(from) {
                None => Some(format!("`{from}` has no projection")),
                Some(before) if before.projection != distill.projection => {
                    Some(format!("`{from}` has another `projection`"))
                }
                Some(_) => None,
            },
        };
        if let Some(why) = why {
            let message =
                format!("`keep-projection` in `[stages.{stage}]` has nothing to keep: {why}");
            let fault = Fault::new(message, keep.span.clone());
            faults.push(fault.with_hint("remove the key, or set it to `false`".to_owned()));
        }
    }
}
