//! Where everything lies below the root (docs/reference/run-directory.md).
//!
//! ```text
//! runs/store/<kind>/<fingerprint>/     a finished stage
//! runs/store/teacher-answers/<key>/    what a teacher answered, shared by the stages that ask the same
//! runs/work/<kind>-<fingerprint>/      one in progress, its lock beside it
//! runs/<experiment>/<stage>            link to the stored stage
//! runs/<experiment>/results.csv        what eval found
//! runs/<experiment>/experiment.toml    the file as resolved, with every default
//! runs/<matrix>/<variant>/              an experiment of a matrix
//! runs/<matrix>/matrix.csv             what eval found in each
//! runs/<matrix>/summary.csv            means and deviations over seeds
//! runs/digests.json                    digests of files seen before
//! ```

use std::path::{Path, PathBuf};

use super::Fingerprint;

/// The root that an experiment's paths are relative to, and `runs/` below it.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    /// `runs/`, where it is not that of the root.
    runs: Option<PathBuf>,
}

impl Layout {
    /// Names in `runs/` that no experiment may have.
    pub const RESERVED: [&str; 2] = ["store", "work"];

    /// The layout below a root; an empty path is the current folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            runs: None,
        }
    }

    /// The same root with another run directory.
    #[must_use]
    pub fn with_runs(&self, runs: PathBuf) -> Self {
        Self {
            root: self.root.clone(),
            runs: Some(runs),
        }
    }

    /// What paths in the experiment file are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `runs/`
    pub fn runs(&self) -> PathBuf {
        let own = || self.root.join("runs");
        self.runs.clone().unwrap_or_else(own)
    }

    /// Folder of a finished stage.
    pub fn store(&self, kind: &str, fingerprint: &Fingerprint) -> PathBuf {
        self.runs()
            .join("store")
            .join(kind)
            .join(fingerprint.as_str())
    }

    /// Name in the store of what teachers answered; no stage kind.
    pub const TEACHER_ANSWERS: &str = "teacher-answers";

    /// Folder of what a teacher answered.
    pub fn teacher_answers(&self, key: &Fingerprint) -> PathBuf {
        self.store(Self::TEACHER_ANSWERS, key)
    }

    /// Folder of all finished stages of a kind.
    pub fn stores(&self, kind: &str) -> PathBuf {
        self.runs().join("store").join(kind)
    }

    /// Folder of a stage in progress.
    pub fn work(&self, kind: &str, fingerprint: &Fingerprint) -> PathBuf {
        self.runs()
            .join("work")
            .join(format!("{kind}-{fingerprint}"))
    }

    /// Lock of a stage in progress. Beside its folder, since the folder is renamed.
    pub fn lock(&self, kind: &str, fingerprint: &Fingerprint) -> PathBuf {
        self.runs()
            .join("work")
            .join(format!("{kind}-{fingerprint}.lock"))
    }

    /// Folder of an experiment.
    pub fn experiment(&self, name: &str) -> PathBuf {
        self.runs().join(name)
    }

    /// An experiment's link to the stored result of a stage.
    pub fn link(&self, name: &str, stage: &str) -> PathBuf {
        self.experiment(name).join(stage)
    }

    /// What eval found.
    pub fn results(&self, name: &str) -> PathBuf {
        self.experiment(name).join("results.csv")
    }

    /// What the experiments of a matrix came to, one by one.
    pub fn matrix(&self, name: &str) -> PathBuf {
        self.experiment(name).join("matrix.csv")
    }

    /// What the variants of a matrix came to.
    pub fn matrix_summary(&self, name: &str) -> PathBuf {
        self.experiment(name).join("summary.csv")
    }

    /// The experiment file as resolved.
    pub fn resolved(&self, name: &str) -> PathBuf {
        self.experiment(name).join("experiment.toml")
    }

    /// Digests of files seen before.
    pub fn digests(&self) -> PathBuf {
        self.runs().join("digests.json")
    }
}
