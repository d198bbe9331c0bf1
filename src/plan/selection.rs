//! What a command is about: which experiment files, with which keys overridden, and which of their stages.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::graph::Node;
use super::misspelt::path_hint;
use crate::document::{Faults, did_you_mean};
use crate::experiment::StageName;
use crate::runs::Error;

/// What a command line selects.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Experiment files, relative to the current folder.
    pub files: Vec<PathBuf>,
    /// `KEY=VALUE`, for every file.
    pub overrides: Vec<String>,
    /// Stages to run.
    pub stages: StageRange,
    /// Stages to run even if they are fresh.
    pub forced: BTreeSet<StageName>,
    /// How many ranks a launcher has started, and its name: experiments run on so many.
    pub started: Option<(usize, &'static str)>,
}

impl Selection {
    /// All stages of these files.
    pub fn of_files(files: &[PathBuf]) -> Self {
        Self {
            files: files.to_vec(),
            ..Self::default()
        }
    }
}

/// Which stages of an experiment to run. Those before the first are used as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StageRange {
    /// Every one.
    #[default]
    All,
    /// This one and all before it.
    Until(StageName),
    /// Only this one.
    Single(StageName),
    /// This one and those that depend on it.
    Downstream(StageName),
}

impl StageRange {
    /// The stage that it names.
    pub fn stage(&self) -> Option<&StageName> {
        match self {
            Self::All => None,
            Self::Until(stage) | Self::Single(stage) | Self::Downstream(stage) => Some(stage),
        }
    }

    /// The stages of a graph that it selects, in order.
    pub fn of<'a>(&self, nodes: &'a [Node]) -> Vec<&'a Node> {
        match self {
            Self::All => nodes.iter().collect(),
            Self::Until(last) => {
                let end = nodes.iter().position(|node| node.stage == *last);
                nodes.iter().take(end.map_or(0, |end| end + 1)).collect()
            }
            Self::Single(stage) => nodes.iter().filter(|node| node.stage == *stage).collect(),
            Self::Downstream(first) => {
                let mut found = BTreeSet::from([first]);
                // Each stage stands after those it depends on.
                let below = nodes.iter().filter(|node| {
                    let is_below = node.stage == *first
                        || node.after.iter().any(|stage| found.contains(stage));
                    if is_below {
                        found.insert(&node.stage);
                    }
                    is_below
                });
                below.collect()
            }
        }
    }
}

/// A selection that no run can be made of.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// An experiment file cannot be read.
    #[error("{source}")]
    File {
        /// The file, and the system's answer.
        source: Error,
        /// What to do about it.
        hint: Option<String>,
    },
    /// An experiment file is not text.
    #[error("`{}` is not valid UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Two files would overwrite each other's results.
    #[error("`{}` and `{}` have the same experiment name `{name}`", first.display(), second.display())]
    SameName {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The name of both.
        name: String,
    },
    /// A stage that no file has.
    #[error("`{stage}` is not a stage of this experiment")]
    NoStage {
        /// The stage.
        stage: StageName,
        /// Stages that at least one file has, in pipeline order.
        stages: Vec<StageName>,
    },
    /// A stage is forced that is not selected.
    #[error("`--force {stage}` comes after `--until {last}`")]
    ForcedAfter {
        /// The forced stage.
        stage: StageName,
        /// The last one selected.
        last: StageName,
    },
    /// The content of a file.
    #[error(transparent)]
    Faults(#[from] Faults),
}

impl SelectionError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { hint, .. } => hint.clone(),
            Self::SameName { .. } => Some("set another `name` in one of the files".to_owned()),
            Self::NoStage { stage, stages } => {
                let names: Vec<&str> = stages.iter().map(StageName::as_str).collect();
                did_you_mean(stage.as_str(), &names).or_else(|| {
                    let there: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
                    Some(format!("use one of {}", there.join(", ")))
                })
            }
            Self::NotText { .. } | Self::ForcedAfter { .. } | Self::Faults(_) => None,
        }
    }

    /// For an experiment file that cannot be read; `root` is what the paths in it are relative to.
    pub(super) fn unreadable(path: &Path, root: &Path, error: io::Error) -> Self {
        let is_elsewhere = !root.as_os_str().is_empty();
        let hint = match error.kind() {
            io::ErrorKind::NotFound if is_elsewhere => Some(
                "pass FILE relative to the current folder: `--root` does not apply to it"
                    .to_owned(),
            ),
            io::ErrorKind::NotFound => path_hint(Path::new(""), &path.to_string_lossy()),
            io::ErrorKind::IsADirectory => Some(
                "write the path of an experiment file, for example `experiments/sst2.toml`"
                    .to_owned(),
            ),
            _ => None,
        };
        let source = Error::read(path)(error);
        Self::File { source, hint }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::graph;
    use super::*;
    use crate::experiment::testing;

    fn selected(stages: &StageRange) -> Vec<String> {
        let nodes = graph(&testing::read(&testing::pipeline()));
        let selected = stages.of(&nodes).into_iter();
        selected.map(|node| node.stage.to_string()).collect()
    }

    #[test]
    fn a_range_selects_stages_in_the_order_of_the_graph() {
        assert_eq!(selected(&StageRange::All).len(), 7);
        let until = selected(&StageRange::Until(StageName::new("finetune")));
        assert_eq!(until, ["data-prep", "corpus-prep", "finetune"]);
        let single = selected(&StageRange::Single(StageName::new("td-phase1")));
        assert_eq!(single, ["td-phase1"]);
        let below = selected(&StageRange::Downstream(StageName::new("general-distill")));
        let expected = ["general-distill", "td-phase1", "td-phase2", "eval"];
        assert_eq!(below, expected);
        let below = selected(&StageRange::Downstream(StageName::new("corpus-prep")));
        assert_eq!(below[0], "corpus-prep");
        assert_eq!(below[1..], expected);
    }
}
