//! What a stage's result depends on: the one list that is hashed, stored and explained.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Encoder;
use crate::system::Digest;

/// Everything that a stage's result depends on. Its hash names the folder of the result,
/// it is stored in the record, and the difference of two of them is why a stage is stale.
/// What belongs in it is decided in `plan/fingerprint.rs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Stage kind, such as `td-phase1`.
    pub kind: String,
    /// Version of what the stage kind does; bumped by hand when the same settings and
    /// inputs come to mean another result.
    pub semantics: u32,
    /// Settings after defaults, under the keys of the experiment file.
    pub settings: BTreeMap<String, Value>,
    /// Input files by role and name, such as `teacher/model.safetensors`. Never a path of
    /// this machine.
    pub inputs: BTreeMap<String, Digest>,
    /// Artifacts of earlier stages by role, such as `student`.
    pub upstream: BTreeMap<String, Upstream>,
}

/// An artifact of an earlier stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Whose artifact, such as `td-phase1/model`. For the explanation only: where the same
    /// bytes came from does not count.
    pub artifact: String,
    /// Digest of the artifact's files.
    pub digest: Digest,
}

/// Value of a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Integer(u64),
    /// Any other number.
    Float(f64),
    /// A word or a name.
    Text(String),
    /// Several values.
    List(Vec<Value>),
}

/// Hash of a [`Key`], as 32 hexadecimal digits. Half a SHA-256: long enough that two keys
/// never meet, short enough for a folder's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Key {
    /// The hash of all that counts.
    pub fn fingerprint(&self) -> Fingerprint {
        let Self {
            kind,
            semantics,
            settings,
            inputs,
            upstream,
        } = self;
        let mut encoder = Encoder::new("key");
        encoder.text(kind);
        encoder.number(u64::from(*semantics));
        encoder.number(settings.len() as u64);
        for (name, value) in settings {
            encoder.text(name);
            value.encode(&mut encoder);
        }
        encoder.number(inputs.len() as u64);
        for (name, digest) in inputs {
            encoder.text(name);
            encoder.digest(*digest);
        }
        encoder.number(upstream.len() as u64);
        for (
            role,
            Upstream {
                artifact: _,
                digest,
            },
        ) in upstream
        {
            encoder.text(role);
            encoder.digest(*digest);
        }
        Fingerprint::of(encoder)
    }
}

impl Key {
    /// What the answers depend on that this stage's teacher (the model of `role`) gives about its data (the artifact of
    /// the role `rows`): the bytes of both, the number format, which rows where not all are taken, and what is `asked` of
    /// it (in words that mean the same in every stage). One of several teachers has the digest that it has alone.
    pub fn teacher_answers(&self, role: &str, asked: &str, rows: &str) -> Fingerprint {
        let mut encoder = Encoder::new("teacher-answers");
        encoder.number(u64::from(self.semantics));
        encoder.text(asked);
        // Rows that are cut for a teacher have a role of their own where the student's are others.
        for (name, role) in [("teacher", role), ("train", rows)] {
            if let Some(upstream) = self.upstream.get(role) {
                encoder.text(name);
                encoder.digest(upstream.digest);
            }
        }
        let files = self.inputs.iter().filter_map(|(name, digest)| {
            let file = name.strip_prefix(role)?.strip_prefix('/')?;
            Some((format!("teacher/{file}"), digest))
        });
        for (name, digest) in files {
            encoder.text(&name);
            encoder.digest(*digest);
        }
        let mut names = vec!["precision", "teacher.head"];
        let subset = ["train-limit", "unlabelled-limit", "unlabelled-share"];
        if subset.iter().any(|name| self.settings.contains_key(*name)) {
            names.extend([
                "train-limit",
                "seed",
                "unlabelled-limit",
                "unlabelled-share",
            ]);
        }
        // So many texts have their turn.
        if self.settings.contains_key("unlabelled-share") {
            names.push("epochs");
        }
        for name in names {
            if let Some(value) = self.settings.get(name) {
                encoder.text(name);
                value.encode(&mut encoder);
            }
        }
        // Of a checkpoint, whose file does not have them.
        for name in ["num-attention-heads", "hidden-act", "layer-norm-eps"] {
            if let Some(value) = self.settings.get(&format!("{role}.{name}")) {
                encoder.text(&format!("teacher.{name}"));
                value.encode(&mut encoder);
            }
        }
        Fingerprint::of(encoder)
    }
}

impl Fingerprint {
    fn of(encoder: Encoder) -> Self {
        let mut digits = encoder.finish().to_string();
        digits.truncate(32);
        Self(digits)
    }
}

