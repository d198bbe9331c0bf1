//! The label of a table: whether training would take it, and its classes.

use std::path::Path;

use super::column::Column;
use crate::data::error::DataError;
use crate::data::labels::{LabelSet, MAX_LABELS};
use crate::data::prepare::ENOUGH_ROWS;

/// Refuses a label that training would refuse.
pub(super) fn check_label(path: &Path, label: &Column, name: &str) -> Result<(), DataError> {
    if label.is_scale() {
        return Ok(());
    }
    let (path, column) = (path.to_owned(), name.to_owned());
    let error = if label.is_wide {
        DataError::LabelsMany {
            path,
            column,
            limit: MAX_LABELS,
        }
    } else if label.values.len() as u64 == label.rows && label.rows >= ENOUGH_ROWS {
        DataError::LabelsDiffer {
            path,
            column,
            rows: label.rows,
        }
    } else if label.values.len() < 2 {
        let label = label.values.keys().next().cloned().unwrap_or_default();
        DataError::LabelSingle { path, label }
    } else {
        return Ok(());
    };
    Err(error)
}

/// Classes in the order that training gives them.
pub(super) fn classes_of(label: &Column) -> Vec<(String, u64)> {
    if label.is_scale() {
        return Vec::new();
    }
    let found = label.values.keys().filter(|name| !name.is_empty()).cloned();
    let names = LabelSet::sorted(found.collect());
    let names = names.names().iter();
    names
        .map(|name| (name.clone(), label.values[name]))
        .collect()
}
