//! Texts for this room's tests.

use super::{Experiment, Experiments};
use crate::document::{Fault, Faults};
use crate::kinds::KINDS;

/// The least that is an experiment.
pub(crate) const MINIMAL: &str = r#"
[task]
name = "custom"
train = "train.tsv"
dev = "dev.tsv"

[teacher]
model = "models/teacher"
"#;

/// Every stage, with nothing said that need not be.
pub(crate) fn pipeline() -> String {
    format!(
        r#"{MINIMAL}
[stages.finetune]
[stages.general-distill]
corpus = ["corpus/*.txt"]
[stages.td-phase1]
[stages.td-phase2]
[stages.eval]
"#
    )
}

/// Reads every experiment of the text.
pub(crate) fn read_all(text: &str, overrides: &[&str]) -> Result<Experiments, Faults> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Experiments::read(KINDS, "x.toml", "x", text, &overrides, &super::FileAlone).map(|(all, _)| all)
}

/// Reads the text with overrides.
pub(crate) fn read_with(text: &str, overrides: &[&str]) -> Result<Experiment, Faults> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Experiment::read(KINDS, "x.toml", "x", text, &overrides).map(|(experiment, _)| experiment)
}

/// Reads a text that has no fault.
pub(crate) fn read(text: &str) -> Experiment {
    read_with(text, &[]).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The faults of the text with overrides, one a line: `x.toml:1:2: message`.
pub(crate) fn faults(text: &str, overrides: &[&str]) -> Vec<String> {
    match read_with(text, overrides) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.to_string().lines().map(str::to_owned).collect(),
    }
}

/// What faults say, without their places.
pub(crate) fn messages(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| &*fault.message).collect()
}
