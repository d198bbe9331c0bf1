//! Doing the stages: from inputs to a job or a preparation, to artifacts, to a record.
//!
//! [`Scheduler::run`] goes through the graphs and does what is not up to date. One file a
//! stage kind says what its work is; `execute.rs` holds what is the same for all of them.

mod agreement;
mod error;
mod evaluate;
mod execute;
mod experiment_folder;
mod fit;
mod goals;
mod harvest;
mod interrupts;
mod kernel;
mod load_failure;
mod matrix;
mod observer;
mod outcome;
mod place;
mod prep;
mod queue;
mod scheduler;
mod train;

pub use agreement::{Difference, differences};
pub use error::StageError;
pub(crate) use evaluate::speed_up;
pub use evaluate::write_results;
pub use goals::{GoalResult, goals};
pub use interrupts::Interrupts;
pub use kernel::{Kernel, KernelError};
pub use load_failure::LoadFailure;
pub use matrix::{MatrixResults, VariantScore};
pub use observer::{Notice, Observer};
pub use outcome::{Outcome, StageOutcome};
pub use scheduler::{Reporter, Scheduler};
