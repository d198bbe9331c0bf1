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
    let Key {
        kind: _,
        semantics,
        settings,
        inputs,
        upstream,
    } = new;
    let mut reasons = Vec::new();
    if old.semantics != *semantics {
        reasons.push(StaleReason::SemanticsChanged {
            old: old.semantics,
            new: *semantics,
        });
    }
    for (key, change) in changes(&old.settings, settings) {
        let key = key.clone();
        reasons.push(match change {
            (Some(old), Some(new)) => StaleReason::SettingChanged {
                key,
                old: old.clone(),
                new: new.clone(),
            },
            (None, Some(new)) => StaleReason::SettingAdded {
                key,
                new: new.clone(),
            },
            (Some(old), None) => StaleReason::SettingRemoved {
                key,
                old: old.clone(),
            },
            (None, None) => continue,
        });
    }
    // A teacher that was a folder and is now a stage's artifact is one change, not one for
    // each of the folder's files.
    let mut moved = BTreeSet::new();
    for role in TEACHER_ROLES.into_iter().chain(["student"]) {
        let new_source = if unknown.contains(role) {
            ModelFrom::Stage(None)
        } else {
            ModelFrom::of(new, role)
        };
        let old_source = ModelFrom::of(old, role);
        let digest = |key: &Key| key.upstream.get(role).map(|part| part.digest);
        let is_moved = match (&old_source, &new_source) {
            (ModelFrom::Stage(Some(before)), ModelFrom::Stage(Some(now))) => {
                before != now && digest(old) != digest(new)
            }
            (before, now) => std::mem::discriminant(before) != std::mem::discriminant(now),
        };
        if is_moved {
            moved.insert(role);
            reasons.push(StaleReason::SourceChanged {
                role: role.to_owned(),
                old: old_source,
                new: new_source,
            });
        }
    }
    let is_moved = |name: &str| moved.contains(name.split('/').next().unwrap_or(name));
    for (name, change) in changes(&old.inputs, inputs) {
        if !is_moved(name) {
            let name = name.clone();
            reasons.push(match change {
                (None, _) => StaleReason::InputAdded { name },
                (_, None) => StaleReason::InputRemoved { name },
                _ => StaleReason::InputChanged { name },
            });
        }
    }
    let digests = |key: &Key| -> BTreeMap<String, Digest> {
        let parts = key.upstream.iter();
        parts
            .map(|(role, part)| (role.clone(), part.digest))
            .collect()
    };
    for (role, _) in changes(&digests(old), &digests(new)) {
        if !is_moved(role) && !unknown.contains(role) {
            let part = upstream.get(role).or_else(|| old.upstream.get(role));
            let artifact = part.map_or_else(|| role.clone(), |part| part.artifact.clone());
            reasons.push(StaleReason::UpstreamChanged { artifact });
        }
    }
    reasons
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
mod tests {
    use super::*;
    use crate::runs::Upstream;

    fn key() -> Key {
        let digest = Digest::of_bytes(b"x");
        Key {
            kind: "td-phase1".to_owned(),
            semantics: 1,
            settings: BTreeMap::from([
                ("epochs".to_owned(), 3_u32.into()),
                ("learning-rate".to_owned(), 1e-4.into()),
            ]),
            inputs: BTreeMap::from([
                ("teacher/config.json".to_owned(), digest),
                ("teacher/model.safetensors".to_owned(), digest),
            ]),
            upstream: BTreeMap::from([(
                "train".to_owned(),
                Upstream {
                    artifact: "data-prep/train".to_owned(),
                    digest,
                },
            )]),
        }
    }

    fn explain(change: impl Fn(&mut Key)) -> Vec<String> {
        let mut new = key();
        change(&mut new);
        let reasons = compare(&key(), &new, &BTreeSet::new());
        reasons.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_change_has_its_reason_with_old_and_new() {
        let other = Digest::of_bytes(b"y");
        assert!(explain(|_| {}).is_empty());
        assert_eq!(
            explain(|key| {
                key.settings.insert("learning-rate".to_owned(), 5e-5.into());
            }),
            ["`learning-rate` changed: 0.0001 -> 0.00005"]
        );
        assert_eq!(
            explain(|key| {
                key.settings.insert("train-limit".to_owned(), 9_u32.into());
                key.settings.remove("epochs");
            }),
            ["`epochs` removed: it was 3", "`train-limit` added: 9"]
        );
        assert_eq!(
            explain(|key| {
                key.inputs.insert("teacher/config.json".to_owned(), other);
                key.inputs.insert("teacher/vocab.txt".to_owned(), other);
                key.inputs.remove("teacher/model.safetensors");
            }),
            [
                "`teacher/config.json` changed",
                "`teacher/model.safetensors` was removed",
                "`teacher/vocab.txt` is new"
            ]
        );
        assert_eq!(
            explain(|key| {
                for part in key.upstream.values_mut() {
                    part.digest = other;
                }
            }),
            ["`data-prep/train` changed"]
        );
        assert_eq!(
            explain(|key| key.semantics = 2),
            ["stage implementation changed: version 1 -> 2"]
        );
    }

    #[test]
    fn a_model_taken_from_elsewhere_is_one_reason() {
        let reasons = explain(|key| {
            key.inputs.clear();
            key.upstream.insert(
                "teacher".to_owned(),
                Upstream {
                    artifact: "finetune/model".to_owned(),
                    digest: Digest::of_bytes(b"y"),
                },
            );
        });
        assert_eq!(
            reasons,
            ["`teacher` comes from another source: a folder -> `finetune/model`"]
        );
    }

    #[test]
    fn what_is_not_known_yet_is_no_reason() {
        let mut new = key();
        new.upstream.clear();
        let unknown = BTreeSet::from(["train".to_owned()]);
        assert_eq!(compare(&key(), &new, &unknown), []);
    }
}
