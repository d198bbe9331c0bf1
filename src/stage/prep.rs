//! The preparations, done in this process: tables and raw text to token stores.

use std::cell::RefCell;
use std::path::PathBuf;

use super::place::Place;
use super::{Interrupts, Notice, Observer, StageError};
use crate::data::{
    CorpusSettings, DataError, Dev, DialectRule, LabelRule, LabelSet, PrepReport, SplitReport,
    TableLayout, TaskSettings, Watch, corpus, prepare_corpus, prepare_task,
};
use crate::experiment::{LongLines, StageName, Task, TaskName, dialect_rule};
use crate::job::Event;
use crate::plan::InputFile;
use crate::runs::{Prepared, Summary};

/// Does data-prep or corpus-prep into the stage's work folder.
pub(super) fn prepare(
    place: &Place<'_>,
    interrupts: &Interrupts,
    observer: &mut dyn Observer,
) -> Result<Summary, StageError> {
    let stage = place.stage();
    let observer = RefCell::new(observer);
    let progress = |done, total| {
        observer
            .borrow_mut()
            .notice(&Notice::Preparing { stage, done, total });
    };
    let watch = Watch {
        progress: &progress,
        stop: interrupts.asked(),
    };
    let result = if stage == StageName::DataPrep {
        prepare_task(&task_settings(place), place.work, watch)
    } else {
        prepare_corpus(&corpus_settings(place), place.work, watch)
    };
    let report = result.map_err(|error| match error {
        DataError::Interrupted => StageError::Interrupted {
            stage: Some(stage),
            step: None,
        },
        error => StageError::Prep {
            stage,
            hint: error.hint(),
            message: error.to_string(),
        },
    })?;
    for message in &report.warnings {
        let event = Event::Warning {
            message: message.clone(),
        };
        observer.borrow_mut().notice(&Notice::Kernel {
            stage,
            event: &event,
        });
    }
    Ok(Summary {
        prepared: Some(counts(&report)),
        ..Summary::default()
    })
}

/// Files that a preparation owes.
pub(super) fn promised(stage: StageName) -> Vec<&'static str> {
    let mut files = vec!["report.json", "train/store.json"];
    if stage == StageName::DataPrep {
        files.push("dev/store.json");
    }
    files
}

fn paths(files: &[InputFile]) -> Vec<PathBuf> {
    files.iter().map(|file| file.path.clone()).collect()
}

fn task_settings(place: &Place<'_>) -> TaskSettings {
    let task = &place.experiment.task;
    let glue = match *task.name {
        TaskName::Glue(glue) => Some(glue),
        TaskName::Custom => None,
    };
    let dev = match (place.inputs.dev.first(), &task.dev_fraction) {
        (Some(file), _) => Dev::Table(file.path.clone()),
        (None, fraction) => Dev::Fraction(fraction.as_ref().map_or(0.0, |share| **share)),
    };
    TaskSettings {
        train: paths(&place.inputs.train),
        dev,
        layout: TableLayout {
            dialect: dialect(task),
            text: task.text.value.clone(),
            pair: task.pair.as_ref().map(|column| column.value.clone()),
            label: task.label.value.clone(),
            columns: glue.and_then(|glue| {
                let names = glue.columns?.iter();
                Some(names.map(|&name| name.to_owned()).collect())
            }),
            skip_short: glue.is_some_and(|glue| glue.short_rows),
        },
        more_dev: place
            .inputs
            .dev_mismatched
            .iter()
            .map(|file| ("dev-mismatched".to_owned(), file.path.clone()))
            .collect(),
        labels: labels(task),
        tokenizer: place.model("tokenizer").unwrap_or_default(),
        max_seq_length: *task.max_seq_length,
    }
}

/// How the tables are cut, as far as the file says. Those of GLUE have quotes that are characters.
fn dialect(task: &Task) -> DialectRule {
    DialectRule {
        literal_tsv: *task.name != TaskName::Custom,
        ..dialect_rule(task.format, task.delimiter, task.quoting, task.escape)
    }
}

fn labels(task: &Task) -> LabelRule {
    let names = task.labels.as_ref().map(|labels| labels.value.clone());
    if task.regression {
        return LabelRule::Values;
    }
    match (*task.name, names) {
        (TaskName::Glue(glue), None) => LabelRule::Given(LabelSet::spelt(
            glue.spellings,
            glue.labels.iter().map(|&name| name.to_owned()).collect(),
        )),
        (TaskName::Glue(glue), Some(names)) => {
            // GLUE's own names in another order are another order of the classes; other names
            // are other names.
            let place = |name: &String| glue.labels.iter().position(|known| known == name);
            let order: Option<Vec<usize>> = names.iter().map(place).collect();
            let spellings: Vec<&str> = match order {
                Some(order) => order.iter().map(|&class| glue.spellings[class]).collect(),
                None => glue.spellings.to_vec(),
            };
            LabelRule::Given(LabelSet::spelt(&spellings, names))
        }
        (TaskName::Custom, Some(names)) => LabelRule::Given(LabelSet::named(names)),
        (TaskName::Custom, None) => LabelRule::Found,
    }
}

fn corpus_settings(place: &Place<'_>) -> CorpusSettings {
    let stage = place.experiment.stages.general_distill.as_ref();
    let stage = stage.expect("the graph holds stages that are in the experiment");
    CorpusSettings {
        files: paths(&place.inputs.corpus),
        tokenizer: place.model("tokenizer").unwrap_or_default(),
        max_seq_length: *stage.corpus.max_seq_length,
        long_lines: match stage.corpus.long_lines {
            LongLines::Split => corpus::LongLines::Split,
            LongLines::Truncate => corpus::LongLines::Truncate,
        },
    }
}

/// What the record keeps of the report.
fn counts(report: &PrepReport) -> Prepared {
    let total = |of: fn(&SplitReport) -> u64| report.splits.iter().map(of).sum();
    Prepared {
        examples: report
            .splits
            .iter()
            .map(|split| (split.name.clone(), split.rows_out))
            .collect(),
        labels: report.splits.first().map_or_else(Vec::new, |split| {
            let names = split.labels.iter();
            names.map(|label| label.name.clone()).collect()
        }),
        tokens: total(|split| split.tokens),
        truncated: total(|split| split.truncated),
        unknown: total(|split| split.unknown),
        blank: total(|split| split.blank),
        train_texts_in_dev: report.train_texts_in_dev,
    }
}
