//! The tasks of GLUE: the form of their tables, their classes in order, and what the paper
//! trains them with. Sources: docs/concepts/pipeline.md#encoded-examples; Wang et al. 2018, arXiv 1804.07461.

use crate::job::Metric;

/// A task of GLUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlueTask {
    /// Name in the file and in `results.csv`.
    pub name: &'static str,
    /// Column of the text, or of the first of a pair.
    pub text: &'static str,
    /// Column of the second of a pair.
    pub pair: Option<&'static str>,
    /// Column of the label.
    pub label: &'static str,
    /// Names of all columns, where the tables have no header.
    pub columns: Option<&'static [&'static str]>,
    /// Whether the tables hold lines with too few columns, which are left out.
    pub short_rows: bool,
    /// Labels as the tables spell them, in class order.
    pub spellings: &'static [&'static str],
    /// What they mean.
    pub labels: &'static [&'static str],
    /// Whether labels are values on a scale and not classes.
    pub regression: bool,
    /// The score that GLUE reports, and that the best model is chosen by.
    pub metric: Metric,
    /// Longest input of the paper in tokens: 64 for single sentences, 128 for pairs.
    pub max_seq_length: usize,
    /// The paper's epochs of phase 1.
    pub phase1_epochs: u32,
}

impl GlueTask {
    /// Names of the classes, in order.
    pub(super) fn label_names(&self) -> Vec<String> {
        self.labels.iter().map(|&label| label.to_owned()).collect()
    }
}

const DIGITS: &[&str] = &["0", "1"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];

/// GLUE SST-2: sentiment of movie reviews.
pub const SST2: GlueTask = GlueTask {
    name: "sst-2",
    text: "sentence",
    pair: None,
    label: "label",
    columns: None,
    short_rows: false,
    spellings: DIGITS,
    labels: &["negative", "positive"],
    regression: false,
    metric: Metric::Accuracy,
    max_seq_length: 64,
    phase1_epochs: 20,
};

/// GLUE `CoLA`: whether a sentence is grammatical. Its tables have no header.
pub const COLA: GlueTask = GlueTask {
    name: "cola",
    columns: Some(&["source", "label", "mark", "sentence"]),
    labels: &["unacceptable", "acceptable"],
    metric: Metric::MatthewsCorr,
    phase1_epochs: 50,
    ..SST2
};

/// GLUE MRPC: whether two sentences are paraphrases.
pub const MRPC: GlueTask = GlueTask {
    name: "mrpc",
    text: "#1 String",
    pair: Some("#2 String"),
    label: "Quality",
    labels: &["not_equivalent", "equivalent"],
    max_seq_length: 128,
    ..SST2
};

/// GLUE QQP: whether two questions are the same. A few of its lines are cut short.
pub const QQP: GlueTask = GlueTask {
    name: "qqp",
    text: "question1",
    pair: Some("question2"),
    label: "is_duplicate",
    short_rows: true,
    labels: &["not_duplicate", "duplicate"],
    phase1_epochs: 10,
    ..MRPC
};

/// GLUE MNLI: whether a sentence follows from another.
pub const MNLI: GlueTask = GlueTask {
    name: "mnli",
    text: "sentence1",
    pair: Some("sentence2"),
    label: "gold_label",
    spellings: MNLI_LABELS,
    labels: MNLI_LABELS,
    phase1_epochs: 10,
    ..MRPC
};

/// The order of Google's, Huawei's and MindSpore's code; teachers of `transformers` often have
/// another, which their `id2label` tells.
const MNLI_LABELS: &[&str] = &["contradiction", "entailment", "neutral"];

/// GLUE QNLI: whether a sentence answers a question.
pub const QNLI: GlueTask = GlueTask {
    name: "qnli",
    text: "question",
    pair: Some("sentence"),
    label: "label",
    spellings: ENTAILMENT,
    labels: ENTAILMENT,
    phase1_epochs: 10,
    ..MRPC
};

/// GLUE RTE: whether a sentence follows from another.
pub const RTE: GlueTask = GlueTask {
    name: "rte",
    text: "sentence1",
    pair: Some("sentence2"),
    phase1_epochs: 20,
    ..QNLI
};

/// GLUE WNLI: whether a sentence with its pronoun resolved follows.
pub const WNLI: GlueTask = GlueTask {
    name: "wnli",
    spellings: DIGITS,
    labels: &["not_entailment", "entailment"],
    ..RTE
};

/// GLUE STS-B: how similar two sentences are, from 0 to 5.
pub const STSB: GlueTask = GlueTask {
    name: "sts-b",
    text: "sentence1",
    pair: Some("sentence2"),
    label: "score",
    spellings: &[],
    labels: &[],
    regression: true,
    metric: Metric::Correlation,
    ..MRPC
};

/// Every task of GLUE.
pub const TASKS: [GlueTask; 9] = [SST2, COLA, MRPC, QQP, STSB, MNLI, QNLI, RTE, WNLI];
