//! Builds what only the kernel has: the parts of it that are written in C++, and the place where
//! libtorch is found at run time. The runner and the library get nothing, so that the runner
//! never loads libtorch; without the feature `kernel` tests alone are told what this machine has.

#[path = "build/native.rs"]
mod native;
#[path = "build/probes.rs"]
mod probes;
#[path = "src/kernel/processor.rs"]
mod processor;
#[path = "build/search_path.rs"]
mod search_path;

use std::env;
use std::path::{Path, PathBuf};

const KERNEL: &str = "tinyrun-kernel";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    probes::probe();
    if env::var_os("CARGO_FEATURE_KERNEL").is_none() {
        return;
    }
    // Set by torch-sys, which found libtorch through LIBTORCH or LIBTORCH_USE_PYTORCH.
    let libtorch = env::var_os("DEP_TCH_LIBTORCH_LIB").map(|lib| real_folder(Path::new(&lib)));
    if let Some(lib) = &libtorch {
        for argument in search_path::arguments(lib) {
            link(&argument);
        }
    }
    native::compile(libtorch.as_deref());
}

/// The folder libtorch's files are in, links followed: `libtorch_cpu.so` looks for its
/// own libraries relative to the folder it is loaded from.
fn real_folder(lib: &Path) -> PathBuf {
    lib.join("libtorch_cpu.so")
        .canonicalize()
        .ok()
        .and_then(|file| file.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| lib.to_path_buf())
}

fn link(argument: &str) {
    println!("cargo:rustc-link-arg-bin={KERNEL}={argument}");
}
