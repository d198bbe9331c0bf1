//! Whether the models that stages are given bring what the stages read of them: a classifier
//! of the task's classes, a projection that is to be kept.

use std::collections::BTreeMap;

use super::graph::Node;
use super::inputs::{ModelFolder, PROJECTION};
use crate::document::{Fault, Located};
use crate::experiment::{ClassifierStart, Experiment, Origin, StageName, Task, TaskName};
use crate::input::{excerpt, excerpt_list};
use crate::model::{LabelFit, label_fit};

/// Value of `problem_type` that `transformers` trains and reads with a sigmoid for each class.
const MULTI_LABEL: &str = "multi_label_classification";

/// What is known of the task's classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Classes<'a> {
    /// How many; a regression has one output.
    pub(crate) count: usize,
    /// Their names in order; none for a regression.
    pub(crate) names: &'a [String],
}

impl<'a> Classes<'a> {
    /// Those of these labels, none of which are a regression's.
    pub(crate) fn of(names: &'a [String]) -> Self {
        Self {
            count: names.len().max(1),
            names,
        }
    }
}

/// Classes that the file itself states: `labels`, or those of a GLUE task.
pub(super) fn stated_labels(task: &Task) -> Option<Vec<String>> {
    match (&task.labels, *task.name) {
        _ if task.regression => Some(Vec::new()),
        (Some(labels), _) => Some(labels.value.clone()),
        (None, TaskName::Glue(glue)) => Some(glue.labels.iter().map(ToString::to_string).collect()),
        (None, TaskName::Custom) => None,
    }
}

/// Checks every given model whose classifier is used: it must have one, of the task's classes.
/// Where the file does not state them, `classes` is `None` until the tables have been read.
pub(crate) fn check_classifiers(
    experiment: &Experiment,
    nodes: &[Node],
    folders: &BTreeMap<String, ModelFolder>,
    classes: Option<Classes<'_>>,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for node in nodes {
        for user in users(experiment, node.stage) {
            let fault = match &user.origin.value {
                Origin::Stage(from @ (StageName::TdPhase1 | StageName::GeneralDistill))
                    if !user.is_trained =>
                {
                    Some(user.without_classifier(from.as_str(), "add `[stages.td-phase2]`"))
                }
                Origin::Folder(name) => folders
                    .get(name)
                    .and_then(|folder| user.fault_of(name, folder, classes)),
                _ => None,
            };
            let Some(fault) = fault else { continue };
            let span = user.origin.span.clone();
            let fault = Fault { span, ..fault };
            // Phase 2 and eval read the same teacher: one fault is enough.
            if !faults.iter().any(|found| {
                found.span.is_some() && found.span == fault.span && found.hint == fault.hint
            }) {
                faults.push(fault);
            }
        }
    }
    faults
}

/// A stage that uses the classifier of a model.
struct User {
    role: &'static str,
    stage: StageName,
    origin: Located<Origin>,
    /// Whether the stage trains the classifier, so that a missing one is made.
    is_trained: bool,
}

/// The models whose classifier a stage uses.
fn users(experiment: &Experiment, stage: StageName) -> Vec<User> {
    let teacher = &experiment.teacher;
    let found = match stage {
        StageName::Finetune if teacher.classifier.value == ClassifierStart::New => Vec::new(),
        StageName::Finetune => {
            let origin = Located {
                value: Origin::Folder(teacher.model.value.clone()),
                span: teacher.model.span.clone(),
            };
            vec![("teacher", Some(origin))]
        }
        StageName::TdPhase2 | StageName::Eval => vec![
            ("teacher", experiment.teacher_of(stage)),
            ("student", experiment.student_of(stage)),
        ],
        _ => Vec::new(),
    };
    let user = |(role, origin): (_, Option<Located<Origin>>)| {
        Some(User {
            role,
            stage,
            origin: origin?,
            is_trained: stage == StageName::Finetune
                || (stage == StageName::TdPhase2 && role == "student"),
        })
    };
    found.into_iter().filter_map(user).collect()
}

impl User {
    fn fault_of(
        &self,
        name: &str,
        folder: &ModelFolder,
        classes: Option<Classes<'_>>,
    ) -> Option<Fault> {
        let Some(found) = folder.num_labels else {
            return (!self.is_trained).then(|| {
                self.without_classifier(name, "add `[stages.finetune]`, or use a fine-tuned model")
            });
        };
        let (role, stage) = (self.role, self.stage);
        let begin = format!("`{name}`, the {role} of `{stage}`,");
        let new_classifier = match (role, stage) {
            ("teacher", StageName::Finetune) => {
                Some("to train a new classifier, set `classifier = \"new\"` in `[teacher]`")
            }
            ("teacher", _) => Some(
                "to train a new classifier, add `[stages.finetune]` and set `classifier = \"new\"` in `[teacher]`",
            ),
            _ => None,
        };
        if folder.config.problem_type.as_deref() == Some(MULTI_LABEL) {
            let message = format!(
                "{begin} is a multi-label classifier (`problem_type` in its `config.json` is `{MULTI_LABEL}`)"
            );
            let label = "tinyrun trains and distils one class for each row (softmax)";
            let fault = Fault::new(message, None).with_label(label);
            return Some(fault.with_hint(new_classifier.map(str::to_owned)));
        }
        let classes = classes?;
        if found != classes.count {
            let message = format!(
                "{begin} has {}, the task has {}",
                counted(found),
                counted(classes.count)
            );
            let hint = new_classifier.unwrap_or(
                "use a model with the task's classes, or a model without a classifier for the stage that trains it",
            );
            return Some(Fault::new(message, None).with_hint(hint.to_owned()));
        }
        if !self.is_trained && label_fit(&folder.config, classes.names) == LabelFit::Reordered {
            let own = folder.config.labels();
            let message = format!(
                "{begin} has the classes {}, and the data {}, in this order",
                excerpt_list(&own),
                excerpt_list(classes.names)
            );
            return Some(Fault::new(message, None).with_hint(labels_hint(&own)));
        }
        None
    }

    fn without_classifier(&self, model: &str, hint: &str) -> Fault {
        let (role, stage) = (self.role, self.stage);
        let message = format!("`{model}`, the {role} of `{stage}`, has no classifier");
        Fault::new(message, None).with_hint(hint.to_owned())
    }
}

/// The key with the model's names, where they are short enough to be copied from a message.
fn labels_hint(names: &[String]) -> String {
    let list = format!("{names:?}");
    if list == excerpt(&list) {
        format!("set `labels = {list}` in `[task]`")
    } else {
        "set `labels` in `[task]` in the model's order".to_owned()
    }
}

/// `1 output`, as a regression has, or `5 classes`
fn counted(classes: usize) -> String {
    match classes {
        1 => "1 output".to_owned(),
        more => format!("{more} classes"),
    }
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
