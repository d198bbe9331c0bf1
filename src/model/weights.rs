//! Tensors of a model folder by name, read from the file's memory map on demand.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use safetensors::tensor::Metadata;

use super::ckpt;
use super::error::ModelError;
use super::open_file::OpenFile;
use super::pickle;
use super::tensor::{Dtype, Entry, Part, Tensor};
use super::tensorflow;
use crate::input::{Expected, excerpt, recognize};

/// The tensors of a model's weights. Opening reads names, types and shapes only.
#[derive(Debug)]
pub struct Weights {
    /// The file that lists the tensors.
    path: PathBuf,
    files: Vec<OpenFile>,
    entries: BTreeMap<String, Entry>,
    /// Tensors of which other rows are taken, by name: the rows, and the shape that they make.
    taken: BTreeMap<String, (Vec<u32>, Vec<usize>)>,
    /// Stretches whose checksum was right, by file and start: tensors may share a storage.
    verified: Mutex<BTreeSet<(usize, usize)>>,
}

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
        for name in ["model.safetensors", "pytorch_model.bin"] {
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
            safetensors_entries(path, &file.bytes)?
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
            safetensors_entries(path, &file.bytes)?
        } else {
            ckpt::read_entries(path, &file.bytes)?
        };
        Ok(Self::of(path, vec![file], entries))
    }

    pub(super) fn of(path: &Path, files: Vec<OpenFile>, entries: BTreeMap<String, Entry>) -> Self {
        Self {
            path: path.to_owned(),
            files,
            entries,
            taken: BTreeMap::new(),
            verified: Mutex::default(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every file that is read: that which lists the tensors, and those that hold them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Shape of a tensor, without reading it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        if let Some((_, shape)) = self.taken.get(name) {
            return Some(shape);
        }
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Type of a tensor's numbers, without reading it.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.entries.get(name).map(|entry| entry.dtype)
    }

    /// Every name with its shape, without reading a tensor.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let names = self.entries.keys();
        names
            .filter_map(|name| Some((name.clone(), self.shape(name)?.to_vec())))
            .collect()
    }

    /// One tensor.
    ///
    /// # Errors
    /// There is none of this name, its type is not known, or its bytes do not have the
    /// checksum that the file says they have.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        let entry = self.entries.get(name).ok_or_else(|| ModelError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        })?;
        let size = entry
            .dtype
            .size()
            .ok_or_else(|| self.not_floats(name, entry.dtype))?;
        for part in &entry.parts {
            self.verify(name, part)?;
        }
        let parts = entry.parts.iter().map(|part| self.stretch(part));
        let parts: Vec<&[u8]> = parts.collect::<Result<_, _>>()?;
        let stored = match (&entry.regions, &parts[..]) {
            (Some(regions), parts) => {
                let whole = regions.assemble(parts, size);
                Cow::Owned(whole.ok_or_else(|| self.beyond())?)
            }
            (None, [part]) => Cow::Borrowed(*part),
            (None, parts) => Cow::Owned(parts.concat()),
        };
        let bytes = match &entry.strides {
            None => stored,
            Some(strides) => {
                let count: usize = entry.shape.iter().product();
                let mut bytes = Vec::with_capacity(count * size);
                for number in strided(&entry.shape, strides) {
                    let at = number * size;
                    let number = stored.get(at..at + size);
                    bytes.extend_from_slice(number.ok_or_else(|| self.beyond())?);
                }
                Cow::Owned(bytes)
            }
        };
        let tensor = Tensor {
            dtype: entry.dtype,
            shape: entry.shape.clone(),
            bytes,
        };
        match self.taken.get(name) {
            Some((rows, _)) => tensor.take_rows(rows).ok_or_else(|| self.beyond()),
            None => Ok(tensor),
        }
    }

    /// One tensor's numbers as 32-bit floats, row-major.
    ///
    /// # Errors
    /// As [`Weights::tensor`], or the tensor does not hold floats, or one is not finite.
    pub fn to_f32(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let tensor = self.tensor(name)?;
        let numbers = tensor
            .to_f32()
            .ok_or_else(|| self.not_floats(name, tensor.dtype))?;
        match numbers.iter().find(|number| !number.is_finite()) {
            None => Ok(numbers),
            Some(&value) => Err(ModelError::NotFinite {
                path: self.path.clone(),
                name: name.to_owned(),
                value,
            }),
        }
    }

    /// Reads every tensor of floats once.
    ///
    /// # Errors
    /// As [`Weights::to_f32`], for the first tensor by name.
    pub fn check_finite(&self) -> Result<(), ModelError> {
        let floats = |entry: &Entry| entry.dtype.is_float();
        let mut names = self.entries.iter().filter(|(_, entry)| floats(entry));
        names.try_for_each(|(name, _)| self.to_f32(name).map(drop))
    }

    /// The same tensors under other names: `names` maps each new name to the old one. Tensors
    /// that it does not mention are left out.
    #[must_use]
    pub fn renamed(mut self, names: &BTreeMap<String, String>) -> Self {
        self.entries = names
            .iter()
            .filter_map(|(new, old)| Some((new.clone(), self.entries.get(old)?.clone())))
            .collect();
        self
    }

    /// The same tensors, one of them with these of its rows in this order.
    #[must_use]
    pub(super) fn with_rows(mut self, name: &str, rows: &[u32]) -> Self {
        if let Some(entry) = self.entries.get(name) {
            let mut shape = entry.shape.clone();
            if let Some(first) = shape.first_mut() {
                *first = rows.len();
                self.taken.insert(name.to_owned(), (rows.to_vec(), shape));
            }
        }
        self
    }

    fn verify(&self, name: &str, part: &Part) -> Result<(), ModelError> {
        let Some(checked) = part.checked else {
            return Ok(());
        };
        let stretch = (part.file, checked.start);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.contains(&stretch) {
            return Ok(());
        }
        let whole = Part {
            start: checked.start,
            len: checked.len,
            ..*part
        };
        if !checked.sum.is_of(self.stretch(&whole)?) {
            let reason = format!("the checksum of tensor `{}` does not match", excerpt(name));
            let path = self.files.get(part.file).map_or(&self.path, |it| &it.path);
            return Err(ModelError::damaged(path, reason));
        }
        verified.insert(stretch);
        Ok(())
    }

    fn stretch(&self, part: &Part) -> Result<&[u8], ModelError> {
        let file = self.files.get(part.file);
        let end = part.start.checked_add(part.len);
        file.zip(end)
            .and_then(|(file, end)| file.bytes.get(part.start..end))
            .ok_or_else(|| self.beyond())
    }

    fn beyond(&self) -> ModelError {
        ModelError::damaged(&self.path, "a tensor reaches beyond its end")
    }

    fn not_floats(&self, name: &str, dtype: Dtype) -> ModelError {
        ModelError::NotFloats {
            path: self.path.clone(),
            name: name.to_owned(),
            dtype: dtype.to_string(),
        }
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
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names
        .filter(|name| OTHER_WEIGHTS.iter().any(|end| name.ends_with(end)))
        .collect();
    found.sort();
    found
}

