//! Text to tokens: tables and raw text in, a memory-mapped token store out, and the plan of
//! which examples make up which batch. Nothing here computes on tensors or prints.

pub mod batches;
pub mod order;
pub mod store;

pub use store::{StoreError, StoreMeta, StoreWriter, TokenStore};
