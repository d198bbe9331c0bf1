//! Answers that are all on disk, read batch by batch.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tch::Kind;

use super::files::{bin, disown, opened};
use super::plan::CachePlan;
use crate::answers::{Answers, CHECKSUM, Layout, Part};
use crate::batch::Block;
use crate::error::{KernelError, io};
use crate::feed::Data;

/// Every answer, on disk.
#[derive(Debug)]
pub(crate) struct TeacherMemory {
    path: PathBuf,
    file: File,
    layout: Arc<Layout>,
    /// Where the row of each place of [`Data::lengths`] begins.
    offsets: Vec<u64>,
    /// Whether they are a file of an earlier stage.
    is_given: bool,
    /// Held while they are read, where they are shared.
    _lock: Option<File>,
}

impl TeacherMemory {
    /// Answers that were given in a file, with a row for each row of the store of `data`.
    ///
    /// # Errors
    /// Another size than that.
    pub(crate) fn given(path: &Path, data: &Data, classes: usize) -> Result<Self, KernelError> {
        let layout = Layout {
            parts: vec![Part::Logits(classes)],
            kind: Kind::Float,
        };
        // Logits have no length.
        let row = layout.bytes(0) as u64;
        let file = File::open(path).map_err(io("open", path))?;
        let size = file.metadata().map_err(io("read", path))?.len();
        if size != row * data.train.len() as u64 {
            return Err(KernelError::DamagedPredictions {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            layout: Arc::new(layout),
            offsets: data
                .rows
                .iter()
                .map(|&place| u64::from(place) * row)
                .collect(),
            is_given: true,
            _lock: None,
        })
    }

    /// Answers that are all in `folder`, which stays locked by `lock` while they are read.
    pub(super) fn open(
        folder: &Path,
        plan: CachePlan,
        lock: Option<File>,
    ) -> Result<Self, KernelError> {
        let path = bin(folder);
        Ok(Self {
            file: opened(&path)?,
            path,
            layout: plan.layout,
            offsets: plan.offsets,
            is_given: false,
            _lock: lock,
        })
    }

    /// The answers to the rows of `block`, padded as it is.
    ///
    /// # Errors
    /// What the disk says; a row that is not what was written.
    pub(crate) fn answers(&self, data: &Data, block: &Block) -> Result<Answers, KernelError> {
        let places = block.places.iter().map(|&place| place as usize);
        let lengths: Vec<usize> = places
            .clone()
            .map(|place| data.lengths[place] as usize)
            .collect();
        let mut answers = Answers::empty(&self.layout, &lengths, block.padded());
        let mut bytes = Vec::new();
        for (row, (place, &length)) in places.zip(&lengths).enumerate() {
            bytes.resize(self.layout.bytes(length), 0);
            let cut = match self.file.read_exact_at(&mut bytes, self.offsets[place]) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => true,
                read => read.map(|()| false).map_err(io("read", &self.path))?,
            };
            let (answer, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
            let is_damaged = cut || crc32fast::hash(answer).to_le_bytes() != checksum;
            if is_damaged && self.is_given {
                return Err(KernelError::DamagedPredictions {
                    path: self.path.clone(),
                });
            }
            if is_damaged {
                disown(self.path.parent().expect("a file in a folder"))?;
                return Err(KernelError::DamagedMemory {
                    path: self.path.clone(),
                });
            }
            answers.fill(row, length, answer);
        }
        Ok(answers)
    }
}
