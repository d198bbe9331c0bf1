//! The run directory: where results lie, how they are written and what is known of them.
//!
//! A finished stage is a folder with a [`Record`], found by the fingerprint of its [`Key`].
//! This room is the only writer of records. Nothing here decides what is to run; that is
//! `plan`'s.

mod atomic;
mod checkpoint;
mod digest;
mod error;
mod inventory;
mod key;
mod layout;
mod link;
mod lock;
mod lock_file;
mod memo;
mod owner;
mod record;
mod removal;
mod unused;
mod verification;

pub use atomic::{copy_folder, create_folder, publish, remove_folder, remove_path, write_atomic};
pub use checkpoint::{Checkpoint, newest_checkpoint, remove_scaffolding};
pub use error::Error;
pub use inventory::{
    Leftover, LeftoverKind, Stored, experiments, leftovers, links, stored, teacher_answers,
};
pub use key::{Fingerprint, Key, Upstream, Value};
pub use layout::Layout;
pub use link::{follow, link_to, linked, read_link};
pub use lock::Lock;
pub use memo::{Digester, FileDigest};
pub use owner::{Owner, StepProgress};
pub use record::{
    Artifact, FORMAT, GitState, Machine, Prepared, RECORD, Record, Scored, Summary, list_artifacts,
};
pub use removal::{RemovalError, Removed, RemovedWhat, remove_interrupted, remove_result};
pub use unused::{Unused, UnusedKind, unused};
pub use verification::{Discrepancy, check_artifacts, check_inputs};
