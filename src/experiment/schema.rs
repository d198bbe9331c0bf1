//! The experiment file as data, every default filled in.
//!
//! Paths stay as written, relative to the root. The key of each field in the file is its
//! name in kebab-case; `keys.rs` documents them all.

use std::fmt;

use super::span::Located;
use crate::job::{
    Device, HeadKind, LayerMap, Optimizer, Precision, Reduction, Schedule, SoftLossReduction,
};

/// A whole experiment file.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Name of the folder in `runs/`; the file's stem where not given.
    pub name: String,
    /// Seed of initial weights, data order and dropout.
    pub seed: u64,
    /// Where to compute; not part of a fingerprint.
    pub device: Device,
    /// What to compute in; part of a fingerprint as written.
    pub precision: Precision,
    /// Threads of libtorch; not part of a fingerprint. Every core where `None`.
    pub threads: Option<usize>,
    /// `[task]`
    pub task: Task,
    /// `[teacher]`
    pub teacher: Teacher,
    /// `[student]`
    pub student: Student,
    /// `[stages.*]`
    pub stages: Stages,
}

/// `[task]`: the labelled data.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Which layout the tables have.
    pub name: Located<TaskName>,
    /// Training table, or a glob of several with the same columns.
    pub train: Located<String>,
    /// Development table. `None` only together with a `dev_fraction`.
    pub dev: Option<Located<String>>,
    /// Share of `train` held out as dev, by hash of the text, so that duplicates stay on one side.
    pub dev_fraction: Option<Located<f64>>,
    /// How tables are cut into fields.
    pub format: TableFormat,
    /// Column of the text (or of the first of a pair); a header's name.
    pub text: Located<String>,
    /// Column of the second text of a pair.
    pub pair: Option<Located<String>>,
    /// Column of the label.
    pub label: Located<String>,
    /// Label names in class order; found in the training table and sorted where `None`.
    pub labels: Option<Located<Vec<String>>>,
    /// Longest input in tokens, special tokens included; longer ones are cut.
    pub max_seq_length: Located<usize>,
}

/// Layout of the task's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskName {
    /// GLUE SST-2: TSV with the header `sentence`, `label`; labels 0 (negative) and 1 (positive).
    Sst2,
    /// The user's own table, columns by name.
    Custom,
}

/// How a table is cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// By the file's ending: `.csv` is CSV, anything else TSV.
    Auto,
    /// Tabs, no quoting: a quote mark is a character like any other (GLUE).
    Tsv,
    /// Commas, with quoting (RFC 4180).
    Csv,
}

/// `[teacher]`
#[derive(Debug, Clone, PartialEq)]
pub struct Teacher {
    /// Hugging Face folder.
    pub model: Located<String>,
    /// How the classifier reads the pooled output.
    pub head: HeadKind,
}

/// `[student]`
#[derive(Debug, Clone, PartialEq)]
pub struct Student {
    /// Hugging Face folder to start from in place of random weights; the shape is then its own.
    pub model: Option<Located<String>>,
    /// Shape, where `model` is not given.
    pub shape: StudentShape,
    /// How the classifier reads the pooled output.
    pub head: HeadKind,
    /// Which teacher layer each student layer learns from.
    pub layer_map: Located<LayerMapRule>,
}

/// Shape of a student that starts from random weights. Vocabulary, segments and padding id
/// are the teacher's.
#[derive(Debug, Clone, PartialEq)]
pub struct StudentShape {
    /// Encoder layers.
    pub num_hidden_layers: Located<usize>,
    /// Width of a hidden state.
    pub hidden_size: Located<usize>,
    /// Width of the feed-forward layer.
    pub intermediate_size: Located<usize>,
    /// Heads; must equal the teacher's, since attention scores are compared head by head.
    pub num_attention_heads: Located<usize>,
    /// `gelu`, `gelu_new` or `relu`.
    pub hidden_act: String,
    /// Dropout of hidden states in training.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention probabilities in training.
    pub attention_probs_dropout_prob: f64,
    /// Longest input in tokens.
    pub max_position_embeddings: Located<usize>,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
}

/// How teacher layers are chosen (semantics.md A1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerMapRule {
    /// Every `T/S`-th layer; `S` must divide `T`.
    Uniform,
    /// The last `S` layers.
    Top,
    /// The first `S` layers.
    Bottom,
    /// As listed.
    Explicit(LayerMap),
}

/// Every stage, in pipeline order. A stage that is `None` is not run.
#[derive(Debug, Clone, PartialEq)]
pub struct Stages {
    /// Always run.
    pub data_prep: DataPrep,
    /// Makes the teacher.
    pub finetune: Option<Finetune>,
    /// Student from raw text.
    pub general_distill: Option<GeneralDistill>,
    /// Intermediate layers on task data.
    pub td_phase1: Option<TdPhase1>,
    /// Prediction layer on task data.
    pub td_phase2: Option<TdPhase2>,
    /// Scores of teacher and student.
    pub eval: Option<Eval>,
}

/// Names of the stages, in pipeline order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageName {
    /// Task tables to tokens.
    DataPrep,
    /// Raw text to tokens; present when general distillation is. Settings in `[stages.general-distill]`.
    CorpusPrep,
    /// Makes the teacher.
    Finetune,
    /// General distillation.
    GeneralDistill,
    /// Task distillation, intermediate layers.
    TdPhase1,
    /// Task distillation, prediction layer.
    TdPhase2,
    /// Scores.
    Eval,
}

