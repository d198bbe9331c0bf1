//! What ranks tell each other and sums over them, by the C++ of `native/ranks.cpp`.

#![expect(unsafe_code, reason = "foreign functions")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::time::Duration;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::native;

/// Opaque: a store of keys and values that all ranks see.
#[repr(C)]
struct CMeeting([u8; 0]);

/// Opaque: connections of every rank with every other.
#[repr(C)]
struct CGroup([u8; 0]);

/// Opaque: a sum over ranks that has begun.
#[repr(C)]
struct CSum([u8; 0]);

unsafe extern "C" {
    fn tinyrun_ranks_are_there() -> i32;
    fn tinyrun_meeting_open(
        host: *const c_char,
        port: u16,
        listening: i32,
        run: *const c_char,
        milliseconds: i64,
    ) -> *mut CMeeting;
    fn tinyrun_meeting_set(
        meeting: *const CMeeting,
        key: *const c_char,
        value: *const c_char,
    ) -> i32;
    fn tinyrun_meeting_wait(meeting: *const CMeeting, key: *const c_char, milliseconds: i64)
    -> i32;
    fn tinyrun_meeting_get(meeting: *const CMeeting, key: *const c_char) -> *const c_char;
    fn tinyrun_meeting_count(meeting: *const CMeeting, key: *const c_char) -> i64;
    fn tinyrun_meeting_close(meeting: *mut CMeeting);
    fn tinyrun_group_open(
        meeting: *const CMeeting,
        rank: i32,
        size: i32,
        host: *const c_char,
        connecting: i64,
        milliseconds: i64,
    ) -> *mut CGroup;
    fn tinyrun_group_use_nccl(
        group: *mut CGroup,
        meeting: *const CMeeting,
        open: *mut c_void,
        rank: i32,
        size: i32,
        device: i32,
        connecting: i64,
        milliseconds: i64,
    ) -> i32;
    fn tinyrun_group_begin_sum(group: *const CGroup, tensor: *const C_tensor) -> *mut CSum;
    fn tinyrun_sum_wait(sum: *const CSum) -> i32;
    fn tinyrun_sum_close(sum: *mut CSum);
    fn tinyrun_group_exchange(
        group: *const CGroup,
        own: *const C_tensor,
        other: *const C_tensor,
        peer: i32,
    ) -> i32;
    fn tinyrun_group_close(group: *mut CGroup);
}

/// Whether libtorch's headers had what ranks need when this was built.
pub(super) fn are_there() -> bool {
    // SAFETY: a constant.
    unsafe { tinyrun_ranks_are_there() != 0 }
}

/// The first line of an error: libtorch appends its C++ stack.
fn reason() -> String {
    let error = native::error();
    error.lines().next().unwrap_or_default().to_owned()
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).expect("it has no zero byte")
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Keys and values that all ranks see.
#[derive(Debug)]
pub(super) struct Meeting(*mut CMeeting);

// SAFETY: a lock of libtorch's `TCPStore` lets one call after the other reach the connection, and what a call returns
// belongs to the thread.
unsafe impl Send for Meeting {}
// SAFETY: as above.
unsafe impl Sync for Meeting {}

impl Meeting {
    /// Serves it on a socket that listens, or without one connects to what is served there. Nothing of another
    /// `run` is seen.
    ///
    /// # Errors
    /// libtorch's words.
    pub(super) fn open(
        (host, port): (&str, u16),
        listening: Option<TcpListener>,
        run: &str,
        timeout: Duration,
    ) -> Result<Self, String> {
        let (host, run) = (c_string(host), c_string(run));
        // libtorch closes it.
        let socket = listening.map_or(-1, IntoRawFd::into_raw_fd);
        let limit = milliseconds(timeout);
        // SAFETY: strings that live as long as the call.
        let open =
            unsafe { tinyrun_meeting_open(host.as_ptr(), port, socket, run.as_ptr(), limit) };
        if open.is_null() {
            Err(reason())
        } else {
            Ok(Self(open))
        }
    }

    pub(super) fn set(&self, key: &str, value: &str) -> Result<(), String> {
        let (key, value) = (c_string(key), c_string(value));
        // SAFETY: open until it is dropped; strings that live as long as the call.
        let well = unsafe { tinyrun_meeting_set(self.0, key.as_ptr(), value.as_ptr()) };
        if well == 0 { Err(reason()) } else { Ok(()) }
    }

    /// The value of a key, where there is one before so much time is over.
    pub(super) fn wait_for(&self, key: &str, time: Duration) -> Result<Option<String>, String> {
        let key = c_string(key);
        // SAFETY: as in `set`; a value lives until this thread's next call.
        unsafe {
            match tinyrun_meeting_wait(self.0, key.as_ptr(), milliseconds(time)) {
                0 => Ok(None),
                1 => {
                    let value = tinyrun_meeting_get(self.0, key.as_ptr());
                    if value.is_null() {
                        return Err(reason());
                    }
                    Ok(Some(CStr::from_ptr(value).to_string_lossy().into_owned()))
                }
                _ => Err(reason()),
            }
        }
    }

