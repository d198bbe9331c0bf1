//! Which stages there are, in which order, and what each takes from where.

use std::collections::BTreeSet;

use crate::document::Located;
use crate::experiment::{Experiment, Origin, StageName};

/// A stage and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub stage: StageName,
    /// Artifacts of other stages.
    pub takes: Vec<Take>,
    /// Model folders by role, as the user wrote them.
    pub folders: Vec<(&'static str, String)>,
}

/// An artifact of another stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// What for: `train`, `dev`, `corpus`, `teacher` or `student`.
    pub role: &'static str,
    /// Who makes it.
    pub from: StageName,
    /// Its name in that stage's folder.
    pub artifact: &'static str,
}

impl Take {
    /// As in messages: `td-phase1/model`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.from, self.artifact)
    }
}

impl Node {
    /// Stages that must be done first, in pipeline order.
    pub fn after(&self) -> BTreeSet<StageName> {
        self.takes.iter().map(|take| take.from).collect()
    }

    /// The artifact taken for a role.
    pub fn take(&self, role: &str) -> Option<&Take> {
        self.takes.iter().find(|take| take.role == role)
    }

    /// The folder taken for a role.
    pub fn folder(&self, role: &str) -> Option<&str> {
        let mut folders = self.folders.iter();
        folders
            .find(|(name, _)| *name == role)
            .map(|(_, folder)| folder.as_str())
    }
}

/// Every stage of an experiment, each after those it takes something from, and in pipeline
/// order where that leaves a choice. Reading the file has refused cycles.
pub fn graph(experiment: &Experiment) -> Vec<Node> {
    let mut waiting: Vec<Node> = StageName::ALL
        .into_iter()
        .filter(|stage| experiment.has_stage(*stage))
        .map(|stage| node(experiment, stage))
        .collect();
    let mut done = BTreeSet::new();
    let mut nodes = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .position(|node| node.after().is_subset(&done))
            .unwrap_or(0);
        let node = waiting.remove(ready);
        done.insert(node.stage);
        nodes.push(node);
    }
    nodes
}

