//! How a finished stage came to be, and what it left.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path};
use std::process::{Command, Stdio};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::checkpoint::is_scaffolding;
use super::digest::folder_digest;
use super::{Error, Fingerprint, Key, write_atomic};
use crate::system::Digest;

/// Name of the record in a stage's folder. It is written last: a folder without one is no result.
pub const RECORD: &str = "record.json";

/// Name of the kernel's log in a stage's folder.
const LOG: &str = "log.txt";

/// Version of the record's format. A record of another version is not trusted.
pub const FORMAT: u32 = 1;

/// What is known of a finished stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`] of the tinyrun that wrote it.
    pub format: u32,
    /// [`Key::fingerprint`] of `key`.
    pub fingerprint: Fingerprint,
    /// All that the result depends on.
    pub key: Key,
    /// Every file of the result by its name in the folder, but for the record and the log.
    pub artifacts: BTreeMap<String, Artifact>,
    /// When the stage, or the last part of an interrupted one, began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// Between the two.
    pub seconds: f64,
    /// Step that the last part went on from, where there was more than one part.
    pub resumed_from: Option<u64>,
    /// tinyrun's version.
    pub tinyrun: String,
    /// What the kernel ran on; `None` for a stage without a kernel.
    pub machine: Option<Machine>,
    /// The commit of the working folder, where it is one of git's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitState>,
    /// What came out, for summaries.
    pub summary: Summary,
    /// The experiment as resolved: what repeats the stage, with `tinyrun rerun`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub experiment: String,
}

/// Where a working folder stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// The commit checked out.
    pub commit: String,
    /// Whether files that git keeps were changed since.
    pub changed: bool,
}

impl GitState {
    /// Of the folder `root`; `None` where there is no git, or no repository.
    pub fn of(root: &Path) -> Option<Self> {
        let root = if root.as_os_str().is_empty() {
            Path::new(".")
        } else {
            root
        };
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(root).args(arguments);
            let output = command.stdin(Stdio::null()).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then_some(text)
        };
        let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
        let status = git(&["status", "--porcelain", "--untracked-files=no"])?;
        let changed = !status.trim().is_empty();
        Some(Self { commit, changed })
    }
}

/// One file of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// What the kernel ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Device, such as `cpu`.
    pub device: String,
    /// Number format of matrix products.
    pub precision: String,
    /// Threads, of each rank.
    pub threads: usize,
    /// Numbers of ranks that shared the training, in order; none of a stage that has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<usize>,
    /// libtorch's version.
    pub libtorch: String,
    /// Peak resident memory of the kernel in bytes.
    pub peak_memory: u64,
}

impl Machine {
    /// `2 threads`, or `4, then 2 ranks of 1 thread`.
    pub fn shares(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let threads = format!("{} thread{}", self.threads, plural(self.threads));
        match &self.ranks[..] {
            [] | [1] => threads,
            ranks => {
                let all: Vec<String> = ranks.iter().map(usize::to_string).collect();
                format!("{} ranks of {threads}", all.join(", then "))
            }
        }
    }
}

/// What came out of a stage, in numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// What a preparation counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Prepared>,
    /// Optimizer steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Parameters of the trained model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Best scores on dev during training.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
    /// Scores on dev of several teachers that a student learned from, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub teachers: BTreeMap<String, BTreeMap<String, f64>>,
    /// Models that were scored, in the order of the evaluation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scored: Vec<Scored>,
}

/// What a preparation counted, over all its stores. The whole is in its `report.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Prepared {
    /// Stores and their examples.
    pub examples: Vec<(String, u64)>,
    /// Names of the classes in their order; none for a corpus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Tokens, special tokens included.
    pub tokens: u64,
    /// Examples that were cut off.
    pub truncated: u64,
    /// Word pieces that are not in the vocabulary.
    pub unknown: u64,
    /// Rows or lines left out for having no text.
    pub blank: u64,
    /// Training rows whose text is also the text of a dev row.
    pub train_texts_in_dev: u64,
    /// Unlabelled texts that are in dev, in train, or occur before, and were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlabelled_left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A scored model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// `teacher` or `student`.
    pub model: String,
    /// The data it was scored on: `dev`, `dev-mismatched`.
    #[serde(default = "dev")]
    pub split: String,
    /// Metric name to value.
    pub scores: BTreeMap<String, f64>,
    /// Right answers.
    pub correct: u64,
    /// Examples scored.
    pub total: u64,
    /// Parameters.
    pub parameters: u64,
    /// Bytes of its weights file.
    pub size_bytes: u64,
    /// Examples a second of the forward pass.
    pub examples_per_second: f64,
}

/// The split of records that name none.
fn dev() -> String {
    "dev".to_owned()
}

impl Record {
    /// Reads the record in a stage's folder: `None` where there is none, or none that this
    /// tinyrun understands and that is whole.
    pub fn read(folder: &Path) -> Option<Self> {
        let record: Self = serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()?;
        let is_whole = record.format == FORMAT && record.key.fingerprint() == record.fingerprint;
        // A record may come from anywhere; what it names is hashed and shown.
        let stays = |name: &String| {
            let mut parts = Path::new(name).components();
            !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
        };
        let is_sound = is_whole && record.artifacts.keys().all(stays);
        is_sound.then_some(record)
    }

    /// Refuses a record that a later tinyrun wrote: it is a result, and must not be run over as if
    /// it were none.
    ///
    /// # Errors
    /// [`Error::NewerRecord`] with its format.
    pub fn refuse_newer(folder: &Path) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let path = folder.join(RECORD);
        let head = fs::read(&path).ok();
        let head = head.and_then(|text| serde_json::from_slice::<Head>(&text).ok());
        match head {
            Some(Head { format }) if format > FORMAT => Err(Error::NewerRecord {
                path,
                format,
                known: FORMAT,
            }),
            _ => Ok(()),
        }
    }

    /// Writes the record into a stage's folder, as the last thing written there.
    ///
    /// # Errors
    /// [`Error::Write`] with the path.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(RECORD);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(io::Error::from)
            .map_err(Error::write(&path))?;
        text.push(b'\n');
        write_atomic(&path, &text)
    }

    /// Digest of one artifact: of a file, or of a folder with all below it. `None` if the
    /// stage left nothing of that name.
    pub fn artifact(&self, name: &str) -> Option<Digest> {
        if let Some(file) = self.artifacts.get(name) {
            return Some(file.sha256);
        }
        let prefix = format!("{name}/");
        let mut files = self
            .artifacts
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .map(|(path, file)| (&path[prefix.len()..], file.sha256))
            .peekable();
        files.peek()?;
        Some(folder_digest(files))
    }
}

/// Names of all files in a stage's folder and below, sorted, but for the record and the log.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be listed, or if a name is not UTF-8.
pub fn list_artifacts(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    list(folder, "", &mut names)?;
    names.retain(|name| name != RECORD && name != LOG && !is_scaffolding(name));
    names.sort_unstable();
    Ok(names)
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let entry = entry.map_err(Error::read(folder))?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| {
            Error::read(&entry.path())(io::Error::other("its name is not valid UTF-8"))
        })?;
        let name = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(Error::read(&entry.path()))?;
        if kind.is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
