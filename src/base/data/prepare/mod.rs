//! Data preparation: tables or raw text in, token stores and a report out.
//!
//! Everything streams in chunks of bounded size, so memory stays flat whatever the data's size.
//! While a chunk is cut into word pieces on all threads the next one is read; examples are
//! written in the order of the data, so the same data gives the same bytes.

mod corpus;
mod encoders;
mod findings;
mod found_labels;
mod further;
mod own_tokens;
mod predictions;
mod pump;
mod records;
mod row;
mod task;
mod unlabelled;
mod windows;

pub(in crate::data) use found_labels::ENOUGH_ROWS;

pub use corpus::{CorpusSettings, prepare_corpus};
pub use predictions::{ALL_PREDICTIONS, PredictionSettings, TRAIN_PREDICTIONS};
pub use pump::Watch;
pub use records::{
    RecordCorpus, RecordDev, RecordFiles, RecordTask, prepare_record_corpus, prepare_record_task,
};
pub use task::{Dev, TaskSettings, prepare_task};
pub use unlabelled::STORE as UNLABELLED_STORE;
pub use windows::{Masking, Pairs, Unit, WindowSettings};
