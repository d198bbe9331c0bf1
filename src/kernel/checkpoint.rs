//! Where a training run stands, on disk (docs/concepts/durability.md#how-it-works).
//!
//! A checkpoint is `checkpoint-<step>.safetensors` (parameters and both moments) and
//! `checkpoint-<step>.json`, which is written last, by rename, and holds the digest of the
//! other: a tensor file without its document, or with another digest, is not a checkpoint.
//! The newest ones are kept, two unless the job says otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};
use tinyrun_base::system::{Digest, write_atomic};

use crate::error::{KernelError, io};
use crate::loss_scale::LossScale;
use crate::stopwatch::Split;

/// Version of the checkpoint format.
const VERSION: u32 = 1;

/// Everything about a run but its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// [`VERSION`]
    pub(crate) version: u32,
    /// Fingerprint of the stage.
    pub(crate) fingerprint: String,
    /// Optimizer steps done.
    pub(crate) step: u64,
    /// Optimizer steps of the stage.
    pub(crate) total_steps: u64,
    /// Best scoring of dev so far.
    pub(crate) best: Option<Best>,
    /// Scale of the loss, in fp16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss_scale: Option<LossScale>,
    /// Whether the teacher's answers are remembered, and not asked for in each step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) remembers: bool,
    /// Scores of several teachers on dev, to be told again by a run that resumes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) teachers: TeacherScores,
    /// Numbers of ranks that shared the steps, in order.
    #[serde(default)]
    pub(crate) ranks: Vec<usize>,
    /// What has been gathered for the next row of `metrics.csv`.
    pub(crate) window: Window,
    /// SHA-256 of the tensor file.
    pub(crate) sha256: String,
}

/// Scores of teachers by name.
pub(crate) type TeacherScores = BTreeMap<String, BTreeMap<String, f64>>;

/// A checkpoint as read: its document and its tensors by name.
pub(crate) type Saved = (State, BTreeMap<String, Tensor>);

/// The best scoring of dev.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// Step after which it was scored.
    pub(crate) step: u64,
    /// Its score.
    pub(crate) score: f64,
    /// Every score by name, to be told again at the end of a resumed run.
    pub(crate) scores: BTreeMap<String, f64>,
}

/// Sums since the last row of `metrics.csv`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Optimizer steps.
    pub(crate) steps: u64,
    /// Rows.
    pub(crate) examples: u64,
    /// Real tokens.
    pub(crate) tokens: u64,
    /// Tokens and padding.
    #[serde(default)]
    pub(crate) cells: u64,
    /// Operations that the models needed.
    #[serde(default)]
    pub(crate) flops: f64,
    /// Where the time went.
    #[serde(default)]
    pub(crate) split: Split,
    /// Sums of the total loss and of its parts.
    pub(crate) losses: Vec<f64>,
}

impl State {
    /// Remembers that so many ranks make the next steps.
    pub(crate) fn is_shared_by(&mut self, ranks: usize) {
        if self.ranks.is_empty() && self.step > 0 {
            // Of a version that had no ranks.
            self.ranks.push(1);
        }
        if self.ranks.last() != Some(&ranks) {
            self.ranks.push(ranks);
        }
    }

    /// The state before the first step.
    pub(crate) fn new(fingerprint: &str, total_steps: u64) -> Self {
        Self {
            version: VERSION,
            fingerprint: fingerprint.to_owned(),
            step: 0,
            total_steps,
            best: None,
            loss_scale: None,
            remembers: false,
            teachers: TeacherScores::new(),
            ranks: Vec::new(),
            window: Window::default(),
            sha256: String::new(),
        }
    }
}

/// The checkpoints of one output folder.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    /// Newest ones that stay.
    keep: usize,
}

impl Checkpoints {
    pub(crate) fn new(folder: &Path, keep: u32) -> Self {
        Self {
            folder: folder.to_owned(),
            keep: keep.max(1) as usize,
        }
    }

    /// Writes a checkpoint, then removes all but the newest ones.
    ///
    /// # Errors
    /// Whatever the disk says; an incomplete checkpoint is never taken for one.
    pub(crate) fn save(
        &self,
        state: &State,
        tensors: &[(String, &Tensor)],
    ) -> Result<(), KernelError> {
        let sha256 = write_tensors(&self.tensor_path(state.step), tensors)?;
        let document = State {
            sha256,
            ..state.clone()
        };
        let json = serde_json::to_vec_pretty(&document).expect("a state is plain data");
        write_and_rename(&self.document_path(state.step), &json)?;
        for step in self.steps()?.into_iter().rev().skip(self.keep) {
            // The document first: without it the tensors are nothing.
            remove(&self.document_path(step))?;
            remove(&self.tensor_path(step))?;
        }
        let kept: Vec<Option<u64>> = self
            .steps()?
            .into_iter()
            .filter_map(|step| self.document(step).ok())
            .map(|state| state.best.map(|best| best.step))
            .collect();
        for step in numbered(&self.folder, "best-", ".safetensors")? {
            if !kept.contains(&Some(step))
                && state.best.as_ref().is_none_or(|best| best.step != step)
            {
                remove(&self.best_path(step))?;
            }
        }
        Ok(())
    }

