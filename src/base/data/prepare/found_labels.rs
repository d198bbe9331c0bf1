//! Labels of a task that names none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::pump::{Watch, shown};
use crate::data::error::DataError;
use crate::data::labels::{LabelSet, MAX_LABELS};
use crate::data::table::{TableLayout, TableReader, TableRow};

/// Rows from which on as many labels as rows are an identifier's.
pub(in crate::data) const ENOUGH_ROWS: u64 = 10;

/// Labels of rows with text.
#[derive(Default)]
struct Labels {
    /// Rows of each.
    found: BTreeMap<String, u64>,
    with_text: u64,
    /// Rows whose label is their text.
    with_own_text: u64,
}

impl Labels {
    fn add(&mut self, row: TableRow) {
        self.with_text += 1;
        self.with_own_text += u64::from(row.text.trim() == row.label);
        *self.found.entry(row.label).or_default() += 1;
    }

    fn are_texts(&self) -> bool {
        self.with_text == self.with_own_text
    }
}

/// Reads the training tables once for the labels of their rows with text.
pub(super) fn find_labels(
    train: &[PathBuf],
    layout: &TableLayout,
    watch: &Watch,
) -> Result<LabelSet, DataError> {
    let mut labels = Labels::default();
    let first = || train.first().cloned().unwrap_or_default();
    for path in train {
        let mut table = TableReader::open(path, layout)?;
        let mut rows = 0_u64;
        while let Some(row) = table.next_row()? {
            rows += 1;
            if rows.is_multiple_of(4096) {
                watch.check()?;
            }
            if row.is_blank() {
                continue;
            }
            labels.add(row);
            if labels.found.len() > MAX_LABELS {
                return Err(if labels.are_texts() {
                    DataError::LabelIsText { path: first() }
                } else {
                    DataError::LabelsMany {
                        path: first(),
                        column: layout.label.clone(),
                        limit: MAX_LABELS,
                    }
                });
            }
        }
        if rows == 0 {
            return Err(no_rows(path));
        }
    }
    classes(labels, train, layout)
}

/// The classes that labels make, if they do.
fn classes(labels: Labels, train: &[PathBuf], layout: &TableLayout) -> Result<LabelSet, DataError> {
    let path = train.first().cloned().unwrap_or_default();
    if labels.with_text > 1 && labels.are_texts() {
        return Err(DataError::LabelIsText { path });
    }
    let (rows, mut found) = (labels.with_text, labels.found);
    if rows >= ENOUGH_ROWS && found.len() as u64 == rows {
        return Err(DataError::LabelsDiffer {
            path,
            column: layout.label.clone(),
            rows,
        });
    }
    match found.len() {
        0 => Err(no_text(train)),
        1 => Err(DataError::LabelSingle {
            path,
            label: found
                .pop_first()
                .map_or_else(String::new, |(label, _)| label),
        }),
        _ => Ok(LabelSet::sorted(found.into_keys().collect())),
    }
}

/// A table is a header and nothing else.
pub(super) fn no_rows(table: &Path) -> DataError {
    DataError::NoRows {
        paths: shown(&[table.to_owned()]),
        what: "rows below the header",
    }
}

/// All rows of the tables are blank.
pub(super) fn no_text(tables: &[PathBuf]) -> DataError {
    DataError::NoRows {
        paths: shown(tables),
        what: "row with a text",
    }
}
