//! Whether a stage's result is there, and if not, why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::fingerprint::settings;
use super::forced::Forced;
use super::graph::Node;
use super::inputs::Inputs;
use super::reason::{StaleReason, compare};
use crate::experiment::{Experiment, Stage, StageName};
use crate::runs::{
    Checkpoint, Digester, Error, Fingerprint, Key, Layout, RECORD, Record, Upstream, Value, linked,
    newest_checkpoint,
};
use crate::system::Digest;

/// Where a stage stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Its result is stored and whole.
    Fresh(Box<Record>),
    /// It was interrupted and goes on.
    Resumable(Checkpoint),
    /// It has to be run.
    Stale(Vec<StaleReason>),
    /// Stages before it have to be run; what they leave decides.
    Waits {
        /// Those stages.
        on: Vec<StageName>,
        /// Reasons that are known already: with any, it will run whatever they leave.
        reasons: Vec<StaleReason>,
    },
}

/// A stage and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its name.
    pub stage: StageName,
    /// Name of its kind.
    pub kind: &'static str,
    /// Where it stands.
    pub status: Status,
    /// What its result depends on; `None` while a stage before it has to run.
    pub key: Option<Key>,
}

impl Planned {
    /// The fingerprint, once all that it depends on is known.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.key.as_ref().map(Key::fingerprint)
    }
}

/// Decides for one stage after the other.
#[derive(Debug)]
pub struct Planner<'a> {
    /// What the user wrote.
    pub experiment: &'a Experiment,
    /// The files it names.
    pub inputs: &'a Inputs,
    /// Where results lie.
    pub layout: &'a Layout,
    /// Stages that are run although fresh.
    pub forced: &'a Forced,
    /// Digests of files.
    pub digester: &'a mut Digester,
}

