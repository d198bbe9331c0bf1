//! Results and the files that they were made of against their records: `tinyrun verify`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Error, Record, list_artifacts};
use crate::system::Digest;

/// How files differ from a record.
#[derive(Debug, thiserror::Error)]
pub enum Discrepancy {
    /// There is no record that can be read.
    #[error("cannot read its record")]
    NoRecord,
    /// An artifact has another length.
    #[error("`{file}` has {found} bytes, the record {recorded}")]
    Size {
        /// Its name.
        file: String,
        /// Its length.
        found: u64,
        /// The length in the record.
        recorded: u64,
    },
    /// An artifact has other bytes.
    #[error("`{0}` has changed")]
    Changed(String),
    /// An artifact is gone.
    #[error("`{0}` is missing")]
    Missing(String),
    /// An artifact cannot be read.
    #[error("cannot read `{0}`: {1}")]
    Unreadable(String, io::Error),
    /// A file that is no artifact.
    #[error("`{0}` is not in the record")]
    Added(String),
    /// An input has other bytes.
    #[error("input `{0}` has changed since the run")]
    InputChanged(String),
    /// An input that the run did not read.
    #[error("input `{0}` was added after the run")]
    InputAdded(String),
    /// An input cannot be read.
    #[error("cannot read input `{0}`: {1}")]
    InputUnreadable(String, io::Error),
    /// An input of the run that the experiment no longer names.
    #[error("input `{0}` is no longer used")]
    InputUnused(String),
}

/// Reads every artifact of a result again, whatever is remembered of it.
///
/// # Errors
/// [`Error::Read`] if the folder cannot be listed.
pub fn check_artifacts(folder: &Path, record: &Record) -> Result<Vec<Discrepancy>, Error> {
    let artifacts: Vec<_> = record.artifacts.iter().collect();
    let check = |(name, artifact): &(&String, &super::Artifact)| {
        let file = (*name).clone();
        match Digest::of_file(&folder.join(&file)) {
            Ok((digest, _)) if digest == artifact.sha256 => None,
            Ok((_, found)) if found != artifact.size => Some(Discrepancy::Size {
                file,
                found,
                recorded: artifact.size,
            }),
            Ok(_) => Some(Discrepancy::Changed(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(Discrepancy::Missing(file))
            }
            Err(error) => Some(Discrepancy::Unreadable(file, error)),
        }
    };
    let found: Vec<Option<Discrepancy>> = artifacts.par_iter().map(check).collect();
    let added = list_artifacts(folder)?.into_iter();
    let added = added.filter(|file| !record.artifacts.contains_key(file));
    let added = added.map(Discrepancy::Added);
    Ok(found.into_iter().flatten().chain(added).collect())
}

/// Reads input files again, by the names that records have for them.
pub fn check_inputs(inputs: &BTreeMap<String, PathBuf>, record: &Record) -> Vec<Discrepancy> {
    let files: Vec<_> = inputs.iter().collect();
    let check = |(name, path): &(&String, &PathBuf)| {
        let name = (*name).clone();
        match (Digest::of_file(path), record.key.inputs.get(&name)) {
            (Ok((digest, _)), Some(recorded)) if digest == *recorded => None,
            (Ok(_), Some(_)) => Some(Discrepancy::InputChanged(name)),
            (Ok(_), None) => Some(Discrepancy::InputAdded(name)),
            (Err(error), _) => Some(Discrepancy::InputUnreadable(name, error)),
        }
    };
    let found: Vec<Option<Discrepancy>> = files.par_iter().map(check).collect();
    let unused = record.key.inputs.keys();
    let unused = unused.filter(|name| !inputs.contains_key(*name));
    let unused = unused.map(|name| Discrepancy::InputUnused(name.clone()));
    found.into_iter().flatten().chain(unused).collect()
}