/// Offsets of a strided tensor's numbers in row-major order.
fn strided(shape: &[usize], strides: &[usize]) -> impl Iterator<Item = usize> {
    let count: usize = shape.iter().product();
    (0..count).map(move |mut index| {
        let mut offset = 0;
        for (length, stride) in shape.iter().zip(strides).rev() {
            offset += index % length * stride;
            index /= length;
        }
        offset
    })
}

/// Reads the header. The crate checks that the tensors follow each other without gap or
/// overlap; the sum with the header's length is made here, checked, since a header may lie.
fn safetensors_entries(path: &Path, map: &[u8]) -> Result<BTreeMap<String, Entry>, ModelError> {
    let damaged = |reason: String| ModelError::damaged(path, reason);
    let Some((length, rest)) = map.split_first_chunk::<8>() else {
        return Err(damaged("it is too short for a header".to_owned()));
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((header, data)) = rest.split_at_checked(length) else {
        return Err(damaged(format!(
            "its header should be {length} bytes long, but the file ends after {}",
            rest.len()
        )));
    };
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| damaged(format!("its header is unreadable: {error}")))?;
    let tensors: BTreeMap<_, _> = metadata.tensors().into_iter().collect();
    let end = tensors
        .values()
        .map(|info| info.data_offsets.1)
        .max()
        .unwrap_or(0);
    if end != data.len() {
        return Err(damaged(format!(
            "its header describes {end} bytes of tensors, but {} follow",
            data.len()
        )));
    }
    let entries = tensors.into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let part = Part {
            file: 0,
            start: 8 + length + start,
            len: end.saturating_sub(start),
            checked: None,
        };
        let entry = Entry {
            dtype: dtype(info.dtype),
            shape: info.shape.clone(),
            parts: vec![part],
            regions: None,
            strides: None,
        };
        (name, entry)
    });
    Ok(entries.collect())
}

