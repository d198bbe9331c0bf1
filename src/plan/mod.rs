//! What will run, and why: the stage graph, its inputs, fingerprints, and for each stage
//! whether its result is there. This room reads and decides; it writes nothing but the memo
//! of digests.

mod estimate;
mod experiment_file;
mod find;
mod find_models;
mod find_records;
mod find_tokenizer;
mod fingerprint;
mod forced;
mod given_models;
mod graph;
mod hub;
mod inputs;
mod missing;
mod misspelt;
mod own_rows;
mod pattern;
mod pipeline;
mod preview;
mod reason;
mod selection;
mod standing;
mod status;
mod trained_model;
mod vocabularies;
mod workload;

pub use estimate::{Estimate, Work, estimate};
pub use experiment_file::ExperimentFile;
pub use forced::Forced;
pub(crate) use given_models::{Classes, check_classifiers};
pub(crate) use graph::INITIAL_PROJECTION;
pub use graph::{Files, Node, Take, graph};
pub use inputs::{FoundFiles, InputFile, Inputs, ModelFolder};
pub use misspelt::path_hint;
pub(crate) use own_rows::{TEACHER_ROWS, scored_rows};
pub use pipeline::{Done, Pipeline, Plan};
pub use preview::{PlannedStage, preview};
pub use reason::{ModelFrom, StaleReason, compare};
pub use selection::{Selection, SelectionError, StageRange};
pub use standing::{Standing, standings};
pub use status::{Planned, Planner, Status};
pub use trained_model::{TrainedModel, TrainedModelError};
pub use workload::Workload;
