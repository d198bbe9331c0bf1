//! Which stages there are, in which order, and what each takes from where.

use std::collections::BTreeSet;

use crate::data::RecordFormat;
use crate::document::Located;
use crate::experiment::{Experiment, ModelPort, Origin, Role, Stage, StageName, Wants, What};

/// A stage and what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub stage: StageName,
    /// Name of its kind, which its results are stored under.
    pub kind: &'static str,
    /// Artifacts of other stages.
    pub takes: Vec<Take>,
    /// Model folders by role, as the user wrote them.
    pub folders: Vec<(&'static str, String)>,
    /// Tables and texts.
    pub files: Vec<Files>,
    /// Whether it cuts text into tokens.
    pub tokenizes: bool,
    /// Stages that must be done first, in pipeline order.
    pub after: Vec<StageName>,
}

/// An artifact of another stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// What for: `train`, `dev`, `predictions`, `corpus`, `teacher`, `teacher-2` and so on,
    /// `student` or `scores`.
    pub role: &'static str,
    /// Who makes it.
    pub from: StageName,
    /// Its name in that stage's folder.
    pub artifact: &'static str,
}

/// Files that the user names.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// What for: `train`, `dev`, `dev-mismatched`, `corpus` or `projection`.
    pub role: &'static str,
    /// Paths and globs.
    pub patterns: Vec<Located<String>>,
    /// Whether it is one file.
    pub is_one: bool,
    /// Records, which a folder may hold: their format.
    pub records: Option<RecordFormat>,
}

/// What a projection that a stage starts from is taken for.
pub(crate) const INITIAL_PROJECTION: &str = "projection";

impl Take {
    /// As in messages: `td-phase1/model`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.from, self.artifact)
    }
}

impl Node {
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

    /// Takes an artifact of a stage, if there is one.
    fn take_from(&mut self, role: &'static str, made: Option<(&StageName, &'static str)>) {
        self.takes.extend(made.map(|(from, artifact)| Take {
            role,
            from: from.clone(),
            artifact,
        }));
    }

    /// Takes the model of a port, from a stage or a folder.
    fn take_model(
        &mut self,
        experiment: &Experiment,
        stage: &Stage,
        (role, model): (&'static str, ModelPort),
    ) {
        let origin = experiment.connect(stage, model);
        match origin.map(|origin| origin.value.whole()) {
            Some(Origin::Stage(from)) => {
                self.takes.extend(take(experiment, role, from, is_model));
            }
            Some(Origin::Folder(folder)) => {
                let own = &experiment.tokenizer_model().value;
                // The student is handed on with the tokenizer that cut its text.
                let is_other = model.of == Role::Teacher && folder != *own;
                if is_other && self.folder("tokenizer").is_none() {
                    self.folders.push(("tokenizer", own.clone()));
                }
                self.folders.push((role, folder));
            }
            Some(Origin::Random | Origin::Layers { .. }) | None => {}
        }
    }
}

impl Files {
    fn new(role: &'static str, patterns: Vec<Located<String>>) -> Self {
        Self {
            role,
            patterns,
            is_one: false,
            records: None,
        }
    }

    fn one(role: &'static str, pattern: Located<String>) -> Self {
        Self {
            is_one: true,
            ..Self::new(role, vec![pattern])
        }
    }
}

/// Every stage of an experiment, each after those it takes something from, and in pipeline
/// order where that leaves a choice. Reading the file has refused cycles.
pub fn graph(experiment: &Experiment) -> Vec<Node> {
    let stages = experiment.stages.iter();
    let mut waiting: Vec<Node> = stages.map(|stage| node(experiment, stage)).collect();
    let mut done = BTreeSet::new();
    let mut nodes = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_ready = |node: &Node| node.after.iter().all(|stage| done.contains(stage));
        let ready = waiting.iter().position(is_ready).unwrap_or(0);
        let node = waiting.remove(ready);
        done.insert(node.stage.clone());
        nodes.push(node);
    }
    nodes
}

fn node(experiment: &Experiment, stage: &Stage) -> Node {
    let mut node = Node {
        stage: stage.name.clone(),
        kind: stage.kind(),
        takes: Vec::new(),
        folders: Vec::new(),
        files: Vec::new(),
        tokenizes: false,
        after: experiment.depends_on(stage),
    };
    for port in stage.ports(&experiment.task) {
        let role = port.role;
        match port.wants {
            Wants::Files(patterns) => node.files.push(Files::new(role, patterns)),
            Wants::Records(patterns, format) => node.files.push(Files {
                records: Some(format),
                ..Files::new(role, patterns)
            }),
            Wants::OneFile(pattern) => node.files.push(Files::one(role, pattern)),
            Wants::Rows(artifact) => {
                let from = experiment.rows_for(stage, artifact);
                node.take_from(role, from.map(|from| (from, artifact)));
            }
            Wants::Predictions(artifact) => {
                let from = experiment.maker_for(stage, What::Predictions, artifact);
                node.take_from(role, from.map(|from| (from, artifact)));
            }
            Wants::Scores => node.take_from(role, experiment.scores_for(stage)),
            Wants::Text => {
                let from = stage.prepared_by().cloned();
                let takes = from.and_then(|from| take(experiment, role, from, is_text));
                node.takes.extend(takes);
            }
            Wants::Tokenizer => {
                node.tokenizes = true;
                let own = experiment.tokenizer_model().value.clone();
                node.folders.push((role, own));
            }
            Wants::Model(model) => node.take_model(experiment, stage, (role, model)),
        }
    }
    let projection = experiment.initial_projection(stage);
    let projection = projection.map(|file| Files::one(INITIAL_PROJECTION, file));
    node.files.extend(projection);
    node
}

fn is_text(what: What) -> bool {
    what == What::Text
}

fn is_model(what: What) -> bool {
    matches!(what, What::Model { .. })
}

/// The artifact of a type that a stage makes.
fn take(
    experiment: &Experiment,
    role: &'static str,
    from: StageName,
    wanted: fn(What) -> bool,
) -> Option<Take> {
    let made = experiment.stages.get(from.as_str())?.kind.makes();
    let artifact = made.into_iter().find(|made| wanted(made.what))?.name;
    Some(Take {
        role,
        from,
        artifact,
    })
}

#[cfg(test)]
mod tests;
