//! A stage: a table of `[stages]` with a name, a kind and its keys.

use std::fmt;
use std::sync::Arc;

use super::kind::{Kinds, StageKind};
use super::ports::{Artifact, ModelPort, Port, Role, What};
use super::stage_name::StageName;
use super::stage_settings::StageSettings;
use super::task::Task;
use crate::document::Span;

/// A stage of an experiment.
#[derive(Clone)]
pub struct Stage {
    /// Its own name.
    pub name: StageName,
    pub(crate) kind: &'static dyn StageKind,
    pub(super) settings: Arc<dyn StageSettings>,
    /// Header of its table.
    pub(super) header: Option<Span>,
    /// Whether it has a table of its own in the file, and is not the preparation of another stage.
    pub(super) has_table: bool,
    /// The stage that prepares its data, where that is its own.
    pub(super) preparation: Option<StageName>,
}

impl Stage {
    /// Name of its kind.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// The version of what its kind does.
    pub fn semantics(&self) -> u32 {
        self.kind.semantics()
    }

    /// Whose shape the model has that it makes, if it makes one.
    pub fn makes_model_of(&self) -> Option<Role> {
        let mut made = self.kind.makes().into_iter();
        made.find_map(|made| match made.what {
            What::Model { of, .. } => Some(of),
            _ => None,
        })
    }

    /// Folder of the model that it exports, if it does.
    pub fn exports(&self) -> Option<&'static str> {
        let mut made = self.kind.makes().into_iter();
        made.find(|made| made.what == What::Export)
            .map(|made| made.name)
    }

    /// Whether it makes a model whose classifier was trained on the task.
    pub fn makes_classifier(&self) -> bool {
        let is_classifier = |what| {
            matches!(
                what,
                What::Model {
                    classifier: true,
                    ..
                }
            )
        };
        self.kind
            .makes()
            .iter()
            .any(|made| is_classifier(made.what))
    }

    /// The stage that prepares its data, where that is its own.
    pub fn prepared_by(&self) -> Option<&StageName> {
        self.preparation.as_ref()
    }

    /// A group of its keys, where its kind has them.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.settings.get()
    }

    /// A group of the keys that its kind has declared.
    ///
    /// # Panics
    /// It is of another kind.
    pub(crate) fn keys<T: 'static>(&self) -> &T {
        self.settings.keys()
    }

    /// What it takes, for a task.
    pub(crate) fn ports(&self, task: &Task) -> Vec<Port> {
        self.kind.ports(task, &*self.settings)
    }

    /// How it uses models, for a task.
    pub(crate) fn model_ports(&self, task: &Task) -> impl Iterator<Item = ModelPort> + use<> {
        let ports = self.ports(task).into_iter();
        ports.filter_map(|port| port.model())
    }

    /// What it leaves for others.
    pub(crate) fn makes(&self) -> Vec<Artifact> {
        self.kind.makes()
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Stage");
        shown
            .field("name", &self.name)
            .field("kind", &self.kind())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Where in the file it stands makes no difference.
impl PartialEq for Stage {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.kind() == other.kind()
            && self.settings.equals(&*other.settings)
    }
}

/// The stages of an experiment, in pipeline order: by kind, and those of one kind as in the file.
#[derive(Clone)]
pub struct Stages {
    pub(super) all: Vec<Stage>,
    pub(super) kinds: Kinds,
}

impl Stages {
    /// The stage of a name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Stage> {
        self.all.iter().find(|stage| stage.name == *name)
    }

    /// The kinds that there could be.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// All in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Stage> {
        self.all.iter()
    }

    /// Place in the order; after all others where it is none of them.
    pub fn position(&self, name: &str) -> usize {
        let found = self.all.iter().position(|stage| stage.name == *name);
        found.unwrap_or(self.all.len())
    }

    /// Those before a stage, the nearest first.
    pub(super) fn before(&self, stage: &Stage) -> impl Iterator<Item = &Stage> {
        let end = self.position(stage.name.as_str());
        self.all[..end].iter().rev()
    }

    /// Stages that have a group of keys in a table of their own, with it.
    pub(crate) fn with<T: 'static>(&self) -> impl Iterator<Item = (&Stage, &T)> {
        let tables = self.all.iter().filter(|stage| stage.has_table);
        tables.filter_map(|stage| Some((stage, stage.get()?)))
    }
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all.fmt(f)
    }
}

impl PartialEq for Stages {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl<'a> IntoIterator for &'a Stages {
    type Item = &'a Stage;
    type IntoIter = std::slice::Iter<'a, Stage>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
