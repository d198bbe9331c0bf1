//! What the user wrote: a TOML file becomes an [`Experiment`], every key validated, every
//! fault with its place. This room knows no disk but the text of its own file.

mod check;
mod checkpoint;
mod checkpoint_keys;
mod counted;
pub(crate) mod declared;
mod departures;
mod dialect;
mod distill;
pub mod glue;
mod goal;
pub mod keys;
mod kind;
mod layer_map;
mod matrix;
mod models;
mod origin;
mod ports;
mod predictions;
mod predictions_check;
mod read;
mod recipe;
mod records;
mod relations;
mod resolved;
mod schedule;
mod schema;
mod setting;
pub(crate) mod settings;
mod sources;
mod stage;
mod stage_keys;
mod stage_name;
mod stage_settings;
mod stages;
mod starter;
mod student;
mod student_start;
mod task;
mod teachers;
mod teachers_check;
#[cfg(test)]
pub(crate) mod testing;
mod top;
mod training;
mod unlabelled;
mod unlabelled_check;
mod windows;

pub(crate) use checkpoint_keys::names_checkpoint;
pub(crate) use counted::counted;
pub(crate) use departures::{departures, repeated_settings};
pub use dialect::dialect_rule;
pub use distill::{Distill, Prediction, Teaching};
pub use goal::Goal;
pub use kind::Kinds;
pub(crate) use kind::{Counts, Prepared, StageKind, TableKeys};
pub use matrix::{Experiments, Variant};
pub(crate) use models::windows_of_pairs;
pub use models::{Models, check_models};
pub use origin::Origin;
pub use ports::Role;
pub(crate) use ports::{Artifact, ModelPort, Port, TEACHER_ROLES, Wants, What};
pub(crate) use predictions::PREDICTIONS;
pub use read::{Elsewhere, FileAlone, Stated};
pub(crate) use recipe::{Part, StageDefaults};
pub(crate) use resolved::in_toml;
pub use resolved::{settings_of, to_toml};
pub use schema::{
    ClassifierStart, CorpusFormat, Escape, GateRule, LayerMapRule, LongLines, ModelSource, Quoting,
    Recipe, TableFormat, TaskFormat, TaskName, WindowForm,
};
pub use sources::{Sources, StudentSource};
pub use stage::{Stage, Stages};
pub use stage_keys::{Corpus, TaskTeacher};
pub use stage_name::StageName;
pub(crate) use stage_settings::StageSettings;
pub(crate) use starter::quoted;
pub use starter::{StarterPaths, starter};
pub use student::{Student, StudentShape, Teacher};
pub use task::Task;
pub use teachers::Teachers;
pub use top::Experiment;
pub use training::Training;
pub use unlabelled::UnlabelledUse;
pub use windows::Windows;
