//! Prediction: the logits of rows that the runner sends, batch by batch, until it closes stdin.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun::job::{Event, PadTo, Predict, Rows};

use crate::batch::{Batch, Block, Row};
use crate::device::Compute;
use crate::encoder::{Classifier, Encoder, Wanted};
use crate::error::{KernelError, io};
use crate::folder::{open, with_classifier};
use crate::reporter::Reporter;
use crate::score::inference_model;
use crate::stop::Stop;
use crate::training::Ended;

/// Answers the batches that `requests` carries, one JSON document a line, to its end.
///
/// # Errors
/// An unreadable model, one without a classifier, or logits that are not finite.
pub(crate) fn predict(
    work: &Predict,
    compute: Compute,
    mut requests: impl BufRead,
    reporter: &Reporter,
    stop: &Stop,
) -> Result<Ended, KernelError> {
    let predictor = Predictor::open(work, compute)?;
    reporter.send(&compute.started(0, 0, predictor.parameters));
    let mut line = Vec::new();
    let mut answered = 0;
    loop {
        line.clear();
        let read = requests.read_until(b'\n', &mut line);
        if read.map_err(io("read", Path::new("stdin")))? == 0 {
            return Ok(Ended::Done { steps: 0 });
        }
        if stop.asked() {
            return Ok(Ended::Interrupted { step: 0 });
        }
        // The end of the job's own line comes first.
        if line.trim_ascii().is_empty() {
            continue;
        }
        let rows: Rows = serde_json::from_slice(&line).map_err(KernelError::Job)?;
        let logits = predictor.logits(&rows)?;
        let is_sound = |row: &Vec<f32>| row.iter().all(|logit| logit.is_finite());
        if let Some(row) = logits.iter().position(|row| !is_sound(row)) {
            return Err(KernelError::NotFiniteLogits {
                model: predictor.folder,
                row: answered + row,
            });
        }
        answered += logits.len();
        reporter.send(&Event::Logits { rows: logits });
    }
}

/// A model that predicts.
#[derive(Debug)]
pub(crate) struct Predictor {
    folder: PathBuf,
    encoder: Encoder,
    classifier: Classifier,
    device: Device,
    pad: u32,
    /// Longest row.
    positions: usize,
    parameters: u64,
}

impl Predictor {
    /// Loads a model for the device and the number format of `compute`.
    ///
    /// # Errors
    /// An unreadable or contradictory folder, or a model that has no classifier.
    pub(crate) fn open(work: &Predict, compute: Compute) -> Result<Self, KernelError> {
        let model = open(&work.folder)?;
        let parameters = with_classifier(&work.folder, &model)?;
        let count = parameters.count();
        let config = &model.config;
        let (encoder, classifier) =
            inference_model(parameters, config, work.head, compute.device, compute.kind);
        Ok(Self {
            folder: work.folder.clone(),
            encoder,
            classifier,
            device: compute.device,
            pad: config.pad_token_id as u32,
            positions: config.max_position_embeddings,
            parameters: count,
        })
    }

    /// The logits of each row in fp32.
    ///
    /// The packed encoder computes each row by itself. So does this with the head: libtorch's products of a batch
    /// depend on its size in the last bits.
    ///
    /// # Errors
    /// A row is longer than the model reads.
    pub(crate) fn logits(&self, rows: &Rows) -> Result<Vec<Vec<f32>>, KernelError> {
        let longest = rows.ids.iter().map(Vec::len).max().unwrap_or(0);
        if longest > self.positions {
            return Err(KernelError::TooLong {
                longest,
                positions: self.positions,
            });
        }
        let batch = self.batch(rows);
        Ok(no_grad(|| {
            let output = self.encoder.forward_t(&batch, Wanted::First, false);
            let first = output.last().select(1, 0).to_kind(Kind::Float);
            let first = first.unsqueeze(1);
            let of_row = |row| {
                // A copy lies at a new, aligned address, as the only row of a batch does.
                let logits = self
                    .classifier
                    .forward_t(&first.narrow(0, row, 1).copy(), false);
                floats(&logits)
            };
            (0..rows.ids.len() as i64).map(of_row).collect()
        }))
    }

    fn batch(&self, rows: &Rows) -> Batch {
        let rows = rows.ids.iter().zip(&rows.text_b_start);
        let rows = rows.map(|(ids, &text_b_start)| Row {
            ids,
            text_b_start,
            label: None,
        });
        let rows: Vec<Row<'_>> = rows.collect();
        let block = match self.encoder.layout() {
            PadTo::None => Block::unpadded(&rows),
            _ => Block::from_rows(&rows, self.pad, 0),
        };
        Batch::of(&block, self.device)
    }
}

fn floats(logits: &Tensor) -> Vec<f32> {
    Vec::try_from(logits.view(-1)).expect("a row of floats")
}
