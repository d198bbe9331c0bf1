//! Doing the stages: from inputs to a job or a preparation, to artifacts, to a record.
//!
//! [`Scheduler::run`] goes through the graphs and does what is not up to date. A kind says what
//! its work is (`work.rs`); `execute.rs` holds what is the same for all of them.

mod agreement;
mod child;
mod error;
mod execute;
mod experiment_folder;
mod fit;
mod goals;
mod harvest;
mod interrupts;
mod kernel;
mod kernel_error;
mod launched;
mod lesson;
mod load_failure;
mod matrix;
mod observer;
mod outcome;
mod place;
mod predictor;
mod prepare;
mod queue;
mod results;
mod scheduler;
mod work;

pub use agreement::{Difference, differences};
pub use error::StageError;
pub use goals::{GoalResult, goals};
pub use interrupts::Interrupts;
pub use kernel::Kernel;
pub use kernel_error::KernelError;
pub use launched::{Ranks, Served, serve};
pub(crate) use lesson::{Lesson, layer_objective, training_files};
pub use load_failure::LoadFailure;
pub use matrix::{MatrixResults, VariantScore};
pub use observer::{Notice, Observer};
pub use outcome::{Outcome, StageOutcome};
pub(crate) use place::Place;
pub use predictor::{Prediction, Predictor};
pub(crate) use prepare::prepare;
pub(crate) use results::speed_up;
pub use results::write_results;
pub use scheduler::{Reporter, Scheduler};
pub use work::Works;
pub(crate) use work::{Activity, Work};
