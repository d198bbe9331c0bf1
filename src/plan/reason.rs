//! Why a stage is stale.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::experiment::TEACHER_ROLES;
use crate::runs::{Key, Value};
use crate::system::Digest;

/// Where a model is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFrom {
    /// Random weights.
    Random,
    /// A model folder.
    Folder,
    /// A stage's artifact; `None` where that stage has yet to run.
    Stage(Option<String>),
}

impl ModelFrom {
    fn of(key: &Key, role: &str) -> Self {
        let prefix = format!("{role}/");
        if let Some(part) = key.upstream.get(role) {
            Self::Stage(Some(part.artifact.clone()))
        } else if key.inputs.keys().any(|name| name.starts_with(&prefix)) {
            Self::Folder
        } else {
            Self::Random
        }
    }
}

impl fmt::Display for ModelFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random weights"),
            Self::Folder => f.write_str("a folder"),
            Self::Stage(None) => f.write_str("an earlier stage"),
            Self::Stage(Some(artifact)) => write!(f, "`{artifact}`"),
        }
    }
}

/// One reason, with what it was and what it is. There is no "something changed" among them.
#[derive(Debug, Clone, PartialEq)]
pub enum StaleReason {
    /// This experiment has no result of the stage yet.
    NeverRun,
    /// A key has another value, as written or by default.
    SettingChanged {
        /// The key.
        key: String,
        /// Its value when the stage ran last.
        old: Value,
        /// Its value now.
        new: Value,
    },
    /// A key without a default was added.
    SettingAdded {
        /// The key.
        key: String,
        /// Its value.
        new: Value,
    },
    /// A key without a default was taken out.
    SettingRemoved {
        /// The key.
        key: String,
        /// The value it had.
        old: Value,
    },
    /// An input file has other bytes.
    InputChanged {
        /// Role and name of the file.
        name: String,
    },
    /// An input file was added.
    InputAdded {
        /// Role and name of the file.
        name: String,
    },
    /// An input file is no longer there.
    InputRemoved {
        /// Role and name of the file.
        name: String,
    },
    /// A stage before this one left other bytes.
    UpstreamChanged {
        /// Stage and artifact.
        artifact: String,
    },
    /// A model is taken from somewhere else.
    SourceChanged {
        /// `teacher` or `student`.
        role: String,
        /// Where it was taken from.
        old: ModelFrom,
        /// Where it is taken from now.
        new: ModelFrom,
    },
    /// This tinyrun does something else for the same settings and inputs.
    SemanticsChanged {
        /// Version of the stage kind when the stage ran last.
        old: u32,
        /// Version now.
        new: u32,
    },
    /// `--force`
    Forced,
    /// A file of the stored result is not there.
    ArtifactMissing {
        /// Its name in the result.
        file: String,
    },
    /// A file of the stored result is not what was stored.
    ArtifactDamaged {
        /// Its name in the result.
        file: String,
    },
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRun => f.write_str("never run"),
            Self::SettingChanged { key, old, new } => write!(f, "`{key}` changed: {old} -> {new}"),
            Self::SettingAdded { key, new } => write!(f, "`{key}` added: {new}"),
            Self::SettingRemoved { key, old } => write!(f, "`{key}` removed: it was {old}"),
            Self::InputChanged { name } => write!(f, "`{name}` changed"),
            Self::InputAdded { name } => write!(f, "`{name}` is new"),
            Self::InputRemoved { name } => write!(f, "`{name}` was removed"),
            Self::UpstreamChanged { artifact } => write!(f, "`{artifact}` changed"),
            Self::SourceChanged { role, old, new } => {
                write!(f, "`{role}` comes from another source: {old} -> {new}")
            }
            Self::SemanticsChanged { old, new } => {
                write!(f, "stage implementation changed: version {old} -> {new}")
            }
            Self::Forced => f.write_str("forced"),
            Self::ArtifactMissing { file } => write!(f, "`{file}` is missing from the result"),
            Self::ArtifactDamaged { file } => write!(f, "`{file}` in the result is damaged"),
        }
    }
}

