//! What is in a Hugging Face model folder: configuration, weights by name, tokenizer files.
//!
//! Nothing here computes. The runner reads shapes to check an experiment before anything
//! runs; the kernel turns the bytes into tensors.

#[cfg(test)]
mod checkpoint_tests;
mod ckpt;
mod ckpt_write;
pub mod config;
mod error;
pub mod family;
mod folder;
mod labels;
mod leveldb;
mod load;
mod mindspore;
mod mindspore_names;
mod mismatch;
mod mismatch_text;
pub mod names;
mod open_file;
mod open_model;
mod open_weights;
mod pickle;
mod pickle_machine;
mod regions;
mod renaming;
mod safetensors;
mod stated;
mod tensor;
mod tensorflow;
mod tensorflow_names;
#[cfg(test)]
mod tensorflow_tests;
#[cfg(test)]
mod testing;
mod token_map;
pub mod weights;

pub use ckpt_write::write_mindspore;
pub use config::BertConfig;
pub use error::ModelError;
pub use folder::{
    TOKENIZER_FILES, has_tokenizer, write_model_folder, write_safetensors, write_without_weights,
};
pub use labels::{LabelFit, label_fit};
pub use load::{LoadedModel, load_model, load_stated};
pub use mismatch::{MatchReport, Misshapen};
pub use open_model::{is_tensorflow, read_config};
pub use open_weights::WEIGHTS_FILES;
pub use stated::{ModelRef, Stated, is_checkpoint};
pub use tensor::{Dtype, Tensor, WeightDtype, round_to};
pub use tensorflow::is_tensorflow_prefix;
pub use token_map::TokenMap;
pub use weights::Weights;
