//! Labels of a task that names none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::pump::{Watch, shown};
use crate::data::error::DataError;
use crate::data::labels::{LabelSet, MAX_LABELS};
use crate::data::table::{TableLayout, TableReader};

/// Rows from which on as many labels as rows are an identifier's.
pub(in crate::data) const ENOUGH_ROWS: u64 = 10;

/// Reads the training tables once for the labels of their rows with text.
pub(super) fn find_labels(
    train: &[PathBuf],
    layout: &TableLayout,
    watch: &Watch,
) -> Result<LabelSet, DataError> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let (mut with_text, mut with_own_text) = (0_u64, 0_u64);
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
            with_text += 1;
            with_own_text += u64::from(row.text.trim() == row.label);
            if let Some(count) = found.get_mut(&row.label) {
                *count += 1;
                continue;
            }
            found.insert(row.label, 1);
            if found.len() > MAX_LABELS {
                if with_text == with_own_text {
                    return Err(DataError::LabelIsText { path: first() });
                }
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
    if with_text > 1 && with_text == with_own_text {
        return Err(DataError::LabelIsText { path: first() });
    }
    if with_text >= ENOUGH_ROWS && found.len() as u64 == with_text {
        return Err(DataError::LabelsDiffer {
            path: first(),
            column: layout.label.clone(),
            rows: with_text,
        });
    }
    match found.len() {
        0 => Err(no_text(train)),
        1 => Err(DataError::LabelSingle {
            path: first(),
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
