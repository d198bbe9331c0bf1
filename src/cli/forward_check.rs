//! Whether a model computes the same before and after it was written in another form.

use std::sync::mpsc::channel;

use crate::job::{Device, Event, HeadKind, Precision, Predict, Rows};
use crate::model::{LoadedModel, ModelRef};
use crate::stage::{Interrupts, Kernel, Prediction, Predictor, StageError};

/// Rows that are computed, and tokens of the longest.
const ROWS: usize = 4;
const LONGEST: usize = 32;

/// The largest difference of a logit between two forms of a model that classifies, on the CPU in
/// fp32, over rows of made-up tokens; and how many rows.
///
/// # Errors
/// The training kernel cannot be started, or does not load a model.
pub(super) fn largest_difference(
    model: &LoadedModel,
    forms: [&ModelRef; 2],
    interrupts: &Interrupts,
) -> Result<(f32, usize), StageError> {
    let head = match model.config.tinyrun_head.as_deref() {
        Some("relu") => HeadKind::Relu,
        _ => HeadKind::Plain,
    };
    let rows = rows(model);
    let [before, after] = forms.map(|form| logits(form, head, &rows, interrupts));
    let (before, after) = (before?, after?);
    let pairs = before.iter().flatten().zip(after.iter().flatten());
    let differences = pairs.map(|(before, after)| (before - after).abs());
    Ok((differences.fold(0.0, f32::max), before.len()))
}

/// Rows of different lengths, with a second text where the model has segments.
fn rows(model: &LoadedModel) -> Rows {
    let config = &model.config;
    let longest = config.longest_input().min(LONGEST);
    let vocabulary = u32::try_from(config.vocab_size).unwrap_or(u32::MAX);
    let mut rows = Rows::default();
    for row in 0..ROWS {
        let length = (longest * (row + 1) / ROWS).max(1);
        let id = |place: usize| u32::try_from(place * 7 + row * 13 + 1).unwrap_or(0) % vocabulary;
        let ids = (0..length).map(id);
        rows.ids.push(ids.collect());
        let has_segments = config.type_vocab_size > 1;
        let start = if has_segments { length / 2 } else { length };
        rows.text_b_start.push(start.max(1));
    }
    rows
}

/// The logits of each row.
fn logits(
    model: &ModelRef,
    head: HeadKind,
    rows: &Rows,
    interrupts: &Interrupts,
) -> Result<Vec<Vec<f32>>, StageError> {
    let prediction = Prediction {
        model: Predict {
            folder: model.clone(),
            head,
        },
        device: Device::Cpu,
        precision: Precision::Fp32,
        threads: None,
    };
    let (sender, events) = channel();
    let listen = move |event: Option<Event>| sender.send(event).is_ok();
    let mut predictor = Predictor::start(&Kernel::find(), &prediction, interrupts, listen)?;
    predictor.send(rows)?;
    let (mut found, mut failure) = (None, None);
    while let Ok(Some(event)) = events.recv() {
        match event {
            Event::Logits { rows } => {
                found = Some(rows);
                break;
            }
            Event::Failed(failed) => {
                failure = Some(failed);
                break;
            }
            _ => {}
        }
    }
    predictor.end(failure, found.is_some())?;
    Ok(found.unwrap_or_default())
}
