//! The names of variants, each of which is a folder in that of the experiment.

use crate::document::node::{Table, Value};
use crate::document::{Fault, Span};
use crate::experiment::kind::Kinds;

/// Names in an experiment's folder that no variant may have, beside those of stages.
const FILES: [&str; 4] = [
    "experiment.toml",
    "results.csv",
    "matrix.csv",
    "summary.csv",
];

/// Names that mean a stage.
pub(super) struct StageNames {
    pub(super) kinds: Kinds,
    /// Those of tables with another name than their kind's.
    pub(super) own: Vec<String>,
}

impl StageNames {
    pub(super) fn of(tree: &Table, kinds: Kinds) -> Self {
        let stages = match tree.get("stages").map(|entry| &entry.node.value) {
            Some(Value::Table(stages)) => stages.keys(),
            _ => {
                return Self {
                    kinds,
                    own: Vec::new(),
                };
            }
        };
        let own = stages.filter(|name| kinds.get(name).is_none());
        Self {
            kinds,
            own: own.cloned().collect(),
        }
    }
}

/// Whether an experiment's folder holds something else of this name.
pub(in crate::experiment) fn is_taken(name: &str, kinds: Kinds) -> bool {
    kinds.get(name).is_some() || FILES.contains(&name)
}

/// A name that a folder cannot have, or that something else in the experiment's folder has.
pub(super) fn check_name(name: &str, span: &Span, stages: &StageNames, faults: &mut Vec<Fault>) {
    let is_stage = stages.own.iter().any(|stage| stage == name);
    let problem = if is_stage || is_taken(name, stages.kinds) {
        "is reserved in the experiment's folder"
    } else if !name.chars().all(is_plain) {
        "may contain only letters, digits, `.`, `_` and `-`"
    } else if !name.starts_with(char::is_alphanumeric) {
        "must start with a letter or digit"
    } else if name.len() > 60 {
        "is longer than 60 bytes"
    } else {
        return;
    };
    let fault = Fault::new(format!("variant name `{name}` {problem}"), span.clone());
    faults.push(fault.with_label("it is the name of the results folder"));
}

/// Whether a character may be in the name of a variant.
pub(super) fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || "._-".contains(character)
}
