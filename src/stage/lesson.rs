//! A training as a job for the kernel: what all stages that train have in common.

use super::StageError;
use super::place::Place;
use super::work::Activity;
use crate::data::TokenStore;
use crate::document::Located;
use crate::experiment::{
    ClassifierStart, Distill, GateRule, PREDICTIONS, Role, Stage, TEACHER_ROLES, TaskTeacher,
    Teachers, Teaching, Training, UnlabelledUse,
};
use crate::job::{
    Ensemble, Gate, HeadKind, Initializer, InitializerKind, ModelSelection, Objective, Relations,
    Saving, Scoring, Steps, Student, Teacher, Train, TrainData, WeightDtype, Work,
};
use crate::model::read_config;
use crate::plan::INITIAL_PROJECTION;

/// BERT's standard deviation, of what a teacher lacks; its heads have its own config's.
const TEACHER_RANGE: f64 = 0.02;

/// What a stage trains on, and how.
pub(crate) struct Lesson<'a> {
    pub(crate) training: &'a Training,
    /// How its models are scored on dev, which it takes then.
    pub(crate) scoring: Option<&'a Scoring>,
    /// Role of the rows that it trains on.
    pub(crate) rows: &'static str,
    pub(crate) objective: Objective,
    /// The model that is trained.
    pub(crate) trains: Role,
    /// How its teacher is run, if it has one.
    pub(crate) teaching: Option<&'a Teaching>,
    /// Check and cache of a teacher that was trained on the task.
    pub(crate) task_teacher: Option<&'a TaskTeacher>,
    /// How the teacher's classifier is read.
    pub(crate) teacher_head: HeadKind,
    /// Several teachers, where the stage may have such.
    pub(crate) teachers: Option<&'a Teachers>,
    /// Of the weights that it writes.
    pub(crate) dtype: WeightDtype,
}

impl Lesson<'_> {
    /// The work of a training stage.
    ///
    /// # Errors
    /// The token store or the model that it starts from cannot be read.
    pub(crate) fn activity(self, place: &Place<'_>) -> Result<Activity<'static>, StageError> {
        let training = self.training;
        let store = place.artifact(self.rows);
        Ok(Activity::Kernel(Work::Train(Box::new(Train {
            teacher: teacher(place, &self, 0),
            ensemble: ensemble(place, &self),
            predictions: (place.node.take(PREDICTIONS)).map(|_| place.artifact(PREDICTIONS)),
            student: student(place, &self, &store)?,
            data: TrainData {
                store,
                limit: training.train_limit,
                unlabelled: UnlabelledUse::of_stage(&place.experiment.task, place.stage()),
                shuffle: training.shuffle,
                drop_last: training.drop_last,
                pad_to: training.pad_to,
                batch_size: *training.batch_size / (*training.gradient_accumulation_steps).max(1),
                gradient_accumulation_steps: *training.gradient_accumulation_steps,
                reduction_leaves: *training.reduction_leaves,
                gradient_exchange: *training.gradient_exchange,
                prefetch: training.prefetch,
            },
            steps: Steps {
                epochs: *training.epochs,
                optimizer: training.optimizer.clone(),
                loss_scaling: training.loss_scaling,
                schedule: training.schedule.clone(),
            },
            selection: self.scoring.map(|scoring| ModelSelection {
                dev: place.artifact("dev"),
                metric: place.experiment.task.metric(),
                scoring: scoring.clone(),
            }),
            saving: Saving {
                log_interval: training.log_interval,
                checkpoint_interval: training.checkpoint_interval,
                checkpoint_seconds: training.checkpoint_seconds,
                checkpoint_keep: training.checkpoint_keep,
            },
            objective: self.objective,
        }))))
    }
}

/// The model that the stage learns from, or one of several.
fn teacher(place: &Place<'_>, lesson: &Lesson<'_>, nth: usize) -> Option<Teacher> {
    let role = TEACHER_ROLES[nth];
    let teaching = lesson.teaching?;
    let rows = place.rows_of_teacher(nth, lesson.rows);
    let is_one_of_several = lesson.teachers.is_some_and(|own| own.shares().is_some());
    let head = match place.origin(role).filter(|_| is_one_of_several) {
        Some(origin) => place.experiment.head_of_teacher(origin),
        None => lesson.teacher_head,
    };
    let memory = lesson.task_teacher.map(|it| bytes(it.teacher_memory));
    let memory = memory.unwrap_or(0);
    let asked = asked(&lesson.objective).filter(|_| memory > 0);
    Some(Teacher {
        folder: place.model(role)?,
        head,
        dropout: teaching.teacher_dropout,
        gate: (lesson.task_teacher).and_then(|it| gate(place, it.gate, rows, is_one_of_several)),
        rows: (rows != lesson.rows).then(|| place.artifact(rows)),
        cache_bytes: memory,
        cache: asked.map(|asked| {
            let asked = if head == lesson.teacher_head {
                asked
            } else {
                format!("{asked} by another head")
            };
            let answers = place.key.teacher_answers(role, &asked, rows);
            place.layout.teacher_answers(&answers)
        }),
    })
}

