//! The training stages as jobs: finetune, general-distill, td-phase1 (intermediate layers)
//! and td-phase2 (prediction layer).

use std::path::PathBuf;

use super::StageError;
use super::place::Place;
use crate::data::TokenStore;
use crate::document::Located;
use crate::experiment::{ClassifierStart, Distill, GateRule, Keep, StageName, Training};
use crate::job::{
    Gate, HeadKind, Initializer, InitializerKind, Objective, RegressionTarget, Saving, Selection,
    Steps, Student, Teacher, Train, TrainData, WeightDtype, Work,
};
use crate::model::BertConfig;

/// BERT's standard deviation, of what a teacher lacks; its heads have its own config's.
const TEACHER_RANGE: f64 = 0.02;

/// What the stages differ in, beside their common settings.
struct Recipe<'a> {
    training: &'a Training,
    objective: Objective,
    eval_interval: u64,
    keep: Keep,
    teacher_dropout: bool,
    gate: GateRule,
    /// Bytes.
    teacher_memory: u64,
}

/// The work of a training stage.
pub(super) fn work(place: &Place<'_>) -> Result<Work, StageError> {
    let stages = &place.experiment.stages;
    let recipe = match place.stage() {
        StageName::Finetune => stages.finetune.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: if place.experiment.task.regression {
                Objective::Values
            } else {
                Objective::Labels
            },
            eval_interval: stage.scoring.eval_interval,
            keep: stage.scoring.keep,
            teacher_dropout: false,
            gate: GateRule::Off,
            teacher_memory: 0,
        }),
        StageName::GeneralDistill => stages.general_distill.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: intermediate(&stage.distill, place),
            eval_interval: 0,
            keep: Keep::Last,
            teacher_dropout: stage.teaching.teacher_dropout,
            gate: GateRule::Off,
            teacher_memory: 0,
        }),
        StageName::TdPhase1 => stages.td_phase1.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: intermediate(&stage.distill, place),
            eval_interval: 0,
            keep: Keep::Last,
            teacher_dropout: stage.teaching.teacher_dropout,
            gate: stage.task_teacher.gate,
            teacher_memory: bytes(stage.task_teacher.teacher_memory),
        }),
        StageName::TdPhase2 => stages.td_phase2.as_ref().map(|stage| Recipe {
            training: &stage.training,
            objective: prediction_of_values(place, stage.prediction.regression_target).unwrap_or(
                Objective::Prediction {
                    temperature: stage.prediction.temperature,
                    reduction: stage.prediction.reduction,
                    soft_loss_weight: stage.prediction.soft_loss_weight,
                    hard_label_weight: stage.prediction.hard_label_weight,
                },
            ),
            eval_interval: stage.scoring.eval_interval,
            keep: stage.scoring.keep,
            teacher_dropout: stage.teaching.teacher_dropout,
            gate: stage.task_teacher.gate,
            teacher_memory: bytes(stage.task_teacher.teacher_memory),
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
    let store = place.artifact(data);
    Ok(Work::Train(Box::new(Train {
        teacher: teacher(place, &recipe),
        student: student(place, &recipe.objective, &store)?,
        data: TrainData {
            store,
            limit: training.train_limit,
            shuffle: training.shuffle,
            drop_last: training.drop_last,
            pad_to: training.pad_to,
            batch_size: *training.batch_size / (*training.gradient_accumulation_steps).max(1),
            gradient_accumulation_steps: *training.gradient_accumulation_steps,
            prefetch: training.prefetch,
        },
        steps: Steps {
            epochs: *training.epochs,
            optimizer: training.optimizer.clone(),
            loss_scaling: training.loss_scaling,
            schedule: training.schedule.clone(),
        },
        selection: place.node.take("dev").map(|_| Selection {
            dev: place.artifact("dev"),
            metric: place.experiment.task.metric(),
            keep_best: recipe.keep == Keep::Best,
            eval_interval: recipe.eval_interval,
        }),
        saving: Saving {
            log_interval: training.log_interval,
            checkpoint_interval: training.checkpoint_interval,
            checkpoint_seconds: training.checkpoint_seconds,
            checkpoint_keep: training.checkpoint_keep,
        },
        objective: recipe.objective,
    })))
}

/// The model that the stage learns from.
fn teacher(place: &Place<'_>, recipe: &Recipe<'_>) -> Option<Teacher> {
    if matches!(recipe.objective, Objective::Labels | Objective::Values) {
        return None;
    }
    let caches = recipe.teacher_memory > 0;
    let asked = asked(&recipe.objective).filter(|_| caches);
    Some(Teacher {
        folder: place.model("teacher")?,
        // General distillation asks for no answer.
        head: match place.stage() {
            StageName::GeneralDistill => HeadKind::Plain,
            _ => place.experiment.teacher.head,
        },
        dropout: recipe.teacher_dropout,
        gate: gate(place, recipe.gate),
        cache_bytes: recipe.teacher_memory,
        cache: asked.map(|asked| {
            let answers = place.key.teacher_answers(&asked);
            place.layout.teacher_answers(&answers)
        }),
    })
}

/// What a stage asks its teacher, in words; `None` where nothing is kept of it.
fn asked(objective: &Objective) -> Option<String> {
    match objective {
        Objective::Labels | Objective::Values => None,
        Objective::Regression { .. } | Objective::Prediction { .. } => Some("logits".to_owned()),
        Objective::Intermediate { layer_map, .. } => Some(format!(
            "attention {:?} hidden {:?}",
            layer_map.attention, layer_map.hidden
        )),
    }
}

/// Of gigabytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to a million, as the reader of the key made sure"
)]
fn bytes(gigabytes: f64) -> u64 {
    (gigabytes * 1e9) as u64
}

