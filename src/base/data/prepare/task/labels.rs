//! The label of a table's row.

use std::path::Path;

use crate::data::error::{DataError, Place};
use crate::data::labels::{LabelRule, LabelSet};
use crate::data::table::TableRow;

/// Class of a row, also as a number, or its value.
pub(super) fn label_of(
    row: &TableRow,
    path: &Path,
    labels: &LabelSet,
    rule: &LabelRule,
) -> Result<(Option<usize>, f32), DataError> {
    let found = match rule {
        LabelRule::Values => row
            .label
            .parse()
            .ok()
            .filter(|value: &f32| value.is_finite())
            .map(|value| (None, value)),
        _ => labels
            .class(&row.label)
            .map(|class| (Some(class), class as f32)),
    };
    found.ok_or_else(|| {
        let (place, label) = (Place::new(path, row.line), row.label.clone());
        let known = labels.spellings().to_vec();
        match rule {
            LabelRule::Values => DataError::LabelNoNumber { place, label },
            LabelRule::Given(_) => DataError::LabelUnknown {
                place,
                label,
                allowed: known,
            },
            LabelRule::Found => DataError::LabelUnseen {
                place,
                label,
                found: known,
            },
        }
    })
}
