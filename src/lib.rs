//! tinyrun: compress a BERT into a TinyBERT from one declarative file.
//!
//! This library is the runner. The training kernel, which links libtorch, is a package of its own
//! and cannot use it; what both share is `tinyrun-base`.
//! The modules depend on each other downwards only; docs/development/architecture.md has the
//! table, which a test compares with the code.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests write and damage files directly"
    )
)]

pub mod cli;
pub mod document;
pub mod experiment;
pub mod export;
pub mod kinds;
pub mod migrate;
pub mod plan;
pub mod report;
pub mod runs;
pub mod stage;

// Named as the runner's own rooms are: `crate::data`.
pub use tinyrun_base::{data, input, job, metrics, model, system};