/// Phase 2 of a regression.
fn prediction_of_values(place: &Place<'_>, target: RegressionTarget) -> Option<Objective> {
    let regression = place.experiment.task.regression;
    regression.then_some(Objective::Regression { target })
}

/// The gate of a stage. Dev only decides whether the stage begins, so it is no part of what the
/// stage's result depends on.
fn gate(place: &Place<'_>, rule: GateRule) -> Option<Gate> {
    // Phase 1 has asked the same teacher the same.
    let experiment = place.experiment;
    let phase1 = experiment.stages.td_phase1.as_ref();
    let teacher = |stage| experiment.teacher_of(stage).map(|origin| origin.value);
    if place.stage() == StageName::TdPhase2
        && phase1.is_some_and(|phase1| phase1.task_teacher.gate == rule)
        && teacher(StageName::TdPhase1) == teacher(StageName::TdPhase2)
    {
        return None;
    }
    let at_least = match rule {
        GateRule::Off => return None,
        GateRule::Auto => None,
        GateRule::AtLeast(least) => Some(least),
    };
    let data = place.output_of(StageName::DataPrep)?.join("dev");
    Some(Gate { data, at_least })
}

fn intermediate(distill: &Distill, place: &Place<'_>) -> Objective {
    let layer_maps = &place.inputs.models.layer_maps;
    let layer_map = layer_maps
        .get(&place.stage())
        .expect("models are checked for every such stage");
    let weights = |all: f64, layers: &Option<Located<Vec<f64>>>, count: usize| match layers {
        Some(list) => list.iter().map(|weight| all * weight).collect(),
        None => vec![all; count],
    };
    Objective::Intermediate {
        attention_weights: weights(
            distill.attention_weight,
            &distill.attention_layer_weights,
            layer_map.attention.len(),
        ),
        hidden_weights: weights(
            distill.hidden_weight,
            &distill.hidden_layer_weights,
            layer_map.hidden.len(),
        ),
        layer_map: layer_map.clone(),
        reduction: distill.reduction,
        hidden_loss: distill.hidden_loss,
        projection: distill.projection,
        keep_projection: distill.keep_projection.value,
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
        Objective::Labels | Objective::Values => ("teacher", place.experiment.teacher.head),
        _ => ("student", place.experiment.student.head),
    };
    // A teacher that is fine-tuned gets BERT's own head: the recipes are about the student.
    let initializer = match objective {
        Objective::Labels | Objective::Values => Initializer {
            kind: InitializerKind::Normal,
            embedding_range: TEACHER_RANGE,
            projection_range: TEACHER_RANGE,
        },
        _ => place.experiment.student.initializer.clone(),
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
        initializer,
        weights,
        // That of `[teacher]`, which cut the text; a fine-tuned teacher brings it along.
        tokenizer: place
            .model("tokenizer")
            .or_else(|| place.model("teacher"))
            .unwrap_or_default(),
        labels: labels(place, objective, train)?,
        head,
        new_classifier: role == "teacher"
            && place.experiment.teacher.classifier.value == ClassifierStart::New,
        // What the next stage goes on from is not rounded.
        dtype: match place.stage() {
            StageName::TdPhase2 => place.experiment.student.dtype,
            _ => WeightDtype::Fp32,
        },
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