fn dtype(dtype: safetensors::Dtype) -> Dtype {
    use safetensors::Dtype as Stored;
    match dtype {
        Stored::F64 => Dtype::F64,
        Stored::F32 => Dtype::F32,
        Stored::F16 => Dtype::F16,
        Stored::BF16 => Dtype::Bf16,
        Stored::I64 => Dtype::I64,
        Stored::BOOL => Dtype::Other { name: "bool" },
        Stored::U8 => Dtype::Other { name: "u8" },
        Stored::I8 => Dtype::Other { name: "i8" },
        Stored::I32 => Dtype::Other { name: "i32" },
        _ => Dtype::Other {
            name: "a type that is not supported",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::model::family::Family;
    use crate::model::names::canonical;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name)
    }

    /// A safetensors file of a header as given and `data` zero bytes.
    fn file_of(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn open_bytes(bytes: &[u8]) -> Result<Weights, ModelError> {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        Weights::open(folder.path())
    }

    fn damage(bytes: &[u8]) -> String {
        match open_bytes(bytes) {
            Err(ModelError::Damaged { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pickle_and_a_safetensors_file_of_one_model_hold_the_same_numbers() {
        let new = Weights::open(&fixture("bert-tiny")).unwrap();
        let old = Weights::open(&fixture("bert-tiny-bin")).unwrap();
        let mut compared = 0;
        for name in old.names() {
            let Some(known) = canonical(name, Family::bert()) else {
                assert_eq!(old.dtype(name), Some(Dtype::I64));
                continue;
            };
            assert_eq!(old.shape(name), new.shape(&known), "{name}");
            assert_eq!(
                old.to_f32(name).unwrap(),
                new.to_f32(&known).unwrap(),
                "{name}"
            );
            compared += 1;
        }
        assert_eq!(compared, new.names().count());
    }

    #[test]
    fn a_truncated_file_is_an_error_at_every_length() {
        let whole = fs::read(fixture("bert-tiny/model.safetensors")).unwrap();
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("model.safetensors");
        for length in (0..64).chain((64..whole.len()).step_by(4001)) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = Weights::open(folder.path()).unwrap_err();
            assert!(
                matches!(error, ModelError::Damaged { .. }),
                "{length}: {error}"
            );
            assert!(error.to_string().contains(path.to_str().unwrap()));
        }
    }

    #[test]
    fn a_header_that_lies_is_an_error() {
        let tensor = |shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        assert!(open_bytes(&file_of(&tensor("[2]", "[0,8]"), 8)).is_ok());
        for (shape, offsets, data) in [
            ("[2]", "[0,8]", 7),
            ("[2]", "[0,8]", 9),
            ("[3]", "[0,8]", 8),
            ("[2]", "[4,12]", 12),
            ("[2]", "[8,0]", 8),
            ("[4294967296,4294967296,4294967296]", "[0,8]", 8),
            ("[4611686018427387903]", "[0,18446744073709551612]", 8),
            ("[18446744073709551616]", "[0,8]", 8),
            ("[-2]", "[0,8]", 8),
        ] {
            damage(&file_of(&tensor(shape, offsets), data));
        }
        let mut endless = file_of("{}", 0);
        endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(
            damage(&endless).contains("its header should be"),
            "{}",
            damage(&endless)
        );
        assert!(damage(&file_of("{\"a\":", 8)).contains("header is unreadable"));
        assert!(damage(&file_of("\u{0}", 8)).contains("header is unreadable"));
    }

    #[test]
    fn every_float_type_is_read_as_f32() {
        let floats = |dtype, bytes: Vec<u8>| {
            Tensor {
                dtype,
                shape: vec![2],
                bytes: bytes.into(),
            }
            .to_f32()
        };
        let expected = Some(vec![1.5, -0.25]);
        let bits = |numbers: [u16; 2]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(floats(Dtype::F16, bits([0x3e00, 0xb400])), expected);
        assert_eq!(floats(Dtype::Bf16, bits([0x3fc0, 0xbe80])), expected);
        let doubles = [1.5_f64, -0.25]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        assert_eq!(floats(Dtype::F64, doubles), expected);
        assert_eq!(floats(Dtype::I64, vec![0; 16]), None);
    }

    #[test]
    fn integers_where_floats_are_needed_are_named() {
        let header = r#"{"steps":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}"#;
        let weights = open_bytes(&file_of(header, 8)).unwrap();
        let error = weights.to_f32("steps").unwrap_err().to_string();
        assert!(
            error.contains("`steps`") && error.contains("i32"),
            "{error}"
        );
    }

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
    fn a_number_that_is_not_finite_is_named_with_its_tensor() {
        let header = |dtype: &str, bytes: usize| {
            format!(
                r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"b":{{"dtype":"{dtype}","shape":[2],"data_offsets":[4,{}]}}}}"#,
                4 + bytes
            )
        };
        let check = |dtype: &str, numbers: &[u8]| {
            let mut file = file_of(&header(dtype, numbers.len()), 4);
            file.extend_from_slice(numbers);
            open_bytes(&file).unwrap().check_finite()
        };
        let f32s = |numbers: [f32; 2]| numbers.map(f32::to_le_bytes).concat();
        assert!(check("F32", &f32s([1.0, f32::MAX])).is_ok());
        for (dtype, bytes, value) in [
            ("F32", f32s([0.0, f32::NAN]), "NaN"),
            ("F32", f32s([f32::NEG_INFINITY, 0.0]), "-inf"),
            ("F16", vec![0, 0, 0, 0x7c], "inf"),
            ("BF16", vec![0xc0, 0x7f, 0, 0], "NaN"),
            ("F64", [0.0, f64::NAN].map(f64::to_le_bytes).concat(), "NaN"),
        ] {
            let error = check(dtype, &bytes).unwrap_err().to_string();
            assert!(error.starts_with("tensor `b` in"), "{error}");
            assert!(
                error.ends_with(&format!("contains {value}")),
                "{dtype}: {error}"
            );
        }
        // Integers are no concern.
        assert!(check("I32", &[255; 8]).is_ok());
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
