//! What is in a Hugging Face model folder: configuration, weights by name, tokenizer files.
//!
//! Nothing here computes. The runner reads shapes to check an experiment before anything
//! runs; the kernel turns the bytes into tensors.

pub mod config;
mod error;
pub mod names;
mod pickle;
pub mod weights;

pub use error::ModelError;
pub use weights::{Dtype, Tensor, Weights};
