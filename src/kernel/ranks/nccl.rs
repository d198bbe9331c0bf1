//! Sums on GPUs by NCCL, of the part in `native/nccl.cpp`. It is used where it is asked for, and every rank has it and a
//! GPU of its own; else Gloo adds gradients in the memory of the CPU.

#![expect(unsafe_code, reason = "foreign functions")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::native::{Group, Meeting};
use super::{COMING, Rank, lost};
use crate::cuda::{self, Library};
use crate::error::KernelError;

/// The compiled part; empty where the build had no headers for it.
const PART: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nccl"));

/// `on` lets NCCL add gradients of GPUs. It is off by default because no GPU has run it yet.
const SWITCH: &str = "TINYRUN_NCCL";

/// Bytes of the name of a GPU, or of the message that is there instead.
const ROOM: usize = 512;

type NameOfGpu = unsafe extern "C" fn(c_int, *mut c_char, usize) -> c_int;

/// What a rank tells the others: its GPU by a name that no other has, or why it has no NCCL.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Gpu(String),
    Not(String),
}

/// Lets a group add tensors of this rank's GPU by NCCL, if all ranks can. Where not, why; the same on every rank.
///
/// # Errors
/// libtorch's words; the group is of no use then.
pub(super) fn join(
    group: &mut Group,
    meeting: &Meeting,
    own: Rank,
    gpu: usize,
    timeout: Duration,
) -> Result<Option<String>, KernelError> {
    let told = match name(gpu) {
        Ok(name) => Told::Gpu(name),
        Err(reason) => Told::Not(reason),
    };
    // Not `nccl/`, which NCCL itself puts its keys under.
    let key = |rank: usize| format!("gpu/{rank}");
    let text = serde_json::to_string(&told).expect("plain data");
    meeting.set(&key(own.rank), &text).map_err(lost)?;
    let mut all = Vec::new();
    for rank in 0..own.size {
        let text = meeting.wait_for(&key(rank), COMING).map_err(lost)?;
        let text = text.ok_or_else(|| lost(format!("rank {rank} does not tell its GPU")))?;
        all.push(serde_json::from_str(&text).map_err(|error| lost(error.to_string()))?);
    }
    if let Some(reason) = against(&all) {
        return Ok(Some(reason));
    }
    let open = part().and_then(|part| part.function(c"tinyrun_nccl_open"));
    let place = (own.rank, own.size);
    open.and_then(|open| group.use_nccl(meeting, open, place, gpu, (COMING, timeout)))
        .map_err(|reason| KernelError::Nccl { reason })?;
    Ok(None)
}

/// What is against NCCL.
fn against(all: &[Told]) -> Option<String> {
    for (rank, told) in all.iter().enumerate() {
        match told {
            Told::Not(reason) => return Some(format!("rank {rank}: {reason}")),
            Told::Gpu(_) => {
                if let Some(other) = all[..rank].iter().position(|it| it == told) {
                    return Some(format!("ranks {other} and {rank} share a GPU"));
                }
            }
        }
    }
    None
}

/// Name of a GPU; why there is none, or NCCL cannot be used.
fn name(gpu: usize) -> Result<String, String> {
    let function = part()?.function(c"tinyrun_nccl_gpu")?;
    // SAFETY: nccl.cpp gives this function this type.
    let name_of: NameOfGpu = unsafe { std::mem::transmute::<*mut c_void, NameOfGpu>(function) };
    let mut text = [0; ROOM];
    let index = c_int::try_from(gpu).map_err(|error| error.to_string())?;
    // SAFETY: the buffer has `ROOM` bytes; the function writes a string that ends in NUL.
    let (well, text) = unsafe {
        let well = name_of(index, text.as_mut_ptr(), ROOM);
        (well, CStr::from_ptr(text.as_ptr()).to_string_lossy())
    };
    match well {
        1 => Ok(text.into_owned()),
        _ => Err(text.into_owned()),
    }
}

/// The part, loaded once.
fn part() -> Result<&'static Library, String> {
    static LOADED: OnceLock<Result<Library, String>> = OnceLock::new();
    let load = || {
        if std::env::var_os(SWITCH).is_none_or(|value| value != "on") {
            return Err(format!("`{SWITCH}` is not `on`"));
        }
        if PART.is_empty() {
            return Err("this build has no NCCL".to_owned());
        }
        cuda::load()?;
        Library::of_bytes("tinyrun-nccl", PART)
    };
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::local::HOST;
    use super::*;

    fn gpu(name: &str) -> Told {
        Told::Gpu(name.to_owned())
    }

    #[test]
    fn ranks_with_a_gpu_each_use_nccl() {
        assert_eq!(against(&[gpu("a"), gpu("b"), gpu("c")]), None);
    }

    #[test]
    fn one_gpu_for_two_ranks_or_a_rank_without_nccl_is_against_it() {
        let shared = against(&[gpu("a"), gpu("b"), gpu("a")]);
        assert_eq!(shared.as_deref(), Some("ranks 0 and 2 share a GPU"));
        let lacking = against(&[gpu("a"), Told::Not("no driver".to_owned())]);
        assert_eq!(lacking.as_deref(), Some("rank 1: no driver"));
    }

    /// Also where the build has it: a machine without a GPU says so instead of failing.
    #[test]
    fn a_gpu_that_is_not_there_is_a_reason() {
        let reason = name(99).expect_err("no machine has so many");
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
    }

    /// In the place of `tinyrun_nccl_open`, which waits where another rank never connects.
    extern "C" fn never(
        _store: *const c_void,
        _rank: c_int,
        _size: c_int,
        _device: c_int,
        _connecting: i64,
        _milliseconds: i64,
        _error: *mut c_void,
    ) -> *mut c_void {
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn ranks_whose_gpus_never_connect_are_lost_in_time() {
        let listening = TcpListener::bind((HOST, 0)).expect("a port");
        let port = listening.local_addr().expect("bound").port();
        let meeting = Meeting::open((HOST, port), Some(listening), "test", COMING).expect("opened");
        let only = (0, 1);
        let mut group = Group::open(&meeting, only, HOST, (COMING, COMING)).expect("connected");
        let open = never as *mut c_void;
        let short = Duration::from_millis(10);
        let joined = group.use_nccl(&meeting, open, only, 0, (short, COMING));
        let reason = joined.expect_err("nobody opens it");
        assert!(reason.starts_with("no answer within"), "{reason}");
        assert!(!group.adds_on_gpu());
    }
}
