//! Which file holds the weights of a model, and in which format.

use std::fs;
use std::path::Path;

use super::error::ModelError;
use super::open_file::OpenFile;
use super::weights::Weights;
use super::{ckpt, pickle, safetensors, tensorflow};
use crate::input::{Expected, recognize};

/// Files of weights that `transformers` opens; the first that is there is read.
pub const WEIGHTS_FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

impl Weights {
    /// Opens `model.safetensors` of a model folder, or else its `pytorch_model.bin`, or else a
    /// checkpoint of TensorFlow; or a file that is a model by itself: a checkpoint of MindSpore.
    ///
    /// # Errors
    /// None of them is there, or the one that is cannot be read or is damaged.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        if folder.is_file() {
            return Self::open_checkpoint(folder);
        }
        for name in WEIGHTS_FILES {
            let path = folder.join(name);
            if path.exists() {
                return Self::open_file(&path);
            }
        }
        if let Some(index) = tensorflow::find_index(folder)? {
            let (files, entries) = tensorflow::open(&index)?;
            return Ok(Self::of(&index, files, entries));
        }
        for index in [
            "model.safetensors.index.json",
            "pytorch_model.bin.index.json",
        ] {
            if folder.join(index).exists() {
                return Err(ModelError::Sharded {
                    folder: folder.to_owned(),
                    index,
                });
            }
        }
        Err(ModelError::NoWeights {
            folder: folder.to_owned(),
            others: other_weights(folder),
        })
    }

    /// Opens one file: a `PyTorch` archive where the name ends in `.bin`, `.pt` or `.pth`,
    /// else safetensors.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn open_file(path: &Path) -> Result<Self, ModelError> {
        let file = OpenFile::open(path)?;
        let is_pickle = path
            .extension()
            .is_some_and(|ending| ["bin", "pt", "pth"].iter().any(|known| ending == *known));
        refuse_foreign(path, &file.bytes, is_pickle)?;
        let entries = if is_pickle {
            pickle::read_entries(path, &file.bytes)?
        } else {
            safetensors::read_entries(path, &file.bytes)?
        };
        Ok(Self::of(path, vec![file], entries))
    }

    /// Opens a file that is a model by itself.
    fn open_checkpoint(path: &Path) -> Result<Self, ModelError> {
        let file = OpenFile::open(path)?;
        let is_safetensors = path
            .extension()
            .is_some_and(|ending| ending == "safetensors");
        let entries = if is_safetensors {
            refuse_foreign(path, &file.bytes, false)?;
            safetensors::read_entries(path, &file.bytes)?
        } else {
            ckpt::read_entries(path, &file.bytes)?
        };
        Ok(Self::of(path, vec![file], entries))
    }
}

/// What downloads and other programs leave under the name of the weights.
fn refuse_foreign(path: &Path, bytes: &[u8], is_pickle: bool) -> Result<(), ModelError> {
    if let Some(foreign) = recognize(bytes, Expected::Weights) {
        return Err(ModelError::NotWeights {
            path: path.to_owned(),
            foreign,
        });
    }
    let is_archive = bytes.starts_with(b"PK\x03\x04");
    let is_safetensors = bytes.get(8) == Some(&b'{');
    let other = match (is_pickle, is_archive, is_safetensors) {
        (true, false, true) => "model.safetensors",
        (false, true, false) => "pytorch_model.bin",
        _ => return Ok(()),
    };
    Err(ModelError::OtherName {
        path: path.to_owned(),
        other,
    })
}

/// Files that hold weights which tinyrun does not read, by the end of their names.
const OTHER_WEIGHTS: [&str; 9] = [
    ".h5",
    ".msgpack",
    ".onnx",
    ".gguf",
    ".ckpt",
    ".ckpt.index",
    ".safetensors",
    ".pt",
    ".ot",
];

/// Names of files in a folder without weights that may hold some, in order.
fn other_weights(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names
        .filter(|name| OTHER_WEIGHTS.iter().any(|end| name.ends_with(end)))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::model::testing::file_of;

    #[test]
    fn what_other_programs_leave_under_the_name_of_the_weights_is_named() {
        let folder = TempDir::new().unwrap();
        let message = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let error = Weights::open_file(&path).unwrap_err();
            (error.to_string(), error.hint().unwrap_or_default())
        };
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n";
        for (bytes, what, hint) in [
            (&pointer[..], "Git LFS", "git lfs pull"),
            (b"<!DOCTYPE html><html><title>404", "web page", "download"),
            (
                b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
                "gzip-compressed",
                "gzip -dc",
            ),
            (b"\x89HDF\r\n\x1a\n\0\0\0\0", "HDF5", "from_tf=True"),
            (b"GGUF\x03\0\0\0\x01\0\0\0", "GGUF", "model.safetensors"),
        ] {
            for name in ["model.safetensors", "pytorch_model.bin"] {
                let (message, advice) = message(name, bytes);
                assert!(message.contains(what), "{what}: {message}");
                assert!(advice.contains(hint), "{what}: {advice}");
            }
        }
        let safetensors = file_of("{\"a\":1}", 8);
        let (found, hint) = message("pytorch_model.bin", &safetensors);
        assert!(
            found.contains("not the format that its name says"),
            "{found}"
        );
        assert_eq!(hint, "rename it to `model.safetensors`");
        let (_, hint) = message("model.safetensors", b"PK\x03\x04\x14\0\0\0\0\0\0\0");
        assert_eq!(hint, "rename it to `pytorch_model.bin`");
    }

    #[test]
    fn weights_of_other_programs_beside_none_of_ours_are_listed() {
        let folder = TempDir::new().unwrap();
        for name in ["tf_model.h5", "flax_model.msgpack", "vocab.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let error = Weights::open(folder.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("only `flax_model.msgpack`, `tf_model.h5`"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("from_tf=True"));
    }

    #[test]
    fn weights_split_into_several_files_are_refused_with_a_way_out() {
        let folder = TempDir::new().unwrap();
        assert!(matches!(
            Weights::open(folder.path()),
            Err(ModelError::NoWeights { .. })
        ));
        fs::write(folder.path().join("model.safetensors.index.json"), "{}").unwrap();
        let error = Weights::open(folder.path()).unwrap_err();
        assert!(matches!(error, ModelError::Sharded { .. }));
        assert!(error.hint().unwrap().contains("max_shard_size"));
    }
}
