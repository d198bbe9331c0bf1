//! Loads the CUDA part of libtorch at run time.
//!
//! A kernel is linked against the processor's part alone, so one build runs with either libtorch. libtorch
//! decides once per process whether it has CUDA, so this must come before any question about devices.

#![expect(unsafe_code, reason = "the dynamic loader is a foreign function")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{MemfdFlags, memfd_create};

const PROCESSOR_PART: &str = "libtorch_cpu.so";
const CUDA_PART: &str = "libtorch_cuda.so";
/// Comes with the driver of the card, not with libtorch.
const DRIVER: &str = "libcuda.so.1";

const RTLD_NOW: c_int = 2;
#[cfg(target_os = "linux")]
const RTLD_GLOBAL: c_int = 0x100;
#[cfg(not(target_os = "linux"))]
const RTLD_GLOBAL: c_int = 8;

unsafe extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *mut c_char;
}

/// Makes CUDA devices visible to libtorch where it can; where not, why.
pub(crate) fn load() -> Result<(), String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    if library(&maps, CUDA_PART).is_some() {
        return Ok(());
    }
    open(Path::new(DRIVER)).map_err(|_| format!("no NVIDIA driver was found (`{DRIVER}`)"))?;
    let Some(folder) = library(&maps, PROCESSOR_PART).and_then(|path| path.parent()) else {
        return Err(format!("`{PROCESSOR_PART}` is not a library of its own"));
    };
    let path = folder.join(CUDA_PART);
    if !path.exists() {
        let folder = folder.display();
        return Err(format!("the libtorch in `{folder}` was built without CUDA"));
    }
    open(&path)
}

/// Path of a loaded library, from the process's memory map.
fn library<'a>(maps: &'a str, name: &str) -> Option<&'a Path> {
    maps.lines()
        .filter_map(|line| Some(Path::new(&line[line.find('/')?..])))
        .find(|path| path.file_name().is_some_and(|file| file == name))
}

/// Loads a library for the rest of the process.
fn open(path: &Path) -> Result<(), String> {
    Library::open(path).map(drop)
}

/// A library that is loaded until the process ends.
#[derive(Debug)]
pub(crate) struct Library(*mut c_void);

// SAFETY: the loader's own handle, which any thread may use.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    fn open(path: &Path) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: a string that ends in NUL; loading libtorch, the driver or our own part runs their constructors only.
        let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL) };
        if handle.is_null() {
            Err(reason(|| format!("`{}` cannot be loaded", path.display())))
        } else {
            Ok(Self(handle))
        }
    }

    /// Loads a library that the program holds.
    pub(crate) fn of_bytes(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let file = memfd_create(name, MemfdFlags::CLOEXEC).map_err(|error| error.to_string())?;
        let mut file = File::from(file);
        file.write_all(bytes).map_err(|error| error.to_string())?;
        Self::open(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
    }

    /// A function of it, to be called with the type that it has.
    pub(crate) fn function(&self, name: &CStr) -> Result<*mut c_void, String> {
        // SAFETY: a loaded library, and a string that ends in NUL.
        let found = unsafe { dlsym(self.0, name.as_ptr()) };
        if found.is_null() {
            Err(reason(|| {
                format!("{} is not there", name.to_string_lossy())
            }))
        } else {
            Ok(found)
        }
    }
}

/// The loader's words after a failure, if it has some.
fn reason(otherwise: impl Fn() -> String) -> String {
    // SAFETY: after a failure the loader returns null or a string that lives until its next call.
    let message = unsafe {
        let message = dlerror();
        (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
    };
    message.unwrap_or_else(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_in_the_memory_map_by_its_whole_name() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 1    /opt/my torch/lib/libtorch_cpu.so\n\
                    7f02-7f03 rw-p 00000000 00:00 0    [heap]\n\
                    7f04-7f05 r-xp 00000000 fe:00 2    /opt/not_libtorch_cuda.so\n";
        let found = library(maps, PROCESSOR_PART);
        assert_eq!(found, Some(Path::new("/opt/my torch/lib/libtorch_cpu.so")));
        assert_eq!(library(maps, CUDA_PART), None);
    }

    #[test]
    fn a_library_that_is_not_there_is_named_in_the_reason() {
        let reason = open(Path::new("/nowhere/libtorch_cuda.so")).unwrap_err();
        assert!(reason.contains("/nowhere/libtorch_cuda.so"), "{reason}");
    }

    #[test]
    fn this_process_knows_where_its_libtorch_is() {
        let maps = fs::read_to_string("/proc/self/maps").expect("a memory map");
        assert!(library(&maps, PROCESSOR_PART).is_some());
    }
}