impl Planner<'_> {
    /// Where a stage stands, given the records of those before it that are done.
    ///
    /// # Errors
    /// An input cannot be read.
    pub fn plan(
        &mut self,
        node: &Node,
        done: &BTreeMap<StageName, Record>,
    ) -> Result<Planned, Error> {
        let stage = node.stage.clone();
        let mut upstream = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for take in &node.takes {
            let digest = done
                .get(&take.from)
                .and_then(|record| record.artifact(take.artifact));
            match digest {
                Some(digest) => {
                    let artifact = take.name();
                    upstream.insert(take.role.to_owned(), Upstream { artifact, digest });
                }
                None => {
                    unknown.insert(take.role.to_owned());
                }
            }
        }
        let key = self.key(node, upstream)?;
        let after = node.after.iter();
        let on: Vec<StageName> = after
            .filter(|stage| !done.contains_key(*stage))
            .cloned()
            .collect();
        if !on.is_empty() {
            let mut reasons = self.compare_with_last(node, &key, &unknown);
            if self.forced.applies(&stage, None) {
                reasons.insert(0, StaleReason::Forced);
            }
            let status = Status::Waits { on, reasons };
            return Ok(Planned {
                stage,
                kind: node.kind,
                status,
                key: None,
            });
        }
        let forced = self.forced.applies(&stage, Some(&key.fingerprint()));
        let status = self.status(node, &key, forced)?;
        Ok(Planned {
            stage,
            kind: node.kind,
            status,
            key: Some(key),
        })
    }

    /// What a stage's result will depend on, as far as settings and input files say: equal for
    /// two stages that will share their result, whether or not those before them are done.
    /// `before` are the identities of the stages it takes something from.
    ///
    /// # Errors
    /// An input cannot be read.
    pub fn identity(
        &mut self,
        node: &Node,
        before: &BTreeMap<StageName, Fingerprint>,
    ) -> Result<Fingerprint, Error> {
        let upstream = node.takes.iter().filter_map(|take| {
            let name = format!("{}/{}", before.get(&take.from)?, take.artifact);
            let digest = Digest::of_bytes(name.as_bytes());
            let artifact = take.name();
            Some((take.role.to_owned(), Upstream { artifact, digest }))
        });
        let key = self.key(node, upstream.collect())?;
        Ok(key.fingerprint())
    }

    /// What a stage's result depends on, given what it takes from others.
    fn key(&mut self, node: &Node, upstream: BTreeMap<String, Upstream>) -> Result<Key, Error> {
        let stage = self.experiment.stages.get(node.stage.as_str());
        let stage = stage.expect("the graph holds stages that are in the experiment");
        Ok(Key {
            kind: node.kind.to_owned(),
            semantics: stage.semantics(),
            settings: self.settings_of(node, stage),
            inputs: self.digest_inputs(node)?,
            upstream,
        })
    }

    /// Settings that count. A tokenizer that the first version read otherwise is another one;
    /// all others keep the fingerprints that they have.
    fn settings_of(&self, node: &Node, stage: &Stage) -> BTreeMap<String, Value> {
        let mut found = settings(self.experiment, stage, &self.inputs.models);
        let changes = &self.inputs.tokenizer_changes;
        if node.tokenizes && !changes.is_empty() {
            found.insert("tokenizer".to_owned(), changes.as_slice().into());
        }
        found
    }

    /// Digests of the files that a stage reads, by role and name.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn digest_inputs(&mut self, node: &Node) -> Result<BTreeMap<String, Digest>, Error> {
        let files = self.inputs.of(node);
        let paths: Vec<&PathBuf> = files.values().collect();
        let digests = self.digester.digest(&paths);
        files
            .iter()
            .zip(digests)
            .map(|((name, path), found)| {
                let found = found.map_err(Error::read(path))?;
                Ok((name.clone(), found.digest))
            })
            .collect()
    }

    fn status(&mut self, node: &Node, key: &Key, forced: bool) -> Result<Status, Error> {
        let fingerprint = key.fingerprint();
        let stored = self.stored(&key.kind, &fingerprint);
        if !matches!(stored, Some(Ok(_))) {
            Record::refuse_newer(&self.layout.store(&key.kind, &fingerprint))?;
        }
        let mut reasons = match stored {
            Some(Ok(record)) if !forced => return Ok(Status::Fresh(record)),
            Some(Ok(_)) => vec![StaleReason::Forced],
            Some(Err(reasons)) => reasons,
            None => self.compare_with_last(node, key, &BTreeSet::new()),
        };
        let work = self.layout.work(&key.kind, &fingerprint);
        if let Some(checkpoint) = newest_checkpoint(&work, &fingerprint) {
            return Ok(Status::Resumable(checkpoint));
        }
        if forced && !reasons.contains(&StaleReason::Forced) {
            reasons.insert(0, StaleReason::Forced);
        }
        Ok(Status::Stale(reasons))
    }

    /// The stored result of a fingerprint, or what is wrong with it; `None` if there is none.
    pub fn stored(
        &mut self,
        kind: &str,
        fingerprint: &Fingerprint,
    ) -> Option<Result<Box<Record>, Vec<StaleReason>>> {
        let folder = self.layout.store(kind, fingerprint);
        let record = Record::read(&folder).filter(|record| record.fingerprint == *fingerprint);
        let Some(record) = record else {
            let is_left = folder.is_dir();
            let file = RECORD.to_owned();
            let damaged = folder.join(RECORD).exists();
            return is_left.then(|| {
                Err(vec![if damaged {
                    StaleReason::ArtifactDamaged { file }
                } else {
                    StaleReason::ArtifactMissing { file }
                }])
            });
        };
        let paths: Vec<PathBuf> = record
            .artifacts
            .keys()
            .map(|name| folder.join(name))
            .collect();
        let found = self.digester.digest(&paths);
        let reasons: Vec<StaleReason> = record
            .artifacts
            .iter()
            .zip(found)
            .filter_map(|((name, artifact), found)| {
                let file = name.clone();
                match found {
                    Ok(found) if found.digest == artifact.sha256 => None,
                    Ok(_) => Some(StaleReason::ArtifactDamaged { file }),
                    Err(_) => Some(StaleReason::ArtifactMissing { file }),
                }
            })
            .collect();
        Some(if reasons.is_empty() {
            Ok(Box::new(record))
        } else {
            Err(reasons)
        })
    }

    /// What is different from the result that this experiment used last.
    fn compare_with_last(
        &self,
        node: &Node,
        key: &Key,
        unknown: &BTreeSet<String>,
    ) -> Vec<StaleReason> {
        let stage = node.stage.as_str();
        let folder = linked(self.layout, &self.experiment.name, stage);
        match folder.as_deref().map(Record::read) {
            Some(Some(last)) => compare(&last.key, key, unknown),
            // A link that leads nowhere: the result was removed by hand.
            Some(None) => vec![StaleReason::ArtifactMissing {
                file: RECORD.to_owned(),
            }],
            None => vec![StaleReason::NeverRun],
        }
    }
}
