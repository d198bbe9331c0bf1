//! What is in a Hugging Face model folder: configuration, weights by name, tokenizer files.
//!
//! Nothing here computes. The runner reads shapes to check an experiment before anything
//! runs; the kernel turns the bytes into tensors.

pub mod config;
mod error;
pub mod family;
mod folder;
mod labels;
mod load;
mod mismatch;
mod mismatch_text;
pub mod names;
mod pickle;
mod pickle_machine;
mod tensor;
pub mod weights;

pub use config::BertConfig;
pub use error::ModelError;
pub use folder::{TOKENIZER_FILES, write_model_folder, write_safetensors, write_without_weights};
pub use labels::{LabelFit, label_fit};
pub use load::{LoadedModel, load_model};
pub use mismatch::{MatchReport, Misshapen};
pub use tensor::{Dtype, Tensor, WeightDtype, round_to};
pub use weights::Weights;
