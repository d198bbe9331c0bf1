//! A BERT on libtorch: embeddings, encoder, pooler and classifier.
//!
//! Names of parameters are Hugging Face's, letter for letter, so that no table renames
//! anything between a checkpoint and the model. What the losses need comes out of
//! [`Bert::forward_t`]: attention scores before softmax, and every hidden state.

mod attention;
mod embeddings;
mod layer;
mod linear;
mod model;
mod product;
mod relative;

pub(crate) use linear::Linear;
pub(crate) use model::{Bert, Classifier, Output, Wanted};
pub(crate) use product::{matmul, multiplies};
