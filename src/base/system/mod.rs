//! The operating system, where it differs from machine to machine: durable writes, digests of files,
//! file locks, memory maps, signals. A call that only makes a run safer or nicer may be missing from a
//! file system: the run continues, and what is missing is kept for one warning (see [`Lack`]).

mod bytes;
mod digest;
mod lacks;
mod launcher;
mod list;
mod locks;
mod reason;
mod signals;
mod write;

pub use bytes::FileBytes;
pub use digest::{Digest, ParseDigestError};
pub use lacks::{Lack, is_lacking, note, take_lacks};
pub use launcher::{BadLaunch, Launched, MeetingPlace, launched};
pub use list::list_folder;
pub use locks::{KERNEL_LOCK, Locking, try_lock, try_lock_shared};
pub use reason::{advice, advice_for_output, reason};
pub use signals::{heeded, is_ignored};
pub use write::{folder_of, make_atomic, sync_file, sync_folder, write_atomic, write_unsynced};
