//! What can be wrong with a model folder.

use std::io;
use std::path::{Path, PathBuf};

use super::names::MatchReport;
use crate::system::{advice, reason};

/// A model folder that cannot be read or written, with the file at fault.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file that every model folder has is not there.
    #[error("model file `{}` does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Neither `model.safetensors` nor `pytorch_model.bin` is in the folder.
    #[error("model folder `{}` holds neither `model.safetensors` nor `pytorch_model.bin`", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// The weights are cut into several files.
    #[error("the weights in `{}` are split into several files, listed in `{index}`", folder.display())]
    Sharded {
        /// The folder.
        folder: PathBuf,
        /// Name of the list of files.
        index: &'static str,
    },
    /// The operating system refused to read or write.
    #[error("cannot {action} `{}`: {}", path.display(), reason(source))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that should be JSON of a certain form is not.
    #[error("`{}:{line}:{column}`: {message}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// 1-based line of the fault.
        line: usize,
        /// 1-based column of the fault.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// Keys without which the shape of a BERT is not known.
    #[error("`{}` lacks {}", path.display(), ticked(keys))]
    MissingKeys {
        /// `config.json`.
        path: PathBuf,
        /// The keys.
        keys: Vec<&'static str>,
    },
    /// A value that no BERT, or none that is supported, has.
    #[error("`{key}` in `{}` is {value}, expected {expected}", path.display())]
    Value {
        /// `config.json`.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value as found.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// A file of weights that is cut off or damaged.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Something else under the name of the weights.
    #[error("`{}` is {what}, not the weights", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        what: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// A `pytorch_model.bin` from before `PyTorch` 1.6, or no `PyTorch` file at all.
    #[error("`{}` is not a zip archive as PyTorch 1.6 and later write it", path.display())]
    OldFormat {
        /// The file.
        path: PathBuf,
    },
    /// A pickle that asks for something that a dictionary of tensors does not need.
    #[error("`{}` is refused: its pickle {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        reason: String,
    },
    /// A tensor was asked for that the file does not hold.
    #[error("`{}` holds no tensor `{name}`", path.display())]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor whose numbers are not floats.
    #[error("tensor `{name}` in `{}` is of type {dtype}, expected f32, f16, bf16 or f64", path.display())]
    NotFloats {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Type of its numbers.
        dtype: String,
    },
    /// A tensor with NaN or an infinity in it.
    #[error("tensor `{name}` in `{}` contains {value}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// `NaN`, `inf` or `-inf`: the first such number.
        value: f32,
    },
    /// Weights that are not those of the BERT that `config.json` describes.
    #[error("the weights in `{}` do not match its `config.json`{report}", folder.display())]
    Mismatch {
        /// The folder.
        folder: PathBuf,
        /// Every difference.
        report: Box<MatchReport>,
    },
}

impl ModelError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { path } if path.ends_with("config.json") => Some(
                "a model folder holds `config.json`, the weights and the tokenizer's files, as `save_pretrained` writes them"
                    .to_owned(),
            ),
            Self::NoWeights { .. } => Some(
                "save the model with `model.save_pretrained(folder)` in `transformers`".to_owned(),
            ),
            Self::Sharded { .. } => Some(
                "join them with `model.save_pretrained(folder, max_shard_size=\"20GB\")` in `transformers`"
                    .to_owned(),
            ),
            Self::OldFormat { .. } | Self::Refused { .. } => Some(
                "open the model in `transformers` and save it again with `model.save_pretrained(folder)`, which writes `model.safetensors`"
                    .to_owned(),
            ),
            Self::NotWeights { hint, .. } => Some((*hint).to_owned()),
            Self::Damaged { .. } => Some("fetch or copy the file again".to_owned()),
            Self::NotFinite { .. } => Some(
                "the weights are damaged, or their training diverged: use another checkpoint"
                    .to_owned(),
            ),
            Self::Mismatch { report, .. } => report.hint(),
            Self::Io { source, .. } => advice(source),
            _ => None,
        }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            return Self::Missing {
                path: path.to_owned(),
            };
        }
        Self::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Io {
            action: "write",
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// `a`, `a` and `b`, `a`, `b` and `c`: each in backticks.
pub(super) fn ticked<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
