//! What a configuration is of.

use super::value::{Node, Read};
use crate::document::Fault;

/// The two programs of MindSpore's TinyBERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `run_general_distill.py`
    General,
    /// `run_task_distill.py`
    Task,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::General => "general distillation",
            Self::Task => "task distillation",
        }
    }
}

/// What a configuration is of, by the tables that it has.
///
/// # Errors
/// It has those of neither program, or of both.
pub(super) fn part_of(config: &Node) -> Read<Part> {
    let has = |names: &[&str]| names.iter().any(|name| config.value.get(name).is_some());
    let general = has(&["common_cfg", "bert_student_net_cfg"]);
    let task = has(&["phase1_cfg", "phase2_cfg", "td_student_net_cfg"]);
    let fault = |message: &str| {
        let fault = Fault::new(message, config.span.clone());
        Box::new(
            fault.with_hint(
                "expected `gd_config.yaml` or `gd_config.py` with `common_cfg` and \
             `bert_student_net_cfg`, or a task configuration with `phase1_cfg`, `phase2_cfg` and \
             `td_student_net_cfg`"
                    .to_owned(),
            ),
        )
    };
    match (general, task) {
        (true, false) => Ok(Part::General),
        (false, true) => Ok(Part::Task),
        (false, false) => Err(fault("not a configuration of MindSpore's TinyBERT")),
        (true, true) => Err(fault("a configuration of general and of task distillation")),
    }
}
