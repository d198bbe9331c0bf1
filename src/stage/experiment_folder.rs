//! An experiment's own folder in `runs/`: its settings as resolved, links to its results, its scores.

use super::observer::notice_lacks;
use super::{Observer, StageError, write_results};
use crate::experiment::{Experiment, to_toml};
use crate::plan::{Node, Pipeline};
use crate::runs::{Error, Layout, Record, create_folder, link_to, write_atomic};

/// Writes the experiment as resolved beside its results.
pub(super) fn write_resolved(experiment: &Experiment, layout: &Layout) -> Result<(), Error> {
    let path = layout.resolved(&experiment.name);
    let text = to_toml(experiment);
    if std::fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    create_folder(&layout.experiment(&experiment.name))?;
    write_atomic(&path, text.as_bytes())
}

/// Makes a stored result the experiment's own: its link, and the table of scores where it has some.
pub(super) fn link_result(
    pipeline: &Pipeline<'_>,
    node: &Node,
    record: &Record,
    observer: &mut dyn Observer,
) -> Result<(), StageError> {
    let (experiment, layout) = (pipeline.experiment, pipeline.layout);
    let store = layout.store(node.kind, &record.fingerprint);
    link_to(&store, &layout.link(&experiment.name, node.stage.as_str()))?;
    if !record.summary.scored.is_empty() {
        write_results(experiment, layout, &pipeline.scored())?;
    }
    notice_lacks(&node.stage, observer);
    Ok(())
}
