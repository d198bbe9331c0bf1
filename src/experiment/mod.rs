//! What the user wrote: a TOML file becomes an [`Experiment`], every key validated, every
//! fault with its place. This room knows no disk but the text of its own file.

mod check;
mod collector;
mod convert;
mod fault;
pub mod glue;
mod goal;
pub mod keys;
mod layer_map;
mod matrix;
mod models;
mod node;
mod origin;
mod overrides;
mod read;
mod recipe;
mod resolved;
mod schema;
mod section;
mod span;
mod stages;
mod starter;
mod student;
mod task;
#[cfg(test)]
mod testing;
mod training;

pub use fault::{Fault, Faults, Source, Sources};
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
pub use span::{Located, Span};
pub use starter::{StarterPaths, starter};
