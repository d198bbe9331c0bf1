//! Values of keys that are words, or a word and something else.

use super::glue::GlueTask;
use super::setting::choices;
use super::stage_name::StageName;
use crate::data::RecordFormat;
use crate::job::{LayerMap, words};

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

/// Layout of the task's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskName {
    /// A task of GLUE, whose tables have a known form.
    Glue(GlueTask),
    /// The user's own table, columns by name.
    #[default]
    Custom,
}

impl TaskName {
    /// Name in the file and in results.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Glue(task) => task.name,
            Self::Custom => "custom",
        }
    }

    /// The task of GLUE, if it is one.
    pub(super) fn glue(&self) -> Option<&GlueTask> {
        match self {
            Self::Glue(task) => Some(task),
            Self::Custom => None,
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

/// What the task's data are: `format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskFormat {
    /// Tables as [`TableFormat::Auto`], or records where the first training file is one of records.
    Auto,
    /// Tables as [`TableFormat::Tsv`].
    Tsv,
    /// Tables as [`TableFormat::Csv`].
    Csv,
    /// Records of TensorFlow.
    TfRecord,
    /// Records of MindSpore.
    MindRecord,
}

impl TaskFormat {
    /// How tables are cut.
    pub fn table(self) -> TableFormat {
        match self {
            Self::Tsv => TableFormat::Tsv,
            Self::Csv => TableFormat::Csv,
            Self::Auto | Self::TfRecord | Self::MindRecord => TableFormat::Auto,
        }
    }

    /// The format of records; `None` for tables.
    pub fn records(self) -> Option<RecordFormat> {
        match self {
            Self::TfRecord => Some(RecordFormat::TfRecord),
            Self::MindRecord => Some(RecordFormat::MindRecord),
            Self::Auto | Self::Tsv | Self::Csv => None,
        }
    }
}

/// What a corpus is: `corpus-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorpusFormat {
    /// Text, or records where the first file is one of records.
    Auto,
    /// One paragraph per line.
    Text,
    /// Records of TensorFlow.
    TfRecord,
    /// Records of MindSpore.
    MindRecord,
}

impl CorpusFormat {
    /// The format of records; `None` for text.
    pub fn records(self) -> Option<RecordFormat> {
        match self {
            Self::TfRecord => Some(RecordFormat::TfRecord),
            Self::MindRecord => Some(RecordFormat::MindRecord),
            Self::Auto | Self::Text => None,
        }
    }
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

/// The classifier that `finetune` starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassifierStart {
    /// The model's own; a new one where it has none.
    Auto,
    /// A new one with initial weights, whatever the model has.
    New,
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
    /// Those of the teacher that the student started from.
    Layers,
    /// As listed.
    Explicit(LayerMap),
}

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

/// What happens to a line of a corpus that is longer than `max-seq-length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongLines {
    /// Cut into several examples; nothing is lost.
    Split,
    /// The rest is dropped, and counted in the report.
    Truncate,
}

/// What the examples of a corpus are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowForm {
    /// A line each.
    Lines,
    /// Pairs of texts, from documents with a sentence per line.
    Sentences,
    /// Pairs of texts, from documents with a paragraph per line.
    Paragraphs,
    /// A document's tokens, without waste.
    Packed,
}

words! {
    WindowForm {
        "lines" => Lines, "sentences" => Sentences, "paragraphs" => Paragraphs, "packed" => Packed
    }
    Recipe { "paper" => Paper, "huawei" => Huawei, "mindspore" => Mindspore }
    TableFormat { "auto" => Auto, "tsv" => Tsv, "csv" => Csv }
    TaskFormat {
        "auto" => Auto, "tsv" => Tsv, "csv" => Csv, "tfrecord" => TfRecord, "mindrecord" => MindRecord
    }
    CorpusFormat {
        "auto" => Auto, "text" => Text, "tfrecord" => TfRecord, "mindrecord" => MindRecord
    }
    Quoting { "auto" => Auto, "quotes" => Quotes, "none" => None }
    Escape { "auto" => Auto, "doubled" => Doubled, "backslash" => Backslash }
    LongLines { "split" => Split, "truncate" => Truncate }
    ClassifierStart { "auto" => Auto, "new" => New }
}

choices! {
    WindowForm, Recipe, TableFormat, TaskFormat, CorpusFormat, Quoting, Escape, LongLines, ClassifierStart
}
