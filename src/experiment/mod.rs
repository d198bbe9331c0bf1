//! What the user wrote: a TOML file becomes an [`Experiment`], every key validated, every
//! fault with its place. This room knows no disk but the text of its own file.

mod schema;
mod span;

pub use schema::{
    DataPrep, Distill, Eval, Experiment, Finetune, GeneralDistill, Keep, LayerMapRule, LongLines,
    ModelSource, StageName, Stages, Student, StudentShape, TableFormat, Task, TaskName, TdPhase1,
    TdPhase2, Teacher, Training,
};
pub use span::{Located, Span};
