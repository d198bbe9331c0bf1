//! What is checked before the first stage that needs the kernel: that the given models fit the
//! data, which is known once data-prep is done, and that their weights are numbers.

use super::StageError;
use super::place::Place;
use crate::experiment::{Stage, What};
use crate::model::Weights;
use crate::plan::{Classes, check_classifiers};
use crate::runs::{Prepared, Record};

/// Checks all models of the experiment, also those of later stages: hours may lie between.
///
/// # Errors
/// The first model that does not fit the data or has a number that is not finite.
pub(super) fn check_models(place: &Place<'_>) -> Result<(), StageError> {
    let is_prepared = |record: &Record| record.summary.prepared.is_some();
    if !place.done.values().all(is_prepared) {
        return Ok(());
    }
    let stage = place.name();
    if let Some(data) = data(place) {
        let folders = &place.inputs.folders;
        let classes = Some(Classes::of(&data.labels));
        let faults = check_classifiers(place.experiment, folders, classes);
        if let Some(fault) = faults.into_iter().next() {
            return Err(StageError::Unfit {
                stage,
                message: fault.message,
                hint: fault.hint,
            });
        }
    }
    for folder in place.inputs.folders.values() {
        let found = Weights::open(&folder.model).and_then(|weights| weights.check_finite());
        let stage = stage.clone();
        found.map_err(|source| StageError::Model { stage, source })?;
    }
    Ok(())
}

/// What was found in the task's tables.
fn data<'a>(place: &'a Place<'_>) -> Option<&'a Prepared> {
    let rows = |stage: &&Stage| {
        let mut made = stage.makes().into_iter();
        made.any(|made| made.what == What::Rows)
    };
    let stage = place.experiment.stages.iter().find(rows)?;
    let record = place.done.get(&stage.name)?;
    record.summary.prepared.as_ref()
}
