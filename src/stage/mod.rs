//! Doing the stages: from inputs to a job or a preparation, to artifacts, to a record.
//!
//! [`Pipeline::run`] goes through the graph and does what is not up to date. One file a
//! stage kind says what its work is; `execute.rs` holds what is the same for all of them.

mod agreement;
mod error;
mod evaluate;
mod execute;
mod fit;
mod goals;
mod harvest;
mod interrupts;
mod kernel;
mod load_failure;
mod matrix;
mod observer;
mod pipeline;
mod place;
mod prep;
mod side_by_side;
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
pub use pipeline::{Done, Outcome, Pipeline, Selection, StageOutcome};
pub use side_by_side::{SideBySide, run_side_by_side};
