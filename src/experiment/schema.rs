//! The experiment file as data, every default filled in.
//!
//! Paths stay as written, relative to the root. The key of each field in the file is its
//! name in kebab-case; `keys.rs` documents them all.

use std::fmt;

use super::glue::GlueTask;
use crate::document::Located;
use crate::job::{
    Device, HeadKind, Initializer, LayerMap, LossScaling, Metric, Optimizer, PadTo, Precision,
    Projection, Reduction, RegressionTarget, Schedule, SoftLossReduction, WeightDtype, words,
};

/// A whole experiment file.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Name of the folder in `runs/`; the file's stem where not given.
    pub name: String,
    /// Whose defaults stand for keys that are left out. Not part of a fingerprint: what it
    /// comes to is.
    pub recipe: Recipe,
    /// Seed of initial weights, data order and dropout.
    pub seed: u64,
    /// Where to compute; not part of a fingerprint.
    pub device: Device,
    /// What to compute in; part of a fingerprint as written.
    pub precision: Precision,
    /// Threads of libtorch; not part of a fingerprint. Every core where `None`.
    pub threads: Option<usize>,
    /// Seconds without a word after which a kernel is ended, 0 for never; not part of a fingerprint.
    pub watchdog_seconds: u64,
    /// `[task]`
    pub task: Task,
    /// `[teacher]`
    pub teacher: Teacher,
    /// `[student]`
    pub student: Student,
    /// `[stages.*]`
    pub stages: Stages,
    /// `[goal]`: what the student must reach. Not part of a fingerprint.
    pub goals: Vec<Located<Goal>>,
}

/// A score that the student must reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// As in the file: `sst-2.accuracy`.
    pub name: String,
    /// The score, as `results.csv` names it.
    pub metric: String,
    /// The least that is wanted.
    pub at_least: f64,
}

/// Whose defaults stand for keys that are left out (`recipe.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// Jiao et al. 2020, arXiv 1909.10351.
    Paper,
    /// Huawei's `PyTorch` code.
    Huawei,
    /// MindSpore's code.
    Mindspore,
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
    /// MNLI's second development table, of other genres; scored beside the first.
    pub dev_mismatched: Option<Located<String>>,
    /// Share of `train` held out as dev, by hash of the text, so that duplicates stay on one side.
    pub dev_fraction: Option<Located<f64>>,
    /// How tables are cut into fields.
    pub format: TableFormat,
    /// Character between fields; detected where `None`.
    pub delimiter: Option<char>,
    /// Meaning of quotes around a field.
    pub quoting: Quoting,
    /// How a quote is written within a quoted field.
    pub escape: Escape,
    /// Column of the text (or of the first of a pair); a header's name.
    pub text: Located<String>,
    /// Column of the second text of a pair.
    pub pair: Option<Located<String>>,
    /// Column of the label.
    pub label: Located<String>,
    /// Whether labels are values on a scale and not classes.
    pub regression: bool,
    /// Label names in class order; found in the training table and sorted where `None`.
    pub labels: Option<Located<Vec<String>>>,
    /// Longest input in tokens, special tokens included; longer ones are cut.
    pub max_seq_length: Located<usize>,
}

/// Layout of the task's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskName {
    /// A task of GLUE, whose tables have a known form.
    Glue(GlueTask),
    /// The user's own table, columns by name.
    Custom,
}

impl Task {
    /// The score that the best model is chosen by.
    pub fn metric(&self) -> Metric {
        match *self.name {
            TaskName::Glue(task) => task.metric,
            TaskName::Custom if self.regression => Metric::Correlation,
            TaskName::Custom => Metric::Accuracy,
        }
    }
}

impl TaskName {
    /// Name in the file and in results.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Glue(task) => task.name,
            Self::Custom => "custom",
        }
    }
}

/// How a table is cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// By the file's ending: `.csv` is CSV, anything else TSV; delimiter and quoting are detected.
    Auto,
    /// Tabs, no quoting: a quote mark is a character like any other (GLUE).
    Tsv,
    /// CSV with quoting (RFC 4180); the delimiter is detected.
    Csv,
}

/// What double quotes around a field mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Quoting in CSV; in TSV where its rows need it.
    Auto,
    /// A field in quotes may hold delimiters and line ends.
    Quotes,
    /// A quote is a character like any other.
    None,
}

/// How a quote is written within a quoted field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Doubled, or with backslashes where the table needs them.
    Auto,
    /// Twice (RFC 4180).
    Doubled,
    /// With a backslash before it.
    Backslash,
}

/// `[teacher]`
#[derive(Debug, Clone, PartialEq)]
pub struct Teacher {
    /// Hugging Face folder.
    pub model: Located<String>,
    /// How the classifier reads the pooled output.
    pub head: HeadKind,
    /// What becomes of the model's own classifier in `finetune`.
    pub classifier: Located<ClassifierStart>,
}

/// The classifier that `finetune` starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassifierStart {
    /// The model's own; a new one where it has none.
    Auto,
    /// A new one with initial weights, whatever the model has.
    New,
}

