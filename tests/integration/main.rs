//! Rules of the whole program. The runner is tested with a script in the kernel's place;
//! its numbers are the business of the kernel's own tests. `pipeline` is the exception.
#![allow(
    clippy::disallowed_methods,
    reason = "tests write and damage files directly, and poll for what another process does"
)]

mod architecture;
#[cfg(feature = "kernel")]
mod chaos;
mod checkpoints;
mod commands;
mod docs;
mod documents;
mod experiments;
mod exported;
mod exports;
#[cfg(feature = "kernel")]
mod families;
mod faults;
mod fetch;
mod file_systems;
mod freshness;
mod harness;
mod jobs;
#[cfg(feature = "kernel")]
mod kernel_faults;
mod kinds;
mod knobs;
mod language;
#[cfg(feature = "kernel")]
mod launchers;
#[cfg(feature = "kernel")]
mod learned_predictions;
mod lifecycle;
#[cfg(feature = "kernel")]
mod lost_ranks;
mod make;
mod matrix;
mod models;
mod names;
mod onnx;
#[cfg(feature = "kernel")]
mod other_tokens;
mod output;
#[cfg(feature = "kernel")]
mod pipeline;
mod predict;
mod programs;
#[cfg(feature = "kernel")]
mod ranks;
mod records;
mod reference;
mod release;
#[cfg(feature = "kernel")]
mod seed_parity;
#[cfg(feature = "kernel")]
mod several_teachers;
mod signals;
mod stored_runs;
mod students;
mod tables;
#[cfg(feature = "kernel")]
mod tasks;
mod teacher_predictions;
#[cfg(feature = "kernel")]
mod unlabelled;