/// Several models that the stage learns from; `None` of one.
fn ensemble(place: &Place<'_>, lesson: &Lesson<'_>) -> Option<Ensemble> {
    let own = lesson.teachers?;
    let weights = own.shares()?;
    let others = (1..weights.len()).filter_map(|nth| teacher(place, lesson, nth));
    Some(Ensemble {
        others: others.collect(),
        names: own.names()?,
        weights,
        mean: own.teacher_mean.value,
    })
}

/// What a stage asks its teacher, in words; `None` where nothing is kept of it.
fn asked(objective: &Objective) -> Option<String> {
    match objective {
        Objective::Labels | Objective::Values => None,
        Objective::Regression { .. } | Objective::Prediction { .. } => Some("logits".to_owned()),
        Objective::Intermediate {
            layer_map,
            relations,
            ..
        } => {
            // Of relations that are cut in any way, the same vectors.
            let of_attention = match relations {
                Some(_) => "vectors",
                None => "attention",
            };
            Some(format!(
                "{of_attention} {:?} hidden {:?}",
                layer_map.attention, layer_map.hidden
            ))
        }
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

/// The gate of a stage. Dev only decides whether the stage begins, so it is no part of what the
/// stage's result depends on.
fn gate(place: &Place<'_>, rule: GateRule, rows: &str, is_one_of_several: bool) -> Option<Gate> {
    let experiment = place.experiment;
    let teacher = |stage: &Stage| {
        let origin = experiment.origin_of(stage, Role::Teacher);
        origin.map(|origin| origin.value)
    };
    let own = place.stage();
    let checked = teacher(own);
    let mut others = experiment.stages.with::<TaskTeacher>();
    // Phase 1 has checked the same teacher before phase 2 can begin. Of several the scores are reported.
    if !is_one_of_several
        && others.any(|(stage, keys)| {
            keys.gate == rule && teacher(stage) == checked && experiment.is_after(own, &stage.name)
        })
    {
        return None;
    }
    let at_least = match rule {
        GateRule::Off => return None,
        GateRule::Auto => None,
        GateRule::AtLeast(least) => Some(least),
    };
    let data = place.beside(rows, "dev")?;
    Some(Gate { data, at_least })
}

/// Losses over layers.
pub(crate) fn layer_objective(distill: &Distill, place: &Place<'_>) -> Objective {
    let layer_maps = &place.inputs.models.layer_maps;
    let layer_map = layer_maps
        .get(&place.node.stage)
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
        relations: relations(distill, place),
        reduction: distill.reduction,
        hidden_loss: distill.hidden_loss,
        projection: distill.projection,
        keep_projection: distill.keep_projection.value,
    }
}

/// The relations that the attention loss compares, if it does.
fn relations(distill: &Distill, place: &Place<'_>) -> Option<Relations> {
    let heads = place.inputs.models.relation_heads.get(&place.node.stage)?;
    let given = distill.relation_weights.as_deref();
    let weights = given.and_then(|list| <[f64; 3]>::try_from(list.as_slice()).ok());
    Some(Relations {
        heads: *heads,
        weights: weights.unwrap_or([1.0; 3]),
    })
}

/// The model that the stage trains: the teacher in fine-tuning, else the student, from
/// random weights where neither a stage nor a folder makes one.
fn student(
    place: &Place<'_>,
    lesson: &Lesson<'_>,
    train: &std::path::Path,
) -> Result<Student, StageError> {
    let objective = &lesson.objective;
    let (teacher, student) = (&place.experiment.teacher, &place.experiment.student);
    let (head, initializer) = match lesson.trains {
        // A teacher that is fine-tuned gets BERT's own head: the recipes are about the student.
        Role::Teacher => {
            let initializer = Initializer {
                kind: InitializerKind::Normal,
                embedding_range: TEACHER_RANGE,
                projection_range: TEACHER_RANGE,
            };
            (place.head(Role::Teacher), initializer)
        }
        Role::Student => (place.head(Role::Student), student.initializer.clone()),
    };
    let weights = place.model(lesson.trains.as_str());
    let mut config = match &weights {
        Some(model) => read_config(model, &model.stated).map_err(|source| StageError::Model {
            stage: place.name(),
            source,
        })?,
        None => place.inputs.models.student.clone(),
    };
    config.train_padding = lesson.trains == Role::Student && student.train_padding;
    Ok(Student {
        config,
        initializer,
        weights,
        projection: place.files(INITIAL_PROJECTION).into_iter().next(),
        // That of `[teacher]`, which cut the text; a fine-tuned teacher brings it along.
        tokenizer: match lesson.trains {
            Role::Teacher => place.tokenizer(),
            Role::Student => place.tokenizer_of_student(),
        },
        labels: labels(place, objective, train)?,
        head,
        new_classifier: lesson.trains == Role::Teacher
            && teacher.classifier.value == ClassifierStart::New,
        dtype: lesson.dtype,
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
        stage: place.name(),
        source,
    })?;
    Ok(store.meta().labels.clone())
}

/// Files that a training stage must leave.
pub(crate) fn training_files(place: &Place<'_>) -> Vec<&'static str> {
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
