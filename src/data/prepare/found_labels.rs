//! Labels of a task that names none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::pump::{Watch, shown};
use crate::data::error::DataError;
use crate::data::labels::{LabelSet, MAX_LABELS};
use crate::data::table::{TableLayout, TableReader};

/// Reads the training tables once for the labels of their rows with text.
pub(super) fn find_labels(
    train: &[PathBuf],
    layout: &TableLayout,
    watch: &Watch,
) -> Result<LabelSet, DataError> {
    let mut found = BTreeSet::new();
    let first = || train.first().cloned().unwrap_or_default();
    for path in train {
        let mut table = TableReader::open(path, layout)?;
        let mut rows = 0_u64;
        while let Some(row) = table.next_row()? {
            rows += 1;
            if rows.is_multiple_of(4096) {
                watch.check()?;
            }
            if row.is_blank() || found.contains(&row.label) {
                continue;
            }
            found.insert(row.label);
            if found.len() > MAX_LABELS {
                return Err(DataError::LabelsMany {
                    path: first(),
                    column: layout.label.clone(),
                    limit: MAX_LABELS,
                });
            }
        }
        if rows == 0 {
            return Err(no_rows(path));
        }
    }
    match found.len() {
        0 => Err(no_text(train)),
        1 => Err(DataError::LabelSingle {
            path: first(),
            label: found.pop_first().unwrap_or_default(),
        }),
        _ => Ok(LabelSet::sorted(found)),
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
