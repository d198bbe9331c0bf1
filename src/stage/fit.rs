//! What is checked before the first stage that needs the kernel: that the given models fit the
//! data, which is known once data-prep is done, and that their weights are numbers.

use super::StageError;
use super::place::Place;
use crate::experiment::StageName;
use crate::model::Weights;
use crate::plan::{Classes, check_classifiers, graph};

/// Checks all models of the experiment, also those of later stages: hours may lie between.
///
/// # Errors
/// The first model that does not fit the data or has a number that is not finite.
pub(super) fn check_models(place: &Place<'_>) -> Result<(), StageError> {
    let is_prep = |stage: &StageName| matches!(stage, StageName::DataPrep | StageName::CorpusPrep);
    if place.done.keys().any(|stage| !is_prep(stage)) {
        return Ok(());
    }
    let stage = place.stage();
    let data = place.done.get(&StageName::DataPrep);
    if let Some(data) = data.and_then(|record| record.summary.prepared.as_ref()) {
        let nodes = graph(place.experiment);
        let folders = &place.inputs.folders;
        let classes = Some(Classes::of(&data.labels));
        let faults = check_classifiers(place.experiment, &nodes, folders, classes);
        if let Some(fault) = faults.into_iter().next() {
            return Err(StageError::Unfit {
                stage,
                message: fault.message,
                hint: fault.hint,
            });
        }
    }
    for folder in place.inputs.folders.values() {
        let found = Weights::open(&folder.path).and_then(|weights| weights.check_finite());
        found.map_err(|source| StageError::Model { stage, source })?;
    }
    Ok(())
}