    /// The newest checkpoint that is whole, and warnings about those that are not.
    ///
    /// # Errors
    /// A whole checkpoint of another run, or a disk that cannot be read.
    pub(crate) fn newest(
        &self,
        fingerprint: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Saved>, KernelError> {
        for step in self.steps()?.into_iter().rev() {
            let state = match self.document(step) {
                Ok(state) => state,
                Err(reason) => {
                    warnings.push(format!("skipping the checkpoint of step {step}: {reason}"));
                    continue;
                }
            };
            if state.fingerprint != fingerprint {
                return Err(KernelError::ForeignCheckpoint {
                    path: self.document_path(step),
                });
            }
            match read_tensors(&self.tensor_path(step), Some(&state.sha256)) {
                Ok(tensors) => {
                    self.forget_after(Some(step))?;
                    return Ok(Some((state, tensors)));
                }
                Err(reason) => {
                    warnings.push(format!("skipping the checkpoint of step {step}: {reason}"));
                }
            }
        }
        self.forget_after(None)?;
        Ok(None)
    }

    /// The checkpoint of a step, which another rank has found whole.
    ///
    /// # Errors
    /// It is not there, or not whole any more.
    pub(crate) fn at(&self, step: u64) -> Result<Saved, KernelError> {
        let path = self.document_path(step);
        let saved = self.document(step).and_then(|state| {
            let tensors = read_tensors(&self.tensor_path(step), Some(&state.sha256))?;
            Ok((state, tensors))
        });
        saved.map_err(|reason| KernelError::Io {
            what: "read",
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, reason),
            path,
        })
    }

    /// Removes checkpoints after `step`, or all: they were found unreadable, and would count
    /// among the newest that are kept.
    fn forget_after(&self, step: Option<u64>) -> Result<(), KernelError> {
        let unreadable = self
            .steps()?
            .into_iter()
            .filter(|found| Some(*found) > step);
        for found in unreadable {
            remove(&self.document_path(found))?;
            remove(&self.tensor_path(found))?;
        }
        Ok(())
    }

    /// Step of the newest checkpoint, whole or not.
    pub(crate) fn newest_step(&self) -> Option<u64> {
        self.steps().ok()?.pop()
    }

    /// Keeps the parameters of the best model so far, under the step it was scored after.
    /// The file of the best before it stays until no checkpoint names it.
    pub(crate) fn save_best(
        &self,
        step: u64,
        tensors: &[(String, &Tensor)],
    ) -> Result<(), KernelError> {
        write_tensors(&self.best_path(step), tensors).map(|_| ())
    }

    /// The parameters kept by [`Self::save_best`].
    pub(crate) fn best(&self, step: u64) -> Result<BTreeMap<String, Tensor>, KernelError> {
        let path = self.best_path(step);
        read_tensors(&path, None).map_err(|reason| KernelError::Io {
            what: "read",
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, reason),
            path,
        })
    }

    /// Steps that have a document, ascending.
    fn steps(&self) -> Result<Vec<u64>, KernelError> {
        numbered(&self.folder, "checkpoint-", ".json")
    }

    fn document(&self, step: u64) -> Result<State, String> {
        let text = fs::read(self.document_path(step)).map_err(|error| error.to_string())?;
        let state: State = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if state.version != VERSION {
            return Err(format!(
                "its format version is {}, not {VERSION}",
                state.version
            ));
        }
        Ok(state)
    }

    fn tensor_path(&self, step: u64) -> PathBuf {
        self.folder
            .join(format!("checkpoint-{step:08}.safetensors"))
    }

    fn document_path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("checkpoint-{step:08}.json"))
    }

    fn best_path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("best-{step:08}.safetensors"))
    }
}

/// Numbers `N` of the files `<prefix>N<suffix>` in `folder`, ascending.
fn numbered(folder: &Path, prefix: &str, suffix: &str) -> Result<Vec<u64>, KernelError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let name = entry.map_err(io("read", folder))?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| {
            name.strip_prefix(prefix)?
                .strip_suffix(suffix)?
                .parse()
                .ok()
        });
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn remove(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(io("remove", path)),
    }
}

/// Writes fp32 tensors as safetensors by way of a temporary name; returns the file's SHA-256.
fn write_tensors(path: &Path, tensors: &[(String, &Tensor)]) -> Result<String, KernelError> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let shape = tensor.size().iter().map(|&n| n as usize).collect();
            (name.clone(), shape, tensor_bytes(tensor, Kind::Float))
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view =
            TensorView::new(Dtype::F32, shape.clone(), bytes).expect("shape and bytes agree");
        (name.as_str(), view)
    });
    let file = safetensors::serialize(views, None).expect("names are distinct");
    write_and_rename(path, &file)?;
    Ok(Digest::of_bytes(&file).to_string())
}

/// Reads what [`write_tensors`] wrote.
fn read_tensors(path: &Path, sha256: Option<&str>) -> Result<BTreeMap<String, Tensor>, String> {
    let file = fs::read(path).map_err(|error| error.to_string())?;
    if sha256.is_some_and(|expected| Digest::of_bytes(&file).to_string() != expected) {
        return Err(format!("`{}` is damaged", path.display()));
    }
    let tensors = SafeTensors::deserialize(&file).map_err(|error| error.to_string())?;
    Ok(tensors
        .iter()
        .map(|(name, view)| {
            let size: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
            (
                name.to_owned(),
                Tensor::from_data_size(view.data(), &size, Kind::Float),
            )
        })
        .collect())
}

/// The numbers of a tensor on any device as numbers of `kind`, little-endian.
pub(crate) fn tensor_bytes(tensor: &Tensor, kind: Kind) -> Vec<u8> {
    no_grad(|| {
        let tensor = tensor
            .detach()
            .to_device(tch::Device::Cpu)
            .to_kind(kind)
            .contiguous();
        let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        bytes
    })
}

/// Writes a file whole or not at all.
///
/// # Errors
/// What the disk reports.
pub(crate) fn write_and_rename(path: &Path, bytes: &[u8]) -> Result<(), KernelError> {
    write_atomic(path, |file| std::io::Write::write_all(file, bytes)).map_err(io("write", path))
}