/// What makes `new` another key than `old`, most telling first. Artifacts for a role in
/// `unknown` are not there yet and are not compared.
pub fn compare(old: &Key, new: &Key, unknown: &BTreeSet<String>) -> Vec<StaleReason> {
    let mut reasons = Vec::new();
    if old.semantics != new.semantics {
        reasons.push(StaleReason::SemanticsChanged {
            old: old.semantics,
            new: new.semantics,
        });
    }
    reasons.extend(changed_settings(old, new));
    // A teacher that was a folder and is now a stage's artifact is one change, not one for
    // each of the folder's files.
    let mut moved = BTreeSet::new();
    for role in TEACHER_ROLES.into_iter().chain(["student"]) {
        if let Some(reason) = changed_source(old, new, role, unknown) {
            moved.insert(role);
            reasons.push(reason);
        }
    }
    let is_moved = |name: &str| moved.contains(name.split('/').next().unwrap_or(name));
    reasons.extend(changed_inputs(old, new, is_moved));
    let is_known = |role: &str| !is_moved(role) && !unknown.contains(role);
    reasons.extend(changed_artifacts(old, new, is_known));
    reasons
}

fn changed_settings<'a>(old: &'a Key, new: &'a Key) -> impl Iterator<Item = StaleReason> {
    let changes = changes(&old.settings, &new.settings).into_iter();
    changes.filter_map(|(key, change)| {
        let key = key.clone();
        Some(match change {
            (Some(old), Some(new)) => {
                let (old, new) = (old.clone(), new.clone());
                StaleReason::SettingChanged { key, old, new }
            }
            (None, new) => {
                let new = new?.clone();
                StaleReason::SettingAdded { key, new }
            }
            (Some(old), None) => {
                let old = old.clone();
                StaleReason::SettingRemoved { key, old }
            }
        })
    })
}

/// Whether the model of a role comes from somewhere else.
fn changed_source(
    old: &Key,
    new: &Key,
    role: &str,
    unknown: &BTreeSet<String>,
) -> Option<StaleReason> {
    let old_source = ModelFrom::of(old, role);
    let new_source = if unknown.contains(role) {
        ModelFrom::Stage(None)
    } else {
        ModelFrom::of(new, role)
    };
    let digest = |key: &Key| key.upstream.get(role).map(|part| part.digest);
    let is_moved = match (&old_source, &new_source) {
        (ModelFrom::Stage(Some(before)), ModelFrom::Stage(Some(now))) => {
            before != now && digest(old) != digest(new)
        }
        (before, now) => std::mem::discriminant(before) != std::mem::discriminant(now),
    };
    is_moved.then(|| StaleReason::SourceChanged {
        role: role.to_owned(),
        old: old_source,
        new: new_source,
    })
}

/// Input files that differ, but for those of models that `is_moved`.
fn changed_inputs<'a>(
    old: &'a Key,
    new: &'a Key,
    is_moved: impl Fn(&str) -> bool,
) -> impl Iterator<Item = StaleReason> {
    let changes = changes(&old.inputs, &new.inputs).into_iter();
    let changes = changes.filter(move |(name, _)| !is_moved(name));
    changes.map(|(name, change)| {
        let name = name.clone();
        match change {
            (None, _) => StaleReason::InputAdded { name },
            (_, None) => StaleReason::InputRemoved { name },
            _ => StaleReason::InputChanged { name },
        }
    })
}

/// Artifacts of other stages with other bytes, of roles that can be compared.
fn changed_artifacts(old: &Key, new: &Key, is_compared: impl Fn(&str) -> bool) -> Vec<StaleReason> {
    let digests = |key: &Key| -> BTreeMap<String, Digest> {
        let parts = key.upstream.iter();
        parts
            .map(|(role, part)| (role.clone(), part.digest))
            .collect()
    };
    let (before, now) = (digests(old), digests(new));
    let changes = changes(&before, &now).into_iter();
    let changes = changes.filter(|(role, _)| is_compared(role));
    let reasons = changes.map(|(role, _)| {
        let part = new.upstream.get(role).or_else(|| old.upstream.get(role));
        let artifact = part.map_or_else(|| role.clone(), |part| part.artifact.clone());
        StaleReason::UpstreamChanged { artifact }
    });
    reasons.collect()
}

type Change<'a, V> = (Option<&'a V>, Option<&'a V>);

/// Entries that differ, by name, old and new.
fn changes<'a, V: PartialEq>(
    old: &'a BTreeMap<String, V>,
    new: &'a BTreeMap<String, V>,
) -> Vec<(&'a String, Change<'a, V>)> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .map(|name| (name, (old.get(name), new.get(name))))
        .filter(|(_, (old, new))| old != new)
        .collect()
}

#[cfg(test)]
mod tests;
