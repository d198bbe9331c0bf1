//! What a person sees: bars and lines while stages run, plans, summaries, faults, failures.
//!
//! Everything here makes text; `console.rs` and `cli/` are the places that write it. Talk
//! goes to stderr, data to stdout.

mod amounts;
mod console;
pub mod diagnostic;
mod failure;
mod matrix;
mod plan;
mod style;
mod summary;

pub use console::{Console, Verbosity};
pub use failure::{failure, plain_error};
pub use matrix::{matrix_heading, matrix_summary};
pub use plan::render_plan;
pub use style::Style;
pub use summary::{goal_line, scores, summary};
