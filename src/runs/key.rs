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
mod tests;
