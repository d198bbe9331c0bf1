//! Whether the models that stages are given bring what the stages read of them: a classifier
//! of the task's classes, a projection that is to be kept.

use std::collections::BTreeMap;

use super::graph::INITIAL_PROJECTION;
use super::inputs::{FoundFiles, ModelFolder, PROJECTION};
use crate::document::{Fault, Located};
use crate::experiment::{
    ClassifierStart, Distill, Experiment, ModelPort, Origin, Role, Stage, StageName, Task,
    TaskName, What,
};
use crate::input::{excerpt, excerpt_list};
use crate::model::{LabelFit, Weights, label_fit};

/// Value of `problem_type` that `transformers` trains and reads with a sigmoid for each class.
pub(super) const MULTI_LABEL: &str = "multi_label_classification";

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
    folders: &BTreeMap<String, ModelFolder>,
    classes: Option<Classes<'_>>,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for stage in &experiment.stages {
        for user in users(experiment, stage) {
            let fault = match &user.origin.value.clone().whole() {
                Origin::Stage(from) => {
                    let lacks = user.port.needs_classifier() && !has_classifier(experiment, from);
                    let hint = classifying(experiment);
                    lacks.then(|| user.without_classifier(from.as_str(), &hint))
                }
                Origin::Folder(name) => folders
                    .get(name)
                    .and_then(|folder| user.fault_of(name, folder, classes)),
                Origin::Random | Origin::Layers { .. } => None,
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

/// Whether a stage makes a model whose classifier was trained.
fn has_classifier(experiment: &Experiment, stage: &StageName) -> bool {
    let made = experiment.stages.get(stage.as_str());
    let mut made = made.into_iter().flat_map(Stage::makes);
    made.any(|made| matches!(made.what, What::Model { classifier, .. } if classifier))
}

/// How to get a student that classifies: by a stage that is there, or by adding one.
fn classifying(experiment: &Experiment) -> String {
    let made = |what| what == What::CLASSIFYING_STUDENT;
    let kinds = experiment.stages.kinds().that_make(made);
    let mut stages = experiment.stages.iter();
    let there = stages.find(|stage| stage.makes().iter().any(|artifact| made(artifact.what)));
    match there {
        Some(stage) => format!(
            "name a stage that trains a classifier, such as `{}`",
            stage.name
        ),
        None => format!(
            "add `[stages.{}]`",
            kinds.first().copied().unwrap_or_default()
        ),
    }
}

/// The table of a stage that trains the teacher's classifier.
fn fine_tuning(experiment: &Experiment) -> String {
    let kinds = experiment.stages.kinds();
    let teacher = |what| {
        matches!(
            what,
            What::Model {
                of: Role::Teacher,
                ..
            }
        )
    };
    let kinds = kinds.that_make(teacher);
    format!("`[stages.{}]`", kinds.first().copied().unwrap_or_default())
}

/// A stage that uses the classifier of a model.
struct User {
    port: ModelPort,
    stage: StageName,
    origin: Located<Origin>,
    /// The table of a stage that would fine-tune the teacher.
    fine_tuning: String,
}

/// The models whose classifier a stage uses.
fn users(experiment: &Experiment, stage: &Stage) -> Vec<User> {
    let makes_new = experiment.teacher.classifier.value == ClassifierStart::New;
    let ports = stage.model_ports(&experiment.task);
    let ports = ports.filter(|port| port.reads_classifier);
    // Whatever the teacher has, a new one is trained.
    let ports = ports.filter(|port| !(makes_new && trains_teacher(*port)));
    let users = ports.filter_map(|port| {
        Some(User {
            port,
            stage: stage.name.clone(),
            origin: experiment.connect(stage, port)?,
            fine_tuning: fine_tuning(experiment),
        })
    });
    users.collect()
}

fn trains_teacher(port: ModelPort) -> bool {
    port.is_trained && port.of == Role::Teacher
}

impl User {
    fn fault_of(
        &self,
        name: &str,
        folder: &ModelFolder,
        classes: Option<Classes<'_>>,
    ) -> Option<Fault> {
        let Some(found) = folder.num_labels else {
            return self.port.needs_classifier().then(|| {
                let hint = format!("add {}, or use a fine-tuned model", self.fine_tuning);
                self.without_classifier(name, &hint)
            });
        };
        let (role, stage) = (self.port.of.as_str(), &self.stage);
        let begin = format!("`{name}`, the {role} of `{stage}`,");
        let new_classifier = match self.port.of {
            Role::Teacher if self.port.is_trained => Some(
                "to train a new classifier, set `classifier = \"new\"` in `[teacher]`".to_owned(),
            ),
            Role::Teacher => Some(format!(
                "to train a new classifier, add {} and set `classifier = \"new\"` in `[teacher]`",
                self.fine_tuning
            )),
            Role::Student => None,
        };
        if folder.config.problem_type.as_deref() == Some(MULTI_LABEL) {
            let message = format!(
                "{begin} is a multi-label classifier (`problem_type` in its `config.json` is `{MULTI_LABEL}`)"
            );
            let label = "tinyrun trains and distils one class for each row (softmax)";
            let fault = Fault::new(message, None).with_label(label);
            return Some(fault.with_hint(new_classifier));
        }
        let classes = classes?;
        if found != classes.count {
            let message = format!(
                "{begin} has {}, the task has {}",
                counted(found),
                counted(classes.count)
            );
            let hint = new_classifier.unwrap_or_else(|| {
                "use a model with the task's classes, or a model without a classifier for the stage that trains it".to_owned()
            });
            return Some(Fault::new(message, None).with_hint(hint));
        }
        if !self.port.is_trained && label_fit(&folder.config, classes.names) == LabelFit::Reordered
        {
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
        let (role, stage) = (self.port.of.as_str(), &self.stage);
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
    for (stage, distill) in experiment.stages.with::<Distill>() {
        let keep = &distill.keep_projection;
        // The default keeps what there is to keep.
        if keep.span.is_none() || !keep.value || experiment.initial_projection(stage).is_some() {
            continue;
        }
        let why = match experiment
            .origin_of(stage, Role::Student)
            .map(|it| it.value)
        {
            // Random weights either way.
            Some(Origin::Random) | None => None,
            Some(Origin::Layers { .. }) => {
                Some("`layers` in `[student]` keeps the layers alone".to_owned())
            }
            Some(Origin::Folder(folder)) => folders
                .get(&folder)
                .filter(|found| !found.files.iter().any(|file| file.name == PROJECTION))
                .map(|_| format!("`{folder}` has no `{PROJECTION}`")),
            Some(Origin::Stage(from)) => match distill_of(experiment, &from) {
                None => Some(format!("`{from}` has no projection")),
                Some(before) if before.projection != distill.projection => {
                    Some(format!("`{from}` has another `projection`"))
                }
                Some(_) => None,
            },
        };
        if let Some(why) = why {
            let message = format!(
                "`keep-projection` in `[stages.{}]` has nothing to keep: {why}",
                stage.name
            );
            let fault = Fault::new(message, keep.span.clone());
            faults.push(fault.with_hint("remove the key, or set it to `false`".to_owned()));
        }
    }
}

/// Files of projections that a stage starts from and that have none. Their shapes are compared by
/// the kernel, which knows the projections of each stage.
pub(super) fn check_initial_projections(
    faults: &mut Vec<Fault>,
    experiment: &Experiment,
    files: &[FoundFiles],
) {
    for found in files
        .iter()
        .filter(|found| found.role == INITIAL_PROJECTION)
    {
        let stage = experiment.stages.get(found.stage.as_str());
        let span = stage
            .and_then(|stage| experiment.initial_projection(stage))
            .and_then(|key| key.span);
        for file in &found.files {
            let fault = |message: String| Fault::new(message, span.clone());
            match Weights::open_file(&file.path) {
                Err(error) => {
                    faults.push(fault(error.to_string()).with_hint(error.hint()));
                }
                Ok(weights) if !weights.names().any(|name| name.starts_with("fit_dense")) => {
                    let message = format!("`{}` has no projection", excerpt(&file.name));
                    let label = "expected the tensors `fit_dense.weight` and `fit_dense.bias`";
                    faults.push(fault(message).with_label(label));
                }
                Ok(_) => {}
            }
        }
    }
}

/// The losses over layers of a stage, which have a projection.
fn distill_of<'a>(experiment: &'a Experiment, stage: &StageName) -> Option<&'a Distill> {
    experiment.stages.get(stage.as_str())?.get()
}
