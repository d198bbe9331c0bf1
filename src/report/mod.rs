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
mod plan_json;
mod style;
mod summary;

pub use console::{Console, Verbosity};
pub use failure::{failed_stages, failure, plain_error};
pub use matrix::{matrix_heading, matrix_summary};
pub use plan::{PlannedStage, render_plan, total_line};
pub use plan_json::{experiment_json, plan_json};
pub use style::Style;
pub use summary::{goal_line, scores, summary};
