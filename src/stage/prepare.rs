//! A preparation, done in this process: tables or raw text to a token store.

use std::cell::RefCell;

use super::work::Here;
use super::{Notice, StageError};
use crate::data::{DataError, PrepReport, SplitReport, Watch};
use crate::job::Event;
use crate::runs::{Prepared, Summary};

/// Prepares data into the stage's work folder.
///
/// # Errors
/// What the preparation finds wrong with the data, and an interruption.
pub(crate) fn prepare(
    here: &mut Here<'_>,
    preparation: impl FnOnce(Watch<'_>) -> Result<PrepReport, DataError>,
) -> Result<Summary, StageError> {
    let (stage, interrupts) = (here.stage, here.interrupts);
    let observer = RefCell::new(&mut *here.observer);
    let progress = |done, total| {
        observer
            .borrow_mut()
            .notice(&Notice::Preparing { stage, done, total });
    };
    let watch = Watch {
        progress: &progress,
        stop: interrupts.asked(),
    };
    let result = preparation(watch);
    let report = result.map_err(|error| match error {
        DataError::Interrupted => StageError::Interrupted {
            stage: Some(stage.clone()),
            step: None,
        },
        error => StageError::Prep {
            stage: stage.clone(),
            hint: error.hint(),
            message: error.to_string(),
        },
    })?;
    for message in &report.warnings {
        let event = Event::Warning {
            message: message.clone(),
        };
        observer.borrow_mut().notice(&Notice::Kernel {
            stage,
            event: &event,
        });
    }
    Ok(Summary {
        prepared: Some(counts(&report)),
        ..Summary::default()
    })
}

/// What the record keeps of the report.
fn counts(report: &PrepReport) -> Prepared {
    let total = |of: fn(&SplitReport) -> u64| report.splits.iter().map(of).sum();
    Prepared {
        examples: report
            .splits
            .iter()
            .map(|split| (split.name.clone(), split.rows_out))
            .collect(),
        labels: report.splits.first().map_or_else(Vec::new, |split| {
            let names = split.labels.iter();
            names.map(|label| label.name.clone()).collect()
        }),
        tokens: total(|split| split.tokens),
        truncated: total(|split| split.truncated),
        unknown: total(|split| split.unknown),
        blank: total(|split| split.blank),
        train_texts_in_dev: report.train_texts_in_dev,
        unlabelled_left_out: report.unlabelled.map_or(0, |it| it.in_dev + it.repeated),
    }
}
