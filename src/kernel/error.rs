//! Why a stage failed.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tinyrun_base::job::Failure;
use tinyrun_base::system::{advice, reason};

use crate::cpu::NoSuchProcessor;

/// A failed stage. Every variant is one sentence that the user reads.
#[derive(Debug, Error)]
pub(crate) enum KernelError {
    #[error("the job cannot be read: {0}")]
    Job(#[source] serde_json::Error),
    #[error(
        "the runner writes version {runner} of the job format, this kernel reads version {kernel}"
    )]
    Version { runner: u32, kernel: u32 },
    #[error("{}", failure.message)]
    NoCuda { failure: Failure },
    #[error("{context}: {source}")]
    Model {
        context: String,
        #[source]
        source: tinyrun_base::model::ModelError,
    },
    #[error("the tokenized data cannot be read: {0}")]
    Store(#[from] tinyrun_base::data::StoreError),
    #[error("the metrics cannot be written: {0}")]
    Metrics(#[from] tinyrun_base::metrics::MetricsFileError),
    #[error("cannot {what} `{path}`: {}", reason(source))]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the data was tokenized with a vocabulary of {data} tokens, `{model}` has {vocabulary}"
    )]
    Vocabulary {
        data: usize,
        model: PathBuf,
        vocabulary: usize,
    },
    #[error("the longest row has {longest} tokens, the model has {positions} positions")]
    TooLong { longest: usize, positions: usize },
    #[error("the teacher `{model}` {found}")]
    Gate {
        model: PathBuf,
        found: String,
        hint: String,
    },
    #[error("`{store}` has no rows")]
    NoRows { store: PathBuf },
    #[error("`{store}` has {found} rows, the data has {expected}")]
    OtherRows {
        store: PathBuf,
        found: usize,
        expected: usize,
    },
    #[error("`{store}` has rows without a label")]
    NoLabels { store: PathBuf },
    #[error("`{model}` has {found} classes, the data has {expected}")]
    Classes {
        model: PathBuf,
        found: usize,
        expected: usize,
    },
    #[error("`{model}` has the classes in the order {found}, the data in the order {expected}")]
    LabelOrder {
        model: PathBuf,
        found: String,
        expected: String,
    },
    #[error(
        "{examples} examples do not fill a batch of {batch}, and `drop-last` drops incomplete batches"
    )]
    NoWholeBatch { examples: u64, batch: u64 },
    #[error("`{model}` has no classifier: it was not fine-tuned")]
    NoClassifier { model: PathBuf },
    #[error("the logits of `{model}` are not finite for row {row}")]
    NotFiniteLogits { model: PathBuf, row: usize },
    #[error("{what} at step {step}")]
    NotFinite {
        what: String,
        step: u64,
        checkpoint: Option<u64>,
    },
    #[error("checkpoint `{path}` belongs to another run")]
    ForeignCheckpoint { path: PathBuf },
    #[error("the checkpoint has no tensor `{name}` of the expected shape")]
    CheckpointLacks { name: String },
    #[error("`{teacher}` does not fit the student: {reason}")]
    LayerMap { teacher: PathBuf, reason: String },
    #[error("`{}` has no projection `{name}` of shape [{}, {}]", path.display(), shape[0], shape[1])]
    Projection {
        path: PathBuf,
        name: String,
        shape: [usize; 2],
    },
    #[error("the cached teacher outputs in `{path}` are damaged")]
    DamagedMemory { path: PathBuf },
    #[error("the teacher predictions in `{path}` are damaged")]
    DamagedPredictions { path: PathBuf },
    #[error(transparent)]
    Processor(#[from] NoSuchProcessor),
    #[error("another training kernel is still writing to `{path}`")]
    Busy { path: PathBuf },
    #[error(
        "this build of the training kernel runs on one rank only: libtorch's headers had no c10d"
    )]
    OneRankOnly,
    #[error("{ranks} ranks cannot share one CUDA device")]
    RanksOnGpu { ranks: usize },
    #[error("`reduction-leaves` fixes the order of sums on the CPU only, not on a CUDA device")]
    LeavesOnGpu,
    #[error("rank {rank} {what}")]
    Rank {
        rank: usize,
        what: String,
        /// Its own advice.
        hint: Option<String>,
    },
    #[error("rank 0 cannot listen on port {port}: {reason}")]
    NoPort { port: u16, reason: String },
    /// What another rank says.
    #[error("{message}")]
    Told {
        message: String,
        hint: Option<String>,
    },
    #[error("the ranks lost contact with each other: {reason}")]
    LostRanks { reason: String },
    #[error("NCCL does not connect the GPUs: {reason}")]
    Nccl { reason: String },
    #[error("after step {step} rank {rank} has other weights than rank 0")]
    OtherWeights { step: u64, rank: usize },
}

