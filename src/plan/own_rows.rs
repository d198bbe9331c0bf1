//! Rows of the task that are cut a second time, by the tokenizer of a model that has other tokens than `[teacher]`:
//! who cuts them, and who takes which.

use super::graph::{Node, Take};
use super::inputs::Inputs;
use crate::data::OwnStores;
use crate::experiment::{Experiment, ModelPort, Port, Role, Stage, TEACHER_ROLES, Wants};

/// What the rows of each of several teachers are taken for, where they are not those of the student.
pub(crate) const TEACHER_ROWS: [&str; TEACHER_ROLES.len()] = [
    "teacher-rows",
    "teacher-2-rows",
    "teacher-3-rows",
    "teacher-4-rows",
    "teacher-5-rows",
    "teacher-6-rows",
    "teacher-7-rows",
    "teacher-8-rows",
];

/// What the rows of a split that a stage scores on are taken for, by the model: `[teacher]`'s tokenizer cut the
/// split that is taken under its own name.
pub(crate) fn scored_rows(of: Role, split: &str) -> Option<&'static str> {
    match (of, split) {
        (Role::Teacher, "dev") => Some("teacher-dev"),
        (Role::Teacher, "dev-mismatched") => Some("teacher-dev-mismatched"),
        (Role::Student, "dev") => Some("student-dev"),
        (Role::Student, "dev-mismatched") => Some("student-dev-mismatched"),
        _ => None,
    }
}

impl Inputs {
    /// The stores that are cut for a model that a stage takes; `None` where it reads those of `[teacher]`'s
    /// tokenizer.
    pub(crate) fn own_stores(
        &self,
        experiment: &Experiment,
        stage: &Stage,
        wanted: ModelPort,
    ) -> Option<OwnStores> {
        let mut models = experiment.models_of(stage).into_iter();
        let (_, origin) = models.find(|(port, _)| port.role() == wanted.role())?;
        let folder = experiment.folder_behind(origin.value)?;
        self.folders.get(&folder)?.own_stores
    }
}

/// Gives the stages that cut text the further tokenizers, and the others the rows that their models read.
pub(super) fn add_own_rows(nodes: &mut [Node], experiment: &Experiment, inputs: &Inputs) {
    let others = inputs.folders.iter();
    let others: Vec<(OwnStores, &String)> = others
        .filter_map(|(name, folder)| Some((folder.own_stores?, name)))
        .collect();
    if others.is_empty() {
        return;
    }
    for node in nodes {
        let Some(stage) = experiment.stages.get(node.stage.as_str()) else {
            continue;
        };
        let ports = stage.ports(&experiment.task);
        let cuts_task = |port: &Port| port.role == "train" && matches!(port.wants, Wants::Files(_));
        if node.tokenizes && ports.iter().any(cuts_task) {
            let tokenizers = others.iter();
            let tokenizers = tokenizers.map(|(stores, name)| (stores.role(), (*name).clone()));
            node.folders.extend(tokenizers);
            continue;
        }
        let models: Vec<ModelPort> = ports.iter().filter_map(Port::model).collect();
        let is_trained = models.iter().any(|model| model.is_trained);
        let trains = is_trained && ports.iter().any(|port| port.wants == Wants::Rows("dev"));
        // What the student reads first: a teacher that reads the same takes no other.
        let (students, teachers): (Vec<_>, Vec<_>) = models
            .into_iter()
            .partition(|model| model.of == Role::Student);
        for model in students.into_iter().chain(teachers) {
            let stores = inputs.own_stores(experiment, stage, model);
            if trains {
                take_for_training(node, model, stores);
            } else if let Some(stores) = stores {
                take_for_scores(node, model, stores);
            }
        }
    }
}

/// The student's rows in place of the usual ones, and beside them those of a teacher.
fn take_for_training(node: &mut Node, model: ModelPort, stores: Option<OwnStores>) {
    match (model.of, stores) {
        (Role::Student, Some(stores)) => {
            for take in &mut node.takes {
                if ["train", "dev"].contains(&take.role) {
                    take.artifact = stores.of(take.artifact);
                }
            }
        }
        (Role::Teacher, _) => {
            let Some(train) = node.take("train").cloned() else {
                return;
            };
            let usual = OwnStores::usual(train.artifact);
            let artifact = stores.map_or(usual, |stores| stores.of(usual));
            let role = TEACHER_ROWS[model.nth];
            if artifact != train.artifact {
                node.takes.push(Take {
                    role,
                    artifact,
                    ..train
                });
            }
        }
        (Role::Student, None) => {}
    }
}

/// The rows that a model is scored on.
fn take_for_scores(node: &mut Node, model: ModelPort, stores: OwnStores) {
    let own = node.takes.iter().filter_map(|take| {
        let role = scored_rows(model.of, take.role)?;
        let artifact = stores.of(take.artifact);
        let from = take.from.clone();
        Some(Take {
            role,
            from,
            artifact,
        })
    });
    let own: Vec<Take> = own.collect();
    node.takes.extend(own);
}
