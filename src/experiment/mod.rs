//! What the user wrote: a TOML file becomes an [`Experiment`], every key validated, every
//! fault with its place. This room knows no disk but the text of its own file.

mod check;
mod declared;
mod dialect;
mod distill;
pub mod glue;
mod goal;
pub mod keys;
mod layer_map;
mod matrix;
mod models;
mod origin;
mod read;
mod recipe;
mod resolved;
mod schedule;
mod schema;
mod setting;
mod settings;
mod sources;
mod stage_keys;
mod stages;
mod starter;
mod student;
mod task;
#[cfg(test)]
pub(crate) mod testing;
mod top;
mod training;

pub use dialect::dialect_rule;
pub use distill::{Distill, Prediction, Teaching};
pub use goal::Goal;
pub use matrix::{Experiments, Variant};
pub use models::{Models, check_models};
pub use origin::Origin;
pub use resolved::{settings_of, to_toml};
pub use schema::{
    ClassifierStart, Escape, GateRule, Keep, LayerMapRule, LongLines, ModelSource, Quoting, Recipe,
    StageName, TableFormat, TaskName,
};
pub(crate) use settings::Settings;
pub use sources::Sources;
pub use stage_keys::{Corpus, Scoring, TaskTeacher};
pub use stages::{DataPrep, Eval, Finetune, GeneralDistill, Stages, TdPhase1, TdPhase2};
pub use starter::{StarterPaths, starter};
pub use student::{Student, StudentShape, Teacher};
pub use task::Task;
pub use top::Experiment;
pub use training::Training;
