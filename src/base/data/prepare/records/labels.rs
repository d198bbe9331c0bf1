//! Labels of records: numbers of classes, or values.

use std::path::PathBuf;

use super::reading::At;
use crate::data::error::DataError;
use crate::data::labels::{LabelRule, MAX_LABELS};
use crate::data::records::{Label, RecordFault};
use crate::data::report::LabelCount;

/// What a label may be.
pub(super) enum Classes {
    /// One of these, by its number.
    Given(Vec<String>),
    /// Any number of a class; as many as the training records have.
    Found,
    /// A value on a scale.
    Values,
    /// Nothing: rows have none.
    None,
}

impl Classes {
    pub(super) fn of(rule: &LabelRule) -> Self {
        match rule {
            LabelRule::Given(set) => Self::Given(set.names().to_vec()),
            LabelRule::Found => Self::Found,
            LabelRule::Values => Self::Values,
        }
    }

    /// Class of a label, where there are classes, and the number that is stored.
    pub(super) fn value(&self, label: Label) -> Result<(Option<usize>, f32), RecordFault> {
        let classes = match self {
            Self::Given(names) => names.len(),
            Self::Found => MAX_LABELS,
            Self::Values | Self::None => {
                let value = match label {
                    Label::Int(value) => value as f32,
                    Label::Float(value) => value,
                };
                let value = Some(value).filter(|value| value.is_finite());
                return value
                    .map(|value| (None, value))
                    .ok_or(RecordFault::NotFinite);
            }
        };
        let Label::Int(label) = label else {
            return Err(RecordFault::Kind {
                column: "label_ids".to_owned(),
                found: "floats",
                expected: "a class",
            });
        };
        let class = usize::try_from(label).ok().filter(|&it| it < classes);
        let last = classes.saturating_sub(1);
        let class = class.ok_or(RecordFault::Label { label, last })?;
        Ok((Some(class), class as f32))
    }

    /// Names of the classes, once all records are read. `seen` are those of train and of the other splits.
    ///
    /// # Errors
    /// Where a record of another split has a class that no training record has, or there is one class only.
    pub(super) fn names(
        &self,
        seen: &[&Seen],
        train: &[PathBuf],
    ) -> Result<Vec<String>, DataError> {
        match self {
            Self::Given(names) => return Ok(names.clone()),
            Self::Values | Self::None => return Ok(Vec::new()),
            Self::Found => {}
        }
        let classes = seen.first().map_or(0, |seen| seen.classes.len());
        for seen in seen {
            if let Some((class, place)) = &seen.highest
                && *class >= classes
            {
                let fault = RecordFault::Label {
                    label: i64::try_from(*class).unwrap_or(i64::MAX),
                    last: classes.saturating_sub(1),
                };
                return Err(place.error(fault));
            }
        }
        if seen.first().is_some_and(|seen| seen.different() < 2) {
            return Err(DataError::LabelSingle {
                path: train.first().cloned().unwrap_or_default(),
                label: classes.saturating_sub(1).to_string(),
            });
        }
        Ok((0..classes).map(|class| class.to_string()).collect())
    }
}

/// Classes of a split's records.
#[derive(Default)]
pub(super) struct Seen {
    /// Records of each class.
    classes: Vec<u64>,
    /// The highest class and the first record that has it.
    highest: Option<(usize, Origin)>,
}

/// A place that outlives its reader.
struct Origin {
    path: PathBuf,
    number: u64,
    byte: u64,
}

impl Origin {
    fn error(&self, fault: RecordFault) -> DataError {
        let (number, byte) = (self.number, self.byte);
        let path = &self.path;
        At { path, number, byte }.error(fault)
    }
}

impl Seen {
    pub(super) fn add(&mut self, class: Option<usize>, at: At<'_>) {
        let Some(class) = class else {
            return;
        };
        if class >= self.classes.len() {
            self.classes.resize(class + 1, 0);
            let origin = Origin {
                path: at.path.to_owned(),
                number: at.number,
                byte: at.byte,
            };
            self.highest = Some((class, origin));
        }
        self.classes[class] += 1;
    }

    /// Classes that have a record.
    fn different(&self) -> usize {
        self.classes.iter().filter(|count| **count > 0).count()
    }

    /// Records by class.
    pub(super) fn counts(&self, names: &[String]) -> Vec<LabelCount> {
        let counts = names.iter().enumerate().map(|(class, name)| LabelCount {
            name: name.clone(),
            examples: self.classes.get(class).copied().unwrap_or(0),
        });
        counts.collect()
    }
}