impl Value {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Bool(value) => {
                encoder.tag(0);
                encoder.tag(u8::from(*value));
            }
            Self::Integer(value) => {
                encoder.tag(1);
                encoder.number(*value);
            }
            // By bits: no rounding on the way to text can make two values one. -0 is 0.
            Self::Float(value) => {
                encoder.tag(2);
                encoder.number((*value + 0.0).to_bits());
            }
            Self::Text(value) => {
                encoder.tag(3);
                encoder.text(value);
            }
            Self::List(values) => {
                encoder.tag(4);
                encoder.number(values.len() as u64);
                for value in values {
                    value.encode(encoder);
                }
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(u64::from(value))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Value> + Clone> From<&[T]> for Value {
    fn from(values: &[T]) -> Self {
        Self::List(values.iter().cloned().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            kind: "td-phase1".to_owned(),
            semantics: 1,
            settings: BTreeMap::from([
                ("epochs".to_owned(), Value::from(3_u32)),
                ("learning-rate".to_owned(), Value::from(5e-5)),
            ]),
            inputs: BTreeMap::from([("teacher/config.json".to_owned(), Digest::of_bytes(b"{}"))]),
            upstream: BTreeMap::from([(
                "train".to_owned(),
                Upstream {
                    artifact: "data-prep/train".to_owned(),
                    digest: Digest::of_bytes(b"tokens"),
                },
            )]),
        }
    }

    #[test]
    fn answers_are_shared_by_who_asks_the_same_of_the_same_teacher() {
        let same = key().teacher_answers("teacher", "logits", "train");
        let with = |name: &str, value: Value| {
            let mut key = key();
            key.settings.insert(name.to_owned(), value);
            key
        };
        for (name, value) in [
            ("learning-rate", Value::from(1e-4)),
            ("epochs", 9_u32.into()),
        ] {
            assert_eq!(
                with(name, value).teacher_answers("teacher", "logits", "train"),
                same,
                "{name}"
            );
        }
        // The seed counts where it chooses the rows.
        let seeded = |seed: u32| with("seed", seed.into());
        assert_eq!(
            seeded(1).teacher_answers("teacher", "logits", "train"),
            same
        );
        let limited = [1_u32, 2].map(|seed| {
            let mut key = seeded(seed);
            key.settings.insert("train-limit".to_owned(), 10_u32.into());
            key.teacher_answers("teacher", "logits", "train")
        });
        assert_ne!(limited[0], limited[1]);
        // So do the number of unlabelled texts, their share, and then the epochs in which they have their turn.
        let asked_with = |settings: &[(&str, Value)]| {
            let mut key = key();
            for (name, value) in settings {
                key.settings.insert((*name).to_owned(), value.clone());
            }
            key.teacher_answers("teacher", "logits", "train")
        };
        let share = ("unlabelled-share", Value::from(0.5));
        let found = [
            same.clone(),
            asked_with(&[("unlabelled-limit", 10_u32.into())]),
            asked_with(&[("unlabelled-limit", 11_u32.into())]),
            asked_with(&[("unlabelled-limit", 10_u32.into()), ("seed", 1_u32.into())]),
            asked_with(&[("unlabelled-share", Value::from(0.25))]),
            asked_with(std::slice::from_ref(&share)),
            asked_with(&[share, ("epochs", 9_u32.into())]),
        ];
        for (place, one) in found.iter().enumerate() {
            assert!(!found[..place].contains(one), "{place}");
        }

        let mut other = vec![key().teacher_answers("teacher", "attention [0]", "train")];
        other.push(with("precision", "fp32".into()).teacher_answers("teacher", "logits", "train"));
        let act = with("teacher.hidden-act", Value::Text("gelu".to_owned()));
        other.push(act.teacher_answers("teacher", "logits", "train"));
        let heads = with("teacher.num-attention-heads", 2_u32.into());
        other.push(heads.teacher_answers("teacher", "logits", "train"));
        let mut changed = key();
        let teacher = Digest::of_bytes(b"another");
        changed
            .inputs
            .insert("teacher/config.json".to_owned(), teacher);
        other.push(changed.teacher_answers("teacher", "logits", "train"));
        let mut changed = key();
        changed.upstream.get_mut("train").expect("there").digest = Digest::of_bytes(b"others");
        other.push(changed.teacher_answers("teacher", "logits", "train"));
        let mut changed = key();
        changed.semantics = 2;
        other.push(changed.teacher_answers("teacher", "logits", "train"));
        assert!(other.iter().all(|key| *key != same));
    }

    #[test]
    fn a_fingerprint_never_changes_by_itself() {
        // Stored results are found by it: another value here orphans every one of them.
        assert_eq!(
            key().fingerprint().as_str(),
            "31d003e1c2363648f881b8637d58816c"
        );
    }

    #[test]
    fn every_part_of_a_key_counts() {
        let first = key().fingerprint();
        let differs = |change: &dyn Fn(&mut Key)| {
            let mut changed = key();
            change(&mut changed);
            assert_ne!(changed.fingerprint(), first, "{changed:?}");
        };
        differs(&|key| key.kind = "td-phase2".to_owned());
        differs(&|key| key.semantics = 2);
        differs(&|key| {
            key.settings.insert("epochs".to_owned(), 4_u32.into());
        });
        differs(&|key| {
            key.settings.insert("epochs".to_owned(), Value::Float(3.0));
        });
        differs(&|key| {
            key.settings.remove("epochs");
        });
        differs(&|key| {
            key.inputs
                .insert("teacher/config.json".to_owned(), Digest::of_bytes(b""));
        });
        differs(&|key| {
            let part = key.upstream.remove("train").expect("present");
            key.upstream.insert("dev".to_owned(), part);
        });
    }

    #[test]
    fn where_the_same_bytes_came_from_does_not_count() {
        let mut changed = key();
        for part in changed.upstream.values_mut() {
            part.artifact = "elsewhere/model".to_owned();
        }
        assert_eq!(changed.fingerprint(), key().fingerprint());
    }

    #[test]
    fn the_last_bit_of_a_float_counts_and_survives_json() {
        let mut changed = key();
        let next = f64::from_bits(5e-5_f64.to_bits() + 1);
        changed
            .settings
            .insert("learning-rate".to_owned(), next.into());
        assert_ne!(changed.fingerprint(), key().fingerprint());
        let text = serde_json::to_string(&changed).expect("written");
        let back: Key = serde_json::from_str(&text).expect("read");
        assert_eq!(back, changed);
    }

    #[test]
    fn values_read_as_the_file_writes_them() {
        assert_eq!(Value::from(5e-5).to_string(), "0.00005");
        assert_eq!(Value::from([0_usize, 2].as_slice()).to_string(), "[0, 2]");
        let whole: Value = serde_json::from_str("1.0").expect("read");
        assert_eq!(whole, Value::Float(1.0));
    }
}
