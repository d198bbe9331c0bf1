//! tinyrun: compress a BERT into a TinyBERT from one declarative file.
//!
//! This library is everything that does not need libtorch: it is linked into both
//! programs, the runner (`tinyrun`) and the training kernel (`tinyrun-kernel`).
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
pub mod data;
pub mod document;
pub mod experiment;
pub mod export;
pub mod input;
pub mod job;
pub mod kinds;
pub mod metrics;
pub mod migrate;
pub mod model;
pub mod plan;
pub mod report;
pub mod runs;
pub mod stage;
pub mod system;
