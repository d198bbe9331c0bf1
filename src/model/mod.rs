//! What is in a Hugging Face model folder: configuration, weights by name, tokenizer files.
//!
//! Nothing here computes. The runner reads shapes to check an experiment before anything
//! runs; the kernel turns the bytes into tensors.

pub mod config;
