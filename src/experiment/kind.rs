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

    /// How its stages come into an experiment.
    fn presence(&self) -> Presence {
        Presence::Table
    }

    /// How the data of a stage are prepared, where those are none of the task's.
    fn preparation(&self, _stage: &StageName, _keys: &dyn StageSettings) -> Option<Prepared> {
        None
    }

    /// Reads the table of a stage.
    fn read(&self, section: &Section<'_>, defaults: &StageDefaults) -> Arc<dyn StageSettings>;

    /// The least that its table says, for an example of a whole file.
    fn example(&self) -> &'static str {
        "{}"
    }

    /// Its keys for the reference.
    fn described(&self) -> Vec<Item>;

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
    /// `[teacher]`, whose classifier is used.
    Teacher,
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

/// How stages of a kind come into an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Each has a table.
    Table,
    /// There is always one, and it may have a table.
    Always,
    /// Another kind has it as its preparation.
    Preparation,
}

/// Reads a table whose keys are `T`.
pub(crate) fn table<T>(section: &Section<'_>, defaults: &StageDefaults) -> Arc<dyn StageSettings>
where
    T: Settings<Defaults = StageDefaults> + StageSettings,
{
    Arc::new(T::read_table(section, defaults))
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

    /// Those that may have a table in the file.
    pub(super) fn with_table(self) -> impl Iterator<Item = &'static dyn StageKind> {
        self.iter()
            .filter(|kind| kind.presence() != Presence::Preparation)
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
