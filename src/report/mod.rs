//! What a person sees: bars and lines while stages run, plans, summaries, faults, failures.
//!
//! Everything here makes text; `console.rs` and `cli/` are the places that write it. Talk
//! goes to stderr, data to stdout.

mod amounts;
mod caption;
mod checkpoint;
mod comparison;
mod console;
pub mod diagnostic;
mod failure;
mod finished;
mod inventory;
mod matrix;
mod plan;
mod plan_json;
mod progress;
mod record;
mod standing;
mod style;
mod summary;
mod table;

pub use amounts::age;
pub use caption::Caption;
pub use checkpoint::checkpoint_lines;
pub use comparison::{Compared, comparison};
pub use console::{Console, Verbosity};
pub use failure::{failed_stages, failure, plain_error};
pub use inventory::{Removable, Verdict, removable_lines, verdict_lines};
pub use matrix::{matrix_heading, matrix_summary};
pub(crate) use plan::why;
pub use plan::{render_plan, total_line};
pub use plan_json::{experiment_json, plan_json};
pub use record::{agreement, record_text};
pub use standing::{experiment_lines, standing_line, standing_lines};
pub use style::Style;
pub use summary::{goal_line, scores, summary};
