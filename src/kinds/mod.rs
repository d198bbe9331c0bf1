//! The kinds of stages, one file each: keys, what a stage takes and leaves, what counts, its work.
//!
//! To add one, write its file and add it to the list below. `plan`, `stage`, `runs`, `report` and
//! `cli` know no kind by name.

mod corpus_prep;
mod data_prep;
mod eval;
mod export;
mod finetune;
mod general_distill;
mod record_rules;
mod td_phase1;
mod td_phase2;

use crate::experiment::Kinds;
use crate::stage::Works;

/// The list, as the reader of experiment files and as the scheduler want it.
macro_rules! registry {
    ($($kind:expr),* $(,)?) => {
        /// Every kind, in pipeline order.
        pub const KINDS: Kinds = Kinds::new(&[$(&$kind),*]);
        /// What stages of each kind do.
        pub const WORKS: Works = Works::new(&[$(&$kind),*]);
    };
}

registry! {
    data_prep::DataPrep,
    corpus_prep::CorpusPrep,
    finetune::Finetune,
    general_distill::GeneralDistill,
    td_phase1::TdPhase1,
    td_phase2::TdPhase2,
    eval::Eval,
    export::Export,
}
