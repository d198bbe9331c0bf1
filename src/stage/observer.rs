//! What is told while stages are done.

use std::path::Path;

use super::StageError;
use crate::experiment::StageName;
use crate::job::Event;
use crate::plan::StaleReason;
use crate::runs::{Checkpoint, Owner, Record};
use crate::system::{Lack, take_lacks};

/// Something that happened. In this order for a stage: `Fresh`, or any number of `Waiting`,
/// then `Started`, `Preparing` and `Kernel` as they come, then `Finished` unless it failed.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A stage's result is there already.
    Fresh {
        /// The stage.
        stage: &'a StageName,
    },
    /// Another process works on the same stage.
    Waiting {
        /// The stage.
        stage: &'a StageName,
        /// That process, if it has said who it is.
        owner: Option<&'a Owner>,
    },
    /// A stage begins.
    Started {
        /// The stage.
        stage: &'a StageName,
        /// Why it is not fresh.
        reasons: &'a [StaleReason],
        /// Where it goes on from.
        resumed: Option<Checkpoint>,
        /// Its fingerprint.
        fingerprint: &'a str,
        /// Whether what it reads are labelled examples, and not pieces of text.
        has_labels: bool,
    },
    /// A preparation goes on.
    Preparing {
        /// The stage.
        stage: &'a StageName,
        /// Bytes read so far.
        done: u64,
        /// Bytes to read.
        total: u64,
    },
    /// The kernel said something.
    Kernel {
        /// The stage.
        stage: &'a StageName,
        /// What it said.
        event: &'a Event,
    },
    /// The file system lacks a call that makes runs safer; reported once.
    Lacks {
        /// The stage.
        stage: &'a StageName,
        /// What it lacks.
        lack: Lack,
        /// Where that was found.
        path: &'a Path,
    },
    /// Asked to stop: waiting for the kernel's checkpoint.
    Stopping {
        /// The stage.
        stage: &'a StageName,
    },
    /// A stage failed, and the others go on.
    Failed {
        /// The stage.
        stage: &'a StageName,
        /// Why.
        error: &'a StageError,
    },
    /// A stage's result is stored.
    Finished {
        /// The stage.
        stage: &'a StageName,
        /// How it came to be.
        record: &'a Record,
    },
}

/// Whoever shows what happens.
pub trait Observer {
    /// Called from the thread that runs the stages.
    fn notice(&mut self, notice: &Notice<'_>);
}

/// Reports what the file system was found to lack since the last time.
pub(super) fn notice_lacks(stage: &StageName, observer: &mut dyn Observer) {
    for (lack, path) in take_lacks() {
        let path = &path;
        observer.notice(&Notice::Lacks { stage, lack, path });
    }
}