    /// How many have counted this key, this one included.
    pub(super) fn count(&self, key: &str) -> Result<i64, String> {
        let key = c_string(key);
        // SAFETY: as in `set`.
        let count = unsafe { tinyrun_meeting_count(self.0, key.as_ptr()) };
        if count < 0 { Err(reason()) } else { Ok(count) }
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        // SAFETY: it was opened, and is closed once.
        unsafe { tinyrun_meeting_close(self.0) };
    }
}

/// Connections of every rank with every other.
#[derive(Debug)]
pub(super) struct Group {
    group: *mut CGroup,
    /// Whether it adds tensors of this rank's GPU where they are.
    adds_on_gpu: bool,
}

impl Group {
    /// Waits for all ranks. `host` is this machine's address towards them; beside it how long connecting and a
    /// sum may take.
    ///
    /// # Errors
    /// libtorch's words.
    pub(super) fn open(
        meeting: &Meeting,
        (rank, size): (usize, usize),
        host: &str,
        (connecting, sum): (Duration, Duration),
    ) -> Result<Self, String> {
        let host = c_string(host);
        let (rank, size) = (rank as i32, size as i32);
        let (connecting, sum) = (milliseconds(connecting), milliseconds(sum));
        // SAFETY: an open meeting; a string that lives as long as the call.
        let open =
            unsafe { tinyrun_group_open(meeting.0, rank, size, host.as_ptr(), connecting, sum) };
        if open.is_null() {
            Err(reason())
        } else {
            let adds_on_gpu = false;
            Ok(Self {
                group: open,
                adds_on_gpu,
            })
        }
    }

    /// Adds tensors of this rank's GPU by NCCL from now on; all ranks call it, each with a GPU of its own. `open` is
    /// `tinyrun_nccl_open` of the part that is loaded (`nccl.rs`).
    ///
    /// # Errors
    /// libtorch's words; the group is of no use then.
    pub(super) fn use_nccl(
        &mut self,
        meeting: &Meeting,
        open: *mut c_void,
        (rank, size): (usize, usize),
        gpu: usize,
        (connecting, sum): (Duration, Duration),
    ) -> Result<(), String> {
        let (rank, size, gpu) = (rank as i32, size as i32, gpu as i32);
        let (connecting, sum) = (milliseconds(connecting), milliseconds(sum));
        // SAFETY: an open group and meeting, and the function that ranks.cpp expects.
        let well = unsafe {
            tinyrun_group_use_nccl(
                self.group, meeting.0, open, rank, size, gpu, connecting, sum,
            )
        };
        if well == 0 {
            return Err(reason());
        }
        self.adds_on_gpu = true;
        Ok(())
    }

    /// Whether it adds tensors of this rank's GPU where they are. Otherwise it adds those in the memory of the CPU
    /// alone.
    pub(super) fn adds_on_gpu(&self) -> bool {
        self.adds_on_gpu
    }

    /// Begins to replace a tensor's numbers by their sums over all ranks, which all call it with tensors of one shape
    /// and in one order.
    ///
    /// # Errors
    /// libtorch's words; the group is of no use then.
    pub(super) fn begin_sum(&self, tensor: &Tensor) -> Result<Sum, String> {
        // SAFETY: an open group, and a live tensor that nobody else reads meanwhile; the sum keeps it.
        let sum = unsafe { tinyrun_group_begin_sum(self.group, tensor.as_ptr()) };
        if sum.is_null() {
            return Err(reason());
        }
        let tensor = tensor.shallow_clone();
        Ok(Sum { sum, tensor })
    }

    /// The same, and waits for them.
    ///
    /// # Errors
    /// As [`Self::begin_sum`].
    pub(super) fn sum(&self, tensor: &Tensor) -> Result<(), String> {
        self.begin_sum(tensor)?.wait().map(drop)
    }

    /// Sends a tensor to another rank, which sends one of the same shape and type, and writes that to `other`.
    ///
    /// # Errors
    /// As [`Self::begin_sum`].
    pub(super) fn exchange(&self, own: &Tensor, other: &Tensor, peer: usize) -> Result<(), String> {
        // SAFETY: an open group; live, contiguous tensors of one size, of which nobody reads `other` meanwhile.
        let well = unsafe {
            tinyrun_group_exchange(self.group, own.as_ptr(), other.as_ptr(), peer as i32)
        };
        if well == 0 { Err(reason()) } else { Ok(()) }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: it was opened, and is closed once.
        unsafe { tinyrun_group_close(self.group) };
    }
}

/// A sum over ranks that has begun, on threads of Gloo or on the GPU.
#[derive(Debug)]
pub(super) struct Sum {
    sum: *mut CSum,
    tensor: Tensor,
}

impl Sum {
    /// Waits for it, and returns the tensor that it was begun with.
    ///
    /// # Errors
    /// libtorch's words; the group is of no use then.
    pub(super) fn wait(self) -> Result<Tensor, String> {
        // SAFETY: it has begun, and is closed when this is dropped.
        let well = unsafe { tinyrun_sum_wait(self.sum) };
        if well == 0 {
            return Err(reason());
        }
        Ok(self.tensor.shallow_clone())
    }
}

impl Drop for Sum {
    fn drop(&mut self) {
        // SAFETY: it has begun, and is closed once; the work itself keeps what it needs.
        unsafe { tinyrun_sum_close(self.sum) };
    }
}
