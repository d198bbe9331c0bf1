//! Prediction: the logits of rows that the runner sends, batch by batch, until it closes stdin.
//!
//! Workers take batches in turn, each with its part of the threads: a batch of few rows is too small to share among
//! threads, and two batches at a time keep two of them busy without waiting for each other. They share one model.
#![expect(unsafe_code, reason = "a model that several threads read")]

use std::io::BufRead;
use std::iter;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun_base::job::{Event, PadTo, Predict, Rows};

use crate::batch::{Batch, Block, Row};
use crate::device::Compute;
use crate::encoder::{Classifier, Encoder, Wanted};
use crate::error::{KernelError, io};
use crate::folder::{open, with_classifier};
use crate::reporter::Reporter;
use crate::score::inference_model;
use crate::stop::Stop;
use crate::training::Ended;

/// Batches that are computed at a time.
const MOST_WORKERS: i32 = 4;

/// Answers the batches that `requests` carries, one JSON document a line, to its end.
///
/// # Errors
/// An unreadable model, one without a classifier, or logits that are not finite.
pub(crate) fn predict(
    work: &Predict,
    compute: Compute,
    requests: impl BufRead + Send + 'static,
    reporter: &Reporter,
    stop: &Stop,
) -> Result<Ended, KernelError> {
    let threads = tch::get_num_threads().max(1);
    let count = match compute.device {
        Device::Cpu => threads.min(MOST_WORKERS),
        _ => 1,
    };
    let predictor = Predictor::open(work, compute)?;
    reporter.send(&compute.started(&[], 0, 0, predictor.parameters));
    let model = Arc::new(Shared(predictor));
    let start = |_| Worker::start(model.clone(), threads / count);
    let (mut workers, batches): (Vec<Worker>, Vec<_>) = (0..count).map(start).unzip();
    let (faults, fault) = channel();
    // It waits for stdin, and ends with the process.
    thread::spawn(move || {
        if let Err(error) = dispatch(requests, &batches) {
            // Whoever waits for an answer learns of it once the batches before are answered.
            let _ = faults.send(error);
        }
    });
    let (mut answered, mut batch) = (0, 0);
    loop {
        let turn = batch % workers.len();
        let Ok(answer) = workers[turn].answers.recv() else {
            // There are no more batches, or it panicked.
            let worker = workers.swap_remove(turn);
            // libtorch must not end below a thread that uses it.
            for worker in iter::once(worker).chain(workers) {
                let joined = worker.thread.join();
                joined.unwrap_or_else(|panic| resume_unwind(panic));
            }
            return match fault.recv() {
                Ok(fault) => Err(fault),
                Err(_) => Ok(Ended::Done { steps: 0 }),
            };
        };
        let rows = answer?;
        check(&rows, answered, &work.folder)?;
        answered += rows.len();
        batch += 1;
        reporter.send(&Event::Logits { rows });
        if stop.asked() {
            return Ok(Ended::Interrupted { step: 0 });
        }
    }
}

/// Gives each worker a batch in turn.
fn dispatch(mut requests: impl BufRead, workers: &[Sender<Rows>]) -> Result<(), KernelError> {
    let mut turns = workers.iter().cycle();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = requests.read_until(b'\n', &mut line);
        if read.map_err(io("read", Path::new("stdin")))? == 0 {
            return Ok(());
        }
        // The end of the job's own line comes first.
        if line.trim_ascii().is_empty() {
            continue;
        }
        let rows = serde_json::from_slice(&line).map_err(KernelError::Job)?;
        let worker = turns.next().expect("there is one at least");
        if worker.send(rows).is_err() {
            // It failed, which its answers tell.
            return Ok(());
        }
    }
}

fn check(rows: &[Vec<f32>], answered: usize, model: &Path) -> Result<(), KernelError> {
    let is_sound = |row: &Vec<f32>| row.iter().all(|logit| logit.is_finite());
    match rows.iter().position(|row| !is_sound(row)) {
        None => Ok(()),
        Some(row) => Err(KernelError::NotFiniteLogits {
            model: model.to_owned(),
            row: answered + row,
        }),
    }
}

/// A thread that answers batches in the order in which it gets them.
struct Worker {
    answers: Receiver<Result<Logits, KernelError>>,
    thread: JoinHandle<()>,
}

/// One row of numbers per text.
type Logits = Vec<Vec<f32>>;

/// A model that threads read and none changes.
struct Shared(Predictor);

// SAFETY: a prediction reads tensors and makes others; libtorch allows any number of threads to read one.
unsafe impl Sync for Shared {}

impl Worker {
    /// Starts one that computes on so many threads; with where its batches go.
    fn start(model: Arc<Shared>, threads: i32) -> (Self, Sender<Rows>) {
        let (sender, batches) = channel::<Rows>();
        let (out, answers) = channel();
        let thread = thread::spawn(move || {
            // Of this thread alone.
            tch::set_num_threads(threads);
            for batch in batches {
                if out.send(model.0.logits(&batch)).is_err() {
                    return;
                }
            }
        });
        (Self { answers, thread }, sender)
    }
}

/// A model that predicts.
#[derive(Debug)]
pub(crate) struct Predictor {
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
            encoder,
            classifier,
            device: compute.device,
            pad: config.pad_token_id as u32,
            positions: config.longest_input(),
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
