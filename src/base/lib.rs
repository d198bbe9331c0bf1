//! What the runner (`tinyrun`) and the training kernel (`tinyrun-kernel`) share: jobs and events
//! between them, data, models, metrics. It needs neither the runner nor libtorch.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests write and damage files directly"
    )
)]

pub mod data;
pub mod input;
pub mod job;
pub mod metrics;
pub mod model;
pub mod system;
