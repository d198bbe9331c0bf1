//! Keys of tables and texts that mean nothing to records, and the other way round.

use super::schema::{CorpusFormat, TaskFormat};
use super::setting::Setting;
use crate::data::RecordFormat;
use crate::document::{Fault, Section};

/// Keys of `[task]` that describe tables.
const OF_TABLES: [&str; 6] = ["delimiter", "quoting", "escape", "text", "pair", "label"];

/// Checks the keys of `[task]` against its format.
pub(super) fn check_records(format: TaskFormat, task: &Section<'_>) {
    if let Some(records) = format.records() {
        let word = format.value();
        for key in OF_TABLES.into_iter().filter(|key| task.has(key)) {
            let message = format!("`{key}` in `[task]` is for tables, and `format` is {word}");
            let fault = Fault::new(message, task.key_span(key));
            task.unfit(fault.with_label(format!("{} data contain no text", records.name())));
        }
    }
    check_schema(task, "schema", format.records(), format == TaskFormat::Auto);
}

/// Keys of a corpus of text.
const OF_TEXT: [&str; 2] = ["long-lines", "windows"];

/// Checks the keys of a corpus against its format.
pub(super) fn check_corpus(format: CorpusFormat, stage: &Section<'_>) {
    if format.records().is_some() {
        let word = format.value();
        for key in OF_TEXT.into_iter().filter(|key| stage.has(key)) {
            let message = format!("`{key}` is for text, and `corpus-format` is {word}");
            stage.unfit(Fault::new(message, stage.key_span(key)));
        }
    }
    let is_auto = format == CorpusFormat::Auto;
    check_schema(stage, "corpus-schema", format.records(), is_auto);
}

/// A schema is for TFRecord. Where the format is not known yet, it is checked once it is.
fn check_schema(section: &Section<'_>, key: &str, format: Option<RecordFormat>, is_auto: bool) {
    if !section.has(key) || format == Some(RecordFormat::TfRecord) || is_auto {
        return;
    }
    let message = format!("{} is for TFRecord data", section.name(key));
    let fault = Fault::new(message, section.key_span(key));
    section.unfit(match format {
        Some(_) => fault.with_label("a MindRecord file holds its own schema"),
        None => fault.with_label("the data are not records"),
    });
}
