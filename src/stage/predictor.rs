//! A kernel that predicts: rows are sent to it, and it answers them, for as long as there are some.

use tempfile::TempDir;

use super::child::Child;
use super::{Interrupts, Kernel, KernelError, StageError};
use crate::job::{Device, Devices, Event, Failure, Job, Precision, Predict, Rows, VERSION, Work};
use crate::runs::Error;

/// Name of the log in the kernel's folder.
const LOG: &str = "log.txt";

/// What a kernel predicts with.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The model.
    pub model: Predict,
    /// Where it computes.
    pub device: Device,
    /// What it computes in.
    pub precision: Precision,
    /// Threads of libtorch; every core where `None`.
    pub threads: Option<usize>,
}

/// A kernel with a model, from its start to its end. It is killed where this is dropped before.
pub struct Predictor<'a> {
    child: Child<'a>,
    /// Removed after the kernel ended.
    _folder: TempDir,
}

impl<'a> Predictor<'a> {
    /// Starts a kernel. `hear` gets its events as they come, on a thread of its own, and `None` after the last; it
    /// returns whether it wants more. Rows may be sent before the model is loaded.
    ///
    /// # Errors
    /// The program cannot be started, or there is no room for its log.
    pub fn start(
        kernel: &Kernel,
        prediction: &Prediction,
        interrupts: &'a Interrupts,
        hear: impl FnMut(Option<Event>) -> bool + Send + 'static,
    ) -> Result<Self, StageError> {
        let folder = tempfile::tempdir().map_err(Error::write(&std::env::temp_dir()))?;
        let job = Job {
            version: VERSION,
            stage: "predict".to_owned(),
            fingerprint: String::new(),
            seed: 0,
            device: Devices::one(prediction.device),
            precision: prediction.precision,
            threads: prediction.threads.or(kernel.threads()),
            ranks: 1,
            ranks_here: 1,
            meeting: None,
            wait_seconds: None,
            output: folder.path().to_owned(),
            work: Work::Predict(prediction.model.clone()),
        };
        let log = folder.path().join(LOG);
        let child = Child::start(kernel.program(), &job, &log, interrupts, hear);
        Ok(Self {
            child: child.map_err(failed)?,
            _folder: folder,
        })
    }

    /// Sends a batch. A kernel that is gone is no error here: [`Self::end`] has the reason.
    ///
    /// # Errors
    /// The batch cannot be sent.
    pub fn send(&mut self, rows: &Rows) -> Result<(), StageError> {
        self.child.send(rows).map_err(failed)
    }

    /// Waits until it ended. `failure` is what it reported, `is_answered` whether every batch was.
    ///
    /// # Errors
    /// It failed, or ended without a report.
    pub fn end(mut self, failure: Option<Failure>, is_answered: bool) -> Result<(), StageError> {
        self.child.close_stdin();
        let status = self.child.wait().map_err(failed)?;
        match failure {
            Some(failure) => Err(failed(KernelError::Failed { failure })),
            None if is_answered && status.success() => Ok(()),
            None => Err(failed(self.child.died(status))),
        }
    }
}

fn failed(source: KernelError) -> StageError {
    match source {
        KernelError::Disk(error) => error.into(),
        source => StageError::Prediction { source },
    }
}
