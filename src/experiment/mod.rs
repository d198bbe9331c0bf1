//! What the user wrote: a TOML file becomes an [`Experiment`], every key validated, every
//! fault with its place. This room knows no disk but the text of its own file.

mod fault;
mod node;
mod read;
mod schema;
mod section;
mod span;
mod stages;

pub use fault::{Fault, Faults, Source, Sources};
pub use schema::{
    DataPrep, Distill, Eval, Experiment, Finetune, GeneralDistill, Keep, LayerMapRule, LongLines,
    ModelSource, StageName, Stages, Student, StudentShape, TableFormat, Task, TaskName, TdPhase1,
    TdPhase2, Teacher, Training,
};
pub use span::{Located, Span};
