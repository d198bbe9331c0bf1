//! What the user wrote: a TOML file becomes an [`Experiment`], every key validated, every
//! fault with its place. This room knows no disk but the text of its own file.

mod check;
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
mod schema;
mod stages;
mod starter;
mod student;
mod task;
#[cfg(test)]
pub(crate) mod testing;
mod training;

pub use matrix::{Experiments, Variant};
pub use models::{Models, check_models};
pub use origin::Origin;
pub use resolved::{settings_of, to_toml};
pub use schema::{
    ClassifierStart, DataPrep, Distill, Escape, Eval, Experiment, Finetune, GateRule,
    GeneralDistill, Goal, Keep, LayerMapRule, LongLines, ModelSource, Quoting, Recipe, StageName,
    Stages, Student, StudentShape, TableFormat, Task, TaskName, TdPhase1, TdPhase2, Teacher,
    Training,
};
pub use starter::{StarterPaths, starter};
