//! What can be wrong with a model folder.

use std::io;
use std::path::{Path, PathBuf};

use super::mismatch::MatchReport;
use crate::input::{Foreign, escape_lines, excerpt, excerpt_list, excerpt_path};
use crate::system::{advice, reason};

/// A model folder that cannot be read or written, with the file at fault.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file that every model folder has is not there.
    #[error("model file `{}` does not exist", excerpt_path(path))]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Neither `model.safetensors` nor `pytorch_model.bin` is in the folder.
    #[error(
        "model folder `{}` has neither `model.safetensors` nor `pytorch_model.bin`{}",
        excerpt_path(folder),
        only(others)
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// Files in it that may hold weights in other formats.
        others: Vec<String>,
    },
    /// A layer that is to be kept.
    #[error("the model in `{}` has no layer {layer}", excerpt_path(folder))]
    NoLayer {
        /// The folder.
        folder: PathBuf,
        /// The layer, from 0 on.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// The weights are cut into several files.
    #[error(
        "the weights in `{}` are split into several files, listed in `{index}`",
        excerpt_path(folder)
    )]
    Sharded {
        /// The folder.
        folder: PathBuf,
        /// Name of the list of files.
        index: &'static str,
    },
    /// The operating system refused to read or write.
    #[error("cannot {action} `{}`: {}", excerpt_path(path), reason(source))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that should be JSON of a certain form is not.
    #[error("`{}:{line}:{column}`: {}", excerpt_path(path), escape_lines(message))]
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
    #[error("`{}` lacks {}", excerpt_path(path), ticked(keys))]
    MissingKeys {
        /// `config.json`.
        path: PathBuf,
        /// The keys.
        keys: Vec<&'static str>,
    },
    /// A value that no BERT, or none that is supported, has.
    #[error(
        "`{key}` in `{}` is {}, expected {expected}",
        excerpt_path(path),
        excerpt(value)
    )]
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
    #[error("`{}` is damaged: {}", excerpt_path(path), escape_lines(reason))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Something else under the name of the weights.
    #[error("`{}` is {}, not the weights", excerpt_path(path), foreign.what())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it is.
        foreign: Foreign,
    },
    /// Something else under the name of `config.json`.
    #[error("`{}` is {}, not a `config.json`", excerpt_path(path), foreign.what())]
    NotConfig {
        /// The file.
        path: PathBuf,
        /// What it is.
        foreign: Foreign,
    },
    /// A checkpoint that only its writer can read.
    #[error("`{}` is encrypted ({mode})", excerpt_path(path))]
    Encrypted {
        /// The file.
        path: PathBuf,
        /// How.
        mode: &'static str,
    },
    /// A file under the name of a checkpoint.
    #[error("`{}` is not a MindSpore checkpoint", excerpt_path(path))]
    NotMindSpore {
        /// The file.
        path: PathBuf,
    },
    /// Several checkpoints, of which none is named the newest.
    #[error(
        "folder `{}` has several TensorFlow checkpoints: {}",
        excerpt_path(folder),
        excerpt_list(found)
    )]
    SeveralCheckpoints {
        /// The folder.
        folder: PathBuf,
        /// Their indexes.
        found: Vec<String>,
    },
    /// A checkpoint of another model.
    #[error(
        "`{}` contains no BERT or TinyBERT of {program}: it has no tensor `{wanted}`{}",
        excerpt_path(path),
        only(found)
    )]
    NoBert {
        /// The file.
        path: PathBuf,
        /// Whose names were looked for.
        program: &'static str,
        /// The tensor that every such model has.
        wanted: &'static str,
        /// The first names in it.
        found: Vec<String>,
    },
    /// A number of heads that does not divide the model's width. No checkpoint holds it.
    #[error(
        "`{}` is {width} wide, which is not a multiple of {heads} attention heads{}",
        excerpt_path(path),
        if *stated { "" } else { ", the number in MindSpore's own settings" }
    )]
    Heads {
        /// The file.
        path: PathBuf,
        /// Width of its hidden states.
        width: usize,
        /// Heads.
        heads: usize,
        /// Whether they were stated, or are the default.
        stated: bool,
    },
    /// Weights under the name of the other format.
    #[error("`{}` is not the format that its name says", excerpt_path(path))]
    OtherName {
        /// The file.
        path: PathBuf,
        /// The name that its format has.
        other: &'static str,
    },
    /// A `pytorch_model.bin` from before `PyTorch` 1.6, or no `PyTorch` file at all.
    #[error(
        "`{}` is not a zip archive as PyTorch 1.6 and later write it",
        excerpt_path(path)
    )]
    OldFormat {
        /// The file.
        path: PathBuf,
    },
    /// A pickle that asks for something that a dictionary of tensors does not need.
    #[error(
        "`{}` is refused: its pickle {}",
        excerpt_path(path),
        escape_lines(reason)
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        reason: String,
    },
    /// A tensor was asked for that the file does not hold.
    #[error("`{}` has no tensor `{}`", excerpt_path(path), excerpt(name))]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor whose numbers are not floats.
    #[error(
        "tensor `{}` in `{}` has type {dtype}, expected f32, f16, bf16 or f64",
        excerpt(name),
        excerpt_path(path)
    )]
    NotFloats {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Type of its numbers.
        dtype: String,
    },
    /// A tensor with NaN or an infinity in it.
    #[error(
        "tensor `{}` in `{}` contains {value}",
        excerpt(name),
        excerpt_path(path)
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// `NaN`, `inf` or `-inf`: the first such number.
        value: f32,
    },
    /// Weights that are not those of the BERT that `config.json` describes.
    #[error(
        "the weights in `{}` {}{report}",
        excerpt_path(folder),
        report.described()
    )]
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
            Self::Missing { path } if path.ends_with("bert_config.json") => Some(
                "copy the `bert_config.json` that was published with the checkpoint into its folder"
                    .to_owned(),
            ),
            Self::Missing { path } if path.ends_with("config.json") => Some(
                "a model folder has `config.json`, the weights and the tokenizer's files, as `save_pretrained` writes them"
                    .to_owned(),
            ),
            Self::NoWeights { others, .. } => Some(convert(others).to_owned()),
            Self::SeveralCheckpoints { .. } => Some(
                "name one in a file `checkpoint`: `model_checkpoint_path: \"model.ckpt-1000\"`"
                    .to_owned(),
            ),
            Self::NoLayer { layers, .. } => Some(format!("its layers are 0 to {}", layers.saturating_sub(1))),
            Self::Encrypted { .. } => {
                Some("load it with its key in MindSpore, and save it without `enc_key`".to_owned())
            }
            Self::NotMindSpore { path } if path.with_extension("ckpt.index").exists() => {
                Some("name the folder of a TensorFlow checkpoint".to_owned())
            }
            Self::NotMindSpore { .. } | Self::NoBert { .. } => Some(
                "name a folder with `config.json`, or a checkpoint of MindSpore's BERT or TinyBERT"
                    .to_owned(),
            ),
            Self::Heads { .. } => {
                Some("set `num-attention-heads` to the model's number of heads".to_owned())
            }
            Self::OtherName { other, .. } => Some(format!("rename it to `{other}`")),
            Self::Sharded { .. } => Some(
                "join them with `model.save_pretrained(folder, max_shard_size=\"20GB\")` in `transformers`"
                    .to_owned(),
            ),
            Self::OldFormat { .. } | Self::Refused { .. } => Some(
                "open the model in `transformers` and save it again with `model.save_pretrained(folder)`, which writes `model.safetensors`"
                    .to_owned(),
            ),
            Self::NotWeights { path, foreign } | Self::NotConfig { path, foreign } => {
                foreign.hint(path)
            }
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

/// How weights of other programs become those of `transformers`.
fn convert(others: &[String]) -> &'static str {
    let any = |end: &str| others.iter().any(|name| name.ends_with(end));
    if others.iter().any(|name| name.starts_with("adapter_")) {
        "merge the adapter into its base model (`merge_and_unload` of `peft`), and save that with `save_pretrained`"
    } else if any(".h5") {
        "convert them in `transformers` 4: `BertModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(OTHER)`"
    } else if any(".msgpack") {
        "convert them in `transformers` 4: `BertModel.from_pretrained(FOLDER, from_flax=True).save_pretrained(OTHER)`"
    } else if any(".onnx") {
        "ONNX is for onnxruntime and its like; name the Hugging Face folder that it was exported from"
    } else {
        "save the model with `model.save_pretrained(folder)` in `transformers`"
    }
}

/// `, only ...` where there are some.
fn only(others: &[String]) -> String {
    match others {
        [] => String::new(),
        others => format!(", only {}", excerpt_list(others)),
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
