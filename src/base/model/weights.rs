//! Tensors of a model folder by name, read from the file's memory map on demand.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::ModelError;
use super::open_file::OpenFile;
use super::tensor::{Dtype, Entry, Part, Tensor};
use crate::input::excerpt;

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

#[cfg(test)]
mod tests;
