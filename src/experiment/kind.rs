//! What a kind of stage says of itself: its keys, what it takes and leaves, what its result depends on.

use std::fmt;
use std::sync::Arc;

use super::ports::{Artifact, Port, Role, What};
use super::recipe::StageDefaults;
use super::settings::{Item, Settings};
use super::stage_name::StageName;
use super::stage_settings::StageSettings;
use super::task::Task;
use crate::document::Section;

/// A kind of stage, as an experiment file and a plan see it.
pub(crate) trait StageKind: Sync {
    /// Name in `runs/store`, of the stage in the file, or of its `kind` there.
    fn name(&self) -> &'static str;

    /// Version of what it does. Bump it when the same settings and inputs come to mean another
    /// result, and say why.
    fn semantics(&self) -> u32 {
        1
    }

    /// The keys of its table; `None` for a kind that another one has as its preparation.
    fn keys(&self) -> Option<TableKeys>;

    /// Whether every experiment has a stage of it, with or without a table.
    fn is_in_every_experiment(&self) -> bool {
        false
    }

    /// How the data of a stage are prepared, where those are none of the task's.
    fn preparation(&self, _stage: &StageName, _keys: &dyn StageSettings) -> Option<Prepared> {
        None
    }

    /// Whether its work is the kernel's, on the device of the experiment.
    fn is_on_device(&self) -> bool {
        true
    }

    /// The least that its table says, for an example of a whole file.
    fn example(&self) -> &'static str {
        "{}"
    }

    /// What a stage takes.
    fn ports(&self, task: &Task, keys: &dyn StageSettings) -> Vec<Port>;

    /// What a stage leaves for others.
    fn makes(&self) -> Vec<Artifact>;

    /// What of the file a result depends on. Within a table each key says for itself whether it
    /// counts.
    fn counts(&self) -> Vec<Counts>;
}

/// A part of the file that a stage's result depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counts {
    /// The stage's own table.
    Own,
    /// The stage's own table, the keys of the top and the seed: it trains.
    Trained,
    /// Not these keys of the stage's own table: what they come to is in an artifact that it takes.
    Without(fn() -> Vec<&'static str>),
    /// `[task]`
    Task,
    /// What is known of the tokens of records without a tokenizer: the vocabulary's size and the padding of
    /// the model of `[teacher]`. Nothing where the data are text.
    Vocabulary(fn(&Task, &dyn StageSettings) -> bool),
    /// `[teacher]`, whose classifier is used where the stage takes it.
    Teacher,
    /// Whether answers of a teacher in files must cover texts without labels.
    AnsweredTexts,
    /// `[teacher]`, which is trained.
    TeacherInTraining,
    /// How the classifier of the student is read, where it takes one.
    StudentHead,
    /// `[student]`, which is trained: its shape only where this stage gives it random weights. The
    /// key of this name has no meaning there.
    StudentInTraining { without: &'static str },
    /// The layers that are compared.
    LayerMap,
    /// How the model of this role that is handed on is chosen.
    Selection(Role),
    /// A value that is no key's.
    Fixed(&'static str, &'static str),
}

/// The stage that prepares the data of another one.
pub(crate) struct Prepared {
    /// Its name, which no stage of the file may have.
    pub(crate) name: StageName,
    pub(crate) by: &'static dyn StageKind,
    /// Its keys, which stand in the table of the other.
    pub(crate) keys: Arc<dyn StageSettings>,
}

/// The keys of a stage's table: how they are read, and how they are described in the reference.
#[derive(Clone, Copy)]
pub(crate) struct TableKeys {
    pub(super) read: fn(&Section<'_>, &StageDefaults) -> Arc<dyn StageSettings>,
    pub(super) described: fn() -> Vec<Item>,
}

impl TableKeys {
    /// Those of `T`.
    pub(crate) fn of<T>() -> Self
    where
        T: Settings<Defaults = StageDefaults> + StageSettings,
    {
        Self {
            read: |section, defaults| Arc::new(T::read_table(section, defaults)),
            described: T::described,
        }
    }
}

/// The kinds of stages that a file may have, in pipeline order.
#[derive(Clone, Copy)]
pub struct Kinds(&'static [&'static dyn StageKind]);

impl Kinds {
    pub(crate) const fn new(kinds: &'static [&'static dyn StageKind]) -> Self {
        Self(kinds)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'static dyn StageKind> {
        self.0.iter().copied()
    }

    /// Those that may have a table in the file, with their places and keys.
    pub(super) fn with_table(
        self,
    ) -> impl Iterator<Item = (usize, &'static dyn StageKind, TableKeys)> {
        let kinds = self.iter().enumerate();
        kinds.filter_map(|(place, kind)| Some((place, kind, kind.keys()?)))
    }

    /// The kind of a name.
    pub(super) fn get(self, name: &str) -> Option<&'static dyn StageKind> {
        self.iter().find(|kind| kind.name() == name)
    }

    /// Names of those that make something.
    pub(crate) fn that_make(self, made: impl Fn(What) -> bool) -> Vec<&'static str> {
        let makes = |kind: &&dyn StageKind| kind.makes().iter().any(|it| made(it.what));
        self.iter().filter(makes).map(StageKind::name).collect()
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(StageKind::name).collect()
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
