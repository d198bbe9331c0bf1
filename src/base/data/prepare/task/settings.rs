//! What a task is prepared from.

use std::path::PathBuf;
use std::slice;

use crate::data::labels::LabelRule;
use crate::data::own_stores::OwnStores;
use crate::data::prepare::predictions::PredictionSettings;
use crate::data::table::TableLayout;

/// Where the dev examples come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Dev {
    /// A table of its own, with the columns of the training tables.
    Table(PathBuf),
    /// This share of the training tables, 0 to 1, by hash of the text.
    Fraction(f64),
}

/// What [`prepare_task`](super::prepare_task) works on.
#[derive(Debug, Clone)]
pub struct TaskSettings {
    /// Training tables, in the order to be read.
    pub train: Vec<PathBuf>,
    /// Dev examples.
    pub dev: Dev,
    /// Further tables to score on: the folder of the store, and the table.
    pub more_dev: Vec<(String, PathBuf)>,
    /// Files with texts that have no label, which stand behind the training rows in a store of their own.
    pub unlabelled: Vec<PathBuf>,
    /// A teacher's answers to the training rows.
    pub predictions: Option<PredictionSettings>,
    /// Columns of all tables.
    pub layout: TableLayout,
    /// Classes.
    pub labels: LabelRule,
    /// Folder of the tokenizer.
    pub tokenizer: PathBuf,
    /// Folder of a tokenizer that the student keeps, with the same tokens under other ids: rows that it splits
    /// otherwise are counted.
    pub students: Option<PathBuf>,
    /// Folders of further tokenizers, each of which cuts every text into stores of its own.
    pub further: Vec<(OwnStores, PathBuf)>,
    /// Longest example in tokens, special tokens included.
    pub max_seq_length: usize,
}

impl TaskSettings {
    pub(super) fn has_pairs(&self) -> bool {
        self.layout.pair.is_some()
    }

    /// The table of dev examples, if there is one.
    pub(super) fn dev_table(&self) -> &[PathBuf] {
        match &self.dev {
            Dev::Table(path) => slice::from_ref(path),
            Dev::Fraction(_) => &[],
        }
    }

    /// All files, in the order to be read.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let more: Vec<PathBuf> = self.more_dev.iter().map(|(_, path)| path.clone()).collect();
        let answers = self.predictions.as_ref();
        let answers: &[PathBuf] = answers.map_or(&[], |answers| &answers.files);
        [
            self.dev_table(),
            &more,
            &self.train,
            &self.unlabelled,
            answers,
        ]
        .concat()
    }
}