impl KernelError {
    /// Two processes that say that they are one rank.
    pub(crate) fn two_processes(rank: usize) -> Self {
        Self::Rank {
            rank,
            what: "is two processes".to_owned(),
            hint: Some("start each rank once, and no other run under the same name".to_owned()),
        }
    }

    /// A rank that others wait for.
    pub(crate) fn does_not_come(rank: usize, waited: Duration) -> Self {
        Self::Rank {
            rank,
            what: format!("has not come within {} seconds", waited.as_secs()),
            hint: Some(
                "start all ranks together; `TINYRUN_RANKS_WAIT` sets for how many seconds one is waited for"
                    .to_owned(),
            ),
        }
    }

    /// Message and hint for the user.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            message: self.to_string(),
            hint: self.hint(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Version { .. } | Self::Job(_) => {
                Some("build both programs together: `cargo build --release`".to_owned())
            }
            Self::NoCuda { failure } => failure.hint.clone(),
            Self::Model { source, .. } => source.hint(),
            Self::Store(source) => source.hint(),
            Self::Metrics(source) => source.hint(),
            Self::Io { source, .. } => advice(source),
            Self::TooLong { positions, .. } => {
                Some(format!("set `max-seq-length` to {positions} or less"))
            }
            Self::NoClassifier { .. } => {
                Some("add `[stages.finetune]`, or give a teacher that is fine-tuned".to_owned())
            }
            Self::Classes { .. } => Some(
                "compare `id2label` in its `config.json` with the classes that data-prep found \
                 (`report.json`), or list them as `labels` in `[task]`"
                    .to_owned(),
            ),
            Self::DamagedMemory { .. } => {
                Some("run it again: tinyrun computes the outputs again".to_owned())
            }
            Self::DamagedPredictions { .. } => {
                Some("run the stage that prepared the data again, with `--force`".to_owned())
            }
            Self::Gate { hint, .. }
            | Self::Rank {
                hint: Some(hint), ..
            } => Some(hint.clone()),
            Self::Told { hint, .. } => hint.clone(),
            Self::NoPort { .. } => Some("set `MASTER_PORT` to a free port".to_owned()),
            Self::OneRankOnly => Some("set `ranks` to 1".to_owned()),
            Self::LeavesOnGpu => Some("set `device` to \"cpu\", or remove the key".to_owned()),
            Self::RanksOnGpu { .. } => Some(
                "list a device for each rank, as in `device = [\"cuda:0\", \"cuda:1\"]`, or set \
                 `device` to \"cpu\" or `ranks` to 1"
                    .to_owned(),
            ),
            Self::Rank { .. } | Self::LostRanks { .. } => Some(
                "run it again: it resumes from the last checkpoint, with any number of ranks"
                    .to_owned(),
            ),
            Self::Nccl { .. } => Some(
                "run it with `NCCL_DEBUG=INFO`, which explains it in the log, or without `TINYRUN_NCCL`"
                    .to_owned(),
            ),
            Self::OtherWeights { .. } => Some(
                "a machine computes wrong numbers, or ranks run on unlike processors: run it on one rank"
                    .to_owned(),
            ),
            Self::Processor(_) => {
                Some("unset it, and the best one is used, or set it to one of these".to_owned())
            }
            Self::LabelOrder { .. } => {
                Some("list `labels` in `[task]` in the model's order".to_owned())
            }
            // Weights are checked when they are loaded, and no update has changed them yet.
            Self::NotFinite { step: 1, .. } => Some(
                "no update has been made yet, so the learning rate is not the cause: try \
                 `precision = \"fp32\"`, and look for very large weights in the models"
                    .to_owned(),
            ),
            Self::NotFinite { checkpoint, .. } => {
                let kept = match checkpoint {
                    Some(step) => format!("the checkpoint of step {step} is kept"),
                    None => "no checkpoint was written yet".to_owned(),
                };
                Some(format!(
                    "{kept}; lower `learning-rate`, or check the rows of this step"
                ))
            }
            _ => None,
        }
    }
}

/// `map_err(io("read", path))`
pub(crate) fn io(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> KernelError {
    let path = path.into();
    move |source| KernelError::Io { what, path, source }
}