fn node(experiment: &Experiment, stage: StageName) -> Node {
    let mut node = Node {
        stage,
        takes: Vec::new(),
        folders: Vec::new(),
    };
    // Only what is really read: dev where a head is trained or scored.
    let data: &[&'static str] = match stage {
        StageName::DataPrep | StageName::CorpusPrep => &[],
        StageName::GeneralDistill => &["corpus"],
        StageName::TdPhase1 => &["train"],
        StageName::Finetune | StageName::TdPhase2 => &["train", "dev"],
        StageName::Eval if experiment.task.dev_mismatched.is_some() => &["dev", "dev-mismatched"],
        StageName::Eval => &["dev"],
    };
    node.takes.extend(data.iter().map(|&role| match role {
        "corpus" => Take {
            role,
            from: StageName::CorpusPrep,
            artifact: "train",
        },
        _ => Take {
            role,
            from: StageName::DataPrep,
            artifact: role,
        },
    }));
    let raw = Some(Origin::Folder(experiment.teacher.model.value.clone()));
    let value = |origin: Option<Located<Origin>>| origin.map(|origin| origin.value);
    let models = match stage {
        // The teacher's tokenizer cuts the text.
        StageName::DataPrep | StageName::CorpusPrep => [("tokenizer", raw), ("student", None)],
        StageName::Finetune => [("teacher", raw), ("student", None)],
        _ => [
            ("teacher", value(experiment.teacher_of(stage))),
            ("student", value(experiment.student_of(stage))),
        ],
    };
    for (role, origin) in models {
        match origin {
            Some(Origin::Stage(from)) => node.takes.push(Take {
                role,
                from,
                artifact: "model",
            }),
            Some(Origin::Folder(folder)) => {
                // The student is handed on with the tokenizer that cut its text.
                let own = &experiment.teacher.model.value;
                if role == "teacher" && folder != *own {
                    node.folders.push(("tokenizer", own.clone()));
                }
                node.folders.push((role, folder));
            }
            Some(Origin::Random) | None => {}
        }
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(more: &str) -> Vec<Node> {
        let text = format!(
            "[task]\nname = \"sst-2\"\ntrain = \"train.tsv\"\ndev = \"dev.tsv\"\n\
             [teacher]\nmodel = \"teacher\"\n{more}"
        );
        let (experiment, _) = Experiment::read("x.toml", "x", &text, &[]).expect("no faults");
        graph(&experiment)
    }

    fn taken(nodes: &[Node], stage: StageName) -> Vec<String> {
        let node = nodes.iter().find(|node| node.stage == stage);
        let node = node.expect("in the graph");
        let takes = node.takes.iter();
        let takes = takes.map(|take| format!("{}: {}", take.role, take.name()));
        let folders = node.folders.iter();
        takes
            .chain(folders.map(|(role, folder)| format!("{role}: {folder}/")))
            .collect()
    }

    const ALL: &str = "[stages.finetune]\n[stages.general-distill]\ncorpus = [\"*.txt\"]\n\
                       [stages.td-phase1]\n[stages.td-phase2]\n[stages.eval]\n";

    #[test]
    fn every_stage_takes_the_nearest_earlier_student_and_its_teacher() {
        let nodes = nodes(ALL);
        let order: Vec<StageName> = nodes.iter().map(|node| node.stage).collect();
        assert_eq!(order, StageName::ALL);
        let expected: [(StageName, &[&str]); 7] = [
            (StageName::DataPrep, &["tokenizer: teacher/"]),
            (StageName::CorpusPrep, &["tokenizer: teacher/"]),
            (
                StageName::Finetune,
                &[
                    "train: data-prep/train",
                    "dev: data-prep/dev",
                    "teacher: teacher/",
                ],
            ),
            (
                StageName::GeneralDistill,
                &["corpus: corpus-prep/train", "teacher: teacher/"],
            ),
            (
                StageName::TdPhase1,
                &[
                    "train: data-prep/train",
                    "teacher: finetune/model",
                    "student: general-distill/model",
                ],
            ),
            (
                StageName::TdPhase2,
                &[
                    "train: data-prep/train",
                    "dev: data-prep/dev",
                    "teacher: finetune/model",
                    "student: td-phase1/model",
                ],
            ),
            (
                StageName::Eval,
                &[
                    "dev: data-prep/dev",
                    "teacher: finetune/model",
                    "student: td-phase2/model",
                ],
            ),
        ];
        for (stage, takes) in expected {
            assert_eq!(taken(&nodes, stage), takes, "{stage}");
        }
    }

    #[test]
    fn a_stage_with_a_teacher_of_its_own_takes_the_tokenizer_of_the_task() {
        let nodes = nodes(
            "[student]\nmodel = \"student\"\n[stages.td-phase1]\nteacher = \"models/large\"\n",
        );
        assert_eq!(
            taken(&nodes, StageName::TdPhase1),
            [
                "train: data-prep/train",
                "tokenizer: teacher/",
                "teacher: models/large/",
                "student: student/"
            ]
        );
    }

    #[test]
    fn a_stage_that_another_names_runs_before_it() {
        let nodes = nodes(
            "[student]\nmodel = \"student\"\n[stages.td-phase1]\nstudent = \"td-phase2\"\n\
             [stages.td-phase2]\nstudent = \"./student\"\n",
        );
        let order: Vec<StageName> = nodes.iter().map(|node| node.stage).collect();
        let expected = [
            StageName::DataPrep,
            StageName::TdPhase2,
            StageName::TdPhase1,
        ];
        assert_eq!(order, expected);
        assert_eq!(
            taken(&nodes, StageName::TdPhase2),
            [
                "train: data-prep/train",
                "dev: data-prep/dev",
                "teacher: teacher/",
                "student: ./student/"
            ]
        );
    }
}
