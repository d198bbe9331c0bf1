//! The training stages as jobs: finetune, general-distill, td-phase1 (intermediate layers)
//! and td-phase2 (prediction layer).

use std::path::PathBuf;

use super::StageError;
use super::place::Place;
use crate::data::TokenStore;
use crate::experiment::{Distill, Keep, StageName, Training};
use crate::job::{HeadKind, Objective, Student, Train, Work};
use crate::model::BertConfig;

/// What the stages differ in, beside their common settings.
struct Recipe<'a> {
    training: &'a Training,
    objective: Objective,
    eval_interval: u64,
    keep: Keep,
}

/// The work of a training stage.
pub(super) fn work(place: &Place<'_>) -> Result<Work, StageError> {
    let stages = &place.experiment.stages;
    let recipe = match place.stage() {
        StageName::Finetune => stages.finetune.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: Objective::Labels,
            eval_interval: stage.eval_interval,
            keep: stage.keep,
        }),
        StageName::GeneralDistill => stages.general_distill.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: intermediate(&stage.distill, place),
            eval_interval: 0,
            keep: Keep::Last,
        }),
        StageName::TdPhase1 => stages.td_phase1.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: intermediate(&stage.distill, place),
            eval_interval: 0,
            keep: Keep::Last,
        }),
        StageName::TdPhase2 => stages.td_phase2.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: Objective::Prediction {
                temperature: stage.temperature,
                reduction: stage.reduction,
                hard_label_weight: stage.hard_label_weight,
            },
            eval_interval: stage.eval_interval,
            keep: stage.keep,
        }),
        _ => None,
    };
    let recipe = recipe.expect("the graph holds training stages that are in the experiment");
    let training = recipe.training;
    let data = if place.stage() == StageName::GeneralDistill {
        "corpus"
    } else {
        "train"
    };
    let train = place.artifact(data);
    let student = student(place, &recipe.objective, &train)?;
    Ok(Work::Train(Box::new(Train {
        teacher: match recipe.objective {
            Objective::Labels => None,
            _ => place.model("teacher"),
        },
        teacher_head: place.experiment.teacher.head,
        student,
        train,
        dev: place.node.take("dev").map(|_| place.artifact("dev")),
        train_limit: training.train_limit,
        epochs: *training.epochs,
        batch_size: *training.batch_size / (*training.gradient_accumulation_steps).max(1),
        gradient_accumulation_steps: *training.gradient_accumulation_steps,
        optimizer: training.optimizer.clone(),
        schedule: training.schedule.clone(),
        keep_best: recipe.keep == Keep::Best,
        eval_interval: recipe.eval_interval,
        log_interval: training.log_interval,
        checkpoint_interval: training.checkpoint_interval,
        checkpoint_seconds: training.checkpoint_seconds,
        objective: recipe.objective,
    })))
}

fn intermediate(distill: &Distill, place: &Place<'_>) -> Objective {
    let layer_maps = &place.inputs.models.layer_maps;
    Objective::Intermediate {
        layer_map: layer_maps
            .get(&place.stage())
            .expect("models are checked for every such stage")
            .clone(),
        attention_weight: distill.attention_weight,
        hidden_weight: distill.hidden_weight,
        reduction: distill.reduction,
    }
}

/// The model that the stage trains: the teacher in fine-tuning, else the student, from
/// random weights where neither a stage nor a folder makes one.
fn student(
    place: &Place<'_>,
    objective: &Objective,
    train: &std::path::Path,
) -> Result<Student, StageError> {
    let (role, head) = match objective {
        Objective::Labels => ("teacher", place.experiment.teacher.head),
        _ => ("student", place.experiment.student.head),
    };
    let weights = place.model(role);
    let config = match &weights {
        Some(folder) => BertConfig::read(folder).map_err(|source| StageError::Model {
            stage: place.stage(),
            source,
        })?,
        None => place.inputs.models.student.clone(),
    };
    Ok(Student {
        config,
        weights,
        // That of `[teacher]`, which cut the text; a fine-tuned teacher brings it along.
        tokenizer: place
            .model("tokenizer")
            .or_else(|| place.model("teacher"))
            .unwrap_or_default(),
        labels: labels(place, objective, train)?,
        head,
    })
}

/// Names of the classes as data preparation found them; none before there is a classifier.
fn labels(
    place: &Place<'_>,
    objective: &Objective,
    train: &std::path::Path,
) -> Result<Vec<String>, StageError> {
    if matches!(objective, Objective::Intermediate { .. }) {
        return Ok(Vec::new());
    }
    let store = TokenStore::open(train).map_err(|source| StageError::Store {
        stage: place.stage(),
        source,
    })?;
    Ok(store.meta().labels.clone())
}

/// Files that a training stage owes.
pub(super) fn promised(place: &Place<'_>) -> Vec<&'static str> {
    let mut files = vec![
        "metrics.csv",
        "model/config.json",
        "model/model.safetensors",
    ];
    if place.node.take("dev").is_some() {
        files.extend(["last/config.json", "last/model.safetensors"]);
    }
    files
}

/// A model for scoring: its folder and how its head is read.
pub(super) fn scored(place: &Place<'_>, role: &str) -> Option<(PathBuf, HeadKind)> {
    let head = match role {
        "teacher" => place.experiment.teacher.head,
        _ => place.experiment.student.head,
    };
    Some((place.model(role)?, head))
}