impl StageName {
    /// Every stage in pipeline order.
    pub const ALL: [Self; 7] = [
        Self::DataPrep,
        Self::CorpusPrep,
        Self::Finetune,
        Self::GeneralDistill,
        Self::TdPhase1,
        Self::TdPhase2,
        Self::Eval,
    ];

    /// Name in the file, on the command line and in `runs/`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DataPrep => "data-prep",
            Self::CorpusPrep => "corpus-prep",
            Self::Finetune => "finetune",
            Self::GeneralDistill => "general-distill",
            Self::TdPhase1 => "td-phase1",
            Self::TdPhase2 => "td-phase2",
            Self::Eval => "eval",
        }
    }

    /// The stage of this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `[stages.data-prep]`: nothing to set but what `[task]` holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataPrep {}

/// Where a stage takes a model from, when it is not the nearest earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// Another stage's artifact, by the stage's name.
    Stage(StageName),
    /// A Hugging Face folder.
    Folder(String),
}

/// Which model of a training stage is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Best on dev; of equals the earlier.
    Best,
    /// The last.
    Last,
}

/// Settings that every training stage has, with its own defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Passes over the data.
    pub epochs: Located<u32>,
    /// Examples an optimizer step (divided by `gradient_accumulation_steps` for a micro-step).
    pub batch_size: Located<u32>,
    /// Micro-steps an optimizer step; divides `batch_size`.
    pub gradient_accumulation_steps: Located<u32>,
    /// `learning-rate`, `schedule`, `warmup-proportion`
    pub schedule: Schedule,
    /// `optimizer`, `adam-beta1`, `adam-beta2`, `adam-epsilon`, `weight-decay`, `max-grad-norm`
    pub optimizer: Optimizer,
    /// Train on this many examples only, chosen by the seed.
    pub train_limit: Option<u64>,
    /// Steps between two rows of `metrics.csv`; not part of a fingerprint.
    pub log_interval: u64,
    /// Steps between two checkpoints, 0 for none by steps; not part of a fingerprint.
    pub checkpoint_interval: u64,
    /// Seconds between two checkpoints, 0 for none by time; not part of a fingerprint.
    pub checkpoint_seconds: u64,
}

/// Settings of the intermediate-layer losses: general distillation and phase 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Distill {
    /// Factor of the attention loss.
    pub attention_weight: f64,
    /// Factor of the hidden-state loss.
    pub hidden_weight: f64,
    /// What the losses average over.
    pub reduction: Reduction,
}

/// `[stages.finetune]`
#[derive(Debug, Clone, PartialEq)]
pub struct Finetune {
    /// Common settings.
    pub training: Training,
    /// Steps between two scorings of dev beside each epoch's end; 0: only there.
    pub eval_interval: u64,
    /// Which model is handed on.
    pub keep: Keep,
}

/// `[stages.general-distill]`
#[derive(Debug, Clone, PartialEq)]
pub struct GeneralDistill {
    /// Common settings.
    pub training: Training,
    /// Losses.
    pub distill: Distill,
    /// Globs of text files, one paragraph a line.
    pub corpus: Located<Vec<Located<String>>>,
    /// Longest input in tokens, special tokens included.
    pub max_seq_length: Located<usize>,
    /// What happens to longer lines.
    pub long_lines: LongLines,
    /// Student to start from; `[student]` where `None`.
    pub student: Option<Located<ModelSource>>,
    /// Teacher; the one of `[teacher]`, not fine-tuned, where `None`.
    pub teacher: Option<Located<ModelSource>>,
}

/// What happens to a line of a corpus that is longer than `max-seq-length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongLines {
    /// Cut into several examples; nothing is lost.
    Split,
    /// The rest is dropped, and counted in the report.
    Truncate,
}

/// `[stages.td-phase1]`
#[derive(Debug, Clone, PartialEq)]
pub struct TdPhase1 {
    /// Common settings.
    pub training: Training,
    /// Losses.
    pub distill: Distill,
    /// Student to start from; the nearest earlier one where `None`.
    pub student: Option<Located<ModelSource>>,
    /// Teacher; the fine-tuned one where `None`.
    pub teacher: Option<Located<ModelSource>>,
}

/// `[stages.td-phase2]`
#[derive(Debug, Clone, PartialEq)]
pub struct TdPhase2 {
    /// Common settings.
    pub training: Training,
    /// Both logits are divided by it.
    pub temperature: f64,
    /// What the soft loss averages over.
    pub reduction: SoftLossReduction,
    /// Factor of an added cross-entropy against the gold labels.
    pub hard_label_weight: f64,
    /// Steps between two scorings of dev beside each epoch's end; 0: only there.
    pub eval_interval: u64,
    /// Which model is handed on.
    pub keep: Keep,
    /// Student to start from; the nearest earlier one where `None`.
    pub student: Option<Located<ModelSource>>,
    /// Teacher; the fine-tuned one where `None`.
    pub teacher: Option<Located<ModelSource>>,
}

/// `[stages.eval]`
#[derive(Debug, Clone, PartialEq)]
pub struct Eval {
    /// Examples a batch.
    pub batch_size: Located<u32>,
    /// Student to score; the nearest earlier one where `None`.
    pub student: Option<Located<ModelSource>>,
    /// Teacher to score beside it; the fine-tuned one where `None`.
    pub teacher: Option<Located<ModelSource>>,
}