/// `[student]`
#[derive(Debug, Clone, PartialEq)]
pub struct Student {
    /// Hugging Face folder to start from in place of random weights; the shape is then its own.
    pub model: Option<Located<String>>,
    /// Shape, where `model` is not given.
    pub shape: StudentShape,
    /// Distribution of initial weights.
    pub initializer: Initializer,
    /// How the classifier reads the pooled output.
    pub head: HeadKind,
    /// Which teacher layer each student layer learns from.
    pub layer_map: Located<LayerMapRule>,
    /// Number format of the weights that phase 2 writes.
    pub dtype: WeightDtype,
}

/// Shape of a student that starts from random weights. The padding id is the teacher's.
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
    /// Rows of the table of words; the teacher's where `None`, and no fewer.
    pub vocab_size: Option<Located<usize>>,
    /// Segments of an input; the teacher's where `None`.
    pub type_vocab_size: Option<Located<usize>>,
    /// Positions relative to each other, as MindSpore's BERT defines them, instead of absolute ones.
    pub use_relative_positions: bool,
}

/// How teacher layers are chosen (docs/concepts/losses.md#layer-mapping).
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
    /// Random weights in the shape of `[student]`.
    Random,
}

/// The word for [`ModelSource::Random`].
pub(super) const RANDOM: &str = "random";

/// What a fine-tuned teacher must show on dev before a stage learns from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GateRule {
    /// Better than guessing, and in no other reading clearly better.
    Auto,
    /// Nothing.
    Off,
    /// This accuracy.
    AtLeast(f64),
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
    /// Seed of this stage; the experiment's where `None`.
    pub seed: Option<u64>,
    /// Passes over the data.
    pub epochs: Located<u32>,
    /// Examples an optimizer step (divided by `gradient_accumulation_steps` for a micro-step).
    pub batch_size: Located<u32>,
    /// Micro-steps an optimizer step; divides `batch_size`.
    pub gradient_accumulation_steps: Located<u32>,
    /// `learning-rate`, `end-learning-rate`, `schedule`, `power`, the warm-up, `decay-from`
    pub schedule: Schedule,
    /// `optimizer`, `adam-beta1`, `adam-beta2`, `adam-epsilon`, `weight-decay`,
    /// `weight-decay-exempt`, `clipping`, `max-grad-norm`
    pub optimizer: Optimizer,
    /// `loss-scale`, `loss-scale-factor`, `loss-scale-window`; with `precision = "fp16"` only.
    pub loss_scaling: Option<LossScaling>,
    /// Another order each epoch; else the data's own.
    pub shuffle: bool,
    /// Leave out an epoch's last batch where it is not whole.
    pub drop_last: bool,
    /// How long rows are padded.
    pub pad_to: PadTo,
    /// Train on this many examples only, chosen by the seed.
    pub train_limit: Option<u64>,
    /// Steps between two rows of `metrics.csv`; not part of a fingerprint.
    pub log_interval: u64,
    /// Steps between two checkpoints, 0 for none by steps; not part of a fingerprint.
    pub checkpoint_interval: u64,
    /// Seconds between two checkpoints, 0 for none by time; not part of a fingerprint.
    pub checkpoint_seconds: u64,
    /// Newest checkpoints that are kept; not part of a fingerprint.
    pub checkpoint_keep: u32,
    /// Batches laid out ahead; not part of a fingerprint.
    pub prefetch: u32,
}

/// Settings of the intermediate-layer losses: general distillation and phase 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Distill {
    /// Factor of the attention loss.
    pub attention_weight: f64,
    /// Factor of the hidden-state loss.
    pub hidden_weight: f64,
    /// Factors of single student layers' attention losses; 1 each where `None`.
    pub attention_layer_weights: Option<Located<Vec<f64>>>,
    /// Factors of single hidden states' losses, the embeddings first; 1 each where `None`.
    pub hidden_layer_weights: Option<Located<Vec<f64>>>,
    /// What the losses average over.
    pub reduction: Reduction,
    /// Which hidden states share a projection.
    pub projection: Projection,
    /// Go on with the projection of the stage before; else from random weights.
    pub keep_projection: Located<bool>,
    /// Whether the teacher's dropout is active.
    pub teacher_dropout: bool,
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
    /// What the teacher must show first; not part of a fingerprint.
    pub gate: GateRule,
    /// Gigabytes of disk for the teacher's answers; not part of a fingerprint.
    pub teacher_memory: f64,
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
    /// Factor of the soft loss; 0 leaves it out.
    pub soft_loss_weight: f64,
    /// Factor of an added cross-entropy against the gold labels.
    pub hard_label_weight: f64,
    /// Whose value is learnt in a regression.
    pub regression_target: RegressionTarget,
    /// Whether the teacher's dropout is active.
    pub teacher_dropout: bool,
    /// What the teacher must show first; not part of a fingerprint.
    pub gate: GateRule,
    /// Gigabytes of disk for the teacher's answers; not part of a fingerprint.
    pub teacher_memory: f64,
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

words! {
    Recipe { "paper" => Paper, "huawei" => Huawei, "mindspore" => Mindspore }
    TableFormat { "auto" => Auto, "tsv" => Tsv, "csv" => Csv }
    Quoting { "auto" => Auto, "quotes" => Quotes, "none" => None }
    Escape { "auto" => Auto, "doubled" => Doubled, "backslash" => Backslash }
    LongLines { "split" => Split, "truncate" => Truncate }
    Keep { "best" => Best, "last" => Last }
    ClassifierStart { "auto" => Auto, "new" => New }
}
