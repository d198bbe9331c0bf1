//! Columns of a table by name, and rows that have others than the header.

use super::Table;
use crate::data::error::{DataError, Place};

/// Place of a column in the header, whose names are trimmed.
pub(super) fn find_column(
    names: &[String],
    column: &str,
    place: &Place,
    is_given: bool,
) -> Result<usize, DataError> {
    // As the header's names are trimmed, so is what is looked for.
    let column = column.trim();
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == column);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => Err(DataError::ColumnTwice {
            place: place.clone(),
            column: column.to_owned(),
        }),
        (None, _) => Err(DataError::ColumnMissing {
            place: place.clone(),
            column: column.to_owned(),
            there: names.to_vec(),
            is_given,
        }),
    }
}

impl Table {
    /// Why a row of another number of columns is none.
    pub(super) fn wrong_columns(&self, line: u64, found: usize) -> DataError {
        let place = Place::new(&self.path, line);
        if self.has_header {
            DataError::Columns {
                place,
                found,
                expected: self.names.len(),
                dialect: self.dialect(),
            }
        } else {
            DataError::ColumnsOfTask {
                place,
                found,
                names: self.names.clone(),
            }
        }
    }
}
