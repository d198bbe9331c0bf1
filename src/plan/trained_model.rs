//! A trained model, and how its texts are read.

use std::path::PathBuf;

use super::given_models::MULTI_LABEL;
use crate::data::{DialectRule, TextLayout};
use crate::experiment::{Experiment, Kinds, Task};
use crate::input::excerpt_path;
use crate::job::HeadKind;
use crate::model::{BertConfig, ModelError, ModelRef, load_stated};
use crate::runs::{RECORD, Record};

/// A model that classifies, or computes a value.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    /// Hugging Face folder, or checkpoint.
    pub folder: ModelRef,
    /// How its classifier reads the pooled output.
    pub head: HeadKind,
    /// Classes in the order of its logits; none of a regression.
    pub labels: Vec<String>,
    /// Where texts are in the tables that it was trained on; column `text` where that is not known.
    pub layout: TextLayout,
    /// Longest input in tokens.
    pub longest: usize,
}

/// Why a model predicts nothing.
#[derive(Debug, thiserror::Error)]
pub enum TrainedModelError {
    /// Its folder.
    #[error("cannot load the model in `{}`: {source}", excerpt_path(folder))]
    Model {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: ModelError,
    },
    /// It was trained to something else.
    #[error("the model in `{}` has no classifier", excerpt_path(folder))]
    NoClassifier {
        /// The folder.
        folder: PathBuf,
        /// Stages of its experiment whose models have one, as `EXPERIMENT/STAGE`.
        others: Vec<String>,
    },
    /// Its classes do not exclude each other.
    #[error("the model in `{}` is a multi-label classifier", excerpt_path(folder))]
    MultiLabel {
        /// The folder.
        folder: PathBuf,
    },
}

impl TrainedModelError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Model { source, .. } => source.hint(),
            Self::NoClassifier { others, .. } if others.is_empty() => {
                Some("name a model that was fine-tuned to classify".to_owned())
            }
            Self::NoClassifier { others, .. } => {
                let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("name {}", others.join(" or ")))
            }
            Self::MultiLabel { .. } => {
                Some("name a model whose classes exclude each other, or a regression".to_owned())
            }
        }
    }
}

impl TrainedModel {
    /// Opens a folder, or a checkpoint. Where a stage made it, `record` is that of the stage: texts are then read as those of its
    /// experiment.
    ///
    /// # Errors
    /// The folder does not load, or its model has no classifier.
    pub fn open(
        kinds: Kinds,
        folder: &ModelRef,
        record: Option<&Record>,
    ) -> Result<Self, TrainedModelError> {
        let model =
            load_stated(folder, &folder.stated).map_err(|source| TrainedModelError::Model {
                folder: folder.to_path_buf(),
                source,
            })?;
        // Nothing is known of one that another tinyrun wrote.
        let experiment = record.and_then(|record| {
            let read = Experiment::read(kinds, RECORD, "record", &record.experiment, &[]);
            read.ok().map(|(experiment, _)| experiment)
        });
        let experiment = experiment.as_ref();
        let config = &model.config;
        let Some(classes) = model.num_labels.filter(|_| model.has_pooler) else {
            return Err(TrainedModelError::NoClassifier {
                folder: folder.to_path_buf(),
                others: experiment.map(classifying).unwrap_or_default(),
            });
        };
        if config.problem_type.as_deref() == Some(MULTI_LABEL) {
            let folder = folder.to_path_buf();
            return Err(TrainedModelError::MultiLabel { folder });
        }
        let role = experiment.zip(record).and_then(|(experiment, record)| {
            let mut stages = experiment.stages.iter();
            let stage = stages.find(|stage| stage.kind() == record.key.kind)?;
            Some((stage, stage.makes_model_of()?))
        });
        let head = match experiment.zip(role) {
            Some((experiment, (stage, role))) => experiment.head_of(stage, role),
            None if config.tinyrun_head.as_deref() == Some("relu") => HeadKind::Relu,
            None => HeadKind::Plain,
        };
        let positions = config.longest_input();
        let task = experiment.map(|experiment| &experiment.task);
        Ok(Self {
            folder: folder.clone(),
            head,
            labels: labels(config, classes),
            layout: TextLayout {
                dialect: task.map_or_else(DialectRule::default, Task::dialect),
                text: task.map_or("text", |task| &task.text.value).to_owned(),
                pair: task.and_then(|task| Some(task.pair.as_ref()?.value.clone())),
                columns: task.and_then(Task::column_names),
                skip_short: false,
            },
            longest: task
                .and_then(|task| task.max_seq_length.as_ref())
                .map_or_else(|| model.longest_input(), |longest| positions.min(**longest)),
        })
    }
}

/// Names of the classes as `transformers` has them; one output is a value.
fn labels(config: &BertConfig, classes: usize) -> Vec<String> {
    let labels = config.labels();
    match classes {
        1 => Vec::new(),
        _ if labels.len() == classes => labels,
        _ => (0..classes).map(|class| format!("LABEL_{class}")).collect(),
    }
}

/// Stages whose models classify.
fn classifying(experiment: &Experiment) -> Vec<String> {
    let stages = experiment.stages.iter();
    let stages = stages.filter(|stage| stage.makes_classifier());
    let names = stages.map(|stage| format!("{}/{}", experiment.name, stage.name.as_str()));
    names.collect()
}
